"""What a plan is known by: takes its inputs and its items, gives SHA-256 over canonical bytes; no prose goes in; pure."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC

from reconciler.ids import Digest, NodeId
from reconciler.inventory.canonical import canonical, say_the_same
from reconciler.inventory.observed import Facts
from reconciler.plan.plan import Plan, PlanItem

_VERSION = 1


class FactsDigest:
    """A digest over the facts of many nodes; facts whose sections are the same records as last time are not read again."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[NodeId, tuple[Facts, bytes]] = {}

    def __call__(self, nodes: Iterable[NodeId], facts: Callable[[NodeId], Facts | None]) -> Digest:
        """Digest the facts of `nodes` (sorted); one that was never collected counts as that."""
        whole = hashlib.sha256()
        for node in nodes:
            found = facts(node)
            if found is not None:
                whole.update(b"%d:%s" % (len(node), node.encode()))
                whole.update(self._of(node, found))
        return Digest(whole.hexdigest())

    def _of(self, node: NodeId, facts: Facts) -> bytes:
        known = self._known.get(node)
        if known is None or not say_the_same(known[0], facts):
            known = (facts, hashlib.sha256(canonical(facts)).digest())
            self._known[node] = known
        return known[1]


def with_digest(plan: Plan) -> Plan:
    """Give the plan its digest."""
    return replace(plan, digest=plan_digest(plan))


def plan_digest(plan: Plan) -> Digest:
    """Digest tree ids, history commit, facts, instant, and the ordered items."""
    encoded = json.dumps(
        {
            "version": _VERSION,
            "trees": dict(sorted(plan.trees.items())),
            "history": plan.history,
            "facts": plan.facts,
            "at": plan.at.astimezone(UTC).isoformat(),
            "mode": plan.mode.value,
            "items": [item_fields(item) for item in plan.items],
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return Digest(hashlib.sha256(encoded.encode()).hexdigest())


def item_fields(item: PlanItem) -> Mapping[str, object]:
    """Give what an item is, without the words about it."""
    patches = {} if item.patches is None else {"patches": item.patches.digest}
    return patches | {
        "node": item.node,
        "association": item.association,
        "document": item.document,
        "definition": item.definition,
        "rendered": item.rendered,
        "run": item.run,
        "executions": item.executions,
        "cause": item.cause.value,
        "opaque": item.opaque,
        "canary": item.canary,
        "order": item.order,
        "forced": item.forced,
    }
