"""Items that have not been started, by node: a node takes one at a time, in the plan's order. No threads, no I/O."""

from collections import deque
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from reconciler.ids import AssociationName, NodeId
from reconciler.plan.plan import PlanItem


class Waiting:
    """Answers which nodes could take which association next, without looking at all of them each time."""

    def __init__(self, items: Iterable[PlanItem], *, busy: Iterable[NodeId]) -> None:
        self._items: dict[NodeId, deque[PlanItem]] = {}
        for item in sorted(items, key=lambda item: (item.order, item.association)):
            self._items.setdefault(item.node, deque()).append(item)
        self._busy = set(busy)
        self._ready: dict[AssociationName, set[NodeId]] = {}
        for node in self._items:
            self._offer(node)

    def _offer(self, node: NodeId) -> None:
        if node not in self._busy and self._items.get(node):
            self._ready.setdefault(self._items[node][0].association, set()).add(node)

    def ready(self, association: AssociationName) -> AbstractSet[NodeId]:
        """Give the idle nodes whose next item is of this association."""
        return self._ready.get(association, set())

    def next_of(self, node: NodeId) -> PlanItem:
        """Give the next item of an idle node, and leave it where it is."""
        return self._items[node][0]

    def take(self, node: NodeId) -> PlanItem:
        """Take the next item of an idle node, which is busy from now on."""
        item = self._items[node].popleft()
        self._ready[item.association].discard(node)
        self._busy.add(node)
        return item

    def give_back(self, node: NodeId) -> None:
        """Note that a node is idle again."""
        self._busy.discard(node)
        self._offer(node)

    def rest(self) -> Iterator[PlanItem]:
        """Give everything that was never taken."""
        for items in self._items.values():
            yield from items
