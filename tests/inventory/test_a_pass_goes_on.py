"""A pass goes on without nodes that let it wait: what they say counts in the next one, and nobody is asked twice at once."""

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest

from reconciler.errors import NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.inventory import collect as module
from reconciler.inventory.collect import Collected, collect
from reconciler.inventory.latecomers import Latecomers
from reconciler.model.command import Answer, Program
from reconciler.model.known import Known
from reconciler.model.node import Node
from reconciler.model.questions import Questions
from tests.inventory.asking import CannedSession, connect_by
from tests.inventory.test_many_nodes_are_asked import FULL, always, node

SLOW = NodeId("slow")
QUICK = NodeId("quick")
WAITS = "the node did not answer within 0.2 s: the pass went on without it, its answer counts in the next"


class Fleet:
    """A quick node, and one that answers its n-th question when it may."""

    def __init__(self) -> None:
        self.may_answer = [threading.Event() for _ in range(4)]
        self.trouble: Mapping[int, Exception] = {}
        self.asked = 0
        self.latecomers: Latecomers[Collected] = Latecomers()
        self.before: Mapping[NodeId, Collected] = {}
        sessions = {QUICK: CannedSession(node(QUICK), always(FULL)), SLOW: CannedSession(node(SLOW), self._slowly)}
        self.connect = connect_by(sessions)

    def _slowly(self, program: Program) -> Answer:
        number, self.asked = self.asked, self.asked + 1
        assert self.may_answer[number].wait(60)
        if number in self.trouble:
            raise self.trouble[number]
        return always({**FULL, "kernel": f"release {number}"})(program)

    def one_pass(self, questions: Questions | None = None) -> Mapping[NodeId, Collected]:
        names = (SLOW, QUICK)
        found = collect(
            map(node, names),
            {} if questions is None else dict.fromkeys(names, questions),
            self.connect,
            before=self.before,
            latecomers=self.latecomers,
        )
        assert list(found) == [SLOW, QUICK]
        assert found[QUICK].facts.unreachable is None
        self.before = found
        return found

    def answers(self, number: int) -> None:
        """Let the slow node answer, and wait until its answer is here."""
        self.may_answer[number].set()
        ends = time.monotonic() + 60
        while self.latecomers.still_asked():
            assert time.monotonic() < ends
            time.sleep(0.01)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    had_its_time = module._Lateness._had_its_time
    monkeypatch.setattr(module, "patience", lambda _: timedelta(seconds=0.2))
    monkeypatch.setattr(
        module._Lateness,
        "_had_its_time",
        lambda late, name, now: name == SLOW and had_its_time(late, name, now),
    )
    monkeypatch.setattr(module, "SECOND_CHANCE", timedelta(0))
    made = Fleet()
    yield made
    for event in made.may_answer:
        event.set()
    made.latecomers.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("collect")]


def release(found: Mapping[NodeId, Collected]) -> object:
    return found[SLOW].facts.get("kernel", "release")


def test_who_lets_it_wait_is_unknown_with_the_reason_and_counts_in_the_next(fleet: Fleet) -> None:
    assert fleet.one_pass()[SLOW].facts.unreachable == WAITS
    fleet.answers(0)
    assert release(fleet.one_pass()) == Known("0")  # and it is asked again, and lets us wait again
    fleet.answers(1)
    assert release(fleet.one_pass()) == Known("1")
    assert fleet.asked == 3


def test_who_was_late_and_answers_in_time_counts_at_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.one_pass()
    fleet.answers(0)
    fleet.may_answer[1].set()
    monkeypatch.setattr(module, "SECOND_CHANCE", timedelta(seconds=60))
    assert release(fleet.one_pass()) == Known("1")
    assert not fleet.latecomers.still_asked()


def test_who_has_not_answered_yet_is_not_asked_once_more(fleet: Fleet) -> None:
    fleet.one_pass()
    assert fleet.one_pass()[SLOW].facts.unreachable == WAITS
    assert fleet.asked == 1


def test_an_answer_to_other_questions_counts_for_nothing_but_what_is_held(fleet: Fleet) -> None:
    fleet.one_pass()
    fleet.answers(0)
    assert fleet.one_pass(Questions(ports=(443,)))[SLOW].facts.unreachable == WAITS


def test_an_answer_from_before_something_ran_there_does_not_count(fleet: Fleet) -> None:
    fleet.one_pass()
    fleet.latecomers.touched([SLOW])
    fleet.answers(0)
    assert fleet.one_pass()[SLOW].facts.unreachable == WAITS
    fleet.answers(1)
    assert release(fleet.one_pass()) == Known("1")


@pytest.mark.parametrize("error", [NodeTimeout(SLOW, "not done after 120 s"), NodeUnreachable(SLOW, "gone")], ids=str)
def test_its_own_trouble_is_told_as_soon_as_it_is_known_and_stays_told(fleet: Fleet, error: Exception) -> None:
    fleet.trouble = {0: error, 1: error}
    fleet.one_pass()
    fleet.answers(0)
    for number in (1, 2):
        assert fleet.one_pass()[SLOW].facts.unreachable == str(
            error
        )  # not yet heard of this time: the last words stand
        if number == 1:
            fleet.answers(1)


def test_a_bug_in_asking_is_raised_and_not_taken_for_silence(fleet: Fleet) -> None:
    fleet.trouble = {0: LookupError("a bug")}
    fleet.one_pass()
    fleet.may_answer[0].set()

    def listen() -> None:
        while True:
            fleet.latecomers.still_asked()

    with pytest.raises(LookupError, match="a bug"):
        listen()


def test_many_silent_nodes_hold_no_thread_that_another_node_needs() -> None:
    """All that may be at work at a time are silent: others start, and the quick one behind them is heard."""
    heard = threading.Event()

    def silently(program: Program) -> Answer:
        assert heard.wait(60)
        return always(FULL)(program)

    def listening(one: Node, _: Collected) -> None:
        if one.id == QUICK:
            heard.set()

    names = [f"silent-{number}" for number in range(4)]
    sessions = {name: CannedSession(node(name), silently) for name in names}
    sessions[QUICK] = CannedSession(node(QUICK), always(FULL))
    found = collect(map(node, [*names, QUICK]), {}, connect_by(sessions), workers=4, on_node=listening)
    assert all(one.facts.unreachable is None for one in found.values())
