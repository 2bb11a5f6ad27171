"""Asks many nodes for their host keys, without logging in: lines for state/known_hosts, for people to review.

Takes nodes and, for those behind gateways, a pool; gives each node's keys or the NodeError that says why there are none. What
a network shows is not yet true: whoever reviews the lines compares the fingerprints with the console of the machine.
"""

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import paramiko

from reconciler.errors import NodeError, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.node import Node, Transport
from reconciler.transport.known_hosts import HostKey
from reconciler.transport.node_errors import node_errors
from reconciler.transport.pool import ConnectionPool
from reconciler.transport.wire import Patience, await_greeting, close, open_tcp, quiet_transport, wake

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")
"""One question each: a server shows one key a connection, the first kind we ask for that it has."""

WORKERS = 20
"""Nodes at a time."""


def scan_keys(
    nodes: Iterable[Node],
    pool: ConnectionPool | None = None,
    *,
    kinds: Iterable[str] = KINDS,
    patience: Patience | None = None,
    workers: int = WORKERS,
) -> Mapping[NodeId, tuple[HostKey, ...] | NodeError]:
    """Ask every node for its keys, many at once; one node's trouble is its own answer."""
    asked, wanted = tuple(nodes), tuple(kinds)

    def ask(node: Node) -> tuple[HostKey, ...] | NodeError:
        try:
            return _keys_of(node, pool, wanted, patience or Patience())
        except NodeError as error:
            return error

    with ThreadPoolExecutor(workers, thread_name_prefix="scan-keys") as threads:
        return {node.id: answer for node, answer in zip(asked, threads.map(ask, asked), strict=True)}


def _keys_of(
    node: Node, pool: ConnectionPool | None, kinds: tuple[str, ...], patience: Patience
) -> tuple[HostKey, ...]:
    if node.transport is Transport.LOCAL or node.address is None:
        raise NodeUnreachable(node.id, "this node is not reached over ssh: it has no host key to scan")
    keys = [_key_of(node, pool, kind, patience) for kind in kinds]
    # A server without a key of the kind asked for shows its next best one.
    return tuple(dict.fromkeys(keys))


def reach(node: Node, pool: ConnectionPool, patience: Patience | None = None) -> None:
    """Connect as far as the server's greeting and hang up; raises the NodeError that says why it cannot be."""
    with _greeted(node, pool, patience or Patience()):
        return


@contextlib.contextmanager
def _greeted(node: Node, pool: ConnectionPool | None, patience: Patience) -> Iterator[socket.socket | paramiko.Channel]:
    """Give a connection on which an SSH server speaks, through the node's gateway where it has one."""
    via: socket.socket | paramiko.Channel
    reached = node if pool is None else pool.reached(node)
    if reached.gateway is None:
        via = open_tcp(reached, patience)
    elif pool is None:
        raise NodeUnreachable(node.id, f"it is behind gateway {node.gateway}: scan it with the whole fleet at hand")
    else:
        via = pool.open_tunnel(node)
    with contextlib.closing(via):
        await_greeting(node.id, via, f"{node.address} port {node.port}", patience)
        yield via


def _key_of(node: Node, pool: ConnectionPool | None, kind: str, patience: Patience) -> HostKey:
    with contextlib.ExitStack() as stack:
        via = stack.enter_context(_greeted(node, pool, patience))
        with node_errors(node.id, f"asking {node.address} port {node.port} for its host key"):
            transport = quiet_transport((HostKey(kind, ""),))(via)
            transport.banner_timeout = patience.greeting.total_seconds()
            stack.callback(_end, transport)
            transport.start_client(timeout=patience.handshake.total_seconds())
            key = transport.get_remote_server_key()
            return HostKey(key.get_name(), key.get_base64())


def _end(transport: paramiko.Transport) -> None:
    wake(transport)
    close(transport)
    if transport.is_alive() and transport is not threading.current_thread():
        transport.join(timeout=5)
