"""How far a command is that this host sends, for whoever asks meanwhile: a file in the state folder, which no record waits for.

The sender writes it anew where something changed, and takes it away once the record says more. One that a killed sender left
is what was known last; it is removed when the command it is of can say nothing more.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final
from uuid import UUID

from reconciler.commands.progress import Progress, decode_progress, encode_progress
from reconciler.commands.record import CommandRecord, Invocation
from reconciler.daemon.cancelling import FOLDER, is_being_sent

LOOK_AGAIN: Final = 0.5
"""Seconds between looks whether something is new."""

SHARE: Final = 20
"""It rests this many times as long as the last writing took: ten thousand nodes are megabytes."""

KEPT: Final = 40 * 86400
"""Seconds: what no command can be under way for any more (SSM: at most 30 days until it starts)."""


@contextmanager
def progress_told(state_dir: Path, record: CommandRecord) -> Iterator[Callable[[Invocation], None]]:
    """Give what takes news of a command's invocations, and keep the file until this ends. A full disk hinders no command."""
    progress, done = Progress(), Event()
    file = _file(state_dir, record.id)
    _prune(file.parent)

    def keep() -> None:
        rest = LOOK_AGAIN
        while not done.wait(rest):
            known = progress.take()
            if known is not None:
                began = time.monotonic()
                _write(file, encode_progress(record, known))
                rest = max(LOOK_AGAIN, SHARE * (time.monotonic() - began))

    thread = Thread(target=keep, name="progress", daemon=True)
    thread.start()
    try:
        yield progress.note
    finally:
        done.set()
        thread.join()
        file.unlink(missing_ok=True)


def read_progress(state_dir: Path, command: UUID) -> tuple[Invocation, ...]:
    """Give what the sender told last; nothing where it is not of this host, or the file does not read."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        return decode_progress(_file(state_dir, command).read_bytes())
    return ()


def being_sent(state_dir: Path) -> Mapping[UUID, tuple[Invocation, ...]]:
    """Give the commands whose sender lives on this host, each with what it told last."""
    found: dict[UUID, tuple[Invocation, ...]] = {}
    for lock in (state_dir / FOLDER).glob("*.sending"):
        with suppress(ValueError):
            command = UUID(lock.stem)
            if is_being_sent(state_dir, command):
                found[command] = read_progress(state_dir, command)
    return found


def _file(state_dir: Path, command: UUID) -> Path:
    return state_dir / FOLDER / f"{command}.progress"


def _write(file: Path, content: bytes) -> None:
    new = file.with_suffix(".progress-new")
    with suppress(OSError):
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
        new.replace(file)


def _prune(folder: Path) -> None:
    for left in folder.glob("*.progress*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > KEPT:
                left.unlink()
