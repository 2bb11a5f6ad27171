"""The wire under an SSH connection: TCP and paramiko's transport, made prompt, bounded and quiet.

Takes a node's address or a gateway's channel; gives sockets and transports with limits on time, packets and idle cost. It
checks no host key and logs nobody in.
"""

import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import paramiko
from paramiko.packet import NeedRekeyException, Packetizer

from reconciler.errors import NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.node import Node
from reconciler.transport.host_certificate import SUFFIX
from reconciler.transport.known_hosts import KEY_TYPES, HostKey
from reconciler.transport.node_errors import node_errors

PACKET_LIMIT = 512 * 1024
"""Bytes: sshd sends 32 KB and refuses more than 256 KB itself."""

READ_AT_ONCE = 64 * 1024
"""Bytes: what has arrived comes in one call; paramiko asks three times for each packet."""

LOST = (OSError, EOFError, paramiko.SSHException)
"""What paramiko raises where it has something to say and the connection is gone."""

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


class _PromptSocket(socket.socket):
    """Acknowledges at once while a connection is young: sshd sends small packets then, and its kernel holds each back, 40 ms."""

    _reads_left = 64

    def wait_in_kernel(self, seconds: float) -> None:
        """Leave the time limit of each read and write to the kernel.

        Python's own asks the kernel twice for each, first whether anything is there: with a hundred connections most of
        what the interpreter does then is to hand itself from thread to thread.
        """
        self.settimeout(None)
        limit = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))  # struct timeval
        for side in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self.setsockopt(socket.SOL_SOCKET, side, limit)

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send what the kernel takes; TimeoutError where that is nothing in its time."""
        try:
            return super().send(data, flags)
        except BlockingIOError as error:
            raise TimeoutError(error.strerror) from error

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive, and acknowledge; TimeoutError where nothing came in its time."""
        try:
            received = super().recv(bufsize, flags)
        except BlockingIOError as error:
            raise TimeoutError(error.strerror) from error
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
    with node_errors(node, f"greeting {where}"):
        began = _first_bytes(via)
    for line, words in _REFUSALS.items():
        if began.startswith(line):
            raise NodeUnreachable(node, f"{where}: sshd refuses connections from here now: {words}")


def _first_bytes(via: socket.socket | paramiko.Channel) -> bytes:
    """Look at what has come, and leave it there."""
    if isinstance(via, socket.socket):
        return via.recv(_LONGEST_REFUSAL, socket.MSG_PEEK)
    return via.in_buffer._buffer[:_LONGEST_REFUSAL].tobytes()  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001  (a channel has no way to look ahead)


_REFUSALS = {
    b"Exceeded MaxStartups": "too many are logging in at once (MaxStartups); raise it, or lower Ssh: MaxHandshakes",
    b"Not allowed at this time": (
        "too many are logging in at once (MaxStartups), or earlier connections from here failed (PerSourcePenalties): it "
        "lets us in again after a while; add this host to PerSourcePenaltyExemptList in the node's sshd_config"
    ),
}
"""What sshd says in place of a greeting; the second since OpenSSH 9.8, for both."""

_LONGEST_REFUSAL = max(map(len, _REFUSALS))


class _BoundedPackets(Packetizer):
    """paramiko's packets, bounded, read and written by the heap: each call of the kernel lets another thread run in between.

    Its handshake limit comes without the timer thread, which outlives a failed one by 15 s.
    """

    _deadline = float("inf")

    def __init__(self, sock: socket.socket | paramiko.Channel) -> None:
        super().__init__(sock)  # type: ignore[arg-type]  # a gateway's channel does as well
        self._sock = sock
        self._unread = b""
        self._sending = threading.RLock()
        self._held_back: list[bytes] | None = None

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:  # noqa: FBT001, FBT002  (paramiko's signature)
        """Read `n` bytes, unless a server announces more than any packet holds: paramiko would collect up to 4 GB."""
        if n > PACKET_LIMIT:
            raise paramiko.SSHException(f"the server announced a packet of {n} bytes")
        while len(self._unread) < n:
            if self.handshake_timed_out():
                raise EOFError
            try:
                received = self._sock.recv(READ_AT_ONCE)
            except (TimeoutError, BlockingIOError):
                if self.closed:
                    raise EOFError from None
                if check_rekey and not self._unread and self.need_rekey():
                    raise NeedRekeyException from None
                continue
            except OSError:
                if self.closed:
                    raise EOFError from None
                raise
            if not received:
                raise EOFError
            self._unread += received
        taken, self._unread = self._unread[:n], self._unread[n:]
        return taken

    def _read_timeout(self, timeout: float) -> bytes:
        """Read a byte of the banner: what comes behind it stays for `read_all`."""
        if not self._unread:
            self._unread = super()._read_timeout(timeout)  # type: ignore[misc]  # what paramiko's readline calls
        taken, self._unread = self._unread[:1], self._unread[1:]
        return taken

    def send_message(self, data: Any) -> None:
        """Send a packet; in one piece with its neighbours, where they are sent `together`."""
        with self._sending:
            super().send_message(data)

    def write_all(self, out: Any) -> None:
        """Write to the socket, or hold back until everything is there that goes together."""
        if self._held_back is None:
            super().write_all(out)
        else:
            self._held_back.append(out)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is sent within in one go: sshd wakes up once for it, and reads it all."""
        with self._sending:
            self._held_back = []
            try:
                yield
            finally:
                out, self._held_back = b"".join(self._held_back), None
                if out:
                    super().write_all(out)

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
    _active_check_timeout = 5.0
    """paramiko wakes up this often to see whether it was closed; we shut the socket down instead, and it costs 0.2 ms each."""

    def _parse_debug(self, message: paramiko.Message) -> None:
        """Leave unread what sshd tells of its own decisions: paramiko would escape it for a log that nobody keeps."""

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Give the kinds of host key we ask for: paramiko would add every kind of certificate, which it does not verify."""
        return tuple(self.get_security_options().key_types)


def quiet_transport(
    preferred: tuple[HostKey, ...], *, with_certificates: bool = False
) -> Callable[..., paramiko.Transport]:
    """Give what makes a transport that asks for the pinned kinds of host key first, so that sshd shows one of them.

    Certificates are asked for, and then before bare keys, only where an authority is trusted for the node.
    """
    kinds = [key.type for key in preferred]
    order = sorted(KEY_TYPES, key=lambda kind: kind not in kinds)
    algorithms = [name for kind in order for name in _ALGORITHMS.get(kind, (kind,))]
    if with_certificates:
        algorithms = [*(name + SUFFIX for name in algorithms), *algorithms]

    def make(sock: socket.socket | paramiko.Channel, **options: object) -> paramiko.Transport:
        transport = _Transport(sock, packetizer_class=_BoundedPackets, **options)  # type: ignore[arg-type]  # passed on as given
        transport.set_log_channel(LOG_CHANNEL)
        if isinstance(sock, _PromptSocket):
            sock.wait_in_kernel(_Transport._active_check_timeout)  # noqa: SLF001  (our own: paramiko gave it to the socket)
        security = transport.get_security_options()
        security.key_types = algorithms
        security.ciphers, security.digests = _CIPHERS, _DIGESTS
        return transport

    return make


_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
"""GCM first: encrypted and authenticated in one call of the library, where the others take two and Python in between."""

_DIGESTS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
    "hmac-sha1",
)
"""For the ciphers without one of their own."""

_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""An RSA key signs in two ways; the old one, SHA-1, is not spoken."""


@contextmanager
def together(transport: paramiko.Transport) -> Iterator[None]:
    """Write what is sent within in one go; nothing within may wait for the other side."""
    packets = transport.packetizer
    if not isinstance(packets, _BoundedPackets):
        yield
        return
    with packets.together():
        yield


def wake(transport: paramiko.Transport) -> None:
    """End the socket under a transport, so that its thread sees it now and not at its next look."""
    try:
        transport.sock.shutdown(socket.SHUT_RDWR)
    except LOST:
        return  # it is down already


def close(closing: paramiko.Channel | paramiko.SSHClient | paramiko.Transport | socket.socket) -> None:
    """Close it; where the connection under it died a moment before, nobody is there to be told, and that is all."""
    with suppress(*LOST):
        closing.close()
