"""Users as servers have them: with and without sudo, with fish, with a start-up file that talks."""

from collections.abc import Iterator

import pytest

from reconciler.errors import BecomeRefused, LoginRefused
from reconciler.ids import NodeId
from reconciler.model.command import Answer, Program
from reconciler.model.node import Become, Node
from reconciler.transport.known_hosts import parse
from reconciler.transport.pool import ConnectionPool
from tests.support.login_shells import lend_shell
from tests.support.nodes import Fleet, TestNode


@pytest.fixture
def server(shared_fleet: Fleet) -> Iterator[TestNode]:
    """A node whose users are put back afterwards."""
    server = shared_fleet.nodes[0]
    server.run(["cp", "-a", "/etc/passwd", "/etc/passwd.before"])
    server.run(["cp", "-a", "/etc/sudoers.d", "/etc/sudoers.before"])
    yield server
    server.run(["mv", "/etc/passwd.before", "/etc/passwd"])
    server.run(["rm", "-rf", "/etc/sudoers.d", "/home/ops/.bashrc"])
    server.run(["mv", "/etc/sudoers.before", "/etc/sudoers.d"])


def run(server: TestNode, text: str, *, user: str = "ops", become: bool = False) -> Answer:
    identity = server.fleet.identity_file
    node = Node(
        id=NodeId("web-01"),
        address=server.address,
        port=server.port,
        user=user,
        identity_file=identity.name,
        become=Become.SUDO,
    )
    known = parse(server.host_key_line)
    with (
        ConnectionPool(known_hosts=known, nodes={node.id: node}, key_directory=identity.parent) as pool,
        pool.connect(node) as session,
    ):
        return session.run(Program(text=text.encode(), become=become))


def test_a_program_runs_as_the_login_user_unless_it_asks_to_become_root(server: TestNode) -> None:
    assert run(server, "id -un").stdout == b"ops\n"
    assert run(server, "id -un; cat", become=True).stdout == b"root\n"


def test_root_needs_no_sudo(server: TestNode) -> None:
    server.run(["chmod", "0", "/usr/bin/sudo"])
    try:
        assert run(server, "id -un", user="root", become=True).stdout == b"root\n"
    finally:
        server.run(["chmod", "4755", "/usr/bin/sudo"])


def test_a_user_without_a_rule_is_told_so(server: TestNode) -> None:
    with pytest.raises(BecomeRefused, match="sudoers"):
        run(server, "id -un", user="guest", become=True)
    assert run(server, "id -un", user="guest").stdout == b"guest\n"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        pytest.param("ops ALL=(ALL) ALL\n", "asks for a password", id="with a password"),
        pytest.param("ops ALL=(ALL) NOPASSWD: ALL\nDefaults:ops requiretty\n", "requiretty", id="requiretty"),
        pytest.param("ops ALL=(ALL) NOPASSWD: /usr/bin/true\n", "password|does not allow", id="another command"),
    ],
)
def test_why_sudo_refused(server: TestNode, rule: str, words: str) -> None:
    server.run(
        ["sh", "-c", f"rm -f /etc/sudoers.d/*; printf %s '{rule}' > /etc/sudoers.d/ops; chmod 440 /etc/sudoers.d/ops"]
    )
    with pytest.raises(BecomeRefused, match=words):
        run(server, "id -un", become=True)


def test_a_start_up_file_that_talks_is_not_the_answer(server: TestNode) -> None:
    server.run(["sh", "-c", "printf 'echo Welcome, you have mail; echo err >&2\\n' > /home/ops/.bashrc"])
    server.run(["usermod", "-s", "/bin/bash", "ops"])
    assert run(server, "echo answer").stdout == b"answer\n"
    assert run(server, "echo answer", become=True).stdout == b"answer\n"


def test_a_user_who_may_not_log_in_is_told_so(server: TestNode) -> None:
    server.run(["usermod", "-s", "/usr/sbin/nologin", "ops"])
    with pytest.raises(LoginRefused, match="not available"):
        run(server, "echo answer")


@pytest.mark.parametrize("shell", ["dash", "bash", "rbash", "ash", "fish", "csh", "tcsh", "zsh", "mksh"])
def test_any_login_shell_will_do(server: TestNode, shell: str) -> None:
    server.run(["usermod", "-s", lend_shell(server, shell), "ops"])
    assert run(server, "cat; printf '%s\\n' \"it's \\\\ !\"; exit 3") == Answer(
        stdout=b"it's \\ !\n", stderr=b"", exit_status=3
    )
    assert run(server, "id -un", become=True).stdout == b"root\n"
