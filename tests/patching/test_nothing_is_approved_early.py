"""What must hold for every history: generated cases, and archives replayed day by day."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from reconciler.ids import BaselineName, NodeId
from reconciler.model.baseline import OperatingSystem, PatchBaseline, PatchRule, ReleaseDates, Supersede
from reconciler.model.patch import Family, Patch
from reconciler.patching.approval import Grounds
from reconciler.patching.ledger import Ledger, LedgerFinding, with_sightings
from reconciler.patching.ledger_files import read_ledger, write_ledger
from reconciler.patching.node_patches import Gone, NodePatches
from reconciler.patching.states import Judge, PatchRow, PatchState, judge_rows
from reconciler.patching.versions import compare_dpkg, compare_rpm_labels
from tests.patching.rows import a_deb, a_notice, an_rpm, at, installed, rewritten

START = at("2025-01-01")
DAY = timedelta(days=1)
SEVEN = PatchRule(number=1, approve_after_days=7)


def baseline(**given: Any) -> PatchBaseline:
    defaults: dict[str, Any] = {
        "name": BaselineName("seven"),
        "operating_system": OperatingSystem.DEBIAN,
        "rules": (SEVEN,),
    }
    return PatchBaseline(**defaults | given)


# ---------------------------------------------------------------- generated cases


def generated(rng: random.Random) -> tuple[NodePatches, Grounds, Mapping[str, datetime]]:
    """Give a node with a package of up to eight versions of random ages, some gone, some never dated."""
    apt = rng.random() < 0.5
    family = Family.APT if apt else Family.RPM
    versions = [f"{rng.randint(0, 2)}:{rng.randint(1, 12)}.{rng.randint(0, 12)}-{rng.randint(1, 12)}" for _ in range(8)]
    now = START + 100 * DAY
    ledger, dates = Ledger(), {}
    patches = []
    for version in dict.fromkeys(versions):
        age = rng.choice([None, 0, 1, 6, 6.999, 7, 7.001, 8, 30])
        patch = a_deb("it", version) if apt else an_rpm("it", version, a_notice(issued=START))
        if age is not None:
            seen = now - timedelta(days=age)
            ledger, _ = with_sightings(ledger, {NodeId("a"): [patch]}, now=seen, previous_commit=None)
            dates[version] = seen
        patches.append(patch)
    here = rng.choice(patches)
    gone = [Gone(patch=one, since=now - DAY, kept=rng.random() < 0.5) for one in patches if rng.random() < 0.3]
    node = NodePatches(
        family=family,
        installed=(installed("it", here.version, arch=here.arch),),
        available=tuple(one for one in patches if one not in [found.patch for found in gone]),
        gone=tuple(gone),
    )
    rule = replace(SEVEN, approve_after_days=rng.choice([0, 1, 7, 30]))
    chosen = baseline(rules=(rule,), supersede=rng.choice([*Supersede]))
    return node, Grounds(baseline=chosen, ledger=ledger, product="Debian12", now=now), dates


@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_a_newer_unapproved_version_is_never_selected(count: int) -> None:
    """Whatever is chosen is newer, can be had, and has waited as long as the rule says."""
    rng = random.Random(20250101)
    chosen = missing = 0
    for _ in range(count):
        node, grounds, dates = generated(rng)
        compare = compare_dpkg if node.family is Family.APT else compare_rpm_labels
        (row,) = judge_rows(node, Judge(grounds))
        wait = timedelta(days=grounds.baseline.rules[0].approve_after_days or 0)
        ripe = {
            one.version
            for one in (*node.available, *(found.patch for found in node.gone))
            if one.version in dates and dates[one.version] + wait <= grounds.now
        }
        newer = [version for version in ripe if compare(version, row.installed.version) > 0]
        assert (row.state is PatchState.MISSING) is bool(newer), row.reason
        missing += bool(newer)
        if row.approval is not None and row.state is PatchState.MISSING:
            assert not [one for one in newer if compare(one, row.approval.patch.version) > 0]
        if row.target is not None:
            chosen += 1
            assert row.target.version in newer
            kept = [found.patch for found in node.gone if found.kept]
            assert row.target in (*node.available, *kept)
    assert missing > count * 0.3
    assert chosen > count * 0.2


# ---------------------------------------------------------------- replays


@dataclass
class Fleet:
    """One node under one rule, day by day; the ledger goes through its files, as a rebuilt daemon would find it."""

    keeps_files: bool = False
    chosen: PatchBaseline = field(default_factory=baseline)
    version: str = "1-1"
    ledger: Ledger = field(default_factory=Ledger)
    gone: dict[str, Gone] = field(default_factory=dict)
    shown: tuple[Patch, ...] = ()
    findings: list[LedgerFinding] = field(default_factory=list)
    installs: list[tuple[datetime, str]] = field(default_factory=list)

    def day(self, now: datetime, offers: tuple[Patch, ...], *others: tuple[str, tuple[Patch, ...]]) -> PatchRow:
        sightings = {NodeId("web-01"): offers, **{NodeId(name): patches for name, patches in others}}
        self.ledger, found = with_sightings(self.ledger, sightings, now=now, previous_commit=now - DAY)
        self.findings.extend(found)
        files = write_ledger(self.ledger)
        self.ledger = read_ledger(files)
        for patch in self.shown:
            if patch not in offers and compare_dpkg(patch.version, self.version) > 0:
                self.gone.setdefault(patch.version, Gone(patch=patch, since=now, kept=self.keeps_files))
        self.shown = offers
        node = NodePatches(
            family=Family.APT,
            installed=(installed("it", self.version),),
            available=offers,
            gone=tuple(one for one in self.gone.values() if compare_dpkg(one.patch.version, self.version) > 0),
        )
        grounds = Grounds(baseline=self.chosen, ledger=self.ledger, product="Debian12", now=now)
        (row,) = judge_rows(node, Judge(grounds))
        if row.target is not None:
            self.version = row.target.version
            self.installs.append((now, self.version))
        return row


def published(day: int) -> Iterator[int]:
    """Give the days on which the archive got a new version: every third, the last one replaces those before."""
    return iter(range(0, day + 1, 3))


@pytest.mark.parametrize("keeps_files", [True, False], ids=["files are kept", "files are not kept"])
def test_a_package_that_is_replaced_every_three_days_is_never_young_and_never_starved_in_silence(
    keeps_files: bool,  # noqa: FBT001  (a case)
) -> None:
    fleet = Fleet(keeps_files=keeps_files)
    for day in range(60):
        last = [*published(day)][-1]
        row = fleet.day(START + day * DAY, (a_deb("it", f"1-{last + 2}"),))
        if row.state is PatchState.MISSING and row.target is None:
            assert "is gone since" in row.reason
            assert "is approved on" in row.reason
        elif row.state is not PatchState.MISSING:
            assert "approves it on" in row.reason
            assert day < 9 or keeps_files or "gone before the wait was over" in row.reason
    for when, version in fleet.installs:
        came = START + (int(version.partition("-")[2]) - 2) * DAY
        assert when - came >= 7 * DAY
    assert fleet.findings == []
    if keeps_files:
        assert len(fleet.installs) == 18
        assert (
            max(when - before for (before, _), (when, _) in zip(fleet.installs, fleet.installs[1:], strict=False))
            <= 3 * DAY
        )
    else:
        assert fleet.installs == []
        assert row.state is PatchState.MISSING


def test_a_version_flips_on_the_day_its_wait_is_over_on_every_node_and_after_a_rebuild() -> None:
    one, other = Fleet(), Fleet()
    for day in range(20):
        now = START + day * DAY
        offers = (a_deb("it", "1-2"),) if day >= 4 else ()
        rows = [fleet.day(now, offers) for fleet in (one, other)]
        assert rows[0] == rows[1]
        assert (rows[0].target is not None) is (day == 11)
    rebuilt = read_ledger(write_ledger(one.ledger))
    assert rebuilt.archives == one.ledger.archives


def test_a_date_that_a_publisher_moves_back_shortens_nothing() -> None:
    for policy, early in ((ReleaseDates.FIRST_SEEN, False), (ReleaseDates.PUBLISHER, True)):
        patch = an_rpm("it", "1-2", a_notice(issued=START - 90 * DAY))
        ledger, _ = with_sightings(Ledger(), {NodeId("a"): [patch]}, now=START, previous_commit=None)
        chosen = baseline(operating_system=OperatingSystem.ROCKY_LINUX, release_dates=policy)
        grounds = Grounds(baseline=chosen, ledger=ledger, product="RockyLinux9", now=START + DAY)
        assert Judge(grounds).approval(patch).is_approved is early


def test_an_entry_that_is_deleted_or_moved_back_in_git_approves_nothing_and_is_told() -> None:
    fleet = Fleet()
    offers = (a_deb("it", "1-2"),)
    for day in range(5):
        fleet.day(START + day * DAY, offers)
    known = fleet.ledger
    (archive,) = known.archives
    (key,) = known.archives[archive]
    moved = {archive: {key: replace(known.archives[archive][key], first_seen=START - 30 * DAY)}}
    for tampered in (Ledger(archives={archive: {}}), Ledger(archives=moved)):
        fleet.ledger, findings = rewritten(known, tampered, START + 4 * DAY)
        assert len(findings) == 1
        row = fleet.day(START + 5 * DAY, offers)
        assert row.target is None
        assert "approves it on 2025-01-08" in row.reason
    fleet.ledger = Ledger()  # deleted, and nobody remembers: the wait begins anew
    assert fleet.day(START + 7 * DAY, offers).target is None


def test_a_node_that_lies_about_what_is_to_come_shortens_no_wait() -> None:
    fleet = Fleet()
    for day in range(10):
        lie = tuple(a_deb("it", "1-2", checksum=f"sha256:guess{number}") for number in range(5))
        fleet.day(START + day * DAY, (), ("liar", lie))
    for day in range(10, 17):
        assert fleet.day(START + day * DAY, (a_deb("it", "1-2"),)).target is None
    assert fleet.day(START + 17 * DAY, (a_deb("it", "1-2"),)).target is not None
    assert any("first seen as sha256:guess" in finding.reason for finding in fleet.findings)


def test_the_same_version_with_new_content_waits_anew_and_is_told() -> None:
    fleet = Fleet()
    for day in range(6):
        fleet.day(START + day * DAY, (a_deb("it", "1-2"),))
    other = a_deb("it", "1-2", checksum="sha256:other")
    for day in range(6, 13):
        assert fleet.day(START + day * DAY, (other,)).target is None
    assert ["has new content" in finding.reason for finding in fleet.findings] == [True]
    row = fleet.day(START + 13 * DAY, (other,))
    assert row.target == other
