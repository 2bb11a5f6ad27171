"""send-command and cancel-command: a document now, with the AWS CLI's flags."""

import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from reconciler.cli.command_line import SeveralWords, from_files
from reconciler.cli.exits import Exit
from reconciler.cli.invocations import COLOURS, CommandId, say_record
from reconciler.cli.options import FormatOption, RepoOption, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_json, shown, takes_colour
from reconciler.errors import UsageError

if TYPE_CHECKING:  # loaded by the command that needs it, so that --help stays quick
    from collections.abc import Callable

    from reconciler.commands.command import Announcement
    from reconciler.commands.dispatch import Tell
    from reconciler.daemon.commanding import Sent

CONFIRM_ABOVE = 10
"""Nodes; a command for more of them is confirmed by typing their number, or by --yes."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("send-command", cls=SeveralWords)(send_command)
    app.command("cancel-command", cls=SeveralWords)(cancel)


def send_command(
    document_name: Annotated[str, typer.Option("--document-name", help="The document to run.")],
    document_version: Annotated[
        str, typer.Option("--document-version", help="$DEFAULT, $LATEST or a number.")
    ] = "$DEFAULT",
    document_hash: Annotated[
        Optional[str],
        typer.Option("--document-hash", help="SHA-256 that the document must have.", show_default=False),
    ] = None,
    targets: Annotated[
        Optional[list[str]],
        typer.Option(
            "--targets",
            help="Key=tag:NAME,Values=VALUE,VALUE, JSON, or file://. Several: all must hold.",
            show_default=False,
        ),
    ] = None,
    instance_ids: Annotated[
        Optional[list[str]],
        typer.Option("--instance-ids", help="Node ids, separated by blanks or commas.", show_default=False),
    ] = None,
    parameters: Annotated[
        Optional[list[str]],
        typer.Option("--parameters", help='NAME=VALUE,NAME=[VALUE,VALUE], JSON: {"commands": ["id"]}, or file://.'),
    ] = None,
    max_concurrency: Annotated[
        str, typer.Option("--max-concurrency", help="On how many nodes at a time: a number, or 1% to 100%.")
    ] = "50",
    max_errors: Annotated[
        str, typer.Option("--max-errors", help="How many failures are tolerated: a number, or 0% to 100%.")
    ] = "0",
    timeout_seconds: Annotated[
        int, typer.Option("--timeout-seconds", help="What has not started by then does not start: 30 to 2592000.")
    ] = 3600,
    ramp: Annotated[
        str, typer.Option("--ramp", help="exponential: first 1 node, then 2, 4, 8 ... at a time; none: all at once.")
    ] = "exponential",
    max_unreachable: Annotated[
        str,
        typer.Option(
            "--max-unreachable",
            help="With more nodes out of reach nothing further is sent: a number, or 0% to 100%. Without it: any.",
            show_default=False,
        ),
    ] = "",
    comment: Annotated[str, typer.Option("--comment", help="Kept with the command; at most 100 characters.")] = "",
    output_s3_bucket_name: Annotated[
        str, typer.Option("--output-s3-bucket-name", help="A folder (with a /) or a bucket for the whole output.")
    ] = "",
    output_s3_key_prefix: Annotated[
        str, typer.Option("--output-s3-key-prefix", help="Where in it, before the command's id.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help=f"Ask nothing, also for more than {CONFIRM_ABOVE} nodes.")] = False,
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    r"""Run a document now on the nodes meant, and follow it to its end (SSM: SendCommand). It is recorded.

    Pauses, hold files, locks and modes bind it. One that is interrupted sends nothing more; what runs goes on.

    Examples:
      reconciler send-command --document-name AWS-RunShellScript --targets Key=tag:Role,Values=web --parameters 'commands=["uptime"]'
      reconciler send-command --document-name Motd --instance-ids web-01 web-02 --parameters text=hello --format json
    """
    from reconciler.cli.opening import interruptible
    from reconciler.cli.sending import send_from
    from reconciler.commands.request import Typed

    typed = Typed(
        document_name=document_name,
        document_version=document_version,
        document_hash=document_hash,
        targets=from_files(targets, "--targets"),
        instance_ids=from_files(instance_ids, "--instance-ids"),
        parameters=from_files(parameters, "--parameters"),
        max_concurrency=max_concurrency,
        max_errors=max_errors,
        timeout_seconds=timeout_seconds,
        comment=comment,
        output_s3_bucket_name=str(Path(output_s3_bucket_name).absolute())
        if "/" in output_s3_bucket_name
        else output_s3_bucket_name,
        output_s3_key_prefix=output_s3_key_prefix,
        ramp=ramp,
        max_unreachable=max_unreachable,
    )
    with interruptible() as stop:

        def answer(sent: "Sent") -> int:
            _say_sent(sent, output, repo)
            if stop.is_set():
                return Exit.INTERRUPTED
            return Exit.DONE if sent.record.verdict.detail.value == "Success" else Exit.NOT_IN_SYNC

        told = _teller()
        return send_from(
            repo, state_dir, host_settings, typed, stop=stop, tell=told, confirm=_confirmer(yes=yes), answer=answer
        )


def _confirmer(*, yes: bool) -> "Callable[[Announcement], None]":
    def confirm(announced: "Announcement") -> None:
        """Say what will happen; have many nodes confirmed. Raises UsageError where nobody says yes."""
        say(shown(f"command {announced.command}: {announced.words}", 1000), error=True)
        count = announced.nodes
        if count <= CONFIRM_ABOVE or yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(f"{count} nodes are meant: add --yes, or confirm on a terminal; nothing was sent")
        typed = typer.prompt(f"Type {count} to send it to {count} nodes", default="", show_default=False, err=True)
        if typed.strip() != str(count):
            raise UsageError("not confirmed: nothing was sent")

    return confirm


def _teller() -> "Tell":
    """Give what tells each change of an invocation, once, on standard error."""
    began, last = time.monotonic(), dict[str, tuple[str, str]]()

    def tell(node: str, detail: Any, words: str) -> None:
        if last.get(node) == (detail.value, words):
            return
        last[node] = (detail.value, words)
        word = detail.value
        code = COLOURS.get(word, "31")
        coloured = f"\x1b[{code}m{word}\x1b[0m" if takes_colour(sys.stderr) else word
        say(f"{time.monotonic() - began:7.1f} s  {shown(node)}: {coloured}  {shown(words, 300)}", error=True)

    return tell


def _say_sent(sent: "Sent", output: Format, repo: str) -> None:
    for problem in sent.problems:
        say(f"note: {shown(problem, 1000)}", error=True)
    say_record(sent.record, output)
    if output is Format.TEXT and any(each.run is not None for each in sent.record.invocations):
        told = f"reconciler list-command-invocations --command-id {sent.record.id} --details"
        told += "" if repo == "." else f" --repo {shlex.quote(repo)}"
        say(f"what its steps wrote: {shown(told, 1000)}", error=True)


def cancel(
    command_id: CommandId,
    instance_ids: Annotated[
        Optional[list[str]],
        typer.Option("--instance-ids", help="Only on these nodes, separated by blanks or commas.", show_default=False),
    ] = None,
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """End a command: what was not sent is not, what runs is killed with its process group (SSM: CancelCommand).

    Nothing is undone. A command that has ended stays as it is. Example: reconciler cancel-command --command-id 3f1c
    """
    from reconciler.cli.opening import interruptible, open_controller, state_folder_path
    from reconciler.commands.request import id_words
    from reconciler.daemon.command_client import daemon_of
    from reconciler.daemon.sent_commands import cancel_command

    nodes = tuple(id_words(instance_ids or ()))
    with interruptible() as stop, daemon_of(state_folder_path(state_dir), repo) as daemon:
        if daemon is not None:
            lines = list(daemon.cancel(command_id, nodes, stop=stop))
        else:
            with open_controller(repo, state_dir, host_settings) as controller:
                lines = list(cancel_command(controller, command_id, nodes))
    if output is Format.JSON:
        say_json({"done": lines})
    else:
        for line in lines:
            say(shown(line, 1000))
    return Exit.DONE
