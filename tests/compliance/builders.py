"""Reports with defaults, for tests of the compliance branch."""

from datetime import UTC, datetime

from reconciler.compliance.report import NodeReport, ReportedFinding
from reconciler.drift.finding import Cause, Difference, Finding, State
from reconciler.ids import AssociationName, Digest, NodeId, RunId
from reconciler.inventory.observed import Facts
from reconciler.model.association import Severity
from reconciler.model.history import Applied, NodeHistory, RunStatus
from reconciler.model.known import Known

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


def a_finding(
    node: str = "web-01",
    association: str = "motd",
    state: State = State.IN_SYNC,
    cause: Cause | None = None,
    reason: str = "every expectation holds",
    severity: Severity = Severity.UNSPECIFIED,
    differences: tuple[Difference, ...] = (),
    until: datetime | None = None,
) -> Finding:
    return Finding(
        node=NodeId(node),
        association=AssociationName(association),
        state=state,
        cause=cause or Cause(state.value),
        reason=reason,
        severity=severity,
        differences=differences,
        until=until,
    )


def an_execution(**changes: object) -> Applied:
    values: dict[str, object] = {
        "definition": Digest("d" * 64),
        "definition_since": NOON,
        "first_matched": NOON,
        "run": RunId("a" * 64),
        "executions": 2,
        "status": RunStatus.SUCCESS,
        "started": NOON,
        "ended": NOON,
        "exit_code": 0,
        "in_sync": True,
    }
    return Applied(**(values | changes))  # type: ignore[arg-type]  # a test names the fields it is about


def facts_of(node: str = "web-01", **packages: str) -> Facts:
    return Facts(
        node=NodeId(node),
        sections={
            "os": Known({"id": "debian", "name": "Debian GNU/Linux 12 (bookworm)", "family": "debian"}),
            "kernel": Known({"release": "6.1.0-30-amd64", "newest": None}),
            "packages": Known(packages or {"bash": "5.2.15-2 amd64"}),
        },
    )


def a_report(node: str = "web-01", *findings: Finding, facts: Facts | None = None) -> NodeReport:
    return NodeReport(
        node=NodeId(node),
        findings=tuple(ReportedFinding(finding=finding, since=NOON) for finding in findings or (a_finding(node),)),
        history=NodeHistory(
            node=NodeId(node),
            machine_id="0" * 32,
            host_key="ssh-ed25519 AAAA",
            acknowledged=2,
            applied={AssociationName("motd"): an_execution()},
        ),
        facts=facts or facts_of(node),
    )
