"""Wakes the loop when the refs of a local repository change. Level, not edge: it only says "look again"."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

CHANGES = frozenset({"created", "modified", "moved", "deleted", "closed"})
"""What a ref update looks like; mere reading (opened, closed_no_write) does not wake."""


class _RefChanges(FileSystemEventHandler):
    """Sets the event for every change of a ref that is not one of our own reports."""

    def __init__(self, wake: Event, ours: tuple[str, ...]) -> None:
        self._wake = wake
        self._ours = ours

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Look at the path alone: what the ref says now is the pass's business."""
        paths = [str(event.src_path), str(event.dest_path)]
        if event.event_type not in CHANGES or event.is_directory or all(p == "" for p in paths):
            return
        if all(p.endswith(".lock") or not p or any(ours in p for ours in self._ours) for p in paths):
            return
        self._wake.set()


class _PauseChanges(FileSystemEventHandler):
    """Sets the event when the file of pauses is replaced: what was resumed is not to wait for the interval."""

    def __init__(self, wake: Event, file: Path) -> None:
        self._wake = wake
        self._file = str(file)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Look at the path alone: what the file says now is the pass's business."""
        if event.event_type in CHANGES and self._file in {str(event.src_path), str(event.dest_path)}:
            self._wake.set()


@contextmanager
def watching_pauses(file: Path, wake: Event) -> Iterator[None]:
    """Set `wake` whenever the file of pauses is made, replaced or removed."""
    observer = Observer()
    observer.schedule(_PauseChanges(wake, file), str(file.parent), recursive=False)
    observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()


@contextmanager
def watching(git_directory: Path, wake: Event, *, reports_branch: str) -> Iterator[None]:
    """Set `wake` whenever a ref of the repository at `git_directory` changes, except our own reports' refs.

    A `git pack-refs` or a gc wakes too: one pass over nothing is cheaper than a missed commit.
    """
    observer = Observer()
    handler = _RefChanges(wake, (f"refs/heads/{reports_branch}", "refs/reconciler/", "/logs/"))
    refs = git_directory / "refs"
    if refs.is_dir():
        observer.schedule(handler, str(refs), recursive=True)
    packed = _PackedRefs(wake, git_directory)
    observer.schedule(packed, str(git_directory), recursive=False)
    observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()


class _PackedRefs(FileSystemEventHandler):
    """`packed-refs` and `HEAD` lie beside `refs/`, among files that change with every commit."""

    def __init__(self, wake: Event, git_directory: Path) -> None:
        self._wake = wake
        self._watched = {str(git_directory / name) for name in ("packed-refs", "HEAD")}

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Wake for those two files alone."""
        if event.event_type in CHANGES and ({str(event.src_path), str(event.dest_path)} & self._watched):
            self._wake.set()
