"""Asking servers for their host keys, for known_hosts lines to review."""

import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from reconciler.errors import NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.node import Node, Transport
from reconciler.transport.known_hosts import HostKey, lines_for, parse
from reconciler.transport.scan_keys import scan_keys
from tests.transport.real_sshd import LONG, PoolMaker, Sshd, SshdMaker, free_port, keygen, pinned


def test_a_node_shows_all_its_keys_and_nobody_logs_in(make_sshd: SshdMaker, tmp_path: Path) -> None:
    keygen(tmp_path / "rsa", "rsa")
    sshd = make_sshd(f"HostKey {tmp_path / 'rsa'}")
    node = sshd.node(identity_file="absent")
    keys = scan_keys([node])[node.id]
    assert isinstance(keys, tuple)
    assert keys == (sshd.host_key, HostKey(*(tmp_path / "rsa.pub").read_text().split()[:2]))
    assert "Accepted" not in sshd.log()
    assert parse("\n".join(lines_for(node, keys))).pins(node.id, node.address, node.port).keys == keys


def test_one_nodes_trouble_is_its_own(sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nodes = [
            sshd.node("up"),
            sshd.node("down", port=free_port()),
            sshd.node("silent", port=silent.getsockname()[1]),
            Node(id=NodeId("here"), transport=Transport.LOCAL),
        ]
        answers = scan_keys(nodes, patience=replace(LONG, greeting=timedelta(seconds=15)), kinds=["ssh-ed25519"])
    assert answers[NodeId("up")] == (sshd.host_key,)
    assert isinstance(answers[NodeId("down")], NodeUnreachable)
    assert isinstance(answers[NodeId("silent")], NodeTimeout)
    assert isinstance(answers[NodeId("here")], NodeUnreachable)


def test_a_node_behind_a_gateway_is_asked_through_it(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    gate, inner = make_sshd(), make_sshd()
    node = inner.node(gateway=NodeId("gate"))
    pool = make_pool(pinned(("gate", gate)), gate.node("gate"), node)
    assert scan_keys([node], pool) == {node.id: (inner.host_key,)}
    assert isinstance(scan_keys([node])[node.id], NodeUnreachable)
