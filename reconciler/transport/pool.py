"""Connections that stay warm between passes: gives the `Connect` that every stage is handed.

Takes the nodes and known_hosts of the accepted commit and the host's key directory. A connection is kept for as long as the
node's way of being reached is the same and its host key still pinned; nothing is ever evicted to make room, because a pass that
visits more nodes than are kept would then never find one warm. It decides neither the order of nodes nor what runs.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import paramiko

from reconciler.errors import NodeError, NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Answer, Program, Session
from reconciler.model.node import Node, Transport
from reconciler.transport.host_key import check_host_key
from reconciler.transport.host_ssh import HostSsh, Reach
from reconciler.transport.keys import KeyDirectory
from reconciler.transport.known_hosts import KnownHosts, Pins, canonical_address
from reconciler.transport.local import LocalSession
from reconciler.transport.ssh import NothingSent, SshConnection, Started, connect_ssh
from reconciler.transport.wire import Patience

GATEWAY_PAUSE = timedelta(seconds=10)
"""A gateway that could not be reached is not tried again for this long: its nodes share the answer instead of waiting in line."""


@dataclass(frozen=True, slots=True)
class _Route:
    """Everything that must stay the same for a kept connection to be the right one."""

    node: NodeId
    address: str | None
    port: int
    user: str | None
    identity_file: str | None
    become: str
    gateway: "_Route | None"


@dataclass(slots=True)
class _Gateway:
    """The one connection through which a gateway's nodes are reached, or the failure they share."""

    opened: "Future[SshConnection]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    @property
    def is_usable(self) -> bool:
        """Say whether waiting for it, or using it, is better than trying again."""
        if not self.opened.done():
            return True
        if self.opened.exception() is not None:
            return time.monotonic() - self.since < GATEWAY_PAUSE.total_seconds()
        return self.opened.result().is_alive


class ConnectionPool:
    """Opens sessions, and keeps up to `keep` connections open. Threads may share it; a session belongs to one thread."""

    def __init__(
        self,
        *,
        known_hosts: KnownHosts,
        nodes: Mapping[NodeId, Node],
        key_directory: Path,
        host: HostSsh | None = None,
        max_handshakes: int = 20,
        keep: int = 256,
        patience: Patience | None = None,
    ) -> None:
        self._known_hosts = known_hosts
        self._nodes = nodes
        self._addresses = _addresses(nodes)
        self._keys = KeyDirectory(key_directory)
        self._host = host or HostSsh()
        self._max_handshakes = max_handshakes
        self._handshakes = threading.BoundedSemaphore(max_handshakes)
        self._gateway_handshakes: dict[NodeId, threading.BoundedSemaphore] = {}
        self._keep = keep
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._idle: dict[_Route, SshConnection] = {}
        self._gateways: dict[_Route, _Gateway] = {}
        self._lent: set[SshConnection] = set()
        """Those that sessions hold."""
        self._closed = False
        self._pins_read: dict[NodeId, tuple[Node, Pins]] = {}
        """Looked up once for each commit: every exchange asks for its node's."""
        self._routes: dict[NodeId, tuple[Node, _Route]] = {}
        """The same of how nodes are reached."""

    def update(self, *, known_hosts: KnownHosts, nodes: Mapping[NodeId, Node]) -> None:
        """Take over what a new commit says, between passes; connections that no longer fit it are closed."""
        with self._lock:
            self._known_hosts, self._nodes, self._addresses = known_hosts, nodes, _addresses(nodes)
            self._pins_read, self._routes = {}, {}
            closing = [self._idle.pop(route) for route in tuple(self._idle) if not self._fits(route, self._idle[route])]
            for route, gateway in tuple(self._gateways.items()):
                if not _is_open(gateway.opened) or not self._fits(route, gateway.opened.result()):
                    del self._gateways[route]
                    closing += [gateway.opened.result()] if _is_open(gateway.opened) else []
        for connection in closing:
            connection.close()

    def _fits(self, route: _Route, connection: SshConnection) -> bool:
        node = self._nodes.get(route.node) or self._host.jump(route.node)
        if node is None or self._route(node) != route:
            return False
        try:
            check_host_key(node, self._pins(node), connection.shown, datetime.now(UTC))
        except NodeError:
            return False
        return True

    def _pins(self, node: Node) -> Pins:
        """Give a node's pins; an address that is another node's too, behind another gateway, does not tell which is meant."""
        known = self._pins_read  # before known_hosts: an update in between then leaves nothing old in the new one
        read = known.get(node.id)
        if read is None or read[0] is not node:
            read = known[node.id] = (node, self._read_pins(node))
        return read[1]

    def _read_pins(self, node: Node) -> Pins:
        is_its_own = self._addresses.get(_place(node), set()) <= {node.gateway}
        port = self._host.reach(node).node.port
        pins = self._known_hosts.pins(node.id, node.address if is_its_own else None, port)
        return pins if is_its_own else replace(pins, shared_address=node.address)

    def is_warm(self, node: NodeId) -> bool:
        """Say whether a kept connection to the node stands."""
        known = self._nodes.get(node)
        kept = None if known is None else self._idle.get(self._route(known))
        return kept is not None and kept.is_alive

    @contextmanager
    def connect(self, node: Node) -> Iterator[Session]:
        """Give a session, from a kept connection where there is one; leaving the context gives it back."""
        if node.transport is Transport.LOCAL:
            yield LocalSession(node)
            return
        route = self._route(node)
        session = _PooledSession(self, node, route)
        try:
            yield session
        finally:
            session.give_back()

    def close(self) -> None:
        """Close every connection, those under a program too; nothing of the pool is left behind."""
        with self._lock:
            self._closed = True
            closing = [*self._idle.values(), *self._lent]
            gateways = list(self._gateways.values())
            self._idle.clear()
            self._gateways.clear()
        for (
            connection
        ) in closing:  # all of them before the first is waited for, and gateways after what goes through them
            connection.wake()
        for connection in (*closing, *(gateway.opened.result() for gateway in gateways if _is_open(gateway.opened))):
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def take(self, route: _Route) -> SshConnection | None:
        """Give the kept connection for a route, if it stands and its host key is still pinned."""
        with self._lock:
            kept = self._idle.pop(route, None)
        if kept is None:
            return None
        if kept.is_alive and self._fits(route, kept):
            return self.lend(kept)
        kept.close()
        return None

    def put(self, route: _Route, connection: SshConnection) -> None:
        """Keep a connection for the next pass, where there is room for it."""
        with self._lock:
            self._lent.discard(connection)
            has_room = not self._closed and len(self._idle) < self._keep and route not in self._idle
            if has_room and connection.is_alive:
                self._idle[route] = connection
                return
        connection.close()

    def lend(self, connection: SshConnection) -> SshConnection:
        """Note that a session holds it. Raises NodeUnreachable where the pool was closed meanwhile."""
        with self._lock:
            if not self._closed:
                self._lent.add(connection)
                return connection
        connection.close()
        raise NodeUnreachable(connection.node, "the connections of this process were closed")

    def drop(self, connection: SshConnection) -> None:
        """Close a connection that a session held."""
        with self._lock:
            self._lent.discard(connection)
        connection.close()

    def open(self, node: Node) -> SshConnection:
        """Open a new connection, through the node's gateway where it has one."""
        reach = self._host.reach(node)
        through = reach.node.gateway
        if through is None:
            return self._open(node, reach, None)
        gateway = self._gateway(node, through)
        try:
            return self._open(node, reach, gateway)
        except (NodeTimeout, NodeUnreachable) as error:
            # A node that is silent or down is its own trouble; a gateway that is, is everybody's until it is opened anew.
            if gateway.answers() if isinstance(error, NodeTimeout) else gateway.is_alive:
                raise
        self._forget(gateway)
        return self._open(node, reach, self._gateway(node, through))

    def _forget(self, gateway: SshConnection) -> None:
        """Drop a gateway's connection that turned out dead, for everybody."""
        with self._lock:
            for route, shared in tuple(self._gateways.items()):
                if _is_open(shared.opened) and shared.opened.result() is gateway:
                    del self._gateways[route]
        gateway.close()

    def _open(self, node: Node, reach: Reach, gateway: SshConnection | None) -> SshConnection:
        return connect_ssh(
            reach.node,
            self._pins(node),
            self._keys,
            identity_files=reach.identity_files,
            gateway=gateway,
            patience=self._patience,
            handshakes=self._slots(reach.node.gateway),
        )

    def reached(self, node: Node) -> Node:
        """Give a node as this host reaches it, its own ssh configuration followed."""
        return self._host.reach(node).node

    def open_tunnel(self, node: Node) -> paramiko.Channel:
        """Open a TCP connection to a node through its gateway, without logging in to the node."""
        reached = self.reached(node)
        if reached.gateway is None or reached.address is None:
            raise NodeUnreachable(node.id, "the node has no gateway to be reached through")
        return self._gateway(node, reached.gateway).open_tunnel(node, reached.address, reached.port)

    def _slots(self, gateway: NodeId | None) -> tuple[threading.BoundedSemaphore, ...]:
        """Give the slots to take, in this order everywhere: who holds one of the fleet waits for no other."""
        if gateway is None:
            return (self._handshakes,)
        with self._lock:
            new = threading.BoundedSemaphore(self._max_handshakes)
            return (self._gateway_handshakes.setdefault(gateway, new), self._handshakes)

    def _gateway(self, node: Node, gateway_id: NodeId) -> SshConnection:
        """Give the shared connection to a gateway; whoever comes first opens it, the others wait for that one attempt."""
        gateway = self._nodes.get(gateway_id) or self._host.jump(gateway_id)
        if gateway is None:
            raise NodeUnreachable(node.id, f"its Gateway {gateway_id!r} is no node of this fleet")
        self._check_circle(node)
        route = self._route(gateway)
        with self._lock:
            shared = self._gateways.get(route)
            is_first = shared is None or not shared.is_usable
            if shared is None or is_first:
                shared = self._gateways[route] = _Gateway()
        if is_first:
            self._open_gateway(gateway, shared)
        try:
            return shared.opened.result()
        except NodeError as error:
            raise NodeUnreachable(node.id, f"gateway {gateway_id}: {error.problem}") from error

    def _open_gateway(self, gateway: Node, shared: _Gateway) -> None:
        try:
            connection = self.open(gateway)
        except BaseException as error:  # noqa: BLE001  (handed to everybody who waits, ourselves included)
            shared.since = time.monotonic()
            shared.opened.set_exception(error)
            return
        shared.opened.set_result(connection)
        if self._closed:
            connection.close()

    def _check_circle(self, node: Node) -> None:
        """Refuse gateways that lead in a circle before anything waits for itself."""
        chain = [node.id]
        gateway = node.gateway
        while gateway is not None:
            if gateway in chain:
                raise NodeUnreachable(node.id, f"its gateways lead in a circle: {' -> '.join((*chain, gateway))}")
            chain.append(gateway)
            gateway = self._nodes[gateway].gateway if gateway in self._nodes else None

    def _route(self, node: Node) -> _Route:
        known = self._routes  # before the nodes, as with pins
        found = known.get(node.id)
        if found is None or found[0] is not node:
            found = known[node.id] = (node, self._new_route(node))
        return found[1]

    def _new_route(self, node: Node, behind: frozenset[NodeId] = frozenset()) -> _Route:
        gateway = None if node.gateway is None else self._nodes.get(node.gateway)
        inner = None if gateway is None or gateway.id in behind else self._new_route(gateway, behind | {node.id})
        become = node.become.value
        return _Route(node.id, node.address, node.port, node.user, node.identity_file, become, inner)


def _addresses(nodes: Mapping[NodeId, Node]) -> Mapping[tuple[str, int], set[NodeId | None]]:
    """Give behind which gateways each address is a node's."""
    gateways: dict[tuple[str, int], set[NodeId | None]] = {}
    for node in nodes.values():
        gateways.setdefault(_place(node), set()).add(node.gateway)
    return gateways


def _place(node: Node) -> tuple[str, int]:
    return canonical_address(node.address or ""), node.port


def _is_open(opened: "Future[SshConnection]") -> bool:
    return opened.done() and opened.exception() is None


class _PooledSession:
    """A session that holds one connection: a kept one, or one opened now."""

    def __init__(self, pool: ConnectionPool, node: Node, route: _Route) -> None:
        self._pool = pool
        self._node = node
        self._route = route
        self._connection = pool.take(route)
        self._was_kept = self._connection is not None
        if self._connection is None:
            self._connection = pool.lend(pool.open(node))

    @property
    def node(self) -> NodeId:
        """Which node this talks to."""
        return self._node.id

    @property
    def host_key(self) -> str | None:
        """The key the node showed when the connection was opened."""
        return None if self._connection is None else str(self._connection.shown.key)

    def run(self, program: Program) -> Answer:
        """Run one program to its end."""
        with self._dropped_on_error():
            asked = self._asked(program)
            if asked is not None:
                return asked
            told = self._told(program)
            if told is not None:
                return Answer(stdout=b"".join(told), stderr=b"", exit_status=0)
            return self._start(program, quickly=True).answer()

    def _asked(self, program: Program) -> Answer | None:
        """Have the program that stays on the node answer, where there is one; a dead kept connection is let go."""
        if self._connection is None:
            return None
        try:
            return self._connection.ask(program)
        except NothingSent:
            if not self._was_kept:
                raise
        self._drop()
        return None

    def _told(self, program: Program) -> Iterator[bytes] | None:
        """Have the shell that stays on the node run it, where there is one; a dead kept connection is replaced, once."""
        if program.resident is None:
            return None
        if self._connection is None:
            self._connection = self._pool.lend(self._pool.open(self._node))
        try:
            return self._connection.tell(program)
        except NothingSent:
            if not self._was_kept:
                raise
        self._drop()
        self._was_kept = False
        self._connection = self._pool.lend(self._pool.open(self._node))
        return self._connection.tell(program)

    def stream(self, program: Program) -> Iterator[bytes]:
        """Run one program and give its stdout as it comes."""
        with self._dropped_on_error():
            told = self._told(program)
            yield from self._start(program).stream() if told is None else told

    def _start(self, program: Program, *, quickly: bool = False) -> Started:
        """Send a program; a kept connection that turns out dead before any byte was sent is replaced, once."""
        if self._connection is None:
            self._connection = self._pool.lend(self._pool.open(self._node))
        was_kept, self._was_kept = self._was_kept, False
        try:
            return self._connection.start(program, quickly=quickly)
        except NothingSent:
            if not was_kept:
                raise
            self._drop()
        self._connection = self._pool.lend(self._pool.open(self._node))
        return self._connection.start(program)

    @contextmanager
    def _dropped_on_error(self) -> Iterator[None]:
        """Close the connection after any trouble: what is still under way on it must not meet the next program."""
        try:
            yield
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._pool.drop(self._connection)
            self._connection = None

    def give_back(self) -> None:
        """Return the connection to the pool."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.put(self._route, connection)
