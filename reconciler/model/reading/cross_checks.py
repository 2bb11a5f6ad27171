"""What files say about each other: names that must be unique, names that must exist, circles. Adds mistakes, changes nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from reconciler.model.association import Association
from reconciler.model.document import Document, Parameter
from reconciler.model.known import JsonValue
from reconciler.model.node import Node, Transport
from reconciler.model.reading.files import Read, Repository, T
from reconciler.model.reading.mistakes import did_you_mean
from reconciler.model.reading.values import Value


def check_references(repository: Repository) -> None:
    """Hold the records of all files against each other."""
    _say_doubles(repository.nodes, "node", "Id", lambda node: node.id.lower())
    _say_doubles(repository.groups, "group", "Name", lambda group: group.name)
    _say_doubles(repository.associations, "association", "AssociationName", lambda one: one.name)
    _say_doubles(repository.windows, "window", "Name", lambda window: window.name)
    _say_doubles(repository.baseline_reads, "baseline", "Name", lambda baseline: baseline.name)
    _say_doubles(repository.parameters, "parameter", "Name", lambda one: one.name.removeprefix("/") if one.name.count("/") < 2 else one.name)  # fmt: skip
    _check_gateways(repository)
    _check_former_ids(repository)
    _check_dependencies(repository)
    for read in repository.associations:
        _check_targets(read, repository)
        _check_document(read, repository)


def _say_doubles(reads: Sequence[Read[T]], kind: str, key: str, identity: Callable[[T], str]) -> None:
    first: dict[str, Read[T]] = {}
    for read in reads:
        name = identity(read.record)
        other = first.setdefault(name, read)
        if other is not read:
            where = f"{other.mistakes.file}:{other.table.entries[key].line}"
            message = f"two {kind}s with one name, the first at {where}"
            read.mistakes.error(read.table.entries[key], message, remedy=f"rename or remove one (case does not count)" if kind == "node" else "rename or remove one")  # fmt: skip


# ---------------------------------------------------------------- nodes


def _check_gateways(repository: Repository) -> None:
    nodes = {read.record.id: read for read in repository.nodes}
    for read in repository.nodes:
        gateway = read.record.gateway
        if gateway is None:
            continue
        place = read.table.entries["Gateway"]
        if gateway not in nodes:
            remedy = did_you_mean(gateway, [*nodes]) or "add that node, or remove Gateway"
            read.mistakes.error(place, "Gateway: no node has this id", remedy=remedy)
        elif nodes[gateway].record.transport is Transport.LOCAL:
            message = "Gateway: that node is the management host itself"
            read.mistakes.error(place, message, remedy="remove Gateway: no detour is needed")
    for circle in _circles(
        {node: [] if (via := read.record.gateway) is None else [via] for node, read in nodes.items()}
    ):
        read = nodes[circle[0]]
        message = f"gateways go in a circle: {' -> '.join([*circle, circle[0]])}"
        read.mistakes.error(read.table.entries["Gateway"], message, remedy="let one of them be reached directly")


def _check_former_ids(repository: Repository) -> None:
    nodes = {read.record.id.lower(): read for read in repository.nodes}
    taken: dict[str, Read[Node]] = {}
    for read in repository.nodes:
        for place, former in zip(read.table.texts("FormerIds"), read.record.former_ids, strict=True):
            other = nodes.get(former.lower()) or taken.get(former.lower())
            taken.setdefault(former.lower(), read)
            if other is not None:
                where = f"{other.mistakes.file}:{other.table.line}"
                message = f"FormerIds: the node at {where} bears or bore this id"
                read.mistakes.error(place, message, remedy="a history goes to one node only: remove it from one")


# ---------------------------------------------------------------- associations


def _check_dependencies(repository: Repository) -> None:
    reads = {read.record.name: read for read in repository.associations}
    for read in repository.associations:
        for place, name in zip(read.table.texts("DependsOn"), read.record.depends_on, strict=True):
            if name not in reads:
                remedy = did_you_mean(name, [*reads]) or "add that association, or remove it here"
                read.mistakes.error(place, "DependsOn: no association has this name", remedy=remedy)
    for circle in _circles({name: [*read.record.depends_on] for name, read in reads.items()}):
        read = reads[circle[0]]
        message = f"DependsOn goes in a circle: {' -> '.join([*circle, circle[0]])}"
        read.mistakes.error(read.table.entries["DependsOn"], message, remedy="remove one of them")


def _circles(edges: Mapping[T, Sequence[T]]) -> Iterable[list[T]]:
    """Give one circle for each knot; without recursion, since a chain may have 10,000 links."""
    done: set[T] = set()
    for start in edges:
        path: list[T] = []
        on_path: dict[T, int] = {}
        work: list[tuple[T, bool]] = [(start, False)]
        while work:
            name, leaving = work.pop()
            if leaving:
                path.pop()
                del on_path[name]
                done.add(name)
            elif name in on_path:
                yield path[on_path[name] :]
            elif name not in done and name in edges:
                on_path[name] = len(path)
                path.append(name)
                work.append((name, True))
                work.extend((other, False) for other in edges[name])


def _check_targets(read: Read[Association], repository: Repository) -> None:
    groups = {group.record.name for group in repository.groups}
    nodes = {node.record.id for node in repository.nodes}
    entries = read.table.tables("Targets")
    for table, target in zip(entries, read.record.targets, strict=False):
        for place in table.texts("Values"):
            if target.key == "resource-groups:Name" and place.text not in groups:
                remedy = did_you_mean(place.text, [*groups]) or "add state/groups/*.yaml with this Name"
                read.mistakes.error(place, "Targets: no group has this name", remedy=remedy)
            if target.key == "InstanceIds" and place.text != "*" and place.text not in nodes:
                remedy = did_you_mean(place.text, [*nodes])
                read.mistakes.lint(place, "Targets: no node has this id", remedy=remedy)


def _check_document(read: Read[Association], repository: Repository) -> None:
    name, place = read.record.document, read.table.entries["Name"]
    versions = repository.documents.get(name)
    if versions is None:
        if name not in repository.library.broken:
            remedy = did_you_mean(name, [*repository.documents]) or f"add documents/{name}.yaml"
            read.mistakes.error(place, "there is no such document", remedy=remedy)
        return
    document = versions.get(read.record.document_version)
    if document is None:
        known = ", ".join(sorted(versions.versions, key=int)[:20])
        place = read.table.entries["DocumentVersion"]
        read.mistakes.error(place, f"{name} has no such version", remedy=f"write $DEFAULT, $LATEST or one of {known}")
        return
    _check_parameters(read, document)


def _check_parameters(read: Read[Association], document: Document) -> None:
    table = read.table.table("Parameters")
    given = read.record.parameters
    for key, value in given.items():
        parameter = document.parameters.get(key)
        if table is None:
            continue
        if parameter is None:
            remedy = did_you_mean(key, [*document.parameters]) or f"{document.name} takes no parameters: remove it"
            read.mistakes.error(table.places[key], f"{document.name} has no such parameter", value=key, remedy=remedy)
        else:
            _check_parameter(read, parameter, value, table.entries[key])
    for parameter in document.parameters.values():
        if parameter.required and parameter.name not in given:
            place: Value = table if table is not None else read.table
            message = f"{document.name} needs the parameter {parameter.name}"
            remedy = f"add Parameters: {{{parameter.name}: [...]}}"
            read.mistakes.error(place, message, value="", remedy=remedy)


def _check_parameter(read: Read[Association], parameter: Parameter, value: JsonValue, place: Value) -> None:
    """Hold a literal value against what needs no conversion; the rest is checked when the document is rendered."""
    values = value if isinstance(value, list) else [value]
    if value is None:
        read.mistakes.error(place, f"{parameter.name}: no value", value="", remedy="give one, or remove the key")
    elif parameter.type == "String" and isinstance(value, list) and len(value) != 1:
        message = f"{parameter.name} is a String: it takes one value, not {len(value)}"
        read.mistakes.error(place, message, remedy="write a list of one text")
    elif parameter.type in {"String", "StringList"} and parameter.allowed_values is not None:
        for one in values:
            text = one if isinstance(one, str) else str(one).lower() if isinstance(one, bool) else str(one)
            if "{{" not in text and text not in {str(allowed) for allowed in parameter.allowed_values}:
                known = ", ".join(str(allowed) for allowed in parameter.allowed_values[:20])
                read.mistakes.error(place, f"{parameter.name} takes one of {known}", value=text)
