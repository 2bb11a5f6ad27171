"""plan, once, apply, daemon: what would run, one pass, one association now, passes for ever."""

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, Limit, Repo, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_json, shown
from reconciler.errors import UsageError


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


def instant_option(text: str | None) -> datetime | None:
    """Read an instant given on the command line; without a zone it is UTC. Raises UsageError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise UsageError(f"--at {text}: not an instant; write it like 2026-01-31T02:00:00Z") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


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
    from reconciler.cli.opening import open_controller
    from reconciler.plan.show import difference_markdown, difference_text, plan_json, plan_markdown, plan_text

    if (base is None) != (head is None):
        raise UsageError("--base and --head go together")
    instant = instant_option(at)
    if instant is not None and base is None and inventory is None:
        raise UsageError("--at needs --inventory or --base: live facts are of now")
    with open_controller(repo, state_dir, host_settings) as controller:
        if base is not None and head is not None:
            difference = controller.plan_difference(base, head, at=instant)
            say((difference_markdown if output is PlanFormat.MARKDOWN else difference_text)(difference).rstrip())
            return Exit.NOT_IN_SYNC if difference else Exit.DONE
        planned = controller.plan(limit=tuple(limit or ()), inventory=inventory, at=instant)
    match output:
        case PlanFormat.JSON:
            typer.echo(plan_json(planned.plan), nl=False)
        case PlanFormat.MARKDOWN:
            say(plan_markdown(planned.plan).rstrip())
        case PlanFormat.TEXT:
            say(plan_text(planned.plan).rstrip())
    return Exit.DONE if planned.nothing_left else Exit.NOT_IN_SYNC


def once(
    repo: Repo = ".",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Collect and plan, but run, commit and push nothing.")
    ] = False,
    output: FormatOption = Format.TEXT,
    limit: Limit = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="How progress is written to stderr.")
    ] = LogFormat.CONSOLE,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="One line a node.")] = False,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Run one pass: look, apply what is needed, look again, commit the report.

    Examples:
      reconciler once
      reconciler once ssh://git@example.org/fleet.git --limit web-01
      reconciler once --dry-run --format json
    """
    return _one_pass(
        repo, state_dir, host_settings, limit=limit, dry_run=dry_run, output=output, log=(log_format, verbose)
    )


def apply(
    association: Annotated[str, typer.Argument(help="The association to run now.")],
    repo: Annotated[str, typer.Option("--repo", help="The state repository.")] = ".",
    node: Annotated[Optional[list[str]], typer.Option("--node", help="Only these nodes.", show_default=False)] = None,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Run an association now on its targets, whatever its schedule and back-off say (SSM: StartAssociationsOnce).

    Modes, holds, dependencies and rate limits still bind it; the run is recorded like any other.

    Example: reconciler apply motd --node web-01
    """
    return _one_pass(
        repo, state_dir, host_settings, limit=node, apply=association, output=output, log=(LogFormat.CONSOLE, False)
    )


def _one_pass(
    repo: str,
    state_dir: Path | None,
    host_settings: Path | None,
    *,
    output: Format,
    log: tuple[LogFormat, bool],
    limit: list[str] | None = None,
    dry_run: bool = False,
    apply: str | None = None,
) -> int:
    from reconciler.cli.opening import interruptible, open_controller
    from reconciler.daemon.controller import Request
    from reconciler.daemon.log import configure_logging
    from reconciler.daemon.telling import pass_in_words, pass_json

    configure_logging(as_json=log[0] is LogFormat.JSON, verbose=log[1])
    with interruptible() as stop, open_controller(repo, state_dir, host_settings) as controller:
        result = controller.one_pass(Request(limit=tuple(limit or ()), dry_run=dry_run, apply=apply), stop=stop)
    if output is Format.JSON:
        say_json(pass_json(result))
    else:
        for line in pass_in_words(result):
            say(shown(line, 2000))
    if stop.is_set():
        return Exit.INTERRUPTED
    return Exit.DONE if result.all_in_sync else Exit.NOT_IN_SYNC


def daemon(
    repo: Repo = ".",
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="console for people, json for a log collector.")
    ] = LogFormat.CONSOLE,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also what did not change.")] = False,
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

    configure_logging(as_json=log_format is LogFormat.JSON, verbose=verbose)
    with interruptible() as stop, open_controller(repo, state_dir, host_settings) as controller:
        serve(controller, stop)
    return Exit.DONE
