"""The warm pool: what is kept, what is opened again, and how many log in at a time."""

import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import HostKeyMismatch, NodeError, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Answer, Program
from reconciler.model.node import Node
from reconciler.transport import pool as pool_module
from reconciler.transport import ssh
from reconciler.transport.known_hosts import parse
from reconciler.transport.pool import ConnectionPool
from tests.transport.real_sshd import LONG, PoolMaker, Sshd, SshdMaker, free_port, hurry, pinned, wait_until

NO_GREETING = replace(LONG, greeting=timedelta(seconds=1))


def echo(pool: ConnectionPool, node: Node, word: str = "hello") -> bytes:
    with pool.connect(node) as session:
        return session.run(Program(text=f"echo {word}".encode())).stdout


def test_a_second_pass_finds_the_connection_warm(sshd: Sshd, make_pool: PoolMaker) -> None:
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    assert not pool.is_warm(node.id)
    assert [echo(pool, node, "1"), echo(pool, node, "2")] == [b"1\n", b"2\n"]
    assert pool.is_warm(node.id)
    assert sshd.connections() == 1


def test_sessions_of_one_node_at_the_same_time_are_connections_of_their_own(sshd: Sshd, make_pool: PoolMaker) -> None:
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    with pool.connect(node), pool.connect(node):
        assert sshd.connections() == 2
    assert echo(pool, node) == b"hello\n"
    assert sshd.connections() == 2


def test_what_does_not_fit_is_closed_after_use_and_what_is_kept_is_never_evicted(
    sshd: Sshd, make_pool: PoolMaker
) -> None:
    nodes = [sshd.node(f"web-{n}") for n in range(3)]
    pool = make_pool(pinned(*((node.id, sshd) for node in nodes)), *nodes, keep=2)
    for _ in range(2):
        for node in nodes:
            assert echo(pool, node) == b"hello\n"
    assert [pool.is_warm(node.id) for node in nodes] == [True, True, False]
    assert sshd.connections() == 4


def test_nothing_is_kept_where_nothing_may_be(sshd: Sshd, make_pool: PoolMaker) -> None:
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node, keep=0)
    assert [echo(pool, node), echo(pool, node)] == [b"hello\n"] * 2
    assert sshd.connections() == 2
    wait_until(lambda: not sshd.session_pids())


def test_a_kept_connection_that_died_is_opened_again(sshd: Sshd, make_pool: PoolMaker) -> None:
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    echo(pool, node)
    sshd.cut()
    assert echo(pool, node) == b"hello\n"
    assert sshd.connections() == 2


def test_a_kept_connection_that_dies_under_a_session_before_its_program_is_opened_again(
    sshd: Sshd, make_pool: PoolMaker
) -> None:
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    echo(pool, node)
    with pool.connect(node) as session:
        sshd.cut()
        assert session.run(Program(text=b"echo hello")).stdout == b"hello\n"
    assert sshd.connections() == 2


def test_a_kept_connection_that_a_firewall_forgot_is_replaced(sshd: Sshd, make_pool: PoolMaker) -> None:
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    echo(pool, node)
    hurry(pool)
    forgotten = sshd.session_pids()
    for pid in forgotten:
        os.kill(pid, signal.SIGSTOP)
    assert forgotten
    assert echo(pool, node) == b"hello\n"
    assert sshd.connections() == 2
    for pid in forgotten:
        os.kill(pid, signal.SIGKILL)


def test_a_program_that_may_have_run_is_never_sent_again(sshd: Sshd, make_pool: PoolMaker, tmp_path: Path) -> None:
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    echo(pool, node)
    ran = tmp_path / "ran"

    def cut() -> None:
        wait_until(ran.exists)
        sshd.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    with pool.connect(node) as session, pytest.raises(NodeUnreachable):
        session.run(Program(text=f"echo once >> {ran}; exec sleep 15".encode()))
    cutter.join()
    assert ran.read_text() == "once\n"
    assert echo(pool, node) == b"hello\n"
    assert ran.read_text() == "once\n"


def test_a_node_that_moved_is_reached_at_its_new_place(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    old, new = make_sshd(), make_sshd()
    known = parse(f"web-01 {old.host_key}\nweb-01 {new.host_key}\n")
    pool = make_pool(known, old.node())
    echo(pool, old.node())
    pool.update(known_hosts=known, nodes={NodeId("web-01"): new.node()})
    assert not pool.is_warm(NodeId("web-01"))
    assert echo(pool, new.node()) == b"hello\n"
    assert (old.connections(), new.connections()) == (1, 1)


def test_a_kept_connection_is_not_used_once_its_key_is_no_longer_pinned(
    make_sshd: SshdMaker, make_pool: PoolMaker
) -> None:
    sshd, other = make_sshd(), make_sshd()
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    echo(pool, node)
    pool.update(known_hosts=pinned((node.id, other)), nodes={node.id: node})
    assert not pool.is_warm(node.id)
    with pytest.raises(HostKeyMismatch):
        echo(pool, node)


def test_a_node_that_left_the_fleet_is_disconnected(sshd: Sshd, make_pool: PoolMaker) -> None:
    node = sshd.node()
    known = pinned((node.id, sshd))
    pool = make_pool(known, node)
    echo(pool, node)
    pool.update(known_hosts=known, nodes={})
    wait_until(lambda: not sshd.session_pids())


def test_a_gateway_that_left_the_fleet_is_disconnected(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    gate, inner = make_sshd(), make_sshd()
    node = inner.node(gateway=NodeId("gate"))
    known = pinned(("web-01", inner), ("gate", gate))
    pool = make_pool(known, node, gate.node("gate"))
    echo(pool, node)
    pool.update(known_hosts=known, nodes={node.id: inner.node()})
    wait_until(lambda: not gate.session_pids())
    assert echo(pool, inner.node()) == b"hello\n"


def test_a_gateway_that_died_is_opened_again(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    gate, inner = make_sshd(), make_sshd()
    node = inner.node(gateway=NodeId("gate"))
    pool = make_pool(pinned(("web-01", inner), ("gate", gate)), node, gate.node("gate"))
    echo(pool, node)
    gate.cut()
    wait_until(lambda: not pool.is_warm(node.id))
    assert echo(pool, node) == b"hello\n"
    assert gate.connections() == 2


def test_nodes_behind_a_dead_gateway_share_one_attempt(
    make_sshd: SshdMaker, make_pool: PoolMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "GATEWAY_PAUSE", timedelta(hours=1))
    inner = make_sshd()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says a word
        gate = inner.node("gate", port=silent.getsockname()[1])
        nodes = [inner.node(f"web-{n}", gateway=NodeId("gate")) for n in range(6)]
        pool = make_pool(
            pinned(("gate", inner), *((node.id, inner) for node in nodes)), gate, *nodes, patience=NO_GREETING
        )
        silent.settimeout(0.2)
        with ThreadPoolExecutor(3) as threads:
            futures = [threads.submit(echo, pool, node) for node in nodes]
            errors = [future.exception() for future in futures]
        assert all(isinstance(error, NodeUnreachable) and "gateway gate: " in str(error) for error in errors)
        peer, _ = silent.accept()
        peer.close()
        with pytest.raises(TimeoutError):
            silent.accept()


def test_everything_is_closed_at_the_end(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    gate, inner = make_sshd(), make_sshd()
    node = inner.node(gateway=NodeId("gate"))
    pool = make_pool(pinned(("web-01", inner), ("gate", gate)), node, gate.node("gate"))
    with pool:
        echo(pool, node)
    wait_until(lambda: not inner.session_pids() and not gate.session_pids())


def test_only_so_many_log_in_at_a_time(sshd: Sshd, make_pool: PoolMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve real logins, counted where a handshake begins and ends: a proxy in between would count late."""
    under_way, most = [0], [0]
    lock = threading.Lock()
    log_in = ssh._log_in

    def counted(*given: Any) -> ssh.SshConnection:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        try:
            return log_in(*given)
        finally:
            with lock:
                under_way[0] -= 1

    monkeypatch.setattr(ssh, "_log_in", counted)
    nodes = [sshd.node(f"web-{n}") for n in range(12)]
    pool = make_pool(pinned(*((node.id, sshd) for node in nodes)), *nodes, max_handshakes=3)
    with ThreadPoolExecutor(12) as threads:
        assert list(threads.map(lambda node: echo(pool, node), nodes)) == [b"hello\n"] * 12
    pool.close()
    assert 2 <= most[0] <= 3


def test_nodes_that_are_down_or_silent_do_not_hold_the_others(sshd: Sshd, make_pool: PoolMaker) -> None:
    """With one slot, six silent servers would hold a healthy node for a minute if they took it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = [sshd.node(f"silent-{n}", port=silent.getsockname()[1]) for n in range(6)]
        dead += [sshd.node(f"down-{n}", port=free_port()) for n in range(6)]
        healthy = sshd.node("healthy")
        known = pinned(*((node.id, sshd) for node in (*dead, healthy)))
        pool = make_pool(
            known, *dead, healthy, max_handshakes=1, patience=replace(LONG, greeting=timedelta(seconds=15))
        )
        done: list[str] = []

        def visit(node: Node) -> None:
            try:
                echo(pool, node)
            except NodeError:
                pass
            finally:
                done.append(node.id)

        with ThreadPoolExecutor(13) as threads:
            list(threads.map(visit, (*dead, healthy)))
        assert done.index("healthy") < min(done.index(node.id) for node in dead[:6])


def test_many_threads_share_a_pool(sshd: Sshd, make_pool: PoolMaker) -> None:
    nodes = [sshd.node(f"web-{n}") for n in range(8)]
    pool = make_pool(pinned(*((node.id, sshd) for node in nodes)), *nodes)

    def visit(number: int) -> Answer:
        with pool.connect(nodes[number % 8]) as session:
            return session.run(Program(text=f"echo {number}; exit {number % 5}".encode()))

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(visit, range(64)))
    assert [(answer.stdout, answer.exit_status) for answer in answers] == [(b"%d\n" % n, n % 5) for n in range(64)]
