"""Several writers, one fleet: one leads, the others look; an old leader that goes on is refused; nothing runs twice."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from reconciler.daemon.passing import Request
from tests.passes.test_the_daemon import end, wait_until
from tests.support.nodes import Fleet
from tests.support.site import APPEND_DOCUMENT, MOTD, Background, Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 3


def clean(fleet: Fleet) -> None:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd /etc/reconciler"])


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    clean(fleet)
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    return made


def ran(fleet: Fleet) -> list[int]:
    return [bodies(node) for node in fleet.nodes]


def drift_everywhere(fleet: Fleet) -> None:
    for node in fleet.nodes:
        node.run(["sh", "-c", "echo by hand > /etc/motd"])


def epochs(fleet: Fleet) -> list[str]:
    return [(node.root / "var/lib/reconciler/epochs/example").read_text().strip() for node in fleet.nodes]


def lease(site: Site) -> dict[str, object]:
    found: dict[str, object] = json.loads(site.git("cat-file", "blob", "refs/reconciler/lease"))
    return found


class Second:
    """Another management host: the same repository, a state folder and a log of its own."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.state_dir = site.folder / f"state-of-{name}"
        self.log = site.folder / f"{name}.log"

    def daemon(self, *options: str) -> Background:
        return self.site.start(
            "daemon", str(self.site.repo), "--log-format", "json", *options, state_dir=self.state_dir, log=self.log
        )

    def events(self, name: str) -> list[dict[str, object]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [line for line in found if line.get("event") == name]

    def said(self, words: str) -> bool:
        return self.log.exists() and words in self.log.read_text()


def test_a_second_host_only_observes_and_says_who_leads(site: Site, fleet: Fleet, tmp_path: Path) -> None:
    with site.controller() as leader:
        assert leader.one_pass(Request()).all_in_sync
        drift_everywhere(fleet)
        with site.controller(state_dir=tmp_path / "other") as other:
            watched = other.one_pass(Request())
            assert any("leads with epoch 1" in problem for problem in watched.problems)
            assert (watched.outcomes, watched.report_commit, ran(fleet)) == ((), None, [1, 1, 1])
            taken = other.one_pass(Request(take_over=True))
            assert taken.all_in_sync
            assert (ran(fleet), epochs(fleet)) == ([2, 2, 2], ["2", "2", "2"])
            # The old leader believes it leads until it meets the nodes or the push.
            drift_everywhere(fleet)
            old = leader.one_pass(Request())
            assert ran(fleet) == [2, 2, 2]
            assert old.outcomes == ()
            assert any("leads with epoch 2" in problem for problem in old.problems), old.problems


def test_a_leader_that_was_stopped_and_goes_on_is_refused_by_the_nodes_and_observes(site: Site, fleet: Fleet) -> None:
    site.commit(
        {
            "state/associations/motd.yaml": MOTD + "MaxConcurrency: '1'\n",
            "documents/Motd.yaml": APPEND_DOCUMENT.replace("default: '0'", "default: '2'"),
        }
    )
    one, two = Second(site, "one"), Second(site, "two")
    old = one.daemon()
    new: Background | None = None
    try:
        wait_until(lambda: bool(one.events("pass")) and ran(fleet) == [1, 1, 1], "the old leader's first pass")
        drift_everywhere(fleet)
        site.commit({"state/nodes/note.md": "wakes it\n"})
        wait_until(lambda: sum(ran(fleet)) == 4, "its first repair begins")
        old.send_signal(signal.SIGSTOP)
        new = two.daemon("--take-over")
        wait_until(lambda: ran(fleet) == [2, 2, 2], "the new leader does the rest")
        wait_until(lambda: two.said('"report": "'), "and reports")
        site.command("pause", state_dir=two.state_dir, check=0)  # so that what drifts now stays, whoever leads
        drift_everywhere(fleet)
        old.send_signal(signal.SIGCONT)
        wait_until(lambda: one.said("is not published"), "the old leader notices at the push")
        assert one.said("the node has seen epoch 2")
        site.commit({"state/nodes/note.md": "wakes everybody\n"})
        wait_until(lambda: one.said("only observes"), "and goes on observing")
        assert ran(fleet) == [2, 2, 2]
    finally:
        old.send_signal(signal.SIGCONT)
        assert end(old) == 0
        if new is not None:
            assert end(new) == 0
    assert epochs(fleet) == ["2", "2", "2"]


def test_a_remote_that_was_rebuilt_without_its_lease_gives_no_epoch_the_nodes_refuse(
    site: Site, fleet: Fleet, tmp_path: Path
) -> None:
    for _ in range(3):
        assert site.once(Request(take_over=True)).all_in_sync
    site.once(Request(take_over=True, apply="motd"))
    known = max(int(epoch) for epoch in epochs(fleet))
    assert known > 3
    site.git("update-ref", "-d", "refs/reconciler/lease")
    drift_everywhere(fleet)
    with site.controller(state_dir=tmp_path / "other") as stranger:
        result = stranger.one_pass(Request())
        assert result.all_in_sync, result.problems
        assert int(str(lease(site)["epoch"])) > known
    assert ran(fleet) == [3, 3, 3]


def test_a_higher_epoch_on_the_nodes_is_not_outbid_while_the_remote_is_away(
    site: Site, fleet: Fleet, tmp_path: Path
) -> None:
    with site.controller() as leader:
        assert leader.one_pass(Request()).all_in_sync
        with site.controller(state_dir=tmp_path / "other") as other:
            other.one_pass(Request(take_over=True, apply="motd"))
            drift_everywhere(fleet)
            site.repo.rename(tmp_path / "away")
            fenced = leader.one_pass(Request())
            assert any("nodes know a leader with epoch 2" in problem for problem in fenced.problems), fenced.problems
            assert ran(fleet) == [2, 2, 2]
            (tmp_path / "away").rename(site.repo)


def test_once_beside_a_daemon_of_one_state_folder_does_not_let_go_of_its_lease(site: Site, fleet: Fleet) -> None:
    one = Second(site, "one")
    daemon = one.daemon()
    try:
        wait_until(lambda: bool(one.events("pass")), "the daemon's first pass")
        drift_everywhere(fleet)
        wait_until(
            lambda: site.command("once", str(site.repo), state_dir=one.state_dir).returncode == 0, "a human's pass"
        )
        assert ran(fleet) == [2, 2, 2]
        assert (lease(site)["epoch"], lease(site)["holder"] != "") == (1, True)
        second = site.command("daemon", str(site.repo), state_dir=one.state_dir, check=1)
        assert f"a daemon, process {daemon.pid}, serves from the state folder" in second.stderr
    finally:
        assert end(daemon) == 0
    assert lease(site)["holder"] == ""


def test_a_node_that_two_fleets_manage_refuses_neither(site: Site, fleet: Fleet, tmp_path: Path) -> None:
    other = Site(tmp_path / "second", fleet)
    other.standard(fleet.nodes, "Fleet: second\n")
    document = APPEND_DOCUMENT.replace("/etc/motd", "/etc/issue.second").replace("/var/log/bodies", "/var/log/second")
    mine = MOTD.replace("/etc/motd", "/etc/issue.second")
    other.commit({"documents/Motd.yaml": document, "state/associations/motd.yaml": mine})
    for _ in range(3):
        assert site.once(Request(take_over=True)).all_in_sync
    for _ in range(2):
        for each in (other, site):
            result = each.once()
            assert result.all_in_sync
            assert not [problem for problem in result.problems if "not settled" in problem]
    assert ran(fleet) == [1, 1, 1]
    # Both associations are named alike: what the one fleet runs again is no memory of the other's.
    (fleet.nodes[0].root / "etc/motd").write_text("by hand\n")
    assert site.once().all_in_sync
    for each in (other, site):
        result = each.once()
        assert (result.all_in_sync, result.outcomes) == (True, ())
    assert ran(fleet) == [2, 1, 1]
    # A run of the one fleet that is left over is not the other one's to settle, nor does it look like one of its own.
    folder = "/var/lib/reconciler/runs/" + "ab" * 32
    manifest = json.dumps({"run": "ab" * 32, "fleet": "second", "node": "db-7", "association": "motd", "n": 9})
    fleet.nodes[0].run(["sh", "-c", f"mkdir -m 700 {folder} && cat > {folder}/manifest"], stdin=f"{manifest}\n")
    result = site.once()
    assert result.all_in_sync
    assert not [problem for problem in result.problems if "not settled" in problem]
    assert fleet.nodes[0].run(["ls", folder]).stdout == "manifest\n"


def test_locks_are_listed_and_released_by_a_persons_word(site: Site, fleet: Fleet, tmp_path: Path) -> None:
    slow = APPEND_DOCUMENT.replace("default: '0'", "default: '60'")
    site.commit({"documents/Motd.yaml": slow, "state/fleet.yaml": "Fleet: example\nPassWait: rate(1 second)\n"})
    with site.controller(state_dir=tmp_path / "other") as leader:
        leader.one_pass(Request())
        wait_until(lambda: sum(ran(fleet)) == 1, "the canary runs")
        busy = ran(fleet).index(1)
        name = f"web-{busy + 1:02}"
        listed = json.loads(site.command("locks", "list", str(site.repo), "--format", "json", check=0).stdout)
        assert [node for node, lock in listed["nodes"].items() if lock["held"]] == [name]
        assert listed["nodes"][name]["association"] == "motd"
        assert (listed["lease"]["epoch"], listed["daemon"]) == (1, None)

        asked = site.command("locks", "release", "--lease", "--repo", str(site.repo), check=64)
        assert "leads with epoch 1" in asked.stderr
        assert "--yes" in asked.stderr
        site.command("locks", "release", "--lease", "--yes", "--repo", str(site.repo), check=0)
        assert (lease(site)["holder"], lease(site)["epoch"]) == ("", 1)

        asked = site.command("locks", "release", "--node", name, "--repo", str(site.repo), check=64)
        assert "nothing it did is undone" in asked.stderr
        site.command("locks", "release", "--node", name, "--yes", "--repo", str(site.repo), check=0)
        said = site.command("locks", "list", str(site.repo), check=0).stdout
        assert f"{name}: free" in said
        assert "lease: free, epoch 1" in said
        assert "nothing holds" in site.command("locks", "release", "--node", name, "--repo", str(site.repo)).stdout
        blob = site.git("hash-object", "-w", "--stdin", stdin="not a lease")
        site.git("update-ref", "refs/reconciler/lease", blob)
        site.command("locks", "release", "--lease", "--repo", str(site.repo), check=64)
        site.command("locks", "release", "--lease", "--yes", "--repo", str(site.repo), check=0)
        assert lease(site)["holder"] == ""


def test_lock_files_of_a_git_that_was_killed_are_recovered(site: Site, fleet: Fleet) -> None:
    """A real git of ours, killed with its lock held; and one that lives, whose locks are left alone."""
    assert site.once().all_in_sync
    (clone,) = (site.state_dir / "repositories").glob("*.git")
    git = subprocess.Popen(
        ["git", "update-ref", "--stdin"], cwd=clone, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert git.stdin is not None
    assert git.stdout is not None
    git.stdin.write(f"start\nupdate refs/queue/compliance {'0' * 40}\nprepare\n")
    git.stdin.flush()
    wait_until(lambda: bool(list(clone.rglob("*.lock"))), "git holds a lock")
    os.kill(git.pid, signal.SIGKILL)
    git.communicate()
    assert list(clone.rglob("*.lock"))
    with site.controller() as user:  # opening it is enough, where nobody else uses the clone
        assert user.repository.lock_files() == ()
        (clone / "refs/queue/compliance.lock").touch()
        listed = site.command("locks", "list", str(site.repo), check=0).stdout
        assert "refs/queue/compliance.lock" in listed
        held = site.command("locks", "release", "--clone", "--repo", str(site.repo), check=64)
        assert "another process uses our clone" in held.stderr
        drift_everywhere(fleet)
        assert user.one_pass(Request()).all_in_sync
    assert "no lock files" in site.command("locks", "release", "--clone", "--repo", str(site.repo), check=0).stdout
