"""A firewall that forgets connections without a word: no reset, no answer, whoever waits on one waits for its limit alone."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.ids import NodeId
from reconciler.model.command import Program
from reconciler.model.node import Node
from reconciler.transport.keys import KeyDirectory
from reconciler.transport.pool import ConnectionPool
from reconciler.transport.ssh import connect_ssh
from tests.transport.real_sshd import LONG, PoolMaker, SshdMaker, Told, hurry, pinned


@dataclass
class Firewall:
    """Passes TCP on to a port; `forget` swallows everything on the connections that there are, and lets new ones through."""

    port: int
    server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _ends: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _forgotten: set[socket.socket] = field(default_factory=set)

    @property
    def address(self) -> int:
        port: int = self.server.getsockname()[1]
        return port

    def forget(self) -> None:
        self._forgotten |= set(self._ends)

    def run(self) -> None:
        while True:
            try:
                here, _ = self.server.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self.port))
            self._ends += [here, there]
            for pair in ((here, there), (there, here)):
                self._start(threading.Thread(target=self._pass_on, args=pair))

    def _start(self, thread: threading.Thread) -> None:
        self._threads.append(thread)
        thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while said := source.recv(65536):
                if source not in self._forgotten:
                    sink.sendall(said)
            if source not in self._forgotten:
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def start(self) -> None:
        self._start(threading.Thread(target=self.run))

    def end(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for end in self._ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()


@pytest.fixture
def firewalls() -> Iterator[list[Firewall]]:
    started: list[Firewall] = []
    yield started
    for firewall in started:
        firewall.end()


def before(port: int, firewalls: list[Firewall]) -> Firewall:
    firewalls.append(Firewall(port))
    firewalls[-1].start()
    return firewalls[-1]


def echo(pool: ConnectionPool, node: Node) -> bytes:
    with pool.connect(node) as session:
        return session.run(Program(text=b"echo hello")).stdout


def test_forgotten_connections_cost_their_limit_and_nobody_else_waits(
    make_sshd: SshdMaker, make_pool: PoolMaker, firewalls: list[Firewall]
) -> None:
    sshd = make_sshd()
    firewall = before(sshd.port, firewalls)
    behind = [sshd.node(f"behind-{n}", port=firewall.address) for n in range(6)]
    open_ = [sshd.node(f"open-{n}") for n in range(3)]
    everyone = (*behind, *open_)
    pool = make_pool(pinned(*((node.id, sshd) for node in everyone)), *everyone, max_handshakes=2)
    assert {echo(pool, node) for node in everyone} == {b"hello\n"}
    limit = Told()
    hurry(pool, *behind, limit=limit)
    firewall.forget()
    with ThreadPoolExecutor(len(everyone)) as threads:
        slow = [threads.submit(echo, pool, node) for node in behind]
        quick = [threads.submit(echo, pool, node) for node in open_]
        assert {future.result() for future in quick} == {b"hello\n"}
        assert not any(future.done() for future in slow), "they wait for their own limit"
        limit.over = True
        assert {future.result() for future in slow} == {b"hello\n"}, "and are asked again over a new connection"
    assert sshd.connections() == len(everyone) + len(behind)


def test_a_forgotten_gateway_is_opened_again_once_for_all_its_nodes(
    make_sshd: SshdMaker, make_pool: PoolMaker, firewalls: list[Firewall]
) -> None:
    gate, inner = make_sshd(), make_sshd()
    firewall = before(gate.port, firewalls)
    nodes = [inner.node(f"web-{n}", gateway=NodeId("gate")) for n in range(4)]
    gateway = gate.node("gate", port=firewall.address)
    known = pinned(("gate", gate), *((node.id, inner) for node in nodes))
    pool = make_pool(known, gateway, *nodes)
    with ThreadPoolExecutor(len(nodes)) as threads:
        assert list(threads.map(lambda node: echo(pool, node), nodes)) == [b"hello\n"] * 4
        assert gate.connections() == 1
        hurry(pool)
        firewall.forget()
        assert list(threads.map(lambda node: echo(pool, node), nodes)) == [b"hello\n"] * 4
    assert gate.connections() == 2


def test_a_connection_that_dies_while_it_is_closed_is_closed(make_sshd: SshdMaker, keys: Path) -> None:
    """What is said as a goodbye goes into a broken pipe: nobody is left to be told, and no other error is hidden by it."""
    gate, inner = make_sshd(), make_sshd()
    gateway_node, node = gate.node("gate"), inner.node()
    known = pinned(("gate", gate), (node.id, inner))
    directory = KeyDirectory(keys)
    gateway = connect_ssh(gateway_node, known.pins(gateway_node.id, gateway_node.address, gate.port), directory)
    through = connect_ssh(node, known.pins(node.id, node.address, inner.port), directory, gateway=gateway)
    begun = through.start(Program(text=b"sleep 60"))
    exchange = begun._exchange
    stopped = gate.session_pids()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)  # it says no goodbye of its own, by which the connection would be known to be dead
    try:
        gateway._transport.sock.shutdown(socket.SHUT_WR)
        assert gateway.is_alive
        exchange.close()
        exchange.end()
        through.close()
        gateway.close()
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)


def test_a_silent_node_behind_a_living_gateway_costs_the_others_nothing(
    make_sshd: SshdMaker, make_pool: PoolMaker
) -> None:
    gate, inner = make_sshd(), make_sshd()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mute = inner.node("mute", port=silent.getsockname()[1], gateway=NodeId("gate"))
        well = inner.node("well", gateway=NodeId("gate"))
        known = pinned(("gate", gate), ("mute", inner), ("well", inner))
        patience = replace(LONG, greeting=timedelta(seconds=1))
        pool = make_pool(known, gate.node("gate"), mute, well, patience=patience)
        with pytest.raises(Exception, match="no SSH greeting"):
            echo(pool, mute)
        assert echo(pool, well) == b"hello\n"
    assert gate.connections() == 1


def test_sshds_default_limits_hold_a_gateways_nodes_back_from_nothing(
    make_sshd: SshdMaker, make_pool: PoolMaker
) -> None:
    """15 nodes at once: one login at the gateway, and tunnels are no sessions."""
    gate, inner = make_sshd("MaxStartups 10:30:100", "MaxSessions 10"), make_sshd()
    nodes = [inner.node(f"web-{n}", gateway=NodeId("gate")) for n in range(15)]
    pool = make_pool(pinned(("gate", gate), *((node.id, inner) for node in nodes)), gate.node("gate"), *nodes)
    with ThreadPoolExecutor(len(nodes)) as threads:
        assert list(threads.map(lambda node: echo(pool, node), nodes)) == [b"hello\n"] * 15
    assert gate.connections() == 1
