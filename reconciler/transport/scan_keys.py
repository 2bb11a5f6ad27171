"""Asks servers which host keys they show, many at once and without logging in: lines for review, never trusted by themselves."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from reconciler.errors import NodeError, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.node import Node
from reconciler.transport.known_hosts import HostKey
from reconciler.transport.node_errors import node_errors
from reconciler.transport.ssh import Patience, await_greeting, open_tcp, quiet_transport, wake

ASKED = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")
"""A server shows one key a connection: each kind is asked for on a connection of its own."""


def scan_keys(
    nodes: Iterable[Node], *, workers: int = 32, patience: Patience | None = None
) -> Mapping[NodeId, tuple[HostKey, ...] | NodeError]:
    """Give every key each node's server shows, or why it showed none."""
    asked = tuple(nodes)
    if not asked:
        return {}
    with ThreadPoolExecutor(max_workers=min(workers, len(asked)), thread_name_prefix="scan") as pool:
        answers = pool.map(lambda node: _scan(node, patience or Patience()), asked)
        return {node.id: answer for node, answer in zip(asked, answers, strict=True)}


def _scan(node: Node, patience: Patience) -> tuple[HostKey, ...] | NodeError:
    if node.gateway is not None or node.address is None:
        why = f"it is behind {node.gateway}: scan from there" if node.gateway else "it has no Address"
        return NodeUnreachable(
            node.id, f"its keys cannot be scanned from here, {why} (ssh-keyscan), and add the lines by hand"
        )
    try:
        found = [key for kind in ASKED if (key := _key_of(node, kind, patience)) is not None]
    except NodeError as error:
        return error
    if not found:
        return NodeUnreachable(node.id, f"{node.address} port {node.port} shows no host key of a kind we speak")
    return tuple(found)


def _key_of(node: Node, kind: str, patience: Patience) -> HostKey | None:
    sock = open_tcp(node, patience)
    try:
        await_greeting(node.id, sock, f"{node.address} port {node.port}", patience)
        with node_errors(node.id, f"asking {node.address} port {node.port} for its host key"):
            transport = quiet_transport((HostKey(kind, ""),))(sock)
            offered = transport.get_security_options()
            offered.key_types = [name for name in offered.key_types if _is_of(name, kind)]
            try:
                transport.start_client(timeout=patience.greeting.total_seconds())
                shown = transport.get_remote_server_key()
                return HostKey(shown.get_name(), shown.get_base64())
            except IncompatiblePeer:
                return None
            finally:
                _end(transport)
    finally:
        sock.close()


def _is_of(algorithm: str, kind: str) -> bool:
    return algorithm == kind or (kind == "ssh-rsa" and algorithm.startswith("rsa-sha2-"))


def _end(transport: paramiko.Transport) -> None:
    wake(transport)
    transport.close()
    transport.join(10)
