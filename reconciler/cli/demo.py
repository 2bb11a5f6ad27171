"""`reconciler demo`: the main job shown on throw-away ground. Leaves nothing behind."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.output import colour, say, shown

if TYPE_CHECKING:  # loaded when the demo runs, so that --help stays quick
    from reconciler.daemon.controller import Controller


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(demo)


DOCUMENT = """\
schemaVersion: '2.2'
description: Writes the message of the day.
parameters:
  path: {type: String, description: The file., allowedPattern: '/[A-Za-z0-9._/-]+'}
  text: {type: String, description: What it says., allowedPattern: '[a-z ]+'}
mainSteps:
  - name: write
    action: aws:runShellScript
    inputs:
      runCommand:
        - printf '%s\\n' '{{ text }}' > '{{ path }}'
        - chmod 0644 '{{ path }}'
        - echo "wrote {{ path }}"
"""

ASSOCIATION = """\
AssociationName: message-of-the-day
Name: Motd
Targets: [{{Key: 'tag:Role', Values: [demo]}}]
Parameters: {{path: ['{path}'], text: [managed by git]}}
ComplianceSeverity: HIGH
Expect:
  Files: [{{Path: '{path}', Content: "managed by git\\n", Mode: '0644'}}]
"""

THIS_MACHINE = """\
Id: this-machine
Transport: local
Mode: observe
"""

LOCAL_NODE = """\
Id: local-node
Transport: local
Tags: {Role: demo}
"""


@contextmanager
def _throw_away() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="reconciler-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _no_trace(folder: Path, *, local: bool) -> Iterator[None]:
    """Keep what a node remembers of its runs out of this machine's own memory, where this machine is the node."""
    home, remembered = os.environ.get("HOME"), Path("/var/lib/reconciler")
    was_there = remembered.exists()
    if local:
        os.environ["HOME"] = str(folder)
    try:
        yield
    finally:
        if local and home is not None:
            os.environ["HOME"] = home
        if local and not was_there and os.geteuid() == 0:
            shutil.rmtree(remembered, ignore_errors=True)


def demo(
    nodes_from: Annotated[
        Optional[Path],
        typer.Option(
            "--nodes-from",
            help="A folder with nodes.yaml, known_hosts and a private key `demo` for nodes to show it on (they are changed).",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Show the main job: first pass, second pass, drift by hand, repair, inventory, report, history.

    Without --nodes-from it uses this machine as its one node, and changes one file in a folder of its own.

    Example: reconciler demo
    """
    with _throw_away() as folder, _no_trace(folder, local=nodes_from is None):
        return _Demo(folder, nodes_from).run()


class _Demo:
    """One showing, in a folder of its own."""

    def __init__(self, folder: Path, nodes_from: Path | None) -> None:
        self.folder = folder
        self.repo = folder / "fleet"
        self.nodes_from = nodes_from
        self.motd = "/etc/motd" if nodes_from is not None else str(folder / "motd")

    def run(self) -> int:
        """Tell the story; every step is the command a user would type."""
        self._prepare()
        self._step("1. git says what should be: validate the state repository", "validate", str(self.repo))
        self._step("2. what would run, where and why", "plan", expect=Exit.NOT_IN_SYNC)
        self._step("3. the first pass applies", "once")
        self._step("4. the second pass finds nothing to do", "once")
        edited = self._edit_by_hand()
        self._step(
            f"5. somebody edited {self.motd} on {edited} by hand: the plan sees it", "plan", expect=Exit.NOT_IN_SYNC
        )
        self._step("6. the next pass repairs that node, and only that one", "once")
        self._step(
            "7. the packages of this very machine, asked with SQL",
            "inventory",
            "query",
            "SELECT node, count(*) AS packages, min(name) AS first, max(name) AS last FROM packages GROUP BY node",
        )
        self._step("8. why is a node as it is?", "explain", edited)
        self._step("9. the report, as committed on branch compliance", "report")
        self._history()
        say("")
        say(
            "That was real: real sshd, real git. Nothing of it is left behind."
            if self.nodes_from
            else "That was real, on this machine alone. Nothing of it is left behind."
        )
        return Exit.DONE

    def _prepare(self) -> None:
        from reconciler.source.begin import begin_repository
        from reconciler.source.records import Person

        if self.nodes_from is None:
            say(
                "No nodes given: the one node is this machine, over the local transport; it changes one file in a folder of its own."
            )
            nodes, known_hosts = LOCAL_NODE, ""
        else:
            nodes = (self.nodes_from / "nodes.yaml").read_text(encoding="utf-8")
            known_hosts = (self.nodes_from / "known_hosts").read_text(encoding="utf-8")
        files = {
            "state/fleet.yaml": "Fleet: demo\n",
            "state/nodes/demo.yaml": nodes,
            "state/nodes/this-machine.yaml": THIS_MACHINE,
            "state/known_hosts": known_hosts,
            "state/associations/motd.yaml": ASSOCIATION.format(path=self.motd),
            "documents/Motd.yaml": DOCUMENT,
        }
        begin_repository(
            self.repo,
            {name: text.encode() for name, text in files.items()},
            message="Say what the message of the day is\n",
            person=Person(email="demo@localhost"),
            when=datetime.now(UTC),
        )
        settings = self.folder / "host.yaml"
        keys = self.nodes_from or self.folder
        local = "true" if self.nodes_from is None else "false"
        settings.write_text(f"Fleet: demo\nKeyDirectory: '{keys}'\nLocalChanges: {local}\n", encoding="utf-8")
        os.environ["RECONCILER_HOST_SETTINGS"] = str(settings)
        os.environ["RECONCILER_STATE_DIR"] = str(self.folder / "state-folder")

    def _step(self, title: str, *arguments: str, expect: Exit = Exit.DONE) -> None:
        from reconciler.cli.program import run
        from reconciler.errors import ReconcilerError

        named = {"plan", "once", "report"}
        arguments = (*arguments, str(self.repo)) if arguments[0] in named else arguments
        arguments = (*arguments, "--repo", str(self.repo)) if arguments[0] in {"inventory", "explain"} else arguments
        say("")
        say(colour(title, "1"))
        say(colour("$ reconciler " + " ".join(f"'{a}'" if " " in a else a for a in arguments), "2"))
        code = run(list(arguments))
        if code != expect:
            raise ReconcilerError(f"the demo expected exit code {int(expect)} here and met {code}")

    def _edit_by_hand(self) -> str:
        """Do what a colleague with a shell on the node would do."""
        from reconciler.model.command import Program
        from reconciler.model.shell import quote

        with self._controller() as controller:
            base, _ = controller.branches.in_force()
            name = controller.limited(("tag:Role=demo",))[0]
            text = f"echo 'edited by hand' > {quote(self.motd)}\n".encode()
            with controller.connections.pool(base.desired).connect(base.desired.nodes[name]) as session:
                session.run(Program(text=text, become=self.nodes_from is not None))
        return name

    def _controller(self) -> AbstractContextManager["Controller"]:
        from reconciler.cli.opening import open_controller

        return open_controller(str(self.repo), None, Path(os.environ["RECONCILER_HOST_SETTINGS"]))

    def _history(self) -> None:
        say("")
        say(colour("10. the story, as git tells it", "1"))
        say(colour("$ git log --oneline compliance", "2"))
        with self._controller() as controller:
            for record in controller.branches.reported_commits():
                say(f"{record.id[:8]} {shown(record.message.splitlines()[0])}")
                for line in record.message.splitlines()[2:]:
                    if line and not line.startswith(("State-Commit:", "Plan:", "Epoch:")):
                        say(f"         {shown(line)}")
