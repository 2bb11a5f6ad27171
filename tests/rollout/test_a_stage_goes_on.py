"""A node that answered its inventory and lets us wait afterwards: others are told, settled and acknowledged meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from reconciler.ids import NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.command import Answer, Program
from reconciler.model.desired import DesiredState
from reconciler.model.fleet import Fleet
from reconciler.model.history import History
from reconciler.model.known import Known
from reconciler.model.node import Node
from reconciler.model.outcome import RunRecord
from reconciler.plan.run_id import run_id
from reconciler.rollout import stragglers as module
from reconciler.rollout.fencing import announce
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.settle import Unsettled, acknowledge, settle
from reconciler.rollout.sight import Sight
from reconciler.rollout.stragglers import Stragglers
from tests.rollout.a_node import FLEET, MOTD, STARTED, HomeNode, HomeSession, a_step, an_order
from tests.rollout.conftest import a_folder
from tests.rollout.test_settling import Seen, seen
from tests.support.waiting import wait_until

SLOW, QUICK = NodeId("slow"), NodeId("quick")
DESIRED = DesiredState(commit=None, nodes={name: Node(id=name) for name in (SLOW, QUICK)}, fleet=Fleet(id=FLEET))
WORDS = "the node did not answer within 0.2 s, and the pass went on without it"


@dataclass
class Pair:
    """Two nodes, each in a folder of its own; one answers when it may."""

    homes: dict[NodeId, HomeNode]
    may_answer: threading.Event = field(default_factory=threading.Event)
    asked: list[NodeId] = field(default_factory=list)
    stragglers: Stragglers = field(default_factory=lambda: Stragglers(timedelta(seconds=0.2)))

    @contextmanager
    def connect(self, node: Node) -> Iterator["Waiting"]:
        yield Waiting(self.homes[node.id], pair=self, name=node.id)

    def seen(self) -> dict[NodeId, Seen]:
        return {name: Seen(replace(seen(home).facts, node=name)) for name, home in self.homes.items()}

    def settled(self, problems: list[Unsettled]) -> list[tuple[NodeId, str]]:
        found = settle(
            self.seen(),
            DESIRED,
            connect=self.connect,
            clock=lambda: STARTED + timedelta(hours=1),
            on_unsettled=problems.append,
            stragglers=self.stragglers,
        )
        return [(record.node, record.status.value) for record in found]

    def answers(self) -> None:
        """Let the slow one answer, and wait until what it was asked has come to its end."""
        self.may_answer.set()
        wait_until(lambda: not self.stragglers.busy(), "the slow node has answered")


@dataclass
class Waiting(HomeSession):
    """Asks the slow node when it may."""

    pair: Pair = field(kw_only=True)
    name: NodeId = field(kw_only=True)

    def run(self, program: Program) -> Answer:
        self.pair.asked.append(self.name)
        if self.name == SLOW:
            assert self.pair.may_answer.wait(60)
        return super().run(program)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Two nodes with a leftover run each; however busy this machine is, nobody but the slow one is ever too slow."""
    had_its_time = module._Turns._had_its_time
    monkeypatch.setattr(
        module._Turns, "_had_its_time", lambda turns, name, now: name == SLOW and had_its_time(turns, name, now)
    )
    monkeypatch.setattr(module, "SECOND_CHANCE", timedelta(seconds=60))
    with a_folder() as folder:
        made = Pair({name: HomeNode(folder / name) for name in (SLOW, QUICK)})
        for name, home in made.homes.items():
            order = replace(an_order(a_step("true\n")), node=name, run=run_id(FLEET, name, MOTD, 1))
            runs = NodeRuns(OutputKeeper(None))
            found = runs.start(HomeSession(home), order, become=False, wait=60, on_claimed=lambda: None)
            assert isinstance(found, Sight)
        yield made
        made.may_answer.set()
        made.stragglers.close()


def test_leftovers_of_others_are_settled_while_one_lets_us_wait(pair: Pair) -> None:
    problems: list[Unsettled] = []
    assert pair.settled(problems) == [(QUICK, "Success")]
    assert pair.settled(problems) == [(QUICK, "Success")]
    assert pair.asked.count(SLOW) == 1, "nobody asks it twice at once"
    assert problems == [Unsettled(node=SLOW, reason=WORDS)] * 2
    pair.answers()
    assert pair.settled(problems) == [(QUICK, "Success"), (SLOW, "Success")]
    assert len(problems) == 2


def test_nothing_is_done_on_a_node_that_was_given_up(pair: Pair) -> None:
    """A run that was claimed and never began is removed by settling; a pass that went on may be starting another."""
    folder = pair.homes[SLOW].root / "runs" / run_id(FLEET, SLOW, MOTD, 1)
    for name in ("begun", "state"):
        (folder / name).unlink()
    problems: list[Unsettled] = []
    assert pair.settled(problems) == [(QUICK, "Success")]
    pair.answers()
    assert pair.asked.count(SLOW) == 1, "it was looked at, and that was all"
    assert folder.exists()
    assert pair.settled(problems) == [(QUICK, "Success")]
    assert not folder.exists()
    assert problems == [Unsettled(node=SLOW, reason=WORDS)]


def test_others_hear_of_a_new_leader_while_one_lets_us_wait(pair: Pair) -> None:
    facts = {name: Facts(node=name, sections={"epochs": Known({FLEET: 1})}) for name in (SLOW, QUICK)}

    def told() -> tuple[NodeId, ...]:
        return announce(facts, DESIRED, 2, connect=pair.connect, stragglers=pair.stragglers)

    assert told() == (QUICK,)
    assert told() == (QUICK,)
    assert pair.asked.count(SLOW) == 1
    pair.answers()
    assert told() == (QUICK, SLOW)
    assert {(home.root / "epochs" / FLEET).read_text() for home in pair.homes.values()} == {"2\n"}


def test_results_of_others_are_acknowledged_while_one_lets_us_wait(pair: Pair) -> None:
    pair.may_answer.set()
    found: tuple[RunRecord, ...] = settle(pair.seen(), DESIRED, connect=pair.connect)
    pair.may_answer.clear()

    def told() -> dict[NodeId, str]:
        return dict(acknowledge(found, (), DESIRED, History(), connect=pair.connect, stragglers=pair.stragglers))

    assert told() == {SLOW: WORDS}
    assert [list((home.root / "runs").iterdir()) == [] for home in pair.homes.values()] == [False, True]
    pair.answers()
    assert told() == {}
    assert [list((home.root / "runs").iterdir()) for home in pair.homes.values()] == [[], []]
