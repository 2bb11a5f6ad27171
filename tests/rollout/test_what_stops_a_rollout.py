"""Errors, nodes out of reach, pauses, a stop, a lease that ended: who is still started, and what is said of the rest."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.drift.recheck import Recheck
from reconciler.errors import HostKeyMismatch, NodeError, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Program, Session
from reconciler.model.outcome import Disposition, Hindrance
from reconciler.model.pause import Pause, Pauses
from reconciler.plan.plan import PlanItem
from reconciler.rollout.flight import Delivery
from tests.rollout.a_world import World, body


def test_max_errors_stops_the_rest_and_says_so(folder: Path) -> None:
    world = World(folder, {"bad": body(folder, "x") + "exit 1\n"}, ("a", "b", "c", "d"), rates={"bad": ("1", "1")})
    outcomes = world.roll_out()
    assert [outcome.disposition for outcome in outcomes.values()] == [Disposition.RAN] * 2 + [Disposition.HELD_BACK] * 2
    assert outcomes["d", "bad"].reason == "2 errors, MaxErrors allows 1"
    assert world.bodies() == {"a": ["x"], "b": ["x"], "c": [], "d": []}


def test_a_stopped_association_does_not_stop_the_next_one(folder: Path) -> None:
    scripts = {"bad": "exit 1\n", "good": body(folder, "good")}
    world = World(folder, scripts, ("a", "b", "c"), rates={"bad": ("1", "0")})
    world.roll_out()
    assert world.bodies() == {node: ["good"] for node in "abc"}


def test_an_unreachable_node_is_no_error_and_stops_nobody(folder: Path) -> None:
    def connecting(node: NodeId) -> None:
        if node == "a":
            raise HostKeyMismatch(node, "the host key changed")
        if node == "b":
            raise NodeUnreachable(node, "connection refused")

    world = World(folder, {"motd": body(folder, "x")}, ("a", "b", "c"), {"motd": ("1", "0")}, connecting)
    outcomes = world.roll_out()
    assert {(o.disposition, o.reason) for o in outcomes.values() if o.node != "c"} == {
        (Disposition.UNREACHABLE, "the host key changed"),
        (Disposition.UNREACHABLE, "connection refused"),
    }
    assert world.bodies()["c"] == ["x"]


def test_a_limit_of_nodes_out_of_reach_holds_the_rest_back(folder: Path) -> None:
    def connecting(node: NodeId) -> None:
        if node in "ab":
            raise HostKeyMismatch(node, "the host key changed")

    world = World(folder, {"motd": body(folder, "x")}, tuple("abcd"), {"motd": ("1", "0")}, connecting)
    outcomes = world.roll_out(most_unreached=1)
    assert [outcomes[node, "motd"].disposition for node in "abcd"] == [Disposition.UNREACHABLE] * 2 + [
        Disposition.HELD_BACK
    ] * 2
    assert outcomes["c", "motd"].reason == "2 nodes are out of reach, --max-unreachable allows 1"
    assert outcomes["c", "motd"].hindrance is Hindrance.ERRORS


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_node_that_a_command_waits_for_is_out_of_reach_until_it_is_back(folder: Path, *, comes_back: bool) -> None:
    tries: list[NodeId] = []
    told = threading.Event()

    def connecting(node: NodeId) -> None:
        if node == "a":
            tries.append(node)
            if len(tries) == 1 or not comes_back:
                raise NodeUnreachable(node, "connection refused")
        elif node == "b":
            told.wait(60)
            raise HostKeyMismatch(node, "the host key changed")

    world = World(folder, {"motd": body(folder, "x")}, tuple("abc"), {"motd": ("2", "0")}, connecting)
    stop = threading.Event()
    outcomes = world.roll_out(
        most_unreached=1,
        stop=stop,
        on_outcome=lambda outcome: stop.set() if outcome.node == "c" else None,
        delivery=Delivery(
            until=datetime.now(UTC) + timedelta(seconds=60),
            cancelled=lambda _node: False,
            on_started=lambda _node: told.set(),
            on_delayed=lambda _node, _why: None if comes_back else told.set(),
        ),
    )
    assert outcomes["b", "motd"].disposition is Disposition.UNREACHABLE
    found = outcomes["c", "motd"]
    if comes_back:
        assert (found.disposition, world.bodies()["c"]) == (Disposition.RAN, ["x"])
    else:
        assert (found.reason, found.hindrance) == (
            "2 nodes are out of reach, --max-unreachable allows 1",
            Hindrance.ERRORS,
        )


def test_a_stop_leaves_runs_going_and_starts_nothing_more(folder: Path) -> None:
    release = folder / "release"
    stop = threading.Event()

    def at_run(_node: NodeId, _program: Program) -> None:
        stop.set()

    script = f"until [ -e {release} ]; do sleep 0.1; done\n{body(folder, 'x')}"
    world = World(folder, {"slow": script}, ("a", "b"), {"slow": ("1", "0")}, at_run=at_run)
    outcomes = world.roll_out(stop=stop)
    assert [outcome.disposition for outcome in outcomes.values()] == [Disposition.RUNNING, Disposition.HELD_BACK]
    release.touch()


def test_every_kind_of_node_trouble_is_one_outcome(folder: Path) -> None:
    kinds = NodeError.__subclasses__()
    names = tuple(kind.__name__ for kind in kinds)

    def connecting(node: NodeId) -> None:
        raise kinds[names.index(node)](node, f"trouble of {node}")

    world = World(folder, {"motd": "true\n"}, names, connecting=connecting)
    outcomes = world.roll_out()
    assert {(o.disposition, o.reason) for o in outcomes.values()} == {
        (Disposition.UNREACHABLE, f"trouble of {name}") for name in names
    }


PRESSED = Pauses(all=(Pause(who="ana", since=datetime(2026, 1, 1, tzinfo=UTC), reason="disk swap"),))


def test_a_pause_right_before_the_start_is_heard(folder: Path) -> None:
    """The button is pressed while the node is asked for the last time."""
    pauses = [Pauses()]

    def recheck(_session: Session, _item: PlanItem) -> Recheck:
        pauses[0] = PRESSED
        return Recheck(still_needed=True, reason="it differs")

    world = World(folder, {"motd": body(folder, "x")}, ("a",))
    outcome = world.roll_out(recheck=recheck, pauses=lambda: pauses[0])["a", "motd"]
    assert (outcome.disposition, outcome.reason) == (Disposition.HELD_BACK, "paused by ana: disk swap")
    assert world.bodies() == {"a": []}


def test_a_pause_in_the_middle_lets_what_runs_end_and_starts_nothing_more(folder: Path) -> None:
    pauses = [Pauses()]

    def at_run(_node: NodeId, program: Program) -> None:
        if b"write_files()" in program.text:
            pauses[0] = PRESSED

    world = World(folder, {"motd": body(folder, "x")}, ("a", "b", "c"), {"motd": ("1", "0")}, at_run=at_run)
    outcomes = world.roll_out(pauses=lambda: pauses[0])
    assert [outcome.disposition for outcome in outcomes.values()] == [
        Disposition.RAN,
        Disposition.HELD_BACK,
        Disposition.HELD_BACK,
    ]
    assert world.bodies() == {"a": ["x"], "b": [], "c": []}


def test_a_clock_that_is_set_back_makes_no_pass_wait_longer(folder: Path) -> None:
    release = folder / "release"
    script = f"until [ -e {release} ]; do sleep 0.1; done\n{body(folder, 'x')}"
    world = World(folder, {"slow": script}, ("a",))
    set_back: list[timedelta] = []

    def clock() -> datetime:
        return datetime.now(UTC) - sum(set_back, timedelta())

    def recheck(_session: Session, _item: PlanItem) -> Recheck:
        set_back.append(timedelta(hours=1))
        return Recheck(still_needed=True, reason="it differs")

    outcome = world.roll_out(patience=timedelta(seconds=1), clock=clock, recheck=recheck)["a", "slow"]
    release.touch()
    assert set_back
    assert outcome.disposition is Disposition.RUNNING
    assert "the pass does not wait longer" in outcome.reason


def test_a_pause_of_one_node_leaves_the_others_alone(folder: Path) -> None:
    world = World(folder, {"motd": body(folder, "x")}, ("a", "b", "c"), {"motd": ("1", "0")})
    paused = Pauses(all=(Pause(who="ana", since=datetime(2026, 1, 1, tzinfo=UTC), node=NodeId("b")),))
    world.roll_out(pauses=lambda: paused)
    assert world.bodies() == {"a": ["x"], "b": [], "c": ["x"]}


def test_a_process_that_slept_past_its_lease_starts_nothing(folder: Path) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    slept = [timedelta()]

    def recheck(_session: Session, _item: PlanItem) -> Recheck:
        slept[0] = timedelta(hours=2)
        return Recheck(still_needed=True, reason="it differs")

    world = World(folder, {"motd": body(folder, "x")}, ("a", "b"), {"motd": ("1", "0")})
    outcomes = world.roll_out(
        recheck=recheck,
        not_after=lambda: ends,
        patience=timedelta(days=1),
        clock=lambda: datetime.now(UTC) + slept[0],
    )
    assert {outcome.disposition for outcome in outcomes.values()} == {Disposition.HELD_BACK}
    assert all("our lease ended at" in outcome.reason for outcome in outcomes.values())
    assert world.bodies() == {"a": [], "b": []}
