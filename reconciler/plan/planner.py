"""Judges and plans: takes what a commit means, facts, a history and an instant; gives findings and the plan made of them; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from reconciler.collector import paused_collector
from reconciler.drift.associations import Survey, Surveyor, find_drift
from reconciler.drift.epochs import without_refusing
from reconciler.drift.finding import Finding
from reconciler.drift.memory import with_seen
from reconciler.drift.patched import PatchBooks, PatchSurvey
from reconciler.drift.patches import PatchSurveyor, with_patches
from reconciler.drift.recollection import Basis, believed, recollected
from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.history import History
from reconciler.model.pause import Pauses
from reconciler.plan.build import build_plan
from reconciler.plan.digest import FactsDigest
from reconciler.plan.ground import Ground
from reconciler.plan.plan import Plan
from reconciler.plan.run_id import run_id
from reconciler.targets.resolve import Targets


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
    findings = findings_of(base, judged, known, now, basis.forced, basis.host_keys, basis.pauses, patches)
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


def believe(
    base: Ground, history: History, facts: Mapping[NodeId, Facts], at: datetime, *, new_history: bool = False
) -> History:
    """Give what is believed of the history on the branch, beside what nodes tell."""
    run_of = partial(run_id, base.desired.fleet.id)
    return believed(history, facts, at, base.desired, new_history=new_history, run_of=run_of)


def findings_of(
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


def _targets_of(base: Ground, facts: Mapping[NodeId, Facts]) -> Targets:
    """Give the targets as far as their nodes were asked."""
    return base.targets if len(facts) == len(base.targets.nodes) else base.targets.only(frozenset(facts))


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
