"""Whether a node is compliant, by its rows: takes rows, gives SSM's summary of one node under one baseline. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from reconciler.model.baseline import ComplianceLevel
from reconciler.patching.states import PatchRow, PatchState


class ComplianceStatus(Enum):
    """SSM's two, and UNKNOWN, which never counts as compliant."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCompliance:
    """SSM: the summary of one node under one baseline."""

    status: ComplianceStatus
    level: ComplianceLevel
    """The highest over the rows that are not compliant."""
    counts: Mapping[PatchState, int]
    critical: int
    """Non-compliant rows whose compliance level is CRITICAL."""
    security: int
    """Non-compliant rows whose classification is Security."""
    other: int
    reason: str


def summarize(rows: Sequence[PatchRow], *, doubts: Sequence[str] = (), not_applicable: int = 0) -> NodeCompliance:
    """Judge a node by its rows. `doubts`: why the rows may not be the whole truth; zero missing proves nothing then."""
    wrong = [row for row in rows if not row.is_compliant]
    counts = {state: sum(row.state is state for row in rows) for state in PatchState}
    counts[PatchState.NOT_APPLICABLE] += not_applicable
    critical = [row for row in wrong if row.level is ComplianceLevel.CRITICAL]
    security = [row for row in wrong if row.classification.casefold() == "security"]
    if wrong:
        status = ComplianceStatus.NON_COMPLIANT
        reason = f"{len(wrong)} of {len(rows)} rows are not compliant"
    elif doubts:
        status, reason = ComplianceStatus.UNKNOWN, "; ".join(doubts)
    else:
        status, reason = ComplianceStatus.COMPLIANT, f"all {len(rows)} rows are compliant"
    return NodeCompliance(
        status=status,
        level=max((row.level for row in wrong), key=lambda one: one.rank, default=ComplianceLevel.UNSPECIFIED),
        counts=counts,
        critical=len(critical),
        security=len(security),
        other=sum(row not in critical and row not in security for row in wrong),
        reason=reason,
    )
