"""The management host's own ssh configuration: five keywords, for what a node's file leaves open; nothing of it is run."""

from pathlib import Path

import pytest

from reconciler.errors import HostKeyUnknown, LoginRefused, NodeError, NodeUnreachable, SettingsError
from reconciler.ids import NodeId
from reconciler.model.command import Program
from reconciler.model.node import Node
from reconciler.settings import HostSettings, host_settings
from reconciler.transport.host_ssh import HostSsh
from reconciler.transport.known_hosts import host_key_line, parse
from tests.transport.real_sshd import PoolMaker, Sshd, SshdMaker, free_port, keygen, pinned

HELLO = Program(text=b"echo hello")
WEB = Node(id=NodeId("web-01"), address="web", port_is_written=False)


def config(folder: Path, text: str) -> HostSsh:
    file = folder / "ssh_config"
    file.write_text(text)
    file.chmod(0o600)
    return HostSsh.read(file)


def reached(folder: Path, text: str, node: Node = WEB) -> Node:
    return config(folder, text).reach(node).node


def test_what_a_node_leaves_open_is_filled_in(tmp_path: Path) -> None:
    text = "Host web\n HostName 10.0.0.1\n Port 2222\n User ops\n IdentityFile ~/.ssh/web\n IdentityFile %d/other\n"
    reach = config(tmp_path, text).reach(WEB)
    assert (reach.node.address, reach.node.port, reach.node.user) == ("10.0.0.1", 2222, "ops")
    assert reach.identity_files == (Path.home() / ".ssh/web", Path.home() / "other")


def test_what_the_nodes_own_file_says_wins(tmp_path: Path) -> None:
    text = "Host *\n Port 2222\n User ops\n IdentityFile ~/x\n ProxyJump bastion\n"
    node = Node(id=NodeId("web-01"), address="web", port=22, user="me", identity_file="fleet", gateway=NodeId("gate"))
    reach = config(tmp_path, text).reach(node)
    assert (reach.node, reach.identity_files) == (node, ())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("Host w*\n HostName %h.example\n", "web.example", id="%h is the name"),
        pytest.param("Host other\n HostName 10.0.0.9\n", "web", id="another name"),
        pytest.param("Host * !web\n HostName 10.0.0.9\n", "web", id="negated"),
        pytest.param("Host web\n HostName a\nHost *\n HostName b\n", "a", id="the first counts"),
        pytest.param("Match all\n HostName 10.0.0.9\n", "web", id="no Match"),
        pytest.param("Include /etc/hosts\nInclude elsewhere\n", "web", id="no Include"),
    ],
)
def test_which_blocks_count(tmp_path: Path, text: str, address: str) -> None:
    (tmp_path / "elsewhere").write_text("Host *\n HostName 10.0.0.9\n")
    assert reached(tmp_path, text).address == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("Host web\n HostName -oProxyCommand=id\n", "ssh_config:2: HostName", id="an option for a name"),
        pytest.param("Host web\n HostName %r.example\n", "a variable is not filled in", id="another variable"),
        pytest.param("Host web\n HostName 0x7f.1\n", "not an IPv4 address", id="hexadecimal"),
        pytest.param("Host web\n ProxyJump a:b:c\n", "ssh_config:2: ProxyJump is not", id="no hop"),
        pytest.param("Host web\n ProxyJump $(id)\n", "ssh_config:2: ProxyJump is not", id="shell"),
        pytest.param(
            "Host web\n IdentityFile ~/keys/%h\n", "only ~, %d, %u and %% are filled in", id="repository in path"
        ),
        pytest.param("Host web\n IdentityFile ${HOME}/x\n", "only ~, %d, %u and %% are filled in", id="environment"),
        pytest.param("Host web\n ProxyJump " + ",".join("abcdefghi") + "\n", "more than 8 hosts", id="many hops"),
    ],
)
def test_what_cannot_be_followed_is_named_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(NodeUnreachable) as caught:
        config(tmp_path, text).reach(WEB)
    assert words in str(caught.value)


def test_a_file_that_others_may_write_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "ssh_config"
    file.write_text("Host *\n")
    file.chmod(0o666)
    with pytest.raises(SettingsError, match="others may write this file"):
        HostSsh.read(file)
    with pytest.raises(SettingsError, match="SshConfig: none"):
        HostSsh.read(tmp_path / "missing")
    with pytest.raises(SettingsError, match=r"ssh_config:1:"):
        config(tmp_path, 'Host "open\n')


def test_the_host_settings_name_the_file_or_none(own_home: Path) -> None:
    default = own_home / ".ssh/config"
    assert HostSettings().ssh_config_file() is None
    default.parent.mkdir()
    default.write_text("")
    assert HostSettings().ssh_config_file() == default
    assert host_settings(b"SshConfig: none\n", "host.yaml").ssh_config_file() is None
    assert host_settings(b"SshConfig: /etc/x\n", "host.yaml").ssh_config_file() == Path("/etc/x")
    with pytest.raises(SettingsError, match="not a path"):
        host_settings(b"SshConfig: -F\n", "host.yaml")


# From here on with real sshds.


def hello(make_pool: PoolMaker, sshd_text: str, host: HostSsh, node: Node, *others: Node) -> bytes:
    with make_pool(parse(sshd_text), node, *others, host=host).connect(node) as session:
        return session.run(HELLO).stdout


def aliased(sshd: Sshd) -> Node:
    """A node whose file gives nothing but a name that only the host's configuration knows."""
    return sshd.node(address="an-alias", port=22, port_is_written=False, user=None, identity_file=None)


def text_for(sshd: Sshd, key: Path, more: str = "") -> str:
    user = sshd.node().user
    return f"Host an-alias\n HostName 127.0.0.1\n Port {sshd.port}\n User {user}\n IdentityFile {key}\n{more}"


def test_a_node_is_reached_by_an_alias_and_a_key_outside_the_key_directory(
    sshd: Sshd, make_pool: PoolMaker, keys: Path, tmp_path: Path
) -> None:
    (keys / "fleet").rename(tmp_path / "own")
    host = config(tmp_path, text_for(sshd, tmp_path / "own"))
    assert hello(make_pool, f"web-01 {sshd.host_key}\n", host, aliased(sshd)) == b"hello\n"
    by_address = host_key_line(f"[an-alias]:{sshd.port}", sshd.host_key)
    assert hello(make_pool, by_address, host, aliased(sshd)) == b"hello\n", "the reviewed name, with the port in use"


def test_its_host_key_is_pinned_all_the_same(sshd: Sshd, make_pool: PoolMaker, keys: Path, tmp_path: Path) -> None:
    host = config(
        tmp_path, text_for(sshd, keys / "fleet", " StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n")
    )
    with pytest.raises(HostKeyUnknown):
        hello(make_pool, "", host, aliased(sshd))
    assert sshd.connections() == 0


def test_nothing_of_it_is_run(sshd: Sshd, make_pool: PoolMaker, keys: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    evil = f" ProxyCommand touch {ran}\n LocalCommand touch {ran}\n PermitLocalCommand yes\n KnownHostsCommand /bin/touch {ran}\n"
    host = config(tmp_path, f"Match exec 'touch {ran}'\n User x\n" + text_for(sshd, keys / "fleet", evil))
    assert hello(make_pool, f"web-01 {sshd.host_key}\n", host, aliased(sshd)) == b"hello\n"
    assert not ran.exists()


def test_a_proxy_jump_is_a_gateway(make_sshd: SshdMaker, make_pool: PoolMaker, keys: Path, tmp_path: Path) -> None:
    outer, middle, inner = make_sshd(), make_sshd(), make_sshd()
    jumps = f"Host *\n IdentityFile {keys / 'fleet'}\n"
    text = text_for(inner, keys / "fleet", f" ProxyJump 127.0.0.1:{outer.port},127.0.0.1:{middle.port}\n") + jumps
    known = "".join(
        [
            f"web-01 {inner.host_key}\n",
            *(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n" for sshd in (outer, middle)),
        ]
    )
    pool = make_pool(parse(known), aliased(inner), host=config(tmp_path, text))
    for _ in range(2):
        with pool.connect(aliased(inner)) as session:
            assert session.run(HELLO).stdout == b"hello\n"
    assert [sshd.connections() for sshd in (outer, middle, inner)] == [1, 1, 1]


def test_a_jump_host_without_a_pinned_key_is_named(
    make_sshd: SshdMaker, make_pool: PoolMaker, keys: Path, tmp_path: Path
) -> None:
    outer, inner = make_sshd(), make_sshd()
    host = config(tmp_path, text_for(inner, keys / "fleet", f" ProxyJump 127.0.0.1:{outer.port}\n"))
    with pytest.raises(NodeError) as caught:
        hello(make_pool, f"web-01 {inner.host_key}\n", host, aliased(inner))
    assert "`ssh-keyscan 127.0.0.1`" in str(caught.value)
    assert "ssh_config:6" in str(caught.value)
    assert (outer.connections(), inner.connections()) == (0, 0)


def test_a_repository_cannot_use_a_key_that_only_the_host_names(
    sshd: Sshd, make_pool: PoolMaker, keys: Path, tmp_path: Path
) -> None:
    """What the host's configuration names for one host serves no other, and no name in a repository leads to it."""
    (keys / "fleet").rename(tmp_path / "own")
    keygen(keys / "mine")
    host = config(tmp_path, f"Host another\n IdentityFile {tmp_path / 'own'}\n")
    for name in (None, "mine", "../own", str(tmp_path / "own")):
        node = sshd.node(identity_file=name)
        with pytest.raises(LoginRefused):
            hello(make_pool, f"web-01 {sshd.host_key}\n", host, node)
    assert "Accepted" not in sshd.log()


def test_a_port_of_the_nodes_own_file_is_not_moved(
    sshd: Sshd, make_pool: PoolMaker, keys: Path, tmp_path: Path
) -> None:
    host = config(tmp_path, f"Host *\n Port {free_port()}\n")
    with make_pool(pinned(("web-01", sshd)), sshd.node(), host=host).connect(sshd.node()) as session:
        assert session.run(HELLO).stdout == b"hello\n"


def test_other_keywords_change_nothing(tmp_path: Path) -> None:
    assert reached(tmp_path, "Host web\n UserKnownHostsFile /tmp/x\n") == WEB
