"""document run: one document on this machine or on one node, each step shown as it happens."""

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from reconciler.cli.command_line import from_files
from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, RepoOption, SettingsFile, StateDir
from reconciler.cli.output import Format, colour, say, say_json, shown

if TYPE_CHECKING:  # loaded by the command that needs it, so that --help stays quick
    from threading import Event

    from reconciler.commands.command import Announcement
    from reconciler.commands.record import Invocation
    from reconciler.commands.request import Typed
    from reconciler.daemon.commanding import Sent
    from reconciler.daemon.documents import Meant

_COLOURS = {"Success": "32", "Skipped": "36", "Cancelled": "33"}


def run_document(
    document: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A file, or a document's name.")],
    node: Annotated[
        Optional[str], typer.Option("--node", help="On this node, and not on this machine.", show_default=False)
    ] = None,
    parameters: Annotated[
        Optional[list[str]],
        typer.Option("--parameters", help='NAME=VALUE,NAME=[VALUE,VALUE], or JSON: {"commands": ["id"]}.'),
    ] = None,
    version: Annotated[str, typer.Option("--document-version", help="$DEFAULT, $LATEST or a number.")] = "$DEFAULT",
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Run one document now, and show each step as it happens: on this machine as who you are, or on one node.

    On a node it is a command like those of send-command: recorded, and bound by pauses, holds, locks and modes. On this
    machine it needs no repository; Ctrl-C kills it, and a document that asks for a reboot fails.

    Examples:
      reconciler document run documents/Motd.yaml --parameters text=hello
      reconciler document run documents/Motd.yaml --node web-01
    """
    from reconciler.cli.opening import interruptible
    from reconciler.commands.request import Typed
    from reconciler.daemon.documents import find_document
    from reconciler.daemon.running import run_here
    from reconciler.settings import read_host_settings

    steps = _Steps(aside=output is Format.JSON)
    given = from_files(parameters, "--parameters")
    with interruptible() as stop:
        if node is None:
            meant = find_document(document, version, Path(repo))
            settings = read_host_settings(host_settings)
            return _answer(run_here(meant, given, settings=settings, interrupted=stop, watch=steps), output, stop)
        brought = _brought(document, Path(repo))
        name = document if brought is None else "AWS-Noop"  # a file's own name says nothing
        typed = Typed(document_name=name, document_version=version, instance_ids=(node,), parameters=given)
        return _on_node(typed, brought, steps, stop, output, (repo, state_dir, host_settings))


def _answer(came: "Invocation", output: Format, stop: "Event") -> int:
    _say_came(came, output)
    if stop.is_set():
        return Exit.INTERRUPTED
    return Exit.DONE if came.detail.value == "Success" else Exit.NOT_IN_SYNC


def _brought(document: str, repo: Path) -> "Meant | None":
    """Give the document where it was named by its file; a name is looked up in the commit in force."""
    from reconciler.daemon.documents import find_document, is_named_by_file

    return find_document(document, "$DEFAULT", repo) if is_named_by_file(document) else None


def _on_node(
    typed: "Typed",
    brought: "Meant | None",
    steps: "_Steps",
    stop: "Event",
    output: Format,
    where: tuple[str, Path | None, Path | None],
) -> int:
    from reconciler.cli.sending import send_from

    def answer(sent: "Sent") -> int:
        for problem in sent.problems:
            say(f"note: {shown(problem, 1000)}", error=True)
        (invocation,) = sent.record.invocations
        return _answer(invocation, output, stop)

    repo, state_dir, host_settings = where
    return send_from(
        repo,
        state_dir,
        host_settings,
        typed,
        stop=stop,
        tell=_tell,
        confirm=_announce,
        answer=answer,
        brought=brought,
        watch=steps,
    )


def _tell(node: str, detail: Any, words: str) -> None:
    if detail.value == "Delayed":
        say(f"{shown(node)}: {detail.value}  {shown(words, 300)}", error=True)


def _announce(announced: "Announcement") -> None:
    say(shown(f"command {announced.command}: {announced.words}", 1000), error=True)


def _say_came(came: "Invocation", output: Format) -> None:
    if output is Format.JSON:
        say_json(
            {
                "InstanceId": came.node,
                "StatusDetails": came.detail.value,
                "StatusReason": came.reason,
                "ResponseCode": -1 if came.exit_code is None else came.exit_code,
                "Steps": [
                    {"Name": step.name, "Status": step.status, "ResponseCode": step.exit_code} for step in came.steps
                ],
            }
        )
        return
    word = colour(came.detail.value, _COLOURS.get(came.detail.value, "31"))
    say(f"{shown(came.node)}: {word}, {shown(came.reason, 1000)}")


class _Steps:
    """Prints what steps write, line by line, and how each ended; on standard error where a document is the answer."""

    def __init__(self, *, aside: bool) -> None:
        self._aside = aside
        self._step = ""
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._rest: dict[str, str] = {}

    def output(self, step: str, kind: str, content: bytes) -> None:
        """Print whole lines; what is none yet waits for its end."""
        self._begin(step)
        decoder = self._decoders.setdefault(kind, codecs.getincrementaldecoder("utf-8")("replace"))
        *lines, self._rest[kind] = (self._rest.get(kind, "") + decoder.decode(content)).split("\n")
        for line in lines:
            self._say(kind, line)

    def ended(self, step: str, status: str, exit_code: int) -> None:
        """Print the rest, and the step's end."""
        self._begin(step)
        for kind, rest in self._rest.items():
            if rest:
                self._say(kind, rest)
        self._decoders, self._rest, self._step = {}, {}, ""
        word = colour(status, _COLOURS.get(status, "31"))
        say(f"step {shown(step)}: {word}, exit {exit_code}", error=self._aside)

    def _begin(self, step: str) -> None:
        if step != self._step:
            self._step = step
            say(colour(f"step {shown(step)}", "1"), error=self._aside)

    def _say(self, kind: str, line: str) -> None:
        mark = "|" if kind == "out" else "!"
        say(f"  {mark} {shown(line, 10_000)}", error=self._aside)
