"""Patches, notices and installed packages as canonical lines, and back: the same facts, the same line. Pure.

Rows come by the million (packages x nodes) and are alike: `PatchTable` makes one record of each distinct line, once. A line
of a patch is self-contained, so that the line alone is the key: its indexes are written out in it, and its notices are named
with the digest of their own lines.

Fields are divided by `|`, several values by `;`, the parts of one by `,`. These three, the backslash and line ends are
written as a backslash and a letter.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, TypeVar

from reconciler.model.patch import Family, Index, Installed, InstallState, Notice, Patch

T = TypeVar("T")

_ESCAPES: Final = {"\\": "b", "|": "p", ";": "s", ",": "c", "\n": "n", "\r": "r", "\t": "t"}
_WRITE: Final = str.maketrans({character: f"\\{letter}" for character, letter in _ESCAPES.items()})
_SPECIAL: Final = re.compile(r"[\\|;,\n\r\t]")
_READ: Final = {letter: character for character, letter in _ESCAPES.items()}
_DIGEST: Final = 32
"""Hexadecimal digits: nobody finds a second notice with the same 128 bits."""


def patch_line(patch: Patch) -> str:
    """Write a patch."""
    return "|".join(
        (
            patch.family.value,
            _text(patch.name),
            _text(patch.arch),
            _text(patch.version),
            _text(patch.source),
            _text(patch.source_version),
            _text(patch.section),
            _text(patch.priority),
            _text(patch.checksum),
            _number(patch.size),
            _text(patch.filename),
            _number(patch.phased),
            _time(patch.built),
            _text(patch.module),
            ";".join(sorted(map(_index, patch.indexes))),
            ";".join(sorted(map(notice_reference, patch.notices))),
        )
    )


def notice_line(notice: Notice) -> str:
    """Write a notice."""
    return "|".join(
        (
            _text(notice.id),
            _text(notice.classification),
            _text(notice.severity),
            _time(notice.issued),
            _time(notice.updated),
            ";".join(map(_text, sorted(set(notice.cves)))),
            ";".join(map(_text, sorted(set(notice.bugzillas)))),
            _text(notice.title),
            "reboot" if notice.reboot else "",
        )
    )


def notice_reference(notice: Notice) -> str:
    """Give what a patch names a notice by: `ID,DIGEST`."""
    return _reference(_text(notice.id), notice_line(notice))


def _reference(written_id: str, line: str) -> str:
    return f"{written_id},{sha256(line.encode('utf-8', 'surrogatepass')).hexdigest()[:_DIGEST]}"


def installed_line(row: Installed) -> str:
    """Write an installed package; last comes when it was installed, which differs where all else is alike."""
    return "|".join(
        (
            _text(row.name),
            _text(row.arch),
            _text(row.version),
            _text(row.source),
            _text(row.source_version),
            "hold" if row.hold else "",
            "auto" if row.auto else "",
            row.state.value,
            _time(row.installed_at),
        )
    )


def read_notice(line: str) -> Notice:
    """Read a notice. Raises ValueError on a line that `notice_line` would not write."""
    identity, classification, severity, issued, updated, cves, bugzillas, title, reboot = _fields(line, 9)
    notice = Notice(
        id=_plain(identity),
        classification=_plain(classification),
        severity=_plain(severity),
        issued=_instant(issued),
        updated=_instant(updated),
        cves=_several(cves),
        bugzillas=_several(bugzillas),
        title=_plain(title),
        reboot=reboot == "reboot",
    )
    return _as_written(notice, line, notice_line(notice))


def read_installed(line: str) -> Installed:
    """Read an installed package. Raises ValueError on a line that `installed_line` would not write."""
    name, arch, version, source, source_version, hold, auto, state, installed_at = _fields(line, 9)
    row = Installed(
        name=_plain(name),
        arch=_plain(arch),
        version=_plain(version),
        source=_plain(source),
        source_version=_plain(source_version),
        hold=hold == "hold",
        auto=auto == "auto",
        installed_at=_instant(installed_at),
        state=InstallState(state),
    )
    return _as_written(row, line, installed_line(row))


class PatchTable:
    """One record of each distinct line. Filled while facts are read; `turn` forgets what the last pass did not meet."""

    def __init__(self) -> None:
        self._notices: dict[str, Notice] = {}
        self._added: set[str] = set()
        self._patches: dict[str, Patch] = {}
        self._indexes: dict[str, Index] = {}
        self._kept: dict[str, Patch] = {}
        self._rows: dict[str, Installed] = {}
        self._kept_rows: dict[str, Installed] = {}

    def add_notices(self, lines: Iterable[str]) -> None:
        """Take the notices of one node; a patch can name only what was added. Raises ValueError on a line that does not read."""
        for line in lines:
            if line not in self._added:
                self._notices[_reference(line.partition("|")[0], line)] = read_notice(line)
                self._added.add(line)

    def patch(self, line: str) -> Patch:
        """Give the record of a line. Raises ValueError on one that does not read, or names a notice that nobody added."""
        found = self._patches.get(line)
        if found is None:
            found = self._kept.get(line) or self._read(line)
            self._patches[line] = found
        return found

    def installed(self, line: str) -> Installed:
        """Give the row of a line; what is alike on many nodes, all but when it was installed, is read once. Raises ValueError."""
        alike, _, time = line.rpartition("|")
        row = self._rows.get(alike)
        if row is None:
            row = self._kept_rows.get(alike) or read_installed(f"{alike}|")
            self._rows[alike] = row
        if not time:
            return row
        instant = _instant(time)
        _as_written(instant, time, _time(instant))
        return replace(row, installed_at=instant)

    def turn(self) -> None:
        """Begin a new pass: notices are to be added again, and lines that this pass will not meet are forgotten."""
        self._kept, self._patches = self._patches, {}
        self._kept_rows, self._rows = self._rows, {}
        self._notices, self._added, self._indexes = {}, set(), {}

    def _read(self, line: str) -> Patch:
        (
            family,
            name,
            arch,
            version,
            source,
            source_version,
            section,
            priority,
            checksum,
            size,
            filename,
            phased,
            built,
            module,
            indexes,
            notices,
        ) = _fields(line, 16)
        patch = Patch(
            family=Family(family),
            name=_plain(name),
            arch=_plain(arch),
            version=_plain(version),
            source=_plain(source),
            source_version=_plain(source_version),
            section=_plain(section),
            priority=_plain(priority),
            checksum=_plain(checksum),
            size=_count(size),
            filename=_plain(filename),
            phased=_count(phased),
            built=_instant(built),
            module=_plain(module),
            indexes=tuple(map(self._index, indexes.split(";"))) if indexes else (),
            notices=tuple(map(self._notice, notices.split(";"))) if notices else (),
        )
        return _as_written(patch, line, patch_line(patch))

    def _index(self, text: str) -> Index:
        found = self._indexes.get(text)
        if found is None:
            # Lists of a baseline's source end with its id; all others have no such field.
            repository, origin, label, suite, codename, component, trusted, *of = _fields(
                text,
                7 + (text.count(",") > 6),  # noqa: PLR2004  (six commas divide seven fields)
                ",",
            )
            found = Index(
                repository=_plain(repository),
                origin=_plain(origin),
                label=_plain(label),
                suite=_plain(suite),
                codename=_plain(codename),
                component=_plain(component),
                trusted=trusted == "trusted",
                source=_plain(of[0]) if of else "",
            )
            self._indexes[text] = found
        return found

    def _notice(self, reference: str) -> Notice:
        found = self._notices.get(reference)
        if found is None:
            raise ValueError(f"a notice that was not told: {reference[:80]!r}")
        return found


def _index(index: Index) -> str:
    parts = (index.repository, index.origin, index.label, index.suite, index.codename, index.component)
    source = (_text(index.source),) if index.source else ()
    return ",".join((*map(_text, parts), "trusted" if index.trusted else "", *source))


def _text(text: str) -> str:
    return text.translate(_WRITE) if _SPECIAL.search(text) else text


def _plain(text: str) -> str:
    first, *rest = text.split("\\")
    try:
        return first + "".join(_READ[part[0]] + part[1:] for part in rest)
    except (KeyError, IndexError):
        raise ValueError(f"a backslash that means nothing: {text[:80]!r}") from None


def _several(text: str) -> tuple[str, ...]:
    return tuple(map(_plain, text.split(";"))) if text else ()


def _number(number: int | None) -> str:
    return "" if number is None else str(number)


def _count(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 17):  # noqa: PLR2004  (2**53 has 16 digits)
        raise ValueError(f"not a number: {text[:40]!r}")
    return int(text)


def _time(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _fields(line: str, count: int, separator: str = "|") -> list[str]:
    fields = line.split(separator)
    if len(fields) != count:
        raise ValueError(f"{len(fields)} fields instead of {count}: {line[:80]!r}")
    return fields


def _as_written(record: T, line: str, again: str) -> T:
    """One record has one line: what reads alike and is written differently would be judged twice."""
    if again != line:
        raise ValueError(f"not a canonical line: {line[:80]!r}")
    return record
