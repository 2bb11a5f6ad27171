"""A command of tests that is forked from a loaded program ends and speaks as one that is started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.left_behind import processes_mentioning
from tests.support.processes import has_ended
from tests.support.waiting import wait_until
from tests.support.warm_program import run_warm, start_warm


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--help"], id="it says something"),
        pytest.param(["status", "nowhere"], id="it fails"),
        pytest.param(["status", "\udcff"], id="it is asked for what is no text"),
        pytest.param(["schedule", "next", "rate(0 days)"], id="it is used wrongly"),
    ],
)
def test_it_ends_and_speaks_alike(arguments: list[str], tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    started = subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env=env,
        text=True,
        timeout=60,
    )
    forked = run_warm(arguments, cwd=tmp_path, env=env, timeout=60)
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_its_environment_is_its_own(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RECONCILER_STATE_DIR": "/proc/nowhere"}
    done = run_warm(["status", "."], cwd=tmp_path, env=env, timeout=60)
    assert "/proc/nowhere" in done.stderr


def test_it_is_killed_where_it_takes_too_long(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "git").write_text(f"#!/bin/sh\necho $$ >{pid}.new\nmv {pid}.new {pid}\nexec sleep 600\n")
    (tmp_path / "git").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    with pytest.raises(subprocess.TimeoutExpired):
        run_warm(["status", "https://127.0.0.1:9/x", "--state-dir", "state"], cwd=tmp_path, env=env, timeout=1)
    wait_until(lambda: pid.exists() or not processes_mentioning(str(tmp_path)), "its git has begun, or never will")
    if pid.exists():  # what it began is not its own to end
        os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Give arguments and an environment with which it waits for a git that says that it has begun, and never ends."""
    (tmp_path / "git").write_text(f"#!/bin/sh\nexec >{tmp_path}/begun\nexec sleep 600\n")
    (tmp_path / "git").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    yield ["status", "https://127.0.0.1:9/x", "--state-dir", "state"], env
    for left in processes_mentioning(str(tmp_path)):  # what it began is not its own to end
        os.kill(left, signal.SIGKILL)


def test_in_the_background_it_is_waited_for_and_signalled_as_any_other(
    waiting: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    arguments, env = waiting
    with (tmp_path / "said").open("w") as said:
        process = start_warm(arguments, cwd=tmp_path, env=env, out=said, err=said)
        wait_until((tmp_path / "begun").exists, "it runs")
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
        process.terminate()
        assert process.poll() == process.returncode == -signal.SIGKILL
        assert start_warm(["--help"], cwd=tmp_path, env=env, out=said, err=said).wait(60) == 0
    assert "reconciler" in (tmp_path / "said").read_text()


def test_in_the_background_it_is_killed_once_nobody_waits(
    waiting: tuple[list[str], dict[str, str]], tmp_path: Path
) -> None:
    arguments, env = waiting
    with (
        (tmp_path / "said").open("w") as said,
        start_warm(arguments, cwd=tmp_path, env=env, out=said, err=said) as process,
    ):
        wait_until((tmp_path / "begun").exists, "it runs")
    wait_until(lambda: has_ended(process.pid), "it has ended")
