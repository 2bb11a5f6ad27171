"""The management host's own clone breaks under a daemon: it is made anew, nothing runs twice, what waited arrives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.commit.branch import Publication, ReportsBranch
from reconciler.compliance.paths import inventory_path, node_path
from reconciler.daemon.passing import Request
from reconciler.ids import CommitId, NodeId
from tests.support.nodes import Fleet
from tests.support.site import Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes)
    return made


def a_tracking_ref_is_cut(clone: Path) -> None:
    (clone / "refs/remote/state/HEAD-commit").write_bytes(b"")


def what_was_published_is_forgotten(clone: Path) -> None:
    (clone / "refs/published/home/compliance").write_bytes(b"\0" * 41)


def a_published_commit_is_gone(clone: Path) -> None:
    """What waits descends from it: nothing can be pushed."""
    last = (clone / "refs/published/home/compliance").read_text().strip()
    (clone / "objects" / last[:2] / last[2:]).unlink()


@pytest.mark.parametrize("damage", [a_tracking_ref_is_cut, what_was_published_is_forgotten, a_published_commit_is_gone])
def test_a_broken_clone_is_made_anew_and_what_waited_arrives(
    site: Site, fleet: Fleet, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    (node,) = fleet.nodes
    assert site.once().all_in_sync
    away = tmp_path / "away"
    with site.controller() as controller:
        site.repo.rename(away)
        node.run(["sh", "-c", "echo drifted > /etc/motd"])
        waiting = controller.one_pass(Request()).report_commit
        clone = controller.repository.folder
        assert waiting is not None
        damage(clone)
        away.rename(site.repo)
        assert waiting not in site.git("rev-list", "compliance")
        mended = controller.one_pass(Request())
        assert any("was broken" in problem and "made anew" in problem for problem in mended.problems)
        assert mended.all_in_sync
        after = controller.one_pass(Request())
        assert after.problems == (), "it is told once"
        assert after.all_in_sync
    assert waiting in site.git("rev-list", "compliance")
    assert bodies(node) == 2, "the first application and one repair"
    assert clone.with_name(f"{clone.name}.broken").is_dir()
    assert site.once().report_commit is None


def test_a_clone_breaks_between_two_commands(site: Site, fleet: Fleet) -> None:
    """Git refuses it as soon as it is opened: whichever command comes first mends it, and the next pass tells."""
    assert site.once().all_in_sync
    with site.controller() as controller:
        clone = controller.repository.folder
    (clone / "HEAD").write_bytes(b"\xff")
    status = site.command("status")
    assert status.returncode == 0, status.stdout + status.stderr
    once = site.command("once", check=0)
    assert "was broken" in once.stdout + once.stderr
    assert "was broken" not in site.command("once", check=0).stdout
    assert [bodies(node) for node in fleet.nodes] == [1]


COMMANDS = {
    "status": (),
    "plan": (),
    "runs list": (),
    "send-command": ("--document-name", "Motd", "--instance-ids", "web-01", "--repo"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_needs_of_a_clone_that_broke_is_made_anew(site: Site, fleet: Fleet, name: str) -> None:
    """Git opens it, and finds out when it reads: objects are gone. What the command asks for is answered all the same."""
    site.once()
    with site.controller() as controller:
        clone = controller.repository.folder
    for path in (clone / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    answer = site.command(*name.split(), *COMMANDS[name], str(site.repo), check=0)
    assert "Traceback" not in answer.stderr
    assert clone.with_name(f"{clone.name}.broken").is_dir()
    assert "was broken" in site.command("once", check=0).stdout
    assert [bodies(node) for node in fleet.nodes] == [2 if name == "send-command" else 1]


@pytest.mark.parametrize("name", ["status", "plan", "once"])
def test_a_ref_that_does_not_read_is_in_no_commands_way(site: Site, fleet: Fleet, name: str) -> None:
    """What is read before the rest of a command is loaded is read in vain then; the command itself mends the clone."""
    site.once()
    with site.controller() as controller:
        clone = controller.repository.folder
    (clone / "refs/queue").mkdir(exist_ok=True)
    (clone / "refs/queue/compliance").write_text("no id\n")
    assert "Traceback" not in site.command(name, str(site.repo), check=0).stderr
    assert site.once().all_in_sync
    assert [bodies(node) for node in fleet.nodes] == [1]


def test_a_clone_breaks_while_a_document_runs(site: Site, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at both branches and the report: the run is reported by the same pass, on the fresh clone."""
    (node,) = fleet.nodes
    assert site.once().all_in_sync
    node.run(["sh", "-c", "echo drifted > /etc/motd"])
    with site.controller() as controller:
        write, broken = ReportsBranch.write, []

        def written(self: ReportsBranch, *given: Any, **named: Any) -> object:
            if not broken:
                broken.extend(path for path in (self.repository.folder / "objects").rglob("*") if path.is_file())
                for path in broken:
                    path.unlink()
            return write(self, *given, **named)

        monkeypatch.setattr(ReportsBranch, "write", written)
        result = controller.one_pass(Request())
        assert broken
        assert result.report_commit is not None
        assert any("was broken" in problem for problem in result.problems)
    assert bodies(node) == 2
    assert result.report_commit in site.git("rev-list", "compliance")


def test_a_clone_breaks_between_a_report_and_its_push(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed is lost with it: the same pass commits all of it again, and not what is new against itself."""
    publish, times = ReportsBranch.publish, list[CommitId]()

    def breaking(self: ReportsBranch, *arguments: Any, **named: Any) -> Publication:
        made = self.tip()
        assert made is not None
        if not times:
            (self.repository.folder / "objects" / made[:2] / made[2:]).unlink()
        times.append(made)
        return publish(self, *arguments, **named)

    with site.controller() as controller:
        monkeypatch.setattr(ReportsBranch, "publish", breaking)
        done = controller.one_pass(Request())
        assert len(times) == 2
        assert any("was broken" in problem and "made anew" in problem for problem in done.problems)
        there = site.git("ls-tree", "-r", "--name-only", "compliance").splitlines()
        web = NodeId("web-01")
        assert {"README.md", inventory_path(web), node_path(web)} <= set(there)
        assert controller.one_pass(Request()).problems == ()
