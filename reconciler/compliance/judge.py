"""What a pass found -> what is reported: adds since when each finding stands, and rolls it up; pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from reconciler.compliance.patches import PatchReport, report_overrides, report_patches, summarise_patches
from reconciler.compliance.report import FleetSummary, NodeReport, ReportedFinding, Status
from reconciler.drift.finding import Finding, State
from reconciler.drift.gates import held
from reconciler.drift.patched import PatchSurvey
from reconciler.ids import AssociationName, CommitId, FleetId, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.association import Severity
from reconciler.model.history import History, NodeHistory
from reconciler.model.known import Known, Unknown
from reconciler.model.outcome import Disposition, Outcome
from reconciler.plan.plan import LeftOut


def judge(
    findings: Iterable[Finding],
    facts: Mapping[NodeId, Facts],
    history: History,
    before: Mapping[NodeId, NodeReport],
    now: datetime,
    outcomes: Iterable[Outcome] = (),
    left_out: Iterable[LeftOut] = (),
    patches: PatchSurvey | None = None,
) -> Mapping[NodeId, NodeReport]:
    """Give a report for every node in `facts`; `before` is what the last pass reported, for `since`.

    `findings` are sorted by node. What should have run and did not is Waiting, for the reason its outcome gives.
    """
    kept_from = {(left.node, left.association): left.reason for left in left_out}
    kept_from |= {(o.node, o.association): o.reason for o in outcomes if o.disposition in _NOT_ENDED}
    by_node: dict[NodeId, tuple[Finding, ...]] = {
        node: tuple(_with_outcome(finding, kept_from.get((node, finding.association))) for finding in group)
        for node, group in groupby(findings, key=lambda finding: finding.node)
    }
    looked = patches or PatchSurvey()
    return {
        node: NodeReport(
            node=node,
            findings=_dated(by_node.get(node, ()), before.get(node), now),
            history=history.nodes.get(node, NodeHistory(node=node)),
            facts=_at_rest(facts[node], by_node.get(node, ()), before.get(node)),
            notes=_notes(facts[node], before.get(node), now),
            patches=report_patches(looked.nodes.get(node), _patches_of(before.get(node)), now),
            overrides=report_overrides(looked.overridden.get(node, {}), _overrides_of(before.get(node)), now),
        )
        for node in sorted(facts)
    }


def _patches_of(before: NodeReport | None) -> PatchReport | None:
    return None if before is None else before.patches


def _overrides_of(before: NodeReport | None) -> tuple[PatchReport, ...]:
    return () if before is None else before.overrides


def _notes(facts: Facts, before: NodeReport | None, now: datetime) -> tuple[str, ...]:
    """Give the node's holds in words, as they are known: they are shown even where nothing waits for them."""
    if facts.unreachable is not None:
        return () if before is None else before.notes
    match held(facts, now):
        case Unknown(why=why):
            return (why,) if "holds" in facts.sections else ()
        case Known(value=gate):
            return () if gate is None else (gate.reason,)


HOLDS = "every expectation holds"
_NOT_ENDED = frozenset({Disposition.HELD_BACK, Disposition.RUNNING})


def _with_outcome(finding: Finding, kept: str | None) -> Finding:
    if finding.adopted:
        # What is said of it must be what the next pass says, or that pass would commit again.
        reason = HOLDS if finding.reason.startswith(HOLDS) else finding.reason
        return replace(finding, adopted=False, reason=reason)
    if kept is None or not finding.wanted or finding.state in {State.IN_SYNC, State.WAITING, State.UNKNOWN}:
        return finding
    return replace(finding, state=State.WAITING, reason=f"{kept} ({finding.reason})")


def _at_rest(facts: Facts, findings: tuple[Finding, ...], before: NodeReport | None) -> Facts:
    """Give the facts with the files that flap as last reported: what undoes repairs must not make a commit of each pass."""
    flapping = {subject for finding in findings for subject in finding.unstable}
    paths = {subject.removeprefix("file ") for subject in flapping if subject.startswith("file ")}
    if not paths or before is None:
        return facts
    match facts.section("files"), before.facts.section("files"):
        case Known(rows), Known(reported):
            kept = {path: reported[path] for path in sorted(paths) if path in rows and path in reported}
            return replace(facts, sections={**facts.sections, "files": Known({**rows, **kept})})
    return facts


def _dated(findings: tuple[Finding, ...], before: NodeReport | None, now: datetime) -> tuple[ReportedFinding, ...]:
    known = {} if before is None else {r.finding.association: r for r in before.findings}
    dated: list[ReportedFinding] = []
    for finding in findings:
        old = known.get(finding.association)
        same = old is not None and (old.finding.state, old.finding.cause) == (finding.state, finding.cause)
        if same and old is not None:
            dated.append(old if old.finding == finding else ReportedFinding(finding=finding, since=old.since))
        else:
            dated.append(ReportedFinding(finding=finding, since=now))
    return tuple(dated)


def summarise(
    reports: Mapping[NodeId, NodeReport],
    *,
    fleet: FleetId,
    state_commit: CommitId | None,
    target_counts: Mapping[AssociationName, int],
    problems: tuple[str, ...] = (),
    pauses: tuple[str, ...] = (),
) -> FleetSummary:
    """Count nodes by status, findings by state, and both by association and severity."""
    states: Counter[str] = Counter()
    associations: dict[AssociationName, Counter[str]] = defaultdict(Counter)
    for report in reports.values():
        for reported in report.findings:
            states[reported.finding.state.value] += 1
            associations[reported.finding.association][reported.finding.state.value] += 1
    statuses = Counter(report.status for report in reports.values())
    wrong = Counter(report.severity for report in reports.values() if report.status is Status.NON_COMPLIANT)
    return FleetSummary(
        fleet=fleet,
        state_commit=state_commit,
        nodes={status: statuses.get(status, 0) for status in Status},
        states=dict(sorted(states.items())),
        severities={severity: wrong[severity] for severity in Severity if wrong[severity]},
        associations={name: dict(sorted(associations[name].items())) for name in sorted(associations)},
        target_counts=dict(sorted(target_counts.items())),
        problems=problems,
        patches=summarise_patches(report.every_patches for report in reports.values()),
        pauses=pauses,
    )
