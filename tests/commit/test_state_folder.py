"""Two processes with one state folder are one holder of the lease: the folder itself keeps them apart."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.commit.state_folder import writing_from
from reconciler.errors import LeaseLost, SettingsError

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


def test_folder_is_free_again_after_its_writer_ended(tmp_path: Path) -> None:
    for _ in range(2):
        with writing_from(tmp_path / "new", "once"):
            pass


def test_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="file"), writing_from(tmp_path / "file", "once"):
        pass
