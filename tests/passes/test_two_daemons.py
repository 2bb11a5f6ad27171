"""Two daemons, one fleet, and the leader stopped at any moment for any time: every body runs exactly once."""

import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.passes.test_the_daemon import end, wait_until
from tests.passes.test_writers import Second, lease
from tests.support.nodes import Fleet, TestNode
from tests.support.site import APPEND_DOCUMENT, MOTD, Background, Site

pytestmark = [pytest.mark.nodes]
NODES = 3


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(2 seconds)\n")
    document = APPEND_DOCUMENT.replace("echo run >>", "echo '{{ text }}' >>").replace("default: '0'", "default: '1'")
    made.commit({"documents/Motd.yaml": document, "state/associations/motd.yaml": turn_of(0)})
    return made


@pytest.mark.timeout(300)
def test_leaders_are_stopped_and_nothing_runs_twice(site: Site, fleet: Fleet) -> None:
    stop_leaders(site, fleet, passes=10, seed=5)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_passes_of_two_daemons(site: Site, fleet: Fleet) -> None:
    stop_leaders(site, fleet, passes=200, seed=6)


def turn_of(turn: int) -> str:
    return MOTD.replace("managed by git\\n", f"turn {turn}\\n") + f"Parameters: {{text: ['turn {turn}']}}\n"


def said(node: TestNode) -> Counter[str]:
    log = node.root / "var/log/bodies"
    return Counter(log.read_text().splitlines()) if log.exists() else Counter()


def stop_leaders(site: Site, fleet: Fleet, *, passes: int, seed: int) -> None:
    """Each turn is a new definition, and a leader that is stopped somewhere in it, for longer than its lease or not."""
    chance = random.Random(seed)
    hosts = [Second(site, "one"), Second(site, "two")]
    daemons: list[Background] = [host.daemon() for host in hosts]
    turn, stopped, epochs = 0, 0, set[object]()
    try:
        while sum(len(host.events("pass")) for host in hosts) < passes or turn < 2:
            wait_until(lambda turn=turn: all(said(node)[f"turn {turn}"] for node in fleet.nodes), f"turn {turn}", 120)
            turn += 1
            site.commit({"state/associations/motd.yaml": turn_of(turn)})
            time.sleep(chance.uniform(0, 3))
            leader = leading(site, hosts)
            epochs.add(lease(site)["epoch"])
            daemons[leader].send_signal(signal.SIGSTOP)
            stopped += 1
            time.sleep(14 if stopped == 1 else chance.choice((0.5, 3, 14)))  # a lease is of eight seconds
            daemons[leader].send_signal(signal.SIGCONT)
        wait_until(lambda: all(said(node)[f"turn {turn}"] for node in fleet.nodes), f"turn {turn}", 120)
    finally:
        for daemon in daemons:
            daemon.send_signal(signal.SIGCONT)
            assert end(daemon) == 0
    epochs.add(lease(site)["epoch"])
    assert len(epochs) > 1, "nobody ever took over"
    site.commit({"state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\n"})
    wait_until(lambda: site.command("once", str(site.repo)).returncode == 0, "everything is settled", 120)
    # A turn that was overtaken by the next one need not have run everywhere; nothing ran twice anywhere.
    for node in fleet.nodes:
        assert set(said(node).values()) == {1}, said(node)
        assert list((node.root / "var/lib/reconciler/runs").iterdir()) == []
    made = sum(len(host.events("pass")) for host in hosts)
    told = f"{made} passes, {turn} definitions, {stopped} leaders stopped, {len(epochs)} epochs; no body ran twice"
    print(told)  # noqa: T201 - for docs/reliability.md


def leading(site: Site, hosts: list[Second]) -> int:
    holder = str(lease(site)["holder"])
    return next((number for number, host in enumerate(hosts) if holder.endswith(str(host.state_dir))), 0)
