"""The state repository itself: init, validate; and `schedule next`, which tells what an expression means."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption
from reconciler.cli.output import Format, say, say_json, shown
from reconciler.cli.problems import ProblemFormat, errors_among, problems_json, say_problems
from reconciler.errors import SourceError, UsageError

schedules = typer.Typer(help="What a schedule expression means.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(init)
    app.command()(validate)
    app.add_typer(schedules, name="schedule")


def init(
    directory: Annotated[Path, typer.Argument(help="An empty or missing folder.")],
    fleet: Annotated[
        str, typer.Option(help="The fleet's id: part of every run id.", show_default="the folder's name")
    ] = "",
    output: FormatOption = Format.TEXT,
) -> int:
    """Make a new state repository, committed, that validates and passes at once.

    It names this machine, which is only observed, and holds one association at Mode: warn to start from.

    Example: reconciler init fleet
    """
    from reconciler.daemon.starting import new_repository

    lines = list(new_repository(directory, fleet=fleet or directory.absolute().name))
    if output is Format.JSON:
        say_json({"directory": str(directory), "done": lines})
    else:
        for line in lines:
            say(shown(line, 1000))
    return Exit.DONE


def validate(
    repo: Annotated[
        Path, typer.Argument(metavar="[REPO]", help="A checkout of the state repository.", show_default=False)
    ] = Path(),
    output: Annotated[
        ProblemFormat, typer.Option("--format", help="text, json, or github (annotations).")
    ] = ProblemFormat.TEXT,
) -> int:
    """Report every mistake in a state repository at once, as it lies on disk: file, line, column, value met, remedy.

    From inside its folders the repository around them is read. Runs and fetches nothing. Lints alone leave the exit code at 0.

    Examples:
      reconciler validate
      reconciler validate fleet --format github
    """
    from reconciler.daemon.accepting import read_folder, repository_root

    if not repo.is_dir():
        raise SourceError(f"{repo}: there is no such folder; name a checkout of the state repository")
    root = repository_root(repo)
    if root != repo:
        say(f"reconciler: reading {shown(str(root))}, the state repository around {shown(str(repo))}", error=True)
    desired, problems = read_folder(root)
    errors = errors_among(problems)
    if output is ProblemFormat.JSON:
        say_json({"valid": not errors, "problems": problems_json(problems)})
    say_problems(problems, output)
    if output is ProblemFormat.TEXT:
        if desired is not None and not errors:
            say(
                f"valid: {len(desired.nodes)} nodes, {len(desired.associations)} associations, "
                f"{len(desired.documents)} documents, {len(desired.baselines)} baselines; {len(problems)} lints"
            )
        else:
            say(f"not valid: {len(errors)} errors, {len(problems) - len(errors)} lints")
    return Exit.NO_ANSWER if errors else Exit.DONE


@schedules.command("next")
def schedule_next(
    expression: Annotated[str, typer.Argument(help="cron(...), rate(...) or at(...).")],
    count: Annotated[int, typer.Option(help="How many instants to show.", min=1, max=1000)] = 5,
    timezone: Annotated[
        str, typer.Option(help="IANA zone of a window's schedule; associations are always UTC.")
    ] = "UTC",
    at: Annotated[str, typer.Option(help="Count from this instant instead of now.", show_default="now")] = "",
    output: FormatOption = Format.TEXT,
) -> int:
    """Show when an expression runs next, in SSM's dialect (weekday 1 is Sunday).

    Example: reconciler schedule next "cron(0 2 ? * SUN#2 *)"
    """
    from reconciler.cli.passes import instant_option
    from reconciler.schedule.association import association_lints, parse_association_schedule
    from reconciler.schedule.error import ScheduleError
    from reconciler.schedule.next_run import preview
    from reconciler.schedule.time_zone import time_zone
    from reconciler.schedule.window import parse_window_schedule

    now = instant_option(at or None) or datetime.now(UTC)
    try:
        parsed = parse_window_schedule(expression)
        zone = time_zone(timezone)
        runs = [run.astimezone(zone) for run in preview(parsed, count=count, now=now, timezone=timezone)]
    except ScheduleError as exc:
        raise UsageError(str(exc)) from exc
    except OverflowError as exc:
        raise UsageError(f"{expression}: the calendar ends before its {count} runs; show fewer with --count") from exc
    lints = list(association_lints(parsed))
    try:
        parse_association_schedule(expression)
    except ScheduleError as exc:
        lints.append(f"not for an association: {exc}")
    if output is Format.JSON:
        say_json({"expression": expression, "runs": [run.isoformat() for run in runs], "lints": lints})
    else:
        for run in runs:
            say(run.strftime("%a %Y-%m-%d %H:%M:%S %Z"))
        if not runs:
            say("never runs")
        for lint in lints:
            say(f"note: {shown(lint)}", error=True)
    return Exit.DONE
