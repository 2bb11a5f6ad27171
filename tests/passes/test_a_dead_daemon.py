"""A dead daemon does not look green: whoever reads the report is told that nobody stands behind it any more."""

import json
import signal
from pathlib import Path

import pytest

from tests.passes.test_the_daemon import daemon_of, passes, wait_until
from tests.support.nodes import Fleet
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 2


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(5 seconds)\n")
    return made


def test_a_daemon_that_was_killed_leaves_no_green_behind(site: Site) -> None:
    daemon = daemon_of(site)
    try:
        wait_until(lambda: passes(site) >= 2, "two passes")
    finally:
        daemon.send_signal(signal.SIGKILL)
        daemon.wait(timeout=60)
    wait_until(lambda: site.command("status", str(site.repo)).returncode == 2, "two intervals are missed")
    status = site.command("status", str(site.repo), check=2).stdout
    assert "NOT VALID NOW: the last pass ended at" in status
    assert "2 nodes, 0 compliant, 0 not, 2 unknown" in status
    report = site.command("report", str(site.repo), check=2).stdout
    assert "All 2 nodes are compliant" in report  # what stood there when it lived, and right below
    assert "NOT VALID NOW" in report
    for command in ("status", "report"):
        document = json.loads(site.command(command, str(site.repo), "--format", "json", check=2).stdout)
        assert document["stale"].startswith("the last pass ended at")
        assert document["counts"] == {"COMPLIANT": 0, "NON_COMPLIANT": 0, "UNKNOWN": 2}
    assert site.command("drift", str(site.repo), check=2).stdout.count("UNKNOWN: the last pass ended") == 2

    site.git("update-ref", "refs/reconciler/heartbeat", site.git("hash-object", "-w", "--stdin", stdin="garbage"))
    assert "refs/reconciler/heartbeat of" in site.command("status", str(site.repo), check=2).stdout
    site.commit({"state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\n"})
    assert site.once().all_in_sync
    assert site.command("status", str(site.repo)).returncode == 0
