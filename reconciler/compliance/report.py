"""What is reported about a node and about the fleet."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from reconciler.compliance.patches import PatchReport, PatchSummary
from reconciler.drift.finding import Finding
from reconciler.ids import AssociationName, CommitId, FleetId, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.association import Severity
from reconciler.model.history import NodeHistory
from reconciler.patching.node_compliance import ComplianceStatus

_NAMED = 5
"""Rows of patches that a sentence names."""


class Status(Enum):
    """SSM: the status of an item or a resource; UNKNOWN is ours (SSM leaves such nodes out of every count)."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedFinding:
    """A finding, and since when it stands so."""

    finding: Finding
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """Everything that is committed about one node."""

    node: NodeId
    findings: tuple[ReportedFinding, ...] = ()
    history: NodeHistory
    facts: Facts
    notes: tuple[str, ...] = ()
    """Holds and the like: shown with the node, whatever its findings."""
    patches: PatchReport | None = None
    """How its patches stand; None: they are no baseline's business."""
    overrides: tuple[PatchReport, ...] = ()
    """How they stand under the baselines that associations bring, by name."""

    @property
    def every_patches(self) -> tuple[PatchReport, ...]:
        """Give how its patches stand, baseline by baseline, its own first."""
        return self.overrides if self.patches is None else (self.patches, *self.overrides)

    @property
    def status(self) -> Status:
        """The worst over its findings: NON_COMPLIANT is worse than UNKNOWN, UNKNOWN than COMPLIANT (SSM: 5.2, ours)."""
        statuses = {item_status(reported.finding) for reported in self.findings}
        statuses |= {Status(patches.status.value) for patches in self.every_patches}
        if Status.NON_COMPLIANT in statuses:
            return Status.NON_COMPLIANT
        if Status.UNKNOWN in statuses or self.facts.unreachable is not None:
            return Status.UNKNOWN
        return Status.COMPLIANT

    @property
    def patch_words(self) -> str:
        """Say what is wrong with its patches; empty: nothing, or they are no baseline's business."""
        return "; ".join(filter(None, map(words_of, self.every_patches)))

    @property
    def severity(self) -> Severity:
        """The highest severity among the findings that are not compliant (SSM: OverallSeverity)."""
        wrong = [r.finding.severity for r in self.findings if item_status(r.finding) is Status.NON_COMPLIANT]
        wrong += [
            _SEVERITIES.get(patches.level.value, Severity.UNSPECIFIED)
            for patches in self.every_patches
            if patches.status is ComplianceStatus.NON_COMPLIANT
        ]
        return min(wrong, key=list(Severity).index, default=Severity.UNSPECIFIED)


def words_of(patches: PatchReport) -> str:
    """Say what is wrong with a node's patches by one baseline; empty: nothing."""
    if patches.status is ComplianceStatus.COMPLIANT:
        return ""
    if patches.status is ComplianceStatus.UNKNOWN:
        return f"patches: {patches.reason}"
    named = ", ".join(f"{row.title} {row.state.value}" for row in patches.rows[:_NAMED])
    more = f" and {len(patches.rows) - _NAMED} more" if len(patches.rows) > _NAMED else ""
    return f"patches by {patches.baseline}: {named}{more}"


_SEVERITIES = {severity.value: severity for severity in Severity}
"""Of associations: they have no INFORMATIONAL, which is the next to nothing."""


def item_status(finding: Finding) -> Status:
    """SSM's word for a finding: InSync is COMPLIANT, Unknown (or Waiting on an Unknown) is UNKNOWN, all else NON_COMPLIANT."""
    match finding.state.value, finding.cause.value:
        case "InSync", _:
            return Status.COMPLIANT
        case ("Unknown", _) | ("Waiting", "Unknown"):
            return Status.UNKNOWN
        case _:
            return Status.NON_COMPLIANT


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSummary:
    """The report in numbers, for programs and for the top of the page."""

    fleet: FleetId
    state_commit: CommitId | None
    nodes: Mapping[Status, int]
    states: Mapping[str, int]
    """State name -> number of findings."""
    severities: Mapping[Severity, int]
    """Of the nodes that are not compliant, by their severity."""
    associations: Mapping[AssociationName, Mapping[str, int]]
    target_counts: Mapping[AssociationName, int]
    problems: tuple[str, ...] = field(default=())
    """What keeps the newest commit from being in force, a rewound branch: shown first."""
    patches: Mapping[str, PatchSummary] = field(default_factory=dict)
    """By patch group; `*`: all nodes whose patches are looked at."""
    pauses: tuple[str, ...] = field(default=())
    """What people paused on the management host, a line each: shown whatever stands beside it."""


class ReportedFacts(Mapping[NodeId, Facts]):
    """The facts of reports, which are made where one is asked for."""

    def __init__(self, reports: Mapping[NodeId, NodeReport]) -> None:
        self._reports = reports

    def __getitem__(self, node: NodeId) -> Facts:
        return self._reports[node].facts

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._reports)

    def __len__(self) -> int:
        return len(self._reports)
