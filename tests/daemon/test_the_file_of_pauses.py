"""The stop button's file: whole or not at all, and whatever cannot be read pauses everything."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from reconciler.daemon.callers import caller
from reconciler.daemon.pause_file import PauseFile
from reconciler.errors import SettingsError
from reconciler.ids import AssociationName, NodeId
from reconciler.model.pause import Pause, Pauses

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
WEB, MOTD = NodeId("web-01"), AssociationName("motd")


def a_pause(**fields: object) -> Pause:
    return Pause(**{"who": "ana", "since": NOW, **fields})  # type: ignore[arg-type]  # a builder takes any field


@pytest.fixture
def file(tmp_path: Path) -> PauseFile:
    return PauseFile(folder=tmp_path)


def test_no_file_pauses_nothing(file: PauseFile) -> None:
    assert file.read() == Pauses()


def test_what_was_written_is_read_again(file: PauseFile) -> None:
    made = (a_pause(reason="disk swap\u202e", until=NOW + timedelta(hours=1)), a_pause(node=WEB, association=MOTD))
    file.change(lambda _: made, NOW)
    assert file.read().all == made
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_ended_ones_are_dropped_with_the_next_change(file: PauseFile) -> None:
    file.change(lambda _: (a_pause(until=NOW + timedelta(hours=1)),), NOW)
    later = NOW + timedelta(hours=2)
    assert file.read().why(WEB, MOTD, later) is None
    assert file.change(lambda known: (*known, a_pause(node=WEB)), later).all == (a_pause(node=WEB),)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b'{"version": 2, "pauses": []}',
        b'{"version": 1, "pauses": {}}',
        b'{"version": 1, "pauses": [{}]}',
        b'{"version": 1, "pauses": ["everything"]}',
        b'{"version":1,"pauses":[{"node":"","association":null,"who":"a","since":"2026-01-02T12:00:00+00:00","reason":"","until":null}]}',
        b'{"version":1,"pauses":[{"node":null,"association":null,"who":"a","since":"2026-01-02T12:00:00+00:00","reason":"","until":"soon"}]}',
        b'{"version":1,"pauses":[{"node":null,"association":null,"who":7,"since":"2026-01-02T12:00:00+00:00","reason":"","until":null}]}',
        b"[" * 100_000,
        b" " * 2_000_000,
        b"\xff\xfe",
    ],
)
def test_a_file_that_does_not_read_pauses_everything_until_a_person_ends_it(file: PauseFile, content: bytes) -> None:
    file.path.write_bytes(content)
    found = file.read()
    why = found.why(WEB, MOTD, NOW)
    assert why is not None
    assert "does not read" in why
    assert "resume --all" in why
    assert list(found.in_words(NOW))
    with pytest.raises(SettingsError, match="nothing was changed"):
        file.change(lambda known: (*known, a_pause()), NOW)
    file.change(lambda _: (), NOW, anew=True)
    assert file.read() == Pauses()


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link", "pipe"])
def test_what_is_no_file_pauses_everything_and_nobody_waits_for_it(file: PauseFile, kind: str) -> None:
    match kind:
        case "folder":
            file.path.mkdir()
        case "link":
            (file.folder / "elsewhere").write_bytes(b'{"version": 1, "pauses": []}')
            file.path.symlink_to("elsewhere")
        case "dangling link":
            file.path.symlink_to("nowhere")
        case _:
            os.mkfifo(file.path)
    assert file.read().why(WEB, MOTD, NOW) is not None


def test_many_at_once_lose_none(file: PauseFile) -> None:
    def add(number: int) -> None:
        file.change(lambda known: (*known, a_pause(node=NodeId(f"web-{number:02}"))), NOW)

    threads = [Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.read().all) == 16


def test_a_change_that_was_killed_leaves_the_old_file_whole(file: PauseFile) -> None:
    file.change(lambda _: (a_pause(),), NOW)
    (file.folder / "pauses.json.new").write_bytes(b"half")
    assert file.read().all == (a_pause(),)
    assert file.change(lambda known: (*known, a_pause(node=WEB)), NOW).all == (a_pause(), a_pause(node=WEB))


def test_a_folder_that_takes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="an empty file there pauses everything"):
        PauseFile(folder=tmp_path / "gone").change(lambda _: (a_pause(),), NOW)


def test_the_caller_is_who_the_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "SUDO_USER", "GIT_AUTHOR_NAME"):
        monkeypatch.setenv(name, "mallory")
    assert "mallory" not in caller()


def test_the_file_is_json_for_people(file: PauseFile) -> None:
    file.change(lambda _: (a_pause(node=WEB),), NOW)
    assert json.loads(file.path.read_bytes())["pauses"][0]["node"] == "web-01"
