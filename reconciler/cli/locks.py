"""Locks: list them, and let go of them."""

from typing import Annotated, Optional

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, Limit, Repo, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_json, shown
from reconciler.errors import UsageError

locks = typer.Typer(help="What keeps two from acting at once.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(locks, name="locks")


@locks.command("list")
def list_all(
    repo: Repo = ".",
    limit: Limit = None,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """List the lease, who uses this state folder, lock files in our clone, and the lock of each node (they are asked).

    Example: reconciler locks list --limit web-01
    """
    from reconciler.cli.opening import open_controller
    from reconciler.daemon.locks import list_locks

    with open_controller(repo, state_dir, host_settings) as controller:
        found = list_locks(controller, tuple(limit or ()))
    if output is Format.JSON:
        say_json(found.as_json())
    else:
        for line in found.in_words():
            say(shown(line, 1000))
    return Exit.DONE


@locks.command()
def release(
    lease: Annotated[bool, typer.Option("--lease", help="Let go of the lease: anybody may lead then.")] = False,
    clone: Annotated[bool, typer.Option("--clone", help="Remove stale lock files from our own clone.")] = False,
    node: Annotated[
        Optional[str], typer.Option("--node", help="End what holds this node's lock.", show_default=False)
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Yes, although it is somebody else's, or alive: said without it.")
    ] = False,
    repo: Annotated[str, typer.Option("--repo", help="The state repository.")] = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Let go of a lock. What is held by somebody alive is let go of with --yes only; without it, what that means is said.

    Example: reconciler locks release --lease
    """
    from reconciler.cli.opening import open_controller
    from reconciler.daemon.locks import release_clone, release_lease, release_node

    if lease + clone + (node is not None) != 1:
        raise UsageError("say which one: --lease, --clone or --node ID")
    with open_controller(repo, state_dir, host_settings) as controller:
        if lease:
            told = release_lease(controller, confirmed=yes)
        elif clone:
            told = release_clone(controller)
        else:
            told = release_node(controller, node or "", confirmed=yes)
    if output is Format.JSON:
        say_json({"done": told})
    else:
        say(shown(told, 1000))
    return Exit.DONE
