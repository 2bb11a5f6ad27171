"""MaxConcurrency and MaxErrors, against SSM's published figures and against thousands of made-up roll-outs."""

import random
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.ids import NodeId
from reconciler.plan.rates import error_threshold, in_flight_limit
from reconciler.rollout.progress import Canary, Ending, Ramp, Rollout


@pytest.mark.parametrize(
    ("targets", "expression", "simultaneous"),
    [
        (10, "50", 50),
        (200, "50", 50),
        (50, "10%", 5),
        (7, "10%", 1),
        (15, "10%", 1),
        (3, "100%", 3),
        (1, "0%", 1),
        (12, "25%", 3),
    ],
)
def test_how_many_nodes_run_at_once(targets: int, expression: str, simultaneous: int) -> None:
    assert in_flight_limit(expression, targets) == simultaneous


@pytest.mark.parametrize(
    ("targets", "expression", "tolerated"),
    [(5, "0", 0), (99, "3", 3), (50, "10%", 5), (5, "10%", 0), (20, "100%", 20), (4, "10", 10), (12, "10%", 1)],
)
def test_how_many_errors_are_tolerated(targets: int, expression: str, tolerated: int) -> None:
    assert error_threshold(expression, targets) == tolerated


@pytest.mark.parametrize("expression", ["", "-1", "10 %", "1.5", "ten", "%", "\u0661\u0660"])
def test_what_is_no_rate_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="write 10 or 10%"):
        in_flight_limit(expression, 10)


def nodes(count: int) -> tuple[NodeId, ...]:
    return tuple(NodeId(f"n{number:03}") for number in range(1, count + 1))


@dataclass
class Play:
    """A roll-out played by hand: every node is free, and acknowledges at once."""

    rollout: Rollout
    started: list[NodeId] = field(default_factory=list)

    def go(self) -> tuple[NodeId, ...]:
        self.rollout, chosen = self.rollout.release(frozenset(self.rollout.waiting))
        self.started.extend(chosen)
        for node in chosen:
            self.rollout = self.rollout.acknowledged(node)
        return chosen

    def go_on(self) -> None:
        while self.go():
            pass

    def end(self, number: int, ending: Ending) -> None:
        self.rollout = self.rollout.ended(NodeId(f"n{number:03}"), ending)
        self.go_on()


def test_ssms_example_of_ten_nodes_stops_at_the_second_error() -> None:
    play = Play(Rollout(limit=3, threshold=1, ramp=Ramp.NONE, waiting=nodes(10)))
    play.go_on()
    assert play.started == list(nodes(3))
    play.end(1, Ending.SUCCESS)
    play.end(2, Ending.ERROR)
    assert play.started == list(nodes(5))
    play.end(3, Ending.ERROR)
    assert play.rollout.stopped == "2 errors, MaxErrors allows 1"
    play.end(4, Ending.SUCCESS)
    play.end(5, Ending.ERROR)
    assert play.started == list(nodes(5))
    assert (play.rollout.errors, len(play.rollout.waiting)) == (3, 5)


def test_fifty_nodes_with_ten_percent_stop_at_the_sixth_error() -> None:
    play = Play(Rollout(limit=in_flight_limit("5", 50), threshold=error_threshold("10%", 50), waiting=nodes(50)))
    play.go_on()
    for number in range(1, 7):
        assert play.rollout.stopped is None
        play.end(number, Ending.ERROR)
    assert play.rollout.stopped is not None
    assert len(play.started) == 10


def test_the_ramp_doubles_with_each_acknowledged_round() -> None:
    rollout = Rollout(limit=50, threshold=0, waiting=nodes(50))
    sizes = []
    while True:
        rollout, chosen = rollout.release(frozenset(rollout.waiting))
        if not chosen:
            break
        sizes.append(len(chosen))
        for node in chosen[:-1]:
            rollout = rollout.acknowledged(node)
            assert rollout.release(frozenset(rollout.waiting))[1] == ()
        rollout = rollout.acknowledged(chosen[-1])
    assert sizes == [1, 2, 4, 8, 16, 19]


def test_the_first_node_of_a_new_document_goes_alone() -> None:
    play = Play(Rollout(limit=5, threshold=9, ramp=Ramp.NONE, waiting=nodes(6), canary=Canary.WANTED))
    play.go_on()
    assert play.started == list(nodes(1))
    play.end(1, Ending.SUCCESS)
    assert play.started == list(nodes(1))
    play.rollout = play.rollout.confirmed()
    play.go_on()
    assert play.started == list(nodes(6))


def test_a_first_node_out_of_reach_hands_over_to_the_next() -> None:
    play = Play(Rollout(limit=5, threshold=9, waiting=nodes(4), canary=Canary.WANTED))
    play.go_on()
    play.end(1, Ending.NEITHER)
    assert play.started == list(nodes(2))


@pytest.mark.parametrize("tell", [lambda r: r.ended(NodeId("n001"), Ending.ERROR), lambda r: r.refused("no")])
def test_a_first_node_that_fails_or_is_not_confirmed_stops_the_rest(tell: object) -> None:
    play = Play(Rollout(limit=5, threshold=9, waiting=nodes(4), canary=Canary.WANTED))
    play.go_on()
    assert callable(tell)
    play.rollout = tell(play.rollout)
    play.go_on()
    assert play.started == list(nodes(1))
    assert play.rollout.stopped


@settings(max_examples=2000)
@given(
    count=st.integers(0, 30),
    limit=st.integers(1, 12),
    threshold=st.integers(0, 12),
    ramp=st.sampled_from(Ramp),
    canary=st.sampled_from([Canary.NONE, Canary.WANTED]),
    going=st.integers(0, 3),
    seed=st.integers(0, 2**32),
)
def test_never_too_many_at_once_and_nothing_after_the_stop(
    count: int, limit: int, threshold: int, ramp: Ramp, canary: Canary, going: int, seed: int
) -> None:
    chance = random.Random(seed)
    everyone = nodes(count)
    leftovers = frozenset(NodeId(f"old{number}") for number in range(going))
    rollout = Rollout(limit=limit, threshold=threshold, ramp=ramp, waiting=everyone, in_flight=leftovers, canary=canary)
    started: list[NodeId] = []
    errors = 0
    for _ in range(80):
        free = frozenset(node for node in everyone if chance.random() < 0.7)
        before = rollout
        rollout, chosen = rollout.release(free)
        assert set(chosen) <= free & set(before.waiting)
        assert chosen == () or before.stopped is None
        assert len(rollout.in_flight) <= max(limit, len(leftovers))
        if before.canary is not Canary.NONE:
            assert len(chosen) <= 1
        if before.canary in (Canary.OUT, Canary.LOOKED_AT):
            assert chosen == ()
        assert [node for node in before.waiting if node in chosen] == list(chosen)
        started.extend(chosen)
        own = sorted(rollout.in_flight - leftovers)
        if rollout.canary is Canary.LOOKED_AT:
            rollout = rollout.confirmed()
        elif own and chance.random() < 0.5:
            ending = chance.choice(list(Ending))
            errors += ending is Ending.ERROR
            rollout = rollout.ended(chance.choice(own), ending)
        elif own:
            rollout = rollout.acknowledged(chance.choice(own))
        elif not rollout.waiting or rollout.stopped:
            break
        assert rollout.errors == errors
        assert errors <= threshold or rollout.stopped is not None
    assert len(started) == len(set(started))


@settings(max_examples=500)
@given(
    count=st.integers(1, 40),
    limit=st.integers(1, 12),
    ramp=st.sampled_from(Ramp),
    canary=st.sampled_from([Canary.NONE, Canary.WANTED]),
)
def test_without_errors_every_node_has_its_turn(count: int, limit: int, ramp: Ramp, canary: Canary) -> None:
    rollout = Rollout(limit=limit, threshold=0, ramp=ramp, waiting=nodes(count), canary=canary)
    started: list[NodeId] = []
    while rollout.waiting or rollout.in_flight:
        rollout, chosen = rollout.release(frozenset(rollout.waiting))
        started.extend(chosen)
        first = min(rollout.in_flight)
        rollout = rollout.ended(first, Ending.SUCCESS)
        if rollout.canary is Canary.LOOKED_AT:
            rollout = rollout.confirmed()
    assert started == list(nodes(count))


def test_nodes_out_of_reach_stop_it_only_where_that_was_asked_for() -> None:
    ssm, guarded = (Rollout(limit=5, threshold=0, waiting=nodes(9), most_unreached=most) for most in (None, 1))
    for node in nodes(9):
        ssm = ssm.out_of_reach(node)
    assert ssm.stopped is None
    first, second, third = nodes(3)
    once = guarded.out_of_reach(first).out_of_reach(first)
    assert once.stopped is None
    assert once.in_reach(first).out_of_reach(second).stopped is None
    stopped = once.out_of_reach(third)
    assert stopped.stopped == "2 nodes are out of reach, --max-unreachable allows 1"
    assert stopped.in_reach(third).stopped == stopped.stopped
    assert stopped.release(frozenset(nodes(9)))[1] == ()
    assert (
        replace(guarded, most_unreached=0).out_of_reach(first).stopped
        == "1 node is out of reach, --max-unreachable allows 0"
    )


def ended(rollout: Rollout, *endings: Ending) -> Rollout:
    for ending in endings:
        rollout, (node,) = rollout.release(frozenset(rollout.waiting[:1]))
        rollout = rollout.ended(node, ending)
    return rollout


@pytest.mark.parametrize(
    ("before", "endings", "is_stopped"),
    [
        pytest.param({}, "EEE", True, id="three failures and nothing else"),
        pytest.param({}, "EE", False, id="one fewer"),
        pytest.param({"failed": 2}, "E", True, id="two in earlier passes"),
        pytest.param({}, "SSSEEE", False, id="it went well on as many"),
        pytest.param({}, "SSEEE", True, id="it went well on fewer"),
        pytest.param({"well": 10}, "EEEEE", False, id="it went well on many before"),
        pytest.param({"failed": 9}, "S", False, id="a success stops nothing"),
        pytest.param({"stop_after": 0}, "EEEEEE", False, id="turned off"),
    ],
)
def test_a_definition_that_mostly_fails_is_stopped(before: dict[str, int], endings: str, *, is_stopped: bool) -> None:
    limits = {"limit": 1, "threshold": 100, "stop_after": 3, **before}
    rollout = ended(
        Rollout(waiting=nodes(20), ramp=Ramp.NONE, **limits),  # type: ignore[arg-type]  # all of them are numbers
        *(Ending.ERROR if letter == "E" else Ending.SUCCESS for letter in endings),
    )
    assert (rollout.stopped is not None and "StopAfterFailures is 3" in rollout.stopped) is is_stopped
