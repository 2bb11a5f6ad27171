"""Executions of documents: runs list, show, output, cancel."""

from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, Limit, Repo, RepoOption, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_json, shown, table

if TYPE_CHECKING:
    from reconciler.daemon.executions import Execution

runs = typer.Typer(help="Executions of documents on nodes.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(runs, name="runs")


RunArgument = Annotated[str, typer.Argument(help="The run's id, or the start of it.")]


def _json(execution: "Execution") -> dict[str, object]:
    from reconciler.compliance.encode import encode_applied

    return {"node": execution.node, "association": execution.association, **encode_applied(execution.applied)}


@runs.command("list")
def list_runs(
    repo: Repo = ".",
    limit: Limit = None,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """List the last execution of each association on each node, newest first.

    Example: reconciler runs list --limit web-01
    """
    from reconciler.cli.opening import open_controller
    from reconciler.daemon.executions import executions

    with open_controller(repo, state_dir, host_settings) as controller:
        found = executions(controller, tuple(limit or ()))
    if output is Format.JSON:
        say_json({"runs": [_json(execution) for execution in found]})
    else:
        say(
            table(
                ["RUN", "NODE", "ASSOCIATION", "N", "STATUS", "STARTED", "EXIT"],
                [
                    [
                        str(e.applied.run)[:12],
                        e.node,
                        e.association,
                        str(e.applied.executions),
                        "" if e.applied.status is None else e.applied.status.value,
                        "" if e.applied.started is None else e.applied.started.strftime("%Y-%m-%d %H:%M:%SZ"),
                        "" if e.applied.exit_code is None else str(e.applied.exit_code),
                    ]
                    for e in found
                ],
            )
        )
    return Exit.DONE


@runs.command()
def show(
    run: RunArgument,
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Show one execution: where, why, its steps and how each ended.

    Example: reconciler runs show 3f1c
    """
    from reconciler.cli.opening import open_controller
    from reconciler.daemon.executions import find_execution, steps_kept

    with open_controller(repo, state_dir, host_settings) as controller:
        execution = find_execution(controller, run)
        steps = steps_kept(controller, execution)
    if output is Format.JSON:
        say_json(_json(execution) | {"steps": [{"name": s.name, "output": s.kept} for s in steps]})
        return Exit.DONE
    for key, value in _json(execution).items():
        say(f"{key}: {shown(str(value), 1000)}")
    for step in steps:
        say(f"step {shown(step.name)}: {step.kept}")
    return Exit.DONE


@runs.command("output")
def output_of(
    run: RunArgument,
    repo: RepoOption = ".",
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they came, terminal escapes included.")] = False,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Print what a run wrote, as kept on this management host (output is never committed).

    Example: reconciler runs output 3f1c
    """
    from reconciler.cli.opening import open_controller
    from reconciler.daemon.executions import find_execution, output_kept

    with open_controller(repo, state_dir, host_settings) as controller:
        kept = output_kept(controller, find_execution(controller, run))
    if not kept:
        say("no output of this run is kept on this host", error=True)
        return Exit.NO_ANSWER
    if output is Format.JSON:
        say_json(
            {"outputs": [{"name": title, "content": content.decode("utf-8", "replace")} for title, content in kept]}
        )
        return Exit.DONE
    for title, content in kept:
        say(f"== {shown(title)}", error=True)
        if raw:
            typer.echo(content, nl=False)
        else:
            for line in content.decode("utf-8", "replace").splitlines():
                say(shown(line, 10_000))
    return Exit.DONE


@runs.command()
def cancel(
    run: RunArgument,
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """End a run that is going on: its step's process group is killed, later steps do not start (SSM: CancelCommand).

    Nothing is undone. Example: reconciler runs cancel 3f1c
    """
    from reconciler.cli.opening import open_controller
    from reconciler.daemon.executions import cancel_run

    with open_controller(repo, state_dir, host_settings) as controller:
        lines = list(cancel_run(controller, run))
    if output is Format.JSON:
        say_json({"done": lines})
    else:
        for line in lines:
            say(shown(line, 1000))
    return Exit.DONE
