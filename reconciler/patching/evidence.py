"""What a node's facts prove about its package lists: takes sections of facts, gives the evidence that `doubts` judges; pure.

A list counts as seen to be current when its Release came or was confirmed last, or when the last refresh says so.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.patch import Family, Index
from reconciler.patching.doubts import HeldIndex, HeldSource, ScanEvidence
from reconciler.patching.from_facts import family_of

Sections = Mapping[str, Observed[Mapping[str, JsonValue]]]

REFRESHED_AT: Final = "@"
"""The row of section `refreshed` that says when: no repository has such an id."""
_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)
_NEEDED: Final = ("repositories", "metadata")


def scan_evidence(sections: Sections, *, product: str, now: datetime) -> Observed[ScanEvidence]:
    """Put together what the lists of a node are; Unknown where one of its sections, or a row of it, is.

    `now`: when the node was asked, for a refresh that does not say when it was.
    """
    found: dict[str, Mapping[str, JsonValue]] = {}
    is_apt = _family(sections) not in (Family.RPM, Family.SUSE)
    for name in (*_NEEDED, "dpkg" if is_apt else "rpm"):
        section = sections.get(name, Unknown(f"section {name} was not collected"))
        if isinstance(section, Unknown):
            return Unknown(f"{name}: {section.why}")
        found[name] = section.value
    try:
        confirmed, at = _confirmed(sections.get("refreshed"), now)
        read = _held if is_apt else _held_of_rpm
        indexes = tuple(
            read(key, _row(key, found["repositories"][key]), found["metadata"], confirmed, at)
            for key in sorted(found["repositories"])
        )
    except ValueError as error:
        return Unknown(f"repositories: {error}")
    sources, problem = _sources(sections, is_apt=is_apt)
    competitor = _competitor(found["dpkg"]) if is_apt else str(found["rpm"].get("installs_by_itself") or "")
    return Known(
        ScanEvidence(product=product, indexes=indexes, sources=sources, sources_problem=problem, competitor=competitor)
    )


def _sources(sections: Sections, *, is_apt: bool) -> tuple[Mapping[str, HeldSource], str]:
    """Give what is held of the sources of baselines, or why nobody knows: it counts for those baselines alone."""
    told, times = sections.get("sources"), sections.get("source_times")
    for section in (told, times):
        if isinstance(section, Unknown):
            return {}, section.why
    if told is None or times is None or isinstance(told, Unknown) or isinstance(times, Unknown):
        return {}, ""
    found: dict[str, HeldSource] = {}
    came = sections.get("refreshed")
    never = came.why if isinstance(came, Unknown) else ""
    try:
        for source, row in times.value.items():
            tried = _row(source, row)
            ends = tried.get("valid_until")
            indexes = tuple(
                _of_source(key.partition(" ")[2], _row(key, told.value[key]), tried, ends, is_apt=is_apt)
                for key in sorted(told.value)
                if key.partition(" ")[0] == source
            )
            fetched = any(held.fetched for held in indexes)
            problem = tried.get("problem") or ("" if tried.get("tried") else never)
            found[source] = HeldSource(indexes=indexes if fetched else (), problem=str(problem))
    except ValueError as error:
        return {}, str(error)
    return found, ""


def _of_source(
    key: str, row: Mapping[str, JsonValue], tried: Mapping[str, JsonValue], ends: JsonValue, *, is_apt: bool
) -> HeldIndex:
    """Give one list of a source: it is as old as the last fetch that came whole."""
    held = _held(key, row, {}, frozenset(), _NO_TIME) if is_apt else _held_of_rpm(key, row, {}, frozenset(), _NO_TIME)
    end = ends.get(key) if isinstance(ends, Mapping) else None
    return replace(held, refreshed_at=_instant(tried.get("fetched")), valid_until=_instant(end))


def _family(sections: Sections) -> Family | None:
    system = sections.get("os")
    return family_of(system.value) if isinstance(system, Known) else None


def _held(
    key: str, row: Mapping[str, JsonValue], metadata: Mapping[str, JsonValue], confirmed: frozenset[str], at: datetime
) -> HeldIndex:
    site, _, rest = key.partition(" ")
    suite = rest.partition(" ")[0].rpartition("/")[0]
    release = row.get("release")
    dates = metadata.get(release) if isinstance(release, str) else None
    known = dates if isinstance(dates, Mapping) else {}
    came = _instant(known.get("fetched"))
    index = Index(
        repository=site,
        origin=str(row.get("origin", "")),
        label=str(row.get("label", "")),
        suite=str(row.get("suite", "")),
        codename=str(row.get("codename", "")),
        component=str(row.get("component", "")),
        trusted=row.get("trusted") is True,
    )
    return HeldIndex(
        index=index,
        fetched=row.get("fetched") is True,
        refreshed_at=at if f"{site} {suite}" in confirmed else came,
        valid_until=_instant(known.get("valid_until")),
    )


def _held_of_rpm(
    key: str, row: Mapping[str, JsonValue], metadata: Mapping[str, JsonValue], confirmed: frozenset[str], now: datetime
) -> HeldIndex:
    dates = metadata.get(key)
    came = _instant(dates.get("fetched")) if isinstance(dates, Mapping) else None
    return HeldIndex(
        index=Index(repository=key, trusted=row.get("trusted") is True),
        fetched=row.get("fetched") is True,
        refreshed_at=now if key in confirmed else came,
        notices=row.get("notices") is True,
    )


def _row(key: str, row: JsonValue) -> Mapping[str, JsonValue]:
    if not isinstance(row, Mapping) or "unknown" in row:
        why = row["unknown"] if isinstance(row, Mapping) else "it does not read"
        raise ValueError(f"{key}: {why}")
    return row


def _confirmed(refreshed: Observed[Mapping[str, JsonValue]] | None, now: datetime) -> tuple[frozenset[str], datetime]:
    """Give `SITE SUITE` (rpm: the id) of what the last refresh confirmed, and when.

    Where two archives look alike by that, both must have been.
    """
    if not isinstance(refreshed, Known):
        return frozenset(), now
    told: dict[str, bool] = {}
    for name, problem in refreshed.value.items():
        url, space, suite = name.rpartition(" ")
        if not space:
            told[name] = told.get(name, True) and problem is None
        else:
            key = f"{urlsplit(url).netloc or 'file:'} {suite}"
            told[key] = told.get(key, True) and problem is None
    return frozenset(key for key, whole in told.items() if whole), refreshed_at(refreshed.value) or now


def refreshed_at(refreshed: Mapping[str, JsonValue]) -> datetime | None:
    """Give when lists were refreshed last, by section `refreshed` (UTC); None: it does not say. Raises ValueError."""
    return _instant(refreshed.get(REFRESHED_AT))


def _competitor(dpkg: Mapping[str, JsonValue]) -> str:
    if dpkg.get("installs_by_itself") is not True:
        return ""
    timers = dpkg.get("timers")
    return "cron-apt" if isinstance(timers, list | tuple) and "cron-apt" in timers else "unattended-upgrades"


def _instant(value: JsonValue) -> datetime | None:
    """Read ISO 8601. Raises ValueError on text that is none."""
    return datetime.fromisoformat(value) if isinstance(value, str) else None
