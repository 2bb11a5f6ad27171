import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.drift.definitions import Definition
from reconciler.errors import NodeUnreachable
from reconciler.ids import AssociationName, Digest, NodeId
from reconciler.model.command import Program, Session
from reconciler.model.history import RunStatus
from reconciler.model.outcome import Disposition, Outcome
from reconciler.plan.plan import PlanItem
from reconciler.rollout import deciding
from reconciler.rollout.events import SecondLook
from reconciler.rollout.flight import Flight, Tools
from reconciler.rollout.node_programs import cancel_program
from reconciler.rollout.run import roll_out
from tests.rollout.a_node import HomeSession
from tests.rollout.a_world import World, body


def test_every_item_runs_once_and_is_told(folder: Path) -> None:
    world = World(folder, {"motd": body(folder, "motd")}, ("a", "b", "c"))
    heard: list[Outcome] = []
    outcomes = world.roll_out(on_outcome=heard.append)
    assert {key: outcome.disposition for key, outcome in outcomes.items()} == {
        (node, "motd"): Disposition.RAN for node in "abc"
    }
    assert all(o.record is not None and o.record.status is RunStatus.SUCCESS for o in outcomes.values())
    assert sorted(outcome.node for outcome in heard) == ["a", "b", "c"]
    assert world.bodies() == {node: ["motd"] for node in "abc"}


def test_a_node_runs_its_items_one_at_a_time_in_order(folder: Path) -> None:
    scripts = {name: body(folder, name) + "sleep 0.2\n" + body(folder, name) for name in ("z", "a", "m")}
    world = World(folder, scripts, ("n1", "n2"))
    world.roll_out()
    assert world.bodies() == {node: ["z", "z", "a", "a", "m", "m"] for node in ("n1", "n2")}


def test_a_start_refused_as_done_runs_nothing_and_is_told(folder: Path) -> None:
    """Somebody else cancelled it for good before it came."""
    world = World(folder, {"motd": body(folder, "x")}, ("a", "b"))
    run = world.plan().items[0].run
    cancel = cancel_program(run, become=False, held={}, for_good=True)
    assert HomeSession(world.homes[NodeId("a")]).run(cancel).stdout == b"absent\nend\n"
    outcomes = world.roll_out()
    assert outcomes["a", "motd"].disposition is Disposition.HELD_BACK
    assert "does not run again" in outcomes["a", "motd"].reason
    assert world.bodies() == {"a": [], "b": ["x"]}


@dataclass(frozen=True)
class Told:
    still_needed: bool | None
    reason: str


@pytest.mark.parametrize(
    ("answer", "disposition"),
    [(Told(False, "it holds again"), Disposition.NOT_NEEDED), (Told(None, "held by ann"), Disposition.HELD_BACK)],
)
def test_nothing_runs_that_no_longer_holds_or_is_not_known_to(
    folder: Path, answer: Told, disposition: Disposition
) -> None:
    world = World(folder, {"motd": body(folder, "x")}, ("a",))
    outcome = world.roll_out(recheck=lambda _session, _item: answer)["a", "motd"]
    assert (outcome.disposition, outcome.reason) == (disposition, answer.reason)
    assert world.bodies() == {"a": []}


def test_a_new_document_goes_to_one_node_until_it_is_confirmed(folder: Path) -> None:
    world = World(folder, {"new": body(folder, "x")}, ("a", "b", "c"))
    looked: list[dict[str, list[str]]] = []

    def confirm(_item: PlanItem, _outcome: Outcome) -> SecondLook:
        looked.append(world.bodies())
        return SecondLook(confirmed=True, reason="it holds")

    world.roll_out(canary=frozenset({"new"}), confirm=confirm)
    assert looked == [{"a": ["x"], "b": [], "c": []}]
    assert world.bodies() == {node: ["x"] for node in "abc"}


def test_a_new_document_that_is_not_confirmed_reaches_nobody_else(folder: Path) -> None:
    world = World(folder, {"new": body(folder, "x")}, ("a", "b"))
    outcomes = world.roll_out(
        canary=frozenset({"new"}), confirm=lambda _item, _outcome: SecondLook(confirmed=False, reason="motd differs")
    )
    assert outcomes["b", "new"].reason == "the first node, a, does not show what was wanted: motd differs"
    assert world.bodies() == {"a": ["x"], "b": []}


def test_a_connection_lost_at_the_start_is_taken_up_again(folder: Path) -> None:
    lost: set[str] = set()

    def at_run(node: NodeId, program: Program) -> None:
        if b"write_files()" in program.text and node not in lost:
            lost.add(node)
            HomeSession(world.homes[node]).run(program)
            raise NodeUnreachable(node, "connection reset")

    world = World(folder, {"motd": body(folder, "x")}, ("a", "b"), at_run=at_run)
    asked: list[str] = []

    def recheck(_session: Session, item: PlanItem) -> Told:
        asked.append(item.node)
        return Told(True, "")

    outcomes = world.roll_out(recheck=recheck)
    assert {outcome.disposition for outcome in outcomes.values()} == {Disposition.RAN}
    assert (world.bodies(), sorted(asked)) == ({"a": ["x"], "b": ["x"]}, ["a", "b"])


def test_a_start_that_never_arrived_is_sent_again_after_asking_again(folder: Path) -> None:
    lost: set[str] = set()

    def at_run(node: NodeId, program: Program) -> None:
        if b"write_files()" in program.text and node not in lost:
            lost.add(node)
            raise NodeUnreachable(node, "connection reset")

    world = World(folder, {"motd": body(folder, "x")}, ("a",), at_run=at_run)
    assert world.roll_out()["a", "motd"].disposition is Disposition.RAN
    assert world.bodies() == {"a": ["x"]}


def end_at_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the time of a roll-out be over once it has seen a run in a step, however long it took to get there."""
    advance, later = deciding.advance, [0.0]

    def watched(flight: Flight, tools: Tools, _wait: int) -> Outcome | None:
        outcome = advance(flight, tools, 0)
        if flight.sight is not None and flight.sight.at_step:
            later[0] = timedelta(days=1).total_seconds()
        return outcome

    monkeypatch.setattr(deciding, "advance", watched)
    monkeypatch.setattr(deciding, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + later[0]))


def test_a_long_run_is_left_alone_at_the_end_of_the_pass(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = folder / "release"
    world = World(
        folder,
        {"slow": f"until [ -e {release} ]; do sleep 0.1; done\n{body(folder, 'x')}"},
        ("a", "b"),
        {"slow": ("1", "0")},
    )
    with monkeypatch.context() as patched:
        end_at_the_first_step(patched)
        outcomes = world.roll_out(patience=timedelta(hours=1))
    running, held = outcomes["a", "slow"], outcomes["b", "slow"]
    assert running.disposition is Disposition.RUNNING
    assert running.reason.startswith("running since ")
    assert "step1 (the pass does not wait longer)" in running.reason
    assert running.record is not None
    assert running.record.status is RunStatus.IN_PROGRESS
    assert (held.disposition, held.reason) == (Disposition.HELD_BACK, "the pass does not wait longer")
    release.touch()
    # It goes on alone, and keeps its slot: nobody else starts while it does.
    again = world.roll_out(going=[running.record])
    assert again["b", "slow"].disposition is Disposition.HELD_BACK
    assert world.bodies()["b"] == []


def test_many_long_runs_need_no_thread_each(folder: Path) -> None:
    names = tuple(f"n{number}" for number in range(6))
    world = World(folder, {"slow": "sleep 1\n" + body(folder, "x")}, names)
    outcomes = world.roll_out(workers=2)
    assert {outcome.disposition for outcome in outcomes.values()} == {Disposition.RAN}
    assert world.bodies() == {name: ["x"] for name in names}


def test_a_bug_in_a_worker_ends_the_pass_and_does_not_hang(folder: Path) -> None:
    world = World(folder, {"motd": "true\n"}, ("a",))

    def recheck(_session: Session, _item: PlanItem) -> Told:
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError, match="a bug"):
        world.roll_out(recheck=recheck)


def test_a_document_that_changed_since_the_plan_is_not_run(folder: Path) -> None:
    world = World(folder, {"motd": body(folder, "x")}, ("a",))
    other = {AssociationName("motd"): Definition(digest=Digest("f" * 64), rendered=world.document("true\n"))}
    outcome = roll_out(
        world.plan(),
        desired=world.desired(),
        definitions=other,
        connect=world.connect,
        epoch=1,
        clock=lambda: datetime.now(UTC),
        patience=timedelta(seconds=30),
        stop=threading.Event(),
    )[0]
    assert (outcome.disposition, outcome.reason) == (
        Disposition.HELD_BACK,
        "its document is no longer what was planned",
    )
