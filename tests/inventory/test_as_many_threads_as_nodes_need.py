"""Few threads ask nodes that answer at once; nodes that let us wait hold nobody up."""

import threading
import time
from contextlib import closing

import pytest

from reconciler.inventory.crew import FEW, Crew

PATIENCE = 60.0


def test_every_piece_comes_back_with_its_own_result() -> None:
    found = dict(Crew(range(200), lambda number: number * 2, most=32).results())
    assert found == {number: number * 2 for number in range(200)}


def test_nothing_to_do_starts_nobody() -> None:
    assert list(Crew((), lambda piece: piece, most=32).results()) == []


def test_pieces_that_are_done_at_once_need_few_threads() -> None:
    seen: set[int] = set()
    list(Crew(range(500), lambda _: seen.add(threading.get_ident()), most=32).results())
    assert len(seen) <= FEW


def test_silent_ones_hold_nobody_up() -> None:
    others_done = threading.Event()

    def do(number: int) -> bool:
        return others_done.wait(PATIENCE) if number < 3 * FEW else True

    found: dict[int, bool] = {}
    for number, result in Crew(range(100), do, most=32).results():
        found[number] = result
        if len(found) == 100 - 3 * FEW:
            others_done.set()
    assert all(found.values())
    assert len(found) == 100


def test_no_more_at_a_time_than_allowed() -> None:
    at_once, most_seen, lock = 0, 0, threading.Lock()

    def do(_: int) -> None:
        nonlocal at_once, most_seen
        with lock:
            at_once += 1
            most_seen = max(most_seen, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1

    list(Crew(range(60), do, most=8).results())
    assert FEW <= most_seen <= 8


def test_an_error_is_raised_and_no_thread_is_left() -> None:
    def do(number: int) -> int:
        if number == 3:
            raise LookupError("the third")
        return number

    before = threading.active_count()
    with pytest.raises(LookupError, match="the third"):
        list(Crew(range(1000), do, most=4).results())
    assert threading.active_count() == before


def test_who_leaves_early_leaves_what_nobody_began() -> None:
    begun: list[int] = []

    def do(number: int) -> None:
        begun.append(number)
        time.sleep(0.01)

    with closing(Crew(range(1000), do, most=2).results()) as results:
        next(results)
    assert len(begun) < 1000
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("collect")]
