"""What is written to the compliance branch is read back the same, and the same facts give the same bytes."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.compliance.judge import judge, summarise
from reconciler.compliance.patches import PatchReport, ReportedPatch
from reconciler.compliance.paths import inventory_path, node_path
from reconciler.compliance.read import read_branch_files
from reconciler.compliance.report import FleetSummary, NodeReport, Status
from reconciler.compliance.write import report_files
from reconciler.drift.finding import Cause, Difference, Finding, State
from reconciler.errors import SourceError
from reconciler.ids import AssociationName, BaselineName, CommitId, Digest, FleetId, NodeId, PatchId, RunId
from reconciler.inventory.observed import Facts
from reconciler.model.association import Severity
from reconciler.model.baseline import ComplianceLevel
from reconciler.model.history import Applied, History, RunStatus
from reconciler.model.known import Known
from reconciler.patching.node_compliance import ComplianceStatus
from reconciler.patching.states import PatchState
from tests.compliance.builders import NOON, a_finding, a_report, an_execution, facts_of

COMMIT = CommitId("c" * 40)


def a_summary(reports: dict[NodeId, NodeReport]) -> FleetSummary:
    return summarise(
        reports, fleet=FleetId("example"), state_commit=COMMIT, target_counts={AssociationName("motd"): len(reports)}
    )


def fleet(*reports: NodeReport) -> dict[NodeId, NodeReport]:
    return {report.node: report for report in reports}


def files_of(reports: dict[NodeId, NodeReport]) -> dict[str, bytes]:
    written = report_files(reports, a_summary(reports), before={})
    return {path: content for path, content in written.items() if content is not None}


DRIFTED = a_finding(
    "web-02",
    state=State.WAITING,
    cause=Cause.DRIFTED,
    reason="file /etc/motd differs",
    severity=Severity.HIGH,
    differences=(Difference(subject="file /etc/motd", expected="sha256 aa", observed="sha256 bb"),),
    until=NOON + timedelta(hours=1),
)


def test_a_report_read_back_is_the_report_that_was_written() -> None:
    reports = fleet(a_report("web-01"), a_report("web-02", DRIFTED))
    branch = read_branch_files(files_of(reports).items(), COMMIT)
    assert branch.reports.keys() == reports.keys()
    for node, report in reports.items():
        read = branch.reports[node]
        assert (read.findings, read.history) == (report.findings, report.history)
        assert read.facts.get("packages", "bash") == report.facts.get("packages", "bash")
    assert branch.history.state_commit == COMMIT
    assert branch.history.target_counts == {"motd": 2}


def test_patches_are_read_back_by_baseline_beside_what_was_applied() -> None:
    """Some nodes have patches and some have none: what stands between two members of a file is another one there."""
    by_own = a_patch_report("Ours", "hello.all:1.1")
    by_another = replace(a_patch_report("Ours@0123456789ab", "hello.all:1.1", "other.all:2"), overriding=True)
    reports = fleet(
        a_report("web-01"),
        replace(a_report("web-02", DRIFTED), patches=by_own, overrides=(by_another,)),
        replace(a_report("web-03"), overrides=(by_another,)),
        a_report("web-04"),
        replace(a_report("web-05"), patches=by_own),
    )
    branch = read_branch_files(files_of(reports).items(), COMMIT)
    for node, report in reports.items():
        read = branch.reports[node]
        assert (read.patches, read.overrides) == (report.patches, report.overrides)
        assert (read.findings, read.history) == (report.findings, report.history)


def test_nodes_are_summed_up_by_patch_group_once_each_by_the_worst_of_their_baselines() -> None:
    """SSM: DescribePatchGroupState counts nodes; rows are counted by node and baseline."""
    wrong = replace(a_patch_report("Ours", "hello.all:1.1"), level=ComplianceLevel.HIGH)
    right = replace(wrong, status=ComplianceStatus.COMPLIANT, level=ComplianceLevel.UNSPECIFIED, counts={}, rows=())
    worse = replace(a_patch_report("Ours@0123456789ab", "a.all:2", "b.all:2"), level=ComplianceLevel.CRITICAL)
    unknown = replace(right, status=ComplianceStatus.UNKNOWN, counts={PatchState.MISSING: 9})
    reports = fleet(
        replace(a_report("web-01"), patches=wrong, overrides=(worse,)),
        replace(a_report("web-02"), patches=right, overrides=(unknown,)),
        replace(a_report("db-01"), patches=replace(right, group="")),
        a_report("db-02"),
    )
    found = a_summary(reports).patches
    assert {name: list(one.nodes.values()) for name, one in found.items()} == {
        "": [1, 0, 0],
        "*": [1, 1, 1],
        "web": [0, 1, 1],
    }
    assert list(found["web"].nodes) == list(ComplianceStatus)
    assert found["*"].levels == {ComplianceLevel.CRITICAL: 1}
    assert (found["*"].states, found["*"].with_state) == ({PatchState.MISSING: 3}, {PatchState.MISSING: 1})
    assert (reports[NodeId("web-01")].status, reports[NodeId("web-01")].severity) == (
        Status.NON_COMPLIANT,
        Severity.CRITICAL,
    )
    assert reports[NodeId("web-02")].status is Status.UNKNOWN


def a_patch_report(baseline: str, *titles: str) -> PatchReport:
    rows = tuple(
        ReportedPatch(id=PatchId(title.partition(":")[0]), title=title, state=PatchState.MISSING, since=NOON, rule=1)
        for title in titles
    )
    return PatchReport(
        baseline=BaselineName(baseline),
        group="web",
        why="it is the default",
        status=ComplianceStatus.NON_COMPLIANT,
        since=NOON,
        counts={PatchState.MISSING: len(rows)},
        levels={ComplianceLevel.UNSPECIFIED: len(rows)},
        upcoming={"hello.all:1.2": NOON + timedelta(days=7)},
        rows=rows,
    )


def test_the_same_facts_give_the_same_bytes() -> None:
    once = files_of(fleet(a_report("web-01"), a_report("web-02", DRIFTED)))
    again = files_of(fleet(a_report("web-02", DRIFTED), a_report("web-01")))
    assert once == again


def test_one_item_stands_on_one_line() -> None:
    report = a_report("web-01", a_finding(association="a"), a_finding(association="b"))
    content = files_of(fleet(report))[node_path(NodeId("web-01"))]
    assert sum(line.startswith(b'  "a": ') for line in content.splitlines()) == 1
    assert sum(line.startswith(b'  "b": ') for line in content.splitlines()) == 1


def test_an_unchanged_node_is_not_written_again() -> None:
    before = fleet(a_report("web-01"), a_report("web-02"))
    after = before | fleet(a_report("web-02", a_finding("web-02", state=State.FAILED, reason="exit 1")))
    written = report_files(after, a_summary(after), before=before)
    assert node_path(NodeId("web-01")) not in written
    assert inventory_path(NodeId("web-01")) not in written
    assert written[node_path(NodeId("web-02"))] is not None


def test_a_node_that_told_nothing_new_is_not_rendered_again() -> None:
    before = fleet(a_report("web-01"))
    old = before[NodeId("web-01")]
    ticked = replace(old.facts, sections={**old.facts.sections, "clock": Known({"epoch": 1, "uptime": 2})})
    after = fleet(replace(old, facts=ticked))
    assert inventory_path(old.node) not in report_files(after, a_summary(after), before=before)
    upgraded = replace(old.facts, sections={**ticked.sections, "packages": Known({"bash": "5.3 amd64"})})
    after = fleet(replace(old, facts=upgraded))
    content = report_files(after, a_summary(after), before=before)[inventory_path(old.node)]
    assert content is not None
    assert b'"packages/bash": "5.3 amd64"' in content


def test_a_node_that_left_the_fleet_leaves_the_branch() -> None:
    before = fleet(a_report("web-01"))
    written = report_files({}, a_summary({}), before=before, gone=[NodeId("web-01")])
    assert written[node_path(NodeId("web-01"))] is None
    assert written[inventory_path(NodeId("web-01"))] is None


@pytest.mark.parametrize(
    ("content", "word"),
    [
        pytest.param(b"{", "web-01.json", id="cut"),
        pytest.param(b"[]", "list", id="not an object"),
        pytest.param(b'{"version": 99}', "99", id="of a later version"),
        pytest.param(b'{"version": 1}', "applied", id="a key is missing"),
    ],
)
def test_a_file_that_does_not_read_is_named_and_nothing_is_guessed(content: bytes, word: str) -> None:
    with pytest.raises(SourceError, match=word) as caught:
        read_branch_files([(node_path(NodeId("web-01")), content)], COMMIT)
    assert "--new-history" in str(caught.value)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param(b'"first_matched":"', b'"first_met":"', id="in what was applied"),
        pytest.param(b'"state":"', b'"stand":"', id="in a finding"),
    ],
)
def test_a_row_that_does_not_read_is_found_at_once(right: bytes, wrong: bytes) -> None:
    """Not only when somebody asks for that node's findings."""
    path = node_path(NodeId("web-02"))
    written = files_of(fleet(a_report("web-01", DRIFTED), a_report("web-02", DRIFTED)))
    assert right in written[path]
    garbled = written[path].replace(right, wrong)
    with pytest.raises(SourceError, match=r"web-02\.json"):
        read_branch_files({**written, path: garbled}.items(), COMMIT)


def test_since_stays_while_the_state_stays() -> None:
    before = fleet(a_report("web-02", DRIFTED))
    later = NOON + timedelta(hours=2)
    moved = a_finding("web-02", state=State.WAITING, cause=Cause.DRIFTED, reason="another reason")
    same = judge([moved], {NodeId("web-02"): facts_of("web-02")}, History(), before, later)
    assert same[NodeId("web-02")].findings[0].since == NOON
    fixed = judge([a_finding("web-02")], {NodeId("web-02"): facts_of("web-02")}, History(), before, later)
    assert fixed[NodeId("web-02")].findings[0].since == later


@pytest.mark.parametrize(
    ("findings", "status", "severity"),
    [
        pytest.param(
            (a_finding(severity=Severity.CRITICAL),), Status.COMPLIANT, Severity.UNSPECIFIED, id="compliant critical"
        ),
        pytest.param(
            (
                a_finding(association="a", severity=Severity.CRITICAL),
                a_finding(association="b", state=State.FAILED, severity=Severity.LOW),
            ),
            Status.NON_COMPLIANT,
            Severity.LOW,
            id="only what is wrong counts for the severity",
        ),
        pytest.param(
            (a_finding(association="a"), a_finding(association="b", state=State.UNKNOWN)),
            Status.UNKNOWN,
            Severity.UNSPECIFIED,
            id="unknown is worse than compliant",
        ),
        pytest.param(
            (a_finding(association="a", state=State.UNKNOWN), a_finding(association="b", state=State.PENDING)),
            Status.NON_COMPLIANT,
            Severity.UNSPECIFIED,
            id="not compliant is worse than unknown",
        ),
        pytest.param(
            (a_finding(state=State.WAITING, cause=Cause.UNKNOWN),),
            Status.UNKNOWN,
            Severity.UNSPECIFIED,
            id="waiting on unknown",
        ),
        pytest.param(
            (a_finding(state=State.WAITING, cause=Cause.DRIFTED),),
            Status.NON_COMPLIANT,
            Severity.UNSPECIFIED,
            id="held back is not compliant",
        ),
    ],
)
def test_a_node_is_as_bad_as_its_worst_finding(
    findings: tuple[Finding, ...], status: Status, severity: Severity
) -> None:
    report = a_report("web-01", *findings)
    assert (report.status, report.severity) == (status, severity)


def test_a_node_nobody_reached_is_unknown_even_without_findings() -> None:
    away = Facts(node=NodeId("web-01"), unreachable="connection refused")
    assert judge([], {away.node: away}, History(), {}, NOON)[away.node].status is Status.UNKNOWN


instants = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)).map(  # noqa: DTZ001 - zoned next
    lambda moment: moment.replace(microsecond=0, tzinfo=NOON.tzinfo)
)


@given(
    st.builds(
        Applied,
        definition=st.just(Digest("d" * 64)),
        definition_since=instants,
        first_matched=instants,
        adopted=st.booleans(),
        run=st.none() | st.just(RunId("a" * 64)),
        executions=st.integers(0, 10**6),
        status=st.none() | st.sampled_from(RunStatus),
        started=st.none() | instants,
        ended=st.none() | instants,
        exit_code=st.none() | st.integers(-1, 255),
        detail=st.text(max_size=100),
        failures=st.integers(0, 50),
        in_sync=st.booleans(),
        repairs=st.lists(instants, max_size=5).map(tuple),
        drift_seen=st.none() | instants,
    )
)
def test_every_record_of_an_execution_survives(applied: Applied) -> None:
    from reconciler.compliance.encode import decode_applied, encode_applied  # noqa: PLC0415 - beside its only use

    assert decode_applied(encode_applied(applied)) == applied


def test_an_exit_code_of_zero_is_kept() -> None:
    report = a_report("web-01")
    branch = read_branch_files(files_of(fleet(report)).items(), COMMIT)
    assert branch.reports[report.node].history.applied[AssociationName("motd")] == an_execution()


def rows_read(*nodes: tuple[str, dict[str, Applied]]) -> dict[NodeId, dict[AssociationName, Applied]]:
    reports = []
    for node, rows in nodes:
        report = a_report(node)
        applied = {AssociationName(name): row for name, row in rows.items()}
        reports.append(replace(report, history=replace(report.history, applied=applied)))
    branch = read_branch_files(files_of(fleet(*reports)).items(), COMMIT)
    return {node: dict(record.applied) for node, record in branch.history.nodes.items()}


ODD_RUNS = ("", "a", '"' + "a" * 63, "a" * 63 + '"', "\\" * 64, "ä" * 64, "-" * 64, "a" * 65)


@pytest.mark.parametrize("odd", [pytest.param(run, id=f"{number}") for number, run in enumerate(ODD_RUNS)])
def test_rows_that_differ_in_their_run_alone_keep_it(odd: str) -> None:
    """Nodes share what they tell alike: the run is each one's own, whatever it looks like."""
    text = ',"run":"' + "f" * 64 + '"'
    mine = {"b": an_execution(run=RunId("b" * 64)), "a": an_execution(run=None, adopted=True), "c": an_execution()}
    theirs = {"b": an_execution(run=RunId("c" * 64)), "a": an_execution(run=None, adopted=True)}
    others = {"b": an_execution(run=RunId(odd)), "c": an_execution(detail=text, run=RunId("d" * 64))}
    assert rows_read(("web-01", mine), ("web-02", theirs), ("web-03", others)) == {
        "web-01": mine,
        "web-02": theirs,
        "web-03": {**others, "b": replace(others["b"], run=RunId(odd) if odd else None)},
    }


RUNS = st.sampled_from(["a" * 64, "b" * 64, "0123456789abcdef" * 4, "A" * 64, "g" * 64, "a" * 63 + "\n"])
A_ROW = st.builds(an_execution, run=RUNS.map(RunId), detail=st.sampled_from(["", "x", "y"]), failures=st.integers(0, 2))


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), A_ROW, max_size=3), min_size=2, max_size=5))
def test_nodes_of_texts_of_one_length_keep_what_each_of_them_tells(told: list[dict[str, Applied]]) -> None:
    nodes = {f"web-{number:02}": rows for number, rows in enumerate(told)}
    assert rows_read(*nodes.items()) == nodes


@given(
    st.lists(st.sampled_from([(), ("motd",), ("motd", "ntp"), ("ntp",)]), min_size=2, max_size=5),
    st.sampled_from([0, 1]),
)
def test_nodes_keep_their_findings_whatever_the_one_before_told(told: list[tuple[str, ...]], rows: int) -> None:
    reports = []
    for number, names in enumerate(told):
        node = f"web-{number:02}"
        report = a_report(node, *(a_finding(node, association=name) for name in names))
        history = report.history if rows else replace(report.history, applied={})
        reports.append(replace(report, findings=report.findings if names else (), history=history))
    branch = read_branch_files(files_of(fleet(*reports)).items(), COMMIT)
    assert {node: branch.reports[node].findings for node in branch.reports} == {
        report.node: report.findings for report in reports
    }
    assert {node: dict(read.applied) for node, read in branch.history.nodes.items()} == {
        report.node: dict(report.history.applied) for report in reports
    }
