"""One pass: the stages in order. Takes what git says, what is remembered and a way to reach nodes; gives what came of it.

It reads no git and writes none; what it does to nodes, `collect`, `settle` and `roll_out` do.
"""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic

from reconciler.collector import paused_collector
from reconciler.documents.content import Contents, Source
from reconciler.drift.associations import Survey, Surveyor, find_drift
from reconciler.drift.definitions import (
    Definition,
    Unrenderable,
    asked_of_patches,
    define,
    definitions,
    is_about_patches,
)
from reconciler.drift.finding import Cause, Finding
from reconciler.drift.identity import history_of
from reconciler.drift.lost_history import OfThisFleet, outgrown
from reconciler.drift.memory import with_findings, with_outcomes, with_seen
from reconciler.drift.patched import PatchBooks, PatchSurvey
from reconciler.drift.patches import PatchSurveyor, with_installed, with_patches
from reconciler.drift.questions import questions
from reconciler.drift.recheck import recheck
from reconciler.drift.recollection import Basis, believed, recollected
from reconciler.drift.refreshes import with_refreshes
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
from reconciler.model.questions import Questions
from reconciler.plan.build import build_plan
from reconciler.plan.digest import FactsDigest
from reconciler.plan.plan import Plan, PlanItem
from reconciler.plan.run_id import command_of, run_id
from reconciler.plan.shrink import refused
from reconciler.rollout.events import SecondLook
from reconciler.rollout.fencing import Heard, announce, heard_from, without_refusing
from reconciler.rollout.run import roll_out
from reconciler.rollout.settle import Unsettled, settle
from reconciler.rollout.staging import Read, no_store
from reconciler.rollout.stragglers import Stragglers
from reconciler.targets.resolve import Targets, means_the_same, resolve_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What one commit means, worked out once and kept until the commit changes."""

    desired: DesiredState
    targets: Targets
    definitions: Mapping[AssociationName, Definition | Unrenderable]
    questions: Mapping[NodeId, Questions]
    patched: Mapping[NodeId, Mapping[AssociationName, PatchRequest | None]] = field(default_factory=dict)
    """The nodes whose patches may be a baseline's business, each with what patch associations ask of it (None: not known yet)."""
    downloads: bytes | None = None
    """What the documents download came to, for the report; None: they download nothing."""


@paused_collector()
def ground(desired: DesiredState, before: Ground | None = None) -> Ground:
    """Resolve targets, render documents, and gather what must be asked; `before` is what an earlier commit meant."""
    if before is not None and means_the_same(before.desired, desired):
        targets = before.targets
    else:
        targets = resolve_targets(desired)
    rendered = definitions(desired)
    about = {name for name, found in rendered.items() if is_about_patches(desired.associations[name], found)}
    asked = questions(desired, targets, about)
    return Ground(
        desired=desired,
        targets=targets,
        definitions=rendered,
        questions=asked,
        patched=_patched(asked, targets, rendered, about),
    )


def _patched(
    asked: Mapping[NodeId, Questions],
    targets: Targets,
    rendered: Mapping[AssociationName, Definition | Unrenderable],
    about: AbstractSet[AssociationName],
) -> Mapping[NodeId, Mapping[AssociationName, PatchRequest | None]]:
    return {
        node: {name: asked_of_patches(rendered[name]) for name in targets.associations_of(node) if name in about}
        for node, each in asked.items()
        if each.patches
    }


def _asked_of(base: Ground) -> Mapping[NodeId, tuple[PatchRequest | None, ...]]:
    return {node: tuple(asked.values()) for node, asked in base.patched.items()}


def sources_of(base: Ground) -> tuple[Source, ...]:
    """Give what must be looked at before every document of `base` can be rendered."""
    waiting = (each for each in base.definitions.values() if isinstance(each, Unrenderable))
    return tuple(dict.fromkeys(source for each in waiting for source in each.sources))


def with_contents(base: Ground, contents: Contents) -> Ground:
    """Render again what only waited for contents, with those that are known now."""
    again = {
        name: define(base.desired, base.desired.associations[name], contents)
        for name, found in base.definitions.items()
        if isinstance(found, Unrenderable) and found.sources
    }
    if not again:
        return base
    rendered = {**base.definitions, **again}
    about = {name for asked in base.patched.values() for name in asked}
    if about.isdisjoint(again):
        return replace(base, definitions=rendered)
    return replace(base, definitions=rendered, patched=_patched(base.questions, base.targets, rendered, about))


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
    before = collect(
        [desired.nodes[node] for node in asked.nodes],
        with_refreshes(base.questions, _asked_of(base), desired, held, world.clock()),
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
    history = believed(history, facts, now, desired, new_history=asked.new_history, run_of=_run_of(desired))
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
        base.questions,
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
        again_found = _find(base, after, history, world.clock(), None, keys, world.pauses(), looked)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A plan, with what it came from."""

    history: History
    patches: PatchSurvey
    findings: tuple[Finding, ...]
    plan: Plan


def decide(
    base: Ground,
    facts: Mapping[NodeId, Facts],
    history: History,
    now: datetime,
    basis: Basis,
    books: PatchBooks,
    surveyor: PatchSurveyor,
    facts_digest: FactsDigest,
) -> Decided:
    """Find drift and plan from a history that is believed, in a pass or later from what it kept: pure, always the same bytes."""
    known = recollected(history, facts, now, basis, patched=base.patched)
    patches = PatchSurvey(ledger=books.ledger)
    if base.patched:
        patches = surveyor.survey(base.desired, base.patched, facts, known, books, now, node_skews=basis.skews)
    known = with_patches(known, patches)
    # What they tell of themselves counts in the books; nothing is begun on a node that takes nothing from us.
    judged = facts if basis.epoch is None else without_refusing(facts, base.desired.fleet.id, basis.epoch)
    findings = _find(base, judged, known, now, basis.forced, basis.host_keys, basis.pauses, patches)
    plan = build_plan(
        findings,
        desired=base.desired,
        targets=base.targets,
        definitions=base.definitions,
        facts=judged,
        history=known,
        now=now,
        allow_shrink=basis.allow_shrink,
        facts_digest=facts_digest,
        pauses=basis.pauses,
    )
    return Decided(history=known, patches=patches, findings=findings, plan=plan)


def believed_again(
    base: Ground, history: History, facts: Mapping[NodeId, Facts], at: datetime, basis: Basis
) -> History:
    """Give what a pass believed of the history on the branch, from what it kept."""
    return believed(history, facts, at, base.desired, new_history=basis.new_history, run_of=_run_of(base.desired))


def _run_of(desired: DesiredState) -> OfThisFleet:
    return partial(run_id, desired.fleet.id)


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


class Planner:
    """Judges and plans from given facts: pure, the same bytes everywhere. Remembers only what saves work the next time."""

    def __init__(self) -> None:
        self._surveyor = Surveyor()
        self._facts_digest = FactsDigest()
        self._patches = PatchSurveyor()
        self._seen: tuple[History, Mapping[NodeId, Facts], History] | None = None

    @paused_collector()
    def plan(
        self,
        base: Ground,
        facts: Mapping[NodeId, Facts],
        history: History,
        now: datetime,
        *,
        allow_shrink: frozenset[AssociationName] = frozenset(),
        pauses: Pauses | None = None,
        books: PatchBooks | None = None,
    ) -> tuple[Survey, Plan]:
        """Give what was found, and the plan made of it."""
        history = self._with_seen(history, facts, now)
        patches = PatchSurvey()
        if base.patched:
            patches = self._patches.survey(base.desired, base.patched, facts, history, books or PatchBooks(), now)
        findings = self._surveyor.survey(
            base.desired,
            _targets_of(base, facts),
            facts,
            history,
            now,
            definitions=base.definitions,
            pauses=pauses,
            patches=patches,
        )
        plan = build_plan(
            findings,
            desired=base.desired,
            targets=base.targets,
            definitions=base.definitions,
            facts=facts,
            history=history,
            now=now,
            allow_shrink=allow_shrink,
            facts_digest=self._facts_digest,
            pauses=pauses,
        )
        return findings, plan

    def _with_seen(self, history: History, facts: Mapping[NodeId, Facts], now: datetime) -> History:
        """Take in which machines answered: the same records as last time say the same as last time."""
        seen = self._seen
        if seen is None or seen[0] is not history or not _are_the_same(seen[1], facts):
            seen = self._seen = history, dict(facts), with_seen(history, facts, now)
        return seen[2]


def _are_the_same(before: Mapping[NodeId, Facts], now: Mapping[NodeId, Facts]) -> bool:
    return len(before) == len(now) and all(before.get(node) is found for node, found in now.items())


def _targets_of(base: Ground, facts: Mapping[NodeId, Facts]) -> Targets:
    """Give the targets as far as their nodes were asked."""
    return base.targets if len(facts) == len(base.targets.nodes) else base.targets.only(frozenset(facts))


def _find(
    base: Ground,
    facts: Mapping[NodeId, Facts],
    history: History,
    now: datetime,
    apply: AssociationName | None,
    host_keys: Mapping[NodeId, str | None],
    pauses: Pauses,
    patches: PatchSurvey,
) -> tuple[Finding, ...]:
    """Find drift on the nodes that were asked, and on them alone."""
    return find_drift(
        base.desired,
        _targets_of(base, facts),
        facts,
        history,
        now,
        definitions=base.definitions,
        forced=None if apply is None else lambda name, _node: name == apply,
        host_keys=host_keys,
        pauses=pauses,
        patches=patches,
    )


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
