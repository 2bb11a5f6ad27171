"""Two processes with one state folder are one holder of the lease: the folder itself keeps them apart."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.commit import state_folder
from reconciler.commit.state_folder import writing_from
from reconciler.errors import LeaseLost, SettingsError
from tests.support.processes import has_ended
from tests.support.waiting import wait_until

HOLD = """
import sys
from pathlib import Path
from reconciler.commit.state_folder import writing_from

with writing_from(Path(sys.argv[1]), "daemon"):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_second_process_is_told_who_writes_and_kill_9_lets_go(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"holds\n"
    with pytest.raises(LeaseLost, match=f"daemon, process {holder.pid}"), writing_from(tmp_path, "once"):
        pytest.fail("two writers")
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with writing_from(tmp_path, "once"):
        pass


FORK = """
import os, sys
from pathlib import Path
from reconciler.commit.state_folder import writing_from

with writing_from(Path(sys.argv[1]), "a pass"):
    child = os.fork()
    if child == 0:
        sys.stdin.buffer.readline()
        os._exit(0)
    print(child, flush=True)
    os.kill(os.getpid(), 9)
"""


@contextmanager
def gone_but_for_a_fork(state_dir: Path) -> Iterator[Callable[[], None]]:
    """Let a writer be killed of which a fork has not become another program yet; gives what ends that."""
    writer = subprocess.Popen(
        [sys.executable, "-c", FORK, str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    child = int(writer.stdout.readline())
    writer.wait()

    def end() -> None:
        with suppress(BrokenPipeError):
            os.write(writer.stdin.fileno(), b"go\n")
        wait_until(lambda: has_ended(child), "the fork ends")

    try:
        yield end
    finally:
        end()
        writer.stdin.close()
        writer.stdout.close()


def test_what_a_killed_writer_had_just_begun_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gone_but_for_a_fork(tmp_path) as end:
        clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: end())
        monkeypatch.setattr(state_folder, "time", clock)
        with writing_from(tmp_path, "once"):
            pass


def test_what_a_killed_writer_began_and_goes_on_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_folder, "_PATIENCE", 0.0)
    with gone_but_for_a_fork(tmp_path):
        told = pytest.raises(LeaseLost, match=r"a pass, process .* is gone; what it began holds the lock")
        with told, writing_from(tmp_path, "once"):
            pytest.fail("two writers")


def test_folder_is_free_again_after_its_writer_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with writing_from(tmp_path / "new", "once"):
            pass


def test_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="file"), writing_from(tmp_path / "file", "once"):
        pass
