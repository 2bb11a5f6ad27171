"""What the daemon and its clients say to each other over the local socket: lines of JSON, read strictly and bounded."""

import base64
import os
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson

from reconciler.commands.command import DOCUMENT_NAME
from reconciler.commands.request import Typed
from reconciler.errors import (
    CommitError,
    DesiredStateError,
    HostError,
    LeaseLost,
    ReconcilerError,
    SettingsError,
    SourceError,
    UsageError,
)
from reconciler.ids import DocumentName
from reconciler.model.document import Document
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes

NAME = "daemon.sock"
VERSION = 2

MOST_ASKED = 512 * 1024
"""Bytes of a request: 64 KB of parameters, escaped, targets, and a document of 64 KB."""

MOST_TOLD = 64 * 1024 * 1024
"""Bytes of one line from the daemon: the record of a command on 10,000 nodes holds 5 MB."""

CHUNK = 64 * 1024

FROM_FILE = "file"
"""What stands in the place of a version where the caller brought the document."""

_TEXTS = (
    "document_name",
    "document_version",
    "max_concurrency",
    "max_errors",
    "comment",
    "output_s3_bucket_name",
    "output_s3_key_prefix",
    "ramp",
    "max_unreachable",
)
_LISTS = ("targets", "instance_ids", "parameters")

KINDS: Mapping[str, type[ReconcilerError]] = {
    kind.__name__: kind for kind in (UsageError, LeaseLost, CommitError, SourceError, SettingsError, HostError)
}
"""Errors that arrive as what they were; the rest arrives as a CommitError: nothing was sent."""


class Malformed(ValueError):
    """What came is no line of this protocol."""


class Gone(Exception):
    """The other end is not there any more, or does not take what it is sent."""


def address_in(state_dir: Path) -> tuple[int, str]:
    """Give a descriptor to close after use, and the socket's path by it: a path of its own may be too long for the kernel."""
    folder = os.open(state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return folder, f"/proc/self/fd/{folder}/{NAME}"


class Line:
    """One end of a connection, for one reading and one writing thread."""

    def __init__(self, connection: socket.socket, *, most: int) -> None:
        self._connection = connection
        self._most = most
        self._rest = bytearray()

    def read(self, patience: float) -> Mapping[str, Any]:
        """Read the next line within so many seconds, however slowly it drips. Raises Malformed, Gone or TimeoutError."""
        until = time.monotonic() + patience
        searched = 0
        while (end := self._rest.find(b"\n", searched)) < 0:
            searched = len(self._rest)
            if searched > self._most:
                raise Malformed(f"a line of more than {self._most} bytes")
            self._rest += self._received(until)
        line = bytes(self._rest[:end])
        del self._rest[: end + 1]
        if len(line) > self._most:
            raise Malformed(f"a line of more than {self._most} bytes")
        try:
            value = orjson.loads(line)
        except ValueError as exc:
            raise Malformed("it is no JSON") from exc
        if not isinstance(value, dict):
            raise Malformed("it is no JSON object")
        return value

    def _received(self, until: float) -> bytes:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            found = self._connection.recv(CHUNK)
        except TimeoutError:
            raise
        except OSError as exc:
            raise Gone(str(exc)) from exc
        if not found:
            raise Gone("it closed the connection")
        return found

    def write(self, value: Mapping[str, Any], patience: float) -> None:
        """Send one line. Raises Gone where it is not taken within so many seconds."""
        self._connection.settimeout(patience)
        try:
            self._connection.sendall(orjson.dumps(value) + b"\n")
        except OSError as exc:
            raise Gone(str(exc)) from exc

    def close(self) -> None:
        """End the connection: a thread that reads from it hears of it at once. Safe to call twice."""
        with closing(self._connection):
            try:
                self._connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


def encode_typed(typed: Typed) -> Mapping[str, Any]:
    """Give the options of a command as a JSON value."""
    value = {field.name: getattr(typed, field.name) for field in fields(typed)}
    return {**value, **{name: list(value[name]) for name in _LISTS}}


def decode_typed(value: object) -> Typed:
    """Read them again. Raises Malformed."""
    if not isinstance(value, dict) or set(value) != {field.name for field in fields(Typed)}:
        raise Malformed("the options of send-command are not those of this version")
    for name in _TEXTS:
        if not isinstance(value[name], str):
            raise Malformed(f"{name} is no text")
    for name in _LISTS:
        if not isinstance(value[name], list) or not all(isinstance(one, str) for one in value[name]):
            raise Malformed(f"{name} is no list of texts")
    if not isinstance(value["document_hash"], str | None) or type(value["timeout_seconds"]) is not int:
        raise Malformed("document_hash is no text, or timeout_seconds no number")
    return Typed(**value)


def encode_brought(document: Document, content: bytes) -> Mapping[str, Any]:
    """Give a document that the caller brings along as a JSON value."""
    return {"name": document.name, "content": base64.b64encode(content).decode("ascii")}


def decode_brought(value: object) -> Document | None:
    """Read it again. Raises Malformed, and UsageError where it is no document."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Malformed("document is no object")
    name, content = texts(value, "name", "content")
    if not DOCUMENT_NAME.fullmatch(name):
        raise Malformed("the document's name is none")
    try:
        data = base64.b64decode(content, validate=True)
    except ValueError as exc:
        raise Malformed("the document's content is not base64") from exc
    mistakes = Mistakes(name)
    document = read_document_file(name, data, DocumentName(name), FROM_FILE, mistakes)
    if document is None:
        raise UsageError("InvalidDocument: " + "; ".join(str(each) for each in sorted(mistakes.problems)[:5]))
    return document


def texts(value: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    """Give fields that must be texts. Raises Malformed."""
    found = tuple(value.get(name) for name in names)
    if not all(isinstance(one, str) for one in found):
        raise Malformed(f"{' or '.join(names)} is missing, or no text")
    return tuple(str(one) for one in found)


def refusal(error: ReconcilerError) -> Mapping[str, Any]:
    """Say why nothing was done."""
    kind = "CommitError" if isinstance(error, DesiredStateError) else type(error).__name__
    return {"event": "refused", "kind": kind, "words": str(error)}


def refused(value: Mapping[str, Any]) -> ReconcilerError:
    """Give the error that a refusal is of."""
    kind, words = texts(value, "kind", "words")
    return KINDS.get(kind, CommitError)(words)
