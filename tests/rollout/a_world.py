"""A fleet of home nodes for roll-outs: what it is told to do, and what came of it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.documents.render import Rendered
from reconciler.drift.definitions import Definition
from reconciler.drift.finding import Cause
from reconciler.ids import AssociationName, Digest, DocumentName, NodeId
from reconciler.model.association import Association
from reconciler.model.command import Answer, Program, Session
from reconciler.model.desired import DesiredState
from reconciler.model.fleet import Fleet
from reconciler.model.node import Node
from reconciler.model.outcome import Outcome
from reconciler.plan.plan import Plan, PlanItem
from reconciler.plan.run_id import run_id
from reconciler.rollout.progress import Ramp
from reconciler.rollout.run import roll_out
from tests.rollout.a_node import FLEET, HomeNode, HomeSession, a_step, rendered

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


def body(folder: Path, text: str) -> str:
    """Leave a line in the node's own log: its home is known by the id of the node."""
    return f"echo {text} >>{folder}/$AWS_SSM_INSTANCE_ID/log\n"
