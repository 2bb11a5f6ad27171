"""Versions on offer and the notices that name them, as `lists` tells them of a node with dnf or zypper: the readers. Pure."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final

from reconciler.inventory.apt import by_row
from reconciler.inventory.fact import Rows, number
from reconciler.inventory.rpm.grammar import (
    BUG,
    CVE,
    NOTICE,
    PATH,
    WORD,
    check_arch,
    check_checksum,
    check_name,
    check_version,
    read_date,
    source_of,
)
from reconciler.inventory.rpm.repositories import Repository, read_repositories
from reconciler.model.patch import Family, Notice, Patch
from reconciler.model.patch_lines import notice_line

_COLUMNS: Final = 10
_NOTICE_COLUMNS: Final = 10
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
FAMILIES: Final = {"dnf": Family.RPM, "zypp": Family.SUSE}


def read_offers(text: str) -> Iterable[Patch]:
    """Read versions on offer, each with the notices that name it.

    Raises ValueError where a list could not be read to its end, or one line is odd.
    """
    manager, repositories, lines, notices = _parts(text)
    named = _named(lines, notices)
    patches: dict[tuple[str, str, str, str], Patch] = {}
    for line in lines:
        patch = _patch(line, repositories, FAMILIES[manager])
        if patch is None:
            continue
        key = (patch.name, patch.arch, patch.version, patch.checksum)
        if key in patches:
            patch = replace(patches[key], indexes=tuple(dict.fromkeys((*patches[key].indexes, *patch.indexes))))
        patches[key] = patch
    return [
        replace(patch, notices=tuple(named.get((patch.name, patch.arch, patch.version), ())))
        for patch in patches.values()
    ]


def read_notices(text: str) -> Rows:
    """Read the notices that name a version on offer: ID -> its line.

    Raises ValueError as `read_offers` does.
    """
    return dict(by_row((notice.id, notice_line(notice)) for notice, _ in _notices(_parts(text)[3])))


def _parts(text: str) -> tuple[str, Sequence[Repository], Sequence[str], Sequence[str]]:
    """Give the manager, the repositories whose metadata is there, lines of versions, and lines of notices."""
    listed, found, rest = text.partition("\n--\n")
    manager, repositories = read_repositories(listed)
    if not found:
        raise ValueError("the versions on offer are missing")
    held = tuple(one for one in repositories if one.folder)
    lines = rest.split("\n")
    if lines[0].startswith("bad "):
        names = ", ".join(_at(held, place).id for place in lines[0].split()[1:])
        raise ValueError(f"a list could not be read to its end (is the program that unpacks it installed?): {names}")
    ends = [at for at, line in enumerate(lines) if line.startswith("end ")]
    if len(ends) != 2 or ends[1] != len(lines) - 1:  # noqa: PLR2004  (of versions, of notices)
        raise ValueError("the versions on offer are cut")
    versions, notices = lines[: ends[0]], lines[ends[0] + 1 : ends[1]]
    if number(lines[ends[0]].split()[1]) != len(versions) or number(lines[ends[1]].split()[1]) != len(notices):
        raise ValueError("the versions on offer are cut: fewer arrived than were counted")
    return manager, held, versions, notices


def _named(lines: Sequence[str], notices: Sequence[str]) -> Mapping[tuple[str, str, str], Sequence[Notice]]:
    """Give the notices by (name, arch, version): they name versions by the number of their line."""
    named: dict[tuple[str, str, str], list[Notice]] = {}
    for notice, places in _notices(notices):
        for place in places:
            if number(place) >= len(lines):
                raise ValueError(f"{notice.id} names version {place} of {len(lines)}")
            name, arch, version = lines[number(place)].split("\t")[:3]
            named.setdefault((name, arch, version.removeprefix("0:")), []).append(notice)
    return named


def _at(repositories: Sequence[Repository], place: str) -> Repository:
    if number(place) >= len(repositories):
        raise ValueError(f"there is no list {place}")
    return repositories[number(place)]


def _patch(line: str, repositories: Sequence[Repository], family: Family) -> Patch | None:
    """Read `NAME ARCH EVR SOURCE CHECKSUM SIZE FILENAME BUILT MODULE REPOSITORIES`; None where all of them exclude it."""
    fields = line.split("\t")
    if len(fields) != _COLUMNS:
        raise ValueError(f"not a version on offer: {line[:80]!r}")
    name, arch, version, source, checksum, size, path, built, module, where = fields
    check_name(name)
    check_arch(arch)
    version = check_version(version)
    if path.endswith("*"):  # the node leaves out what is usual
        path = f"{path[:-1]}{name}-{version.rpartition(':')[2]}.{arch}.rpm"
    if PATH.fullmatch(path) is None:
        raise ValueError(f"{name}: not the place of a file: {path[:80]!r}")
    if module and any(NOTICE.fullmatch(part) is None for part in module.split(":", 1)):
        raise ValueError(f"{name}: not a module: {module[:80]!r}")
    offering = (_at(repositories, place) for place in where.split(","))
    indexes = tuple(one.index for one in offering if not _is_excluded(one, name, version, arch))
    if not indexes:
        return None
    source, source_version = source_of(source, name, version)
    return Patch(
        family=family,
        name=name,
        arch=arch,
        version=version,
        source=source,
        source_version=source_version,
        checksum=check_checksum(checksum) if checksum else "",
        size=number(size) if size else None,
        filename=path,
        built=read_date(built),
        module=module,
        indexes=indexes,
    )


def _is_excluded(repository: Repository, name: str, version: str, arch: str) -> bool:
    """dnf: `excludepkgs` and `includepkgs` of one repository."""
    if not repository.excludes and not repository.includes:
        return False
    names = spellings(name, version, arch)
    if names_any(repository.excludes, names):
        return True
    return bool(repository.includes) and not names_any(repository.includes, names)


def spellings(name: str, version: str, arch: str) -> tuple[str, ...]:
    """Give the ways in which dnf's settings name a package."""
    epoch, colon, rest = version.rpartition(":")
    e = epoch if colon else "0"
    nevra = f"{name}-{e}:{rest}.{arch}"
    return (
        name,
        f"{name}.{arch}",
        f"{name}-{rest}",
        f"{name}-{rest}.{arch}",
        f"{name}-{e}:{rest}",
        nevra,
        f"{e}:{name}-{rest}.{arch}",
    )


def names_any(patterns: Sequence[str], names: Sequence[str]) -> bool:
    """Whether one of the globs names a package."""
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _notices(lines: Sequence[str]) -> list[tuple[Notice, Sequence[str]]]:
    """Read notices, and for each the packages on offer that it names.

    Several repositories may publish one: the newest date counts, and everything that any of them names.
    """
    found: dict[str, tuple[Notice, dict[str, None]]] = {}
    for line in lines:
        notice, names = _notice(line)
        known, named = found.get(notice.id, (notice, {}))
        named.update(dict.fromkeys(names))
        newest = max(known, notice, key=_published)
        cves, bugs = {*known.cves, *notice.cves}, {*known.bugzillas, *notice.bugzillas}
        found[notice.id] = (replace(newest, cves=tuple(sorted(cves)), bugzillas=tuple(sorted(bugs))), named)
    return [(notice, tuple(named)) for notice, named in found.values()]


def _published(notice: Notice) -> tuple[datetime, str]:
    return notice.published or _NEVER, notice_line(notice)


def _notice(line: str) -> tuple[Notice, Sequence[str]]:
    """Read `REPOSITORY ID TYPE SEVERITY ISSUED UPDATED TITLE REFERENCES REBOOT NUMBER...`; numbers are those of lines of versions."""
    fields = line.split("\t")
    if len(fields) < _NOTICE_COLUMNS:
        raise ValueError(f"not a notice: {line[:80]!r}")
    identity, kind, severity, issued, updated, title, references, reboot = map(html.unescape, fields[1:9])
    if NOTICE.fullmatch(identity) is None:
        raise ValueError(f"not the id of a notice: {identity[:80]!r}")
    if any(word and WORD.fullmatch(word) is None for word in (kind, severity)):
        raise ValueError(f"{identity}: neither type nor severity: {kind[:40]!r}, {severity[:40]!r}")
    told = references.split()
    cves = {text for text in told if CVE.fullmatch(text)} | set(CVE.findall(title))
    bugs = {text for text in told if BUG.fullmatch(text)}
    notice = Notice(
        id=identity,
        classification=kind,
        severity=severity,
        issued=read_date(issued),
        updated=read_date(updated),
        cves=tuple(sorted(cves)),
        bugzillas=tuple(sorted(bugs)),
        title=title,
        reboot=reboot == "reboot",
    )
    return notice, fields[9:]
