"""How long a user waits for `reconciler --help`."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figure import Figure

BUDGET = 300.0


def help_figure(*, runs: int) -> Figure:
    """Start the installed command, several times."""
    command = Path(sys.executable).with_name("reconciler")
    took = [_timed(command) for _ in range(runs + 1)]
    return Figure(name="help", what="reconciler --help", values=tuple(took[1:]), unit="ms", budget=BUDGET)


def _timed(command: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run([str(command), "--help"], capture_output=True, text=True, check=True)
    took = time.perf_counter() - began
    assert "once" in done.stdout, "the help names the commands"
    return took * 1000
