"""Findings -> an ordered plan: takes what drift wants and the plan's own gates, gives items and what is left out; pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.drift.associations import Survey
from reconciler.drift.definitions import Definition, Unrenderable
from reconciler.drift.finding import Cause, Finding, State
from reconciler.drift.identity import executions_on_node, history_of
from reconciler.ids import AssociationName, Digest, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.model.node import Mode, Node
from reconciler.model.pause import Pauses
from reconciler.plan.breakers import within_breakers
from reconciler.plan.digest import FactsDigest, with_digest
from reconciler.plan.notes import notes, patch_notes
from reconciler.plan.order import places
from reconciler.plan.plan import LeftOut, Plan, PlanItem
from reconciler.plan.removals import removals
from reconciler.plan.run_id import run_id
from reconciler.plan.shrink import refused
from reconciler.targets.resolve import Targets

Limit = Callable[[Node], bool]


def build_plan(  # noqa: PLR0913 - a plan is a function of all of these, and of nothing else
    findings: Iterable[Finding],
    *,
    desired: DesiredState,
    targets: Targets,
    definitions: Mapping[AssociationName, Definition | Unrenderable],
    facts: Mapping[NodeId, Facts] | Callable[[NodeId], Facts | None],
    history: History,
    now: datetime,
    limit: Limit | None = None,
    mode: Mode | None = None,
    allow_shrink: frozenset[AssociationName] = frozenset(),
    facts_digest: FactsDigest | None = None,
    pauses: Pauses | None = None,
) -> Plan:
    """Make items of the wanted findings; everything else that is not in sync is left out, with its reason."""
    facts_of = facts if callable(facts) else facts.get
    shrunk = refused(desired, targets, history, allow_shrink)
    sorting = _Sorting(desired=desired, shrunk=shrunk, limit=limit, mode=mode or Mode.ENFORCE)
    noteworthy = findings.noteworthy if isinstance(findings, Survey) else tuple(findings)
    wanted, left_out = sorting.sort(noteworthy)
    failing = (finding for finding in noteworthy if finding.cause is Cause.FAILED)
    away = (finding for finding in noteworthy if finding.cause is Cause.UNKNOWN)
    within = within_breakers(wanted, failing, desired=desired, targets=targets, history=history, away=away)
    making = _Making(desired=desired, definitions=definitions, facts_of=facts_of, history=history)
    items = making.items(within.wanted)
    plan = Plan(
        digest=Digest(""),
        commit=desired.commit,
        trees=desired.trees,
        history=history.commit,
        facts=(facts_digest or FactsDigest())(targets.nodes, facts_of),
        at=now,
        items=items,
        left_out=tuple(sorted((*left_out, *within.held), key=lambda left: (left.node or "", left.association))),
        removals=removals(desired, targets, history, frozenset(shrunk), limit),
        notes=(
            *notes(desired, targets, items),
            *patch_notes(items, facts_of),
            *(pauses or Pauses()).in_words(now),
        ),
        tallies=within.tallies,
        mode=mode or Mode.ENFORCE,
    )
    return with_digest(plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sorting:
    """Tells what runs from what is left out."""

    desired: DesiredState
    shrunk: Mapping[AssociationName, str]
    limit: Limit | None
    mode: Mode

    def sort(self, findings: Iterable[Finding]) -> tuple[list[Finding], list[LeftOut]]:
        place = places(self.desired.associations)
        wanted: list[Finding] = []
        left_out = [LeftOut(node=None, association=name, reason=why) for name, why in self.shrunk.items()]
        for finding in findings:
            if finding.state is State.IN_SYNC or not self._is_meant(finding):
                continue
            if finding.association in self.shrunk:
                continue
            if finding.wanted and self.mode is Mode.ENFORCE:
                wanted.append(finding)
            else:
                left_out.append(self._left_out(finding))
        wanted.sort(key=lambda finding: (place[finding.association], finding.node))
        return wanted, left_out

    def _is_meant(self, finding: Finding) -> bool:
        return self.limit is None or self.limit(self.desired.nodes[finding.node])

    def _left_out(self, finding: Finding) -> LeftOut:
        why = f" (this plan only {'reports' if self.mode is Mode.WARN else 'observes'})" if finding.wanted else ""
        return LeftOut(
            node=finding.node, association=finding.association, reason=f"{finding.reason}{why}", until=finding.until
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Making:
    """Turns findings into items."""

    desired: DesiredState
    definitions: Mapping[AssociationName, Definition | Unrenderable]
    facts_of: Callable[[NodeId], Facts | None]
    history: History

    def items(self, wanted: list[Finding]) -> tuple[PlanItem, ...]:
        """Give the items in order; the first of a document that was never applied goes alone."""
        nodes: dict[AssociationName, int] = defaultdict(int)
        for finding in wanted:
            nodes[finding.association] += 1
        made: list[PlanItem] = []
        sent: set[AssociationName] = set()
        for finding in wanted:
            item = self._item(finding, len(made))
            name = finding.association
            if finding.first_time and nodes[name] > 1 and name not in sent:
                item = replace(item, canary=True)
            sent.add(name)
            made.append(item)
        return tuple(made)

    def _item(self, finding: Finding, order: int) -> PlanItem:
        definition = self.definitions[finding.association]
        if isinstance(definition, Unrenderable):
            raise TypeError(f"{finding.association} cannot be rendered, and a finding wants it to run")
        rendered = definition.rendered
        executions = self._executions(finding) + 1
        return PlanItem(
            node=finding.node,
            association=finding.association,
            document=f"{rendered.document}:{rendered.version}",
            definition=definition.digest,
            rendered=rendered.digest,
            run=run_id(self.desired.fleet.id, finding.node, finding.association, executions),
            executions=executions,
            cause=finding.cause,
            reason=finding.reason,
            expected_change=finding.differences,
            opaque=not finding.differences,
            fetches=rendered.fetched,
            order=order,
            forced=finding.forced,
            patches=finding.patches,
        )

    def _executions(self, finding: Finding) -> int:
        """Count executions so far: on the branch, and in the node's own markers and folders."""
        known = history_of(self.history, self.desired.nodes[finding.node])
        row = None if known is None else known.applied.get(finding.association)
        facts = self.facts_of(finding.node)
        on_node = 0 if facts is None else executions_on_node(facts).get(finding.association, 0)
        return max(0 if row is None else row.executions, on_node)
