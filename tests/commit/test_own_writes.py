"""What this process wrote itself is known without asking git; anybody else's commit in between is not taken for ours."""

from datetime import UTC, datetime

from reconciler.commit.own_writes import MOST_KEPT, OwnWrite, OwnWrites
from reconciler.ids import CommitId

WHEN = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def commit(number: int) -> CommitId:
    return CommitId(f"{number:040x}")


def write(parent: int | None, *paths: str) -> OwnWrite:
    return OwnWrite(parent=None if parent is None else commit(parent), paths=frozenset(paths), when=WHEN)


def test_a_line_of_ours_is_given_newest_first() -> None:
    own = OwnWrites()
    first, second = write(1, "a"), write(2, "b")
    own.note(commit(2), first, {})
    own.note(commit(3), second, {})
    assert own.since(commit(1), commit(3)) == (second, first)
    assert own.since(commit(2), commit(3)) == (second,)
    assert own.since(commit(3), commit(3)) == ()


def test_what_somebody_else_made_in_between_is_not_known() -> None:
    own = OwnWrites()
    own.note(commit(2), write(1, "a"), {})
    own.note(commit(4), write(3, "b"), {})
    assert own.since(commit(1), commit(4)) is None
    assert own.since(commit(9), commit(2)) is None
    own.note(commit(5), write(None, "c"), {})
    assert own.since(commit(1), commit(5)) is None, "a new history descends from nothing"


def test_the_files_of_the_last_one_alone_are_kept() -> None:
    own = OwnWrites()
    own.keep_files(commit(1), {"a": "1"})
    assert own.files_at(commit(1)) == {"a": "1"}
    own.note(commit(2), write(1, "b"), {"a": "1", "b": "2"})
    assert own.files_at(commit(1)) is None
    assert own.files_at(commit(2)) == {"a": "1", "b": "2"}


def test_old_ones_are_let_go() -> None:
    own = OwnWrites()
    for number in range(1, MOST_KEPT + 10):
        own.note(commit(number), write(number - 1, "a"), {})
    assert own.since(commit(8), commit(MOST_KEPT + 9)) is None
    assert len(own.since(commit(9), commit(MOST_KEPT + 9)) or ()) == MOST_KEPT
