"""The patches of a node as they are reported: how a look at them becomes rows of the branch, and those records again; pure.

Keyed by node and baseline. Rows that are compliant are counted and not written: a healthy node has hundreds. What could not be
read is UNKNOWN and keeps what was known last.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.drift.patched import Overridden, Patched
from reconciler.ids import BaselineName, PatchId
from reconciler.model.baseline import ComplianceLevel
from reconciler.model.known import Known, Observed
from reconciler.patching.node_compliance import ComplianceStatus
from reconciler.patching.states import PatchRow, PatchState


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPatch:
    """One row that is not compliant (SSM: a compliance item of type Patch). Texts are empty where nothing is to be said."""

    id: PatchId
    title: str
    state: PatchState
    since: datetime
    """When the row was first found in that state."""
    level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    """SSM: Severity of the item, that of the rule."""
    classification: str = ""
    severity: str = ""
    """SSM: PatchSeverity, the vendor's."""
    installed: str = ""
    """The version that is installed."""
    installed_at: datetime | None = None
    approved: str = ""
    """The approved version that is missing."""
    target: str = ""
    """What an install would bring."""
    approval: str = ""
    """SSM: the status of the approval."""
    approval_date: datetime | None = None
    release: datetime | None = None
    """What the approval went by."""
    date_source: str = ""
    rule: int | None = None
    cves: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchReport:
    """One node under one baseline (SSM: InstancePatchState)."""

    baseline: BaselineName
    group: str = ""
    why: str = ""
    """Why that baseline."""
    status: ComplianceStatus
    since: datetime
    """When the status was first found."""
    reason: str = ""
    level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    """The highest over the rows that are not compliant."""
    counts: Mapping[PatchState, int] = field(default_factory=dict)
    """Rows by state; states without rows are left out."""
    levels: Mapping[ComplianceLevel, int] = field(default_factory=dict)
    """Rows that are not compliant, by level."""
    critical: int = 0
    security: int = 0
    other: int = 0
    upcoming: Mapping[str, datetime] = field(default_factory=dict)
    """Title of a newer version of something installed -> when a rule approves it."""
    rows: tuple[ReportedPatch, ...] = ()
    overriding: bool = False
    """Whether an association brought the baseline, by BaselineOverride; else it is the node's own."""


def report_overrides(found: Overridden, before: tuple[PatchReport, ...], now: datetime) -> tuple[PatchReport, ...]:
    """Report the looks by the BaselineOverride of associations, one for each baseline; what nobody asks for any more is left out."""
    known = {one.baseline: one for one in before}
    reports: dict[BaselineName, PatchReport] = {}
    for one in found.values():
        if isinstance(one, Known):
            name = one.value.baseline
            report = report_patches(one, known.get(name), now)
            if report is not None:
                reports[name] = report if report.overriding else replace(report, overriding=True)
    unknown = next((one.why for one in found.values() if not isinstance(one, Known)), None)
    if unknown is not None:  # nobody can tell which of them it was: the finding of its association says so
        reports |= {name: _unknown(unknown, one, now) for name, one in known.items() if name not in reports}
    return tuple(reports[name] for name in sorted(reports))


def report_patches(found: Observed[Patched] | None, before: PatchReport | None, now: datetime) -> PatchReport | None:
    """Report one look; None: no baseline is the node's business."""
    if found is None:
        return None
    if not isinstance(found, Known):
        return _unknown(found.why, before, now)
    patched = found.value
    summary = patched.compliance
    mine = before if before is not None and before.baseline == patched.baseline else None
    known = {} if mine is None else {(row.title, row.state): row.since for row in mine.rows}
    rows = tuple(_row(row, known.get((row.title, row.state)), now) for row in patched.rows)
    report = PatchReport(
        baseline=patched.baseline,
        group=patched.group,
        why=patched.why,
        status=summary.status,
        since=mine.since if mine is not None and mine.status is summary.status else _whole(now),
        reason=summary.reason,
        level=summary.level,
        counts={state: count for state, count in summary.counts.items() if count},
        levels=_levels(rows),
        critical=summary.critical,
        security=summary.security,
        other=summary.other,
        upcoming=dict(sorted(patched.upcoming.items())),
        rows=rows,
    )
    return before if before is not None and replace(before, overriding=False) == report else report


def _unknown(why: str, before: PatchReport | None, now: datetime) -> PatchReport:
    """Keep what was known last; it counts for nothing."""
    if before is None:
        return PatchReport(baseline=BaselineName(""), status=ComplianceStatus.UNKNOWN, since=_whole(now), reason=why)
    since = before.since if before.status is ComplianceStatus.UNKNOWN else _whole(now)
    return replace(before, status=ComplianceStatus.UNKNOWN, reason=why, since=since)


def _whole(moment: datetime) -> datetime:
    """Cut fractions of a second: so it is written, and so it is read back."""
    return moment.replace(microsecond=0)


def _levels(rows: Iterable[ReportedPatch]) -> Mapping[ComplianceLevel, int]:
    counted = Counter(row.level for row in rows)
    return {level: counted[level] for level in ComplianceLevel if counted[level]}


def _row(row: PatchRow, since: datetime | None, now: datetime) -> ReportedPatch:
    approval, release = row.approval, None if row.approval is None else row.approval.release
    missing = row.state in {PatchState.MISSING, PatchState.FAILED}
    return ReportedPatch(
        id=row.id,
        title=row.title,
        state=row.state,
        since=since or _whole(now),
        level=row.level,
        classification=row.classification,
        severity=row.severity,
        installed=row.installed.version,
        installed_at=None if row.installed.installed_at is None else _whole(row.installed.installed_at),
        approved=approval.patch.version if missing and approval is not None else "",
        target="" if row.target is None else row.target.version,
        approval="" if approval is None else approval.status.value,
        approval_date=None if approval is None or approval.approval_date is None else _whole(approval.approval_date),
        release=None if release is None or release.at is None else _whole(release.at),
        date_source="" if release is None or release.source is None else release.source.value,
        rule=None if approval is None else approval.rule,
        cves=row.cves,
        reason=row.reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSummary:
    """The patches of some nodes in numbers."""

    nodes: Mapping[ComplianceStatus, int] = field(default_factory=dict)
    levels: Mapping[ComplianceLevel, int] = field(default_factory=dict)
    """Nodes that are not compliant, by their highest level."""
    states: Mapping[PatchState, int] = field(default_factory=dict)
    """Rows by state, of nodes that are known."""
    with_state: Mapping[PatchState, int] = field(default_factory=dict)
    """SSM: DescribePatchGroupState: nodes that have a row of that state."""


def summarise_patches(reports: Iterable[tuple[PatchReport, ...]]) -> Mapping[str, PatchSummary]:
    """Sum up the reports of each node by patch group (empty: the nodes in none), and under `*` everything. Empty where nothing is looked at."""
    groups: dict[str, list[tuple[PatchReport, ...]]] = {}
    for of_node in reports:
        if of_node:
            groups.setdefault(of_node[0].group, []).append(of_node)
            groups.setdefault("*", []).append(of_node)
    return {name: _summary(groups[name]) for name in sorted(groups)}


def _summary(nodes: Iterable[tuple[PatchReport, ...]]) -> PatchSummary:
    """Count each node once, by the worst of its baselines, and the rows of all of them."""
    statuses: Counter[ComplianceStatus] = Counter()
    levels: Counter[ComplianceLevel] = Counter()
    states: Counter[PatchState] = Counter()
    having: Counter[PatchState] = Counter()
    for reports in nodes:
        status = worst_status(reports)
        statuses[status] += 1
        known = [report for report in reports if report.status is not ComplianceStatus.UNKNOWN]
        if status is ComplianceStatus.NON_COMPLIANT:
            wrong = (report.level for report in known if report.status is ComplianceStatus.NON_COMPLIANT)
            levels[max(wrong, key=lambda level: level.rank)] += 1
        for report in known:
            states.update(report.counts)
        having.update({state for report in known for state in report.counts})
    return PatchSummary(
        nodes={status: statuses[status] for status in ComplianceStatus},
        levels={level: levels[level] for level in ComplianceLevel if levels[level]},
        states={state: states[state] for state in PatchState if states[state]},
        with_state={state: having[state] for state in PatchState if having[state]},
    )


_WORST_FIRST = (ComplianceStatus.NON_COMPLIANT, ComplianceStatus.UNKNOWN, ComplianceStatus.COMPLIANT)


def worst_status(reports: Iterable[PatchReport]) -> ComplianceStatus:
    """Give the worst over several baselines of one node: NON_COMPLIANT before UNKNOWN before COMPLIANT."""
    return min((report.status for report in reports), key=_WORST_FIRST.index)
