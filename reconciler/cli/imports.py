"""Existing servers into a state repository: import ssh-config, import ansible, import aws. Writes files for review."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, SettingsFile
from reconciler.cli.output import Format, say, say_json, shown
from reconciler.errors import UsageError

if TYPE_CHECKING:
    from reconciler.daemon.importing import Imported

imports = typer.Typer(
    help="Existing servers into files for review, at Mode: warn.", no_args_is_help=True, rich_markup_mode=None
)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(imports, name="import")


Directory = Annotated[
    Path, typer.Argument(metavar="DIR", help="A checkout of the state repository; made where it is missing.")
]
FleetOption = Annotated[str, typer.Option(help="The fleet's id, where DIR is made.", show_default="the folder's name")]


@imports.command("ssh-config")
def import_ssh_config(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="[FILE] DIR",
            help="The configuration (default: ~/.ssh/config), and a checkout of the state repository, made where missing.",
        ),
    ],
    fleet: FleetOption = "",
    output: FormatOption = Format.TEXT,
    host_settings: SettingsFile = None,
) -> int:
    """Write a node for every Host of an ssh configuration: HostName, Port, User, IdentityFile, ProxyJump.

    Wildcards give defaults. Match and ProxyCommand are told of and not followed, Include is followed below ~/.ssh.
    Nothing that is in DIR is overwritten, nothing is committed, and no server is asked.

    Examples:
      reconciler import ssh-config fleet
      reconciler import ssh-config /etc/ssh/fleet_config fleet
    """
    from reconciler.daemon.importing import import_ssh_config as bring_in
    from reconciler.settings import read_host_settings

    if len(paths) > 2:  # noqa: PLR2004  ([FILE] DIR)
        raise UsageError("import ssh-config takes [FILE] DIR: at most two paths")
    settings = read_host_settings(host_settings)
    file = paths[0] if len(paths) > 1 else None
    return _tell(bring_in(file, paths[-1], key_directory=settings.key_directory, fleet=fleet), output)


@imports.command("ansible")
def import_ansible(
    inventory: Annotated[
        Path, typer.Argument(metavar="INVENTORY", help="An inventory in INI, YAML or JSON, or a folder of them.")
    ],
    directory: Directory,
    fleet: FleetOption = "",
    output: FormatOption = Format.TEXT,
    host_settings: SettingsFile = None,
) -> int:
    """Write a node for every host of an Ansible inventory, and a resource group for every group.

    Taken from the inventory, group_vars and host_vars: ansible_host, _port, _user, _ssh_private_key_file, _become,
    _connection. Templates, look-ups, vaults and scripts are told of and never evaluated. Nothing in DIR is overwritten.

    Example: reconciler import ansible inventories/production fleet
    """
    from reconciler.daemon.importing import import_ansible as bring_in
    from reconciler.settings import read_host_settings

    settings = read_host_settings(host_settings)
    return _tell(bring_in(inventory, directory, key_directory=settings.key_directory, fleet=fleet), output)


@imports.command("aws")
def import_aws(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Files that hold what the AWS CLI printed, JSON or YAML.")
    ],
    directory: Directory,
    fleet: FleetOption = "",
    output: FormatOption = Format.TEXT,
) -> int:
    """Write associations (at Mode: warn), documents and patch baselines from what the AWS CLI printed. AWS is not asked.

    One answer a file: aws ssm describe-association, get-document, get-patch-baseline. What this version cannot hold, and
    associations whose document is not there, are told of and left out. Nothing in DIR is overwritten.

    Example: reconciler import aws exports fleet
    """
    from reconciler.daemon.importing import import_aws as bring_in

    return _tell(bring_in(folder, directory, fleet=fleet), output)


def _tell(imported: "Imported", output: Format) -> int:
    written = imported.written
    if output is Format.JSON:
        say_json(
            {
                "directory": str(imported.directory),
                "made": list(imported.made),
                "nodes": [{"id": node.id, "from": node.place} for node in written.nodes],
                "groups": [{"name": group.name, "from": group.place} for group in written.groups],
                "others": [{"kind": o.kind, "name": o.name, "from": o.place} for o in written.others],
                "files": list(written.files),
                "notes": [{"kind": n.kind.value, "place": n.place, "what": n.what} for n in written.notes],
                "next": [step.strip() for step in imported.next_steps()],
            }
        )
        return Exit.DONE
    for line in imported.made:
        say(shown(line, 1000))
    for node in written.nodes:
        say(f"imported: {shown(node.place)}: {node.id}")
    for group in written.groups:
        say(f"imported: {shown(group.place)}: group {shown(group.name)}")
    for other in written.others:
        say(f"imported: {shown(other.place)}: {other.kind} {shown(other.name)}")
    for note in written.notes:
        say(shown(str(note), 1000))
    others = f", {len(written.others)} others" if written.others else ""
    nodes = f"{len(written.nodes)} nodes at Mode: warn"
    say(f"{len(written.files)} files written: {nodes}, {len(written.groups)} groups{others}")
    if written.files:
        say("next, when you have read them:")
        for step in imported.next_steps():
            say(shown(step, 1000))
    return Exit.DONE
