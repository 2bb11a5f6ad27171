"""An Ansible inventory as nodes and groups: takes its files as bytes, gives what can be said without running any of it.

Precedence is Ansible's: variables of groups in the inventory, then group_vars/all, then group_vars, deeper groups later; then the
host's own, then host_vars. Templates, look-ups, vaults and scripts are told of and never evaluated.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.errors import DesiredStateError
from reconciler.ids import GroupName, NodeId
from reconciler.importing.ansible_ini import read_ini
from reconciler.importing.ansible_yaml import read_variables, read_yaml_inventory
from reconciler.importing.files import MEMBER
from reconciler.importing.harvest import FoundGroup, FoundNode, Harvest, Kind, Note, node_id
from reconciler.importing.inventory import Inventory, Standing, standing_of
from reconciler.importing.keys import KeyPlace, key_name
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.ssh_config import Said
from reconciler.problem import Gravity, Problem

TAG = {"Imported-From": "ansible"}
MOST_GROUP_TAGS = 50
"""On one node; as many as SSM allows."""
_VAULT = "$ANSIBLE_VAULT"
_NOT_GROUPS = frozenset({"all", "ungrouped"})
_YES = frozenset({"yes", "true", "on", "1", "y", "t"})
_SSH = frozenset({"ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh"})
_NOT_TAKEN = {
    "ansible_password": "passwords are not imported: log in with a key",
    "ansible_ssh_pass": "passwords are not imported: log in with a key",
    "ansible_become_password": "passwords are not imported: sudo must not ask for one",
    "ansible_become_pass": "passwords are not imported: sudo must not ask for one",
    "ansible_ssh_common_args": "options of ssh are not followed; write Gateway where it names a jump host",
    "ansible_ssh_extra_args": "options of ssh are not followed; write Gateway where it names a jump host",
    "ansible_ssh_args": "options of ssh are not followed; write Gateway where it names a jump host",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file of an inventory."""

    file: str
    """What to call it in a message."""
    data: bytes
    owner: str = ""
    """Of a file of variables: the group or host it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The files of an inventory, in the order in which Ansible reads them."""

    inventories: tuple[Source, ...]
    group_vars: tuple[Source, ...] = ()
    host_vars: tuple[Source, ...] = ()
    notes: tuple[Note, ...] = ()


def nodes_of(sources: Sources, keys: KeyPlace) -> Harvest:
    """Give the nodes and groups of an inventory. Raises DesiredStateError with every mistake where it does not read."""
    inventory = Inventory()
    problems: list[Problem] = []
    notes = list(sources.notes)
    for source in sources.inventories:
        if source.data.startswith(_VAULT.encode()):
            notes.append(Note(kind=Kind.SKIPPED, place=f"{source.file}:1", what="the whole file is encrypted (vault)"))
            continue
        mistakes = Mistakes(source.file)
        read = read_yaml_inventory if _is_yaml(source) else read_ini
        read(source.file, source.data, inventory, mistakes)
        problems += mistakes.problems
    standing = standing_of(inventory)
    problems += [_circle(inventory, name) for name in standing.in_circle[:1]]
    if wrong := tuple(problem for problem in problems if problem.gravity is Gravity.ERROR):
        raise DesiredStateError(wrong)
    by_group, found = _variable_files(sources.group_vars)
    notes += found
    by_host, found = _variable_files(sources.host_vars)
    notes += found
    meaning = _Meaning(inventory, standing, by_group, by_host, keys)
    harvest = meaning.harvest()
    return Harvest(nodes=harvest.nodes, groups=harvest.groups, notes=(*notes, *harvest.notes))


def _is_yaml(source: Source) -> bool:
    if source.file.lower().endswith((".yml", ".yaml", ".json")):
        return True
    if source.file.lower().endswith((".ini", ".cfg")):
        return False
    first = next((line for line in source.data.splitlines() if line.strip() and not line.startswith(b"#")), b"")
    return first.startswith((b"---", b"{")) or re.match(rb"[A-Za-z0-9_-]+:\s*(#.*)?$", first) is not None


def _circle(inventory: Inventory, name: str) -> Problem:
    place = inventory.groups[name].place if name in inventory.groups else ":0"
    file, _, line = place.rpartition(":")
    return Problem(
        file=file,
        line=int(line),
        message="this group is its own child, directly or through others",
        value=name,
        remedy="take one of the children out",
    )


def _variable_files(sources: Iterable[Source]) -> tuple[Mapping[str, Mapping[str, Said]], list[Note]]:
    found: dict[str, dict[str, Said]] = {}
    notes = []
    for source in sources:
        if source.data.startswith(_VAULT.encode()):
            notes.append(Note(kind=Kind.SKIPPED, place=f"{source.file}:1", what="the whole file is encrypted (vault)"))
            continue
        mistakes = Mistakes(source.file)
        variables = read_variables(source.file, source.data, mistakes)
        if mistakes.problems:
            first = mistakes.problems[0]
            what = f"the file's variables are left out: {first.message} ({first.value}); {first.remedy}"
            notes.append(Note(kind=Kind.SKIPPED, place=f"{source.file}:{first.line}", what=what))
        else:
            found.setdefault(source.owner, {}).update(variables)
    return found, notes


class _Skip(Exception):
    """Why a host becomes no node."""


class _Meaning:
    """What the inventory means for each host."""

    def __init__(
        self,
        inventory: Inventory,
        standing: Standing,
        group_vars: Mapping[str, Mapping[str, Said]],
        host_vars: Mapping[str, Mapping[str, Said]],
        keys: KeyPlace,
    ) -> None:
        self._inventory = inventory
        self._standing = standing
        self._group_vars = group_vars
        self._host_vars = host_vars
        self._keys = keys
        self._groups_of = self._memberships()
        self._notes: dict[Note, None] = {}
        self._ways: dict[tuple[str, int, str], NodeId] = {}
        self._ids: dict[str, str] = {}

    def harvest(self) -> Harvest:
        nodes = []
        for name in self._inventory.hosts:
            place = self._inventory.places[name]
            try:
                nodes.append(self._node(name, place))
            except _Skip as why:
                self._note(Kind.SKIPPED, place, f"{name}: {why}")
        tags = {tag for node in nodes for tag in node.tags}
        groups = tuple(
            FoundGroup(name=GroupName(name), tag=_tag(name), place=group.place)
            for name, group in sorted(self._inventory.groups.items())
            if _tag(name) in tags
        )
        return Harvest(nodes=tuple(nodes), groups=groups, notes=tuple(self._notes))

    def _note(self, kind: Kind, place: str, what: str) -> None:
        self._notes[Note(kind=kind, place=place, what=what)] = None

    def _memberships(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for name, group in self._inventory.groups.items():
            held = self._standing.above[name] | {name}
            for host in group.hosts:
                found[host] = found.get(host, frozenset()) | held
        return found

    def _node(self, name: str, place: str) -> FoundNode:
        groups = self._in_order(name)
        said = self._variables(name, groups)
        for variable, why in _NOT_TAKEN.items():
            if variable in said:
                self._note(Kind.NOTE, said[variable].place, f"{variable} is not imported: {why}")
        is_local = self._is_local(said)
        address = self._value(said, "ansible_host", "ansible_ssh_host") or name
        if any(self._is_opaque(said[key].text) for key in ("ansible_host", "ansible_ssh_host") if key in said):
            raise _Skip("its address is a template or encrypted; write the node by hand")
        found = node_id(name)
        if found is None:
            raise _Skip("no node id can be made of this name")
        if found != name:
            self._note(Kind.NOTE, place, f"{name} is no node id: imported as {found}")
        node = FoundNode(
            id=found,
            place=place,
            address=None if is_local else address,
            port=22 if is_local else self._port(said),
            user=None if is_local else self._value(said, "ansible_user", "ansible_ssh_user"),
            identity_file=None if is_local else self._key(said),
            become=self._becomes_root(said),
            tags=self._tags(name, place, groups),
        )
        self._claim(node)
        return node

    def _claim(self, node: FoundNode) -> None:
        if node.id.lower() in self._ids:
            raise _Skip(f"its id {node.id} is taken by the host at {self._ids[node.id.lower()]}")
        if node.way in self._ways:
            raise _Skip(f"the same address and port as {self._ways[node.way]}, which is imported")
        self._ids[node.id.lower()] = node.place
        self._ways[node.way] = node.id

    def _in_order(self, host: str) -> list[str]:
        """Give a host's groups, those whose variables win last."""
        names = (self._groups_of.get(host, frozenset()) | {"all"}) - {"ungrouped"}
        return sorted(names, key=lambda name: (self._standing.depth.get(name, 0), self._priority(name), name))

    def _priority(self, group: str) -> int:
        found = (
            self._inventory.groups[group].variables.get("ansible_group_priority")
            if group in self._inventory.groups
            else None
        )
        return int(found.text) if found is not None and re.fullmatch(r"[0-9]{1,6}", found.text) else 1

    def _variables(self, host: str, groups: list[str]) -> dict[str, Said]:
        said: dict[str, Said] = {}
        for name in groups:
            if name in self._inventory.groups:
                said.update(self._inventory.groups[name].variables)
        for name in ["all", *(group for group in groups if group != "all")]:
            said.update(self._group_vars.get(name, {}))
        said.update(self._inventory.hosts[host])
        said.update(self._host_vars.get(host, {}))
        return said

    def _is_opaque(self, text: str) -> bool:
        return _VAULT in text or "{{" in text or "{%" in text

    def _value(self, said: Mapping[str, Said], *names: str) -> str | None:
        """Give the first of several spellings; a template or a vault is told of and is no value."""
        found = next((name for name in names if name in said), None)
        if found is None:
            return None
        value = said[found]
        if self._is_opaque(value.text):
            what = "is encrypted (vault)" if _VAULT in value.text else "is a template, which is not filled in"
            self._note(Kind.NOTE, value.place, f"{found} {what}: left out")
            return None
        return value.text

    def _is_local(self, said: Mapping[str, Said]) -> bool:
        connection = self._value(said, "ansible_connection") or "ssh"
        if connection in {"local", "ansible.builtin.local"}:
            return True
        if connection not in _SSH:
            place = said["ansible_connection"].place
            raise _Skip(f"ansible_connection={connection} at {place}: only ssh and local are known here")
        return False

    def _port(self, said: Mapping[str, Said]) -> int:
        text = self._value(said, "ansible_port", "ansible_ssh_port")
        if text is None:
            return 22
        if not (re.fullmatch(r"[0-9]{1,5}", text) and 1 <= int(text) <= 65535):  # noqa: PLR2004  (ports end there)
            raise _Skip(f"ansible_port {text} is no port number")
        return int(text)

    def _key(self, said: Mapping[str, Said]) -> str | None:
        names = ("ansible_ssh_private_key_file", "ansible_private_key_file")
        text = self._value(said, *names)
        if text is None:
            return None
        key, why = key_name(text, self._keys)
        if key is None:
            place = next(said[name].place for name in names if name in said)
            self._note(Kind.NOTE, place, why)
        return key

    def _becomes_root(self, said: Mapping[str, Said]) -> bool:
        if (self._value(said, "ansible_become") or "no").lower() not in _YES:
            return False
        for name, known in (("ansible_become_method", "sudo"), ("ansible_become_user", "root")):
            value = self._value(said, name)
            if value is not None and value.removeprefix("ansible.builtin.") != known:
                self._note(
                    Kind.NOTE,
                    said[name].place,
                    f"{name} {value} is not known here, only {known}: imported without Become",
                )
                return False
        return True

    def _tags(self, host: str, place: str, groups: list[str]) -> Mapping[str, str]:
        names = sorted(set(groups) - _NOT_GROUPS)
        if len(names) > MOST_GROUP_TAGS:
            what = f"{host} is in {len(names)} groups: only the first {MOST_GROUP_TAGS} became tags"
            self._note(Kind.NOTE, place, what)
        return {**TAG, **{_tag(name): MEMBER for name in names[:MOST_GROUP_TAGS]}}


def _tag(group: str) -> str:
    return f"Group:{group}"


def source_order(names: Iterable[str]) -> Iterator[str]:
    """Give the files of an inventory folder that Ansible would read, in its order."""
    ignored = (".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry")
    for name in sorted(names):
        if not name.startswith(".") and not name.endswith(ignored) and name not in {"group_vars", "host_vars"}:
            yield name
