"""Where git, the state folder or the output is damaged: what still works does, the rest says what to do, and doing it helps."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.run("init", "fleet", code=0)
    host.run("once", "fleet", code=0)
    return host


def shell(host: Host, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell as a user would; $RECONCILER is the program."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=host.folder / "fleet",
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "RECONCILER": f"{sys.executable} -m reconciler",
            **host.environment(),
        },
    )


def test_reports_that_do_not_read_are_begun_anew_as_the_message_says(host: Host) -> None:
    host.git("checkout", "--quiet", "compliance")
    host.commit({"compliance.json": '{"version": 99}'})
    host.git("checkout", "--quiet", "main")
    broken = host.git("rev-parse", "compliance")
    for command in ("status", "once", "report"):
        assert "reconciler once --new-history" in host.run(command, "fleet", code=1).err
    assert host.git("rev-parse", "compliance") == broken
    host.git("branch", "-D", "compliance")
    assert "reconciler once --new-history" in host.run("once", "fleet", code=2).out
    host.run("once", "fleet", "--new-history", "--dry-run", code=64)
    host.run("once", "fleet", "--new-history", code=0)
    assert "1 compliant" in host.run("status", "fleet", code=0).out


def test_garbage_in_the_state_folder_costs_no_pass(host: Host) -> None:
    for path in (host.state_dir / "facts").rglob("*.json"):
        path.write_bytes(b"\xff garbage")
    host.run("once", "fleet", code=0)


def test_two_passes_from_one_state_folder_do_not_meet(host: Host) -> None:
    before = host.git("for-each-ref")
    with (host.state_dir / "writer.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "writes from the state folder" in host.run("once", "fleet", code=1).err
        host.run("status", "fleet", code=0)
    assert host.git("for-each-ref") == before


def test_a_reader_that_goes_away_and_a_full_disk_end_without_a_traceback(host: Host) -> None:
    gone = shell(host, "$RECONCILER inventory show this-machine --format json | head -c 1")
    assert (gone.stdout, gone.stderr) == ("{", "")
    full = shell(host, "$RECONCILER inventory tables > /dev/full")
    assert (full.returncode, full.stdout) == (1, "")
    assert full.stderr == "reconciler: the output cannot be written: No space left on device\n"
