"""What git manages no more: takes desired state and history, gives a removal for each; nothing is undone on nodes; pure."""

from collections.abc import Callable

from reconciler.ids import AssociationName
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.model.node import Node
from reconciler.plan.plan import Removal
from reconciler.targets.resolve import Targets


def removals(
    desired: DesiredState,
    targets: Targets,
    history: History,
    shrunk: frozenset[AssociationName],
    limit: Callable[[Node], bool] | None,
) -> tuple[Removal, ...]:
    """List nodes and associations that left; with `limit` only what nodes it means are no longer targets of."""
    renamed = {former for node in desired.nodes.values() for former in node.former_ids}
    gone: dict[AssociationName, Removal] = {}
    found: list[Removal] = []
    for node in sorted(history.nodes):
        record = history.nodes[node]
        described = desired.nodes.get(node)
        if described is None:
            if node not in renamed and limit is None:
                found.append(Removal(node=node, association=None, reason="the node is no longer in state/nodes"))
            continue
        if limit is not None and not limit(described):
            continue
        for name in sorted(set(record.applied).difference(targets.associations_of(node), shrunk)):
            if name in desired.associations:
                reason = "the node is no target of it any more; nothing is undone"
                found.append(Removal(node=node, association=name, reason=reason))
            elif limit is None:
                reason = "the association is no longer in state/associations; nothing is undone"
                gone[name] = Removal(node=None, association=name, reason=reason)
    return (*(gone[name] for name in sorted(gone)), *found)
