"""Seeds of the ledger: YAML values -> records. What people reviewed may make a wait shorter; nothing else may."""

from datetime import datetime

from reconciler.model.ledger_seed import LedgerKey, LedgerSeed, SeedSource
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.schema import check
from reconciler.model.reading.values import Table, Value
from reconciler.model.release_date import read_release_date


def read_ledger_seed(value: Value, mistakes: Mistakes) -> LedgerSeed | None:
    """Read one seed; a date that does not read is an error, and so is one version with two dates."""
    if not check("ledger-seed", value, mistakes) or not isinstance(value, Table):
        return None
    dates: dict[LedgerKey, datetime] = {}
    for one in value.tables("Versions"):
        key = LedgerKey(*(one.scalar(name) or "" for name in ("Package", "Version", "Arch", "Checksum")))
        try:
            date = read_release_date(one.scalar("Date") or "")
        except ValueError:
            mistakes.error(one.entries["Date"], "Date: not a date", remedy="write 2025-03-01T10:00:00Z")
            continue
        if dates.setdefault(key, date) != date:
            mistakes.error(one, f"{key.package} {key.version} has two dates", value="", remedy="keep one of them")
    return LedgerSeed(
        archive=value.scalar("Archive") or "",
        source=SeedSource(value.scalar("Source")),
        dates=dates,
        file=f"{mistakes.file}:{value.line}",
    )
