"""The main job on real nodes: apply what is needed, find what drifted, repair that alone, report what is."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.compliance.report import Status
from reconciler.daemon.passing import PassResult, Request
from reconciler.ids import AssociationName, NodeId
from reconciler.model.outcome import Disposition
from tests.support.nodes import Fleet, start_fleet
from tests.support.site import APPEND_DOCUMENT, MOTD, Site, bodies, nodes_yaml

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(tmp_path_factory.mktemp("fleet"), count=6, systemd=2) as started:
        yield started


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    """A management host of its own, over nodes that remember nothing."""
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd /etc/reconciler"])
    return Site(tmp_path, fleet)


def ran(result: PassResult) -> list[str]:
    return sorted(outcome.node for outcome in result.outcomes if outcome.disposition is Disposition.RAN)


def test_the_first_pass_applies_the_second_does_nothing(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    first = site.once()
    assert first.all_in_sync, [r.findings for r in first.reports.values()]
    assert [bodies(node) for node in fleet.nodes] == [1] * len(fleet.nodes)
    assert all((node.root / "etc/motd").read_text() == "managed by git\n" for node in fleet.nodes)
    commits = site.reports()

    second = site.once()
    assert second.all_in_sync
    assert second.outcomes == ()
    assert second.report_commit is None or site.is_about_shared_ports(second.report_commit)
    assert site.reports() == commits
    assert [bodies(node) for node in fleet.nodes] == [1] * len(fleet.nodes)


def test_a_hand_edit_is_repaired_on_its_node_alone_and_again_when_repeated(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    site.once()
    edited = fleet.nodes[3]
    for repairs in (1, 2):
        (edited.root / "etc/motd").write_text("by hand\n")
        planned = site.command("plan", str(site.repo), "--format", "json", check=2)
        items = json.loads(planned.stdout)["items"]
        assert [item["node"] for item in items] == ["web-04"]
        result = site.once()
        assert ran(result) == ["web-04"]
        assert (edited.root / "etc/motd").read_text() == "managed by git\n"
        assert bodies(edited) == 1 + repairs
        assert [bodies(node) for node in fleet.nodes if node is not edited] == [1] * (len(fleet.nodes) - 1)
    message = site.git("log", "-1", "--format=%B", "compliance")
    assert f"State-Commit: {site.git('rev-parse', 'main')}" in message


def test_one_node_down_one_with_another_key_one_with_a_full_disk(
    site: Site, tmp_path: Path, require_nodes: None
) -> None:
    with start_fleet(tmp_path / "nodes", count=4, disk_mb=24) as troubled:
        away, changed, full, fine = troubled.nodes
        there = Site(tmp_path / "site", troubled)
        there.standard(troubled.nodes)
        away.stop()
        changed.change_host_key()
        full.fill_disk()
        result = there.once()
        found = dict(result.reports)
        assert "web-01" in found
        why = {node: found[NodeId(node)].facts.unreachable or "" for node in found}
        assert "refused" in why[NodeId("web-01")] or "no answer" in why[NodeId("web-01")]
        assert "host key" in why[NodeId("web-02")]
        assert bodies(changed) == 0
        findings = {n: {f.finding.association: f.finding for f in r.findings} for n, r in found.items()}
        motd = AssociationName("motd")
        assert "space" in findings[NodeId("web-03")][motd].reason.lower()
        assert found[NodeId("web-04")].status is Status.COMPLIANT
        assert (fine.root / "etc/motd").read_text() == "managed by git\n"
        assert [found[NodeId(n)].status for n in ("web-01", "web-02")] == [Status.UNKNOWN, Status.UNKNOWN]


def test_a_changed_document_runs_where_it_is_meant(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    site.once()
    changed = (
        MOTD.replace("managed by git\\n", "managed, and better\\n") + "Parameters: {text: ['managed, and better']}\n"
    )
    site.commit({"state/associations/motd.yaml": changed})
    result = site.once()
    assert len(ran(result)) == len(fleet.nodes)
    assert {(node.root / "etc/motd").read_text() for node in fleet.nodes} == {"managed, and better\n"}


def test_a_commit_that_does_not_validate_changes_nothing_and_says_why(site: Site, fleet: Fleet) -> None:
    good = site.standard(fleet.nodes)
    site.once()
    site.commit({"state/associations/motd.yaml": MOTD.replace("Name: Motd", "Name: Missing")})
    (fleet.nodes[0].root / "etc/motd").write_text("by hand\n")
    result = site.once()
    assert any("does not validate" in problem and "Missing" in problem for problem in result.problems)
    assert result.plan.commit == good
    assert ran(result) == ["web-01"]


def test_a_rewound_branch_keeps_the_last_good_commit(site: Site, fleet: Fleet) -> None:
    first = site.standard(fleet.nodes)
    second = site.commit({"state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\n"})
    site.once()
    site.git("reset", "--hard", "--quiet", first)
    result = site.once()
    assert result.plan.commit == second
    assert any("rewound" in problem for problem in result.problems)


def test_a_limit_touches_the_named_nodes_alone(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    result = site.once(Request(limit=("web-02", "web-05")))
    assert ran(result) == ["web-02", "web-05"]
    assert [bodies(node) for node in fleet.nodes] == [0, 1, 0, 0, 1, 0]


def test_a_dry_run_changes_nothing_anywhere(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    result = site.once(Request(dry_run=True))
    assert len(result.plan.items) == len(fleet.nodes)
    assert [bodies(node) for node in fleet.nodes] == [0] * len(fleet.nodes)
    assert site.reports() == []


def test_warn_reports_drift_and_changes_nothing(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    site.commit({"state/associations/motd.yaml": MOTD + "Mode: warn\n"})
    result = site.once()
    assert result.outcomes == ()
    assert not result.all_in_sync
    assert [bodies(node) for node in fleet.nodes] == [0] * len(fleet.nodes)


def test_an_unsupported_gate_holds_what_uses_it(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    site.commit({"state/associations/motd.yaml": MOTD + "CalendarNames: [freeze]\n"})
    result = site.once()
    assert result.outcomes == ()
    reasons = {r.finding.reason for report in result.reports.values() for r in report.findings}
    assert all("not supported yet: CalendarNames" in reason for reason in reasons)


def test_a_hold_file_on_a_node_stops_every_change_to_it(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    hold = fleet.nodes[1].root / "etc/reconciler/hold"
    hold.parent.mkdir()
    hold.write_text("ann: moving the database\n")
    result = site.once()
    assert "web-02" not in ran(result)
    held = result.reports[NodeId("web-02")].findings[0].finding
    assert held.state.value == "Waiting"
    assert "moving the database" in held.reason
    assert bodies(fleet.nodes[1]) == 0


def test_a_fresh_clone_on_another_host_applies_nothing_again(site: Site, fleet: Fleet, tmp_path: Path) -> None:
    site.standard(fleet.nodes)
    site.once()
    clone = tmp_path / "another-host"
    site.git("clone", "--quiet", "--mirror", str(site.repo), str(clone), repo=tmp_path)
    with site.controller(repo=str(clone), state_dir=tmp_path / "another-state") as controller:
        result = controller.one_pass(Request())
    assert result.all_in_sync, (result.problems, [r.findings for r in result.reports.values()])
    assert result.outcomes == ()
    assert [bodies(node) for node in fleet.nodes] == [1] * len(fleet.nodes)


def test_the_same_plan_comes_from_the_committed_facts_everywhere(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    site.once()
    asked = ("plan", str(site.repo), "--inventory", "compliance", "--at", "2026-09-01T12:00:00Z", "--format", "json")
    assert site.command(*asked).stdout == site.command(*asked).stdout


def test_the_plan_of_an_earlier_pass_can_be_made_again(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    site.once()
    (fleet.nodes[4].root / "etc/motd").write_text("by hand\n")
    result = site.once()
    assert [item.node for item in result.plan.items] == ["web-05"]
    again = site.command("plan", str(site.repo), "--inventory", result.plan.digest, "--format", "json", check=2)
    assert json.loads(again.stdout)["digest"] == result.plan.digest


def test_apply_runs_an_association_now(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    site.once()
    done = site.command("apply", "motd", "--node", "web-03", "--repo", str(site.repo))
    assert done.returncode == 0, done.stderr
    assert [bodies(node) for node in fleet.nodes] == [1, 1, 2, 1, 1, 1]


def test_what_a_run_wrote_can_be_read(site: Site, fleet: Fleet) -> None:
    site.standard(fleet.nodes)
    site.once()
    listed = json.loads(site.command("runs", "list", str(site.repo), "--format", "json", check=0).stdout)["runs"]
    assert {run["status"] for run in listed} == {"Success"}
    output = site.command("runs", "output", listed[0]["run"], "--repo", str(site.repo), check=0)
    assert "written" in output.stdout


def test_max_errors_stops_a_failing_document(site: Site, fleet: Fleet) -> None:
    failing = APPEND_DOCUMENT.replace("- echo written", "- exit 3")
    site.standard(fleet.nodes)
    limits = "MaxConcurrency: '1'\nMaxErrors: '1'\n"
    site.commit({"documents/Motd.yaml": failing, "state/associations/motd.yaml": MOTD + limits})
    result = site.once()
    failed = [o for o in result.outcomes if o.record is not None and o.record.exit_code == 3]
    assert 1 <= len(failed) <= 2
    assert sum(bodies(node) for node in fleet.nodes) == len(failed)
    held = [outcome.reason for outcome in result.outcomes if outcome.disposition is Disposition.HELD_BACK]
    assert len(held) == len(fleet.nodes) - len(failed)
    assert all("web-01, failed" in reason for reason in held), "the first node's failure holds the others back"
    waiting = [
        r.finding for report in result.reports.values() for r in report.findings if r.finding.state.value == "Waiting"
    ]
    assert len(waiting) >= len(held)


def test_a_node_without_sudo_rights_is_named(site: Site, fleet: Fleet) -> None:
    refused = fleet.nodes[2]
    rules = refused.root / "etc/sudoers.d"
    names = [path for path in rules.iterdir() if path.is_file()]
    kept = {path: path.read_bytes() for path in names}
    try:
        for path in names:
            path.unlink()
        site.commit(
            {
                "state/nodes/web.yaml": nodes_yaml([refused]),
                "state/known_hosts": fleet.known_hosts,
                "state/associations/motd.yaml": MOTD,
                "documents/Motd.yaml": APPEND_DOCUMENT,
            }
        )
        result = site.once()
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
            path.chmod(0o440)
    why = result.reports[NodeId("web-01")].facts.unreachable or ""
    assert "sudo" in why
    assert bodies(refused) == 0
