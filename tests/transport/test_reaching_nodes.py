"""Connections to real sshds: which are made, which are refused, and in which words."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.errors import HostKeyMismatch, HostKeyUnknown, LoginRefused, NodeError, NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Program
from reconciler.model.node import Node
from reconciler.transport.known_hosts import KnownHosts, host_key_line, parse
from reconciler.transport.wire import Patience
from tests.support.waiting import wait_until
from tests.transport.real_sshd import LONG, PoolMaker, Sshd, SshdMaker, free_port, keygen, pinned

HELLO = Program(text=b"echo hello")
NO_GREETING = replace(LONG, greeting=timedelta(seconds=0.5))
NO_HANDSHAKE = replace(LONG, handshake=timedelta(seconds=2))


def hello(make_pool: PoolMaker, known: KnownHosts, node: Node, *others: Node, patience: Patience = LONG) -> bytes:
    with make_pool(known, node, *others, patience=patience).connect(node) as session:
        return session.run(HELLO).stdout


def trouble(make_pool: PoolMaker, known: KnownHosts, node: Node, *others: Node, patience: Patience = LONG) -> NodeError:
    with pytest.raises(NodeError) as caught:
        hello(make_pool, known, node, *others, patience=patience)
    assert caught.value.node == node.id
    return caught.value


def test_a_node_without_a_pinned_key_gets_no_connection(sshd: Sshd, make_pool: PoolMaker) -> None:
    error = trouble(make_pool, parse(""), sshd.node())
    assert isinstance(error, HostKeyUnknown)
    assert "`reconciler node scan-keys web-01`" in str(error)
    assert sshd.connections() == 0


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_every_kind_of_host_key_can_be_pinned(make_sshd: SshdMaker, make_pool: PoolMaker, kind: str) -> None:
    sshd = make_sshd(key=kind)
    assert hello(make_pool, pinned(("web-01", sshd)), sshd.node()) == b"hello\n"


def test_of_several_host_keys_the_pinned_one_is_asked_for(
    make_sshd: SshdMaker, make_pool: PoolMaker, tmp_path: Path
) -> None:
    keygen(tmp_path / "rsa", "rsa")
    sshd = make_sshd(f"HostKey {tmp_path / 'rsa'}", key="ed25519")
    kind, text = (tmp_path / "rsa.pub").read_text().split()[:2]
    assert hello(make_pool, parse(f"web-01 {kind} {text}\n"), sshd.node()) == b"hello\n"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_changed_host_key_gets_no_login(make_sshd: SshdMaker, make_pool: PoolMaker, kind: str) -> None:
    sshd, other = make_sshd(), make_sshd(key=kind)
    error = trouble(make_pool, pinned(("web-01", other)), sshd.node())
    assert isinstance(error, HostKeyMismatch)
    assert f"pinned {other.host_key.fingerprint}" in str(error)
    assert f"the node shows {sshd.host_key.fingerprint}" in str(error)
    assert "update state/known_hosts: `reconciler node scan-keys web-01`" in str(error)
    assert "Accepted" not in sshd.log()
    assert "publickey" not in sshd.log()


def test_a_revoked_host_key_gets_no_login(sshd: Sshd, make_pool: PoolMaker) -> None:
    known = parse(f"web-01 {sshd.host_key}\n@revoked * {sshd.host_key}\n")
    error = trouble(make_pool, known, sshd.node())
    assert isinstance(error, HostKeyMismatch)
    assert "revoked" in str(error)
    assert "publickey" not in sshd.log()


def test_the_users_own_known_hosts_and_config_are_not_read(
    sshd: Sshd, make_pool: PoolMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "home" / ".ssh"
    ssh.mkdir(parents=True)
    (ssh / "known_hosts").write_text(host_key_line(f"[127.0.0.1]:{sshd.port}", sshd.host_key) + "\n")
    (ssh / "config").write_text(
        f"Host *\n Hostname 192.0.2.1\n ProxyCommand touch {tmp_path}/ran\nMatch exec 'touch {tmp_path}/ran'\n User x\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert isinstance(trouble(make_pool, parse(""), sshd.node()), HostKeyUnknown)
    assert hello(make_pool, pinned(("web-01", sshd)), sshd.node()) == b"hello\n"
    assert not (tmp_path / "ran").exists()


def test_a_refused_key_is_named(make_sshd: SshdMaker, make_pool: PoolMaker, keys: Path) -> None:
    sshd = make_sshd()
    keygen(keys / "other")
    error = trouble(make_pool, pinned(("web-01", sshd)), sshd.node(identity_file="other"))
    assert isinstance(error, LoginRefused)
    assert "with key 'other'" in str(error)
    assert "authorized_keys" in str(error)


def test_a_node_that_takes_no_keys_is_told_apart(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    sshd = make_sshd("PubkeyAuthentication no", "PasswordAuthentication yes")
    error = trouble(make_pool, pinned(("web-01", sshd)), sshd.node())
    assert isinstance(error, LoginRefused)
    assert "takes no public keys" in str(error)


def test_a_node_that_wants_a_second_factor_is_told_apart(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    sshd = make_sshd("PasswordAuthentication yes", "AuthenticationMethods publickey,password")
    error = trouble(make_pool, pinned(("web-01", sshd)), sshd.node())
    assert isinstance(error, LoginRefused)
    assert "wants more than the key" in str(error)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("absent", "there is no key 'absent' in the key directory", id="absent"),
        pytest.param("../fleet", "is no name of a key", id="parent"),
        pytest.param("/etc/shadow", "is no name of a key", id="path"),
        pytest.param("..", "is no name of a key", id="dots"),
        pytest.param("text", "does not read as a private key", id="no key"),
        pytest.param("folder", "cannot be read", id="folder"),
        pytest.param("secret", "has a passphrase: load it into an agent", id="passphrase"),
    ],
)
def test_a_key_that_cannot_be_used_is_named(
    sshd: Sshd, make_pool: PoolMaker, keys: Path, name: str, words: str
) -> None:
    (keys / "text").write_text("not a key")
    (keys / "folder").mkdir()
    keygen(keys / "secret", passphrase="hunter2")
    error = trouble(make_pool, pinned(("web-01", sshd)), sshd.node(identity_file=name))
    assert isinstance(error, LoginRefused)
    assert words in str(error)


def test_a_key_that_is_replaced_is_read_again(make_sshd: SshdMaker, make_pool: PoolMaker, keys: Path) -> None:
    sshd = make_sshd()
    keygen(keys / "other")
    fleet = (keys / "fleet").read_bytes()
    (keys / "fleet").write_bytes((keys / "other").read_bytes())
    pool = make_pool(pinned(("web-01", sshd)), sshd.node())
    with pytest.raises(LoginRefused), pool.connect(sshd.node()):
        pass
    (keys / "fleet").write_bytes(fleet)
    with pool.connect(sshd.node()) as session:
        assert session.run(HELLO).stdout == b"hello\n"


def test_without_a_name_the_default_keys_are_tried(sshd: Sshd, make_pool: PoolMaker, keys: Path) -> None:
    (keys / "fleet").rename(keys / "id_ed25519")
    assert hello(make_pool, pinned(("web-01", sshd)), sshd.node(identity_file=None)) == b"hello\n"


def test_without_any_key_the_remedy_is_named(sshd: Sshd, make_pool: PoolMaker) -> None:
    error = trouble(make_pool, pinned(("web-01", sshd)), sshd.node(identity_file=None))
    assert isinstance(error, LoginRefused)
    assert "no key to log in with" in str(error)


@contextmanager
def agent_with(socket_path: Path, key: Path) -> Iterator[None]:
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL) as agent:
        try:
            wait_until(socket_path.exists, "the agent listens")
            environment = {"SSH_AUTH_SOCK": str(socket_path), "SSH_ASKPASS": "/bin/cat", "PATH": "/usr/bin:/bin"}
            subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environment, stdin=subprocess.DEVNULL)
            yield
        finally:
            agent.terminate()


def test_the_agents_keys_are_used_where_no_key_is_named(
    sshd: Sshd, make_pool: PoolMaker, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (keys / "fleet").rename(tmp_path / "elsewhere")
    with agent_with(tmp_path / "agent", tmp_path / "elsewhere"):
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        assert hello(make_pool, pinned(("web-01", sshd)), sshd.node(identity_file=None)) == b"hello\n"


def test_a_named_key_with_a_passphrase_is_found_in_the_agent(
    sshd: Sshd, make_pool: PoolMaker, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open").write_bytes((keys / "fleet").read_bytes())
    (tmp_path / "open").chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "hunter2", "-P", "", "-f", str(keys / "fleet")], check=True)
    with agent_with(tmp_path / "agent", tmp_path / "open"):
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        assert hello(make_pool, pinned(("web-01", sshd)), sshd.node()) == b"hello\n"


def test_a_port_where_nobody_listens(sshd: Sshd, make_pool: PoolMaker) -> None:
    error = trouble(make_pool, pinned(("web-01", sshd)), sshd.node(port=free_port()))
    assert isinstance(error, NodeUnreachable)
    assert "connection refused: no sshd listens there" in str(error)


def test_a_name_that_is_not_found(sshd: Sshd, make_pool: PoolMaker) -> None:
    error = trouble(make_pool, pinned(("web-01", sshd)), sshd.node(address="no-such-node.invalid"))
    assert isinstance(error, NodeUnreachable)
    assert "the name is not found" in str(error)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Accepts TCP connections, in the kernel, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def at(node: Node, listener: socket.socket) -> Node:
    return replace(node, port=listener.getsockname()[1])


def test_a_server_that_accepts_and_stays_silent_is_given_up(
    sshd: Sshd, make_pool: PoolMaker, listener: socket.socket
) -> None:
    error = trouble(make_pool, pinned(("web-01", sshd)), at(sshd.node(), listener), patience=NO_GREETING)
    assert isinstance(error, NodeTimeout)
    assert "accepts connections but sent no SSH greeting within 0.5 s" in str(error)


def test_a_server_that_stops_after_its_greeting_is_given_up(
    sshd: Sshd, make_pool: PoolMaker, listener: socket.socket
) -> None:
    error = _against(sshd, make_pool, listener, b"SSH-2.0-OpenSSH_9.2\r\n", wait_for_end=True, patience=NO_HANDSHAKE)
    assert isinstance(error, NodeTimeout)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param(b"SSH-1.5-old\r\n", id="SSH 1"),
        pytest.param(b"Exceeded MaxStartups\r\n", id="MaxStartups"),
        pytest.param(b"SSH-2.0-x\r\n" + b"\xff" * 4096, id="garbage"),
        pytest.param(b"SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a\x14" + b"\0" * 10, id="empty key exchange"),
        pytest.param(b"SSH-2.0-x\r\n\xff\xff\xff\x00\x0a\x14" + b"\0" * 10, id="a packet of 4 GB"),
        pytest.param(b"\x00" * 100_000, id="zeros"),
        pytest.param(b"SSH-2.0-\xff\xfe\r\n", id="bytes that are not UTF-8"),
        pytest.param(b"", id="closes at once"),
    ],
)
def test_what_does_not_speak_ssh_is_unreachable(
    sshd: Sshd, make_pool: PoolMaker, listener: socket.socket, said: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    # It has said all it will: no time-out is what ends this, however busy the machine is.
    error = _against(sshd, make_pool, listener, said)
    assert isinstance(error, NodeUnreachable)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        pytest.param(b"Exceeded MaxStartups\r\n", "lower Ssh: MaxHandshakes", id="OpenSSH to 9.7"),
        pytest.param(b"Not allowed at this time\r\n", "PerSourcePenaltyExemptList", id="since 9.8"),
    ],
)
def test_an_sshd_that_lets_nobody_in_for_now_is_named_with_the_remedy(
    sshd: Sshd, make_pool: PoolMaker, listener: socket.socket, said: bytes, remedy: str
) -> None:
    error = _against(sshd, make_pool, listener, said)
    assert isinstance(error, NodeUnreachable)
    assert "sshd refuses connections from here now" in str(error)
    assert remedy in str(error)


def half_open(sshd: Sshd) -> socket.socket:
    """A connection that has seen the greeting and never logs in; tried until those before it are gone."""
    taken: list[socket.socket] = []

    def is_greeted() -> bool:
        connection = socket.create_connection(("127.0.0.1", sshd.port), timeout=60)
        if connection.recv(4) == b"SSH-":
            taken.append(connection)
        else:
            connection.close()
        return bool(taken)

    wait_until(is_greeted, "room for one more")
    return taken[0]


def test_a_real_sshd_at_its_max_startups_is_named(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    gate, full = make_sshd(), make_sshd("MaxStartups 1:100:1")
    node, behind = full.node(), full.node(gateway=NodeId("gate"))
    for known in ((node,), (behind, gate.node("gate"))):
        with half_open(full):
            error = trouble(make_pool, pinned(("web-01", full), ("gate", gate)), *known)
            assert "sshd refuses connections from here now" in str(error)
            assert "MaxStartups" in str(error)


def _against(
    sshd: Sshd,
    make_pool: PoolMaker,
    listener: socket.socket,
    said: bytes,
    *,
    wait_for_end: bool = False,
    patience: Patience = LONG,
) -> NodeError:
    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(said)
            peer.settimeout(60)
            while wait_for_end and peer.recv(4096):
                pass

    server = threading.Thread(target=serve)
    server.start()
    try:
        return trouble(make_pool, pinned(("web-01", sshd)), at(sshd.node(), listener), patience=patience)
    finally:
        server.join()


def test_a_node_behind_a_gateway(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    gate, inner = make_sshd(), make_sshd()
    node = inner.node(gateway=NodeId("gate"))
    assert hello(make_pool, pinned(("web-01", inner), ("gate", gate)), node, gate.node("gate")) == b"hello\n"
    assert gate.connections() == 1


def test_one_address_behind_two_gateways_is_pinned_by_the_nodes_ids(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    """Both gateways are real, and behind both is the same address: which machine answers, only the id tells."""
    here, there, inner = make_sshd(), make_sshd(), make_sshd()
    ams = inner.node("ams-web", gateway=NodeId("ams-gate"))
    fra = inner.node("fra-web", gateway=NodeId("fra-gate"))
    nodes = (ams, fra, here.node("ams-gate"), there.node("fra-gate"))
    gates = (("ams-gate", here), ("fra-gate", there))
    by_address = parse(f"{host_key_line(f'[127.0.0.1]:{inner.port}', inner.host_key)}\n" + gates_text(gates))
    for node in (ams, fra):
        with (
            pytest.raises(HostKeyUnknown, match="also another node's, behind another gateway"),
            make_pool(by_address, *nodes).connect(node),
        ):
            pass
    assert inner.connections() == 0
    by_id = pinned(*gates, ("ams-web", inner), ("fra-web", here))
    assert hello(make_pool, by_id, *nodes) == b"hello\n"
    with pytest.raises(HostKeyMismatch), make_pool(by_id, *nodes).connect(fra):
        pass


def gates_text(gates: tuple[tuple[str, Sshd], ...]) -> str:
    return "".join(f"{name} {sshd.host_key}\n" for name, sshd in gates)


def test_a_node_behind_two_gateways(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    outer, middle, inner = make_sshd(), make_sshd(), make_sshd()
    known = pinned(("web-01", inner), ("middle", middle), ("outer", outer))
    nodes = (inner.node(gateway=NodeId("middle")), middle.node("middle", gateway=NodeId("outer")), outer.node("outer"))
    assert hello(make_pool, known, *nodes) == b"hello\n"


def test_nodes_behind_one_gateway_share_its_connection(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    gate, inner = make_sshd(), make_sshd()
    nodes = [inner.node(f"web-{n}", gateway=NodeId("gate")) for n in range(4)]
    pool = make_pool(pinned(("gate", gate), *((node.id, inner) for node in nodes)), gate.node("gate"), *nodes)
    for node in nodes:
        with pool.connect(node) as session:
            assert session.run(HELLO).stdout == b"hello\n"
    assert gate.connections() == 1
    assert inner.connections() == 4


def test_a_gateway_with_a_changed_host_key_forwards_nothing(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    gate, inner = make_sshd(), make_sshd()
    known = pinned(("web-01", inner), ("gate", inner))
    error = trouble(make_pool, known, inner.node(gateway=NodeId("gate")), gate.node("gate"))
    assert isinstance(error, NodeUnreachable)
    assert "gateway gate: host key changed" in str(error)
    assert inner.connections() == 0


def test_a_gateway_that_may_not_forward_is_named(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    gate, inner = make_sshd("AllowTcpForwarding no"), make_sshd()
    error = trouble(
        make_pool, pinned(("web-01", inner), ("gate", gate)), inner.node(gateway=NodeId("gate")), gate.node("gate")
    )
    assert isinstance(error, NodeUnreachable)
    assert "through gateway gate: sshd forbids it (AllowTcpForwarding" in str(error)


def test_a_node_that_is_down_behind_a_gateway_is_not_the_gateways_fault(
    make_sshd: SshdMaker, make_pool: PoolMaker
) -> None:
    gate, inner = make_sshd(), make_sshd()
    pool = make_pool(pinned(("web-01", inner), ("web-02", inner), ("gate", gate)), gate.node("gate"))
    down, up = inner.node("web-02", gateway=NodeId("gate"), port=free_port()), inner.node(gateway=NodeId("gate"))
    with pytest.raises(NodeUnreachable, match="through gateway gate"), pool.connect(down):
        pass
    with pool.connect(up) as session:
        assert session.run(HELLO).stdout == b"hello\n"
    assert gate.connections() == 1


def test_gateways_in_a_circle_are_refused(sshd: Sshd, make_pool: PoolMaker) -> None:
    a, b = sshd.node("a", gateway=NodeId("b")), sshd.node("b", gateway=NodeId("a"))
    error = trouble(make_pool, pinned(("a", sshd), ("b", sshd)), a, b)
    assert "in a circle: a -> b -> a" in str(error)
    assert sshd.connections() == 0


def test_a_gateway_that_does_not_exist_is_named(sshd: Sshd, make_pool: PoolMaker) -> None:
    error = trouble(make_pool, pinned(("web-01", sshd)), sshd.node(gateway=NodeId("ghost")))
    assert "Gateway 'ghost' is no node of this fleet" in str(error)
