"""The next command waits for the nodes that still forget runs of the one before, and for no others; its place comes soon."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reconciler.daemon.tidying import Tidying
from reconciler.daemon.under_way import Places
from reconciler.errors import NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Answer, Program, Session
from reconciler.model.node import Node
from tests.support.waiting import wait_until

ONE, TWO = (Node(id=NodeId(name)) for name in ("one", "two"))


class Idle:
    """A session that nobody asks anything."""

    def __init__(self, node: NodeId) -> None:
        self.node = node
        self.host_key = None

    def run(self, program: Program) -> Answer:
        raise NotImplementedError

    def stream(self, program: Program) -> Iterator[bytes]:
        raise NotImplementedError


@contextmanager
def connect(node: Node) -> Iterator[Session]:
    yield Idle(node.id)


@contextmanager
def nobody(node: Node) -> Iterator[Session]:
    raise NodeUnreachable(node.id, "it is away")
    yield


class Visit:
    """Somebody who wants to speak to a node, in a thread of its own."""

    def __init__(self, tidying: Tidying, node: Node) -> None:
        self.is_there = threading.Event()
        self._thread = threading.Thread(target=self._visit, args=(tidying, node))
        self._thread.start()

    def _visit(self, tidying: Tidying, node: Node) -> None:
        with tidying.behind(connect)(node):
            self.is_there.set()

    def end(self) -> None:
        self._thread.join(60)
        assert self.is_there.is_set()


def test_a_node_is_waited_for_until_it_has_forgotten_and_no_other_one() -> None:
    tidying = Tidying()
    with tidying.of([ONE.id], connect) as forgetting:
        with forgetting(ONE):
            visit = Visit(tidying, ONE)
            Visit(tidying, TWO).end()
            assert not visit.is_there.is_set()
        visit.end()


@pytest.mark.parametrize("met", [True, False], ids=["out of reach", "never asked"])
def test_a_node_that_could_not_be_told_keeps_nobody_waiting(met: bool) -> None:  # noqa: FBT001  a case
    tidying = Tidying()
    with tidying.of([ONE.id, TWO.id], nobody) as forgetting:
        visit = Visit(tidying, ONE)
        if met:
            with pytest.raises(NodeUnreachable), forgetting(ONE):
                pass
            visit.end()
    visit.end()


def test_a_node_that_two_commands_leave_is_free_once_both_are_cleaned_up() -> None:
    tidying = Tidying()
    with tidying.of([ONE.id], connect) as first, tidying.of([ONE.id], connect) as second:
        visit = Visit(tidying, ONE)
        with first(ONE):
            pass
        assert not visit.is_there.is_set()
        with second(ONE):
            pass
        visit.end()


def test_a_node_that_takes_too_long_is_not_waited_for_any_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.daemon.tidying.PATIENCE", 0.05)
    tidying = Tidying()
    with tidying.of([ONE.id], connect) as forgetting, forgetting(ONE):
        Visit(tidying, ONE).end()


def test_a_place_is_refused_at_once_where_all_are_under_way() -> None:
    places = Places(1)
    place = places.take()
    assert place is not None
    assert places.take() is None
    place.leave()
    assert places.take() is not None


def test_the_place_of_a_command_that_was_answered_is_waited_for() -> None:
    places = Places(1)
    first = places.take()
    assert first is not None
    first.answered()
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(places.take()))
    thread.start()
    first.leave()
    thread.join(60)
    wait_until(lambda: len(found) == 1, "it got its answer")
    assert found[0] is not None
    assert places.take() is None
