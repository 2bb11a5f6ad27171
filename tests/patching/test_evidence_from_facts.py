"""What a node told about its lists, as evidence: which are there, since when they are known to be current, and what competes."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.patching.doubts import HeldSource, ScanEvidence
from reconciler.patching.evidence import scan_evidence

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROW = {
    "origin": "Debian",
    "label": "Debian-Security",
    "suite": "stable-security",
    "codename": "trixie-security",
    "component": "main",
    "trusted": True,
    "fetched": True,
    "release": "security_",
}
KEY = "deb.example.org trixie-security/main amd64"
DATES = {"date": "2026-02-27T00:00:00Z", "valid_until": "2026-03-06T00:00:00Z", "fetched": "2026-02-28T09:00:00Z"}
QUIET = {"audit": [], "installs_by_itself": False, "timers": []}
NAME = "http://deb.example.org/debian-security trixie-security"


def sections(
    *, row: JsonValue = ROW, dpkg: JsonValue = QUIET, refreshed: JsonValue = None
) -> dict[str, Observed[Mapping[str, JsonValue]]]:
    told: dict[str, JsonValue] = {
        "repositories": {KEY: row},
        "metadata": {"*": {"tried": "2026-03-01T00:00:00Z"}, "security_": DATES},
        "dpkg": dpkg,
        "refreshed": refreshed,
    }
    return {name: Known(rows) for name, rows in told.items() if isinstance(rows, Mapping)}


def test_a_list_is_current_since_its_release_was_confirmed() -> None:
    found = scan_evidence(sections(), product="Debian13", now=NOW)
    assert isinstance(found, Known)
    (held,) = found.value.indexes
    assert held.fetched
    assert held.index.is_security()
    assert held.index.repository == "deb.example.org"
    assert held.refreshed_at == datetime(2026, 2, 28, 9, tzinfo=UTC)
    assert held.valid_until == datetime(2026, 3, 6, tzinfo=UTC)
    assert (found.value.product, found.value.competitor) == ("Debian13", "")


@pytest.mark.parametrize(
    ("refreshed", "at"),
    [
        pytest.param({"*": None, NAME: None}, NOW, id="a refresh confirmed it"),
        pytest.param(
            {NAME: None, "@": "2026-02-28T21:00:00Z"},
            datetime(2026, 2, 28, 21, tzinfo=UTC),
            id="it did so some time ago",
        ),
        pytest.param({"*": None, NAME: "timed out"}, datetime(2026, 2, 28, 9, tzinfo=UTC), id="a refresh failed"),
        pytest.param(
            {NAME: None, NAME.replace("-security t", "-other t"): "timed out"},
            datetime(2026, 2, 28, 9, tzinfo=UTC),
            id="one of two that look alike failed",
        ),
        pytest.param({"*": "locked"}, datetime(2026, 2, 28, 9, tzinfo=UTC), id="nothing was tried"),
    ],
)
def test_what_the_last_refresh_confirmed_counts(refreshed: JsonValue, at: datetime) -> None:
    found = scan_evidence(sections(refreshed=refreshed), product="", now=NOW)
    assert isinstance(found, Known)
    assert found.value.indexes[0].refreshed_at == at


def test_what_installs_on_its_own_is_named() -> None:
    for timers, name in ((["apt-daily-upgrade"], "unattended-upgrades"), (["cron-apt"], "cron-apt")):
        dpkg: JsonValue = {"installs_by_itself": True, "timers": timers}
        found = scan_evidence(sections(dpkg=dpkg), product="", now=NOW)
        assert isinstance(found, Known)
        assert found.value.competitor == name


def test_a_list_that_never_came_is_no_evidence_of_age() -> None:
    found = scan_evidence(sections(row={**ROW, "fetched": False, "release": None}), product="", now=NOW)
    assert isinstance(found, Known)
    assert (found.value.indexes[0].fetched, found.value.indexes[0].refreshed_at) == (False, None)


@pytest.mark.parametrize("name", ["repositories", "metadata", "dpkg"])
def test_a_section_that_is_not_known_makes_the_evidence_unknown(name: str) -> None:
    told = {**sections(), name: Unknown("garbled")}
    assert scan_evidence(told, product="", now=NOW) == Unknown(f"{name}: garbled")
    del told[name]
    assert scan_evidence(told, product="", now=NOW) == Unknown(f"{name}: section {name} was not collected")


def test_a_row_that_is_not_known_makes_the_evidence_unknown() -> None:
    found = scan_evidence(sections(row={"unknown": "may not be read"}), product="", now=NOW)
    assert found == Unknown(f"repositories: {KEY}: may not be read")


def of_rpm(**given: JsonValue) -> dict[str, Observed[Mapping[str, JsonValue]]]:
    told: dict[str, JsonValue] = {
        "os": {"family": "rpm"},
        "repositories": {
            "baseos": {"trusted": True, "fetched": True, "notices": True},
            "extras": {"trusted": False, "fetched": True, "notices": False},
        },
        "metadata": {
            "*": {"tried": "2026-02-28T09:00:00Z"},
            "baseos": {"date": None, "valid_until": None, "fetched": "2026-02-28T09:00:00Z"},
            "extras": {"date": None, "valid_until": None, "fetched": "2026-02-20T09:00:00Z"},
        },
        "rpm": {"timers": [], "settings": {}, "modules": {}, "installs_by_itself": None},
        "dpkg": {},
        **given,
    }
    return {name: Known(rows) for name, rows in told.items() if isinstance(rows, Mapping)}


def test_lists_of_dnf_and_zypper_are_as_old_as_their_last_confirmation() -> None:
    found = scan_evidence(
        of_rpm(refreshed={"*": None, "baseos": None, "extras": "away"}), product="RockyLinux9.4", now=NOW
    )
    assert isinstance(found, Known)
    baseos, extras = found.value.indexes
    assert (baseos.index.repository, baseos.index.trusted, baseos.notices, baseos.refreshed_at) == (
        "baseos",
        True,
        True,
        NOW,
    )
    assert (extras.index.trusted, extras.notices, extras.refreshed_at) == (
        False,
        False,
        datetime(2026, 2, 20, 9, tzinfo=UTC),
    )
    assert found.value.competitor == ""


def test_who_installs_with_dnf_or_zypper_is_told_and_what_is_not_known_of_it_too() -> None:
    automatic = {
        "timers": ["dnf-automatic"],
        "settings": {"automatic": "yes"},
        "modules": {},
        "installs_by_itself": "dnf-automatic",
    }
    found = scan_evidence(of_rpm(rpm=automatic), product="", now=NOW)
    assert isinstance(found, Known)
    assert found.value.competitor == "dnf-automatic"
    assert scan_evidence({**of_rpm(), "rpm": Unknown("garbled")}, product="", now=NOW) == Unknown("rpm: garbled")


OURS = "ours-0123456789ab"
TIMES = {
    "fetched": "2026-02-28T09:00:00Z",
    "tried": "2026-03-01T09:00:00Z",
    "problem": "away",
    "valid_until": {KEY: "2026-03-06T00:00:00Z"},
}
NEVER = {"fetched": None, "tried": None, "problem": None, "valid_until": {}}


def of_sources(times: JsonValue, rows: JsonValue, refreshed: Observed[Mapping[str, JsonValue]]) -> ScanEvidence:
    told = {"sources": rows, "source_times": times}
    known = {name: Known(each) for name, each in told.items() if isinstance(each, Mapping)}
    found = scan_evidence({**sections(), **known, "refreshed": refreshed}, product="Debian13", now=NOW)
    assert isinstance(found, Known)
    return found.value


def test_a_source_is_as_old_as_its_last_whole_fetch() -> None:
    held = of_sources({OURS: TIMES}, {f"{OURS} {KEY}": ROW}, Known({})).sources[OURS]
    (index,) = held.indexes
    assert index.refreshed_at == datetime(2026, 2, 28, 9, tzinfo=UTC)
    assert index.valid_until == datetime(2026, 3, 6, tzinfo=UTC)
    assert index.index.is_security()
    assert held.problem == "away"


def test_a_source_that_never_came_says_why() -> None:
    failed = {f"{OURS} {KEY}": {**ROW, "fetched": False}}
    assert of_sources({OURS: TIMES}, failed, Known({})).sources[OURS] == HeldSource(problem="away")
    assert of_sources({OURS: NEVER}, {}, Known({})).sources[OURS] == HeldSource()
    # Nothing is written on a node whose login user is not root.
    assert of_sources({OURS: NEVER}, {}, Unknown("only root")).sources[OURS] == HeldSource(problem="only root")


def test_what_is_odd_of_sources_costs_whoever_has_some_and_nobody_else() -> None:
    odd = of_sources({OURS: {**TIMES, "fetched": "yesterday"}}, {f"{OURS} {KEY}": ROW}, Known({}))
    assert (odd.sources, odd.sources_problem != "", len(odd.indexes)) == ({}, True, 1)
    unread = of_sources(
        {OURS: TIMES}, {f"{OURS} {KEY}": {"unknown": "its list of packages may not be read"}}, Known({})
    )
    assert "may not be read" in unread.sources_problem
