"""Associations x nodes -> Targets: takes the desired state, gives which nodes each association means and why; pure.

Membership is live: it is worked out anew for every commit, from that commit alone.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from reconciler.ids import AssociationName, NodeId
from reconciler.model.association import Association
from reconciler.model.desired import DesiredState
from reconciler.model.node import Node
from reconciler.targets.match import TagIndex, why


class Targeted(NamedTuple):
    """One node that an association means, and what makes it one, in words."""

    node: NodeId
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Which nodes each association means. `nodes` is every node of the fleet, targeted or not: all are looked at."""

    nodes: tuple[NodeId, ...]
    members: Mapping[AssociationName, tuple[NodeId, ...]]
    """Every association, sorted; its nodes, sorted. The reasons are worked out only where one asks for them."""
    by_association: Mapping[AssociationName, tuple[Targeted, ...]]
    """The same with reasons."""
    _of_node: Mapping[NodeId, tuple[AssociationName, ...]] = field(repr=False)

    def associations_of(self, node: NodeId) -> tuple[AssociationName, ...]:
        """Give the associations that mean `node`, sorted."""
        return self._of_node.get(node, ())

    def only(self, nodes: AbstractSet[NodeId]) -> "Targets":
        """Give the same restricted to some nodes: for a pass with a limit. Rates and guards count on the whole."""
        return Targets(
            nodes=tuple(node for node in self.nodes if node in nodes),
            members={name: tuple(node for node in members if node in nodes) for name, members in self.members.items()},
            by_association=_Restricted(self.by_association, nodes),
            _of_node={node: names for node, names in self._of_node.items() if node in nodes},
        )


class _Restricted(Mapping[AssociationName, tuple[Targeted, ...]]):
    """Reasons of some nodes, still on demand."""

    def __init__(self, whole: Mapping[AssociationName, tuple[Targeted, ...]], nodes: AbstractSet[NodeId]) -> None:
        self._whole = whole
        self._nodes = nodes

    def __getitem__(self, name: AssociationName) -> tuple[Targeted, ...]:
        return tuple(targeted for targeted in self._whole[name] if targeted.node in self._nodes)

    def __iter__(self) -> Iterator[AssociationName]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)


class _Reasons(Mapping[AssociationName, tuple[Targeted, ...]]):
    """Reasons on demand: half a million sentences would cost more than the whole plan."""

    def __init__(self, desired: DesiredState, members: Mapping[AssociationName, tuple[NodeId, ...]]) -> None:
        self._nodes: Mapping[NodeId, Node] = desired.nodes
        self._associations: Mapping[AssociationName, Association] = desired.associations
        self._members = members

    def __getitem__(self, name: AssociationName) -> tuple[Targeted, ...]:
        targets = self._associations[name].targets
        return tuple(Targeted(node, why(targets, self._nodes[node])) for node in self._members[name])

    def __iter__(self) -> Iterator[AssociationName]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def means_the_same(before: DesiredState, desired: DesiredState) -> bool:
    """Whether every association means the same nodes, for the same reasons, as at an earlier commit."""
    if len(before.associations) != len(desired.associations):
        return False
    known = before.associations
    same = all(name in known and known[name].targets == each.targets for name, each in desired.associations.items())
    return same and before.groups == desired.groups and before.nodes == desired.nodes


def resolve_targets(desired: DesiredState) -> Targets:
    """Find the nodes of every association."""
    index = TagIndex(desired.nodes.values(), desired.groups)
    nodes = tuple(sorted(desired.nodes))
    members: dict[AssociationName, tuple[NodeId, ...]] = {}
    for name in sorted(desired.associations):
        meant = index.nodes(desired.associations[name].targets)
        members[name] = nodes if len(meant) == len(nodes) else tuple(sorted(meant))
    return Targets(
        nodes=nodes,
        members=members,
        by_association=_Reasons(desired, members),
        _of_node=_by_node(nodes, members),
    )


def _by_node(
    nodes: tuple[NodeId, ...], members: Mapping[AssociationName, tuple[NodeId, ...]]
) -> dict[NodeId, tuple[AssociationName, ...]]:
    everywhere = tuple(name for name, meant in members.items() if len(meant) == len(nodes))
    others: dict[NodeId, list[AssociationName]] = {}
    for name, meant in members.items():
        if len(meant) < len(nodes):
            for node in meant:
                others.setdefault(node, []).append(name)
    shared: dict[tuple[AssociationName, ...], tuple[AssociationName, ...]] = {(): tuple(sorted(everywhere))}
    for names in map(tuple, others.values()):
        if names not in shared:
            shared[names] = tuple(sorted((*everywhere, *names)))
    return {node: shared[tuple(others.get(node, ()))] for node in nodes}
