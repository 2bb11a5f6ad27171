"""The stop button: the file of pauses in the manager's state folder, read anew whenever something is about to be started.

No git and no network is asked, so it works while the remote is down. It is replaced by one rename; a file that does not
read pauses everything.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from reconciler.errors import SettingsError
from reconciler.ids import AssociationName, NodeId
from reconciler.model.pause import Pause, Pauses

VERSION = 1
NAME = "pauses.json"
MOST_BYTES = 1 << 20
"""A larger file is not ours."""

LONGEST_REASON = 500
"""Characters; it is repeated in every finding it holds back."""

Change = Callable[[tuple[Pause, ...]], tuple[Pause, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseFile:
    """`pauses.json` of one state folder."""

    folder: Path

    @property
    def path(self) -> Path:
        """The file; there is none until somebody pauses something."""
        return self.folder / NAME

    def read(self) -> Pauses:
        """Read what is paused. What cannot be read pauses everything: not knowing is never "go"."""
        try:
            content = self._content()
            return Pauses() if content is None else Pauses(all=decode_pauses(content))
        except (OSError, ValueError, TypeError, KeyError) as exc:
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
            remedy = "see it, then `reconciler resume --all` begins it anew"
            return Pauses(unreadable=f"paused, for {self.path} does not read ({why}): {remedy}")

    def _content(self) -> bytes | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"it is larger than {MOST_BYTES} bytes")
        return content

    def change(self, edit: Change, now: datetime, *, anew: bool = False) -> Pauses:
        """Replace what is paused by what `edit` makes of it; those that have ended are left out.

        `anew`: a file that does not read counts as an empty one. Raises SettingsError where it does not read, or cannot
        be written.
        """
        try:
            with self._alone():
                found = self.read()
                if found.unreadable is not None and not anew:
                    raise SettingsError(f"nothing was changed: everything is {found.unreadable}")
                made = Pauses(all=Pauses(all=edit(found.all)).standing(now))
                self._write(encode_pauses(made.all))
        except OSError as exc:
            raise SettingsError(
                f"{self.path} cannot be written ({exc.strerror}): nothing was changed; an empty file there pauses everything"
            ) from exc
        return made

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = os.open(self.folder / f"{NAME}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # held by nobody for longer than it takes to write one small file
            yield
        finally:
            os.close(lock)

    def _write(self, content: bytes) -> None:
        new = self.folder / f"{NAME}.new"
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def encode_pause(pause: Pause) -> Mapping[str, Any]:
    """Give a pause as a JSON value."""
    return {
        "node": pause.node,
        "association": pause.association,
        "who": pause.who,
        "since": _text(pause.since),
        "reason": pause.reason,
        "until": None if pause.until is None else _text(pause.until),
    }


def encode_pauses(pauses: tuple[Pause, ...]) -> bytes:
    """Give the bytes of the file."""
    value = {"version": VERSION, "pauses": [encode_pause(pause) for pause in pauses]}
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode_pauses(content: bytes) -> tuple[Pause, ...]:
    """Read them again. Raises ValueError, KeyError or TypeError for anything that is not what `encode_pauses` gives."""
    value = orjson.loads(content)
    if not isinstance(value, dict) or value.get("version") != VERSION or not isinstance(value.get("pauses"), list):
        raise ValueError("it is no list of pauses of this version")
    return tuple(map(_pause, value["pauses"]))


_KEYS = {"node", "association", "who", "since", "reason", "until"}


def _pause(row: Mapping[str, Any]) -> Pause:
    if not isinstance(row, dict) or set(row) != _KEYS:
        raise ValueError(f"a pause of it has other fields than {', '.join(sorted(_KEYS))}")
    node, association = _name(row, "node"), _name(row, "association")
    until = row["until"]
    if not isinstance(row["who"], str) or not isinstance(row["reason"], str):
        raise TypeError("a pause of it does not say who and why in text")
    return Pause(
        node=None if node is None else NodeId(node),
        association=None if association is None else AssociationName(association),
        who=row["who"],
        since=_instant(row["since"]),
        reason=row["reason"][:LONGEST_REASON],
        until=None if until is None else _instant(until),
    )


def _name(row: Mapping[str, Any], key: str) -> str | None:
    value = row[key]
    if value is not None and (not isinstance(value, str) or not value):
        raise ValueError(f"a pause of it has a {key} that is no name")
    return value


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(timespec="seconds")


def _instant(text: object) -> datetime:
    found = datetime.fromisoformat(text) if isinstance(text, str) else None
    if found is None or found.tzinfo is None:
        raise ValueError(f"{text!r} is no instant with a zone")
    return found
