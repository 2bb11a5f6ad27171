"""One writer for one state folder: a `once` beside a daemon is the same holder of the lease, so the folder keeps them apart."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import LeaseLost, SettingsError

_LOCK = "writer.lock"


@contextmanager
def writing_from(state_dir: Path, what: str) -> Iterator[None]:
    """Hold the state folder while `what` (as `daemon`) writes; `LeaseLost` names who holds it already.

    The kernel lets go when the process ends, however it ends.
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise SettingsError(f"the state folder {state_dir} cannot be used: {exc.strerror}") from exc
    try:
        _take(lock, state_dir)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{what}, process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(lock)


def _take(lock: int, state_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        who = os.pread(lock, 200, 0).decode("utf-8", "replace") or "another process"
        raise LeaseLost(f"{who}, writes from the state folder {state_dir} already") from exc
