from datetime import UTC, datetime

import pytest

from reconciler.model.ledger_seed import LedgerKey, LedgerSeed, SeedSource
from reconciler.model.release_date import read_release_date
from tests.model.reading import errors, reads

FILE = "state/ledger-seeds/debian.yaml"
SEED = """Archive: Debian-Security-bookworm-security
Source: snapshot
Versions:
  - {Package: bash, Version: 5.2.15-2+deb12u1, Arch: amd64, Checksum: 'sha256:00ff', Date: 2025-03-01T10:00:00Z}
"""


def test_a_seed_is_read() -> None:
    assert reads({FILE: SEED}).ledger_seeds == (
        LedgerSeed(
            archive="Debian-Security-bookworm-security",
            source=SeedSource.SNAPSHOT,
            dates={LedgerKey("bash", "5.2.15-2+deb12u1", "amd64", "sha256:00ff"): datetime(2025, 3, 1, 10, tzinfo=UTC)},
            file=f"{FILE}:1",
        ),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(SEED.replace("Archive", "Archives"), "Archive is missing", id="no archive"),
        pytest.param(SEED.replace("snapshot", "rumour"), "Source: this must be one of", id="no such source"),
        pytest.param(SEED.replace(", Checksum: 'sha256:00ff'", ""), "Checksum is missing", id="no checksum"),
        pytest.param(SEED.replace("sha256:00ff", "00ff"), "this is not a checksum", id="a bare checksum"),
        pytest.param(SEED.replace("bash", "ba sh"), "this is not a package's name", id="a name with a blank"),
        pytest.param(SEED.replace("2025-03-01T10:00:00Z", "March"), "4:92: Date: not a date", id="no date"),
        pytest.param(SEED + SEED.splitlines()[3].replace("03-01", "02-01") + "\n", "has two dates", id="two dates"),
        pytest.param(SEED + "Owner: me\n", "unknown key", id="a key too many"),
    ],
)
def test_a_mistake_in_a_seed_is_told(text: str, words: str) -> None:
    found = [str(one) for one in errors({FILE: text})]
    assert any(words in one for one in found), found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01 12:30:05", "2024-03-01T12:30:05"),
        ("2024-03-01 12:30", "2024-03-01T12:30:00"),
        ("2024-03-01 12:30:05 UTC", "2024-03-01T12:30:05"),
        ("2024-03-01", "2024-03-01T00:00:00"),
        ("2024-03-01T12:30:05Z", "2024-03-01T12:30:05"),
        ("2024-03-01T12:30:05+02:00", "2024-03-01T10:30:05"),
        (" 1709296205 ", "2024-03-01T12:30:05"),
    ],
)
def test_dates_of_vendors_are_read_in_utc(text: str, expected: str) -> None:
    assert read_release_date(text) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "March 1", "01/03/2024", "2024-3-1", "2024-13-01", "2024-03-01 25:00", "20240301", "-1", "1e9", "\u0662\u0660\u0662\u0664-03-01",
     "2024-03-01 12:30:05 CET", "0001-01-01T00:00+14:00", "170929620500"],
)  # fmt: skip
def test_a_date_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a date"):
        read_release_date(text)
