"""A reviewed seed of the ledger: package versions that are older than our own first sight of them. A record."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import NamedTuple


class LedgerKey(NamedTuple):
    """One file of one package version: another checksum is another entry."""

    package: str
    version: str
    arch: str
    checksum: str
    """`ALGORITHM:HEX`, as the index states it."""

    def __str__(self) -> str:
        """`PACKAGE VERSION ARCH CHECKSUM`, as ledgers write it."""
        return " ".join(self)


class SeedSource(Enum):
    """Where a seed's dates were taken from."""

    CHANGELOG = "changelog"
    PUBLISHER = "publisher"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSeed:
    """Dates of one archive's versions, as people reviewed them."""

    archive: str
    """The ledger's name, `LABEL-CODENAME`."""
    source: SeedSource
    dates: Mapping[LedgerKey, datetime] = field(default_factory=dict)
    """UTC."""
    file: str = ""
