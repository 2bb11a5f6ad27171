"""The `reconciler` program: puts the command groups together, and turns what they raise into exit codes."""

import gc
import io
import logging
import sys

import typer

from reconciler import __version__
from reconciler.cli import (
    commands,
    demo,
    doctor,
    documents,
    facts,
    imports,
    invocations,
    ledger,
    locks,
    nodes,
    passes,
    patches,
    pauses,
    repository,
    runs,
    standing,
)
from reconciler.cli.aws_words import remedy
from reconciler.cli.command_line import show_examples
from reconciler.cli.exits import Exit
from reconciler.cli.output import say, shown
from reconciler.collector import collect_rarely
from reconciler.daemon.host_errors import host_errors
from reconciler.errors import DesiredStateError, ReconcilerError, UsageError

EPILOG = """Exit codes: 0 done, nothing left; 1 no answer; 2 something is pending, waiting, drifted, failed or unknown; 64 usage;
130 interrupted. Start with: reconciler init fleet; reconciler node add; reconciler plan fleet; reconciler once fleet."""

app = typer.Typer(
    name="reconciler",
    help="Keeps a fleet of servers in the state that a git repository describes: over SSH, nothing installed on them.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        say(f"reconciler {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    *,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    del version


_GROUPS = frozenset({"document", "import", "inventory", "ledger", "locks", "node", "patch", "runs", "schedule"})

for _group in (
    repository,
    imports,
    documents,
    passes,
    pauses,
    standing,
    nodes,
    doctor,
    facts,
    patches,
    ledger,
    commands,
    invocations,
    runs,
    locks,
    demo,
):
    _group.register(app)
show_examples(app)


def main() -> None:
    """Run the command line and end the process with one of `Exit`'s codes."""
    collect_rarely()
    code = run(sys.argv[1:])
    gc.freeze()  # the interpreter would search everything for garbage once more before it goes
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command. Returns an exit code; anything that is not one of our errors is a bug and keeps its traceback."""
    for library in ("paramiko", "fabric", "invoke", "git"):
        # Their tracebacks repeat what our errors say in words; nothing of theirs is for the reader of a command.
        logging.getLogger(library).setLevel(logging.CRITICAL)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 gets escapes, not a traceback
    try:
        for argument in arguments:
            _check_text(argument)
        with host_errors():
            result = app(arguments, standalone_mode=False, prog_name="reconciler")
    except (typer.Abort, KeyboardInterrupt):
        say("interrupted", error=True)
        return Exit.INTERRUPTED
    except UsageError as exc:
        say(f"reconciler: {shown(str(exc), 2000)}", error=True)
        return Exit.USAGE
    except ReconcilerError as exc:
        _complain(exc)
        return Exit.NO_ANSWER
    except typer.TyperException as exc:
        _say_misuse(exc, arguments)
        return Exit.USAGE
    return result if isinstance(result, int) else Exit.DONE


def _say_misuse(error: typer.TyperException, arguments: list[str]) -> None:
    """Say what the parser did not understand, and what to type instead."""
    if not arguments or arguments[-1] in _GROUPS:  # a group alone: its help is the answer
        say(error.format_message(), error=True)
        return
    say(f"reconciler: {shown(error.format_message(), 2000)}", error=True)
    instead = remedy(error.format_message())
    if instead is not None:
        say(f"instead of the AWS CLI's: {instead}", error=True)
    say("`reconciler --help` lists the commands, `reconciler COMMAND --help` the options of one", error=True)


def _check_text(argument: str) -> None:
    try:
        argument.encode()
    except UnicodeEncodeError as exc:
        raise UsageError(f"{argument!r} is not UTF-8") from exc


def _complain(error: ReconcilerError) -> None:
    if isinstance(error, DesiredStateError):
        for problem in error.problems:
            say(shown(str(problem), 1000), error=True)
    else:
        for line in str(error).splitlines():
            say(f"reconciler: {shown(line, 2000)}", error=True)
