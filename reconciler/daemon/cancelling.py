"""Ending a command that is being sent: the sender holds a lock in the state folder, and looks for a file beside it."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import orjson

from reconciler.ids import NodeId

FOLDER = "commands"
LOOK_AGAIN = 0.5
"""Seconds between looks at the file: many threads ask."""
MOST_BYTES = 1 << 16


class Cancel:
    """Whether somebody asked to end one command, everywhere or on some nodes. Safe for several threads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._looked = 0.0
        self._asked = False
        self._nodes: frozenset[NodeId] | None = None

    @property
    def asked(self) -> bool:
        """Whether anybody asked for anything."""
        self._look()
        return self._asked

    def of(self, node: NodeId) -> bool:
        """Whether this node's invocation is to end."""
        self._look()
        return self._asked and (self._nodes is None or node in self._nodes)

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_AGAIN:
            return
        self._looked = now
        try:
            content = self._file.read_bytes()[:MOST_BYTES]
        except OSError:
            return
        try:
            named = orjson.loads(content)["nodes"]
            nodes = None if named is None else frozenset(NodeId(str(name)) for name in named)
        except (ValueError, KeyError, TypeError):
            nodes = None  # whoever asked meant an end
        self._nodes, self._asked = nodes, True


@contextmanager
def sending(state_dir: Path, command: UUID) -> Iterator[Cancel]:
    """Be the sender of a command: others can tell that it lives, and can ask it for the end."""
    folder = state_dir / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock_file, cancel_file = folder / f"{command}.sending", folder / f"{command}.cancel"
    lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Cancel(cancel_file)
    finally:
        lock_file.unlink(missing_ok=True)
        cancel_file.unlink(missing_ok=True)
        os.close(lock)


def is_being_sent(state_dir: Path, command: UUID) -> bool:
    """Tell whether the sender of a command lives on this host."""
    try:
        lock = os.open(state_dir / FOLDER / f"{command}.sending", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def is_to_end(state_dir: Path, command: UUID) -> bool:
    """Tell whether somebody asked for the end of a command that is being sent, on some nodes or everywhere."""
    return (state_dir / FOLDER / f"{command}.cancel").exists()


def ask_to_end(state_dir: Path, command: UUID, nodes: tuple[NodeId, ...]) -> None:
    """Ask the sender to end a command: on these nodes, or everywhere where none is named."""
    file = state_dir / FOLDER / f"{command}.cancel"
    new = file.with_suffix(f".{os.getpid()}")
    new.touch(mode=0o600)
    new.write_bytes(orjson.dumps({"nodes": list(nodes) or None}))
    new.replace(file)
