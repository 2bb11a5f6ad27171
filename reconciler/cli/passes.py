"""plan, once, apply, daemon: what would run, one pass, one association now, passes for ever."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, Limit, Repo, RepoOption, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_document, say_json, shown, takes_colour
from reconciler.errors import UsageError

if TYPE_CHECKING:  # loaded by the command that needs it, so that --help stays quick
    from reconciler.daemon.passing import Request
    from reconciler.plan.difference import PlanDifference


class PlanFormat(StrEnum):
    """For people, programs, or a comment on a pull request."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


class LogFormat(StrEnum):
    """How the daemon logs."""

    CONSOLE = "console"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(plan)
    app.command()(once)
    app.command()(apply)
    app.command()(daemon)


def instant_option(text: str | None, option: str = "--at") -> datetime | None:
    """Read an instant given on the command line; without a zone it is UTC. Raises UsageError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"{option} {text}: not an instant; write it like 2026-01-31T02:00:00Z") from exc
    if not 1970 <= moment.year < 3000:  # noqa: PLR2004 - before UTC, and far enough from the end of the calendar
        raise UsageError(f"{option} {text}: give a year from 1970 to 2999")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def plan(
    repo: Repo = ".",
    output: Annotated[
        PlanFormat, typer.Option("--format", help="text, json, or markdown for a pull request.")
    ] = PlanFormat.TEXT,
    limit: Limit = None,
    base: Annotated[
        str | None,
        typer.Option(help="With --head: what a change does, from committed facts; asks no node.", show_default=False),
    ] = None,
    head: Annotated[Optional[str], typer.Option(help="The changed revision.", show_default=False)] = None,
    inventory: Annotated[
        str | None,
        typer.Option(help="Plan from the facts of this commit of the compliance branch.", show_default=False),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(help="Plan as of this instant (UTC), with --inventory or --base.", show_default=False),
    ] = None,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Show what would run, where and why. Writes nothing, runs nothing.

    Asks the nodes for their facts, unless --inventory or --base is given.

    Examples:
      reconciler plan
      reconciler plan --limit tag:Role=web --format json
      reconciler plan --base main --head my-change --format markdown
      reconciler plan --inventory compliance --at 2026-01-31T02:00:00Z
    """
    from reconciler.cli.opening import open_controller, open_view

    if (base is None) != (head is None):
        raise UsageError("--base and --head go together")
    if base is not None and (inventory is not None or limit):
        raise UsageError("--base and --head compare the whole fleet as last reported: no --inventory, no --limit")
    instant = instant_option(at)
    if instant is not None and base is None and inventory is None:
        raise UsageError("--at needs --inventory or --base: live facts are of now")
    if base is not None and head is not None:
        with open_view(repo, state_dir, host_settings) as view:
            difference = view.plan_difference(base, head, at=instant)
        _say_difference(difference, output)
        return Exit.NOT_IN_SYNC if difference else Exit.DONE
    nodes = tuple(limit or ())
    if inventory is not None:
        with open_view(repo, state_dir, host_settings) as view:
            planned = view.plan_committed(limit=nodes, inventory=inventory, at=instant)
    else:
        with open_controller(repo, state_dir, host_settings, reads_reports=True) as controller:
            planned = controller.plan(limit=nodes)
    from reconciler.plan.show import plan_json, plan_markdown, plan_text

    match output:
        case PlanFormat.JSON:
            say_document(plan_json(planned.plan))
        case PlanFormat.MARKDOWN:
            say(plan_markdown(planned.plan).rstrip())
        case PlanFormat.TEXT:
            say(plan_text(planned.plan).rstrip())
    return Exit.DONE if planned.nothing_left else Exit.NOT_IN_SYNC


def _say_difference(difference: "PlanDifference", output: PlanFormat) -> None:
    from reconciler.daemon.telling import difference_json
    from reconciler.plan.show import difference_markdown, difference_text

    match output:
        case PlanFormat.JSON:
            say_json(difference_json(difference))
        case PlanFormat.MARKDOWN:
            say(difference_markdown(difference).rstrip())
        case PlanFormat.TEXT:
            say(difference_text(difference).rstrip())


TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Lead from now on, whoever does now: the nodes refuse the old leader.")
]


def once(
    repo: Repo = ".",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Collect and plan, but run, commit and push nothing.")
    ] = False,
    output: FormatOption = Format.TEXT,
    limit: Limit = None,
    accept_rewind: Annotated[
        Optional[str],
        typer.Option(
            "--accept-rewind",
            metavar="COMMIT",
            help="The full id of the commit that the state branch was rewound to on purpose.",
            show_default=False,
        ),
    ] = None,
    new_history: Annotated[
        bool,
        typer.Option("--new-history", help="The reports are lost for good: begin anew from what the nodes remember."),
    ] = False,
    take_over: TakeOver = False,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Run one pass: look, apply what is needed, look again, commit the report.

    Examples:
      reconciler once
      reconciler once ssh://git@example.org/fleet.git --limit web-01
      reconciler once --dry-run --format json
    """
    from reconciler.daemon.passing import Request

    if dry_run and new_history:
        raise UsageError("--new-history begins a new branch of reports; a dry run writes none: give one of them")
    if dry_run and take_over:
        raise UsageError("--take-over takes the lease; a dry run takes nothing: give one of them")
    request = Request(
        limit=tuple(limit or ()),
        dry_run=dry_run,
        accept_rewind=accept_rewind,
        new_history=new_history,
        take_over=take_over,
    )
    return _one_pass(repo, state_dir, host_settings, request=request, output=output)


def apply(
    association: Annotated[str, typer.Argument(help="The association to run now.")],
    repo: RepoOption = ".",
    node: Annotated[Optional[list[str]], typer.Option("--node", help="Only these nodes.", show_default=False)] = None,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Run an association now on its targets, whatever its schedule and back-off say (SSM: StartAssociationsOnce).

    Modes, holds, dependencies and rate limits still bind it; the run is recorded like any other.

    Example: reconciler apply motd --node web-01
    """
    from reconciler.daemon.passing import Request

    request = Request(limit=tuple(node or ()), apply=association)
    return _one_pass(repo, state_dir, host_settings, request=request, output=output)


def _one_pass(
    repo: str,
    state_dir: Path | None,
    host_settings: Path | None,
    *,
    request: "Request",
    output: Format,
) -> int:
    from reconciler.cli.opening import interruptible, open_controller

    with interruptible() as stop, open_controller(repo, state_dir, host_settings, reads_reports=True) as controller:
        from reconciler.daemon.telling import pass_in_words, pass_json

        result = controller.one_pass(request, stop=stop)
        if output is Format.JSON:
            say_json(pass_json(result))
        else:
            for line in pass_in_words(result):
                say(shown(line, 2000))
        controller.patch_files.wait(stop)
    if stop.is_set():
        return Exit.INTERRUPTED
    return Exit.DONE if result.all_in_sync else Exit.NOT_IN_SYNC


def daemon(
    repo: Repo = ".",
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="console for people, json for a log collector.")
    ] = LogFormat.CONSOLE,
    take_over: TakeOver = False,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Run passes for ever: on the fleet's interval, and at once when a local repository's refs change.

    SIGTERM and SIGINT drain: nothing new is started, what runs on the nodes goes on, the report is committed.

    Example: reconciler daemon /srv/fleet.git --log-format json
    """
    from reconciler.cli.opening import interruptible, open_controller
    from reconciler.daemon.log import configure_logging
    from reconciler.daemon.loop import serve

    configure_logging(as_json=log_format is LogFormat.JSON, coloured=takes_colour(sys.stderr))
    with interruptible() as stop, open_controller(repo, state_dir, host_settings) as controller:
        serve(controller, stop, take_over=take_over)
    return Exit.DONE
