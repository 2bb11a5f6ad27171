"""Nodes and their host keys: node add, node scan-keys. Both write or print lines for review; neither commits."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, Limit, Repo, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_json, shown
from reconciler.errors import UsageError

node = typer.Typer(help="Nodes and their host keys.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(node, name="node")


@node.command()
def add(
    node_id: Annotated[str, typer.Argument(metavar="ID", help="The new node's id.")],
    address: Annotated[str, typer.Argument(help="Host name, IPv4 or IPv6.")],
    repo: Annotated[Path, typer.Option("--repo", help="A checkout of the state repository.")] = Path(),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 22,
    user: Annotated[Optional[str], typer.Option(help="Login user.", show_default=False)] = None,
    tag: Annotated[Optional[list[str]], typer.Option(help="NAME=VALUE; may be repeated.", show_default=False)] = None,
    become: Annotated[bool, typer.Option("--become", help="Become root with sudo on this node.")] = False,
    output: FormatOption = Format.TEXT,
) -> int:
    """Write a node's file at Mode: warn, and its host keys as the server shows them now, for review.

    Compare the fingerprints with what the node says on its own console before you commit.

    Example: reconciler node add web-01 10.0.0.11 --user ops --become --tag Role=web
    """
    from reconciler.daemon.starting import add_node

    tags = dict(_tag(text) for text in tag or ())
    lines = list(add_node(repo, node_id, address, port=port, user=user, tags=tags, become=become))
    if output is Format.JSON:
        say_json({"node": node_id, "done": lines})
    else:
        for line in lines:
            say(shown(line, 1000))
    return Exit.DONE


def _tag(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UsageError(f"--tag {text}: write NAME=VALUE")
    return name, value


@node.command("scan-keys")
def scan_keys(
    repo: Repo = ".",
    limit: Limit = None,
    unpinned: Annotated[
        bool, typer.Option("--unpinned", help="Only nodes for which state/known_hosts pins no key yet.")
    ] = False,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Print known_hosts lines for nodes, as their servers show them now; many nodes at once. Writes nothing.

    Append what you have compared with the nodes' own consoles to state/known_hosts, and commit it. A node behind a
    gateway can be asked once the gateway's own key is committed.

    Examples:
      reconciler node scan-keys --limit tag:Role=web >> state/known_hosts
      reconciler node scan-keys --unpinned fleet >> fleet/state/known_hosts
    """
    from reconciler.cli.opening import open_controller

    lines: list[str] = []
    troubles: list[str] = []
    with open_controller(repo, state_dir, host_settings) as controller:
        for line, trouble in controller.scan_keys(tuple(limit or ()), only_unpinned=unpinned):
            if trouble:
                troubles.append(trouble)
            else:
                lines.append(line)
    if output is Format.JSON:
        say_json({"known_hosts": lines, "troubles": troubles})
    else:
        for line in lines:
            say(shown(line, 4000))
        for trouble in troubles:
            say(shown(trouble, 1000), error=True)
    return Exit.NOT_IN_SYNC if troubles else Exit.DONE
