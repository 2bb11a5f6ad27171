"""pause, resume: the stop button. Works without git and without the network, and holds for every command of this host."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_json, shown
from reconciler.errors import UsageError

if TYPE_CHECKING:  # loaded by the command that needs it, so that --help stays quick
    from reconciler.daemon.pause_file import PauseFile
    from reconciler.model.pause import Pauses

_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(pause)
    app.command()(resume)


Node = Annotated[Optional[str], typer.Option("--node", help="Only this node.", show_default=False)]
Association = Annotated[Optional[str], typer.Option("--association", help="Only this one.", show_default=False)]
RepoOption = Annotated[str, typer.Option("--repo", help="The state repository, to check names against.")]


def _until(text: str | None, now: datetime) -> datetime | None:
    """Read `2h` or an instant; without a zone it is UTC. Raises UsageError."""
    if text is None:
        return None
    span = _SPAN.fullmatch(text)
    try:
        until = now + timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else datetime.fromisoformat(text)
    except (ValueError, OverflowError) as exc:
        raise UsageError(f"--until {text}: write 90m, 2h, 3d, or an instant like 2026-01-31T06:00:00Z") from exc
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    if until <= now:
        raise UsageError(f"--until {text}: that is over already")
    return until


def pause(
    node: Node = None,
    association: Association = None,
    reason: Annotated[str, typer.Option("--reason", help="Why: it stands in every report.")] = "",
    until: Annotated[
        Optional[str],
        typer.Option(
            "--until", help="When it ends by itself: 90m, 2h, 3d, or an instant (UTC). Without: `resume` ends it."
        ),
    ] = None,
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Start nothing more: on the whole fleet, on one node, of one association, or of one on one node.

    Holds at once for every command of this management host, also in a roll-out that is under way, and without git or
    network. Runs that are going on go on (`runs cancel` ends one); collecting and reporting go on.

    Examples:
      reconciler pause --reason 'the database is being moved' --until 2h
      reconciler pause --node web-01
      reconciler pause --association nginx --until 2026-01-31T06:00:00Z
    """
    from reconciler.daemon.callers import caller
    from reconciler.daemon.pause_file import LONGEST_REASON
    from reconciler.ids import AssociationName, NodeId
    from reconciler.model.pause import Pause

    now = datetime.now(UTC).replace(microsecond=0)
    ends = _until(until, now)
    file = _file(state_dir)
    made = Pause(
        who=caller(),
        since=now,
        node=None if node is None else NodeId(node),
        association=None if association is None else AssociationName(association),
        reason=" ".join(reason.split())[:LONGEST_REASON],
        until=ends,
    )
    left = file.change(lambda known: (*(each for each in known if each.subject != made.subject), made), now)
    try:  # the button first: reading a large state takes its time
        notes = _doubts(file, node, association, repo, host_settings)
    except UsageError:
        file.change(lambda known: tuple(each for each in known if each != made), now)
        raise
    _tell(file, left, now, [f"{made.of}: {made.words}", *notes], output)
    return Exit.DONE


def resume(
    node: Node = None,
    association: Association = None,
    everything: Annotated[
        bool, typer.Option("--all", help="End every pause; also where their file does not read.")
    ] = False,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """End a pause: that of the whole fleet, or the one of this node or association. What else is paused is told.

    Examples:
      reconciler resume
      reconciler resume --node web-01
      reconciler resume --all
    """
    del host_settings
    if everything and (node is not None or association is not None):
        raise UsageError("--all ends every pause: no --node and no --association with it")
    now = datetime.now(UTC)
    file = _file(state_dir)
    before = file.read().standing(now)
    subject = (node, association)
    if not everything and before and subject not in {each.subject for each in before}:
        there = ", ".join(each.of for each in before)
        raise UsageError(f"no such pause is there; paused: {there}; --all ends every pause")
    left = file.change(
        lambda known: () if everything else tuple(each for each in known if each.subject != subject),
        now,
        anew=everything,
    )
    ended = [each for each in before if each not in left.all]
    told = [f"no longer paused: {each.of} ({each.words})" for each in ended] or ["nothing was paused"]
    _tell(file, left, now, told, output)
    return Exit.DONE


def _file(state_dir: Path | None) -> "PauseFile":
    from reconciler.cli.opening import state_folder
    from reconciler.daemon.pause_file import PauseFile

    return PauseFile(folder=state_folder(state_dir))


def _doubts(
    file: "PauseFile", node: str | None, association: str | None, repo: str, host_settings: Path | None
) -> list[str]:
    """Say what may make the pause bind nothing: a name that nobody knows, a state folder that nobody uses.

    Only our own clone is asked. Raises UsageError for a name that is not in the state last accepted.
    """
    doubts: list[str] = []
    if not (file.folder / "repositories").is_dir():
        doubts.append(f"no pass was ever made from {file.folder}: is it the daemon's state folder (--state-dir)?")
        return doubts
    if node is None and association is None:
        return doubts
    from reconciler.cli.opening import open_controller
    from reconciler.errors import ReconcilerError

    try:
        with open_controller(repo, file.folder, host_settings) as controller:
            desired = controller.branches.last_accepted()
    except ReconcilerError:
        desired = None
    if desired is None:
        doubts.append("whether these names are in the fleet could not be checked: give --repo")
        return doubts
    if node is not None and node not in desired.nodes:
        raise UsageError(f"no node is named {node!r}; `reconciler nodes` lists them")
    if association is not None and association not in desired.associations:
        raise UsageError(f"no association is named {association!r}; state/associations holds them")
    return doubts


def _tell(file: "PauseFile", left: "Pauses", now: datetime, told: list[str], output: Format) -> None:
    from reconciler.daemon.pause_file import encode_pause

    if output is Format.JSON:
        pauses = [encode_pause(each) for each in left.standing(now)]
        say_json({"done": told, "pauses": pauses, "state_folder": str(file.folder)})
        return
    for line in told:
        say(shown(line, 1000))
    for line in left.in_words(now):
        say(f"paused now: {shown(line, 1000)}")
    say(f"in force for every command with the state folder {file.folder}")
