"""Where the whole output of a command goes besides this host: a folder or a bucket, and SSM's layout below it; pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from reconciler.errors import UsageError
from reconciler.ids import NodeId

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ODD: Final = re.compile(r"[^A-Za-z0-9_.-]")
_ODD_IN_PREFIX: Final = re.compile(r"[^A-Za-z0-9!_.*'()&$@=;:+,?-]")
"""S3's own safe characters, and those that it takes though they need care elsewhere, without blanks."""
LONGEST_PREFIX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPlace:
    """One of a folder and a bucket."""

    folder: Path | None = None
    bucket: str | None = None
    prefix: str = ""

    @property
    def name(self) -> str:
        """As records say it."""
        return str(self.folder or self.bucket)


def read_place(name: str, prefix: str) -> OutputPlace | None:
    """Read --output-s3-bucket-name and --output-s3-key-prefix: what has a slash is a folder. Raises UsageError.

    SSM: OutputS3BucketName has 3 to 63 characters, OutputS3KeyPrefix at most 500.
    """
    if not name:
        if prefix:
            raise UsageError("--output-s3-key-prefix goes with --output-s3-bucket-name")
        return None
    parts = [part for part in prefix.split("/") if part]
    if len(prefix) > LONGEST_PREFIX or any(part in (".", "..") or _ODD_IN_PREFIX.search(part) for part in parts):
        raise UsageError(
            f"InvalidOutputFolder: --output-s3-key-prefix: at most {LONGEST_PREFIX} letters, digits, "
            "/ and any of !_.*'()&$@=;:+,?- but no '..'"
        )
    clean = "/".join(parts)
    if "/" in name:
        if not name.startswith("/") or "\0" in name:
            raise UsageError(f"InvalidOutputFolder: --output-s3-bucket-name {name}: name the folder from the root on")
        return OutputPlace(folder=Path(name), prefix=clean)
    if not _BUCKET.fullmatch(name):
        raise UsageError(
            f"InvalidOutputFolder: --output-s3-bucket-name {name!r}: a bucket (3 to 63 of a-z 0-9 . -) or a folder (with a /)"
        )
    return OutputPlace(bucket=name, prefix=clean)


def names_apart(steps: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Give each step, told by action and name, the name that its output stands under: two of one name get their numbers.

    SSM 1.2 takes elements that share an `id`, and names may differ only in what a key does not hold.
    """
    taken: set[tuple[str, str]] = set()
    names = []
    for number, (action, step) in enumerate(steps, 1):
        name = step
        while (_part(action), _part(name)) in taken:
            name = f"{_part(name)[:_ROOM]}.{number}"
        taken.add((_part(action), _part(name)))
        names.append(name)
    return tuple(names)


def key_of(place: OutputPlace, command: UUID, node: NodeId, action: str, step: str, stream: str) -> str:
    """Give where one stream goes: PREFIX/COMMAND/NODE/ACTION/STEP/stdout, with colons left out (SSM: the keys in S3)."""
    parts = (str(command), node, _part(action), _part(step), stream)
    return "/".join((place.prefix, *parts) if place.prefix else parts)


_LONGEST_PART: Final = 128
_ROOM: Final = 100
"""Of a part, where a number follows it, perhaps more than once."""


def _part(text: str) -> str:
    found = _ODD.sub("_", text.replace(":", ""))[:_LONGEST_PART]
    return found if found.strip(".") else f"_{found}"
