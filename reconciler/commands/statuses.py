"""SSM's statuses of a command: of one node's invocation, and what they come to together; pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Detail(StrEnum):
    """SSM: StatusDetails, without spaces."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    DELAYED = "Delayed"
    """The node is away or busy, and is tried again."""
    SUCCESS = "Success"
    FAILED = "Failed"
    EXECUTION_TIMED_OUT = "ExecutionTimedOut"
    DELIVERY_TIMED_OUT = "DeliveryTimedOut"
    UNDELIVERABLE = "Undeliverable"
    INVALID_PLATFORM = "InvalidPlatform"
    ACCESS_DENIED = "AccessDenied"
    TERMINATED = "Terminated"
    """Never sent: too many others failed, or were out of reach."""
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"
    INCOMPLETE = "Incomplete"
    """Of a command only."""
    NO_INSTANCES_IN_TAG = "NoInstancesInTag"
    """Of a command only."""

    @property
    def status(self) -> str:
        """SSM: the word of the small enum."""
        return _SMALL.get(self, self.value)

    @property
    def ended(self) -> bool:
        """Whether it never changes again."""
        return self not in _GOING

    @property
    def is_completed(self) -> bool:
        """Whether SSM counts it in CompletedCount."""
        return self.ended and self not in (Detail.INVALID_PLATFORM, Detail.ACCESS_DENIED)

    @property
    def is_error(self) -> bool:
        """Whether it counts against MaxErrors."""
        return self in (Detail.FAILED, Detail.EXECUTION_TIMED_OUT)


_GOING: Final = frozenset({Detail.PENDING, Detail.IN_PROGRESS, Detail.DELAYED, Detail.CANCELLING})

_SMALL: Final = {
    Detail.EXECUTION_TIMED_OUT: "TimedOut",
    Detail.DELIVERY_TIMED_OUT: "TimedOut",
    Detail.UNDELIVERABLE: "Failed",
    Detail.INVALID_PLATFORM: "Failed",
    Detail.ACCESS_DENIED: "Failed",
    Detail.TERMINATED: "Cancelled",
    Detail.INCOMPLETE: "Failed",
    Detail.NO_INSTANCES_IN_TAG: "Failed",
}

_NEVER_THERE: Final = frozenset({Detail.UNDELIVERABLE, Detail.INVALID_PLATFORM, Detail.ACCESS_DENIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a command came to, and why."""

    detail: Detail
    reason: str


def aggregate(invocations: Iterable[Detail], *, threshold: int, stopped: bool, cancelled: bool) -> Verdict:
    """Decide a command's status by the first rule that holds; `threshold` errors are tolerated.

    `stopped`: the dispatch ended before its last node. `cancelled`: somebody asked for the end.
    """
    counts = Counter(invocations)
    total = counts.total()
    going = [detail for detail in _GOING if counts[detail]]
    if going:
        return _still_going(counts, cancelled=cancelled)
    if cancelled and counts[Detail.CANCELLED]:
        return Verdict(detail=Detail.CANCELLED, reason=f"cancelled on {counts[Detail.CANCELLED]} of {total} nodes")
    if total == 0:
        return Verdict(detail=Detail.NO_INSTANCES_IN_TAG, reason="the targets mean no node")
    return _by_errors(counts, threshold, stopped=stopped) or _by_successes(counts)


def _by_errors(counts: "Counter[Detail]", threshold: int, *, stopped: bool) -> Verdict | None:
    """Decide by what failed or came too late; None: that was not enough to decide."""
    total, enough = counts.total(), max(1, threshold)
    errors = counts[Detail.FAILED] + counts[Detail.EXECUTION_TIMED_OUT]
    stopped = stopped and errors > threshold  # else it was nodes out of reach, which are no errors
    if errors >= enough or stopped:
        detail = Detail.FAILED if counts[Detail.FAILED] else Detail.EXECUTION_TIMED_OUT
        ended = ", which stopped it" if stopped else ""
        return Verdict(
            detail=detail, reason=f"{errors} of {total} nodes failed{ended}; MaxErrors tolerates {threshold}"
        )
    if counts[Detail.DELIVERY_TIMED_OUT] >= enough:
        late = counts[Detail.DELIVERY_TIMED_OUT]
        return Verdict(detail=Detail.DELIVERY_TIMED_OUT, reason=f"not delivered in time to {late} of {total} nodes")
    return None


def _by_successes(counts: "Counter[Detail]") -> Verdict:
    total, well = counts.total(), counts[Detail.SUCCESS]
    never = sum(counts[detail] for detail in _NEVER_THERE)
    if never == total:
        return Verdict(detail=Detail.FAILED, reason="it could not be delivered to any node")
    if well + never == total:
        besides = f"; {_were(never)} never reached" if never else ""
        return Verdict(detail=Detail.SUCCESS, reason=f"{well} of {total} nodes succeeded{besides}")
    unsent = f"; {_were(counts[Detail.TERMINATED])} not sent" if counts[Detail.TERMINATED] else ""
    return Verdict(detail=Detail.INCOMPLETE, reason=f"{well} of {total} nodes succeeded{unsent}")


def _were(count: int) -> str:
    return "1 was" if count == 1 else f"{count} were"


def _still_going(counts: "Counter[Detail]", *, cancelled: bool) -> Verdict:
    if cancelled:
        return Verdict(detail=Detail.CANCELLING, reason="a cancel was asked for")
    received = counts.total() - counts[Detail.PENDING] - counts[Detail.DELAYED]
    if counts[Detail.DELAYED] and not counts[Detail.IN_PROGRESS]:
        return Verdict(detail=Detail.DELAYED, reason=f"{counts[Detail.DELAYED]} nodes are away or busy")
    if received == 0:
        return Verdict(detail=Detail.PENDING, reason="no node has received it yet")
    running, ended = counts[Detail.IN_PROGRESS], counts.total() - sum(counts[detail] for detail in _GOING)
    nodes = "1 node" if running == 1 else f"{running} nodes"
    besides = f"; {ended} of {counts.total()} have ended" if ended else ""
    return Verdict(detail=Detail.IN_PROGRESS, reason=f"running on {nodes}{besides}")
