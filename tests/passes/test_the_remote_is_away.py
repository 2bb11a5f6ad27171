"""The remote is away for a day: enforcement goes on, reports wait, and one push brings them all when it is back."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import Request
from reconciler.settings import read_host_settings
from reconciler.source.records import RefResult, RefUpdate, Remote
from reconciler.source.repository import Repository
from tests.support.nodes import Fleet
from tests.support.site import Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 3


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    return made


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tips of the branch of reports that a remote took, in order."""
    tips: list[str] = []
    push = Repository.push

    def counted(
        self: Repository, remote: Remote, updates: Sequence[RefUpdate], also: Mapping[str, str] | None = None
    ) -> tuple[RefResult, ...]:
        results = push(self, remote, updates, also)
        news = {update.ref: update.new for update in updates}
        tips.extend(str(news[r.ref]) for r in results if r.accepted and r.ref == "refs/heads/compliance")
        return results

    monkeypatch.setattr(Repository, "push", counted)
    return tips


def test_a_day_without_the_remote(site: Site, fleet: Fleet, tmp_path: Path, pushed: list[str]) -> None:
    began, passed = datetime.now(UTC), timedelta()
    controller = Controller(
        str(site.repo),
        settings=read_host_settings(site.settings),
        state_dir=site.state_dir,
        clock=lambda: datetime.now(UTC) + passed,
    )
    try:
        assert controller.one_pass(Request()).all_in_sync
        assert len(pushed) == 1
        reported = len(site.reports())
        away = site.repo.rename(tmp_path / "away")
        repairs = 0
        for hour in range(0, 24, 2):
            passed = timedelta(hours=hour + 1)
            node = fleet.nodes[hour // 2 % 3]
            node.run(["sh", "-c", f"echo hour {hour} > /etc/motd"])
            result = controller.one_pass(Request())
            repairs += 1
            assert sum(bodies(each) for each in fleet.nodes) == 3 + repairs, f"hour {hour}: {result.problems}"
            assert result.all_in_sync
            assert result.report_commit is not None
            assert any("state-repository" in problem for problem in result.problems), "nobody is told that it is away"
        away.rename(site.repo)
        passed = timedelta(hours=25)
        back = controller.one_pass(Request())
        assert back.all_in_sync
        assert back.problems == ()
        assert len(site.reports()) >= reported + repairs
        assert len(pushed) == 2, "more than one push brought them"
        assert datetime.now(UTC) - began < timedelta(hours=1)
        assert controller.one_pass(Request()).report_commit is None
    finally:
        controller.close()
    assert [bodies(node) for node in fleet.nodes] == [5, 5, 5]
    markers = [list((node.root / "var/lib/reconciler/runs").iterdir()) for node in fleet.nodes]
    assert markers == [[], [], []], "what is published is acknowledged, and forgotten on the nodes"
