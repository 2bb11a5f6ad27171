"""What files say about each other: names that must be unique, names that must exist, circles. Adds mistakes, changes nothing.

It looks at mappings as they were met, so that a mistake elsewhere in one of them hides nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from reconciler.ids import DocumentName
from reconciler.model.baseline import PATCH_GROUP_TAGS
from reconciler.model.document import Document, Parameter
from reconciler.model.reading.baseline_checks import check_baselines
from reconciler.model.reading.files import Repository, Seen
from reconciler.model.reading.mistakes import drawn
from reconciler.model.reading.values import Items, Scalar, Table, Value, is_null


def check_references(repository: Repository) -> None:
    """Hold everything that was read against everything else."""
    seen = repository.seen
    _say_doubles(seen["node"], "Id", "nodes with one Id (upper and lower case are the same)", str.lower)
    _say_doubles(seen["group"], "Name", "groups with one Name")
    _say_doubles(seen["association"], "AssociationName", "associations with one AssociationName")
    _say_doubles(seen["window"], "Name", "windows with one Name")
    _say_doubles(seen["baseline"], "Name", "baselines with one Name")
    _say_doubles(seen["parameter"], "Name", "parameters with one Name", _root_name)
    check_baselines(seen["baseline"])
    _check_patch_groups(seen["node"])
    _check_gateways(seen["node"])
    _check_former_ids(seen["node"])
    _check_dependencies(seen["association"])
    names = _Names(
        groups=[*_by_name(seen["group"], "Name")],
        nodes=[*_by_name(seen["node"], "Id")],
    )
    for one in seen["association"]:
        names.check_targets(one)
        _check_document(one, repository)


def _root_name(name: str) -> str:
    """`/x` and `x` are one parameter; `/a/x` is another."""
    return name[1:] if name.startswith("/") and "/" not in name[1:] else name


def _say_doubles(seen: Sequence[Seen], key: str, what: str, identity: Callable[[str], str] = lambda name: name) -> None:
    first: dict[str, Seen] = {}
    for one in seen:
        name = one.table.scalar(key)
        other = one if name is None else first.setdefault(identity(name), one)
        if other is not one:
            line = other.table.entries[key].line
            message = f"two {what}, the first at {other.mistakes.file}:{line}"
            one.mistakes.error(one.table.entries[key], message, remedy="rename or remove one")


def _by_name(seen: Sequence[Seen], key: str) -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    for one in seen:
        name = one.table.scalar(key)
        if name is not None:
            found.setdefault(name, one)
    return found


# ---------------------------------------------------------------- nodes


def _check_patch_groups(nodes: Sequence[Seen]) -> None:
    """Doubt a node in two patch groups by the two spellings of the tag."""
    for one in nodes:
        tags = one.table.table("Tags")
        named = [] if tags is None else [tags.scalar(tag) for tag in PATCH_GROUP_TAGS]
        if tags is not None and len({name for name in named if name is not None}) > 1:
            spelled = " and ".join(PATCH_GROUP_TAGS)
            message = f"{spelled} name two patch groups: the node gets no baseline, and nothing is patched"
            one.mistakes.lint(tags, message, value="", remedy="keep one of the tags")


def _check_gateways(seen: Sequence[Seen]) -> None:
    nodes = _by_name(seen, "Id")
    for one in seen:
        gateway = one.table.scalar("Gateway")
        if gateway is None:
            continue
        place = one.table.entries["Gateway"]
        if gateway not in nodes:
            remedy = one.mistakes.did_you_mean(gateway, nodes) or "add that node, or remove Gateway"
            one.mistakes.error(place, "Gateway: no node has this Id", remedy=remedy)
        elif nodes[gateway].table.scalar("Transport") == "local":
            message = "Gateway: that node is the management host itself"
            one.mistakes.error(place, message, remedy="remove Gateway: no detour is needed")
    edges = {name: [via] if (via := one.table.scalar("Gateway")) else [] for name, one in nodes.items()}
    for circle in _circles(edges):
        one = nodes[circle[0]]
        message = f"gateways go in a circle: {drawn(circle)}"
        one.mistakes.error(one.table.entries["Gateway"], message, remedy="let one of them be reached directly")


def _check_former_ids(seen: Sequence[Seen]) -> None:
    nodes = {name.lower(): one for name, one in _by_name(seen, "Id").items()}
    taken: dict[str, Seen] = {}
    for one in seen:
        for place in one.table.texts("FormerIds"):
            former = place.text.lower()
            other = nodes.get(former) or taken.get(former)
            taken.setdefault(former, one)
            if other is not None:
                message = f"FormerIds: the node at {other.where} bears or bore this Id"
                one.mistakes.error(place, message, remedy="a history goes to one node only: remove it from one")


# ---------------------------------------------------------------- associations


def _check_dependencies(seen: Sequence[Seen]) -> None:
    associations = _by_name(seen, "AssociationName")
    for one in seen:
        for place in one.table.texts("DependsOn"):
            if place.text not in associations:
                remedy = (
                    one.mistakes.did_you_mean(place.text, associations) or "add that association, or remove it here"
                )
                one.mistakes.error(place, "DependsOn: no association has this name", remedy=remedy)
    edges = {name: [place.text for place in one.table.texts("DependsOn")] for name, one in associations.items()}
    for circle in _circles(edges):
        one = associations[circle[0]]
        message = f"DependsOn goes in a circle: {drawn(circle)}"
        one.mistakes.error(one.table.entries["DependsOn"], message, value=circle[-1], remedy="remove one of them")


def _circles(edges: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Give one circle for each knot; without recursion, since a chain may have 10,000 links."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        on_path: dict[str, int] = {}
        work: list[tuple[str, bool]] = [(start, False)]
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


class _Names:
    """What targets refer to."""

    def __init__(self, *, groups: Sequence[str], nodes: Sequence[str]) -> None:
        self.groups = dict.fromkeys(groups)
        self.nodes = dict.fromkeys(nodes)

    def check_targets(self, one: Seen) -> None:
        for target in one.table.tables("Targets"):
            key = (target.scalar("Key") or "").lower()
            for place in target.texts("Values"):
                if key == "resource-groups:name" and place.text not in self.groups:
                    remedy = (
                        one.mistakes.did_you_mean(place.text, self.groups) or "add state/groups/*.yaml with this Name"
                    )
                    one.mistakes.error(place, "Targets: no group has this Name", remedy=remedy)
                if key == "instanceids" and place.text != "*" and place.text not in self.nodes:
                    remedy = one.mistakes.did_you_mean(place.text, self.nodes)
                    one.mistakes.lint(place, "Targets: no node has this Id", remedy=remedy)


def _check_document(one: Seen, repository: Repository) -> None:
    name = one.table.scalar("Name")
    if name is None or name in repository.library.broken:
        return  # the mistake is told where it is
    versions = repository.documents.get(DocumentName(name))
    if versions is None:
        remedy = one.mistakes.did_you_mean(name, repository.documents) or f"add documents/{name[:128]}.yaml"
        one.mistakes.error(one.table.entries["Name"], "there is no such document", remedy=remedy)
        return
    document = versions.get(one.table.scalar("DocumentVersion") or "$DEFAULT")
    if document is None:
        known = ", ".join(sorted(versions.versions, key=int)[:20])
        place = one.table.entries["DocumentVersion"]
        if repository.history_unknown:
            message = "which content this version has stands in git's history, and all of it is not here"
            one.mistakes.lint(
                place, message, remedy="fetch the whole history (`git fetch --unshallow`) to have it checked"
            )
            return
        one.mistakes.error(place, f"{name} has no such version", remedy=f"write $DEFAULT, $LATEST or one of {known}")
        return
    _check_hash(one, document)
    _check_parameters(one, document)


def _check_hash(one: Seen, document: Document) -> None:
    """Hold the pin against the file's bytes, as `sha256sum` gives them; a kind without a hash pins nothing."""
    pinned, kind = one.table.scalar("DocumentHash"), one.table.entries.get("DocumentHashType")
    if pinned is None:
        if kind is not None:
            one.mistakes.error(kind, "DocumentHashType without DocumentHash pins nothing", remedy="add DocumentHash")
        return
    if pinned.lower() != document.digest:
        message = (
            f"{document.name}, version {document.version}, is not what is pinned: it has SHA-256 {document.digest}"
        )
        remedy = "review the change, then pin that; or pin the version that was meant (DocumentVersion)"
        one.mistakes.error(one.table.entries["DocumentHash"], message, remedy=remedy)


def _check_parameters(one: Seen, document: Document) -> None:
    found = one.table.entries.get("Parameters")
    if found is not None and not isinstance(found, Table):
        return
    given: Mapping[str, Value] = {} if found is None else found.entries
    for key, value in given.items():
        parameter = document.parameters.get(key)
        if parameter is not None:
            _check_parameter(one, parameter, value)
        elif found is not None:
            remedy = one.mistakes.did_you_mean(key, document.parameters) or "remove it"
            one.mistakes.error(found.places[key], f"{document.name} has no such parameter", value=key, remedy=remedy)
    for parameter in document.parameters.values():
        if parameter.required and parameter.name not in given:
            message = f"{document.name} needs the parameter {parameter.name}"
            remedy = f"add Parameters: {{{parameter.name}: [...]}}"
            one.mistakes.error(found or one.table, message, value="", remedy=remedy)


def _check_parameter(one: Seen, parameter: Parameter, value: Value) -> None:
    """Hold a literal value against what needs no conversion; the rest is checked when the document is rendered."""
    name = parameter.name
    if is_null(value):
        one.mistakes.error(value, f"{name}: no value", remedy="give one, or remove the key")
    elif parameter.type == "String" and isinstance(value, Items) and len(value.items) != 1:
        message = f"{name} is a String: it takes one value, not {len(value.items)}"
        one.mistakes.error(value, message, remedy="write a list of one text")
    elif parameter.type in {"String", "StringList"} and parameter.allowed_values is not None:
        allowed = [str(one) for one in parameter.allowed_values]
        for text in value.items if isinstance(value, Items) else [value]:
            if isinstance(text, Scalar) and "{{" not in text.text and text.text not in allowed:
                one.mistakes.error(text, f"{name} takes one of {', '.join(allowed[:20])}")
