"""The report that people read: the summary first, then what is wrong and why."""

from reconciler.compliance.judge import summarise
from reconciler.compliance.page import page
from reconciler.compliance.paths import node_path
from reconciler.drift.finding import Cause, Difference, State
from reconciler.drift.text import differences_text
from reconciler.ids import CommitId, FleetId, NodeId
from reconciler.model.association import Severity
from tests.compliance.builders import a_finding, a_report


def shown(*reports: object, problems: tuple[str, ...] = ()) -> str:
    fleet = {report.node: report for report in reports}  # type: ignore[attr-defined]  # NodeReport
    summary = summarise(
        fleet, fleet=FleetId("example"), state_commit=CommitId("c" * 40), target_counts={}, problems=problems
    )
    return page(summary, fleet)


def test_a_fleet_in_order_says_so_in_its_first_sentence() -> None:
    text = shown(a_report("web-01"), a_report("web-02"))
    assert text.splitlines()[2] == "**All 2 nodes are compliant.**"
    assert "What is wrong" not in text


def test_what_is_wrong_is_named_with_its_reason_and_difference() -> None:
    difference = Difference(subject="file /etc/motd", expected="mode 0644", observed="mode 0600")
    wrong = a_finding(
        "web-02",
        state=State.DRIFTED,
        reason="1 of 1 expectations fails",
        severity=Severity.HIGH,
        differences=(difference,),
    )
    text = shown(a_report("web-01"), a_report("web-02", wrong))
    assert "**1 of 2 nodes are compliant**, 1 are not, 0 could not be told." in text
    row = next(line for line in text.splitlines() if line.startswith("| [web") and "Drifted" in line)
    assert node_path(NodeId("web-02")) in row
    assert "HIGH" in row
    assert "0600" in row
    assert "0644" in row


def test_a_difference_that_the_reason_names_is_not_listed_again() -> None:
    differences = tuple(
        Difference(subject=f"file /etc/{name}", expected="mode 0644", observed="mode 0600") for name in "abcd"
    )
    reason = f"flapping, and {differences_text(differences)}; left alone"
    text = shown(a_report("web-02", a_finding("web-02", state=State.FAILED, reason=reason, differences=differences)))
    row = next(line for line in text.splitlines() if line.startswith("| [web") and "Failed" in line)
    assert row.count("0600") == 3
    assert row.count("and 1 more") == 1
    assert "<br>" not in row


def test_the_worst_stands_first() -> None:
    low = a_finding("web-01", association="a", state=State.FAILED, severity=Severity.LOW)
    critical = a_finding("web-02", association="b", state=State.DRIFTED, severity=Severity.CRITICAL)
    text = shown(a_report("web-01", low), a_report("web-02", critical))
    assert text.index("CRITICAL |") < text.index("LOW |")


def test_waiting_shows_what_is_behind_it() -> None:
    held = a_finding("web-01", state=State.WAITING, cause=Cause.DRIFTED, reason="back-off")
    assert "Waiting (Drifted)" in shown(a_report("web-01", held))


def test_problems_with_the_repository_come_before_the_nodes() -> None:
    text = shown(a_report("web-01"), problems=("the branch was rewound",))
    assert text.index("the branch was rewound") < text.index("## Nodes")


def test_a_hostile_reason_stays_text() -> None:
    hostile = "</td>|<script>alert(1)</script> [click](http://evil) \x1b[31m ![x](y) @team `code`\n# Heading"
    text = shown(a_report("web-01", a_finding("web-01", state=State.FAILED, reason=hostile)))
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "\n# Heading" not in text
    row = next(line for line in text.splitlines() if line.startswith("| [web") and "Failed" in line)
    assert "](http" not in row.replace("\\](", "")
