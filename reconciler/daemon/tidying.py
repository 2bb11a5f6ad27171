"""Nodes that still forget runs of commands whose result is told: the next command of this process waits for those it needs.

Takes a `Connect` and gives one; starts nothing and decides nothing. Whoever waits here finds the node's connection free, and does
not open a second one; and what one command leaves to clean up does not pile up behind the next ones.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Condition
from typing import Final

from reconciler.ids import NodeId
from reconciler.model.command import Connect, Session
from reconciler.model.node import Node

PATIENCE: Final = 30.0
"""Seconds a command waits for the clean-up of one node; one that takes longer is silent, and is asked over another connection."""


class Tidying:
    """Of one process. Safe for several threads."""

    def __init__(self) -> None:
        self._under_way: Counter[NodeId] = Counter()
        self._changed = Condition()

    @contextmanager
    def of(self, nodes: Iterable[NodeId], connect: Connect) -> Iterator[Connect]:
        """Give what connects to these nodes for their clean-up: one is done once its session was left, and all are at the end."""
        left = set(nodes)
        with self._changed:
            self._under_way.update(left)

        def done(those: set[NodeId]) -> None:
            with self._changed:
                self._under_way -= Counter(left & those)
                left.difference_update(those)
                self._changed.notify_all()

        @contextmanager
        def tidying(node: Node) -> Iterator[Session]:
            try:
                with connect(node) as session:
                    yield session
            finally:
                done({node.id})

        try:
            yield tidying
        finally:
            done(left.copy())

    def behind(self, connect: Connect) -> Connect:
        """Give what connects to a node once nothing is cleaned up there any more."""

        def waiting(node: Node) -> AbstractContextManager[Session]:
            if self._under_way:
                with self._changed:
                    self._changed.wait_for(lambda: not self._under_way[node.id], PATIENCE)
            return connect(node)

        return waiting
