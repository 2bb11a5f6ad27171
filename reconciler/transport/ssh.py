"""One SSH connection to one node: takes a Node and the keys pinned for it, gives runs of programs on a connection that stays.

Uses fabric's Connection for the login and bare paramiko channels for the programs (half the cost of fabric's own run). A host
key that is not pinned gets nothing from us; no ssh_config, no known_hosts of the user and no ProxyCommand is read. It does not
pool and does not retry.
"""

import contextlib
import getpass
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import fabric
import paramiko

from reconciler.errors import HostKeyMismatch, LoginRefused, NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Answer, Limits, Program, Resident
from reconciler.model.node import Become, Node
from reconciler.transport.exchange import Exchange
from reconciler.transport.host_certificate import HostCertificate, is_certificate, read_certificate_of
from reconciler.transport.host_key import Shown, check_host_key, check_is_pinned
from reconciler.transport.keys import KeyDirectory, LoginKey
from reconciler.transport.known_hosts import HostKey, Pins
from reconciler.transport.loader import (
    GreetedStream,
    Way,
    after_greeting,
    answer_of,
    loader_command,
    new_nonce,
    way_told,
)
from reconciler.transport.node_errors import node_errors
from reconciler.transport.quick_loader import goes_quickly, quick_command, quick_text
from reconciler.transport.resident import Deaf, ResidentShell
from reconciler.transport.standing import Broken, Silent, StandingProgram
from reconciler.transport.wire import Patience, await_greeting, close, open_tcp, quiet_transport, wake


class NothingSent(NodeUnreachable):
    """The connection failed before any byte of a program left: another connection may be tried, without any doubt."""


class SshConnection:
    """A logged-in connection; one program at a time."""

    def __init__(self, node: Node, connection: fabric.Connection, shown: Shown, patience: Patience) -> None:
        self._node = node
        self._connection = connection
        self._transport: paramiko.Transport = connection.client.get_transport()
        self._patience = patience
        self.shown = shown
        self._sudo = node.become is Become.SUDO and connection.user != "root"
        self._ways: dict[bool, Way] = {}
        """With sudo, and without: how programs may go, as the last greeting told."""
        self._staying: StandingProgram | None = None
        self._may_stay = True
        self._shells: dict[bool, ResidentShell] = {}
        """With sudo, and without."""
        self._may_reside = True
        self._had_shell = False

    @property
    def node(self) -> NodeId:
        """Which node this leads to."""
        return self._node.id

    @property
    def is_alive(self) -> bool:
        """Say whether the connection stands, as far as one can know without asking the node."""
        return bool(self._transport.is_active())

    def start(self, program: Program, *, quickly: bool = False) -> "Started":
        """Send one program; raises NothingSent where not a byte of it left.

        With `quickly` it takes the short way, where an earlier program on this connection found one.
        """
        nonce = new_nonce()
        sudo = self._sudo and program.become
        way = self._ways.get(
            sudo, Way.PIPE
        )  # until it is known, tried: where it does not work, nothing of the program ran
        is_quick = quickly and goes_quickly(program, way)
        if is_quick:
            command, text = quick_command(nonce, way, sudo=sudo), quick_text(program, nonce)
        else:
            command, text = loader_command(program, nonce, sudo=sudo), program.text
        try:
            with node_errors(self._node.id, "opening a channel"):
                channel = self._open_session()
                exchange = Exchange(self._node.id, self._transport, channel, program.limits)
                exchange.request(command)
        except (NodeUnreachable, NodeTimeout) as error:
            raise NothingSent(self._node.id, error.problem) from error
        try:
            with node_errors(self._node.id, "sending the program"):
                exchange.send(text)
        except BaseException:
            exchange.close()
            raise
        return Started(self, exchange, program, nonce, sudo=sudo, is_quick=is_quick)

    def ask(self, program: Program) -> Answer | None:
        """Have a program that stays answer, or begin to; None where it cannot be had, and nothing but looking was done.

        Raises NothingSent where the connection turns out dead.
        """
        standing, sudo = program.standing, self._sudo and program.become
        if standing is None or standing.after is None or not self._may_stay:
            return None
        if self._staying is not None and self._staying.goes_on_with(standing, sudo=sudo):
            with node_errors(self._node.id, "waiting for the answer"):
                try:
                    return self._staying.ask(standing.nonce, program.limits, self._patience.channel)
                except Silent:
                    self._staying, self._may_stay = None, False
                    return None  # whoever opens a new channel finds out which it is
                except Broken:
                    pass
        self._let_go()
        try:
            with node_errors(self._node.id, "opening a channel"):
                channel = self._open_session()
        except (NodeUnreachable, NodeTimeout) as error:
            raise NothingSent(self._node.id, error.problem) from error
        exchange = Exchange(self._node.id, self._transport, channel, program.limits)
        with node_errors(self._node.id, "waiting for the answer"), contextlib.suppress(Broken):
            self._staying = StandingProgram.begin(exchange, standing, new_nonce(), sudo=sudo)
            return self._staying.answer(standing.nonce)
        self._let_go()
        self._may_stay = False
        return None

    def tell(self, program: Program) -> Iterator[bytes] | None:
        """Have the shell that stays run a program, or begin one; None where none can be had, and nothing of it ran.

        Raises NothingSent where the connection turns out dead.
        """
        resident, sudo = program.resident, self._sudo and program.become
        for _ in range(2):  # one that has ended meanwhile is begun anew
            if resident is None or not self._may_reside:
                return None
            shell, is_new = self._shells.get(sudo), False
            if shell is None or not shell.goes_on_with(resident):
                if not resident.begins:
                    return None
                is_new = True
                shell = self._begin_shell(resident, sudo=sudo)
            if shell is None:
                return None
            with node_errors(self._node.id, "waiting for the answer"), contextlib.suppress(Deaf):
                return shell.tell(resident, program.limits, self._patience.channel)
            self._may_reside = not is_new
            self._leave_shell(sudo=sudo)
        return None

    def _begin_shell(self, resident: Resident, *, sudo: bool) -> ResidentShell | None:
        self._leave_shell(sudo=sudo)
        try:
            with node_errors(self._node.id, "opening a channel"):
                channel = self._open_session()
        except (NodeUnreachable, NodeTimeout) as error:
            raise NothingSent(self._node.id, error.problem) from error
        patience = self._patience.channel
        exchange = Exchange(self._node.id, self._transport, channel, Limits(idle=patience, total=patience))
        self._had_shell = True
        with contextlib.suppress(Deaf):
            self._shells[sudo] = ResidentShell.begin(self._node.id, exchange, resident, sudo=sudo)
            return self._shells[sudo]
        exchange.end()
        self._may_reside = False
        return None

    def _leave_shell(self, *, sudo: bool) -> None:
        shell = self._shells.pop(sudo, None)
        if shell is not None:
            shell.let_go()

    def _let_go(self) -> None:
        staying, self._staying = self._staying, None
        if staying is not None:
            staying.let_go()

    def _open_session(self) -> paramiko.Channel:
        timeout = self._patience.channel.total_seconds()
        try:
            return self._transport.open_session(timeout=timeout)
        except paramiko.ChannelException:
            if self._staying is None and not self._had_shell:
                raise
        # sshd allows so many sessions and no more (MaxSessions)
        self._let_go()
        for sudo in tuple(self._shells):
            self._leave_shell(sudo=sudo)
        self._may_stay = self._may_reside = False
        for pause in (0.0, 0.1, 0.4):  # sshd counts one that has ended for a moment longer
            time.sleep(pause)
            with contextlib.suppress(paramiko.ChannelException):
                return self._transport.open_session(timeout=timeout)
        return self._transport.open_session(timeout=timeout)

    def learn(self, way: Way, *, sudo: bool) -> None:
        """Note how the next program may go."""
        self._ways[sudo] = way

    def open_tunnel(self, node: Node, address: str, port: int) -> paramiko.Channel:
        """Open a TCP connection from this node, as a gateway, to another one."""
        with node_errors(node.id, f"connecting to {address} port {port} through gateway {self._node.id}"):
            timeout = self._patience.connect.total_seconds()
            return self._transport.open_channel("direct-tcpip", (address, port), ("", 0), timeout=timeout)

    def answers(self) -> bool:
        """Ask for a channel and say whether any word came back: a connection that a firewall forgot stands, and is dead."""
        try:
            self._transport.open_session(timeout=self._patience.channel.total_seconds()).close()
        except paramiko.ChannelException:
            return True
        except Exception:  # noqa: BLE001  (whatever it was, it was no answer)
            return False
        return True

    def wake(self) -> None:
        """End what is below the connection, and wait for nothing; `close` comes after it."""
        wake(self._transport)

    def close(self) -> None:
        """End the connection and wait for its thread."""
        _close(self._connection)


class Started:
    """A program on its way: take its answer whole, or its stdout as it comes."""

    def __init__(
        self,
        connection: SshConnection,
        exchange: Exchange,
        program: Program,
        nonce: str,
        *,
        sudo: bool,
        is_quick: bool,
    ) -> None:
        self._connection = connection
        self._node = connection.node
        self._exchange = exchange
        self._program = program
        self._nonce = nonce
        self._sudo = sudo
        self._is_quick = is_quick

    def answer(self) -> Answer:
        """Wait for the end and give everything; a program that the short way did not bring there is sent the long one.

        Nothing can run twice by it: the greeting comes before the program's first command, and it never came.
        """
        try:
            with node_errors(self._node, "waiting for the answer"):
                stdout = b"".join(self._exchange.chunks(at_once=False))
                status = self._exchange.exit_status()
        finally:
            self._exchange.close()
        raw = Answer(stdout=stdout, stderr=self._exchange.stderr, exit_status=status)
        if self._is_quick and after_greeting(stdout, self._nonce) is None:
            self._connection.learn(Way.NONE, sudo=self._sudo)
            return self._connection.start(self._program).answer()
        answer = answer_of(self._node, self._nonce, raw, sudo=self._sudo)
        if not self._is_quick:
            self._connection.learn(way_told(stdout, self._nonce), sudo=self._sudo)
        return answer

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
    identity_files: tuple[Path, ...] = (),
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
    check_is_pinned(node, pins)
    where = f"{node.address} port {node.port}"
    via = gateway.open_tunnel(node, node.address, node.port) if gateway else open_tcp(node, patience)
    try:
        await_greeting(node.id, via, where, patience)
        with contextlib.ExitStack() as slots:
            for slot in handshakes:
                slots.enter_context(slot)
            return _log_in(node, pins, _KeyLogin(node, keys, identity_files), via, patience)
    except BaseException:
        close(via)
        raise


def _log_in(
    node: Node, pins: Pins, login: "_KeyLogin", via: socket.socket | paramiko.Channel, patience: Patience
) -> SshConnection:
    where = f"logging in to {node.address} port {node.port}"
    policy = _PinnedKeys(node, pins)
    connection = fabric.Connection(
        node.address,
        user=node.user,
        port=node.port,
        config=_no_config(),
        connect_timeout=int(patience.handshake.total_seconds()),
        connect_kwargs={
            "sock": via,
            "banner_timeout": patience.greeting.total_seconds(),
            "auth_timeout": patience.login.total_seconds(),
            "transport_factory": quiet_transport(pins.keys, with_certificates=bool(pins.authorities)),
            "auth_strategy": login,
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


class _LoginConfig(fabric.Config):  # type: ignore[misc]  # fabric leaves it without types
    @staticmethod
    def global_defaults() -> dict[str, object]:
        """Give what a login reads: the rest (running commands, tasks) is copied ten times a connection, and never asked."""
        return {name: value for name, value in _DEFAULTS.items() if name not in {"run", "runners", "sudo", "tasks"}}


_DEFAULTS = fabric.Config.global_defaults()


def _no_config() -> fabric.Config:
    """Give a configuration that reads nothing: fabric would read ssh_config, Match exec included, and files of its own.

    One for each connection: a shared one is rebuilt in place while another thread reads it, and misses its keys.
    """
    return _LoginConfig(lazy=True)


def _close(connection: fabric.Connection) -> None:
    transport = connection.client.get_transport()
    if transport is None:
        return
    wake(transport)
    close(connection.client)  # not connection.close(): that leaves the thread of a refused host key behind
    transport.join(timeout=5)


class _PinnedKeys(paramiko.MissingHostKeyPolicy):
    """Every key is "missing" to paramiko, whose own list stays empty; this one decides."""

    def __init__(self, node: Node, pins: Pins) -> None:
        self._node = node
        self._pins = pins
        self.shown = Shown(HostKey("", ""))

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raise unless the key is pinned or certified, and not revoked."""
        del client, hostname
        shown = HostKey(key.get_name(), key.get_base64())
        self.shown = Shown(shown, self._certificate(shown, key))
        check_host_key(self._node, self._pins, self.shown, datetime.now(UTC))

    def _certificate(self, shown: HostKey, key: paramiko.PKey) -> HostCertificate | None:
        """Read the certificate in which the server showed its key; paramiko keeps its bytes, unread, with the key.

        paramiko reads leniently what it verified the key exchange with: it must be the very key that was certified.
        """
        blob = b"" if key.public_blob is None else key.public_blob.key_blob
        if not is_certificate(blob):
            return None
        try:
            return read_certificate_of(shown, blob)
        except ValueError as error:
            raise HostKeyMismatch(self._node.id, f"host certificate refused: {error}") from error


class _KeyLogin:
    """paramiko's auth_strategy: tries the node's keys in order, and says in words which ones were refused."""

    def __init__(self, node: Node, keys: KeyDirectory, identity_files: tuple[Path, ...]) -> None:
        self._node = node
        self._keys = keys
        self._identity_files = identity_files

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Log in, or raise LoginRefused."""
        user = self._node.user or getpass.getuser()
        agent = paramiko.Agent()
        try:
            refused = []
            for candidate in self._keys.keys_for(self._node, agent, self._identity_files):
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
