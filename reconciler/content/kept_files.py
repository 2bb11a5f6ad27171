"""Files of patches that the management host keeps in case their archives drop them: by SHA-256, under a cap. I/O on one folder.

    FOLDER/ab/SHA256        one file; its time of change is when a node last needed it
    FOLDER/full             there was no room, and that was told

What is to be fetched and what has to go is decided by `choose`, which is pure.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from reconciler.errors import SourceError

MOST_OF_ONE_FILE: Final = 256 * 1024 * 1024
"""Bytes. It goes to each node over its SSH connection, and through this host's memory: a kernel has 100 MiB."""
MISSED: Final = timedelta(days=7)
"""So long a file that no node needs now counts as needed all the same: its nodes may only not have answered."""
TOUCHED_EVERY: Final = timedelta(hours=12)
ABANDONED: Final = timedelta(days=1)
"""What a killed process began to write goes after this time."""

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_SCHEME: Final = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One file that is here."""

    sha256: str
    size: int
    needed: datetime
    """When a node last needed it (UTC)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One file that nodes need."""

    sha256: str
    size: int
    rank: int
    """How much it would be missed; 1 or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is to be done."""

    fetch: tuple[Wanted, ...]
    evict: tuple[Held, ...]
    left_out: tuple[Wanted, ...]
    """For these there is no room that something less needed could make."""


def choose(held: Iterable[Held], wanted: Sequence[Wanted], *, most: int, now: datetime) -> Choice:
    """Choose what is fetched and what goes, with no more than `most` bytes in the end; `wanted` is taken in its order.

    What goes first is what nobody needs, longest unneeded first; a file never makes room for one that is missed no more than it.
    """
    files = {one.sha256: one for one in held}
    rank = {one.sha256: one.rank for one in wanted}

    def missed(one: Held) -> int:
        return rank.get(one.sha256, int(now - one.needed < MISSED))

    goes = sorted(files.values(), key=lambda one: (missed(one), one.needed, one.sha256))
    used = sum(one.size for one in goes)
    evict: list[Held] = []
    while goes and used > most:  # the cap was lowered
        evict.append(goes.pop(0))
        used -= evict[-1].size
    fetch: list[Wanted] = []
    left_out: list[Wanted] = []
    for one in wanted:
        if one.sha256 in files:
            continue
        count, room = 0, most - used
        while room < one.size and count < len(goes) and missed(goes[count]) < one.rank:
            room += goes[count].size
            count += 1
        if room < one.size:
            left_out.append(one)
            continue
        evict += goes[:count]
        used += one.size - sum(gone.size for gone in goes[:count])
        del goes[:count]
        fetch.append(one)
    return Choice(fetch=tuple(fetch), evict=tuple(evict), left_out=tuple(left_out))


class KeptFiles:
    """One folder. Several processes may use it at once: every file appears whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def held(self) -> Mapping[str, Held]:
        """Give what is here, by SHA-256. What does not read is not here."""
        return {one.sha256: one for one in self._files()}

    def has(self, sha256: str) -> bool:
        """Whether a file is here."""
        return _HEX.fullmatch(sha256) is not None and self._file(sha256).is_file()

    def read(self, sha256: str) -> bytes:
        """Give a file. Raises SourceError where it is gone, or is not what it is called; then it is removed."""
        path = self._file(sha256)
        try:
            data = path.read_bytes()
        except OSError as exc:
            raise SourceError(f"the kept file {sha256[:12]} is not there any more: {exc.strerror}") from exc
        if hashlib.sha256(data).hexdigest() != sha256:
            path.unlink(missing_ok=True)
            raise SourceError(f"the kept file {sha256[:12]} was changed; it is fetched anew")
        return data

    def put(self, sha256: str, bring: Callable[[BinaryIO], None]) -> None:
        """Keep what `bring` writes, if it is that file. Raises SourceError where it is another one, or the disk takes nothing."""
        path = self._file(sha256)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".new.", dir=path.parent)
            made = Path(name)
        except OSError as exc:
            raise SourceError(f"{path.parent} cannot be written: {exc.strerror}") from exc
        try:
            with os.fdopen(descriptor, "w+b") as opened:
                bring(opened)
                opened.seek(0)
                found = hashlib.file_digest(opened, "sha256").hexdigest()
            if found != sha256:
                raise SourceError(f"it is another file: SHA-256 {found[:12]}... instead of {sha256[:12]}...")
            made.rename(path)
        except OSError as exc:
            raise SourceError(f"{path.parent} cannot be written: {exc.strerror}") from exc
        finally:
            made.unlink(missing_ok=True)

    def needed(self, some: Iterable[str], now: datetime) -> None:
        """Note that nodes need these; now and then is enough."""
        held = self.held()
        for sha256 in some:
            one = held.get(sha256)
            if one is not None and abs(now - one.needed) > TOUCHED_EVERY:
                with suppress(OSError):
                    os.utime(self._file(sha256), (now.timestamp(), now.timestamp()))

    def evict(self, some: Iterable[Held]) -> None:
        """Remove files. What cannot be removed stays."""
        for one in some:
            with suppress(OSError):
                self._file(one.sha256).unlink(missing_ok=True)

    def tidy(self, now: datetime) -> None:
        """Remove what killed processes left half written."""
        for path in self._folder.glob("??/.new.*"):
            with suppress(OSError):
                if now.timestamp() - path.stat().st_mtime > ABANDONED.total_seconds():
                    path.unlink()

    def was_told_full(self, *, is_full: bool) -> bool:
        """Note whether there is room; tells whether that there is none was told before."""
        marker = self._folder / "full"
        told = marker.exists()
        with suppress(OSError):
            if is_full and not told:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                marker.touch(mode=0o600)
            elif not is_full and told:
                marker.unlink()
        return told

    def _files(self) -> Iterator[Held]:
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            if _HEX.fullmatch(path.name):
                with suppress(OSError):
                    about = path.stat()
                    needed = datetime.fromtimestamp(about.st_mtime, UTC)
                    yield Held(sha256=path.name, size=about.st_size, needed=needed)

    def _file(self, sha256: str) -> Path:
        if not _HEX.fullmatch(sha256):
            raise SourceError(f"{sha256[:80]!r} is no SHA-256")
        return self._folder / sha256[:2] / sha256


def sha256_of(checksum: str) -> str:
    """Give the digits of `sha256:HEX`. Raises SourceError on any other checksum."""
    found = checksum.removeprefix(_SCHEME)
    if found == checksum or not _HEX.fullmatch(found):
        raise SourceError(f"{checksum[:80]!r} is no SHA-256")
    return found
