"""A harvest as files of a state repository: what is new there, and what is left alone because it is there already. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.ids import NodeId
from reconciler.importing.harvest import FoundFile, FoundGroup, FoundNode, Harvest, Kind, Note
from reconciler.model.desired import DesiredState
from reconciler.model.node import Node
from reconciler.model.read_state import read_state
from reconciler.problem import Gravity

MEMBER = "yes"
"""The value of a tag that says that a node belongs to a group."""
_SSH_PORT = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What to write, and what to say about it."""

    files: Mapping[str, bytes]
    """Path in the repository -> content; none of them is there yet."""
    nodes: tuple[FoundNode, ...]
    groups: tuple[FoundGroup, ...]
    others: tuple[FoundFile, ...]
    notes: tuple[Note, ...]

    def without(self, file: FoundFile, why: str) -> "Written":
        """Give the same without one file that cannot be taken after all."""
        return replace(
            self,
            files={path: content for path, content in self.files.items() if path != file.path},
            others=tuple(other for other in self.others if other != file),
            notes=(*self.notes, Note(kind=Kind.SKIPPED, place=file.place, what=f"{file.kind} {file.name}: {why}")),
        )


def files_of(harvest: Harvest, there: DesiredState, taken: Iterable[str]) -> Written:
    """Give the files for whatever is not in the repository yet; `taken` are the paths of all files in it."""
    return _Writing(there, taken).write(harvest)


class _Writing:
    def __init__(self, there: DesiredState, taken: Iterable[str]) -> None:
        self._taken = {path.lower() for path in taken}
        self._ids = {str(node.id).lower(): node for node in there.nodes.values()}
        self._ways = {_way(node): node for node in there.nodes.values()}
        self._groups = {str(name).lower() for name in there.groups}
        self._named = {
            "association": {str(name).lower() for name in there.associations},
            "baseline": {str(name).lower() for name in there.baselines},
            "document": {str(name).lower() for name in there.documents},
        }
        self._renamed: dict[NodeId, NodeId] = {}
        """Found nodes that are there already under another id: gateways are named as they are there."""
        self._refused: set[NodeId] = set()
        self._notes: list[Note] = []
        self._files: dict[str, bytes] = {}

    def write(self, harvest: Harvest) -> Written:
        nodes = [node for node in harvest.nodes if not self._is_there(node)]
        nodes = self._validated(nodes)
        for node in nodes:
            self._files[_node_path(node)] = node_yaml(self._routed(node)).encode()
        tags = {tag for node in nodes for tag in node.tags}
        groups = [group for group in harvest.groups if self._is_new_group(group) and group.tag in tags]
        for group in groups:
            self._files[f"state/groups/{group.name}.yaml"] = group_yaml(group).encode()
        others = [file for file in harvest.files if not self._has(file)]
        self._files |= {file.path: file.content for file in others}
        return Written(
            files=dict(sorted(self._files.items())),
            nodes=tuple(nodes),
            groups=tuple(groups),
            others=tuple(others),
            notes=(*harvest.notes, *self._notes),
        )

    def _note(self, kind: Kind, place: str, what: str) -> None:
        self._notes.append(Note(kind=kind, place=place, what=what))

    def _is_there(self, node: FoundNode) -> bool:
        known = self._ids.get(str(node.id).lower())
        if known is not None:
            self._note(Kind.LEFT_ALONE, node.place, f"node {node.id} is there already, in {known.file}")
            self._renamed[node.id] = known.id
            return True
        same = self._ways.get(self._routed(node).way)
        if same is not None:
            self._note(Kind.LEFT_ALONE, node.place, f"node {node.id} is there already as {same.id}, in {same.file}")
            self._renamed[node.id] = same.id
            return True
        if _node_path(node).lower() in self._taken:
            self._note(Kind.LEFT_ALONE, node.place, f"node {node.id}: the file {_node_path(node)} is there already")
            self._refused.add(node.id)
            return True
        return False

    def _routed(self, node: FoundNode) -> FoundNode:
        gateway = None if node.gateway is None else self._renamed.get(node.gateway, node.gateway)
        return FoundNode(
            id=node.id,
            place=node.place,
            address=node.address,
            port=node.port,
            user=node.user,
            identity_file=node.identity_file,
            gateway=gateway,
            become=node.become,
            tags=node.tags,
        )

    def _validated(self, nodes: list[FoundNode]) -> list[FoundNode]:
        """Leave out what the repository's own reader refuses, and then whoever is only reached through such a node."""
        good = []
        for node in nodes:
            trouble = _trouble(node)
            if trouble is None:
                good.append(node)
            else:
                self._note(Kind.SKIPPED, node.place, f"{node.id}: {trouble}")
                self._refused.add(node.id)
        while lost := [node for node in good if node.gateway in self._refused]:
            for node in lost:
                self._note(Kind.SKIPPED, node.place, f"{node.id}: its gateway {node.gateway} was not imported")
                self._refused.add(node.id)
            good = [node for node in good if node.id not in self._refused]
        return good

    def _has(self, file: FoundFile) -> bool:
        """Say whether the repository has such a thing, by its name or by its file; its own and the bundled ones win."""
        if file.name.lower() in self._named[file.kind] or file.path.lower() in self._taken:
            self._note(Kind.LEFT_ALONE, file.place, f"{file.kind} {file.name} is there already")
            return True
        self._named[file.kind].add(file.name.lower())
        return False

    def _is_new_group(self, group: FoundGroup) -> bool:
        path = f"state/groups/{group.name}.yaml"
        if str(group.name).lower() in self._groups or path.lower() in self._taken:
            self._note(Kind.LEFT_ALONE, group.place, f"group {group.name} is there already")
            return False
        _, problems = read_state({path: group_yaml(group).encode()})
        wrong = [problem for problem in problems if problem.gravity is Gravity.ERROR]
        if wrong:
            self._note(Kind.SKIPPED, group.place, f"group {group.name}: {wrong[0].message}; {wrong[0].remedy}")
            return False
        self._groups.add(str(group.name).lower())
        return True


def _way(node: Node) -> tuple[str, int, str]:
    port = node.port if node.address else 0
    return (node.address or "").lower(), port, str(node.gateway or "").lower()


def _trouble(node: FoundNode) -> str | None:
    """Say what the repository's reader has against a node, beyond its gateway, which is looked at with the others."""
    alone = node_yaml(node, with_gateway=False).encode()
    desired, problems = read_state({_node_path(node): alone})
    wrong = [problem for problem in problems if problem.gravity is Gravity.ERROR]
    if wrong:
        met = f" ({wrong[0].value})" if wrong[0].value else ""
        return f"{wrong[0].message}{met}; {wrong[0].remedy}"
    if desired is None or node.id not in desired.nodes:
        return "it does not read back as a node"
    return None


def _node_path(node: FoundNode) -> str:
    return f"state/nodes/{node.id}.yaml"


def node_yaml(node: FoundNode, *, with_gateway: bool = True) -> str:
    """Give a node's file, at `Mode: warn` until somebody has read it."""
    lines = [f"Id: {quoted(node.id)}"]
    if node.address is None:
        lines.append("Transport: local")
    else:
        lines.append(f"Address: {quoted(node.address)}")
        lines += [f"Port: {node.port}"] if node.port != _SSH_PORT else []
        lines += [f"User: {quoted(node.user)}"] if node.user is not None else []
        lines += [f"IdentityFile: {quoted(node.identity_file)}"] if node.identity_file is not None else []
    if node.gateway is not None and with_gateway:
        lines.append(f"Gateway: {quoted(node.gateway)}")
    lines += ["Become: sudo"] if node.become else []
    lines.append("Mode: warn")
    if node.tags:
        lines += ["Tags:", *(f"  {quoted(name)}: {quoted(value)}" for name, value in sorted(node.tags.items()))]
    return "\n".join(lines) + "\n"


def group_yaml(group: FoundGroup) -> str:
    """Give a group's file."""
    query = f"{{TagFilters: [{{Key: {quoted(group.tag)}, Values: [{quoted(MEMBER)}]}}]}}"
    return f"Name: {quoted(group.name)}\nResourceQuery: {query}\n"


def quoted(text: str) -> str:
    """Write a text as a YAML scalar of one line that reads back as the same text, whatever it holds."""
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    escaped = "".join(_escape(char) for char in text)
    return f'"{escaped}"'


def _escape(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\U{ord(char):08x}"  # noqa: PLR2004  (one byte)
