"""A report that somebody else wrote is not believed: its nodes are Unknown, nothing runs, and the remedy is named."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from reconciler.compliance.report import Status
from reconciler.compliance.write import lines, node_path
from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import PassResult, Request
from reconciler.daemon.reporting import Reporter
from reconciler.ids import NodeId
from reconciler.settings import read_host_settings
from tests.support.nodes import Fleet
from tests.support.signing import TestSigner, ssh_signer
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


@pytest.fixture
def host_key(site: Site) -> TestSigner:
    """Reports of this site are signed from now on."""
    key = ssh_signer(site.folder / "keys", "reports")
    with site.settings.open("a") as settings:
        settings.write("SigningKey: reports\n")
    return key


def ran(fleet: Fleet) -> list[int]:
    return [bodies(node) for node in fleet.nodes]


def wait_until(condition: Callable[[], bool], deadline: float = 120) -> None:
    ends = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < ends, "it did not come to pass"
        time.sleep(0.1)


def is_unknown(result: PassResult, *words: str) -> None:
    """No node is told to be anything, and every word stands among the problems."""
    assert {report.status for report in result.reports.values()} == {Status.UNKNOWN}
    assert result.outcomes == ()
    for word in words:
        assert any(word in problem for problem in result.problems), result.problems


def plant(site: Site, change: Callable[[dict[str, object]], None], signer: TestSigner | None = None) -> str:
    """Commit a changed report of web-01 on top of the branch, as somebody who may push it would."""
    work = site.folder / f"work-{len(list(site.folder.glob('work-*')))}"
    site.git("worktree", "add", "--quiet", "--detach", str(work), "compliance")
    file = work / node_path(NodeId("web-01"))
    value = orjson.loads(file.read_bytes())
    change(value)
    file.write_bytes(lines(value))
    if signer is not None:
        made = signer.commit(work, "Report")
    else:
        site.git("commit", "--quiet", "--all", "--allow-empty", "--no-gpg-sign", "-m", "Report", repo=work)
        made = site.git("rev-parse", "HEAD", repo=work)
    site.git("update-ref", "refs/heads/compliance", made)
    return made


def already_applied(value: dict[str, object]) -> None:
    """Say of what is new in git that it ran well already."""
    applied = value["applied"]
    assert isinstance(applied, dict)
    applied["motd"] |= {"executions": 2, "status": "Success", "in_sync": True}


def test_reports_are_signed_and_so_are_joins_of_two_writers(site: Site, fleet: Fleet, host_key: TestSigner) -> None:
    site.once()
    site.git("config", "gpg.ssh.allowedSignersFile", str(site.folder / "allowed"))
    (site.folder / "allowed").write_text(f"* {host_key.public}\n")
    site.git("verify-commit", "compliance")
    further = site.folder / "further.git"
    site.git("init", "--quiet", "--bare", str(further))
    site.git("remote", "add", "origin", str(further))
    site.commit({"state/fleet.yaml": "Fleet: example\nReports: {Remote: origin}\n"})
    assert site.once().all_in_sync
    base = site.git("rev-parse", "compliance")
    with site.controller() as paused:  # two lines of reports: one at home, one that another host pushed to the remote
        fleet.nodes[0].run(["sh", "-c", "echo else >> /etc/hosts"])
        theirs = plant(site, lambda value: value.update(notes=["theirs"]), host_key)
        site.git("push", "--quiet", str(further), f"{theirs}:refs/heads/compliance")
        site.git("update-ref", "refs/heads/compliance", base)
        plant(site, lambda value: value.update(notes=["ours"]), host_key)
        result = paused.one_pass(Request())
    assert not [problem for problem in result.problems if "believed" in problem], result.problems
    for commit in site.git("rev-list", f"{base}..compliance").split():
        site.git("verify-commit", commit)
    assert site.git("merge-base", "--is-ancestor", theirs, "compliance") == ""
    assert site.git("rev-parse", "refs/heads/compliance", repo=further) == site.git("rev-parse", "compliance")


@pytest.mark.parametrize("by", ["nobody", "a stranger"])
def test_a_planted_report_is_not_believed_and_new_history_rebuilds(
    site: Site, fleet: Fleet, host_key: TestSigner, by: str
) -> None:
    assert site.once().all_in_sync
    good = site.git("rev-parse", "compliance")
    stranger = ssh_signer(site.folder / "keys", "stranger") if by == "a stranger" else None
    planted = plant(site, already_applied, stranger)
    site.commit({"state/associations/motd.yaml": ONCE + "Parameters: {text: [another]}\n"})
    is_unknown(site.once(), planted, "--new-history", "not signed" if stranger is None else "no trusted signer")
    assert ran(fleet) == [1, 1]
    shown = site.command("status", str(site.repo), check=2)
    assert "2 unknown" in shown.stdout
    assert "--new-history" in shown.stdout

    site.git("update-ref", "refs/heads/compliance", good)  # the first remedy: as it was
    assert site.once().all_in_sync
    assert ran(fleet) == [2, 2]

    plant(site, already_applied, stranger)
    is_unknown(site.once(), "--new-history")
    rebuilt = site.once(Request(new_history=True))  # the second: from the nodes' markers
    assert rebuilt.all_in_sync, rebuilt.problems
    assert site.once().all_in_sync
    assert ran(fleet) == [2, 2]


def test_a_planted_report_gains_nothing_on_a_host_without_memory(
    site: Site, fleet: Fleet, host_key: TestSigner, tmp_path: Path
) -> None:
    assert site.once().all_in_sync
    plant(site, already_applied)
    with site.controller(state_dir=tmp_path / "another") as other:
        is_unknown(other.one_pass(Request()), "--new-history")
    assert ran(fleet) == [1, 1]


def test_where_reports_were_signed_an_unsigned_one_is_not_believed(
    site: Site, fleet: Fleet, host_key: TestSigner
) -> None:
    assert site.once().all_in_sync
    site.settings.write_text(site.settings.read_text().replace("SigningKey: reports\n", ""))
    plant(site, already_applied)
    is_unknown(site.once(), "--new-history", "not signed")
    assert ran(fleet) == [1, 1]


def test_a_planted_run_that_no_node_remembers_is_not_believed_even_unsigned(site: Site, fleet: Fleet) -> None:
    assert site.once().all_in_sync
    plant(site, already_applied)
    result = site.once()
    assert result.outcomes == ()
    assert ran(fleet) == [1, 1]
    assert result.reports[NodeId("web-01")].status is Status.UNKNOWN
    (finding,) = result.reports[NodeId("web-01")].findings
    assert "no trace" in finding.finding.reason
    assert result.reports[NodeId("web-02")].status is Status.COMPLIANT


def dies(*_: object, **__: object) -> None:
    """End a pass as a kill does, before anything of it is reported."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["killed", "another host leads"])
def test_a_new_history_that_was_not_written_makes_no_planted_report_believed(
    site: Site, fleet: Fleet, host_key: TestSigner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    assert site.once().all_in_sync
    plant(site, already_applied)
    site.commit({"state/associations/motd.yaml": ONCE + "Parameters: {text: [another]}\n"})
    is_unknown(site.once(), "--new-history")
    if how == "killed":
        with monkeypatch.context() as killed:
            killed.setattr(Reporter, "report", dies)
            with pytest.raises(KeyboardInterrupt):
                site.once(Request(new_history=True, limit=("web-02",)))
    else:
        with site.controller(state_dir=tmp_path / "leader") as leader:
            is_unknown(leader.one_pass(Request()), "--new-history")
            is_unknown(site.once(Request(new_history=True)), "only the host that leads begins a new history")
    is_unknown(site.once(), "--new-history")
    assert site.once(Request(new_history=True)).all_in_sync
    assert site.once().all_in_sync
    assert ran(fleet) == [2, 2]


def test_a_planted_file_of_nonsense_stops_nothing_but_belief(site: Site, fleet: Fleet, host_key: TestSigner) -> None:
    assert site.once().all_in_sync
    plant(site, lambda value: value.clear())
    is_unknown(site.once(), "--new-history")
    assert site.once(Request(new_history=True)).all_in_sync
    assert ran(fleet) == [1, 1]


def test_a_node_that_is_away_while_history_begins_anew_runs_nothing_twice(site: Site, fleet: Fleet) -> None:
    assert site.once().all_in_sync
    site.git("branch", "-D", "compliance")
    fleet.nodes[1].stop()
    try:
        site.once(Request(new_history=True))
    finally:
        fleet.nodes[1].start()
    assert site.once().all_in_sync
    assert ran(fleet) == [1, 1]


@pytest.mark.parametrize("hours", [3, -3], ids=["ahead", "behind"])
def test_a_fresh_state_folder_and_a_shifted_clock_run_nothing_twice(site: Site, fleet: Fleet, hours: int) -> None:
    def shifted() -> datetime:
        return datetime.now(UTC) + timedelta(hours=hours)

    assert site.once().all_in_sync
    site.commit({"state/associations/motd.yaml": ONCE + "Parameters: {seconds: ['5']}\n"})
    killed = site.start("once", str(site.repo))
    try:
        wait_until(lambda: ran(fleet) == [2, 2])
    finally:
        killed.kill()
        killed.wait()
    site.git("update-ref", "-d", "refs/reconciler/lease")
    passes: list[PassResult] = []

    def in_sync() -> bool:
        """Make one more pass, each from a state folder of its own."""
        controller = Controller(
            str(site.repo),
            settings=read_host_settings(site.settings),
            state_dir=site.folder / f"fresh-{len(passes)}",
            clock=shifted,
        )
        try:
            passes.append(controller.one_pass(Request()))
        finally:
            controller.close()
        return passes[-1].all_in_sync

    wait_until(in_sync)  # the scripts of the killed one go on for seconds
    assert in_sync()
    assert ran(fleet) == [2, 2]
