"""History that is lost is Unknown, never "never applied"; a person brings it back or begins anew, by name."""

from pathlib import Path

import pytest

from reconciler.compliance.report import Status
from reconciler.daemon.passing import Request
from reconciler.daemon.reporting import Reporter
from tests.support.nodes import Fleet
from tests.support.site import Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 2

ONCE = """\
AssociationName: motd
Name: Motd
Targets: [{Key: 'tag:Role', Values: [web]}]
"""
"""Nothing is expected: only history tells that it was applied."""


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes)
    made.commit({"state/associations/motd.yaml": ONCE})
    return made


def ran(fleet: Fleet) -> list[int]:
    return [bodies(node) for node in fleet.nodes]


def test_a_deleted_report_stops_everything_until_a_person_speaks(site: Site, fleet: Fleet, tmp_path: Path) -> None:
    assert site.once().all_in_sync
    site.git("branch", "-D", "compliance")
    site.git("update-ref", "-d", "refs/reconciler/heartbeat")
    with site.controller(state_dir=tmp_path / "another-host") as stranger:
        lost = stranger.one_pass(Request())
        assert {report.status for report in lost.reports.values()} == {Status.UNKNOWN}
        assert any("--new-history" in problem for problem in lost.problems)
        assert ran(fleet) == [1, 1]
        assert site.reports() == []

        rebuilt = stranger.one_pass(Request(new_history=True))
        assert rebuilt.all_in_sync, [r.findings for r in rebuilt.reports.values()]
        assert ran(fleet) == [1, 1]
        assert len(site.reports()) == 1

        assert stranger.one_pass(Request()).all_in_sync
        assert ran(fleet) == [1, 1]


def test_the_host_that_wrote_the_report_notices_that_it_was_rewound(site: Site, fleet: Fleet) -> None:
    site.once()
    site.commit({"state/associations/motd.yaml": ONCE + "Parameters: {text: [another]}\n"})
    site.once()
    assert ran(fleet) == [2, 2]
    site.git("update-ref", "refs/heads/compliance", site.git("rev-parse", "compliance~1"))
    result = site.once()
    assert any("rewound" in problem for problem in result.problems)
    assert {report.status for report in result.reports.values()} == {Status.UNKNOWN}
    assert ran(fleet) == [2, 2]


def test_a_new_history_killed_before_it_was_written_leaves_a_rewound_report_unknown(
    site: Site, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.once()
    site.commit({"state/associations/motd.yaml": ONCE + "Parameters: {text: [another]}\n"})
    site.once()
    site.git("update-ref", "refs/heads/compliance", site.git("rev-parse", "compliance~1"))

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(Reporter, "report", dies)
        with pytest.raises(KeyboardInterrupt):
            site.once(Request(new_history=True))
    result = site.once()
    assert any("rewound" in problem for problem in result.problems)
    assert {report.status for report in result.reports.values()} == {Status.UNKNOWN}
    assert site.once(Request(new_history=True)).all_in_sync
    assert site.once().all_in_sync
    assert ran(fleet) == [2, 2]


@pytest.mark.parametrize("beat", ["kept", "gone"])
def test_a_rewound_report_makes_no_host_run_anything_again(site: Site, fleet: Fleet, tmp_path: Path, beat: str) -> None:
    site.once()
    site.commit({"state/associations/motd.yaml": ONCE + "Parameters: {text: [another]}\n"})
    site.once()
    assert ran(fleet) == [2, 2]
    newest = site.git("rev-parse", "compliance")
    site.git("update-ref", "refs/heads/compliance", f"{newest}~1")
    if beat == "gone":
        site.git("update-ref", "-d", "refs/reconciler/heartbeat")
    with site.controller(state_dir=tmp_path / "another-host") as stranger:
        for _ in range(2):  # a host without memory does not see that the branch was set back; the nodes know
            result = stranger.one_pass(Request())
            assert result.outcomes == ()
            assert {report.status for report in result.reports.values()} == {Status.UNKNOWN}
            for report in result.reports.values():
                (found,) = report.findings
                assert "the report is older than the node: it holds 2 acknowledged runs" in found.finding.reason
                assert "--new-history" in found.finding.reason
        if beat == "kept":  # the first remedy: as it was
            site.git("update-ref", "refs/heads/compliance", newest)
        else:  # the second: from the nodes' markers
            assert stranger.one_pass(Request(new_history=True)).all_in_sync
    with site.controller(state_dir=tmp_path / "third-host") as third:
        assert third.one_pass(Request()).all_in_sync
    assert ran(fleet) == [2, 2]


def test_a_rewound_state_branch_is_accepted_by_name_alone(site: Site, fleet: Fleet) -> None:
    first = site.git("rev-parse", "HEAD~1")
    site.once()
    site.git("reset", "--quiet", "--hard", first)
    assert site.once().plan.commit != first
    done = site.command("once", str(site.repo), "--accept-rewind", first, "--format", "json")
    assert f'"state_commit": "{first}"' in done.stdout
