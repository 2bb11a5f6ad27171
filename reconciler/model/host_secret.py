"""A secret of the management host: which file holds it, and whom it may be shown to."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSecret:
    """One secret of the host settings."""

    name: str
    file: Path
    hosts: tuple[str, ...]
    """Names of servers, lower case; no patterns."""
