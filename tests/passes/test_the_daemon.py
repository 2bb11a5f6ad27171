"""The daemon: wakes for commits, drains, survives being killed; every body runs exactly once for each plan item."""

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.nodes import Fleet, start_fleet
from tests.support.site import APPEND_DOCUMENT, MOTD, Background, Site, bodies
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(tmp_path_factory.mktemp("fleet"), count=4, systemd=2) as started:
        yield started


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    return made


def end(daemon: Background, number: int = signal.SIGTERM) -> int:
    daemon.send_signal(number)
    return daemon.wait(timeout=60)


def log_lines(site: Site) -> list[dict[str, object]]:
    return [json.loads(line) for line in (site.folder / "daemon.log").read_text().splitlines() if line.startswith("{")]


def passes(site: Site) -> int:
    log = site.folder / "daemon.log"
    return 0 if not log.exists() else sum(line.get("event") == "pass" for line in log_lines(site))


def daemon_of(site: Site) -> Background:
    return site.start("daemon", str(site.repo), "--log-format", "json")


def test_a_new_commit_wakes_it_at_once_and_sigterm_drains_it(site: Site, fleet: Fleet) -> None:
    daemon = daemon_of(site)
    try:
        wait_until(lambda: all(bodies(node) == 1 for node in fleet.nodes), "the first pass applies")
        wait_until(lambda: passes(site) >= 1, "the first pass is logged")
        better = MOTD.replace("managed by git\\n", "better\\n") + "Parameters: {text: [better]}\n"
        site.commit({"state/associations/motd.yaml": better})
        # The interval is an hour: only the commit can have woken it.
        wait_until(lambda: all(bodies(node) == 2 for node in fleet.nodes), "the commit is applied")
    finally:
        assert end(daemon) == 0
    nodes = [line for line in log_lines(site) if line.get("event") == "node"]
    assert {line["node"] for line in nodes} == {"web-01", "web-02", "web-03", "web-04"}


def test_sigterm_during_a_run_leaves_it_running_and_the_next_pass_settles_it(site: Site, fleet: Fleet) -> None:
    slow = APPEND_DOCUMENT.replace("default: '0'", "default: '4'")
    site.commit({"documents/Motd.yaml": slow})
    daemon = daemon_of(site)
    wait_until(lambda: bodies(fleet.nodes[0]) == 1, "a run begins")
    assert end(daemon) == 0
    result = site.command("once", str(site.repo))
    wait_until(lambda: site.command("once", str(site.repo)).returncode == 0, f"it settles: {result.stdout}")
    assert [bodies(node) for node in fleet.nodes] == [1] * len(fleet.nodes)


@pytest.mark.parametrize(
    "seconds", [pytest.param(5, id="5 seconds"), pytest.param(20, id="20 seconds", marks=pytest.mark.soak)]
)
def test_the_connection_dies_during_a_script_and_the_result_is_whole(site: Site, fleet: Fleet, seconds: int) -> None:
    site.commit({"documents/Motd.yaml": APPEND_DOCUMENT.replace("default: '0'", f"default: '{seconds}'")})
    running = site.start("once", str(site.repo))
    # The first node goes alone (canary), the others once it is confirmed: each loses its connection in mid-script.
    wait_until(lambda: any(bodies(node) == 1 for node in fleet.nodes), "the first script runs")
    cut = sum(node.kill_connections() for node in fleet.nodes)
    wait_until(lambda: all(bodies(node) == 1 for node in fleet.nodes), "the other scripts run", 60 + seconds)
    cut += sum(node.kill_connections() for node in fleet.nodes)
    assert cut > len(fleet.nodes)
    running.wait(timeout=100)
    wait_until(lambda: site.command("once", str(site.repo)).returncode == 0, "settled")
    assert [bodies(node) for node in fleet.nodes] == [1] * len(fleet.nodes)
    listed = json.loads(site.command("runs", "list", str(site.repo), "--format", "json", check=0).stdout)["runs"]
    assert {run["status"] for run in listed} == {"Success"}


def unchanged_passes(site: Site, fleet: Fleet, *, count: int, seed: int) -> None:
    """Passes over an unchanged fleet: no commit, no body, every node contacted; one hand edit is found by the next pass."""
    from reconciler.daemon.passing import Request  # noqa: PLC0415 - used by this scenario alone

    chance = random.Random(seed)
    edit_after = chance.randrange(2, count - 2)
    edited = chance.choice(list(fleet.nodes))
    with site.controller() as controller:
        wait_until(lambda: controller.one_pass(Request()).all_in_sync, "the fleet is in sync")
        commits, ran = site.reports(), [bodies(node) for node in fleet.nodes]
        for number in range(count):
            before = [node.heard() for node in fleet.nodes]
            result = controller.one_pass(Request())
            for heard, node in zip(before, fleet.nodes, strict=True):
                assert any(read > heard.get(process, 0) for process, read in node.heard().items()), (
                    f"{node.name} was not contacted in pass {number}"
                )
            if number == edit_after + 1:
                assert [outcome.node for outcome in result.outcomes], "the hand edit was not found by the next pass"
                ran = [bodies(node) for node in fleet.nodes]
                commits = site.reports()
            else:
                assert result.outcomes == ()
                made = result.report_commit
                assert made is None or site.is_about_shared_ports(made), site.git("show", "--unified=0", str(made))
            if number == edit_after:
                (edited.root / "etc/motd").write_text("by hand\n")
        assert site.reports() == commits
        assert [bodies(node) for node in fleet.nodes] == ran


def test_twelve_passes_over_an_unchanged_fleet_commit_nothing(site: Site, fleet: Fleet) -> None:
    unchanged_passes(site, fleet, count=12, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_two_hundred_passes_over_an_unchanged_fleet_commit_nothing(site: Site, fleet: Fleet) -> None:
    unchanged_passes(site, fleet, count=200, seed=4)
