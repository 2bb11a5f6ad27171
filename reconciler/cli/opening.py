"""Opens what commands work with: host settings, state folder, the controller; and turns signals into a stop event."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

from reconciler.daemon.own_repository import open_repository, read_reports_ahead
from reconciler.errors import SettingsError
from reconciler.settings import read_host_settings

if TYPE_CHECKING:  # it takes long to load: git reads meanwhile
    from reconciler.daemon.controller import Controller

_NAME_ANOTHER = "name another with --state-dir or RECONCILER_STATE_DIR"


def state_folder_path(given: object) -> Path:
    """Give where the manager's state folder is, or would be."""
    if isinstance(given, Path):
        return given.expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/reconciler-daemon")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "reconciler-daemon"


def state_folder(given: Path | None) -> Path:
    """Give the manager's state folder, made with mode 0700 where it is missing."""
    folder = state_folder_path(given)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsError(f"{folder}: no folder to keep state in ({exc.strerror}); {_NAME_ANOTHER}") from exc
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise SettingsError(f"{folder}: the state folder cannot be read and written by this user; {_NAME_ANOTHER}")
    return folder


@contextmanager
def open_controller(
    repo: str, state_dir: object, host_settings: object, *, reads_reports: bool = False
) -> "Iterator[Controller]":
    """Open a controller and close it whatever happens: no thread and no connection outlives a command.

    `reads_reports`: the command will ask for every node's last report; git begins before the rest of us is loaded.
    """
    settings = read_host_settings(host_settings if isinstance(host_settings, Path) else None)
    folder = state_folder(state_dir if isinstance(state_dir, Path) else None)
    repository = open_repository(repo, settings, folder)
    try:
        if reads_reports:
            read_reports_ahead(repository)
        from reconciler.daemon.controller import Controller

        controller = Controller(repository, settings=settings, state_dir=folder)
    except BaseException:
        repository.close()
        raise
    try:
        yield controller
    finally:
        controller.close()


@contextmanager
def interruptible() -> Iterator[Event]:
    """Give an event that SIGINT or SIGTERM sets; a second signal interrupts at once."""
    stop = Event()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
