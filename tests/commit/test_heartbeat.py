"""A dead daemon does not look green: the heartbeat says when the last pass was, and a stale one is said so."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.commit.heartbeat import (
    Heartbeat,
    NodeBeat,
    NoHeartbeat,
    heartbeat_of,
    look_at_heartbeat,
    read_heartbeat,
    staleness,
    write_heartbeat,
)
from reconciler.commit.json_blob import Held
from reconciler.errors import LeaseLost, SourceError
from reconciler.ids import CommitId, NodeId
from tests.commit.builders import NOON, Host, a_host, a_message
from tests.support.git_remote import GitRemote, make_remote

BEAT = Heartbeat(
    last_pass=NOON,
    interval=timedelta(minutes=10),
    holder="one:/var/lib/x",
    epoch=2,
    state_commit=CommitId("a" * 40),
    nodes={
        NodeId("web-01"): NodeBeat(last_contact=NOON, clock_skew=-1.5, uptime=3600),
        NodeId("web-02"): NodeBeat(trouble="no route"),
    },
)


@pytest.fixture
def repo(tmp_path: Path) -> GitRemote:
    return make_remote(tmp_path / "fleet.git")


@pytest.fixture
def host(repo: GitRemote, tmp_path: Path) -> Iterator[Host]:
    with a_host("one", repo, tmp_path) as made:
        yield made


def test_heartbeat_is_read_as_it_was_written(host: Host) -> None:
    home = host.reports.places.home
    assert read_heartbeat(host.repository, home) is None
    write_heartbeat(host.repository, home, BEAT)
    assert read_heartbeat(host.repository, home) == BEAT


def test_heartbeat_is_replaced_and_keeps_no_history(host: Host, repo: GitRemote) -> None:
    home = host.reports.places.home
    for number in range(3):
        write_heartbeat(host.repository, home, replace(BEAT, last_pass=NOON + timedelta(minutes=number)))
    assert repo.git("cat-file", "-t", "refs/reconciler/heartbeat") == "blob"
    there = read_heartbeat(host.repository, home)
    assert there is not None
    assert there.last_pass == NOON + timedelta(minutes=2)


def test_leader_of_the_past_does_not_replace_its_successors_heartbeat(host: Host) -> None:
    home = host.reports.places.home
    write_heartbeat(host.repository, home, replace(BEAT, epoch=3))
    with pytest.raises(LeaseLost, match="epoch 3"):
        write_heartbeat(host.repository, home, BEAT)


def test_heartbeat_moved_meanwhile_is_looked_at_again(host: Host, repo: GitRemote, tmp_path: Path) -> None:
    home = host.reports.places.home
    write_heartbeat(host.repository, home, BEAT)
    with a_host("two", repo, tmp_path) as other:
        write_heartbeat(other.repository, other.reports.places.home, replace(BEAT, holder="two"))
    host.reports.write({"a": b"1"}, a_message(), now=NOON)
    assert host.reports.publish(BEAT).complete
    assert read_heartbeat(host.repository, home) == BEAT


def test_remote_that_is_away_is_said(host: Host, repo: GitRemote, tmp_path: Path) -> None:
    repo.path.rename(tmp_path / "away")
    with pytest.raises(SourceError, match=r"fleet\.git"):
        write_heartbeat(host.repository, host.reports.places.home, BEAT)


@pytest.mark.parametrize(
    ("after", "stale"),
    [
        pytest.param(timedelta(), False, id="just now"),
        pytest.param(timedelta(minutes=20), False, id="two intervals"),
        pytest.param(timedelta(minutes=20, seconds=1), True, id="more than two intervals"),
        pytest.param(timedelta(days=400), True, id="a year"),
    ],
)
def test_report_is_stale_after_two_missed_intervals(after: timedelta, stale: bool) -> None:  # noqa: FBT001  a case
    why = staleness(BEAT, NOON + after)
    assert (why is not None) == stale


def test_no_heartbeat_is_stale_and_says_so(host: Host) -> None:
    found = look_at_heartbeat(host.repository, host.reports.places.home)
    assert isinstance(found, NoHeartbeat)
    assert staleness(found, NOON) == "there is no heartbeat: no pass has ended here"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "is not JSON", id="empty"),
        pytest.param(b"\x00\xff garbage", "is not JSON", id="bytes"),
        pytest.param(b"[1]", "is no JSON object", id="a list"),
        pytest.param(b"{}", "does not say when the last pass was", id="no fields"),
        pytest.param(b'{"last_pass":"noon","interval":60}', "does not say when the last pass was", id="no instant"),
        pytest.param(b'{"last_pass":"2026-01-02T12:00:00Z","interval":-1}', "does not say", id="no interval"),
        pytest.param(
            b'{"last_pass":"2026-01-02T12:00:00Z","interval":1e300}', "does not say", id="an endless interval"
        ),
        pytest.param(b'{"last_pass":"2026-01-02T12:00:00Z","interval":1e12}', "does not say", id="beyond the calendar"),
        pytest.param(
            b'{"last_pass":"0001-01-01T00:00:00+23:59","interval":60}', "does not say", id="before the calendar"
        ),
        pytest.param(
            b'{"last_pass":"9999-12-31T23:59:59-23:59","interval":60}', "does not say", id="after the calendar"
        ),
    ],
)
def test_garbage_says_what_it_is(host: Host, repo: GitRemote, content: bytes, words: str) -> None:
    repo.git("update-ref", "refs/reconciler/heartbeat", repo.git("hash-object", "-w", "--stdin", stdin=content))
    why = staleness(look_at_heartbeat(host.repository, host.reports.places.home), NOON)
    assert why is not None
    assert "cannot be understood" in why
    assert words in why


def test_a_heartbeat_of_the_future_is_not_fresh() -> None:
    assert staleness(BEAT, NOON - timedelta(minutes=5)) is None  # clocks differ a little
    why = staleness(BEAT, NOON - timedelta(hours=1))
    assert why is not None
    assert "yet to come" in why


def test_a_heartbeat_cannot_claim_an_interval_of_years() -> None:
    claimed = replace(BEAT, interval=timedelta(days=3650))
    assert staleness(claimed, NOON + timedelta(hours=1)) is None
    assert staleness(claimed, NOON + timedelta(hours=1), timedelta(minutes=10)) is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["last_pass", "interval", "nodes", "epoch", "n", "last_contact"]), inner)
        ),
        max_leaves=8,
    ).filter(lambda value: isinstance(value, dict))
)
def test_whatever_stands_there_is_a_heartbeat_or_none(value: dict[str, object]) -> None:
    value.setdefault("last_pass", "2026-01-01T00:00:00Z")
    value.setdefault("interval", 600)
    found = heartbeat_of(Held(blob="x", value=value))  # type: ignore[arg-type]  # any JSON at all
    assert found is None or isinstance(found, Heartbeat)
