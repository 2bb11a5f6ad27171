"""What the reports' branch and the refs beside it hold: anybody who can push there can write anything."""

from datetime import UTC, datetime, timedelta

import orjson

from reconciler.commit.heartbeat import heartbeat_json, heartbeat_of, staleness
from reconciler.commit.json_blob import understood
from reconciler.commit.lease import lease_of
from reconciler.commit.message import trailer
from reconciler.compliance.judge import judge, summarise
from reconciler.compliance.page import page
from reconciler.compliance.read import read_branch_files
from reconciler.compliance.report import NodeReport, ReportedFinding
from reconciler.compliance.write import report_files
from reconciler.drift.finding import Difference, State
from reconciler.errors import CommitError, SourceError
from reconciler.ids import AssociationName, CommitId, FleetId
from reconciler.model.association import Severity
from reconciler.model.history import NodeHistory
from reconciler.model.known import Known
from tests.compliance.builders import NOON, a_finding, an_execution, facts_of
from tests.fuzz.target import Target, bound, outcome, unbound

COMMIT = CommitId("c" * 40)


def _reports() -> list[bytes]:
    finding = a_finding(
        state=State.DRIFTED,
        severity=Severity.HIGH,
        differences=(Difference(subject="/etc/motd", expected="a", observed="b"),),
        until=NOON,
    )
    report = NodeReport(
        node=finding.node,
        findings=(ReportedFinding(finding=finding, since=NOON),),
        history=NodeHistory(
            node=finding.node,
            machine_id="m",
            host_key="ssh-ed25519 AAAA",
            acknowledged=2,
            applied={AssociationName("motd"): an_execution(repairs=(NOON,), drift_seen=NOON, detail="x", failures=1)},
        ),
        facts=facts_of(),
        notes=("held by hand",),
    )
    reports = {report.node: report}
    summary = summarise(
        reports, fleet=FleetId("example"), state_commit=COMMIT, target_counts={AssociationName("motd"): 1}
    )
    files = {
        path: content for path, content in report_files(reports, summary, before={}).items() if content is not None
    }
    return [bound(files), bound({"compliance.json": files["compliance.json"]})]


def reports(data: bytes) -> str:
    """Read a branch, take every report of it, and write the page and the files of the next commit from them."""
    try:
        branch = read_branch_files(unbound(data).items(), COMMIT)
    except SourceError as error:
        assert "compliance branch" in str(error), error
        return outcome("refused", str(error).partition("not a report")[2])
    known = dict(branch.reports)
    for facts in branch.facts.values():
        for section in facts.sections.values():
            if isinstance(section, Known):
                dict(section.value.items())
    found = [reported.finding for report in known.values() for reported in report.findings]
    again = judge(found, dict(branch.facts), branch.history, known, NOON)
    summary = summarise(
        again, fleet=FleetId("example"), state_commit=COMMIT, target_counts=branch.history.target_counts
    )
    page(summary, again).encode()
    report_files(again, summary, before=known)
    return f"read {len(known)} {len(found)}"


def _blobs() -> list[bytes]:
    beat = b"""{"epoch":3,"holder":"host:/var/lib/reconciler-daemon","interval":600.0,"last_pass":"2026-09-01T12:00:00+00:00",
"nodes":{"web-01":{"clock_skew":0.5,"last_contact":"2026-09-01T12:00:00+00:00","uptime":12.5},"b":{"trouble":"refused"}},
"report":"%s","state_commit":null}""" % (b"a" * 40)
    lease = b'{"epoch":3,"expires":"2026-09-01T12:10:00+00:00","holder":"host:/var/lib/reconciler-daemon"}'
    return [beat, lease, b"[]", b"{}", b"Report\n\nbody\n\nState-Commit: a\nPlan: b\n"]


def blobs(data: bytes) -> str:
    """Read a heartbeat, a lease and a commit message; what is taken must bear the arithmetic that is done with it."""
    held = understood("f" * 40, data, "refs/reconciler/lease of origin")
    words = [outcome("json", held.trouble.partition(":")[0])]
    beat = heartbeat_of(held)
    now = datetime(2026, 9, 1, 12, tzinfo=UTC)
    if beat is not None:
        staleness(beat, now)
        assert heartbeat_of(understood("f" * 40, orjson.dumps(heartbeat_json(beat)), "x")) is not None
        for node in beat.nodes.values():
            assert node.last_contact is None or abs(now - node.last_contact) > timedelta(-1)
        words.append(f"beat {len(beat.nodes) > 0}")
    try:
        lease = lease_of(held)
    except CommitError as error:
        words.append(outcome("lease", str(error).partition("(")[2]))
    else:
        if lease is not None:
            lease.is_free_for("us", now)
            lease.expires.astimezone(UTC)
            words.append("lease")
    text = data.decode("utf-8", "surrogateescape")
    for key in ("State-Commit", "Plan", "Epoch"):
        trailer(text, key)
    return " ".join(words)


BRANCH_TARGETS = {
    "reports": Target(
        seeds=_reports,
        probe=reports,
        words=(
            b"#### nodes/ab/",
            b"#### inventory/ab/",
            b'"version": 1',
            b'"state": "',
            b'"applied": {',
            b"\n}",
            b",\n",
            b'"targets": ',
            b"[]",
            b"1e400",
        ),
    ),
    "blobs": Target(
        seeds=_blobs,
        probe=blobs,
        words=(b'"epoch":', b'"interval":', b'"last_pass":', b"+00:00", b"Z", b"1e300", b'"nodes":'),
    ),
}
