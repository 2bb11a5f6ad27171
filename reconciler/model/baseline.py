"""A patch baseline: which patches are approved for one operating system, after which delay. A record; it decides nothing."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Final

from reconciler.ids import BaselineName

ANYTHING: Final = "*"
"""SSM: the one wildcard of a filter; it matches also what has no value at all."""


_LOGIN: Final = re.compile(r"(?<=://)[^/@\s]*@|^\s*(?:username|password)\s*=.*$", re.IGNORECASE | re.MULTILINE)
"""What a repository's configuration may hold of a login: in an address, or in lines of its own."""

PATCH_GROUP_TAGS: Final = ("Patch Group", "PatchGroup")
"""SSM: both spellings of the tag, with regard to case."""


class OperatingSystem(Enum):
    """SSM: OperatingSystem of a baseline, fixed for its life."""

    WINDOWS = "WINDOWS"
    AMAZON_LINUX = "AMAZON_LINUX"
    AMAZON_LINUX_2 = "AMAZON_LINUX_2"
    AMAZON_LINUX_2022 = "AMAZON_LINUX_2022"
    AMAZON_LINUX_2023 = "AMAZON_LINUX_2023"
    UBUNTU = "UBUNTU"
    REDHAT_ENTERPRISE_LINUX = "REDHAT_ENTERPRISE_LINUX"
    SUSE = "SUSE"
    CENTOS = "CENTOS"
    ORACLE_LINUX = "ORACLE_LINUX"
    DEBIAN = "DEBIAN"
    MACOS = "MACOS"
    RASPBIAN = "RASPBIAN"
    ROCKY_LINUX = "ROCKY_LINUX"
    ALMA_LINUX = "ALMA_LINUX"


APT_SYSTEMS: Final = frozenset({OperatingSystem.DEBIAN, OperatingSystem.UBUNTU, OperatingSystem.RASPBIAN})
NOT_LINUX: Final = frozenset({OperatingSystem.WINDOWS, OperatingSystem.MACOS})


class ComplianceLevel(Enum):
    """SSM: how bad it is when a patch is missing; `rank` orders them."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    INFORMATIONAL = "INFORMATIONAL"
    UNSPECIFIED = "UNSPECIFIED"

    @property
    def rank(self) -> int:
        """Give 5 for CRITICAL down to 0 for UNSPECIFIED."""
        return _RANKS[self]


_RANKS: Final = {level: 5 - at for at, level in enumerate(ComplianceLevel)}


class FilterKey(Enum):
    """SSM: PatchFilterKey. Which of them a baseline may use depends on its operating system."""

    ARCH = "ARCH"
    ADVISORY_ID = "ADVISORY_ID"
    BUGZILLA_ID = "BUGZILLA_ID"
    PATCH_SET = "PATCH_SET"
    PRODUCT = "PRODUCT"
    PRODUCT_FAMILY = "PRODUCT_FAMILY"
    CLASSIFICATION = "CLASSIFICATION"
    CVE_ID = "CVE_ID"
    EPOCH = "EPOCH"
    MSRC_SEVERITY = "MSRC_SEVERITY"
    NAME = "NAME"
    PATCH_ID = "PATCH_ID"
    SECTION = "SECTION"
    PRIORITY = "PRIORITY"
    REPOSITORY = "REPOSITORY"
    RELEASE = "RELEASE"
    SEVERITY = "SEVERITY"
    SECURITY = "SECURITY"
    VERSION = "VERSION"


class RejectedPatchesAction(Enum):
    """SSM: what becomes of a rejected package that another one needs."""

    ALLOW_AS_DEPENDENCY = "ALLOW_AS_DEPENDENCY"
    BLOCK = "BLOCK"


class SecurityUpdatesStatus(Enum):
    """SSM: AvailableSecurityUpdatesComplianceStatus (Windows only)."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"


class ReleaseDates(Enum):
    """Where the date of a patch comes from, on every operating system alike."""

    FIRST_SEEN = "first-seen"
    """The later of the publisher's date and the day we first saw it: nobody who runs a repository can shorten a wait."""
    PUBLISHER = "publisher"
    """The publisher's date alone, as on AWS; where there is none, first seen."""
    BUILD_TIME = "build-time"
    """As `publisher`, and the package's build time where the publisher gives no date."""


class Supersede(Enum):
    """What to install where the archive has dropped the approved version."""

    EXACT = "exact"
    """The approved version and nothing else."""
    LIFT = "lift"
    """The smallest higher version whose own date has passed the same rule."""


class UnapprovedDependencies(Enum):
    """What becomes of a patch whose transaction would bring in a version that is not approved."""

    DENY = "deny"
    ALLOW = "allow"
    """As on AWS: dependencies come at whatever version the package manager prefers."""


class Refresh(Enum):
    """When the package manager's metadata is refreshed on the node."""

    NEVER = "never"
    BEFORE_SCAN = "before-scan"
    MAX_AGE = "max-age"
    """Before a scan that would read metadata older than `metadata_max_age_hours`."""


class PhasedUpdates(Enum):
    """Ubuntu: whether a version counts that the node's phase does not offer it yet."""

    FOLLOW = "follow"
    """It is reported as deferred, and is not missing."""
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchFilter:
    """One key and the values it may have (ORed). Compared without regard to case."""

    key: FilterKey
    values: tuple[str, ...]
    """As written."""
    folded: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "folded", frozenset(value.casefold() for value in self.values))

    @property
    def matches_anything(self) -> bool:
        """Whether one value is `*`."""
        return ANYTHING in self.folded


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRule:
    """SSM: PatchRule. Filters are ANDed; none match everything."""

    number: int
    """Its place in the baseline, from 1: people speak of "rule 2"."""
    filters: tuple[PatchFilter, ...] = ()
    level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    approve_after_days: int | None = None
    """Days of 24 hours after the release; None: `approve_until`, or no delay at all (the apt family alone)."""
    approve_until: date | None = None
    """Everything released up to the end of that day, UTC; nothing later, ever."""
    non_security: bool = False
    """SSM: EnableNonSecurity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchEntry:
    """One entry of a list of patches: what it names, and whose it is, why, until when."""

    pattern: str
    """As written: an id (advisory, CVE, Bugzilla), a name or glob, or `version:GLOB`."""
    owner: str = ""
    reason: str = ""
    expires: date | None = None
    """The last day (UTC) on which it has an effect; None: for ever."""

    def has_expired(self, today: date) -> bool:
        """Whether it has lost its effect."""
        return self.expires is not None and today > self.expires


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSource:
    """SSM: PatchSource, a repository that is used instead of the node's own on nodes of the listed products."""

    name: str
    products: tuple[str, ...]
    configuration: str = field(repr=False)
    """A yum stanza or one `deb` line; may hold a password, so it stands in no repr."""
    refused: str = ""
    """Why it is not used: no signature is checked, or plain http; empty: it may be, or the host settings allow it."""

    @property
    def id(self) -> str:
        """Give what it is known by on nodes and in reports: its name, and a digest of its configuration without logins.

        A new password makes no new repository of it, and nobody can try passwords on the digest.
        """
        plain = _LOGIN.sub("", self.configuration.strip())
        return f"{self.name}-{hashlib.sha256(plain.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityIndex:
    """An index that counts as a security index besides those that call themselves one; None: not looked at."""

    origin: str | None = None
    label: str | None = None
    suite: str | None = None
    codename: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchBaseline:
    """SSM: CreatePatchBaseline, and our own keys."""

    name: BaselineName
    operating_system: OperatingSystem
    description: str = ""
    global_filters: tuple[PatchFilter, ...] = ()
    """They keep what matches all of them."""
    rules: tuple[PatchRule, ...] = ()
    approved: tuple[PatchEntry, ...] = ()
    approved_level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    approved_non_security: bool = False
    rejected: tuple[PatchEntry, ...] = ()
    """They win over `approved` and every rule."""
    rejected_action: RejectedPatchesAction = RejectedPatchesAction.ALLOW_AS_DEPENDENCY
    sources: tuple[PatchSource, ...] = ()
    security_updates_status: SecurityUpdatesStatus | None = None
    patch_groups: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    """SSM: Tags, sorted: BaselineTags chooses by them."""
    default: bool = False
    release_dates: ReleaseDates = ReleaseDates.FIRST_SEEN
    supersede: Supersede = Supersede.EXACT
    unapproved_dependencies: UnapprovedDependencies = UnapprovedDependencies.DENY
    refresh: Refresh = Refresh.BEFORE_SCAN
    metadata_max_age_hours: int = 24
    """Older metadata proves nothing: the node is Unknown, not compliant."""
    phased_updates: PhasedUpdates = PhasedUpdates.FOLLOW
    security_indexes: tuple[SecurityIndex, ...] = ()
    holds: tuple[PatchEntry, ...] = ()
    """Approved patches that are not installed for now: missing, with the reason."""
    ignores: tuple[PatchEntry, ...] = ()
    """Approved patches whose absence is an accepted risk: not missing, with the reason."""
    bundled: bool = False
    """Whether it came with the program: its `default` holds only where the repository has none."""
    file: str = ""
    """Where it stands: FILE:LINE."""
