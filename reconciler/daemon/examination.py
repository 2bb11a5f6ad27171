"""Looks at everything that lies between this host and one node, step by step, and says what is wrong in words. Changes nothing.

Each step is what a pass does too, by the same code; whatever rests on a step that failed is not looked at, and said so.
"""

import contextlib
import getpass
import os
import socket
import stat
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from reconciler.doctor import judge
from reconciler.doctor.check import Check, State, not_looked_at, ok, trouble, unknown, warning
from reconciler.doctor.program import login_program, run_program
from reconciler.errors import BecomeRefused, LoginRefused, NodeError
from reconciler.model.command import Session
from reconciler.model.node import Become, Node, Transport
from reconciler.model.reading.address import is_ip_address
from reconciler.transport.keys import DEFAULT_NAMES
from reconciler.transport.known_hosts import HostKey, KnownHosts, Pins, lines_for
from reconciler.transport.pool import ConnectionPool
from reconciler.transport.scan_keys import reach, scan_keys


class Examination:
    """One node's examination."""

    def __init__(
        self,
        node: Node,
        *,
        pool: ConnectionPool,
        known_hosts: KnownHosts,
        key_directory: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._node = node
        self._pool = pool
        self._pins = known_hosts.pins(node.id, node.address, node.port)
        self._keys = key_directory
        self._clock = clock

    def checks(self) -> tuple[Check, ...]:
        """Give every check, in their order."""
        done = tuple(self._steps())
        return (*done, *not_looked_at(done))

    def _steps(self) -> Iterator[Check]:
        """Give checks as far as they can be made."""
        if self._node.transport is Transport.LOCAL:
            yield from (ok(name, "this management host itself") for name in ("name", "tcp", "host key"))
        else:
            for look in (self._name, self._tcp, self._host_key):
                check = look()
                yield check
                if check.is_left:
                    return
        with contextlib.ExitStack() as stack:
            try:
                session = stack.enter_context(self._pool.connect(self._node))
            except NodeError as error:
                yield self._refused(error)
                return
            yield self._login()
            yield from self._on_node(session)

    def _name(self) -> Check:
        address = self._node.address or ""
        if is_ip_address(address):
            return ok("name", f"{address} is an address")
        if self._node.gateway is not None:
            return ok("name", f"{address} is looked up by gateway {self._node.gateway}")
        try:
            found = socket.getaddrinfo(address, self._node.port, type=socket.SOCK_STREAM)
        except OSError as exc:
            remedy = "mend the Address in the node's file, or this host's DNS or /etc/hosts"
            return trouble("name", f"{address} is not found: {exc.strerror}", remedy)
        return ok("name", f"{address} is {', '.join(sorted({str(where[4][0]) for where in found}))}")

    def _tcp(self) -> Check:
        where = f"{self._node.address} port {self._node.port}"
        via = f" through gateway {self._node.gateway}" if self._node.gateway is not None else ""
        try:
            reach(self._node, self._pool)
        except NodeError as error:
            remedy = "is it running, is sshd, and does a firewall let this host in? Address and Port stand in its file"
            return trouble("tcp", str(error), remedy)
        return ok("tcp", f"an SSH server answers on {where}{via}")

    def _host_key(self) -> Check:
        (shown,) = scan_keys([self._node], self._pool).values()
        if isinstance(shown, NodeError):
            return unknown("host key", str(shown), "try again; sshd may be at its MaxStartups")
        return host_key_check(self._node, self._pins, shown)

    def _login(self) -> Check:
        user = self._node.user or getpass.getuser()
        if self._node.transport is Transport.LOCAL:
            return ok("login", f"as {user}")
        name = self._node.identity_file
        named = [name] if name is not None else [key for key in DEFAULT_NAMES if (self._keys / key).is_file()]
        for key in named:
            path = self._keys / key
            with contextlib.suppress(OSError):
                if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                    return warning("login", f"as {user}; others can read the key {path}", f"chmod 600 {path}")
        return ok("login", f"as {user} with {f'key {name!r}' if name is not None else 'the agent or a default key'}")

    def _refused(self, error: NodeError) -> Check:
        if not isinstance(error, LoginRefused):
            return trouble("login", str(error), "see above: the server answered a moment ago; try again")
        agent = (
            "an agent is there" if os.environ.get("SSH_AUTH_SOCK") else "no agent is there (SSH_AUTH_SOCK is not set)"
        )
        user = self._node.user or getpass.getuser()
        remedy = f"try `ssh -p {self._node.port} {user}@{self._node.address} true` as the user that runs this; {agent}"
        return trouble("login", str(error), remedy)

    def _on_node(self, session: Session) -> Iterator[Check]:
        become = self._node.become is Become.SUDO
        asked = self._clock()
        try:
            said = session.run(login_program(become=become))
        except NodeError as error:
            yield trouble("login shell", str(error), "give the login user /bin/sh or another shell that runs commands")
            return
        answered = self._clock()
        answer = judge.read_answer(said.stdout, "login")
        if answer is None:
            yield unknown(
                "login shell", "the answer is cut or garbled", "look for limits on the login user's processes"
            )
            return
        yield judge.shell_check(answer)
        yield judge.tools_check(answer)
        yield judge.clock_check(answer, asked, answered)
        yield judge.disk_check(answer)
        yield from self._as_whoever_runs(session, become=become)

    def _as_whoever_runs(self, session: Session, *, become: bool) -> Iterator[Check]:
        try:
            said = session.run(run_program(become=become))
        except BecomeRefused as error:
            problem, _, remedy = str(error).partition(": ")
            if "asks for a password" in problem:  # sudo asks before it looks for a rule
                problem += ": no rule of the login user's is NOPASSWD, if there is a rule at all"
            yield trouble("sudo", problem, remedy)
            return
        except NodeError as error:
            yield unknown("sudo", str(error), "try `sudo -n true` on the node as the login user")
            return
        answer = judge.read_answer(said.stdout, "run")
        if answer is None:
            yield unknown("sudo", "the answer is cut or garbled", "try `sudo -n true` on the node as the login user")
            return
        yield judge.sudo_check(self._node, answer)
        yield judge.run_folder_check(answer)
        yield judge.packages_check(answer)
        yield judge.sshd_check(answer)


def host_key_check(node: Node, pins: Pins, shown: tuple[HostKey, ...]) -> Check:
    """Hold the keys that a server shows against those pinned."""
    lines = " and ".join(f"`{line}`" for line in lines_for(node, shown))
    seen = ", ".join(f"{key.fingerprint} ({key.type})" for key in shown)
    compare = f"compare {seen} with the node's own console; then put into state/known_hosts: {lines}"
    if revoked := [key for key in shown if key in pins.revoked]:
        words = f"revoked: the node shows {revoked[0].fingerprint}, which state/known_hosts marks @revoked"
        return trouble("host key", words, f"give the node a new host key; {compare}")
    if known := [key for key in shown if key in pins.keys]:
        return ok("host key", f"{known[0].fingerprint} ({known[0].type}) is pinned")
    if pins.keys:
        pinned = ", ".join(key.fingerprint for key in pins.keys)
        words = f"changed: {pinned} is pinned, and the node shows {seen}"
        return trouble("host key", words, f"find out why first: another machine may answer; {compare}")
    if pins.authorities:
        return Check(
            name="host key", state=State.OK, words="an authority is pinned; the login holds the key against it"
        )
    return trouble("host key", "unknown: no key is pinned for this node, so nothing is sent to it", compare)
