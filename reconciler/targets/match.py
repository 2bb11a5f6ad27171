"""The words of a target: takes SSM's key and values, gives the nodes that they mean by one look-up each; pure.

An index by tag is built once a fleet, so that fifty associations over ten thousand nodes cost fifty look-ups.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from reconciler.ids import GroupName, NodeId
from reconciler.model.association import Target
from reconciler.model.desired import Group
from reconciler.model.node import Node

TAG = "tag:"
TAG_KEY = "tag-key"
INSTANCE_IDS = "instanceids"
GROUP = "resource-groups:Name"
EVERY = "*"


def is_every(target: Target) -> bool:
    """Whether it means every node of the fleet: `InstanceIds` with the one value `*`."""
    return target.key.lower() == INSTANCE_IDS and target.values == (EVERY,)


class TagIndex:
    """Nodes by tag and value. Tags compare case-sensitively, as SSM's do."""

    def __init__(self, nodes: Iterable[Node], groups: Mapping[GroupName, Group]) -> None:
        self._groups = groups
        self._ids: set[NodeId] = set()
        self._by_tag: dict[str, dict[str, set[NodeId]]] = defaultdict(lambda: defaultdict(set))
        for node in nodes:
            self._ids.add(node.id)
            for key, value in node.tags.items():
                self._by_tag[key][value].add(node.id)

    def nodes(self, targets: Iterable[Target]) -> frozenset[NodeId]:
        """Give the nodes that all `targets` mean; none where there are no targets."""
        return frozenset(_in_all(self._of(target) for target in targets))

    def _of(self, target: Target) -> set[NodeId]:
        """One key: its values are ORed, but for `tag-key`, where a node has all the named tags."""
        if is_every(target):
            return self._ids
        key = target.key
        if key.lower() == INSTANCE_IDS:
            return self._ids.intersection(target.values)
        if key.startswith(TAG):
            return self._tagged(key.removeprefix(TAG), target.values)
        if key == TAG_KEY:
            return _in_all(set().union(*self._by_tag.get(name, {}).values()) for name in target.values)
        if key == GROUP:
            return set().union(*(self._members(GroupName(name)) for name in target.values))
        raise ValueError(f"target key {key!r} is none of tag:NAME, tag-key, InstanceIds, {GROUP}")

    def _tagged(self, name: str, values: Iterable[str]) -> set[NodeId]:
        by_value = self._by_tag.get(name, {})
        return set().union(*(by_value.get(value, set()) for value in values))

    def _members(self, name: GroupName) -> set[NodeId]:
        """Give the members of a group; a deleted one has none."""
        group = self._groups.get(name)
        if group is None or not group.tag_filters:
            return set()
        return _in_all(self._tagged(each.key, each.values) for each in group.tag_filters)


def _in_all(sets: Iterable[set[NodeId]]) -> set[NodeId]:
    """Intersect; nothing is in all of no sets."""
    found = list(sets)
    return set.intersection(*found) if found else set()


def why(targets: Iterable[Target], node: Node) -> str:
    """Say in words what makes `node` one of those that `targets` mean."""
    return " and ".join(_why(target, node) for target in targets)


def _why(target: Target, node: Node) -> str:
    if is_every(target):
        return "every node (InstanceIds *)"
    if target.key.lower() == INSTANCE_IDS:
        return "named by its id"
    if target.key == TAG_KEY:
        return " and ".join(f"has tag {name}" for name in target.values)
    if target.key == GROUP:
        return f"member of group {', '.join(target.values)}"
    name = target.key.removeprefix(TAG)
    return f"tag {name}={node.tags.get(name, '')}"
