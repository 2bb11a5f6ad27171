"""Programs on this machine: the same loader, run by sh under us instead of under sshd.

Takes a Program, gives its Answer under the same limits; when one is passed, the program's whole process group is ended. It is
for the management host itself, and whether anything may be changed there is the settings' business, not decided here.
"""

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator

from reconciler.errors import AnswerGarbled, NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Answer, Limits, Program
from reconciler.model.node import Become, Node
from reconciler.transport.loader import GreetedStream, answer_of, loader_command, new_nonce

CHUNK = 256 * 1024

STDERR_KEPT = 64 * 1024
"""Stderr is for messages to people; what is beyond counts towards the answer's limit and is dropped."""

LOOK_AGAIN = 1.0
"""Seconds between looks at whether the program has ended while a child of its still holds its output open."""

EXIT_WAIT = 5.0
"""Seconds that a program has to end after it closed its output."""


class LocalSession:
    """A Session with the machine we run on."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sudo = node.become is Become.SUDO and os.geteuid() != 0

    @property
    def node(self) -> NodeId:
        """Which node this talks to."""
        return self._node.id

    @property
    def host_key(self) -> str | None:
        """There is no host key to show."""
        return None

    def run(self, program: Program) -> Answer:
        """Run one program to its end."""
        nonce, sudo = new_nonce(), self._sudo and program.become
        running = _Running(self._node.id, loader_command(program, nonce, sudo=sudo), program)
        stdout = b"".join(running.chunks())
        raw = Answer(stdout=stdout, stderr=running.stderr, exit_status=running.exit_status)
        return answer_of(self._node.id, nonce, raw, sudo=sudo)

    def stream(self, program: Program) -> Iterator[bytes]:
        """Run one program and give its stdout as it comes."""
        nonce, sudo = new_nonce(), self._sudo and program.become
        running = _Running(self._node.id, loader_command(program, nonce, sudo=sudo), program)
        greeted = GreetedStream(self._node.id, nonce, sudo=sudo)
        for chunk in running.chunks():
            if text := greeted.take(chunk):
                yield text
        greeted.end(running.stderr, running.exit_status)


class _Running:
    """One program as a child process: fed, read and bounded from one thread."""

    def __init__(self, node: NodeId, command: str, program: Program) -> None:
        self._node = node
        self._limits: Limits = program.limits
        self._unsent = memoryview(program.text)
        self._stderr = bytearray()
        self._received = 0
        self.exit_status = -1
        try:
            self._process = subprocess.Popen(
                shlex.split(command),  # what a login shell makes of it
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # a group of its own, so that a limit ends all of it; and no terminal to ask on
                cwd="/",
            )
        except OSError as error:
            raise NodeUnreachable(node, f"a program does not start on this machine: {error.strerror}") from error

    @property
    def stderr(self) -> bytes:
        """What the program wrote to stderr so far, its first 64 KB."""
        return bytes(self._stderr)

    def chunks(self) -> Iterator[bytes]:
        """Give stdout as it comes; afterwards nothing of the program is left that still belonged to it."""
        ended = False
        try:
            yield from self._read()
            self._await_exit()
            ended = True
        finally:
            self._end(kill=not ended)

    def _read(self) -> Iterator[bytes]:
        process = self._process
        assert process.stdin is not None  # noqa: S101  (for mypy: all three are pipes)
        ends = time.monotonic() + self._limits.total.total_seconds()
        last_byte = time.monotonic()
        with selectors.DefaultSelector() as selector:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
            for pipe in (process.stdout, process.stderr):
                selector.register(pipe, selectors.EVENT_READ)  # type: ignore[arg-type]  # both are pipes
            while len(selector.get_map()):
                now = time.monotonic()
                if now - last_byte >= LOOK_AGAIN and process.poll() is not None:
                    return  # a background child holds the output open
                wait = self._next_look(now, last_byte, ends)
                for key, _ in selector.select(wait):
                    if key.fileobj is process.stdin:
                        self._feed(selector)
                        continue
                    chunk = self._take(key, selector)
                    last_byte = time.monotonic()
                    if chunk and key.fileobj is process.stdout:
                        yield chunk

    def _next_look(self, now: float, last_byte: float, ends: float) -> float:
        idle = self._limits.idle.total_seconds()
        if now >= ends:
            raise NodeTimeout(self._node, f"the program was not done after {self._limits.total.total_seconds():g} s")
        if now - last_byte >= idle:
            raise NodeTimeout(self._node, f"the node sent nothing for {idle:g} s")
        return min(ends - now, idle - (now - last_byte), LOOK_AGAIN)

    def _feed(self, selector: selectors.BaseSelector) -> None:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101  (for mypy)
        try:
            sent = os.write(stdin.fileno(), self._unsent[:CHUNK])
        except BlockingIOError:
            return
        except BrokenPipeError:  # the loader has ended; what it printed says why
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            selector.unregister(stdin)
            stdin.close()

    def _take(self, key: selectors.SelectorKey, selector: selectors.BaseSelector) -> bytes:
        chunk = os.read(key.fd, CHUNK)
        if not chunk:
            selector.unregister(key.fileobj)
            return b""
        self._received += len(chunk)
        if self._received > self._limits.answer_bytes:
            raise AnswerGarbled(self._node, f"the answer is longer than {self._limits.answer_bytes} bytes")
        if key.fileobj is self._process.stderr:
            self._stderr += chunk[: STDERR_KEPT - len(self._stderr)]
        return chunk

    def _await_exit(self) -> None:
        try:
            self.exit_status = self._process.wait(EXIT_WAIT)
        except subprocess.TimeoutExpired as error:
            raise NodeTimeout(self._node, "the program closed its output and did not end") from error
        if self.exit_status < 0:
            raise AnswerGarbled(self._node, f"the program was ended by signal {-self.exit_status}")

    def _end(self, *, kill: bool) -> None:
        if kill:
            # Gone already; or root's by now, and then sudo passes on that the pipes are closed.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        if self._process.poll() is None:
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired as error:
                raise NodeTimeout(self._node, "the program cannot be ended: it runs as another user") from error
