"""Nodes that a pass went on without: they are still being asked, and what they say counts in the next pass.

Takes crews that were left, gives their answers. It waits for nobody, and judges nothing but whether an answer is one to the
questions that are asked now.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from reconciler.ids import NodeId
from reconciler.inventory.crew import Crew
from reconciler.model.node import Node
from reconciler.model.questions import Questions

LEAVE: Final = 1.0
"""Seconds that threads have to end once the connections they wait on are closed."""

C = TypeVar("C")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked(Generic[C]):
    """One asking that was left."""

    crew: Crew[Node, C]
    nodes: set[NodeId]
    """Those that have not answered."""
    questions: Mapping[NodeId, Questions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(Generic[C]):
    """What a node said after the pass had gone on."""

    said: C
    is_answer: bool
    """Whether it was asked what is asked now, and nothing was done to the node since."""


class Latecomers(Generic[C]):
    """Those of one repository. For one thread."""

    def __init__(self) -> None:
        self._asked: list[_Asked[C]] = []
        self._said: dict[NodeId, tuple[C, Questions | None]] = {}
        self._touched: set[NodeId] = set()

    def leave(self, crew: Crew[Node, C], nodes: Iterable[NodeId], questions: Mapping[NodeId, Questions]) -> None:
        """Take over nodes that a crew is still asking."""
        left = set(nodes)
        self._touched -= left
        self._asked.append(_Asked(crew=crew, nodes=left, questions=questions))

    def still_asked(self) -> frozenset[NodeId]:
        """Give the nodes that have not answered yet: asking them once more would not make them quicker."""
        self._listen()
        return frozenset(node for asked in self._asked for node in asked.nodes)

    def take(self, nodes: Iterable[NodeId], questions: Mapping[NodeId, Questions]) -> Mapping[NodeId, Late[C]]:
        """Give what these nodes said since, each once."""
        self._listen()
        return dict(self._taken(nodes, questions))

    def touched(self, nodes: Iterable[NodeId]) -> None:
        """Note that something was done to nodes: what they were asked before it is no answer any more."""
        for node in nodes:
            self._touched.add(node)
            self._said.pop(node, None)

    def stop(self) -> None:
        """Begin nothing more."""
        for asked in self._asked:
            asked.crew.end(within=0)

    def close(self) -> None:
        """Wait a moment for the threads, after their connections were closed; safe to call twice."""
        for asked in self._asked:
            asked.crew.end(within=LEAVE)
        self._asked.clear()

    def _taken(
        self, nodes: Iterable[NodeId], questions: Mapping[NodeId, Questions]
    ) -> Iterator[tuple[NodeId, Late[C]]]:
        for node in nodes:
            if node in self._said:
                said, of = self._said.pop(node)
                yield node, Late(said=said, is_answer=of == questions.get(node) and node not in self._touched)

    def _listen(self) -> None:
        for asked in self._asked:
            for node, said in asked.crew.late():
                asked.nodes.discard(node.id)
                self._said[node.id] = said, asked.questions.get(node.id)
        self._asked = [asked for asked in self._asked if asked.nodes]
