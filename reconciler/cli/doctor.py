"""What lies between this host and a node, and what is wrong with it: doctor."""

from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, RepoOption, SettingsFile, StateDir
from reconciler.cli.output import Format, colour, say, say_json, shown

if TYPE_CHECKING:
    from reconciler.doctor.check import Check


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(doctor)


_COLOURS = {"ok": "32", "warning": "33", "trouble": "31", "unknown": "35"}


def doctor(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Look at everything between this host and a node, one after the other, and say what to do about it.

    Name, TCP, host key, login, login shell, tools, clock, disk, sudo, run folder, packages, sshd. Changes nothing. What
    rests on a step that failed is not looked at.

    Example: reconciler doctor web-01
    """
    from reconciler.cli.opening import open_controller

    with open_controller(repo, state_dir, host_settings) as controller:
        checks = controller.examine(node)
    left = [check for check in checks if check.is_left]
    if output is Format.JSON:
        say_json({"node": node, "ok": not left, "checks": [_json(check) for check in checks]})
    else:
        for check in checks:
            state = colour(check.state.value.ljust(7), _COLOURS[check.state.value])
            say(f"{state}  {check.name}: {shown(check.words, 1000)}")
            if check.remedy:
                say(f"         to do: {shown(check.remedy, 4000)}")
    return Exit.NOT_IN_SYNC if left else Exit.DONE


def _json(check: "Check") -> dict[str, str]:
    return {"name": check.name, "state": check.state.value, "words": check.words, "remedy": check.remedy}
