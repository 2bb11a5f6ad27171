"""An Ansible inventory as read, before anybody asks what it means for one host: hosts, groups, and variables with their places."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.ssh_config import Said

MOST_HOSTS = 20_000
MOST_GROUPS = 2_000

WANTED = "ansible_"
"""Only variables of this kind say how a host is reached; all others are nobody's business here."""


@dataclass(slots=True)
class Group:
    """One group: its own hosts, children and variables."""

    place: str
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)
    """Name -> where it stands."""
    variables: dict[str, Said] = field(default_factory=dict)


@dataclass(slots=True)
class Inventory:
    """Filled file by file; later files win, as in Ansible."""

    hosts: dict[str, dict[str, Said]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def host(self, name: str, place: str) -> dict[str, Said]:
        """Give the variables of a host, noted where it is new."""
        self.places.setdefault(name, place)
        return self.hosts.setdefault(name, {})

    def group(self, name: str, place: str) -> Group:
        """Give a group, made where it is new."""
        return self.groups.setdefault(name, Group(place))

    def is_too_large(self, mistakes: Mistakes, line: int) -> bool:
        """Complain about an inventory that nobody has."""
        if len(self.hosts) <= MOST_HOSTS and len(self.groups) <= MOST_GROUPS:
            return False
        message = f"more than {MOST_HOSTS} hosts or {MOST_GROUPS} groups"
        mistakes.error((line, 1), message, remedy="import it in parts")
        return True


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the groups stand to each other."""

    depth: Mapping[str, int]
    above: Mapping[str, frozenset[str]]
    """All groups that hold a group, its parents' parents too."""
    in_circle: tuple[str, ...] = ()


def standing_of(inventory: Inventory) -> Standing:
    """Work out who is whose ancestor, without recursion: a chain of 2,000 groups is no reason to fail."""
    parents: dict[str, set[str]] = {name: set() for name in inventory.groups}
    for name, group in inventory.groups.items():
        for child in group.children:
            parents.setdefault(child, set()).add(name)
    depth: dict[str, int] = {}
    above: dict[str, frozenset[str]] = {}
    for name in _parents_first(parents):
        above[name] = frozenset().union(*(above[parent] | {parent} for parent in parents[name]))
        depth[name] = 1 + max((depth[parent] for parent in parents[name]), default=-1 if name == "all" else 0)
    return Standing(depth, above, tuple(sorted(parents.keys() - depth.keys())))


def _parents_first(parents: Mapping[str, set[str]]) -> Iterator[str]:
    left = {name: set(above) for name, above in parents.items()}
    children: dict[str, list[str]] = {}
    for name, above in parents.items():
        for parent in above:
            children.setdefault(parent, []).append(name)
    ready = sorted(name for name, above in left.items() if not above)
    while ready:
        name = ready.pop(0)
        yield name
        for child in children.get(name, ()):
            left[child].discard(name)
            if not left[child]:
                ready.append(child)
