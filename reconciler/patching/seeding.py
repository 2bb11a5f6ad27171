"""Older dates for what a ledger saw for the first time: takes a ledger and where dates can be had, gives seeds for review; pure.

Nothing here shortens a wait: a seed does so once people reviewed it and git holds it. Only the files that the ledger knows, by their
checksum, are seeded, and only with dates before their first sight.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import orjson

from reconciler.model.ledger_seed import LedgerKey, LedgerSeed, SeedSource
from reconciler.model.patch import Patch
from reconciler.patching.ledger import Ledger, LedgerEntry, key_of

_HEADER: Final = re.compile(r"([a-z0-9][a-z0-9+.-]*) \(([^()\s]+)\) [^;]+;")
_TRAILER: Final = re.compile(r" -- .*?  ?([A-Z][a-z]{2}, .+)")

Entries = Mapping[LedgerKey, LedgerEntry]
Dates = Mapping[LedgerKey, datetime]


def from_snapshot(ledger: Ledger, date: datetime, archives: Collection[str] = ()) -> tuple[LedgerSeed, ...]:
    """Date by a snapshot of an archive what that archive showed when it was first seen; later sights were new indeed."""

    def dates(entries: Entries) -> Dates:
        first = min(entry.first_seen for entry in entries.values())
        return {key: date for key, entry in entries.items() if entry.first_seen == first}

    return _seeds(ledger, archives, SeedSource.SNAPSHOT, dates)


def from_publisher(ledger: Ledger, shown: Iterable[Patch], archives: Collection[str] = ()) -> tuple[LedgerSeed, ...]:
    """Date by the notices that name a version (rpm): by the last of them, as the vendor publishes again what changed."""
    told: dict[LedgerKey, datetime] = {}
    for patch in shown:
        published = [notice.published for notice in patch.notices if notice.published is not None]
        if published:
            told[key_of(patch)] = max(published)
    return _seeds(ledger, archives, SeedSource.PUBLISHER, lambda entries: _of(entries, told))


def from_changelogs(
    ledger: Ledger,
    shown: Iterable[Patch],
    changelogs: Mapping[tuple[str, str], datetime],
    archives: Collection[str] = (),
) -> tuple[LedgerSeed, ...]:
    """Date by the day a maintainer signed the upload: `read_changelog`, by source package and its version (apt)."""
    told: dict[LedgerKey, datetime] = {}
    for patch in shown:
        date = changelogs.get((patch.source or patch.name, patch.source_version or patch.version))
        if date is not None:
            told[key_of(patch)] = date
    return _seeds(ledger, archives, SeedSource.CHANGELOG, lambda entries: _of(entries, told))


def read_changelog(text: str) -> Mapping[tuple[str, str], datetime]:
    """Read a Debian changelog: (source package, version) -> when it was signed (UTC). Lines of no entry are passed over."""
    found: dict[tuple[str, str], datetime] = {}
    upload: tuple[str, str] | None = None
    for line in text.splitlines():
        header, trailer = _HEADER.match(line), _TRAILER.fullmatch(line)
        if header is not None:
            upload = header[1], header[2]
        elif trailer is not None and upload is not None:
            date = _instant(trailer[1])
            if date is not None:
                found.setdefault(upload, date)
            upload = None
    return found


def _instant(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, LookupError, OverflowError):
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)


def _of(entries: Entries, told: Dates) -> Dates:
    return {key: told[key] for key in entries if key in told}


def _seeds(
    ledger: Ledger, archives: Collection[str], source: SeedSource, dates: Callable[[Entries], Dates]
) -> tuple[LedgerSeed, ...]:
    seeds = []
    for archive, entries in sorted(ledger.archives.items()):
        if not entries or (archives and archive not in archives):
            continue
        known = ledger.seeds.get(archive, {})
        older = {
            key: date
            for key, date in sorted(dates(entries).items())
            if date < entries[key].first_seen and not (key in known and known[key] <= date)
        }
        if older:
            seeds.append(LedgerSeed(archive=archive, source=source, dates=older))
    return tuple(seeds)


def seed_file(seeds: Iterable[LedgerSeed]) -> str:
    """Write seeds as a file of `state/ledger-seeds`: one YAML document an archive, one version a line, sorted."""
    return "---\n".join(_document(seed) for seed in seeds)


def _document(seed: LedgerSeed) -> str:
    lines = [f"Archive: {_text(seed.archive)}", f"Source: {seed.source.value}", "Versions:"]
    for key in sorted(seed.dates):
        date = f"{seed.dates[key].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        fields = {
            "Package": key.package,
            "Version": key.version,
            "Arch": key.arch,
            "Checksum": key.checksum,
            "Date": date,
        }
        lines.append(f"  - {{{', '.join(f'{name}: {_text(value)}' for name, value in fields.items())}}}")
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """Quote as JSON does, which YAML reads as it is written; what lies in a ledger came from nodes."""
    return orjson.dumps(value).decode()
