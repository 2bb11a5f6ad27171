"""Seeds of a ledger: written for review, of what the ledger knows, with dates before its first sight, and read back as they are."""

from datetime import datetime

import pytest

from reconciler.ids import NodeId
from reconciler.model.ledger_seed import LedgerSeed
from reconciler.model.patch import Patch
from reconciler.model.read_state import read_state
from reconciler.patching.ledger import Ledger, key_of, with_sightings
from reconciler.patching.seeding import from_changelogs, from_publisher, from_snapshot, read_changelog, seed_file
from tests.patching.rows import a_deb, a_notice, an_rpm, at

ARCHIVE = "Debian-Security-bookworm-security"
BEGIN, LATER = at("2026-03-01"), at("2026-03-09")
OLD = a_deb("openssl", "3.0.15-1~deb12u1+b1", source="openssl", source_version="3.0.15-1~deb12u1", checksum="sha256:aa")
NEW = a_deb("openssl", "3.0.16-1~deb12u1", checksum="sha256:bb")
CHANGELOG = """\
openssl (3.0.16-1~deb12u1) bookworm-security; urgency=medium

  * New upstream version.

 -- Somebody <somebody@example.org>  Sun, 08 Mar 2026 14:29:32 +0200

openssl (3.0.15-1~deb12u1) bookworm-security; urgency=medium

  * (1.0) bookworm; is no header here.

 -- Somebody <somebody@example.org>  Fri, 10 Jan 2025 14:29:32 +0200
"""


def seen(*passes: tuple[datetime, Patch]) -> Ledger:
    ledger = Ledger()
    for when, patch in passes:
        ledger, _ = with_sightings(ledger, {NodeId("a"): [patch]}, now=when, previous_commit=None)
    return ledger


def dates(seeds: tuple[LedgerSeed, ...]) -> dict[str, str]:
    return {key.checksum: f"{date:%Y-%m-%d %H:%M}" for seed in seeds for key, date in seed.dates.items()}


def test_a_snapshot_dates_what_a_ledger_began_with_and_no_later_sight() -> None:
    ledger = seen((BEGIN, OLD), (LATER, NEW))
    assert dates(from_snapshot(ledger, at("2025-06-01"))) == {"sha256:aa": "2025-06-01 00:00"}
    assert from_snapshot(ledger, at("2026-04-01")) == ()
    assert from_snapshot(ledger, at("2025-06-01"), ("another",)) == ()


def test_changelogs_date_uploads_by_source_and_its_version() -> None:
    changelog = read_changelog(CHANGELOG)
    assert sorted(version for _, version in changelog) == ["3.0.15-1~deb12u1", "3.0.16-1~deb12u1"]
    seeds = from_changelogs(seen((BEGIN, OLD), (LATER, NEW)), (OLD, NEW), changelog)
    assert dates(seeds) == {"sha256:aa": "2025-01-10 12:29", "sha256:bb": "2026-03-08 12:29"}


def test_notices_date_by_the_last_of_them() -> None:
    twice = (
        a_notice(issued=at("2024-03-01")),
        a_notice(id="RHSA-2", issued=at("2024-03-01"), updated=at("2024-05-01")),
    )
    patch = an_rpm("bash", "5.1.8-7.el9", *twice)
    assert list(dates(from_publisher(seen((BEGIN, patch)), (patch,))).values()) == ["2024-05-01 00:00"]


def test_what_is_seeded_already_is_not_seeded_again() -> None:
    ledger = seen((BEGIN, OLD))
    seeds = from_snapshot(ledger, at("2025-06-01"))
    assert from_snapshot(ledger.with_seeds(seeds), at("2025-06-01")) == ()
    assert dates(from_snapshot(ledger.with_seeds(seeds), at("2025-05-01"))) == {"sha256:aa": "2025-05-01 00:00"}


@pytest.mark.parametrize("name", ["openssl", "Yes", "1e3", "a: b", "]{", "'\"#"])
def test_a_file_is_read_as_it_was_written(name: str) -> None:
    odd = a_deb(name.replace(" ", "_"), "1.10", checksum="sha256:" + "0" * 64)
    ledger = seen((BEGIN, odd))
    seeds = from_snapshot(ledger, at("2025-06-01"))
    files = {"state/ledger-seeds/seed.yaml": seed_file(seeds).encode()}
    desired, problems = read_state(files, bundled={})
    if name == "openssl":
        assert problems == ()
    if desired is not None:
        (seed,) = desired.ledger_seeds
        assert dict(seed.dates) == {key_of(odd): at("2025-06-01")}
    else:
        assert all("ledger-seeds" in problem.file for problem in problems)
