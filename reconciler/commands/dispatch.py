"""Carries a command out on its nodes: the same runs, locks, epochs and rates as a pass. Takes a command, gives invocations.

I/O through `rollout`. It starts nothing on a node where the state repository allows no changes, and nothing after the
delivery deadline; it follows what it started until the command expires.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol

from reconciler.commands.command import Command
from reconciler.commands.record import Invocation, StepRecord, reason_of
from reconciler.commands.statuses import Detail
from reconciler.compliance.encode import whole_second
from reconciler.drift.finding import Cause
from reconciler.drift.recheck import recheck
from reconciler.ids import NodeId, RunId
from reconciler.model.command import Connect
from reconciler.model.desired import DesiredState
from reconciler.model.history import RunStatus
from reconciler.model.known import Known, Observed, Unknown
from reconciler.model.outcome import Disposition, Hindrance, Outcome, RunRecord
from reconciler.model.patch_order import PatchOrder
from reconciler.model.pause import Pauses
from reconciler.plan.plan import Plan, PlanItem
from reconciler.plan.run_id import run_id
from reconciler.rollout.flight import Delivery
from reconciler.rollout.node_programs import MOST_REBOOTS
from reconciler.rollout.run import roll_out
from reconciler.rollout.sight import Piece
from reconciler.rollout.staging import Read, no_store

Tell = Callable[[NodeId, Detail, str], None]

_ENDED = {
    RunStatus.SUCCESS: Detail.SUCCESS,
    RunStatus.FAILED: Detail.FAILED,
    RunStatus.TIMED_OUT: Detail.EXECUTION_TIMED_OUT,
    RunStatus.CANCELLED: Detail.CANCELLED,
    RunStatus.IN_PROGRESS: Detail.IN_PROGRESS,
}

_NOT_STARTED = {
    Hindrance.ERRORS: Detail.TERMINATED,
    Hindrance.TIME: Detail.DELIVERY_TIMED_OUT,
    Hindrance.CANCEL: Detail.CANCELLED,
    Hindrance.GATE: Detail.CANCELLED,
    None: Detail.UNDELIVERABLE,
}


class Watch(Protocol):
    """Sees the steps of a command on one node as they happen; called from one thread at a time."""

    def output(self, step: str, kind: str, content: bytes) -> None:
        """Take what a step wrote to `out` or `err`; foreign bytes, cut anywhere."""
        ...

    def ended(self, step: str, status: str, exit_code: int) -> None:
        """Hear that a step has ended, after all that is told of its output."""
        ...


class _Watching:
    """Puts what the roll-out tells into steps' names and their order, each end once."""

    def __init__(self, command: Command, watch: Watch) -> None:
        self._names = [step.name for step in command.definition.rendered.steps]
        self._watch = watch
        self._ended = 0
        self._early: list[Piece] = []
        """Of steps after one whose end was not told yet: one answer may hold several."""

    def piece(self, _run: RunId, piece: Piece) -> None:
        if piece.step > self._ended + 1:
            self._early.append(piece)
        elif piece.step <= len(self._names):
            self._watch.output(self._names[piece.step - 1], piece.kind, piece.content)

    def progress(self, record: RunRecord) -> None:
        for step in record.steps[self._ended :]:
            if step.status in _NOT_OVER:
                return
            self._ended += 1
            self._watch.ended(step.name, step.status, step.exit_code)
            early, self._early = self._early, []
            for piece in early:
                self.piece(record.run, piece)


_NOT_OVER = ("NotStarted", "InProgress")


@dataclass(frozen=True, slots=True)
class _Hearing:
    """Passes on what the roll-out says of each node: to who follows the command, and to who asks about it meanwhile."""

    command: Command
    runs: Mapping[NodeId, RunId]
    around: "Surroundings"
    watching: _Watching | None

    def word(self, detail: Detail, node: NodeId, why: str) -> None:
        """Hear that an invocation has begun, is delayed, or is being ended."""
        run = None if detail is Detail.DELAYED else self.runs[node]
        self.around.note(Invocation(node=node, detail=detail, reason=reason_of(why), run=run))
        self.around.tell(node, detail, why)

    def progress(self, record: RunRecord) -> None:
        """Hear how a run stands."""
        if not record.status.ended:
            found = invocation_from(record)
            self.around.note(replace(found, reason=found.reason or "started"))
        if self.watching is not None:
            self.watching.progress(record)

    def outcome(self, outcome: Outcome) -> None:
        """Hear what came of a node."""
        found = invocation_of(self.command, outcome)
        self.around.note(found)
        self.around.tell(found.node, found.detail, found.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """How a dispatch touches the world, and what may end it."""

    connect: Connect
    epoch: int
    not_after: Callable[[], datetime | None]
    """When our lease ends, as it stands; None: the nodes alone decide."""
    clock: Callable[[], datetime]
    outputs: Path
    stop: Event
    pauses: Callable[[], Pauses]
    cancelled: Callable[[NodeId], bool]
    tell: Tell
    """Hears of every change of an invocation, from the deciding thread."""
    is_any_cancelled: Callable[[], bool] = lambda: True
    """Whether `cancelled` may be true of any node."""
    note: Callable[[Invocation], None] = lambda _: None
    """Hears how an invocation stands whenever that is known anew, from any thread."""
    read: Read = no_store
    """Gives the files that the document downloads."""
    watch: Watch | None = None
    """Of a command for one node."""
    most_reboots: int = MOST_REBOOTS
    patches: Mapping[NodeId, Observed[PatchOrder | None]] = field(default_factory=dict)
    """Of a patch document: what each node is to get."""


def carry_out(command: Command, desired: DesiredState, around: Surroundings) -> tuple[Invocation, ...]:
    """Send a command to its nodes and follow it there; gives what came of each, denied nodes left out."""
    association = command.as_association()
    wanted_on = [node for node in command.nodes if node not in command.denied]
    unknown = {node: found for node in wanted_on if isinstance(found := around.patches.get(node), Unknown)}
    items = tuple(
        replace(_item(command, desired, node, number), patches=_order(around, node))
        for number, node in enumerate(wanted_on)
        if node not in unknown
    )
    blind = tuple(_blind(node, found.why) for node, found in unknown.items())
    for each in blind:
        around.tell(each.node, each.detail, each.reason)
    if not items:
        return blind
    # The fleet's breaker over failing definitions is for what repeats itself: a command has MaxErrors alone.
    fleet = replace(desired.fleet, stop_after_failures=0)
    wanted = replace(desired, fleet=fleet, associations={association.name: association})
    digest = command.definition.digest
    watching = None if around.watch is None else _Watching(command, around.watch)
    hearing = _Hearing(command, {item.node: item.run for item in items}, around, watching)
    outcomes = roll_out(
        Plan(digest=digest, commit=desired.commit, facts=digest, at=command.requested, items=items),
        desired=wanted,
        definitions={association.name: command.definition},
        connect=around.connect,
        epoch=around.epoch,
        not_after=around.not_after,
        clock=around.clock,
        patience=command.expires - around.clock(),
        stop=around.stop,
        recheck=lambda session, item: recheck(session, association, command.definition, item, desired.nodes[item.node]),
        rests_on_holds=lambda _item: True,  # a command is asked for by hand, and expects nothing
        on_outcome=hearing.outcome,
        target_counts={association.name: len(command.nodes)},
        outputs=around.outputs,
        pauses=around.pauses,
        ramp=command.request.ramp,
        most_unreached=command.most_unreached,
        read=around.read,
        delivery=Delivery(
            until=command.deliver_until,
            cancelled=around.cancelled,
            is_any_cancelled=around.is_any_cancelled,
            on_started=partial(hearing.word, Detail.IN_PROGRESS, why="started"),
            on_delayed=partial(hearing.word, Detail.DELAYED),
            on_cancelling=partial(hearing.word, Detail.CANCELLING),
            on_piece=None if watching is None else watching.piece,
            on_progress=hearing.progress,
            most_reboots=around.most_reboots,
        ),
    )
    return (*(invocation_of(command, outcome) for outcome in outcomes), *blind)


def _order(around: Surroundings, node: NodeId) -> PatchOrder | None:
    found = around.patches.get(node)
    return found.value if isinstance(found, Known) else None


def _blind(node: NodeId, why: str) -> Invocation:
    """Nothing is sent to a node whose patches are not known."""
    return Invocation(node=node, detail=Detail.FAILED, reason=reason_of(f"its patches are not known: {why}"))


def _item(command: Command, desired: DesiredState, node: NodeId, number: int) -> PlanItem:
    return PlanItem(
        node=node,
        association=command.subject,
        document=f"{command.document.name}:{command.document.version}",
        definition=command.definition.digest,
        rendered=command.definition.rendered.digest,
        run=run_id(desired.fleet.id, node, command.subject, 1),
        executions=1,
        cause=Cause.PENDING,
        reason=f"sent by {command.login}",
        opaque=True,
        order=number,
        forced=True,
    )


def invocation_of(command: Command, outcome: Outcome) -> Invocation:
    """Put an outcome of the roll-out into SSM's words."""
    detail = _detail(command, outcome)
    if outcome.record is not None:
        return invocation_from(outcome.record, detail)
    return Invocation(node=outcome.node, detail=detail, reason=reason_of(outcome.reason))


def invocation_from(record: RunRecord, detail: Detail | None = None) -> Invocation:
    """Tell what a run on a node came to."""
    return Invocation(
        node=record.node,
        detail=detail or _ENDED[record.status],
        reason=reason_of(record.detail),
        run=record.run,
        exit_code=record.exit_code if record.exit_code is not None and record.exit_code >= 0 else None,
        started=None if record.started is None else whole_second(record.started),
        ended=None if record.ended is None else whole_second(record.ended),
        steps=tuple(StepRecord(name=step.name, status=step.status, exit_code=step.exit_code) for step in record.steps),
    )


def _detail(command: Command, outcome: Outcome) -> Detail:
    match outcome.disposition, outcome.hindrance:
        case Disposition.RAN, _:
            return Detail.FAILED if outcome.record is None else _ENDED[outcome.record.status]
        case Disposition.RUNNING, _:
            return Detail.DELIVERY_TIMED_OUT if outcome.at >= command.expires else Detail.IN_PROGRESS
        case Disposition.UNREACHABLE, Hindrance.TIME:
            # Sent, and never answered for: only the node knows, until nobody asks any more.
            return Detail.DELIVERY_TIMED_OUT if outcome.at >= command.deliver_until else Detail.IN_PROGRESS
        case _:
            return _NOT_STARTED[outcome.hindrance]
