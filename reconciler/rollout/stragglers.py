"""Nodes that a stage went on without: they are still being talked to, and nobody talks to them twice meanwhile.

Takes nodes and what to do with each; gives what came of it in time. What comes later is dropped: whoever asks again finds
the node as it is by then.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any, Final, TypeVar

from reconciler.ids import NodeId
from reconciler.inventory.crew import Crew

PATIENCE: Final = timedelta(seconds=30)
"""How long a stage waits for a node from its turn on: as long as a node may be silent."""

SECOND_CHANCE: Final = timedelta(seconds=3)
"""How long a stage that is done with everybody else waits for nodes that let the last one wait: a login's time."""

LEAVE: Final = 1.0
"""Seconds that threads have to end once the connections they wait on are closed."""

R = TypeVar("R")


class Stragglers:
    """Those of one process. For one thread. Without `patience`, every node is waited for until its own limit."""

    def __init__(self, patience: timedelta | None = PATIENCE) -> None:
        self._patience = patience
        self._left: list[tuple[Crew[NodeId, Any], set[NodeId]]] = []
        self._slow: set[NodeId] = set()

    @property
    def in_words(self) -> str:
        """Say of a node why it was not waited for."""
        seconds = 0.0 if self._patience is None else self._patience.total_seconds()
        return f"the node did not answer within {seconds:g} s, and the pass went on without it"

    def each(self, nodes: Iterable[NodeId], do: Callable[[NodeId], R], *, most: int) -> Mapping[NodeId, R]:
        """Do it for every node, up to `most` at a time; gives what came of it, without those that were not waited for."""
        busy = self.busy()
        asked = sorted((node for node in nodes if node not in busy), key=lambda node: node in self._slow)
        turn = _Turns(asked, self._slow, self._patience)

        def one(node: NodeId) -> R:
            turn.begun[node] = time.monotonic()
            return do(node)

        crew: Crew[NodeId, R] = Crew(asked, one, most=most)
        found: dict[NodeId, R] = {}
        enough = None if self._patience is None else lambda: turn.is_enough(found)
        with closing(crew.results(enough=enough)) as results:
            for node, result in results:
                found[node] = result  # noqa: PERF403  (`enough` reads it while it grows)
        left = {node for node in asked if node not in found}
        if left:
            self._left.append((crew, left))
        self._slow = (self._slow - found.keys()) | left
        return found

    def busy(self) -> frozenset[NodeId]:
        """Give the nodes that were left and have not answered yet."""
        for crew, nodes in self._left:
            nodes.difference_update(node for node, _ in crew.late())
        self._left = [(crew, nodes) for crew, nodes in self._left if nodes]
        return frozenset(node for _, nodes in self._left for node in nodes)

    def stop(self) -> None:
        """Begin nothing more."""
        for crew, _ in self._left:
            crew.end(within=0)

    def close(self) -> None:
        """Wait a moment for the threads, after their connections were closed; safe to call twice."""
        for crew, _ in self._left:
            crew.end(within=LEAVE)
        self._left.clear()


class _Turns:
    """Whose turn came when, in one stage."""

    def __init__(self, asked: Iterable[NodeId], slow: set[NodeId], patience: timedelta | None) -> None:
        self._quick = [node for node in asked if node not in slow]
        self._slow = [node for node in asked if node in slow]
        self._patience = (patience or timedelta()).total_seconds()
        self._quick_ones_done: float | None = None
        self.begun: dict[NodeId, float] = {}

    def is_enough(self, found: Mapping[NodeId, object]) -> bool:
        """Say whether everybody had the time that is theirs."""
        now = time.monotonic()
        if not all(node in found or self._had_its_time(node, now) for node in self._quick):
            return False
        self._quick_ones_done = self._quick_ones_done or now
        is_over = now - self._quick_ones_done >= SECOND_CHANCE.total_seconds()
        return is_over or all(node in found for node in self._slow)

    def _had_its_time(self, node: NodeId, now: float) -> bool:
        return node in self.begun and now - self.begun[node] >= self._patience
