"""One pass: the stages in order. Takes what git says, what is remembered and a way to reach nodes; gives what came of it.

It reads no git and writes none; what it does to nodes, `collect`, `settle` and `roll_out` do.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from time import monotonic

from reconciler.drift.associations import find_drift
from reconciler.drift.epochs import Heard, heard_from
from reconciler.drift.finding import Cause, Finding
from reconciler.drift.identity import history_of
from reconciler.drift.lost_history import outgrown
from reconciler.drift.memory import with_findings, with_outcomes
from reconciler.drift.patched import PatchBooks, PatchSurvey
from reconciler.drift.patches import PatchSurveyor, with_installed, with_patches
from reconciler.drift.recheck import recheck
from reconciler.drift.recollection import Basis
from reconciler.drift.refreshes import with_refreshes, with_sources
from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.collect import Collected, collect
from reconciler.inventory.latecomers import Latecomers
from reconciler.inventory.observed import Facts
from reconciler.model.command import Connect
from reconciler.model.desired import DesiredState
from reconciler.model.history import History, RunStatus
from reconciler.model.outcome import Disposition, Outcome, RunRecord
from reconciler.model.patch_order import PatchOrder
from reconciler.model.patch_request import PatchRequest
from reconciler.model.pause import Pauses
from reconciler.plan.digest import FactsDigest
from reconciler.plan.ground import Ground
from reconciler.plan.plan import Plan, PlanItem
from reconciler.plan.planner import believe, decide, findings_of
from reconciler.plan.run_id import command_of
from reconciler.plan.shrink import refused
from reconciler.rollout.events import SecondLook
from reconciler.rollout.fencing import announce
from reconciler.rollout.run import roll_out
from reconciler.rollout.settle import Unsettled, settle
from reconciler.rollout.staging import Read, no_store
from reconciler.rollout.stragglers import Stragglers


@dataclass(frozen=True, slots=True, kw_only=True)
class Leading:
    """Under what a pass acts."""

    epoch: int
    """Nodes refuse a lower one than they have heard of."""
    until: datetime | None = None
    """When our lease ends: a process that was stopped for so long starts nothing more. None: the nodes alone decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """How a pass touches the world, and when it must let go."""

    connect: Connect
    clock: Callable[[], datetime]
    patience: timedelta
    """How long after its plan was made a pass waits for its runs."""
    lead: Callable[[Heard], Leading | None]
    """From the epochs that nodes know to ours, above what can be believed of them; None: somebody else leads, and we only look."""
    outputs: Path
    """Where full outputs of runs are kept on this host."""
    stop: Event = field(default_factory=Event)
    pauses: Callable[[], Pauses] = Pauses
    """What people paused, read anew each time: a roll-out that goes on must hear of it."""
    on_unsettled: Callable[[Unsettled], None] = lambda _: None
    """Hears of run folders that nobody can make sense of."""
    followed: Callable[[AssociationName], bool] = lambda _: False
    """Whether somebody else follows the runs of that name: the sender of a command."""
    facts_digest: FactsDigest = field(default_factory=FactsDigest)
    """Remembers what earlier passes digested."""
    latecomers: Latecomers[Collected] | None = None
    """Who is left to answer late; None: every node is waited for until its own limit."""
    stragglers: Stragglers | None = None
    """The same of nodes that are told of us, or whose runs are settled."""
    read_content: Read = no_store
    """Gives the files that documents download."""
    patches: PatchSurveyor = field(default_factory=PatchSurveyor)
    """Remembers records of package versions from pass to pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What this pass is for."""

    nodes: tuple[NodeId, ...]
    """Which nodes, warm ones first."""
    dry_run: bool = False
    apply: AssociationName | None = None
    """Run this one now, whatever its schedule and back-off say."""
    allow_shrink: frozenset[AssociationName] = frozenset()
    new_history: bool = False
    """A person says that the lost history is to be rebuilt from the nodes' markers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What a pass did and saw."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    settled: tuple[RunRecord, ...]
    findings: tuple[Finding, ...]
    """As they stand after looking again."""
    before: Mapping[NodeId, Collected]
    """What the plan was made from: with `plan.at` it makes the same plan again."""
    collected: Mapping[NodeId, Collected]
    history: History
    basis: Basis = field(default_factory=Basis)
    """What the plan stands on beside facts and commits."""
    patches: PatchSurvey = field(default_factory=PatchSurvey)
    """As they stand after looking again, with the ledger as it is now."""


def reconcile(
    base: Ground,
    history: History,
    held: Mapping[NodeId, Collected],
    world: World,
    asked: Asked,
    books: PatchBooks | None = None,
) -> Pass:
    """Bring the nodes asked for one pass closer to what is desired; what woke us up is not our business."""
    desired = base.desired
    books = books or PatchBooks()
    patched = _asked_of(base)
    reported = books.reported
    questions = with_sources(
        base.questions,
        patched,
        desired,
        lambda node: held[node].facts if node in held else reported.get(node),
    )
    before = collect(
        [desired.nodes[node] for node in asked.nodes],
        with_refreshes(questions, patched, desired, held, world.clock()),
        world.connect,
        before=held,
        clock=world.clock,
        latecomers=world.latecomers,
    )
    facts = {node: found.facts for node, found in before.items()}
    leading = None if asked.dry_run else world.lead(heard_from(facts, desired))
    if leading is not None:
        announce(facts, desired, leading.epoch, connect=world.connect, stragglers=world.stragglers)
    settled = (
        ()
        if leading is None
        else settle(
            before,
            desired,
            connect=world.connect,
            epoch=leading.epoch,
            outputs=world.outputs,
            clock=world.clock,
            on_unsettled=world.on_unsettled,
            followed=world.followed,
            stragglers=world.stragglers,
        )
    )
    now, planned_at = world.clock(), monotonic()
    keys = {node: found.host_key for node, found in before.items()}
    history = believe(base, history, facts, now, new_history=asked.new_history)
    behind = _behind(desired, history, facts)
    # What is not taken into the books may not be forgotten on the node either.
    settled = tuple(each for each in settled if each.node not in behind or not _is_for_the_books(each))
    pauses = world.pauses()
    basis = Basis(
        forced=asked.apply,
        allow_shrink=asked.allow_shrink,
        new_history=asked.new_history,
        # A command's run is in nobody's history: its record is a file of its own.
        settled=tuple(
            record for record in settled if command_of(record.association) is None and record.node not in behind
        ),
        host_keys=keys,
        skews=_skews(before),
        epoch=None if leading is None else leading.epoch,
        pauses=pauses,
    )
    decided = decide(base, facts, history, now, basis, books, world.patches, world.facts_digest)
    history, patches, findings, plan = decided.history, decided.patches, decided.findings, decided.plan
    if leading is None:
        return Pass(
            plan=plan,
            outcomes=(),
            settled=(),
            findings=findings,
            before=before,
            collected=before,
            history=history,
            basis=basis,
            patches=patches,
        )
    outcomes = roll_out(
        plan,
        desired=desired,
        definitions=base.definitions,
        connect=world.connect,
        epoch=leading.epoch,
        not_after=lambda: leading.until,
        clock=world.clock,
        patience=world.patience - timedelta(seconds=monotonic() - planned_at),
        stop=world.stop,
        recheck=lambda session, item: recheck(
            session,
            desired.associations[item.association],
            base.definitions[item.association],
            item,
            desired.nodes[item.node],
        ),
        rests_on_holds=lambda item: item.forced or desired.associations[item.association].expect is None,
        confirm=_second_look(base, history, before, world),
        going=[record for record in settled if not record.status.ended],
        target_counts={name: len(members) for name, members in base.targets.members.items()},
        outputs=world.outputs,
        pauses=world.pauses,
        read=world.read_content,
    )
    now = world.clock()
    history = with_installed(with_outcomes(history, outcomes, now), _brought(plan, outcomes), now)
    touched = sorted({outcome.node for outcome in outcomes if outcome.disposition is not Disposition.HELD_BACK})
    if world.latecomers is not None:
        world.latecomers.touched(touched)
    again = collect(
        [desired.nodes[node] for node in touched],
        questions,
        world.connect,
        before=before,
        afresh=True,
        clock=world.clock,
        latecomers=world.latecomers,
    )
    collected = {**before, **again}
    if not again:
        left = findings
    else:
        after = {node: found.facts for node, found in again.items()}
        then = replace(books, ledger=patches.ledger, reported={**books.reported, **facts})
        looked = _look_at_patches(base, again, history, then, world.clock(), world)
        history = with_patches(history, looked)
        again_found = findings_of(base, after, history, world.clock(), None, keys, world.pauses(), looked)
        patches = patches.with_later(looked)
        left = tuple(finding for finding in findings if finding.node not in after) + again_found
        left = tuple(sorted(left, key=lambda finding: (finding.node, finding.association)))
    history = with_findings(
        history,
        left,
        world.clock(),
        desired=desired,
        targets=base.targets,
        refused=frozenset(refused(desired, base.targets, history, asked.allow_shrink)),
    )
    return Pass(
        plan=plan,
        outcomes=outcomes,
        settled=settled,
        findings=left,
        before=before,
        collected=collected,
        history=history,
        basis=basis,
        patches=patches,
    )


def _behind(desired: DesiredState, history: History, facts: Mapping[NodeId, Facts]) -> frozenset[NodeId]:
    """Give the nodes that remember more than is reported of them: their reports stay as they are until a person speaks."""
    fleet = desired.fleet.id
    return frozenset(
        name
        for name, found in facts.items()
        if outgrown(history_of(history, node := desired.nodes[name]), found, fleet, {name, *node.former_ids})
        is not None
    )


def _is_for_the_books(record: RunRecord) -> bool:
    return record.status.ended and command_of(record.association) is None


def _asked_of(base: Ground) -> Mapping[NodeId, tuple[PatchRequest | None, ...]]:
    return {node: tuple(asked.values()) for node, asked in base.patched.items()}


def _skews(collected: Mapping[NodeId, Collected]) -> tuple[float, ...]:
    return tuple(found.skew_seconds for found in collected.values() if found.skew_seconds is not None)


def _brought(plan: Plan, outcomes: tuple[Outcome, ...]) -> Iterator[tuple[NodeId, PatchOrder, datetime]]:
    """Give what installs that began were to bring, and when they began."""
    orders = {(item.node, item.association): item.patches for item in plan.items if item.patches is not None}
    for outcome in outcomes:
        order, record = orders.get((outcome.node, outcome.association)), outcome.record
        if order is not None and record is not None and record.started is not None:
            yield outcome.node, order, record.started


def _look_at_patches(
    base: Ground,
    collected: Mapping[NodeId, Collected],
    history: History,
    books: PatchBooks,
    now: datetime,
    world: World,
) -> PatchSurvey:
    """Take what nodes show into the ledger, and judge by it what they have."""
    if not base.patched:
        return PatchSurvey(ledger=books.ledger)
    facts = {node: found.facts for node, found in collected.items()}
    return world.patches.survey(base.desired, base.patched, facts, history, books, now, node_skews=_skews(collected))


def _second_look(
    base: Ground, history: History, before: Mapping[NodeId, Collected], world: World
) -> Callable[[PlanItem, Outcome], SecondLook]:
    """Make the look that a never-applied document must pass on its first node before it goes to the others."""

    def look(item: PlanItem, outcome: Outcome) -> SecondLook:
        if outcome.record is None or outcome.record.status is not RunStatus.SUCCESS:
            return SecondLook(confirmed=False, reason=outcome.reason)
        if base.desired.associations[item.association].expect is None:
            return SecondLook(confirmed=True, reason="it ended well, and nothing more is expected of it")
        now = world.clock()
        node = base.desired.nodes[item.node]
        found = collect([node], base.questions, world.connect, before=before, clock=world.clock)
        seen = find_drift(
            base.desired,
            base.targets.only({item.node}),
            {item.node: found[item.node].facts},
            with_outcomes(history, (outcome,), now),
            now,
            definitions=base.definitions,
        )
        finding = next(finding for finding in seen if finding.association == item.association)
        return SecondLook(confirmed=finding.cause is Cause.IN_SYNC, reason=finding.reason)

    return look
