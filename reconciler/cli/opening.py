"""Opens what commands work with: host settings, state folder, the controller; and turns signals into a stop event."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from reconciler.daemon.own_repository import open_repository, read_reports_ahead
from reconciler.errors import SettingsError
from reconciler.settings import read_host_settings

if TYPE_CHECKING:  # they take long to load: git reads meanwhile
    from reconciler.daemon.controller import Controller
    from reconciler.daemon.repository_view import RepositoryView

    View = TypeVar("View", bound=RepositoryView)

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


def open_view(repo: str, state_dir: object, host_settings: object) -> "AbstractContextManager[RepositoryView]":
    """Open what git and this host's own files tell, reports and all, and close it whatever happens."""

    def load() -> "type[RepositoryView]":
        from reconciler.daemon.repository_view import RepositoryView

        return RepositoryView

    return _opened(load, repo, state_dir, host_settings, reads_reports=True)


def open_controller(
    repo: str, state_dir: object, host_settings: object, *, reads_reports: bool = False
) -> "AbstractContextManager[Controller]":
    """Open a controller and close it whatever happens: no thread and no connection outlives a command.

    `reads_reports`: the command will ask for every node's last report.
    """

    def load() -> "type[Controller]":
        from reconciler.daemon.controller import Controller

        return Controller

    return _opened(load, repo, state_dir, host_settings, reads_reports=reads_reports)


@contextmanager
def _opened(
    load: "Callable[[], type[View]]", repo: str, state_dir: object, host_settings: object, *, reads_reports: bool
) -> "Iterator[View]":
    """Open our clone, and what `load` gives upon it: git begins to read reports before that is loaded."""
    settings = read_host_settings(host_settings if isinstance(host_settings, Path) else None)
    folder = state_folder(state_dir if isinstance(state_dir, Path) else None)
    with ExitStack() as until:
        repository = until.enter_context(open_repository(repo, settings, folder))
        if reads_reports:
            read_reports_ahead(repository)
        opened = load()(repository, settings=settings, state_dir=folder)
        until.pop_all()  # the clone is closed with it
    with closing(opened):
        yield opened


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
