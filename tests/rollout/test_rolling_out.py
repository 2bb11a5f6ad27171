import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.documents.render import Rendered
from reconciler.drift.definitions import Definition
from reconciler.drift.finding import Cause
from reconciler.drift.recheck import Recheck
from reconciler.errors import HostKeyMismatch, NodeError, NodeUnreachable
from reconciler.ids import AssociationName, Digest, DocumentName, NodeId
from reconciler.model.association import Association
from reconciler.model.command import Answer, Program, Session
from reconciler.model.desired import DesiredState
from reconciler.model.fleet import Fleet
from reconciler.model.history import RunStatus
from reconciler.model.node import Node
from reconciler.model.outcome import Disposition, Hindrance, Outcome
from reconciler.model.pause import Pause, Pauses
from reconciler.plan.plan import Plan, PlanItem
from reconciler.plan.run_id import run_id
from reconciler.rollout import deciding
from reconciler.rollout.events import SecondLook
from reconciler.rollout.flight import Delivery, Flight, Tools
from reconciler.rollout.node_programs import cancel_program
from reconciler.rollout.progress import Ramp
from reconciler.rollout.run import roll_out
from tests.rollout.a_node import FLEET, HomeNode, HomeSession, a_step, rendered
from tests.rollout.conftest import a_folder

DEFINITION = Digest("e" * 64)


@dataclass
class World:
    """A fleet of home nodes, and what it is told to do."""

    folder: Path
    scripts: dict[str, str]
    """Association -> script."""
    nodes: tuple[str, ...]
    rates: dict[str, tuple[str, str]] = field(default_factory=dict)
    connecting: Callable[[NodeId], None] = lambda _node: None
    at_run: Callable[[NodeId, Program], None] = lambda _node, _program: None
    started: list[tuple[str, str]] = field(default_factory=list)
    homes: dict[NodeId, HomeNode] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.homes = {NodeId(node): HomeNode(self.folder / node) for node in self.nodes}

    def bodies(self) -> dict[str, list[str]]:
        return {str(node): home.bodies() for node, home in self.homes.items()}

    @contextmanager
    def connect(self, node: Node) -> Iterator[Session]:
        self.connecting(node.id)
        yield NamedSession(self.homes[node.id], node.id, self.at_run)

    def plan(self, *, canary: frozenset[str] = frozenset()) -> Plan:
        items = tuple(
            an_item(node, name, order, canary=name in canary and node == self.nodes[0])
            for order, name in enumerate(self.scripts)
            for node in self.nodes
        )
        return Plan(digest=Digest("0" * 64), commit=None, facts=Digest("1" * 64), at=datetime.now(UTC), items=items)

    def roll_out(self, *, canary: frozenset[str] = frozenset(), **keywords: object) -> dict[tuple[str, str], Outcome]:
        defaults: dict[str, object] = {
            "patience": timedelta(seconds=60),
            "stop": threading.Event(),
            "clock": lambda: datetime.now(UTC),
            "ramp": Ramp.NONE,
        }
        outcomes = roll_out(
            self.plan(canary=canary),
            desired=self.desired(),
            definitions={
                AssociationName(name): Definition(digest=DEFINITION, rendered=self.document(script))
                for name, script in self.scripts.items()
            },
            connect=self.connect,
            epoch=1,
            **{**defaults, **keywords},  # type: ignore[arg-type]  # tests pass what the case is about
        )
        return {(outcome.node, outcome.association): outcome for outcome in outcomes}

    def document(self, script: str) -> Rendered:
        return rendered(a_step(script))

    def desired(self) -> DesiredState:
        associations = {}
        for name in self.scripts:
            concurrency, errors = self.rates.get(name, ("50", "100%"))
            associations[AssociationName(name)] = Association(
                name=AssociationName(name),
                document=DocumentName("Doc"),
                max_concurrency=concurrency,
                max_errors=errors,
            )
        return DesiredState(
            commit=None,
            fleet=Fleet(id=FLEET),
            nodes={NodeId(node): Node(id=NodeId(node)) for node in self.nodes},
            associations=associations,
        )


@dataclass
class NamedSession(HomeSession):
    """A home session under another name."""

    def __init__(self, at: HomeNode, name: NodeId, at_run: Callable[[NodeId, Program], None]) -> None:
        super().__init__(at)
        self.name = name
        self.at_run = at_run

    @property
    def node(self) -> NodeId:
        return self.name

    def run(self, program: Program) -> Answer:
        self.at_run(self.name, program)
        return super().run(program)


def an_item(node: str, name: str, order: int, *, canary: bool) -> PlanItem:
    return PlanItem(
        node=NodeId(node),
        association=AssociationName(name),
        document="Doc:1",
        definition=DEFINITION,
        rendered=Digest("d" * 64),
        run=run_id(FLEET, NodeId(node), name, 1),
        executions=1,
        cause=Cause.DRIFTED,
        reason="file /etc/motd differs",
        canary=canary,
        order=order,
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    with a_folder() as path:
        yield path


def body(folder: Path, text: str) -> str:
    """Leave a line in the node's own log: its home is known by the id of the node."""
    return f"echo {text} >>{folder}/$AWS_SSM_INSTANCE_ID/log\n"


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
