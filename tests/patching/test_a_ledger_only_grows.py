"""First-seen dates: who can shorten a wait, and how each attempt is told."""

import json
from datetime import timedelta

import pytest

from reconciler.ids import NodeId
from reconciler.model.ledger_seed import LedgerKey, LedgerSeed, SeedSource
from reconciler.model.patch import Index, Patch
from reconciler.patching.clock import ClockReadings, clock_doubt, trusted_now
from reconciler.patching.ledger import (
    DateSource,
    Ledger,
    LedgerEntry,
    key_of,
    with_sightings,
)
from reconciler.patching.ledger_files import ledger_path, read_ledger, write_ledger
from tests.patching.rows import BASEOS, MAIN, SECURITY, a_deb, an_rpm, at, rewritten

WEB, DB = NodeId("web-01"), NodeId("db-01")
ARCHIVE = "Debian-Security-bookworm-security"


def seen(*patches: Patch, on: NodeId = WEB, now: str = "2025-06-01", ledger: Ledger | None = None) -> Ledger:
    grown, findings = with_sightings(ledger or Ledger(), {on: patches}, now=at(now), previous_commit=None)
    assert findings == ()
    return grown


def first_seen(ledger: Ledger, patch: Patch) -> str | None:
    found = ledger.first_seen(patch, patch.indexes)
    return None if found is None else f"{found.at:%Y-%m-%d} {found.source.value}"


def test_what_is_new_is_dated_now_and_never_again() -> None:
    ledger = seen(a_deb())
    again = seen(a_deb(), on=DB, now="2025-06-09", ledger=ledger)
    assert again is ledger
    assert first_seen(again, a_deb()) == "2025-06-01 first-seen"
    assert again.archives[ARCHIVE][key_of(a_deb())].node == WEB


def test_no_entry_is_dated_before_the_commit_ahead_of_it() -> None:
    ledger, _ = with_sightings(Ledger(), {WEB: [a_deb()]}, now=at("2025-01-01"), previous_commit=at("2025-06-01"))
    assert first_seen(ledger, a_deb()) == "2025-06-01 first-seen"


def test_each_archive_dates_for_itself() -> None:
    ledger = seen(a_deb(indexes=(MAIN,)))
    assert first_seen(ledger, a_deb()) is None
    both = a_deb(indexes=(MAIN, SECURITY))
    ledger = seen(both, now="2025-06-05", ledger=ledger)
    assert first_seen(ledger, a_deb()) == "2025-06-05 first-seen"
    assert first_seen(ledger, both) == "2025-06-01 first-seen"
    assert first_seen(seen(an_rpm(indexes=(BASEOS,))), an_rpm()) == "2025-06-01 first-seen"


def test_a_node_that_announces_a_version_dates_only_what_it_shows() -> None:
    ledger = seen(a_deb(checksum="sha256:invented"), on=DB)
    assert first_seen(ledger, a_deb()) is None
    grown, findings = with_sightings(ledger, {WEB: [a_deb()]}, now=at("2025-06-30"), previous_commit=None)
    assert first_seen(grown, a_deb()) == "2025-06-30 first-seen"
    (finding,) = findings
    assert "has new content" in finding.reason
    assert "sha256:invented on db-01" in finding.reason
    assert "its wait begins anew" in finding.reason


def test_two_contents_in_one_pass_are_told() -> None:
    sightings = {WEB: [a_deb()], DB: [a_deb(checksum="sha256:other")]}
    _, findings = with_sightings(Ledger(), sightings, now=at("2025-06-01"), previous_commit=None)
    assert [finding.key for finding in findings] == [key_of(a_deb())]


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param(a_deb(checksum=""), id="no checksum"),
        pytest.param(a_deb("two words"), id="a blank"),
        pytest.param(a_deb("a\nb"), id="a line end"),
        pytest.param(a_deb("a\x1b[31m"), id="a terminal's command"),
        pytest.param(a_deb("x" * 301), id="a long name"),
    ],
)
def test_what_cannot_be_a_key_is_not_dated(patch: Patch) -> None:
    assert seen(patch).archives == {}


def test_a_node_that_shows_too_much_is_not_believed_and_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.patching.ledger.MOST_NEW_OF_ONE_NODE", 50)
    true = a_deb()
    flood = [a_deb(f"p{number}") for number in range(50)]
    ledger, findings = with_sightings(
        Ledger(), {DB: [true, *flood], WEB: [true]}, now=at("2025-06-01"), previous_commit=None
    )
    assert [*ledger.archives[ARCHIVE]] == [key_of(true)]
    assert ["db-01 shows" in finding.reason for finding in findings] == [True]


def test_a_ledger_is_written_one_entry_a_line_and_reads_back() -> None:
    ledger = seen(a_deb(), a_deb("zlib"), a_deb(indexes=(MAIN,)), now="2025-06-01T10:20:30")
    files = write_ledger(ledger)
    assert sorted(files) == ["ledger/Debian-Security-bookworm-security.json", "ledger/Debian-bookworm.json"]
    lines = files[f"ledger/{ARCHIVE}.json"].decode().splitlines()
    assert lines == [
        "{",
        f'"archive": "{ARCHIVE}",',
        '"entries": {',
        '"bash 5.2.15-2+deb12u1 amd64 sha256:bash-5.2.15-2+deb12u1": "2025-06-01T10:20:30Z web-01",',
        '"zlib 5.2.15-2+deb12u1 amd64 sha256:zlib-5.2.15-2+deb12u1": "2025-06-01T10:20:30Z web-01"',
        "}",
        "}",
    ]
    assert read_ledger(files) == Ledger(archives=ledger.archives)
    assert write_ledger(read_ledger(files)) == files
    assert json.loads(files[f"ledger/{ARCHIVE}.json"])["archive"] == ARCHIVE


@pytest.mark.parametrize("label", ["../../etc/x", "a/b", "", ".git", "a\nb", "x" * 200, "é", "a..b"])
def test_labels_of_nodes_are_no_paths(label: str) -> None:
    path = ledger_path(label)
    assert path.count("/") == 1
    assert path.startswith("ledger/other-")
    ledger = seen(a_deb(indexes=(Index(repository="x", label=label or "-oX=1", codename=""),)))
    assert read_ledger(write_ledger(ledger)).archives == ledger.archives


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"archive": "A"}',
        b'{"archive": "A", "entries": []}',
        b'{"archive": "B", "entries": {}}',
        b'{"archive": "A", "entries": {"a 1 amd64": "2025-01-01T00:00:00Z n"}}',
        b'{"archive": "A", "entries": {"a 1 amd64 c": "2025-01-01T00:00:00 n"}}',
        b'{"archive": "A", "entries": {"a 1 amd64 c": "2025-01-01T00:00:00Z"}}',
        b'{"archive": "A", "entries": {"a 1 amd64 c": 7}}',
        b"[" * 100_000,
    ],
)
def test_a_ledger_that_does_not_read_is_no_empty_ledger(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"ledger/A\.json: not a ledger"):
        read_ledger({"ledger/A.json": data})


def entry(day: str) -> LedgerEntry:
    return LedgerEntry(first_seen=at(day), node=WEB)


KEY = LedgerKey("bash", "1-1", "amd64", "sha256:1")


@pytest.mark.parametrize(
    ("known", "read", "counts", "words"),
    [
        pytest.param(entry("2025-06-01"), entry("2025-06-01"), "2025-06-01", "", id="untouched"),
        pytest.param(entry("2025-06-01"), None, "2025-06-01", "its entry was deleted; it stays", id="deleted"),
        pytest.param(
            entry("2025-06-01"), entry("2025-01-01"), "2025-06-01", "was moved from 2025-06-01", id="moved back"
        ),
        pytest.param(entry("2025-06-01"), entry("2025-07-01"), "2025-07-01", "was moved", id="moved ahead"),
        pytest.param(
            None, entry("2025-01-01"), "2025-06-02", "before the commit ahead of it", id="added with an old date"
        ),
        pytest.param(None, entry("2025-06-03"), "2025-06-03", "", id="added later"),
    ],
)
def test_whoever_rewrites_the_branch_shortens_no_wait(
    known: LedgerEntry | None, read: LedgerEntry | None, counts: str, words: str
) -> None:
    before = Ledger(archives={"A": {KEY: known}} if known else {})
    after = Ledger(archives={"A": {KEY: read}} if read else {})
    merged, findings = rewritten(before, after, at("2025-06-02"))
    assert merged.archives["A"][KEY].first_seen == at(counts)
    assert [words in finding.reason for finding in findings] == ([True] if words else [])


def test_a_reviewed_seed_dates_what_is_older_than_our_first_sight() -> None:
    key = key_of(a_deb())
    ledger = seen(a_deb())
    older = LedgerSeed(archive=ARCHIVE, source=SeedSource.SNAPSHOT, dates={key: at("2025-03-01")})
    oldest = LedgerSeed(archive=ARCHIVE, source=SeedSource.CHANGELOG, dates={key: at("2025-02-01")})
    later = LedgerSeed(archive=ARCHIVE, source=SeedSource.PUBLISHER, dates={key: at("2025-07-01")})
    elsewhere = LedgerSeed(archive="Other", source=SeedSource.SNAPSHOT, dates={key: at("2020-01-01")})
    assert first_seen(ledger.with_seeds([older]), a_deb()) == "2025-03-01 seed"
    assert first_seen(ledger.with_seeds([oldest, older]), a_deb()) == "2025-02-01 seed"
    assert first_seen(ledger.with_seeds([later, elsewhere]), a_deb()) == "2025-06-01 first-seen"
    assert first_seen(ledger.with_seeds([older]), a_deb(checksum="sha256:other")) is None
    assert first_seen(Ledger().with_seeds([older]), a_deb()) == "2025-03-01 seed"
    found = ledger.with_seeds([older]).first_seen(a_deb(), (SECURITY,))
    assert found is not None
    assert (found.source, found.archive) == (DateSource.SEED, ARCHIVE)


NOW = at("2025-06-01T12:00")


@pytest.mark.parametrize(
    ("readings", "words"),
    [
        pytest.param(ClockReadings(now=NOW), "", id="nothing to compare with"),
        pytest.param(ClockReadings(now=NOW, last_commit=at("2025-05-01")), "", id="an old commit"),
        pytest.param(ClockReadings(now=NOW, last_commit=at("2025-06-01T12:05")), "", id="a few minutes behind"),
        pytest.param(
            ClockReadings(now=NOW, last_commit=at("2025-06-01T12:11")), "the last report was made", id="behind"
        ),
        pytest.param(
            ClockReadings(now=NOW, before=at("2025-06-01T11:00"), elapsed=timedelta(hours=1)), "", id="as time went"
        ),
        pytest.param(
            ClockReadings(now=NOW, before=at("2025-05-01T11:00"), elapsed=timedelta(hours=1)),
            "it jumped by",
            id="ahead",
        ),
        pytest.param(
            ClockReadings(now=NOW, before=at("2025-06-01T12:00"), elapsed=timedelta(hours=1)),
            "it jumped by 60 minutes",
            id="back",
        ),
        pytest.param(ClockReadings(now=NOW, node_skews=(-9e5, -9e5)), "", id="two nodes say nothing"),
        pytest.param(ClockReadings(now=NOW, node_skews=(0, 3, -9e5)), "", id="one node that is wrong"),
        pytest.param(
            ClockReadings(now=NOW, node_skews=(-9e5, -9e5, 1)), "clocks of 3 nodes", id="we are ahead of most"
        ),
    ],
)
def test_a_clock_is_held_against_everything_that_knows_the_time(readings: ClockReadings, words: str) -> None:
    doubt = clock_doubt(readings)
    assert bool(doubt) is bool(words)
    assert words in doubt
    now, told = trusted_now(readings)
    assert told == doubt
    assert now == (readings.last_commit if doubt else readings.now)
