"""pause, resume and hold files on real nodes: nothing new begins, whatever command asks; looking and reporting go on."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.drift.finding import Cause, State
from reconciler.model.pause import Pause
from tests.passes.test_the_daemon import daemon_of, end, passes, wait_until
from tests.support.nodes import Fleet
from tests.support.site import APPEND_DOCUMENT, MOTD, Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 3


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd /etc/reconciler"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes)
    return made


def ran(fleet: Fleet) -> list[int]:
    return [bodies(node) for node in fleet.nodes]


def drift_everywhere(fleet: Fleet) -> None:
    for node in fleet.nodes:
        node.run(["sh", "-c", "echo by hand > /etc/motd"])


def test_a_pause_binds_every_command_and_stands_in_every_report(site: Site, fleet: Fleet) -> None:
    assert site.once().all_in_sync
    drift_everywhere(fleet)
    site.command("pause", "--reason", "disk *swap*", "--until", "2h", check=0)
    result = site.once()
    assert ran(fleet) == [1, 1, 1]
    found = [r.finding for report in result.reports.values() for r in report.findings]
    assert {(f.state, f.cause) for f in found} == {(State.WAITING, Cause.DRIFTED)}
    assert all(f.reason.startswith("paused by ") and ": disk *swap* until 2" in f.reason for f in found)
    assert result.report_commit is not None

    applied = site.command("apply", "motd", "--repo", str(site.repo), check=2)
    assert "paused by" in applied.stdout
    assert ran(fleet) == [1, 1, 1]
    for command in (["status"], ["drift"], ["report"], ["plan"]):
        said = site.command(*command, str(site.repo), check=2).stdout
        assert "paused by" in said, command
    assert "paused by" in site.command("explain", "web-01", "--repo", str(site.repo)).stdout
    for command in ("status", "report"):
        document = json.loads(site.command(command, str(site.repo), "--format", "json").stdout)
        assert "disk *swap*" in document["pauses"][0]
    assert "disk *swap*" in json.loads(site.git("show", "compliance:compliance.json"))["pauses"][0]
    page = site.git("show", "compliance:README.md")
    assert "## Paused and held" in page
    assert r"disk \*swap\*" in page

    site.command("resume", check=0)
    assert site.once().all_in_sync
    assert ran(fleet) == [2, 2, 2]
    assert "Paused and held" not in site.git("show", "compliance:README.md")


def test_one_node_or_one_association_is_paused_and_the_others_go_on(site: Site, fleet: Fleet) -> None:
    assert site.once().all_in_sync
    drift_everywhere(fleet)
    site.command("pause", "--node", "web-02", "--repo", str(site.repo), check=0)
    site.once()
    assert ran(fleet) == [2, 1, 2]
    assert site.command("pause", "--node", "web-99", "--repo", str(site.repo)).returncode == 64
    assert site.command("resume", "--node", "web-01").returncode == 64
    listed = json.loads(site.command("resume", "--node", "web-02", "--format", "json", check=0).stdout)
    assert listed["pauses"] == []
    site.command("pause", "--association", "motd", "--repo", str(site.repo), check=0)
    site.once()
    assert ran(fleet) == [2, 1, 2]


def test_a_pause_that_ended_and_one_that_does_not_read(site: Site, fleet: Fleet) -> None:
    with site.controller() as controller:
        over = Pause(who="ana", since=datetime.now(UTC), until=datetime.now(UTC) + timedelta(seconds=1))
        controller.pauses.change(lambda _: (over,), datetime.now(UTC))
    wait_until(lambda: over.until is not None and datetime.now(UTC) > over.until, "it is over")
    site.once()
    assert ran(fleet) == [1, 1, 1]
    drift_everywhere(fleet)
    (site.state_dir / "pauses.json").write_text("{")
    assert not site.once().all_in_sync
    assert ran(fleet) == [1, 1, 1]
    assert "does not read" in site.command("status", str(site.repo), check=2).stdout
    site.command("resume", "--all", check=0)
    assert site.once().all_in_sync


def test_a_roll_out_stops_in_its_middle_with_the_remote_away_and_what_runs_is_settled(site: Site, fleet: Fleet) -> None:
    site.commit(
        {
            "state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\n",
            "state/associations/motd.yaml": MOTD + "MaxConcurrency: '1'\n",
            "documents/Motd.yaml": APPEND_DOCUMENT.replace(
                "sleep '{{ seconds }}'", "until [ -e /tmp/go ]; do sleep 0.1; done"
            ),
        }
    )
    for node in fleet.nodes:
        node.run(["rm", "-f", "/tmp/go"])
    daemon = daemon_of(site)
    away = site.folder / "away"
    try:
        wait_until(lambda: sum(ran(fleet)) == 1, "the first run begins")
        site.repo.rename(away)  # no remote to ask, and the roll-out has two nodes to go
        site.repo.mkdir()  # where the command stands
        site.command("pause", "--reason", "stop", check=0)
        for node in fleet.nodes:
            (node.root / "tmp/go").touch()  # what runs ends only now: the slot it frees is nobody's
        wait_until(lambda: passes(site) == 1, "the pass ends without waiting for what is paused")
        assert sum(ran(fleet)) == 1
        site.repo.rmdir()
        away.rename(site.repo)
        wait_until(lambda: "paused by" in site.command("status", str(site.repo)).stdout, "it is reported")
        site.command("resume", check=0)
        wait_until(lambda: ran(fleet) == [1, 1, 1], "the daemon goes on at once, an hour before its time")
    finally:
        assert end(daemon) == 0
    wait_until(lambda: site.command("once", str(site.repo)).returncode == 0, "everything is settled")
    assert ran(fleet) == [1, 1, 1]


def test_a_hold_file_binds_every_command_and_stands_in_every_report(site: Site, fleet: Fleet) -> None:
    assert site.once().all_in_sync
    hold = "mkdir -p /etc/reconciler; printf 'who: ana\\nwhy: disk swap\\n' > /etc/reconciler/hold"
    fleet.nodes[1].run(["sh", "-c", hold])
    assert site.once().all_in_sync
    assert "held by hold (ana: disk swap)" in site.git("show", "compliance:README.md")
    assert "held by hold (ana: disk swap)" in site.command("status", str(site.repo), check=0).stdout
    drift_everywhere(fleet)
    site.command("apply", "motd", "--repo", str(site.repo), check=2)
    assert ran(fleet) == [2, 1, 2]
    for command in (["status"], ["drift"], ["report"], ["plan"]):
        assert "held by hold (ana: disk swap)" in site.command(*command, str(site.repo), check=2).stdout, command
    assert "held by hold" in site.command("explain", "web-02", "--repo", str(site.repo)).stdout
    fleet.nodes[1].run(["rm", "/etc/reconciler/hold"])
    assert site.once().all_in_sync
