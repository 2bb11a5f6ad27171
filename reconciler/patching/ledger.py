"""When a package version was first seen, by archive, version and checksum of its file: pure; the caller reads and commits.

Entries are only ever added, none is dated before the commit that precedes it, and what a node shows counts for the very
checksum that it shows: a node that announces a version ahead of time shortens no other node's wait for what the archive then
really holds. Older dates come from reviewed seeds alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Final

from reconciler.ids import NodeId
from reconciler.model.ledger_seed import LedgerKey, LedgerSeed
from reconciler.model.patch import Index, Patch

MOST_NEW_OF_ONE_NODE: Final = 50_000
"""A node with two archives of 65,000 packages offers 5,000 of what it has; more in one pass is no package index."""
_LONGEST: Final = 300
"""Characters of a key's part: names have at most 100, versions 250."""


class DateSource(Enum):
    """Where the date of a patch came from; recorded with each verdict."""

    FIRST_SEEN = "first-seen"
    SEED = "seed"
    PUBLISHER = "publisher"
    BUILD_TIME = "build-time"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """When a file was first seen (UTC), and on which node (the first by name, where several showed it at once)."""

    first_seen: datetime
    node: NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSeen:
    """The date of a patch by the ledger or its seed."""

    at: datetime
    source: DateSource
    archive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFinding:
    """Something about a ledger that people should look at; nothing is approved early by it."""

    archive: str
    key: LedgerKey | None
    reason: str


Archives = Mapping[str, Mapping[LedgerKey, LedgerEntry]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Every entry, by archive; `seeds` are laid over it and are no part of it."""

    archives: Archives = field(default_factory=dict)
    seeds: Mapping[str, Mapping[LedgerKey, datetime]] = field(default_factory=dict)

    def with_seeds(self, seeds: Iterable[LedgerSeed]) -> "Ledger":
        """Lay reviewed seeds over it; of two dates for one version the earlier one counts: both were reviewed."""
        laid: dict[str, dict[LedgerKey, datetime]] = {}
        for seed in seeds:
            dates = laid.setdefault(seed.archive, {})
            for key, date in seed.dates.items():
                dates[key] = min(date, dates.get(key, date))
        return Ledger(archives=self.archives, seeds=laid)

    def first_seen(self, patch: Patch, indexes: Sequence[Index]) -> FirstSeen | None:
        """Give the earliest date at which a file was seen in one of these indexes; None: never, or it has no checksum."""
        found = [self._in_archive(archive, key_of(patch)) for archive in {index.ledger_name for index in indexes}]
        return min((one for one in found if one is not None), key=lambda one: (one.at, one.archive), default=None)

    def _in_archive(self, archive: str, key: LedgerKey) -> FirstSeen | None:
        if not key.checksum:
            return None
        entry = self.archives.get(archive, {}).get(key)
        seed = self.seeds.get(archive, {}).get(key)
        if seed is not None and (entry is None or seed < entry.first_seen):
            return FirstSeen(at=seed, source=DateSource.SEED, archive=archive)
        if entry is None:
            return None
        return FirstSeen(at=entry.first_seen, source=DateSource.FIRST_SEEN, archive=archive)


def key_of(patch: Patch) -> LedgerKey:
    """Give what a ledger knows a patch by."""
    return LedgerKey(patch.name, patch.version, patch.arch, patch.checksum)


def with_sightings(
    ledger: Ledger,
    sightings: Mapping[NodeId, Iterable[Patch]],
    *,
    now: datetime,
    previous_commit: datetime | None,
) -> tuple[Ledger, tuple[LedgerFinding, ...]]:
    """Add what nodes show and nobody showed before. `previous_commit`: when the last compliance commit was made (UTC)."""
    date = now if previous_commit is None else max(now, previous_commit)
    added: dict[str, dict[LedgerKey, LedgerEntry]] = {}
    findings: list[LedgerFinding] = []
    contents = _Contents(ledger)
    met: dict[int, Patch] = {}  # by identity: records are interned, and a fleet shows the same few over and over
    for node in sorted(sightings):
        new: dict[tuple[str, LedgerKey], Patch] = {}
        for patch in sightings[node]:
            if id(patch) not in met:
                met[id(patch)] = patch
                new.update(((archive, key), patch) for archive, key in _keys(patch, ledger, added))
        if len(new) > MOST_NEW_OF_ONE_NODE:
            reason = f"{node} shows {len(new)} versions that nobody showed before: none of them is taken from it"
            findings.append(LedgerFinding(archive="", key=None, reason=reason))
            for patch in new.values():
                met.pop(id(patch), None)  # another node may show some of them in good faith
            continue
        for archive, key in new:
            findings.extend(contents.others(archive, key, node))
            added.setdefault(archive, {})[key] = contents.add(archive, key, LedgerEntry(first_seen=date, node=node))
    if not added:
        return ledger, tuple(findings)
    archives = {name: {**ledger.archives.get(name, {}), **added.get(name, {})} for name in {*ledger.archives, *added}}
    return Ledger(archives=MappingProxyType(archives), seeds=ledger.seeds), tuple(findings)


def _keys(patch: Patch, ledger: Ledger, added: Archives) -> Iterable[tuple[str, LedgerKey]]:
    key = key_of(patch)
    if not all(part and len(part) <= _LONGEST and part.isprintable() and " " not in part for part in key):
        return
    for archive in {index.ledger_name for index in patch.indexes}:
        if key not in ledger.archives.get(archive, {}) and key not in added.get(archive, {}):
            yield archive, key


class _Contents:
    """The files of each version of an archive, to tell of the same version with other content."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, dict[tuple[str, ...], list[tuple[LedgerKey, LedgerEntry]]]] = {}

    def others(self, archive: str, key: LedgerKey, node: NodeId) -> Iterable[LedgerFinding]:
        for other, entry in self._of(archive).get(key[:3], ()):
            reason = (
                f"{key.package} {key.version} ({key.arch}) has new content: {key.checksum} on {node}, "
                f"first seen as {other.checksum} on {entry.node}; its wait begins anew"
            )
            yield LedgerFinding(archive=archive, key=key, reason=reason)

    def add(self, archive: str, key: LedgerKey, entry: LedgerEntry) -> LedgerEntry:
        self._of(archive).setdefault(key[:3], []).append((key, entry))
        return entry

    def _of(self, archive: str) -> dict[tuple[str, ...], list[tuple[LedgerKey, LedgerEntry]]]:
        if archive not in self._known:
            known: dict[tuple[str, ...], list[tuple[LedgerKey, LedgerEntry]]] = {}
            for key, entry in self._ledger.archives.get(archive, {}).items():
                known.setdefault(key[:3], []).append((key, entry))
            self._known[archive] = known
        return self._known[archive]


def told_instant(entry: LedgerEntry) -> str:
    """Say when an entry was first seen."""
    return f"{entry.first_seen:%Y-%m-%d %H:%M} UTC"
