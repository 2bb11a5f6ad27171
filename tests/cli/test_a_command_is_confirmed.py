"""A command for many nodes is sent once somebody has typed their number on a terminal, and not before."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Host

NODES = "---\n".join(f"Id: n{number:02}\nAddress: 127.0.0.1\nTags: {{Role: web}}\n" for number in range(12))


def on_a_terminal(host: Host, typed: str, *arguments: str) -> tuple[int, str]:
    """Run a command with a terminal, type one line; gives the exit code and standard output."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=host.folder,
            env={**os.environ, **host.environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
        ) as process:
            os.write(ours, f"{typed}\n".encode())  # the terminal keeps it until it is read
            out, _ = process.communicate(timeout=100)
            said = os.read(ours, 65_536).decode("utf-8", "replace")
    finally:
        os.close(theirs)
        os.close(ours)
    return process.returncode, out + said


@pytest.mark.parametrize(
    ("typed", "code", "word"),
    [
        pytest.param("12", 2, "Undeliverable", id="their number"),
        pytest.param("yes", 64, "not confirmed: nothing was sent", id="something else"),
        pytest.param("", 64, "not confirmed: nothing was sent", id="nothing"),
    ],
)
def test_their_number_is_typed(tmp_path: Path, typed: str, code: int, word: str) -> None:
    host = Host(tmp_path)
    host.commit({"state/fleet.yaml": "Fleet: example\n", "state/nodes/all.yaml": NODES})
    options = ("--document-name", "AWS-Noop", "--targets", "Key=tag:Role,Values=web", "--repo", "fleet")
    met, said = on_a_terminal(host, typed, "send-command", *options)
    assert (met, word in said) == (code, True), said
    assert "Type 12 to send it to 12 nodes" in said
    assert bool(host.git("branch", "--list", "compliance")) == (code == 2)
