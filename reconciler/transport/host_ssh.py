"""What the management host's own ssh configuration adds to how a node is reached; the node's own file always wins.

Takes the text of one file and a node, and gives the node as it is reached here: HostName, Port, User, IdentityFile and ProxyJump
of the `Host` blocks that fit its Address, for what its YAML leaves open. No `Match`, no Include, no ProxyCommand: nothing of it
is ever run. Keys named there may lie anywhere: it is the host's word, as KeyDirectory is; a repository only ever gives names.
"""

import getpass
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.errors import NodeUnreachable, SettingsError
from reconciler.ids import NodeId
from reconciler.model.node import Node, Transport
from reconciler.model.reading.address import address_trouble
from reconciler.model.reading.ssh_config import HostSays, Said, SshConfig, expanded_name, read_hop, read_ssh_config
from reconciler.problem import Gravity

JUMP = "ProxyJump "
"""How the ids of hosts begin that only a ProxyJump names: with its blank, no node's id does."""

MOST_HOPS = 8


@dataclass(frozen=True, slots=True)
class Reach:
    """A node as this host reaches it."""

    node: Node
    identity_files: tuple[Path, ...] = ()
    """Keys that the host's configuration names; empty where the node names one."""


class HostSsh:
    """The host's configuration, read once; without a file everything is as the repository says."""

    def __init__(self, config: SshConfig | None = None) -> None:
        self._config = config
        self._jumps: dict[NodeId, Node] = {}

    @classmethod
    def read(cls, file: Path) -> "HostSsh":
        """Read a file. Raises SettingsError where it does not read, or where others may write it."""
        try:
            seen = file.stat()
            if seen.st_uid not in {0, os.geteuid()} or seen.st_mode & 0o022:
                raise SettingsError(
                    f"{file}: others may write this file, and with it say where to log in; chmod go-w it"
                )
            data = file.read_bytes()
        except OSError as error:
            raise SettingsError(f"{file}: cannot be read ({error.strerror}); `SshConfig: none` reads none") from error
        config = read_ssh_config(str(file), data, lambda _: "only the file itself is read")
        for problem in config.problems:
            if problem.gravity is Gravity.ERROR:
                raise SettingsError(f"{problem}; `SshConfig: none` in the host settings reads no such file")
        return cls(config)

    def jump(self, node: NodeId) -> Node | None:
        """Give a host that a ProxyJump names, by the id that `reach` gave as a gateway."""
        return self._jumps.get(node)

    def reach(self, node: Node) -> Reach:
        """Fill in what the node leaves open. Raises NodeUnreachable where the configuration cannot be followed."""
        if self._config is None or node.address is None or node.transport is Transport.LOCAL:
            return Reach(node)
        says = self._config.about(node.address)
        gateway = node.gateway
        if gateway is None and node.id not in self._jumps:
            gateway = self._gateway(node, says)
        reached = replace(
            node,
            address=_address(node, node.address, says),
            port=int(says.port.text) if says.port and not node.port_is_written else node.port,
            user=node.user or (says.user.text if says.user else None),
            gateway=gateway,
        )
        return Reach(reached, () if node.identity_file else tuple(_paths(node, says)))

    def _gateway(self, node: Node, says: HostSays) -> NodeId | None:
        """Give the last of the hosts in front of a node; each is reached through the one before it, as they are written."""
        said = says.proxy_jump
        if said is None or said.text.lower() == "none":
            return None
        hops = said.text.split(",")
        if len(hops) > MOST_HOPS:
            raise NodeUnreachable(node.id, f"{said.place}: ProxyJump leads through more than {MOST_HOPS} hosts")
        gateway: NodeId | None = None
        for number, text in enumerate(hops, start=1):
            hop = read_hop(text)
            if hop is None or address_trouble(hop.host) is not None:
                raise NodeUnreachable(node.id, f"{said.place}: ProxyJump is not [user@]host[:port]: {text[:80]}")
            if node.address is not None and hop.host.lower() == node.address.lower():
                return gateway  # a wildcard that means the jump host too
            jump = NodeId(JUMP + ",".join(hops[:number]))
            self._jumps[jump] = Node(
                id=jump,
                address=hop.host,
                port=hop.port or 22,
                port_is_written=hop.port is not None,
                user=hop.user,
                gateway=gateway,
                file=said.place,
            )
            gateway = jump
        return gateway


def _address(node: Node, name: str, says: HostSays) -> str:
    if says.hostname is None:
        return name
    address = expanded_name(name, says.hostname.text)
    trouble = ("a variable is not filled in", "") if address is None else address_trouble(address)
    if address is None or trouble is not None:
        why = trouble[0] if trouble else ""
        raise NodeUnreachable(node.id, f"{says.hostname.place}: HostName {says.hostname.text[:80]}: {why}")
    return address


def _paths(node: Node, says: HostSays) -> Iterator[Path]:
    for said in says.identity_files:
        if said.text.lower() != "none":
            yield _path(node, said)


def _path(node: Node, said: Said) -> Path:
    """Fill in `~`, %d, %u and %%: nothing that a repository has a say in becomes part of a path."""
    known = {"%d": str(Path.home()), "%u": getpass.getuser(), "%%": "%"}
    unknown = [token for token in re.findall(r"%.?", said.text) if token not in known]
    if unknown or "$" in said.text:
        problem = f"{said.place}: IdentityFile {said.text[:80]}: only ~, %d, %u and %% are filled in"
        raise NodeUnreachable(node.id, problem)
    return Path(re.sub(r"%.", lambda token: known[token[0]], said.text)).expanduser()
