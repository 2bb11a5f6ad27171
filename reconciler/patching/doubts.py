"""Why a node with nothing missing may still miss something: takes what its package lists are, gives doubts in words. Pure.

Zero missing proves nothing where the lists are old, a repository did not answer, no security source is there, the release is
dead, or something else installs behind our back: such a node is UNKNOWN, never COMPLIANT.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Final

from reconciler.model.baseline import APT_SYSTEMS, PatchBaseline, PatchSource, Refresh
from reconciler.model.patch import Index
from reconciler.patching.sources import is_of, sources_for

LAST_DAYS: Final[Mapping[str, date]] = {
    # distro-info-data 0.58+deb12u6, debian.csv, eol-lts
    "Debian8": date(2020, 6, 30),
    "Debian9": date(2022, 6, 30),
    "Debian10": date(2024, 6, 30),
    "Debian11": date(2026, 8, 31),
    "Debian12": date(2028, 6, 30),
    "Debian13": date(2030, 6, 30),
    # distro-info-data 0.58+deb12u6, ubuntu.csv, eol
    "Ubuntu14.04": date(2019, 4, 25),
    "Ubuntu16.04": date(2021, 4, 30),
    "Ubuntu18.04": date(2023, 5, 31),
    "Ubuntu20.04": date(2025, 5, 29),
    "Ubuntu20.10": date(2021, 7, 22),
    "Ubuntu21.04": date(2022, 1, 20),
    "Ubuntu21.10": date(2022, 7, 14),
    "Ubuntu22.04": date(2027, 6, 1),
    "Ubuntu22.10": date(2023, 7, 20),
    "Ubuntu23.04": date(2024, 1, 25),
    "Ubuntu23.10": date(2024, 7, 11),
    "Ubuntu24.04": date(2029, 5, 31),
    "Ubuntu24.10": date(2025, 7, 10),
    "Ubuntu25.04": date(2026, 1, 15),
    "Ubuntu25.10": date(2026, 7, 9),
    "Ubuntu26.04": date(2031, 5, 29),
    # Red Hat Enterprise Linux Life Cycle, end of maintenance support
    "RedhatEnterpriseLinux6": date(2020, 11, 30),
    "RedhatEnterpriseLinux7": date(2024, 6, 30),
    "RedhatEnterpriseLinux8": date(2029, 5, 31),
    "RedhatEnterpriseLinux9": date(2032, 5, 31),
    # CentOS product page; os-release does not tell Stream 8 (until 2024-05-31) from CentOS Linux 8
    "CentOS6": date(2020, 11, 30),
    "CentOS7": date(2024, 6, 30),
    "CentOS8": date(2021, 12, 31),
    "CentOS9": date(2027, 5, 31),
    # Rocky Linux wiki, release and version guide
    "RockyLinux8": date(2029, 5, 31),
    "RockyLinux9": date(2032, 5, 31),
    # pep600_compliance, EOL.rst; elsewhere AlmaLinux 8 ends on 2029-05-31: the earlier day counts
    "AlmaLinux8": date(2029, 3, 1),
    "AlmaLinux9": date(2032, 5, 31),
    # Oracle Lifetime Support Policy, end of premier support: it names months, their last days count
    "OracleLinux6": date(2021, 3, 31),
    "OracleLinux7": date(2024, 12, 31),
    "OracleLinux8": date(2029, 7, 31),
    "OracleLinux9": date(2032, 6, 30),
    # Amazon Linux user guides and FAQ
    "AmazonLinux2018.03": date(2023, 12, 31),
    "AmazonLinux2": date(2026, 6, 30),
    "AmazonLinux2023": date(2029, 6, 30),
}
"""Until when a release gets public security updates, long-term support included, and who says so.

A release that is not listed is taken for alive: of SUSE's service packs none is, their ends move with what follows them.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldIndex:
    """One list of packages, as the node's package manager holds it."""

    index: Index
    fetched: bool
    """Whether the node holds it at all."""
    refreshed_at: datetime | None = None
    """When it was last seen to be current (UTC); None: nobody knows."""
    valid_until: datetime | None = None
    """What its publisher says (UTC); None: nothing."""
    notices: bool = True
    """rpm: whether it publishes notices; without one a version is no security update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSource:
    """What a node holds of a baseline's source that was fetched for it."""

    indexes: Sequence[HeldIndex] = ()
    """Empty: it never came."""
    problem: str = ""
    """Why the last try to fetch it failed; empty: it did not, or there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanEvidence:
    """What is known of a node's lists and of what else patches it."""

    product: str
    indexes: Sequence[HeldIndex]
    sources: Mapping[str, HeldSource] = field(default_factory=dict)
    """By `PatchSource.id`; what is not in it was not asked for."""
    sources_problem: str = ""
    """Why nothing is known of sources; empty: what is, stands in `sources`."""
    competitor: str = ""
    """What installs updates on its own (`unattended-upgrades`); empty: nothing does."""


def scan_doubts(evidence: ScanEvidence, baseline: PatchBaseline, now: datetime) -> tuple[str, ...]:
    """Give every reason why the rows of a node may not be the whole truth, sorted."""
    return tuple(sorted(_doubts(evidence, baseline, now)))


def _doubts(evidence: ScanEvidence, baseline: PatchBaseline, now: datetime) -> Iterable[str]:
    sources = sources_for(baseline, evidence.product)
    if not evidence.indexes and not sources:
        yield "it has no package lists at all"
        return
    longest = timedelta(hours=baseline.metadata_max_age_hours)
    indexes: list[HeldIndex] = [] if sources else [*evidence.indexes]
    for held in indexes:
        yield from _of_index(held, longest, now)
    for source in sources:
        mine, doubts = _of_source(source, baseline, evidence, now)
        indexes += mine
        yield from doubts
    if baseline.operating_system in APT_SYSTEMS and not _has_security_source(indexes, baseline):
        yield "none of its package lists is a security index: updates that are security updates would not be seen"
    elif baseline.operating_system not in APT_SYSTEMS and not _has_notices(indexes, baseline):
        yield "none of its repositories publishes notices (updateinfo): updates that are security updates would not be seen"
    last = LAST_DAYS.get(evidence.product) or LAST_DAYS.get(evidence.product.partition(".")[0])
    if last is not None and now.astimezone(UTC).date() > last and not _has_extended(evidence.indexes):
        yield f"{evidence.product} gets no security updates since {last}"
    if evidence.competitor:
        yield f"{evidence.competitor} installs updates on its own: no cool-down can be kept"


def _of_source(
    source: PatchSource, baseline: PatchBaseline, evidence: ScanEvidence, now: datetime
) -> tuple[Sequence[HeldIndex], Iterable[str]]:
    """Give the lists that count for one source, and what is to be doubted about them."""
    if source.refused:
        return (), [
            f"source {source.name} is not used: {source.refused}; the host settings may allow its address (InsecurePatchSources)"
        ]
    longest = timedelta(hours=baseline.metadata_max_age_hours)
    fetched = evidence.sources.get(source.id, HeldSource())
    if fetched.indexes:
        last = f" (the last try to fetch it failed: {fetched.problem})" if fetched.problem else ""
        doubts = [
            f"source {source.name}: {said}{last}" for held in fetched.indexes for said in _of_index(held, longest, now)
        ]
        return fetched.indexes, doubts
    own = [held for held in evidence.indexes if is_of(held.index, source)]
    if own:
        return own, [said for held in own for said in _of_index(held, longest, now)]
    why = evidence.sources_problem or fetched.problem
    if why:
        return (), [f"source {source.name} could not be fetched: {why}"]
    if baseline.refresh is Refresh.NEVER:
        where = "apt's sources" if baseline.operating_system in APT_SYSTEMS else "repositories"
        return (), [
            f"source {source.name} is not among the node's own {where}, and Refresh: never fetches none: nobody knows what it offers"
        ]
    return (), [f"source {source.name} was not fetched yet: nobody knows what it offers"]


def _of_index(held: HeldIndex, longest: timedelta, now: datetime) -> Iterable[str]:
    name = held.index.ledger_name
    if not held.fetched:
        yield f"{name}: its list was never fetched"
    elif held.refreshed_at is None:
        yield f"{name}: nobody knows how old its list is"
    elif now - held.refreshed_at > longest:
        # An instant, not an age: what is reported must not change by itself.
        hours = int(longest / timedelta(hours=1))
        yield f"{name}: its list is more than {hours} hours old, of {held.refreshed_at:%Y-%m-%d %H:%M} UTC"
    if held.valid_until is not None and held.valid_until < now:
        yield f"{name}: its publisher said it holds until {held.valid_until:%Y-%m-%d %H:%M} UTC"
    if held.fetched and not held.index.trusted:
        yield f"{name}: its signature is not verified"


def _has_security_source(indexes: Sequence[HeldIndex], baseline: PatchBaseline) -> bool:
    return any(held.fetched and held.index.is_security(baseline.security_indexes) for held in indexes)


def _has_notices(indexes: Sequence[HeldIndex], baseline: PatchBaseline) -> bool:
    """Whether a version could count as a security update, where a rule asks for that."""
    return any(held.notices for held in indexes) or any(rule.non_security for rule in baseline.rules)


def _has_extended(indexes: Sequence[HeldIndex]) -> bool:
    """Whether somebody is paid for keeping a dead release alive: Ubuntu's ESM, Red Hat's ELS."""
    alive = (one.index for one in indexes if one.fetched and one.index.trusted)
    return any(one.origin.startswith("UbuntuESM") or "-els-" in one.repository for one in alive)
