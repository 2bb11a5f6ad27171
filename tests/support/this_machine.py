"""This very machine as a node that may be changed: one test at a time, and what it remembers of real runs kept apart."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REMEMBERED = Path("/var/lib/reconciler")
"""What this machine remembers of its runs as a node, where it is root who runs."""


@contextmanager
def this_machine_alone() -> Iterator[None]:
    """Hold this machine, whichever worker or run of the tests asks; leave its memory as it was."""
    with Path(tempfile.gettempdir(), f"reconciler-tests-{os.geteuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        aside = REMEMBERED.with_name(f"reconciler-aside-{os.getpid()}")
        if os.geteuid() == 0 and REMEMBERED.exists():
            REMEMBERED.rename(aside)
        try:
            yield
        finally:
            if os.geteuid() == 0:
                shutil.rmtree(REMEMBERED, ignore_errors=True)
            if aside.exists():
                aside.rename(REMEMBERED)
