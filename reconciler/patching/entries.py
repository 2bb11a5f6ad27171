"""Whether an entry of a baseline's lists names a patch: globs over all ways to write a package, ids by the letter. Pure.

SSM: package name formats for approved and rejected patch lists. A bare version is none of the ways: `1.2*` would name every
package of that version; `version:1.2*` asks for it.
"""

import fnmatch
import re
from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache
from typing import Final

from reconciler.model.baseline import PatchEntry
from reconciler.model.patch import Family, Installed, Patch

_VERSION: Final = "version:"
_GLOB: Final = re.compile(r"[*?\[]")


def matching_entry(entries: Sequence[PatchEntry], patch: Patch, today: date) -> PatchEntry | None:
    """Give the first entry in force that names a patch, by its package or by one of its notices."""
    if not entries:
        return None
    names = _spellings(patch.family, patch.name, patch.arch, patch.version)
    versions = _versions(patch.family, patch.arch, patch.version)
    ids = {name.casefold() for name in _ids(patch)}
    for entry in entries:
        if not entry.has_expired(today) and _names(entry.pattern.casefold(), names, versions, ids):
            return entry
    return None


def installed_entry(entries: Sequence[PatchEntry], row: Installed, family: Family, today: date) -> PatchEntry | None:
    """Give the first entry in force that names an installed package by its name or version."""
    if not entries:
        return None
    names = _spellings(family, row.name, row.arch, row.version)
    versions = _versions(family, row.arch, row.version)
    for entry in entries:
        if not entry.has_expired(today) and _names(entry.pattern.casefold(), names, versions, frozenset()):
            return entry
    return None


def expired_entries(entries: Iterable[PatchEntry], today: date) -> tuple[PatchEntry, ...]:
    """Give the entries that have lost their effect: each is reported."""
    return tuple(entry for entry in entries if entry.has_expired(today))


def told_entry(entry: PatchEntry) -> str:
    """Say which entry it is, whose, why and until when."""
    whose = f", by {entry.owner}" if entry.owner else ""
    until = f", until {entry.expires}" if entry.expires is not None else ""
    why = f": {entry.reason}" if entry.reason else ""
    return f"{entry.pattern}{whose}{until}{why}"


def _names(pattern: str, names: Iterable[str], versions: Iterable[str], ids: frozenset[str] | set[str]) -> bool:
    if pattern.startswith(_VERSION):
        return _matches(pattern.removeprefix(_VERSION), versions)
    if pattern in ids:
        return True
    return _matches(pattern.removesuffix(".rpm"), names) or (
        _GLOB.search(pattern) is not None and _matches(pattern, ids)
    )


def _matches(pattern: str, texts: Iterable[str]) -> bool:
    if _GLOB.search(pattern) is None:
        return pattern in texts
    glob = _compiled(pattern)
    return any(glob.match(text) is not None for text in texts)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _ids(patch: Patch) -> Iterable[str]:
    for notice in patch.notices:
        yield notice.id
        yield from notice.cves
        yield from notice.bugzillas


def _spellings(family: Family, name: str, arch: str, version: str) -> frozenset[str]:
    n, a, whole = name.casefold(), arch.casefold(), version.casefold()
    if family is Family.APT:
        return frozenset((n, f"{n}.{a}", f"{n}-{whole}", f"{n}.{a}:{whole}"))
    e, v, r = _rpm_parts(whole)
    return frozenset(
        (
            n,
            f"{n}.{a}",
            f"{n}-{v}",
            f"{n}-{v}-{r}",
            f"{n}-{v}-{r}.{a}",
            f"{n}-{e}:{v}-{r}",
            f"{n}-{e}:{v}-{r}.{a}",
            f"{e}:{n}-{v}-{r}.{a}",
            f"{n}.{a}:{e}:{v}-{r}",
        )
    )


def _versions(family: Family, arch: str, version: str) -> frozenset[str]:
    whole = version.casefold()
    if family is Family.APT:
        return frozenset((whole, f"{arch.casefold()}:{whole}"))
    e, v, r = _rpm_parts(whole)
    return frozenset((v, f"{v}-{r}", f"{e}:{v}-{r}"))


def _rpm_parts(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    text, _, release = rest.partition("-")
    return epoch, text, release
