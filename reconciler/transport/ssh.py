"""One SSH connection to one node: takes a Node and the keys pinned for it, gives runs of programs on a connection that stays.

Uses fabric's Connection for the login and bare paramiko channels for the programs (half the cost of fabric's own run). A host
key that is not pinned gets nothing from us; no ssh_config, no known_hosts of the user and no ProxyCommand is read. It does not
pool and does not retry.
"""

import contextlib
import getpass
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import fabric
import paramiko
from paramiko.packet import Packetizer

from reconciler.errors import HostKeyMismatch, HostKeyUnknown, LoginRefused, NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Answer, Program
from reconciler.model.node import Become, Node
from reconciler.transport.exchange import Exchange
from reconciler.transport.keys import KeyDirectory, LoginKey
from reconciler.transport.known_hosts import KEY_TYPES, HostKey, Pins
from reconciler.transport.loader import GreetedStream, answer_of, loader_command, new_nonce
from reconciler.transport.node_errors import node_errors

PACKET_LIMIT = 512 * 1024
"""Bytes: sshd sends 32 KB and refuses more than 256 KB itself."""

LOG_CHANNEL = "reconciler.paramiko"
"""paramiko logs tracebacks of what it raises anyway, on stderr where nobody listens: off, unless somebody sets this level."""

logging.getLogger(LOG_CHANNEL).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each step towards a connection may take."""

    connect: timedelta = timedelta(seconds=10)
    """TCP, over all addresses of a name together."""
    greeting: timedelta = timedelta(seconds=10)
    """From the TCP connection to sshd's first line."""
    handshake: timedelta = timedelta(seconds=15)
    login: timedelta = timedelta(seconds=15)
    """For the answer to one key: PAM and slow directories."""
    channel: timedelta = timedelta(seconds=10)
    unacknowledged: timedelta = timedelta(seconds=20)
    """The kernel gives a connection up whose bytes are not acknowledged: a firewall that forgot it, a node that vanished."""


class NothingSent(NodeUnreachable):
    """The connection failed before any byte of a program left: another connection may be tried, without any doubt."""


class SshConnection:
    """A logged-in connection; one program at a time."""

    def __init__(self, node: Node, connection: fabric.Connection, shown: HostKey, patience: Patience) -> None:
        self._node = node
        self._connection = connection
        self._transport: paramiko.Transport = connection.client.get_transport()
        self._patience = patience
        self.host_key = shown
        self._sudo = node.become is Become.SUDO and connection.user != "root"

    @property
    def is_alive(self) -> bool:
        """Say whether the connection stands, as far as one can know without asking the node."""
        return bool(self._transport.is_active())

    def start(self, program: Program) -> "Started":
        """Send one program; raises NothingSent where not a byte of it left."""
        nonce = new_nonce()
        sudo = self._sudo and program.become
        command = loader_command(program, nonce, sudo=sudo)
        try:
            with node_errors(self._node.id, "opening a channel"):
                channel = self._transport.open_session(timeout=self._patience.channel.total_seconds())
                exchange = Exchange(self._node.id, self._transport, channel, program.limits)
                exchange.request(command)
        except (NodeUnreachable, NodeTimeout) as error:
            raise NothingSent(self._node.id, error.problem) from error
        try:
            with node_errors(self._node.id, "sending the program"):
                exchange.send(program.text)
        except BaseException:
            exchange.close()
            raise
        return Started(self._node.id, exchange, nonce, sudo=sudo)

    def open_tunnel(self, node: Node, address: str, port: int) -> paramiko.Channel:
        """Open a TCP connection from this node, as a gateway, to another one."""
        with node_errors(node.id, f"connecting to {address} port {port} through gateway {self._node.id}"):
            timeout = self._patience.connect.total_seconds()
            return self._transport.open_channel("direct-tcpip", (address, port), ("", 0), timeout=timeout)

    def close(self) -> None:
        """End the connection and wait for its thread."""
        _close(self._connection)


class Started:
    """A program on its way: take its answer whole, or its stdout as it comes."""

    def __init__(self, node: NodeId, exchange: Exchange, nonce: str, *, sudo: bool) -> None:
        self._node = node
        self._exchange = exchange
        self._nonce = nonce
        self._sudo = sudo

    def answer(self) -> Answer:
        """Wait for the end and give everything."""
        try:
            with node_errors(self._node, "waiting for the answer"):
                stdout = b"".join(self._exchange.chunks())
                status = self._exchange.exit_status()
        finally:
            self._exchange.close()
        raw = Answer(stdout=stdout, stderr=self._exchange.stderr, exit_status=status)
        return answer_of(self._node, self._nonce, raw, sudo=self._sudo)

    def stream(self) -> Iterator[bytes]:
        """Give stdout, without the greeting, as it comes."""
        greeted = GreetedStream(self._node, self._nonce, sudo=self._sudo)
        try:
            with node_errors(self._node, "waiting for the answer"):
                for chunk in self._exchange.chunks():
                    if text := greeted.take(chunk):
                        yield text
                status = self._exchange.exit_status()
        finally:
            self._exchange.close()
        greeted.end(self._exchange.stderr, status)


def connect_ssh(
    node: Node,
    pins: Pins,
    keys: KeyDirectory,
    *,
    gateway: SshConnection | None = None,
    patience: Patience | None = None,
    handshakes: Iterable[threading.Semaphore] = (),
) -> SshConnection:
    """Connect and log in to a node whose host key is pinned; raises NodeError, and then leaves nothing open.

    Only who has a living sshd before him takes a slot of `handshakes`: nodes that are down cost the others nothing.
    """
    patience = patience or Patience()
    if node.address is None:
        raise NodeUnreachable(node.id, "the node has no Address to connect to over ssh")
    _check_pinned(node, pins)
    where = f"{node.address} port {node.port}"
    via = gateway.open_tunnel(node, node.address, node.port) if gateway else open_tcp(node, patience)
    try:
        await_greeting(node.id, via, where, patience)
        with contextlib.ExitStack() as slots:
            for slot in handshakes:
                slots.enter_context(slot)
            return _log_in(node, pins, keys, via, patience)
    except BaseException:
        via.close()
        raise


def _log_in(
    node: Node, pins: Pins, keys: KeyDirectory, via: socket.socket | paramiko.Channel, patience: Patience
) -> SshConnection:
    where = f"logging in to {node.address} port {node.port}"
    policy = _PinnedKeys(node, pins)
    connection = fabric.Connection(
        node.address,
        user=node.user,
        port=node.port,
        config=_NO_CONFIG,
        connect_timeout=int(patience.handshake.total_seconds()),
        connect_kwargs={
            "sock": via,
            "banner_timeout": patience.greeting.total_seconds(),
            "auth_timeout": patience.login.total_seconds(),
            "transport_factory": quiet_transport(pins.keys),
            "auth_strategy": _KeyLogin(node, keys),
        },
    )
    connection.client.set_missing_host_key_policy(policy)
    try:
        with node_errors(node.id, where):
            connection.open()
    except BaseException:
        _close(connection)
        raise
    return SshConnection(node, connection, policy.shown, patience)


_NO_CONFIG = fabric.Config(lazy=True)
"""fabric would read /etc/ssh/ssh_config and ~/.ssh/config, Match exec included, and its own files."""


def _close(connection: fabric.Connection) -> None:
    transport = connection.client.get_transport()
    if transport is None:
        return
    wake(transport)
    connection.client.close()  # not connection.close(): that leaves the thread of a refused host key behind
    transport.join(timeout=5)


def wake(transport: paramiko.Transport) -> None:
    """End the socket under a transport, so that its thread sees it now and not at its next look."""
    try:
        transport.sock.shutdown(socket.SHUT_RDWR)
    except (OSError, EOFError, paramiko.SSHException):
        return  # it is down already


class _PinnedKeys(paramiko.MissingHostKeyPolicy):
    """Every key is "missing" to paramiko, whose own list stays empty; this one decides."""

    def __init__(self, node: Node, pins: Pins) -> None:
        self._node = node
        self._pins = pins
        self.shown = HostKey("", "")

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raise unless the key is pinned and not revoked."""
        del client, hostname
        self.shown = HostKey(key.get_name(), key.get_base64())
        check_host_key(self._node, self._pins, self.shown)


def check_host_key(node: Node, pins: Pins, shown: HostKey) -> None:
    """Raise unless `shown` is pinned for the node and not revoked."""
    _check_pinned(node, pins)
    seen = f"the node shows {shown.fingerprint} ({shown.type})"
    if shown in pins.revoked:
        raise HostKeyMismatch(
            node.id, f"host key revoked: {seen}, which state/known_hosts marks @revoked; {_remedy(node)}"
        )
    if shown not in pins.keys:
        pinned = ", ".join(f"{key.fingerprint} ({key.type})" for key in pins.keys)
        raise HostKeyMismatch(
            node.id, f"host key changed: pinned {pinned}, {seen}; if the change is intended, {_remedy(node)}"
        )


def _check_pinned(node: Node, pins: Pins) -> None:
    if pins.keys:
        return
    if pins.authorities:
        raise HostKeyUnknown(
            node.id,
            f"only a @cert-authority line fits this node, which is not supported yet: pin the key itself, "
            f"{_remedy(node)}",
        )
    raise HostKeyUnknown(node.id, f"no host key is pinned for this node: {_remedy(node)}")


def _remedy(node: Node) -> str:
    return f"update state/known_hosts: `reconciler node scan-keys {node.id}`"


class _KeyLogin:
    """paramiko's auth_strategy: tries the node's keys in order, and says in words which ones were refused."""

    def __init__(self, node: Node, keys: KeyDirectory) -> None:
        self._node = node
        self._keys = keys

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Log in, or raise LoginRefused."""
        user = self._node.user or getpass.getuser()
        agent = paramiko.Agent()
        try:
            refused = []
            for candidate in self._keys.keys_for(self._node, agent):
                if self._was_taken(transport, user, candidate):
                    return
                refused.append(candidate.label)
        finally:
            agent.close()
        if not refused:
            raise LoginRefused(self._node.id, "no key to log in with: name one in IdentityFile, or start an agent")
        problem = f"the node refused user {user!r} with {', '.join(refused)}: add the public key to its authorized_keys"
        raise LoginRefused(self._node.id, problem)

    def _was_taken(self, transport: paramiko.Transport, user: str, candidate: LoginKey) -> bool:
        try:
            left = transport.auth_publickey(user, candidate.key)
        except paramiko.BadAuthenticationType as error:
            offered = ", ".join(error.allowed_types)
            problem = f"the node takes no public keys for user {user!r}, only: {offered}"
            raise LoginRefused(self._node.id, problem) from error
        except paramiko.AuthenticationException:
            if transport.is_active() and not transport.is_authenticated():
                return False
            raise
        if left:
            problem = f"the node wants more than the key of user {user!r}: {', '.join(left)}"
            raise LoginRefused(self._node.id, problem)
        return True


class _PromptSocket(socket.socket):
    """Acknowledges at once while a connection is young: sshd sends small packets then, and its kernel holds each back, 40 ms."""

    _reads_left = 64

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive, and acknowledge."""
        received = super().recv(bufsize, flags)
        if self._reads_left:
            self._reads_left -= 1
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return received


def open_tcp(node: Node, patience: Patience) -> socket.socket:
    """Open a TCP connection to a node, to whichever of its addresses answers first in turn."""
    with node_errors(node.id, f"connecting to {node.address} port {node.port}"):
        ends = time.monotonic() + patience.connect.total_seconds()
        last: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(node.address, node.port, type=socket.SOCK_STREAM):
            try:
                return _open_tcp(_PromptSocket(family, kind, protocol), address, ends, patience)
            except OSError as error:
                last = error
        raise last


def _open_tcp(sock: socket.socket, address: object, ends: float, patience: Patience) -> socket.socket:
    try:
        sock.settimeout(max(0.001, ends - time.monotonic()))
        # Our packets are small and answered one by one: waiting to fill them costs 40 ms each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The kernel keeps idle connections known to firewalls, and finds the dead ones, at no cost to us.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 3)):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
        limit = int(patience.unacknowledged.total_seconds() * 1000)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
        sock.connect(address)  # type: ignore[arg-type]  # what getaddrinfo gave
    except BaseException:
        sock.close()
        raise
    return sock


def await_greeting(node: NodeId, via: socket.socket | paramiko.Channel, where: str, patience: Patience) -> None:
    """Wait for sshd's first bytes without reading them, so that a silent server holds nobody's handshake slot."""
    seconds = patience.greeting.total_seconds()
    if isinstance(via, socket.socket):
        poll = select.poll()
        poll.register(via, select.POLLIN)
        has_come = bool(poll.poll(seconds * 1000))
    else:
        ready = threading.Event()
        via.in_buffer.set_event(ready)
        has_come = ready.wait(seconds)
    if not has_come:
        raise NodeTimeout(node, f"{where} accepts connections but sent no SSH greeting within {seconds:g} s")


class _BoundedPackets(Packetizer):
    """paramiko's packets, bounded; its handshake limit without the timer thread, which outlives a failed one by 15 s."""

    _deadline = float("inf")

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:  # noqa: FBT001, FBT002  (paramiko's signature)
        """Read `n` bytes, unless a server announces more than any packet holds: paramiko would collect up to 4 GB."""
        if n > PACKET_LIMIT:
            raise paramiko.SSHException(f"the server announced a packet of {n} bytes")
        return super().read_all(n, check_rekey)

    def start_handshake(self, timeout: float) -> None:
        """Note when the handshake must be done."""
        self._deadline = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        """Say whether it should have been done by now."""
        return time.monotonic() > self._deadline

    def complete_handshake(self) -> None:
        """Lift the limit; paramiko calls this after every packet."""
        self._deadline = float("inf")


class _Transport(paramiko.Transport):
    _active_check_timeout = 1.0
    """paramiko wakes up this often to see whether it was closed; we shut the socket down instead, and it costs 0.2 ms each."""


def quiet_transport(preferred: tuple[HostKey, ...]) -> Callable[..., paramiko.Transport]:
    """Give what makes a transport that asks for the pinned kinds of host key first, so that sshd shows one of them."""
    kinds = [key.type for key in preferred]
    order = sorted(KEY_TYPES, key=lambda kind: kind not in kinds)
    algorithms = [name for kind in order for name in _ALGORITHMS.get(kind, (kind,))]

    def make(sock: socket.socket | paramiko.Channel, **options: object) -> paramiko.Transport:
        transport = _Transport(sock, packetizer_class=_BoundedPackets, **options)  # type: ignore[arg-type]  # passed on as given
        transport.set_log_channel(LOG_CHANNEL)
        transport.get_security_options().key_types = algorithms
        return transport

    return make


_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""An RSA key signs in two ways; the old one, SHA-1, is not spoken."""
