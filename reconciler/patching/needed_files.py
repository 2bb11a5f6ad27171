"""Which files of patches are good to have when their archives drop them: what a node is shown and its baseline may approve. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from urllib.parse import quote

from reconciler.ids import NodeId, PatchId
from reconciler.model.known import JsonValue, Known, Observed
from reconciler.model.patch import Family, Index, Patch
from reconciler.patching.approval import ApprovalStatus
from reconciler.patching.node_patches import Gone
from reconciler.patching.states import Judge
from reconciler.patching.versions import COMPARE_LABELS

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
MOST_OF_ONE_NODE = 2_000
"""Upgrades that one node may need at a time: a whole release is fewer."""


class Need(IntEnum):
    """How much a file would be missed, least first."""

    APPROVED = 1
    """It is on offer, and may be installed: a window or a reboot is all it waits for."""
    PENDING = 2
    """It is on offer, and its wait is not over: the archive may drop it before."""
    GONE = 3
    """No archive has it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededFile:
    """One file, as a node's own index states it."""

    patch: Patch
    need: Need
    since: datetime
    """When it is, or was, approved: what comes first is fetched first."""

    @property
    def checksum(self) -> str:
        """Give `sha256:HEX`, by which it is kept."""
        return self.patch.checksum


def needed_files(
    offers: Iterable[Patch], gone: Iterable[Gone], versions: Callable[[PatchId], tuple[str, ...]], judge: Judge
) -> tuple[NeededFile, ...]:
    """Give the files that would bring one node a newer version of what it has; `versions`: what is installed of a row.

    New packages that were built together with one of those count, too: a kernel's version is part of its name with apt, and a library
    is divided into two. Only indexes that were verified count (dnf and zypper look at the signature of the file itself, too), and
    files with a SHA-256 and a size.
    """
    every = [*((patch, None) for patch in offers), *((one.patch, Need.GONE) for one in gone)]
    some = [one for patch, need in every if (one := _needed(patch, versions, judge, need)) is not None]
    uploads = {one.patch.upload: one for one in sorted(some, key=lambda one: one.need)}
    for patch, need in every:
        other = uploads.get(patch.upload)
        if other is not None and _can_be_kept(patch) and not versions(patch.id):
            some.append(NeededFile(patch=patch, need=need or other.need, since=other.since))
    return tuple(sorted(some, key=lambda one: (-one.need, one.since, one.checksum))[:MOST_OF_ONE_NODE])


def _can_be_kept(patch: Patch) -> bool:
    if _SHA256.fullmatch(patch.checksum) is None or not patch.size or not patch.filename:
        return False
    return patch.family is not Family.APT or any(index.trusted for index in patch.indexes)


def _needed(
    patch: Patch, versions: Callable[[PatchId], tuple[str, ...]], judge: Judge, need: Need | None
) -> NeededFile | None:
    if not _can_be_kept(patch):
        return None
    verdict = judge.approval(patch)
    is_pending = verdict.status is ApprovalStatus.PENDING_APPROVAL and verdict.approval_date is not None
    if not verdict.is_approved and not is_pending:
        return None
    compare = COMPARE_LABELS[patch.family.value]
    mine = versions(patch.id)
    if not mine or not all(compare(patch.version, version) > 0 for version in mine):
        return None
    return NeededFile(
        patch=patch,
        need=need or (Need.PENDING if is_pending else Need.APPROVED),
        since=verdict.approval_date or datetime.min.replace(tzinfo=UTC),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FileToKeep:
    """One file that some node of the fleet needs, and where it may lie."""

    checksum: str
    """`sha256:HEX`."""
    size: int
    name: str
    """For people: `NAME.ARCH:VERSION`."""
    need: Need
    since: datetime
    addresses: tuple[str, ...]
    """Whole addresses to try, in order; foreign text, and no more than a hint: the checksum decides."""


Rows = Observed[Mapping[str, JsonValue]]
MOST_ADDRESSES = 4
"""Places that are tried for one file."""


def files_to_keep(
    needed: Mapping[NodeId, Iterable[NeededFile]], told: Callable[[NodeId, str], Rows]
) -> tuple[FileToKeep, ...]:
    """Give what a fleet needs, what is missed most first; `told` gives sections of nodes."""
    found: dict[str, _Wanted] = {}
    for node in sorted(needed):
        addresses = _addresses(told(node, "repositories"), told(node, "addresses"))
        for one in needed[node]:
            found.setdefault(one.checksum, _Wanted(one)).add(one, addresses)
    return tuple(sorted((one.file for one in found.values()), key=lambda one: (-one.need, one.since, one.checksum)))


_Place = tuple[str, ...]
"""How `available` names an index."""


class _Wanted:
    """What several nodes say of one file. None of them is believed: a size is no more than a bound, an address a hint."""

    def __init__(self, first: NeededFile) -> None:
        self._first = first
        self._size, self._need, self._since = 0, first.need, first.since
        self._addresses: Counter[str] = Counter()

    def add(self, one: NeededFile, addresses: Mapping[_Place, Iterable[str]]) -> None:
        self._size = max(self._size, one.patch.size or 0)
        self._need, self._since = max(self._need, one.need), min(self._since, one.since)
        places = (address for index in one.patch.indexes for address in addresses.get(_place(index), ()))
        self._addresses.update({f"{place}{_path(one.patch)}" for place in places})

    @property
    def file(self) -> FileToKeep:
        """What most nodes name is tried first."""
        ranked = sorted(self._addresses.items(), key=lambda each: (-each[1], each[0]))
        return FileToKeep(
            checksum=self._first.checksum,
            size=self._size,
            name=self._first.patch.title,
            need=self._need,
            since=self._since,
            addresses=tuple(address for address, _ in ranked[:MOST_ADDRESSES]),
        )


def _path(patch: Patch) -> str:
    """Give a file's place as part of an address. apt takes it for a name, dnf and zypper for what stands in an address already."""
    return quote(
        patch.filename.removeprefix("./"), safe="/+~:@!$&'()*,;=" + ("" if patch.family is Family.APT else "%")
    )


def _place(index: Index) -> _Place:
    return index.repository, index.origin, index.label, index.suite, index.codename, index.component


_SAID = ("origin", "label", "suite", "codename", "component")


def _addresses(repositories: Rows, addresses: Rows) -> Mapping[_Place, Iterable[str]]:
    """Give where the files of each index lie: what `available` calls it, by what `repositories` says of it."""
    if not isinstance(repositories, Known) or not isinstance(addresses, Known):
        return {}
    found: dict[_Place, dict[str, None]] = {}
    for key, lie in addresses.value.items():
        row = repositories.value.get(key)
        if isinstance(row, Mapping) and isinstance(lie, list):
            of_apt = "label" in row
            said = (str(row.get(name) or "") if of_apt else "" for name in _SAID)
            place = (key.partition(" ")[0] if of_apt else key, *said)
            found.setdefault(place, {}).update(dict.fromkeys(map(str, lie)))
    return found
