"""One plan item on its way: what a worker thread does for it, one exchange at a time. I/O; knows no slots and no other node."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from reconciler.errors import BecomeRefused, HostKeyMismatch, HostKeyUnknown, LoginRefused, NameNotFound, NodeError
from reconciler.ids import NodeId, RunId
from reconciler.model.command import Connect, Session
from reconciler.model.node import Become, Node
from reconciler.model.outcome import Disposition, Hindrance, Outcome, RunRecord
from reconciler.model.patch_order import RebootOption
from reconciler.plan.plan import PlanItem
from reconciler.rollout.manifest import Manifest
from reconciler.rollout.node_programs import MOST_REBOOTS, RESUMED_WITHIN, Order
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.record import record_of
from reconciler.rollout.sight import Piece, Refusal, Sight, Standing
from reconciler.rollout.staging import Read, no_store, stage

REBOOT_PATIENCE = 900.0
"""Seconds that a node may stay away which reboots because its script asked for it."""

LOST_PATIENCE = 60.0
"""Seconds that a run's node may stay away before the run is left to a later pass."""

BEGIN_PATIENCE = 30.0
"""Seconds for a spawned runner to begin: a node that cannot fork in this time has other troubles."""


HOPELESS = (HostKeyMismatch, HostKeyUnknown, LoginRefused, BecomeRefused, NameNotFound)
"""Trouble that waiting does not mend."""


class Verdict(Protocol):
    """Whether an item still holds on its node, as `drift.recheck` tells it."""

    @property
    def still_needed(self) -> bool | None:
        """None: it could not be told, and nothing is applied on that."""
        ...

    @property
    def reason(self) -> str:
        """Why (not), in words."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a command reaches its nodes: it waits for a node that is away or busy, and somebody may cancel it."""

    until: datetime
    """Nothing is started from then on (SSM: TimeoutSeconds); what was started is followed for as long as the roll-out waits."""
    cancelled: Callable[[NodeId], bool]
    """Asked often, from any thread."""
    is_any_cancelled: Callable[[], bool] = lambda: True
    """Whether it may be true of any node; True where nobody knows without asking about each."""
    on_started: Callable[[NodeId], None]
    on_delayed: Callable[[NodeId, str], None]
    on_cancelling: Callable[[NodeId, str], None] = lambda _node, _why: None
    """Hears what a cancel waits for."""
    on_piece: Callable[[RunId, Piece], None] | None = None
    """Hears of new output, from any thread."""
    on_progress: Callable[[RunRecord], None] | None = None
    """Hears how a run stands at each look, after its output; from any thread."""
    most_reboots: int = MOST_REBOOTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every item's way needs."""

    connect: Connect
    runs: NodeRuns
    recheck: Callable[[Session, PlanItem], Verdict]
    paused: Callable[[PlanItem], str | None]
    """Why nothing may be started now; None: it may."""
    clock: Callable[[], datetime]
    on_claimed: Callable[[PlanItem], None]
    on_delayed: Callable[[PlanItem, str], None] = lambda _item, _why: None
    read: Read = no_store
    """Gives the files that steps download."""
    rests_on_holds: Callable[[PlanItem], bool] = lambda _item: False
    """Whether asking again comes down to hold files: then the start itself looks for them, in the same exchange."""
    on_cancelling: Callable[[PlanItem, str], None] = lambda _item, _why: None
    delivery: Delivery | None = None
    """None: a pass leaves a node that is away or busy to the next one."""
    deliver_by: float = math.inf
    """Its `until` by the monotonic clock."""

    def cancelled(self, node: NodeId) -> bool:
        """Tell whether somebody wants this node's run to end."""
        return self.delivery is not None and self.delivery.cancelled(node)

    def late(self) -> bool:
        """Tell whether it is too late to start anything."""
        return time.monotonic() >= self.deliver_by


@dataclass(slots=True, kw_only=True)
class Flight:
    """Where one item stands; used by one thread at a time."""

    item: PlanItem
    node: Node
    order: Order
    attempted: bool = False
    """Whether a start was sent: from then on only the node knows whether it runs."""
    claimed: bool = False
    sight: Sight | None = None
    problem: str = ""
    waits_for: str = ""
    """What it met when it was last about to start."""
    lost_since: float | None = None
    failures: int = 0
    due: float = 0.0
    born: float = field(default_factory=time.monotonic)

    @property
    def become(self) -> bool:
        """Whether programs run as root by sudo."""
        return self.node.become is Become.SUDO

    @property
    def may_reboot(self) -> bool:
        """Whether its run asked for a reboot, as far as it was seen, or installs patches that may bring one at any moment."""
        order = self.item.patches
        patching = order is not None and order.reboot is RebootOption.REBOOT_IF_NEEDED
        return patching or (self.sight is not None and self.sight.rebooting)

    @property
    def manifest(self) -> Manifest:
        """The run's identity, as its folder tells it."""
        order = self.order
        return Manifest(
            run=order.run,
            fleet=order.fleet,
            node=order.node,
            association=order.association,
            definition=order.definition,
            rendered=order.rendered.digest,
            executions=order.executions,
            cause=order.cause,
            epoch=order.epoch,
            started=order.started,
            steps=tuple(step.name for step in order.rendered.steps),
        )


def advance(flight: Flight, tools: Tools, wait: int) -> Outcome | None:
    """Do the next exchange: start the run, or look at it; gives the outcome, or None while it goes on (or is out of sight)."""
    try:
        with tools.connect(flight.node) as session:
            outcome = _exchange(flight, session, tools, wait)
    except NodeError as error:
        return _lost(flight, tools, error)
    flight.lost_since, flight.failures, flight.problem = None, 0, ""
    return outcome


def _exchange(flight: Flight, session: Session, tools: Tools, wait: int) -> Outcome | None:
    if tools.cancelled(flight.item.node):
        return _cancel(flight, session, tools)
    if flight.attempted:
        sight = tools.runs.look(session, flight.item.run, become=flight.become, wait=wait)
        if sight.standing is Standing.REBOOTED:
            sight = _resume(flight, session, tools, wait)
        if flight.claimed or sight.standing not in (Standing.ABSENT, Standing.UNBEGUN):
            return _judge(flight, session, sight, tools)
    return _start(flight, session, tools, wait)


def _start(flight: Flight, session: Session, tools: Tools, wait: int) -> Outcome | None:
    """Ask once more whether it may start, and start it: for the first time, or after a start that never arrived."""
    if tools.late():
        return _not_in_time(flight, tools)
    unheld = tools.rests_on_holds(flight.item)
    hindered = _paused(flight, tools) if unheld else _hindered(flight, session, tools)
    if hindered is not None:
        return hindered
    unsent = stage(session, flight.order, tools.read, become=flight.become)
    if unsent is not None:
        return outcome_of(flight.item, Disposition.HELD_BACK, unsent, tools.clock())
    flight.attempted = True
    found = _started(flight, session, tools, wait, unheld=unheld)
    if isinstance(found, Refusal) and found.kind == "held":
        # Something lies there: what it says decides.
        hindered = _hindered(flight, session, tools)
        if hindered is None:
            found = _started(flight, session, tools, wait, unheld=False)
    return hindered or _begun(flight, session, found, tools)


def _begun(flight: Flight, session: Session, found: Sight | Refusal, tools: Tools) -> Outcome | None:
    if not isinstance(found, Refusal):
        return _judge(flight, session, found, tools)
    if found.kind == "busy" and tools.delivery is not None:
        flight.waits_for = _refusal_words(found)
        tools.on_delayed(flight.item, flight.waits_for)
        return None
    if found.kind == "done" and tools.cancelled(flight.item.node):
        return cancelled(flight.item, tools.clock())
    return outcome_of(flight.item, Disposition.HELD_BACK, _refusal_words(found), tools.clock())


def _started(flight: Flight, session: Session, tools: Tools, wait: int, *, unheld: bool) -> Sight | Refusal:
    return tools.runs.start(
        session,
        flight.order,
        become=flight.become,
        wait=wait,
        unheld=unheld,
        on_claimed=lambda: _claimed(flight, tools),
    )


def _hindered(flight: Flight, session: Session, tools: Tools) -> Outcome | None:
    answer = tools.recheck(session, flight.item)
    if answer.still_needed is None:
        return outcome_of(flight.item, Disposition.HELD_BACK, answer.reason, tools.clock(), hindrance=Hindrance.GATE)
    if not answer.still_needed:
        return outcome_of(flight.item, Disposition.NOT_NEEDED, answer.reason, tools.clock())
    return _paused(flight, tools)


def _paused(flight: Flight, tools: Tools) -> Outcome | None:
    paused = tools.paused(flight.item)
    if paused is not None:
        return outcome_of(flight.item, Disposition.HELD_BACK, paused, tools.clock(), hindrance=Hindrance.GATE)
    return None


def _cancel(flight: Flight, session: Session, tools: Tools) -> Outcome | None:
    """End what runs, and see to it that what has not begun never does."""
    if flight.attempted:
        sight = tools.runs.cancel(session, flight.item.run, become=flight.become, for_good=True)
        if sight.standing.goes_on and sight.why:
            tools.on_cancelling(flight.item, sight.why)
        if sight.standing is Standing.REBOOTED:  # it goes on to where it hears of it
            sight = _resume(flight, session, tools, wait=0)
        if not sight.nothing_ran:
            return _judge(flight, session, sight, tools)
    return cancelled(flight.item, tools.clock())


def cancelled(item: PlanItem, at: datetime, why: str = "cancelled before it began") -> Outcome:
    """Give the outcome of an item that somebody cancelled before it began."""
    return outcome_of(item, Disposition.HELD_BACK, why, at, hindrance=Hindrance.CANCEL)


def _not_in_time(flight: Flight, tools: Tools) -> Outcome:
    why = flight.problem or flight.waits_for or "it waited for its turn"
    reason = f"not started by its delivery deadline: {why}"
    return outcome_of(flight.item, Disposition.UNREACHABLE, reason, tools.clock(), hindrance=Hindrance.TIME)


def _resume(flight: Flight, session: Session, tools: Tools, wait: int) -> Sight:
    order = flight.order
    return tools.runs.resume(
        session,
        order.run,
        order.fleet,
        epoch=order.epoch,
        expired=tools.clock() - order.started > RESUMED_WITHIN,
        become=flight.become,
        wait=wait,
    )


def _claimed(flight: Flight, tools: Tools) -> None:
    flight.claimed = True
    tools.on_claimed(flight.item)


def _judge(flight: Flight, session: Session, sight: Sight, tools: Tools) -> Outcome | None:
    flight.sight = sight
    if not flight.claimed:
        _claimed(flight, tools)
    if sight.standing is Standing.UNBEGUN and time.monotonic() - flight.born < BEGIN_PATIENCE:
        return None
    if sight.nothing_ran and sight.standing is not Standing.ABSENT:
        is_last = tools.delivery is not None  # a command is told as one that did not run, and never is any more
        sight = tools.runs.discard(session, flight.item.run, become=flight.become, for_good=is_last)
        if not sight.nothing_ran:
            flight.sight = sight
            return None
    record = record_of(flight.manifest, sight, tools.runs.output, tools.clock())
    if record is None:
        why = (flight.sight.why if flight.sight else "") or "its run never began on the node"
        return outcome_of(flight.item, Disposition.HELD_BACK, why, tools.clock())
    if tools.delivery is not None and tools.delivery.on_progress is not None:
        tools.delivery.on_progress(record)
    if not record.status.ended:
        return None
    reason = f"{flight.item.reason}: {record.status.value}"
    return outcome_of(flight.item, Disposition.RAN, reason, tools.clock(), record)


def _lost(flight: Flight, tools: Tools, error: NodeError) -> Outcome | None:
    now = time.monotonic()
    flight.problem = str(error)
    flight.failures += 1
    flight.lost_since = now if flight.lost_since is None else flight.lost_since
    if tools.delivery is not None:
        return _delayed(flight, tools, error)
    if not flight.attempted:
        return outcome_of(flight.item, Disposition.UNREACHABLE, str(error), tools.clock())
    patience = REBOOT_PATIENCE if flight.may_reboot else LOST_PATIENCE
    if now - flight.lost_since < patience:
        return None
    return left_alone(flight, tools, f"the node is out of reach: {error}")


def _delayed(flight: Flight, tools: Tools, error: NodeError) -> Outcome | None:
    """Wait for a node that is away: a run that was started for its end, one that was not until the deadline."""
    if flight.attempted:
        return None
    if tools.cancelled(flight.item.node):
        return cancelled(flight.item, tools.clock())
    if isinstance(error, HOPELESS):
        return outcome_of(flight.item, Disposition.UNREACHABLE, str(error), tools.clock())
    if tools.late():
        return _not_in_time(flight, tools)
    flight.waits_for = str(error)
    tools.on_delayed(flight.item, flight.waits_for)
    return None


def left_alone(flight: Flight, tools: Tools, why: str) -> Outcome:
    """Give the outcome of an item that goes on without us, or that may."""
    if tools.delivery is not None and not flight.attempted:
        return _not_in_time(flight, tools) if tools.late() else cancelled(flight.item, tools.clock(), why)
    if not flight.claimed:
        return outcome_of(flight.item, Disposition.UNREACHABLE, why, tools.clock(), hindrance=Hindrance.TIME)
    record = _record_in_progress(flight, tools)
    since = flight.order.started.strftime("%Y-%m-%dT%H:%M:%SZ")
    step = f", {record.step}" if record and record.step else ""
    return outcome_of(flight.item, Disposition.RUNNING, f"running since {since}{step} ({why})", tools.clock(), record)


def _record_in_progress(flight: Flight, tools: Tools) -> RunRecord | None:
    sight = flight.sight or Sight(standing=Standing.GOING)
    if sight.standing is Standing.UNBEGUN:
        sight = Sight(standing=Standing.GOING)
    return record_of(flight.manifest, sight, tools.runs.output, tools.clock())


def outcome_of(
    item: PlanItem,
    disposition: Disposition,
    reason: str,
    at: datetime,
    record: RunRecord | None = None,
    *,
    hindrance: Hindrance | None = None,
) -> Outcome:
    """Give the outcome of `item`."""
    return Outcome(
        node=item.node,
        association=item.association,
        disposition=disposition,
        reason=reason,
        record=record,
        hindrance=hindrance,
        at=at,
    )


def _refusal_words(refusal: Refusal) -> str:
    match refusal.kind:
        case "busy":
            return f"another document is running on the node: {refusal.words or 'its holder left no name'}"
        case "fenced":
            return f"a newer daemon leads: the node has seen epoch {refusal.words}, so nothing is started from here"
        case "differs":
            return f"{refusal.words}: it is settled first, by the next pass"
        case "done":
            return (
                f"this run ({refusal.words[:12]}) has ended and was taken note of, or was cancelled, before this start "
                "came to the node: it does not run again, and the next pass looks what is needed"
            )
        case _:
            return refusal.words
