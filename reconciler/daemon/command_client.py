"""The other end of the daemon's local socket: hands a command to it, and follows what it tells."""

import base64
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from reconciler.commands.command import Announcement
from reconciler.commands.dispatch import Tell, Watch
from reconciler.commands.record import decode_record
from reconciler.commands.request import Typed
from reconciler.commands.statuses import Detail
from reconciler.daemon.command_wire import (
    MOST_TOLD,
    VERSION,
    Gone,
    Line,
    Malformed,
    address_in,
    encode_typed,
    refused,
    texts,
)
from reconciler.daemon.commanding import Sent
from reconciler.errors import CommitError, ReconcilerError, UsageError
from reconciler.ids import NodeId
from reconciler.source.address import parse_address

ANSWER_PATIENCE = 180.0
"""Seconds until the daemon says what it is about to do: it fetches both branches first."""

LOOK_AGAIN = 0.2
"""Seconds between looks at `stop`."""

WRITE_PATIENCE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """The person left before the end: the command goes on."""

    command: str


class DaemonLine:
    """A connection to the daemon of a state folder."""

    def __init__(self, connection: socket.socket, repo: str) -> None:
        self._line = Line(connection, most=MOST_TOLD)
        self._repository = parse_address(repo, cwd=Path.cwd()).shown

    def close(self) -> None:
        """Hang up; what the daemon does goes on."""
        self._line.close()

    def send(
        self,
        typed: Typed,
        *,
        stop: Event,
        tell: Tell,
        confirm: Callable[[Announcement], None],
        brought: Mapping[str, Any] | None = None,
        watch: Watch | None = None,
    ) -> Sent | Left:
        """Have a command sent and follow it. Raises what the daemon raised: nothing was sent then.

        `brought`: a document that is not the repository's, as `encode_brought` gives it. `watch` sees the steps on one node.
        """
        self._ask({"do": "send", "options": encode_typed(typed), "document": brought, "watch": watch is not None})
        told = self._event(stop, "nothing was sent", ANSWER_PATIENCE)
        if told is None:
            raise UsageError("interrupted: nothing was sent")
        command, words = texts(told, "command", "words")
        confirm(Announcement(command=command, words=words, nodes=int(told["nodes"])))
        self._write({"do": "go"})
        while (
            told := self._event(stop, f"command {command} goes on: `reconciler list-commands` tells of it")
        ) is not None:
            match told.get("event"):
                case "told":
                    node, detail, why = texts(told, "node", "detail", "words")
                    tell(NodeId(node), Detail(detail), why)
                case "output" if watch is not None:
                    step, kind, content = texts(told, "step", "kind", "content")
                    watch.output(step, kind, base64.b64decode(content))
                case "step" if watch is not None:
                    step, status = texts(told, "step", "status")
                    watch.ended(step, status, int(told["exit"]))
                case "ended":
                    (record,) = texts(told, "record")
                    problems = tuple(str(each) for each in told.get("problems", ()))
                    return Sent(
                        record=decode_record(record.encode()), problems=problems, report_commit=told.get("report")
                    )
        return Left(command=command)

    def cancel(self, command: str, nodes: tuple[str, ...], *, stop: Event) -> Iterator[str]:
        """Have a command ended; gives what became of it, in words."""
        self._ask({"do": "cancel", "command": command, "nodes": list(nodes)})
        while (told := self._event(stop, "whether it was cancelled is not known")) is not None:
            if told.get("event") == "ended":
                return
            yield from texts(told, "words")

    def _ask(self, value: Mapping[str, Any]) -> None:
        self._write({"version": VERSION, "repository": self._repository, **value})

    def _write(self, value: Mapping[str, Any]) -> None:
        try:
            self._line.write(value, WRITE_PATIENCE)
        except Gone as exc:
            raise self._last_words() or CommitError(f"the daemon hung up: {exc}") from exc

    def _last_words(self) -> ReconcilerError | None:
        """Give why the daemon hung up, where it said so before: it reads no request to an end that it has refused."""
        with suppress(Gone, Malformed, TimeoutError):
            told = self._line.read(LOOK_AGAIN)
            if told.get("event") == "refused":
                return refused(told)
        return None

    def _event(self, stop: Event, otherwise: str, patience: float = float("inf")) -> Mapping[str, Any] | None:
        """Give what the daemon says next; None: the person left. Raises what it refused with."""
        waited = 0.0
        while not stop.is_set():
            try:
                told = self._line.read(LOOK_AGAIN)
            except TimeoutError as exc:
                waited += LOOK_AGAIN
                if waited >= patience:
                    raise CommitError(f"the daemon does not answer: {otherwise}") from exc
                continue
            except (Gone, Malformed) as exc:
                raise CommitError(f"the daemon is gone: {otherwise}") from exc
            if told.get("event") == "refused":
                raise refused(told)
            return told
        return None


@contextmanager
def daemon_of(state_dir: Path, repo: str) -> Iterator[DaemonLine | None]:
    """Give a line to the daemon of this state folder; None: there is none. Raises UsageError where it is closed to us."""
    connection = _connected(state_dir)
    if connection is None:
        yield None
        return
    line = DaemonLine(connection, repo)
    try:
        yield line
    finally:
        line.close()


def _connected(state_dir: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        folder, path = address_in(state_dir)
        try:
            connection.settimeout(WRITE_PATIENCE)
            connection.connect(path)
        finally:
            os.close(folder)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        connection.close()
        return None
    except PermissionError as exc:
        connection.close()
        raise UsageError(f"the state folder {state_dir} belongs to somebody else: {exc.strerror}") from exc
    except OSError as exc:
        connection.close()
        raise CommitError(f"the daemon of {state_dir} cannot be reached: {exc.strerror or exc}") from exc
    return connection
