"""`kill -9` of the daemon in every state of a run: every body runs once for each plan item, and the next passes go on."""

import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import pytest

from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import Request
from tests.support.nodes import Fleet, TestNode, start_fleet
from tests.support.site import APPEND_DOCUMENT, MOTD, Background, Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(900)]

RECOVERY_DEADLINE = 120.0


class Moment(Enum):
    """How far the first pass of a daemon has come, as the nodes' disks and the repository show it."""

    NOTHING = "no run on any node"
    CLAIMED = "a run folder, and nothing begun"
    WAITING = "a runner that waits for the node's lock"
    STARTED = "a run that has started"
    STEP = "a script at work"
    ENDED = "a run that has ended, and no report pushed"
    PUSHED = "a report pushed, and the node not told"
    TOLD = "everything said and done"


OF_STATE = {"waiting": Moment.WAITING, "started": Moment.STARTED, "step": Moment.STEP, "ended": Moment.ENDED}


@pytest.fixture
def fleet(tmp_path: Path, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(tmp_path / "fleet", count=3, systemd=1) as started:
        yield started


def run_folders(node: TestNode) -> list[Path]:
    runs = f"{node.root}/var/lib/reconciler/runs"
    try:
        return [Path(runs, name) for name in os.listdir(runs) if not name.startswith(".")]  # noqa: PTH208 - looked at a thousand times a second
    except FileNotFoundError:
        return []


def moment_of(folder: Path) -> Moment:
    """Read one run's folder, which may go while we look."""
    try:
        word = (folder / "state").read_text().splitlines()[-1].split(" ")[0]
    except (OSError, IndexError):
        return Moment.WAITING if (folder / "begun").exists() else Moment.CLAIMED
    return OF_STATE.get(word, Moment.WAITING)


class Watched:
    """What can be seen from outside of a daemon at work."""

    def __init__(self, site: Site, fleet: Fleet) -> None:
        self._ref = site.repo / ".git/refs/heads/compliance"
        self._nodes = fleet.nodes
        self._tip = self._read()

    def _read(self) -> str:
        return self._ref.read_text() if self._ref.exists() else ""

    def moments(self) -> set[Moment]:
        """Give every moment that some node is at."""
        found = {moment_of(folder) for node in self._nodes for folder in run_folders(node)}
        if self._read() != self._tip:
            found.discard(Moment.ENDED)
            return found | ({Moment.PUSHED} if found or any(map(run_folders, self._nodes)) else {Moment.TOLD})
        return found or {Moment.NOTHING}


def kill_at(daemon: Background, watched: Watched, wanted: Moment, chance: random.Random) -> set[Moment]:
    """Kill the daemon when the wanted moment is seen; gives what was seen then."""
    if wanted is Moment.NOTHING:
        time.sleep(chance.uniform(0.05, 1.0))
    ends = time.monotonic() + 60
    seen = watched.moments()
    while wanted not in seen and Moment.TOLD not in seen and time.monotonic() < ends:
        time.sleep(0.0015)
        seen = watched.moments()
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait(timeout=60)
    return seen


def recovered(controller: Controller) -> float:
    """Make passes until nothing is left; gives the seconds they took."""
    began = time.monotonic()
    while not (result := controller.one_pass(Request())).all_in_sync:
        left = [f"{n}: {f.finding.reason}" for n, r in result.reports.items() for f in r.findings]
        assert time.monotonic() - began < RECOVERY_DEADLINE, f"it is stuck: {left}; {result.problems}"
        time.sleep(0.05)
    return time.monotonic() - began


def kill_again_and_again(site: Site, fleet: Fleet, *, rounds: int, seed: int, forgetting: int) -> Counter[Moment]:
    """Each round: a new state, a daemon killed at a chosen moment, and a manager that goes on, `forgetting` times without memory."""
    chance = random.Random(seed)
    site.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    site.commit({"documents/Motd.yaml": APPEND_DOCUMENT.replace("default: '0'", "default: '0.3'")})
    with site.controller() as controller:
        recovered(controller)
    assert [bodies(node) for node in fleet.nodes] == [1] * len(fleet.nodes)
    forget = set(chance.sample(range(rounds), forgetting))
    met: Counter[Moment] = Counter()
    slowest = 0.0
    for turn in range(rounds):
        # Flapping is another test's subject: five repairs in 24 hours would end these.
        site.commit(
            {
                "state/associations/motd.yaml": MOTD.replace("managed by git\\n", f"turn {turn}\\n")
                + f"Parameters: {{text: ['turn {turn}']}}\n"
            }
        )
        watched = Watched(site, fleet)
        wanted = list(Moment)[turn % len(Moment)]
        met.update(kill_at(site.start("daemon", str(site.repo)), watched, wanted, chance))
        if turn in forget:
            shutil.rmtree(site.state_dir)
            site.state_dir.mkdir()
        with site.controller() as controller:
            slowest = max(slowest, recovered(controller))
        ran = [bodies(node) for node in fleet.nodes]
        assert ran == [turn + 2] * len(fleet.nodes), f"after kill {turn}, at {wanted}, forgetting: {turn in forget}"
        assert [run_folders(node) for node in fleet.nodes] == [[]] * len(fleet.nodes), "a run was left behind"
    for node in fleet.nodes:
        (node.root / "etc/motd").unlink()
    with site.controller() as controller:
        recovered(controller)
    ran = [bodies(node) for node in fleet.nodes]
    assert ran == [rounds + 2] * len(fleet.nodes), "a drift after all that was not repaired exactly once"
    print(f"{rounds} kills, {forgetting} with the state folder gone; slowest recovery {slowest:.1f} s")  # noqa: T201 - a long run tells its figures
    for moment in Moment:
        print(f"{met[moment]:5} times: {moment.value}")  # noqa: T201
    return met


def test_killed_in_every_state_of_a_run_its_body_runs_once(tmp_path: Path, fleet: Fleet) -> None:
    kill_again_and_again(Site(tmp_path / "site", fleet), fleet, rounds=len(Moment), seed=1, forgetting=2)


@pytest.mark.soak
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("seed", [2, 3])
def test_two_hundred_and_fifty_kills(tmp_path: Path, fleet: Fleet, seed: int) -> None:
    met = kill_again_and_again(Site(tmp_path / "site", fleet), fleet, rounds=256, seed=seed, forgetting=12)
    assert {moment.name: met[moment] for moment in Moment if met[moment] < 10} == {}
