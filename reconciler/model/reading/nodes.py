"""`state/nodes/*.yaml` and `state/groups/*.yaml`: YAML values -> Node and Group records; looks at no other file."""

from reconciler.ids import GroupName, NodeId
from reconciler.model.association import Target
from reconciler.model.desired import Group
from reconciler.model.node import Become, Mode, Node, Transport, least_intervening
from reconciler.model.reading.address import address_trouble
from reconciler.model.reading.fleet import SshDefaults
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.schema import check
from reconciler.model.reading.values import Table, Value

_NOT_LOCAL = ("Address", "Port", "User", "IdentityFile", "Gateway")


def read_node(value: Value, defaults: SshDefaults, mistakes: Mistakes) -> Node | None:
    """Read one node; None after a mistake."""
    fits = check("node", value, mistakes)
    if not isinstance(value, Table):
        return None
    scalar = value.scalar
    transport = Transport.LOCAL if scalar("Transport") == "local" else Transport.SSH
    if not _address_fits(value, transport, mistakes) or not fits:
        return None
    local = transport is Transport.LOCAL
    gateway = scalar("Gateway")
    tags = value.table("Tags")
    return Node(
        id=NodeId(scalar("Id") or ""),
        address=scalar("Address"),
        port=value.integer("Port") or 22,
        port_is_written="Port" in value.entries,
        user=None if local else scalar("User") or defaults.user,
        identity_file=None if local else scalar("IdentityFile") or defaults.identity_file,
        gateway=None if gateway is None else NodeId(gateway),
        transport=transport,
        become=Become(scalar("Become") or "none"),
        mode=least_intervening(Mode(scalar("Mode") or "enforce"), defaults.mode),
        tags={} if tags is None else {key: tags.scalar(key) or "" for key in tags.entries},
        former_ids=tuple(NodeId(former.text) for former in value.texts("FormerIds")),
        file=f"{mistakes.file}:{value.line}",
    )


def _address_fits(value: Table, transport: Transport, mistakes: Mistakes) -> bool:
    """Hold the address against its grammar; an ssh node has one, a local node has nothing of the kind."""
    if transport is Transport.LOCAL:
        wrong = [key for key in _NOT_LOCAL if key in value.entries]
        for key in wrong:
            mistakes.error(
                value.places[key], "a node with Transport: local has no such key", value=key, remedy="remove it"
            )
        return not wrong
    address = value.entries.get("Address")
    if address is None:
        mistakes.error(value, "Address is missing", value=value.scalar("Id"), remedy="add Address, or Transport: local")
        return False
    trouble = address_trouble(value.scalar("Address") or "")
    if trouble is not None:
        mistakes.error(address, trouble[0], remedy=trouble[1])
    return trouble is None


def read_group(value: Value, mistakes: Mistakes) -> Group | None:
    """Read one resource group; None after a mistake."""
    if not check("group", value, mistakes) or not isinstance(value, Table):
        return None
    query = value.table("ResourceQuery")
    filters = [] if query is None else query.tables("TagFilters")
    return Group(
        name=GroupName(value.scalar("Name") or ""),
        tag_filters=tuple(
            Target(key=one.scalar("Key") or "", values=tuple(text.text for text in one.texts("Values")))
            for one in filters
        ),
    )
