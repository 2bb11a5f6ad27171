"""An ssh configuration as nodes: takes what `model.reading.ssh_config` read, gives a node for every host that it names.

Wildcards give defaults and no nodes. ProxyJump becomes Gateway, hop by hop; ProxyCommand is told of and never followed.
"""

from reconciler.ids import NodeId
from reconciler.importing.harvest import FoundNode, Harvest, Kind, Note, node_id
from reconciler.importing.keys import KeyPlace, key_name
from reconciler.model.reading.ssh_config import Hop, HostSays, Said, SshConfig, expanded_name, read_hop
from reconciler.problem import Gravity

TAG = {"Imported-From": "ssh-config"}
_MOST_HOPS = 8


def nodes_of(config: SshConfig, keys: KeyPlace) -> Harvest:
    """Give a node for every host name that stands without wildcards."""
    return _Reading(config, keys).harvest()


class _Refused(Exception):
    """Why a host cannot become a node."""


class _Reading:
    def __init__(self, config: SshConfig, keys: KeyPlace) -> None:
        self._config = config
        self._keys = keys
        self._nodes: dict[NodeId, FoundNode] = {}
        self._by_way: dict[tuple[str, int, str], NodeId] = {}
        self._taken: dict[str, str] = {}
        self._notes: dict[Note, None] = {}

    def harvest(self) -> Harvest:
        for problem in self._config.problems:
            if problem.gravity is Gravity.LINT:
                remedy = f"; {problem.remedy}" if problem.remedy else ""
                self._note(Kind.NOTE, f"{problem.file}:{problem.line}", f"{problem.message} ({problem.value}){remedy}")
        # Names with a Host block are claimed first: a gateway found on the way must not take one of them.
        for name, said in self._config.names.items():
            try:
                self._add(name, said)
            except _Refused as why:
                self._note(Kind.SKIPPED, said.place, f"{name}: {why}")
        return Harvest(nodes=tuple(self._nodes.values()), notes=tuple(self._notes))

    def _note(self, kind: Kind, place: str, what: str) -> None:
        # One line about a wildcard block, not one for each host that it is about.
        self._notes[Note(kind=kind, place=place, what=what)] = None

    def _add(self, name: str, said: Said) -> None:
        says = self._config.about(name)
        gateway = self._gateway(says, (name.lower(),))
        self._node(name, says, gateway, said.place, is_named=True)

    def _node(
        self,
        name: str,
        says: HostSays,
        gateway: NodeId | None,
        place: str,
        *,
        is_named: bool,
        hop: Hop | None = None,
    ) -> NodeId:
        """Give the node for a name, made where its way is new."""
        address = _expanded(name, says.hostname)
        user = hop.user if hop and hop.user else says.user.text if says.user else None
        port = hop.port if hop and hop.port else int(says.port.text) if says.port else 22
        way = (address.lower(), port, str(gateway or "").lower())
        there = self._by_way.get(way)
        if there is not None:
            self._same_machine(name, there, user, place, is_named=is_named)
            return there
        found = node_id(name)
        if found is None:
            raise _Refused("no node id can be made of this name")
        if found != name:
            self._note(Kind.NOTE, place, f"{name} is no node id: imported as {found}")
        if found.lower() in self._taken:
            if is_named:
                raise _Refused(f"its id {found} is taken by the host at {self._taken[found.lower()]}")
            found = self._free(NodeId(f"{found[:80]}-gateway"))
        self._taken[found.lower()] = place
        self._by_way[way] = found
        self._nodes[found] = FoundNode(
            id=found,
            place=place,
            address=address,
            port=port,
            user=user,
            identity_file=self._key(name, says),
            gateway=gateway,
            tags=TAG,
        )
        if says.proxy_command is not None and says.proxy_command.text.lower() != "none":
            remedy = "if it leads through another host, write `Gateway: ID` into the node's file"
            self._note(Kind.NOTE, says.proxy_command.place, f"{name}: ProxyCommand is not followed; {remedy}")
        return found

    def _same_machine(self, name: str, there: NodeId, user: str | None, place: str, *, is_named: bool) -> None:
        known = self._nodes[there]
        if is_named and there != name:
            self._note(Kind.SKIPPED, place, f"{name}: the same address and port as {there}, which is imported")
        elif not is_named and user != known.user and user is not None:
            self._note(
                Kind.NOTE, place, f"gateway {there} logs in as {known.user or 'the default user'}, not as {user}"
            )

    def _free(self, wanted: NodeId) -> NodeId:
        number = 1
        found = wanted
        while found.lower() in self._taken:
            number += 1
            found = NodeId(f"{wanted}-{number}")
        return found

    def _gateway(self, says: HostSays, way: tuple[str, ...]) -> NodeId | None:
        """Give the node a host is reached through, with the nodes before that one."""
        said = says.proxy_jump
        if said is None or said.text.lower() == "none":
            return None
        hops = [_hop(text, said) for text in said.text.split(",")]
        if len(hops) + len(way) > _MOST_HOPS:
            raise _Refused(f"ProxyJump at {said.place} leads through more than {_MOST_HOPS} hosts")
        gateway: NodeId | None = None
        for number, hop in enumerate(hops):
            if hop.host.lower() in way:
                raise _Refused(f"ProxyJump at {said.place} leads in a circle: {' -> '.join((*way, hop.host))}")
            hop_says = self._config.about(hop.host)
            if number == 0:
                gateway = self._gateway(hop_says, (*way, hop.host.lower()))
            named = self._config.names.get(hop.host)
            place = said.place if named is None else named.place
            gateway = self._node(hop.host, hop_says, gateway, place, is_named=False, hop=hop)
        return gateway

    def _key(self, name: str, says: HostSays) -> str | None:
        """Give the name of the first key that lies in the key directory; tell of the others."""
        chosen: str | None = None
        for said in says.identity_files:
            if said.text.lower() == "none":
                continue
            key, why = key_name(said.text, self._keys)
            if key is None:
                self._note(Kind.NOTE, said.place, why)
            elif chosen is None:
                chosen = key
            else:
                self._note(Kind.NOTE, said.place, f"{name}: a node has one IdentityFile, {chosen}; {key} is left out")
        return chosen


def _hop(text: str, said: Said) -> Hop:
    found = read_hop(text)
    if found is None:
        raise _Refused(f"ProxyJump at {said.place} is not [user@]host[:port]: {text}")
    return found


def _expanded(name: str, hostname: Said | None) -> str:
    """Give the address: HostName, in which %h is the name itself."""
    if hostname is None:
        return name
    text = expanded_name(name, hostname.text)
    if text is None:
        raise _Refused(f"HostName {hostname.text} at {hostname.place} holds a variable that is not filled in")
    return text
