"""One writer for one state folder: a `once` beside a daemon is the same holder of the lease, so the folder keeps them apart."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.errors import LeaseLost, SettingsError

_WRITER = "writer.lock"
_DAEMON = "daemon.lock"

_PATIENCE = 10.0
"""Seconds to wait for what a process that is gone had just begun: a fork of it has the lock until it becomes another program."""
_LOOK_AGAIN = 0.02
_PROCESS = re.compile(r", process (\d{1,10})\Z", re.ASCII)


@contextmanager
def writing_from(state_dir: Path, what: str) -> Iterator[None]:
    """Hold the state folder while `what` (as `a pass`) writes; `LeaseLost` names who holds it already.

    The kernel lets go when the process ends, however it ends.
    """
    with _holding(state_dir, _WRITER, what, "writes"):
        yield


@contextmanager
def serving_from(state_dir: Path) -> Iterator[None]:
    """Be the one daemon of this state folder; `LeaseLost` names the one that is there already."""
    with _holding(state_dir, _DAEMON, "a daemon", "serves"):
        yield


def is_served(state_dir: Path) -> bool:
    """Tell whether a daemon lives on this state folder: the lease is its, too."""
    return served_by(state_dir) is not None


def served_by(state_dir: Path) -> str | None:
    """Name the daemon that lives on this state folder; None: there is none."""
    return _holder(state_dir / _DAEMON)


def written_by(state_dir: Path) -> str | None:
    """Name who writes from this state folder now; None: nobody."""
    return _holder(state_dir / _WRITER)


def _holder(path: Path) -> str | None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _name(lock)
    finally:
        os.close(lock)
    return None


def _name(lock: int) -> str:
    return os.pread(lock, 200, 0).decode("utf-8", "replace") or "another process"


@contextmanager
def _holding(state_dir: Path, name: str, what: str, does: str) -> Iterator[None]:
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as exc:
        raise SettingsError(f"the state folder {state_dir} cannot be used: {exc.strerror}") from exc
    try:
        _take(lock, state_dir, does)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{what}, process {os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(lock)


def _take(lock: int, state_dir: Path, does: str) -> None:
    ends = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            name = _name(lock)
            gone = _is_gone(name)
            if not gone or time.monotonic() >= ends:
                left = " (it is gone; what it began holds the lock: end that)" if gone else ""
                raise LeaseLost(f"{name}{left}, {does} from the state folder {state_dir} already") from exc
        time.sleep(_LOOK_AGAIN)


def _is_gone(name: str) -> bool:
    """Tell whether the process that left its name is no more; one that left none counts as alive."""
    found = _PROCESS.search(name)
    if found is None:
        return False
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False
