"""list-commands, list-command-invocations, get-command-invocation: what commands on record came to, as the AWS CLI asks."""

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from reconciler.cli.command_line import SeveralWords
from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, RepoOption, SettingsFile, StateDir
from reconciler.cli.output import Format, colour, say, say_json, shown, table
from reconciler.cli.passes import instant_option
from reconciler.errors import UsageError

if TYPE_CHECKING:  # loaded by the command that needs it, so that --help stays quick
    from collections.abc import Mapping, Sequence

    from reconciler.commands.record import CommandRecord, Invocation

COLOURS = {
    "Success": "32",
    "InProgress": "36",
    "Pending": "36",
    "Delayed": "33",
    "Cancelled": "33",
    "Terminated": "33",
}


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("list-commands", cls=SeveralWords)(list_all)
    app.command("list-command-invocations")(list_invocations)
    app.command("get-command-invocation")(get_invocation)


CommandId = Annotated[str, typer.Option("--command-id", help="The command's id, or the start of it.")]


def say_record(record: "CommandRecord", output: Format) -> None:
    """Say what a command came to, and on each node."""
    from reconciler.commands.answers import invocation_answer
    from reconciler.commands.record import command_json

    if output is Format.JSON:
        say_json(
            {
                "Command": command_json(record),
                "Invocations": [invocation_answer(record, each) for each in record.invocations],
            }
        )
        return
    _say_table(record.invocations)
    verdict = record.verdict
    word = colour(verdict.detail.value, COLOURS.get(verdict.detail.value, "31"))
    say(f"command {record.id}: {word}, {shown(verdict.reason)}")


def _say_table(invocations: "Sequence[Invocation]", records: "Sequence[CommandRecord]" = ()) -> None:
    """Say a row for each; with `records`, one for each invocation, of which command it is."""
    rows = [
        [each.node, each.detail.value, "" if each.exit_code is None else str(each.exit_code), each.reason]
        for each in invocations
    ]
    heads = ["NODE", "STATUS", "EXIT", "WHY"]
    if records:
        heads = ["COMMAND", *heads]
        rows = [[str(record.id), *row] for record, row in zip(records, rows, strict=True)]
    say(table(heads, rows))


def list_all(
    status: Annotated[
        Optional[str],
        typer.Option("--status", help="Only those with this status, or status detail.", show_default=False),
    ] = None,
    document_name: Annotated[
        Optional[str], typer.Option("--document-name", help="Only those of this document.", show_default=False)
    ] = None,
    instance_id: Annotated[
        Optional[str], typer.Option("--instance-id", help="Only those sent to this node.", show_default=False)
    ] = None,
    invoked_after: Annotated[
        Optional[str], typer.Option("--invoked-after", help="Only those sent then or later.", show_default=False)
    ] = None,
    invoked_before: Annotated[
        Optional[str], typer.Option("--invoked-before", help="Only those sent earlier.", show_default=False)
    ] = None,
    execution_stage: Annotated[
        Optional[str], typer.Option("--execution-stage", help="Executing, or Complete.", show_default=False)
    ] = None,
    filters: Annotated[
        Optional[list[str]],
        typer.Option("--filters", help="The same as key=InvokedAfter,value=... Several: all must hold."),
    ] = None,
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """List commands on record, newest first. What is known of one that this host sends stands there at once.

    Examples:
      reconciler list-commands --status Failed
      reconciler list-commands --invoked-after 2026-01-31T00:00:00Z --execution-stage Complete
      reconciler list-commands --filters key=InvokedAfter,value=2026-01-31T00:00:00Z key=Status,value=Failed
    """
    from reconciler.cli.opening import open_controller
    from reconciler.commands.filters import Filters
    from reconciler.commands.record import command_json
    from reconciler.daemon.sent_commands import list_commands

    given = {
        "InvokedAfter": invoked_after,
        "InvokedBefore": invoked_before,
        "Status": status,
        "ExecutionStage": execution_stage,
        "DocumentName": document_name,
    }
    wanted = _all_filters(given, filters or ())
    meant = Filters(
        invoked_after=instant_option(wanted["InvokedAfter"], "--invoked-after"),
        invoked_before=instant_option(wanted["InvokedBefore"], "--invoked-before"),
        status=wanted["Status"],
        stage=wanted["ExecutionStage"],
        document=wanted["DocumentName"],
        node=instance_id,
    )
    with open_controller(repo, state_dir, host_settings) as controller:
        found = [record for record in list_commands(controller) if meant.hold(record)]
    if output is Format.JSON:
        say_json({"Commands": [command_json(record) for record in found]})
        return Exit.DONE
    say(
        table(
            ["COMMAND", "REQUESTED", "BY", "DOCUMENT", "NODES", "STATUS"],
            [
                [
                    str(record.id),
                    record.requested.strftime("%Y-%m-%d %H:%M:%SZ"),
                    record.login,
                    f"{record.document}:{record.document_version}",
                    str(len(record.invocations)),
                    record.verdict.detail.value,
                ]
                for record in found
            ],
        )
    )
    return Exit.DONE


def _all_filters(given: "Mapping[str, str | None]", words: "Sequence[str]") -> dict[str, str | None]:
    from reconciler.commands.filters import read_filters

    wanted = dict(given)
    for key, value in read_filters(words):
        if wanted[key] is not None:
            raise UsageError(f"InvalidFilterKey: {key} is given twice")
        wanted[key] = value
    return wanted


def list_invocations(
    command_id: Annotated[
        Optional[str],
        typer.Option("--command-id", help="The command's id, or the start of it. Default: all.", show_default=False),
    ] = None,
    instance_id: Annotated[
        Optional[str], typer.Option("--instance-id", help="Only on this node.", show_default=False)
    ] = None,
    details: Annotated[bool, typer.Option("--details", help="With each step, and what it wrote, shortened.")] = False,
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """List what commands came to on each node; with each step's output, stdout and stderr in 2,500 bytes.

    Examples:
      reconciler list-command-invocations --command-id 3f1c --details
      reconciler list-command-invocations --instance-id web-01
    """
    from reconciler.cli.opening import open_controller
    from reconciler.commands.answers import detailed_answer
    from reconciler.daemon.sent_commands import find_invocations, output_of

    with open_controller(repo, state_dir, host_settings) as controller:
        meant = find_invocations(controller, command_id, instance_id)
        answers = []
        for record, each in meant:
            numbers = range(1, len(each.steps) + 1)
            outputs = [output_of(controller, each, number) for number in numbers] if details else None
            answers.append(detailed_answer(record, each, outputs))
    if output is Format.JSON:
        say_json({"CommandInvocations": answers})
        return Exit.DONE
    if not details:
        _say_table([each for _, each in meant], [record for record, _ in meant] if command_id is None else ())
        return Exit.DONE
    for answer in answers:
        of = "" if command_id is not None else f"command {answer['CommandId']} on "
        say(shown(f"{of}{answer['InstanceId']}: {answer['StatusDetails']}, {answer['StatusReason']}", 1000))
        for plugin in answer["CommandPlugins"]:
            say(shown(f"  step {plugin['Name']}: {plugin['StatusDetails']}, exit {plugin['ResponseCode']}"))
            for line in plugin["Output"].splitlines():
                say(f"    {shown(line, 10_000)}")
    return Exit.DONE


def get_invocation(
    command_id: CommandId,
    instance_id: Annotated[str, typer.Option("--instance-id", help="The node.")],
    plugin_name: Annotated[
        Optional[str],
        typer.Option("--plugin-name", help="The step; with schema 1.2 the plugin, too.", show_default=False),
    ] = None,
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Tell what one step of a command came to on one node, with what it wrote: its first 24,000 and 8,000 bytes.

    Example: reconciler get-command-invocation --command-id 3f1c --instance-id web-01
    """
    from reconciler.cli.opening import open_controller
    from reconciler.commands.answers import plugin_answer, step_number
    from reconciler.daemon.sent_commands import find_invocation, output_of

    with open_controller(repo, state_dir, host_settings) as controller:
        record, invocation = find_invocation(controller, command_id, instance_id)
        number = step_number(record, invocation, plugin_name)
        out, err = output_of(controller, invocation, number)
    told = plugin_answer(record, invocation, number, out, err)
    if output is Format.JSON:
        say_json(told)
    else:
        _say_invocation(record, invocation, told)
    return Exit.DONE if told["Status"] == "Success" else Exit.NOT_IN_SYNC


def _say_invocation(record: "CommandRecord", invocation: "Invocation", told: dict[str, Any]) -> None:
    say(shown(f"command {record.id} on {invocation.node}: {invocation.detail.value}, {invocation.reason}", 1000))
    for step in invocation.steps:
        say(shown(f"step {step.name}: {step.status}, exit {step.exit_code}"))
    for title, key in (("stdout", "StandardOutputContent"), ("stderr", "StandardErrorContent")):
        if told[key]:
            say(f"== {shown(told['PluginName'])}, {title}")
            for line in told[key].splitlines():
                say(shown(line, 10_000))
