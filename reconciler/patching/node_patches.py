"""What the rows of one node are judged by: what is installed, what is on offer, what an install tried. Records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.ids import PatchId
from reconciler.model.patch import Family, Installed, Patch


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A version that the node's own index showed, above what is installed, and shows no more."""

    patch: Patch
    since: datetime
    kept: bool = False
    """Whether the management host holds the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePatches:
    """Everything about one node that its rows are judged by."""

    family: Family
    installed: tuple[Installed, ...]
    available: tuple[Patch, ...]
    """What its indexes show for them, the installed versions included."""
    native: str = ""
    """The machine's architecture in the words of its packages (`amd64`, `x86_64`)."""
    gone: tuple[Gone, ...] = ()
    sourced: tuple[Patch, ...] = ()
    """What sources of baselines show that were fetched for these: it counts for baselines that name them, and for no others."""
    fetched: frozenset[str] = frozenset()
    """`PatchSource.id` of those sources."""
    sources_problem: str = ""
    """Why nobody knows what they show; empty: it is known."""
    deferred: frozenset[str] = frozenset()
    """Titles of versions that the node's phase does not offer yet (Ubuntu)."""
    installed_without_reboot: Mapping[str, datetime] = field(default_factory=dict)
    """Title -> when an Install with NoReboot brought it (UTC)."""
    booted_at: datetime | None = None
    """UTC, read after the last reboot; None: not known, and nothing that waits for a reboot is taken for done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallRun:
    """The Install after which a node is judged; without one it is a Scan, and nothing is FAILED."""

    attempted: Mapping[PatchId, str] = field(default_factory=dict)
    """Row -> the version it was to have."""
    override: bool = False
    """Whether an InstallOverrideList said what to install: what is not on it stays MISSING."""
    problems: Mapping[PatchId, str] = field(default_factory=dict)
    """Row -> why it failed, in words."""
