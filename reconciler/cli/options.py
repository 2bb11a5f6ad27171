"""Options that several commands share, spelled once."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from reconciler.cli.output import Format

Repo = Annotated[
    str,
    typer.Argument(
        metavar="[REPO]", help="The state repository: a folder, or an ssh, https or file URL.", show_default=False
    ),
]
RepoOption = Annotated[str, typer.Option("--repo", help="The state repository.")]
"""Where the arguments are something else already."""
FormatOption = Annotated[Format, typer.Option("--format", help="text for people, json for programs.")]
StateDir = Annotated[
    Optional[Path],
    typer.Option(
        "--state-dir",
        envvar="RECONCILER_STATE_DIR",
        help="Where this host keeps its clone and caches. Default: /var/lib/reconciler-daemon as root, else the XDG state folder.",
        show_default=False,
    ),
]
SettingsFile = Annotated[
    Optional[Path],
    typer.Option(
        "--host-settings",
        envvar="RECONCILER_HOST_SETTINGS",
        help="Settings of this management host. Default: /etc/reconciler/host.yaml, else the XDG config folder.",
        show_default=False,
    ),
]
Limit = Annotated[
    Optional[list[str]],
    typer.Option(
        "--limit",
        help="Only these nodes: an id, or a query like tag:Role=web. May be repeated (any of them).",
        show_default=False,
    ),
]
