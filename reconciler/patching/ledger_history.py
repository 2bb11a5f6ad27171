"""The ledger as its history lets it be: takes what each commit did to its lines, gives the entries that count; pure.

What stands in the files of the last commit is what somebody wrote there; what counts follows from all commits before. So a daemon
that is set up anew, and one that saw each commit come, agree, whoever rewrote an entry in between.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.model.ledger_seed import LedgerKey
from reconciler.patching.ledger import Ledger, LedgerEntry, LedgerFinding, told_instant
from reconciler.patching.ledger_files import ledger_path, read_archive_line, read_entry_line


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerChange:
    """What one commit did to the ledger's files, path by path."""

    known_at: datetime | None
    """When the report ahead of it was committed (UTC): nothing that it adds is older; None: it is the first."""
    removed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    added: Mapping[str, Sequence[str]] = field(default_factory=dict)


def followed(known: Ledger, changes: Iterable[LedgerChange]) -> tuple[Ledger, tuple[LedgerFinding, ...]]:
    """Follow the ledger from where it was `known` through every commit since: entries are only ever added.

    What was deleted stays, of two dates the later one counts, and nothing counts as older than the report ahead of its commit.
    A line that we would not have written is no entry.
    """
    following = _Following(known)
    for change in changes:
        following.take(change)
    return following.ledger(known), tuple(following.findings)


class _Following:
    def __init__(self, known: Ledger) -> None:
        self._names = {ledger_path(archive): archive for archive in known.archives}
        self._counts: dict[str, dict[LedgerKey, LedgerEntry]] = {
            archive: dict(entries) for archive, entries in known.archives.items()
        }
        self.findings: list[LedgerFinding] = []

    def ledger(self, known: Ledger) -> Ledger:
        archives = {archive: entries for archive, entries in self._counts.items() if entries}
        return Ledger(archives=archives, seeds=known.seeds)

    def take(self, change: LedgerChange) -> None:
        for path in sorted({*change.removed, *change.added}):
            added = change.added.get(path, ())
            archive = self._names.get(path) or next(filter(None, map(read_archive_line, added)), "")
            if ledger_path(archive) != path:
                continue  # a file that no pass wrote: what it says counts for nothing
            self._names[path] = archive
            new = dict(filter(None, map(read_entry_line, added)))
            for key, entry in new.items():
                self._add(archive, key, entry, change.known_at)
            for key, _ in filter(None, map(read_entry_line, change.removed.get(path, ()))):
                if key not in new:
                    kept = told_instant(self._counts[archive][key]) if key in self._counts.get(archive, {}) else ""
                    self._tell(archive, key, f"its entry was deleted; it stays, first seen {kept}")

    def _add(self, archive: str, key: LedgerKey, entry: LedgerEntry, known_at: datetime | None) -> None:
        counts = self._counts.setdefault(archive, {})
        before = counts.get(key)
        if before is None:
            counts[key] = entry
            if known_at is not None and entry.first_seen < known_at:
                counts[key] = LedgerEntry(first_seen=known_at, node=entry.node)
                said = f"it was added as first seen {told_instant(entry)}, before the commit ahead of it"
                self._tell(archive, key, f"{said}; {told_instant(counts[key])} counts")
        elif before.first_seen != entry.first_seen:
            counts[key] = max(before, entry, key=lambda one: one.first_seen)
            said = f"its date was moved from {told_instant(before)} to {told_instant(entry)}"
            self._tell(archive, key, f"{said}; {told_instant(counts[key])} counts")

    def _tell(self, archive: str, key: LedgerKey, reason: str) -> None:
        said = f"{key.package} {key.version} ({key.arch}): {reason}"
        self.findings.append(LedgerFinding(archive=archive, key=key, reason=said))
