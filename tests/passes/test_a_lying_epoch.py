"""A node that lies about its fleet's leaders is alone with it: nobody else hears of it, is refused, or waits."""

from pathlib import Path

import pytest

from reconciler.compliance.report import Status
from reconciler.daemon.passing import PassResult, Request
from reconciler.ids import NodeId
from tests.passes.test_writers import drift_everywhere, epochs, lease, ran
from tests.support.nodes import Fleet
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 3


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd /etc/reconciler"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    assert made.once().all_in_sync
    return made


def say(fleet: Fleet, node: int, epoch: int) -> None:
    (fleet.nodes[node].root / "var/lib/reconciler/epochs/example").write_text(f"{epoch}\n")


def words(result: PassResult, node: str) -> str:
    (finding,) = result.reports[NodeId(node)].findings
    return finding.finding.reason


@pytest.mark.parametrize("told", [2_000_000_000, 900_000_000], ids=["no epoch at all", "far above ours"])
def test_the_others_are_led_as_before_and_it_is_unknown_until_a_person_mends_it(
    site: Site, fleet: Fleet, told: int
) -> None:
    say(fleet, 0, told)
    drift_everywhere(fleet)
    result = site.once()
    assert ran(fleet) == [1, 2, 2]
    ours = str(lease(site)["epoch"])
    assert int(ours) < 10
    assert epochs(fleet) == [str(told), ours, ours]
    assert {name: report.status for name, report in result.reports.items()} == {
        "web-01": Status.UNKNOWN,
        "web-02": Status.COMPLIANT,
        "web-03": Status.COMPLIANT,
    }
    assert str(told) in words(result, "web-01")
    assert "remove /var/lib/reconciler/epochs/example on it" in words(result, "web-01")
    assert result.report_commit is not None
    again = site.once()
    assert (ran(fleet), epochs(fleet)[0]) == ([1, 2, 2], str(told))
    assert not [problem for problem in again.problems if "observes" in problem]
    fleet.nodes[0].run(["rm", "/var/lib/reconciler/epochs/example"])
    assert site.once().all_in_sync
    assert (ran(fleet), epochs(fleet)) == ([2, 2, 2], [str(lease(site)["epoch"])] * NODES)


def test_with_the_remote_away_the_word_of_one_keeps_nobody_from_acting(
    site: Site, fleet: Fleet, tmp_path: Path
) -> None:
    with site.controller() as leader:
        assert leader.one_pass(Request()).all_in_sync
        theirs = int(str(lease(site)["epoch"])) + 1
        say(fleet, 0, theirs)
        drift_everywhere(fleet)
        site.repo.rename(tmp_path / "away")
        result = leader.one_pass(Request())
        (tmp_path / "away").rename(site.repo)
    assert ran(fleet) == [1, 2, 2]
    assert f"heard of a leader with epoch {theirs}, and we lead with {theirs - 1}" in words(result, "web-01")


def test_a_fleet_where_every_node_says_so_is_brought_back_by_hand(site: Site, fleet: Fleet) -> None:
    """What an earlier version made of one lie: a lease that nobody reads, and nodes that all repeat it."""
    for node in range(NODES):
        say(fleet, node, 2_000_000_001)
    blob = site.git(
        "hash-object",
        "-w",
        "--stdin",
        stdin='{"epoch": 2000000001, "holder": "", "expires": "2026-01-01T00:00:00+00:00"}',
    )
    site.git("update-ref", "refs/reconciler/lease", blob)
    drift_everywhere(fleet)
    site.command("locks", "release", "--lease", "--yes", "--repo", str(site.repo), check=0)
    result = site.once()
    assert {report.status for report in result.reports.values()} == {Status.UNKNOWN}
    assert ran(fleet) == [1, 1, 1]
    for node in fleet.nodes:
        node.run(["rm", "/var/lib/reconciler/epochs/example"])
    assert site.once().all_in_sync
    assert ran(fleet) == [2, 2, 2]
