"""Runs on real machines: over sshd, as root by sudo, under a plain init and under systemd."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.drift.definitions import Definition
from reconciler.ids import Digest
from reconciler.model.history import RunStatus
from reconciler.model.node import Become
from reconciler.model.outcome import Disposition, Outcome
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.sight import Standing
from tests.rollout.a_node import FLEET, MOTD, a_step, rendered
from tests.support.nodes import Fleet, TestNode, start_fleet
from tests.support.one_node import OneNode

pytestmark = [pytest.mark.nodes]

BODIES = "var/log/bodies"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(tmp_path_factory.mktemp("nodes"), count=2, systemd=1) as started:
        yield started


@pytest.fixture(params=["plain", "systemd"])
def server(fleet: Fleet, request: pytest.FixtureRequest) -> TestNode:
    node = fleet.nodes[0 if request.param == "plain" else -1]
    node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /release"])
    return node


class Manager(OneNode):
    """A management host with one association for one node."""

    def roll_out(self, script: str, *, n: int = 1, seconds: float = 60, epoch: int = 1, timeout: int = 60) -> Outcome:
        step = a_step(script, timeout=timedelta(seconds=timeout))
        definition = Definition(digest=Digest("e" * 64), rendered=rendered(step))
        return self.carry_out(definition, fleet=FLEET, association=MOTD, n=n, epoch=epoch, seconds=seconds)


def bodies(server: TestNode) -> list[str]:
    path = server.root / BODIES
    return path.read_text().split() if path.exists() else []


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_document_runs_as_root_in_clean_surroundings(server: TestNode) -> None:
    outcome = Manager(server).roll_out("id -un; env | sort; cat /proc/self/cgroup >/var/log/bodies; umask; pwd\n")
    assert outcome.record is not None
    assert outcome.record.status is RunStatus.SUCCESS
    lines = outcome.record.steps[0].stdout.decode().splitlines()
    assert lines[0] == "root"
    assert lines[-2:] == ["0022", "/"]
    assert "HOME=/root" in lines
    names = {line.partition("=")[0] for line in lines[1:] if "=" in line}
    assert names == {
        "AWS_SSM_INSTANCE_ID",
        "AWS_SSM_PLATFORM_NAME",
        "AWS_SSM_PLATFORM_VERSION",
        "AWS_SSM_REGION_NAME",
        "HOME",
        "PATH",
        "PWD",
        "SSM_COMMAND_ID",
    }
    if server.systemd:
        # Not below the login's session, which ends with its connection where logind is told so.
        assert "/system.slice/reconciler-" in (server.root / BODIES).read_text()
    assert (server.root / "var/lib/reconciler").stat().st_mode & 0o777 == 0o700


def test_a_script_of_a_node_without_perl_ignores_no_signal(server: TestNode) -> None:
    """As a unit does, unless it is told not to."""
    server.run(["mv", "/usr/bin/perl", "/usr/bin/perl.away"])
    try:
        outcome = Manager(server).roll_out("yes 2>/dev/null | head -n 1\ngrep SigIgn /proc/$$/status\n")
    finally:
        server.run(["mv", "/usr/bin/perl.away", "/usr/bin/perl"])
    assert outcome.record is not None
    said, mask = outcome.record.steps[0].stdout.decode().splitlines()
    assert said == "y"
    assert not int(mask.split()[1], 16) >> (signal.SIGPIPE - 1) & 1


def test_a_login_user_without_root_has_a_root_of_its_own(server: TestNode) -> None:
    server.run(["sh", "-c", "rm -rf ~ops/.local"])
    outcome = Manager(server, become=Become.NONE).roll_out("id -un\n")
    assert outcome.record is not None
    assert outcome.record.steps[0].stdout == b"ops\n"
    assert not (server.root / "var/lib/reconciler").exists()


def test_a_connection_killed_during_a_script_loses_nothing_and_repeats_nothing(server: TestNode) -> None:
    outcomes: list[Outcome] = []
    script = f"echo begun; echo ran >>/{BODIES}; until [ -e /release ]; do sleep 0.1; done; echo done\n"
    manager = threading.Thread(target=lambda: outcomes.append(Manager(server).roll_out(script)))
    manager.start()
    wait_for(lambda: bodies(server) == ["ran"])
    assert server.kill_connections() >= 1
    (server.root / "release").touch()
    manager.join(60)
    (outcome,) = outcomes
    assert outcome.record is not None
    assert (outcome.disposition, outcome.record.status) == (Disposition.RAN, RunStatus.SUCCESS)
    assert outcome.record.steps[0].stdout == b"begun\ndone\n"
    assert bodies(server) == ["ran"]


def test_a_run_goes_on_without_any_manager_and_another_one_attaches(server: TestNode) -> None:
    script = f"echo ran >>/{BODIES}; until [ -e /release ]; do sleep 0.1; done; echo done\n"
    first = Manager(server).roll_out(script, seconds=1)
    assert first.disposition is Disposition.RUNNING
    (server.root / "release").touch()
    second = Manager(server).roll_out(script, epoch=2)
    assert second.record is not None
    assert (second.disposition, second.record.steps[0].stdout) == (Disposition.RAN, b"done\n")
    assert bodies(server) == ["ran"]


def test_a_node_that_goes_down_during_a_step_fails_that_run_and_repeats_nothing(server: TestNode) -> None:
    script = f"echo ran >>/{BODIES}; sleep 600\n"
    assert Manager(server).roll_out(script, seconds=1).disposition is Disposition.RUNNING
    wait_for(lambda: bodies(server) == ["ran"])
    server.reboot()
    outcome = Manager(server).roll_out(script)
    assert outcome.record is not None
    assert (outcome.record.status, outcome.record.detail) == (RunStatus.FAILED, "the node went down during step1")
    assert bodies(server) == ["ran"]
    assert Manager(server).roll_out(f"echo again >>/{BODIES}\n", n=2).disposition is Disposition.RAN
    assert bodies(server) == ["ran", "again"]


def test_a_daemon_that_a_script_starts_outlives_it(server: TestNode) -> None:
    script = "setsid sh -c 'until [ -e /release ]; do sleep 0.1; done; echo daemon >>/var/log/bodies' & echo started\n"
    outcome = Manager(server).roll_out(script)
    assert outcome.record is not None
    assert (outcome.record.status, outcome.record.steps[0].stdout) == (RunStatus.SUCCESS, b"started\n")
    (server.root / "release").touch()
    wait_for(lambda: bodies(server) == ["daemon"])


def test_a_runner_that_is_killed_is_told_and_its_script_never_repeated(server: TestNode) -> None:
    outcome = Manager(server).roll_out(f"echo ran >>/{BODIES}; kill -9 $PPID\n")
    assert outcome.record is not None
    assert (outcome.disposition, outcome.record.status) == (Disposition.RAN, RunStatus.FAILED)
    assert outcome.record.detail == "the run was killed from outside during step1: its exit status is unknown"
    assert bodies(server) == ["ran"]


def test_a_script_gets_no_descriptor_but_its_own(server: TestNode) -> None:
    outcome = Manager(server).roll_out("ls /proc/$$/fd\nexit 0\n")
    assert outcome.record is not None
    shells = {"10", "255"}  # where a shell keeps the script that it reads
    assert set(outcome.record.steps[0].stdout.decode().split()) - shells == {"0", "1", "2"}


def test_a_running_script_is_cancelled_with_its_children(server: TestNode) -> None:
    manager = Manager(server)
    outcome = manager.roll_out(f"echo ran >>/{BODIES}; sleep 601 & sleep 602\n", seconds=1)
    assert outcome.record is not None
    runs = NodeRuns(OutputKeeper(None))
    with manager.pool() as pool, pool.connect(manager.node) as session:
        wait_for(lambda: bodies(server) == ["ran"])
        sight = runs.cancel(session, outcome.record.run, become=True)
    assert (sight.standing, sight.status) == (Standing.ENDED, "Cancelled")
    wait_for(lambda: server.run(["pgrep", "-f", "sleep 60[12]"], check=False).stdout == "")


def test_a_full_disk_is_named_and_nothing_runs(tmp_path: Path, require_nodes: None) -> None:
    with start_fleet(tmp_path, count=1, disk_mb=8) as small:
        (server,) = small.nodes
        server.fill_disk()
        outcome = Manager(server).roll_out(f"echo ran >>/{BODIES}\n")
        assert outcome.disposition is Disposition.HELD_BACK
        assert "no space left on the node" in outcome.reason
        assert bodies(server) == []
        server.free_disk()
        assert Manager(server).roll_out(f"echo ran >>/{BODIES}\n").disposition is Disposition.RAN
        assert bodies(server) == ["ran"]


def test_a_script_that_fills_the_disk_still_has_a_result(tmp_path: Path, require_nodes: None) -> None:
    with start_fleet(tmp_path, count=1, disk_mb=8) as small:
        (server,) = small.nodes
        outcome = Manager(server).roll_out("dd if=/dev/zero of=/fill bs=64k 2>/dev/null\nexit 5\n")
        assert outcome.record is not None
        assert (outcome.disposition, outcome.record.status) == (Disposition.RAN, RunStatus.FAILED)
        assert outcome.record.exit_code == 5
