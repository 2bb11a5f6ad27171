"""What was fetched, on this host's disk: files by their SHA-256, and what each source came to last. Nothing is trusted unread.

FOLDER/files/AB/SHA256        one file
FOLDER/sources/KEY.json       what a source came to
FOLDER/repositories/KEY.git   clones that contents were taken from
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

import orjson

from reconciler.documents.content import Content, ContentFile, Source
from reconciler.errors import SourceError

KEPT = timedelta(days=30)
"""What no document has asked for in this time is removed."""
PRUNED_EVERY = timedelta(days=1)
_HEX = re.compile(r"[0-9a-f]{64}")
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a source came to when it was last looked at."""

    content: Content
    mark: str = ""
    """What a web server calls this version."""


class Store:
    """One folder. Several processes may use it at once: every file appears whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def repositories(self) -> Path:
        """Where clones may be made."""
        return self._folder / "repositories"

    def put(self, data: bytes) -> str:
        """Keep a file; gives its SHA-256."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._file(sha256)
        if not path.is_file():
            self._write(path, data)
        return sha256

    def read(self, sha256: str) -> bytes:
        """Give a file. Raises SourceError where it is not there, or is not what it is called."""
        try:
            data = self._file(sha256).read_bytes()
        except OSError as exc:
            raise SourceError(f"the file {sha256[:12]} is not in {self._folder}: {exc.strerror}") from exc
        if hashlib.sha256(data).hexdigest() != sha256:
            with suppress(OSError):
                self._file(sha256).unlink()
            raise SourceError(f"the file {sha256[:12]} in {self._folder} was changed; it is fetched anew")
        return data

    def remember(self, source: Source, known: Known) -> None:
        """Keep what a source came to."""
        value = {"version": _VERSION, "mark": known.mark, **content_fields(known.content)}
        self._write(self._source(source), orjson.dumps(value, option=orjson.OPT_SORT_KEYS))

    def recall(self, source: Source) -> Known | None:
        """Give what a source came to last; None where nobody looked, or where files of it are gone."""
        path = self._source(source)
        try:
            known = _read_known(orjson.loads(path.read_bytes()))
            os.utime(path)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        there = all(self._has(file) for file in known.content.files)
        return known if there else None

    def prune(self, now: datetime) -> None:
        """Remove what nobody has asked for lately, once a day. What cannot be removed stays."""
        marker = self._folder / "pruned"
        if not self._folder.is_dir() or _age(marker, now) < PRUNED_EVERY:
            return
        with suppress(OSError, SourceError):
            self._write(marker, b"")
            needed = set(self._still_needed(now))
            for path in (self._folder / "files").glob("*/*"):
                # What was written a moment ago may belong to a source that is not remembered yet.
                if path.name not in needed and _age(path, now) > PRUNED_EVERY:
                    path.unlink(missing_ok=True)
            for clone in self.repositories.glob("*.git"):
                if _age(clone / "reconciler.address", now) > KEPT:
                    shutil.rmtree(clone, ignore_errors=True)

    def _still_needed(self, now: datetime) -> Iterator[str]:
        for path in (self._folder / "sources").glob("*.json"):
            if _age(path, now) > KEPT:
                path.unlink(missing_ok=True)
                continue
            with suppress(ValueError, KeyError, TypeError):
                yield from (file.sha256 for file in _read_known(orjson.loads(path.read_bytes())).content.files)

    def _write(self, path: Path, data: bytes) -> None:
        with suppress(OSError):  # whatever is wrong with it, the file in it says
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, data)

    def _has(self, file: ContentFile) -> bool:
        try:
            return self._file(file.sha256).stat().st_size == file.size
        except OSError:
            return False

    def _file(self, sha256: str) -> Path:
        if not _HEX.fullmatch(sha256):
            raise SourceError(f"{sha256[:80]!r} is no SHA-256")
        return self._folder / "files" / sha256[:2] / sha256

    def _source(self, source: Source) -> Path:
        return self._folder / "sources" / f"{source_key(source)}.json"


def source_key(source: Source) -> str:
    """Give what a source is known by: all that it says, with secrets by their names."""
    value = {"type": type(source).__name__, **asdict(source)}
    return hashlib.sha256(orjson.dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS)).hexdigest()


def content_fields(content: Content) -> Mapping[str, Any]:
    """Give a content as JSON values."""
    return asdict(content)


def read_content(value: Mapping[str, Any]) -> Content:
    """Read what `content_fields` gave. Raises ValueError, KeyError or TypeError where it is something else."""
    files = tuple(
        ContentFile(path=str(file["path"]), sha256=str(file["sha256"]), size=int(file["size"]))
        for file in value["files"]
    )
    if any(not _HEX.fullmatch(file.sha256) for file in files):
        raise ValueError("not a SHA-256")
    return Content(pin=str(value["pin"]), files=files, single=value["single"] is True)


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(type(value).__name__)


def _read_known(value: Mapping[str, Any]) -> Known:
    if value["version"] != _VERSION:
        raise ValueError("of another version")
    return Known(content=read_content(value), mark=str(value["mark"]))


def _age(path: Path, now: datetime) -> timedelta:
    try:
        return timedelta(seconds=now.timestamp() - path.stat().st_mtime)
    except OSError:
        return KEPT * 2


def _write(path: Path, data: bytes) -> None:
    """Write a file that nobody else can read, whole or not at all. Raises SourceError where the disk takes nothing."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".new.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(data)
            Path(name).rename(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise SourceError(f"{path.parent} cannot be written: {exc.strerror}") from exc
