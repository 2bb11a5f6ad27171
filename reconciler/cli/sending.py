"""How a command line sends a command: through the daemon of the state folder, or from a process of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.exits import Exit
from reconciler.cli.output import say, shown

if TYPE_CHECKING:  # loaded by the command that needs it, so that --help stays quick
    from threading import Event

    from reconciler.commands.command import Announcement
    from reconciler.commands.dispatch import Tell, Watch
    from reconciler.commands.request import Typed
    from reconciler.daemon.commanding import Sent
    from reconciler.daemon.documents import Meant


def send_from(
    repo: str,
    state_dir: Path | None,
    host_settings: Path | None,
    typed: "Typed",
    *,
    stop: "Event",
    tell: "Tell",
    confirm: "Callable[[Announcement], None]",
    answer: "Callable[[Sent], int]",
    brought: "Meant | None" = None,
    watch: "Watch | None" = None,
) -> int:
    """Send a command and follow it; gives the exit status that `answer` has for the result, as soon as that is recorded.

    Without a daemon, nodes forget their runs behind the answer. A person who leaves before it leaves the command to the daemon.
    """
    from reconciler.cli.opening import open_controller, state_folder_path
    from reconciler.commands.request import read_request
    from reconciler.daemon.callers import this_process
    from reconciler.daemon.command_client import Left, daemon_of
    from reconciler.daemon.command_wire import FROM_FILE, encode_brought
    from reconciler.daemon.commanding import office_of, send

    request = read_request(typed)
    with daemon_of(state_folder_path(state_dir), repo) as daemon:
        if daemon is not None:
            told = None if brought is None else encode_brought(brought.document, brought.content)
            sent = daemon.send(typed, stop=stop, tell=tell, confirm=confirm, brought=told, watch=watch)
            if not isinstance(sent, Left):
                return answer(sent)
            words = f"command {sent.command} goes on: `reconciler list-commands` tells of it, cancel-command ends it"
            say(words, error=True)
            return Exit.INTERRUPTED
    statuses: list[int] = []
    with open_controller(repo, state_dir, host_settings) as controller:
        done = send(
            office_of(controller),
            request,
            who=this_process(),
            stop=stop,
            tell=tell,
            confirm=confirm,
            brought=None if brought is None else replace(brought.document, version=FROM_FILE),
            watch=watch,
            answer=lambda sent: statuses.append(answer(sent)),
        )
    for words in done.untidy:
        say(f"note: {shown(words, 1000)}", error=True)
    return statuses[0]
