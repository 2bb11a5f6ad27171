"""A node in a private home folder on this machine: programs run as a user of their own, by a chosen shell."""

import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.documents.render import Rendered, RenderedStep
from reconciler.drift.finding import Cause
from reconciler.errors import NodeUnreachable
from reconciler.ids import AssociationName, Digest, DocumentName, FleetId, NodeId
from reconciler.model.command import Answer, Program
from reconciler.model.node import Node
from reconciler.model.outcome import RunRecord
from reconciler.plan.run_id import run_id
from reconciler.rollout.manifest import read_manifest
from reconciler.rollout.node_programs import Order
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.record import record_of
from reconciler.rollout.sight import Sight
from tests.support.processes import has_ended

NOBODY = 65534
NODE = NodeId("web-01")
FLEET = FleetId("example")
MOTD = AssociationName("motd")
SHELLS = [shell for shell in (("dash",), ("bash", "--posix"), ("busybox", "sh")) if shutil.which(shell[0])]
WAYS = [*((shell, False) for shell in SHELLS), (SHELLS[0], True)]
"""(shell, whether it is one that stays, and has a hand)."""
STARTED = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class HomeNode:
    """Give sessions that run programs below `home`, as another user where we are root."""

    home: Path
    shell: tuple[str, ...] = ("sh",)
    flock: bool = True
    pipes: bool = True
    """Whether here-documents are pipes to its shell, or files."""
    stays: bool = False
    """Whether programs run as in a shell that stays, by its hand where it has one."""
    timeouts_wait_for: Path | None = None
    """A file that a step makes: its time-out is counted from then on, however slowly it began."""

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o700, parents=True)
        if os.geteuid() == 0:
            os.chown(self.home, NOBODY, NOBODY)

    @property
    def root(self) -> Path:
        return self.home / ".local/state/reconciler"

    @property
    def log(self) -> Path:
        """Where bodies leave a line, to be counted."""
        return self.home / "log"

    def bodies(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def command(self, program: Path) -> list[str]:
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        # What the tests themselves ignore, a shell cannot take back.
        return ["env", "--default-signal", *drop, *self.shell, str(program)]

    def text_of(self, program: Program) -> bytes:
        """Give what runs here of a program."""
        if not self.stays or program.resident is None:
            return program.text
        return program.resident.library + program.resident.call

    def begin(self, text: bytes) -> "subprocess.Popen[bytes]":
        """Start a program in its own session, as sshd does, and do not wait for it."""
        path = self.home / f"program-{time.monotonic_ns()}-{threading.get_ident()}"
        if not self.flock:
            # Of one length: the program checks that every byte of its files was written.
            text = text.replace(b"command -v flock", b"command -v flocc")
        if not self.pipes:
            text = text.replace(b"[ -p /proc/self/fd/", b"[ -b /proc/self/fd/")
        if self.timeouts_wait_for is not None:
            awaited = f"until [ -e {self.timeouts_wait_for} ]; do pause 0.05; done"
            text = text.replace(b'sleep "$timeout" &', f'{{ {awaited}; exec sleep "$timeout"; }} &'.encode())
            by_hand = (
                f'do {{ select(undef, undef, undef, 0.05) until -e "{self.timeouts_wait_for}"; now() + $seconds }}'
            )
            text = text.replace(b"now() + $seconds", by_hand.encode())
        # The runner is started as `sh`: here it is to be the shell under test.
        path.write_bytes(text.replace(b'setsid sh "$runner"', f'setsid {" ".join(self.shell)} "$runner"'.encode()))
        path.chmod(0o644)
        return subprocess.Popen(
            self.command(path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
            start_new_session=True,
        )

    @contextmanager
    def connect(self, _node: Node) -> Iterator["HomeSession"]:
        yield HomeSession(self)


@dataclass
class HomeSession:
    """A Session without any transport."""

    at: HomeNode
    cut_after: float | None = None
    """Seconds after which the connection is gone, with everything sshd would end."""

    @property
    def node(self) -> NodeId:
        return NODE

    @property
    def host_key(self) -> str | None:
        return None

    def run(self, program: Program) -> Answer:
        patience = program.resident.patience if self.at.stays and program.resident else None
        if patience is not None:
            return Answer(stdout=self._said_within(program, patience.total_seconds()), stderr=b"", exit_status=0)
        with self.at.begin(self.at.text_of(program)) as process:
            try:
                stdout, stderr = process.communicate(timeout=self.cut_after)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                raise NodeUnreachable(NODE, "the connection went away") from None
        assert stderr == b"", stderr
        return Answer(stdout=stdout, stderr=stderr, exit_status=process.returncode)

    def _said_within(self, program: Program, patience: float) -> bytes:
        """Give what it says until it ends, or until so long after its first word: then it goes on alone."""
        process = self.at.begin(self.at.text_of(program))
        threading.Thread(target=process.wait, daemon=True).start()
        assert process.stdout is not None
        assert process.stderr is not None
        said, ends = b"", time.monotonic() + 600
        with process.stdout as pipe, process.stderr:
            while select.select([pipe], [], [], max(ends - time.monotonic(), 0))[0]:
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    break
                ends = ends if said else time.monotonic() + patience
                said += chunk
        return said

    def stream(self, program: Program) -> Iterator[bytes]:
        yield self.run(program).stdout


def a_step(text: str, /, **fields: Any) -> RenderedStep:
    return RenderedStep(
        **{
            "name": "step",
            "action": "aws:runShellScript",
            "script": text.encode(),
            "timeout": timedelta(seconds=60),
            **fields,
        }
    )


def rendered(*steps: RenderedStep) -> Rendered:
    """Give a document; steps are named and numbered, where they are not yet."""
    numbered = tuple(
        replace(step, group=step.group or number, name=f"step{number}" if step.name == "step" else step.name)
        for number, step in enumerate(steps, 1)
    )
    return Rendered(document=DocumentName("Doc"), version="1", digest=Digest("d" * 64), steps=numbered)


def an_order(*steps: RenderedStep, n: int = 1, epoch: int = 1, definition: str = "e") -> Order:
    return Order(
        run=run_id(FLEET, NODE, MOTD, n),
        fleet=FLEET,
        node=NODE,
        association=MOTD,
        definition=Digest(definition * 64),
        executions=n,
        cause=Cause.PENDING,
        epoch=epoch,
        started=STARTED,
        rendered=rendered(*steps),
    )


RUNS = NodeRuns(OutputKeeper(None))


def start(node: HomeNode, order: Order, runs: NodeRuns = RUNS, wait: int = 60) -> Sight:
    found = runs.start(HomeSession(node), order, become=False, wait=wait, on_claimed=lambda: None)
    assert isinstance(found, Sight), found
    return found


def record(node: HomeNode, order: Order, sight: Sight, runs: NodeRuns) -> RunRecord:
    manifest = read_manifest((node.root / "runs" / order.run / "manifest").read_text(), order.run, NODE)
    found = record_of(manifest, sight, runs.output, STARTED + timedelta(hours=1))
    assert found is not None
    return found


def run(node: HomeNode, *steps: RenderedStep) -> RunRecord:
    """Run a document to its end."""
    runs = NodeRuns(OutputKeeper(None))
    order = an_order(*steps)
    return record(node, order, start(node, order, runs), runs)


def wait_for(path: Path, deadline: float = 60.0) -> None:
    ends = time.monotonic() + deadline
    while not path.exists():
        assert time.monotonic() < ends, f"{path} never came"
        time.sleep(0.01)


def wait_for_death(pid: int, deadline: float = 60.0) -> None:
    """A killed process dies when it gets a processor, which may be a moment later."""
    ends = time.monotonic() + deadline
    while not has_ended(pid):
        assert time.monotonic() < ends, f"{pid} never died"
        time.sleep(0.01)
