"""A login in a remote's address reaches git, and nobody else: no argument, no environment, no message, no file."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import SourceError, UsageError
from reconciler.source.address import parse_address
from reconciler.source.git_process import GitProcess
from reconciler.source.records import Remote
from reconciler.source.repository import Repository
from tests.support.git_remote import make_remote
from tests.support.processes import command_lines

CANARY = "canary-3f1d9b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"https://ops:{CANARY}@git.example/state", "https://git.example/state", id="a password"),
        pytest.param(f"https://{CANARY}@git.example/state", "https://git.example/state", id="a token as user"),
        pytest.param(f"https://ops:a@{CANARY}@git.example/state", "https://git.example/state", id="an at sign in it"),
        pytest.param("https://git.example:84/a@b", "https://git.example:84/a@b", id="none, and an at sign in the path"),
        pytest.param("ssh://git@git.example/state", "ssh://git@git.example/state", id="ssh's user is no secret"),
    ],
)
def test_an_address_is_shown_without_its_login(text: str, shown: str, tmp_path: Path) -> None:
    address = parse_address(text, cwd=tmp_path)
    assert address.shown == shown
    assert CANARY not in repr(address)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"https://ops:x/{CANARY}@git.example/state", id="a slash in the password"),
        pytest.param(f"https://ops:{CANARY}@git.example:port/state", id="no port"),
        pytest.param(f"ftp://ops:{CANARY}@git.example/state", id="another protocol"),
        pytest.param(f"ssh://ops:{CANARY}@git.example/state", id="ssh takes no password"),
        pytest.param(f"https://op s{CANARY}:x@git.example/state", id="an odd user"),
    ],
)
def test_a_refused_address_is_not_quoted_with_its_login(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        parse_address(text, cwd=tmp_path)
    assert CANARY not in str(refused.value)
    assert refused.value.__cause__ is None


def test_git_is_told_the_login_when_it_asks(tmp_path: Path) -> None:
    address = parse_address(f"https://ops:a%20{CANARY}@git.example/state", cwd=tmp_path)
    git = GitProcess(folder=tmp_path)
    question = b"protocol=https\nhost=git.example\n\n"
    told = git.run("credential", "fill", stdin=question, login=address.login).stdout.decode()
    assert f"username=ops\npassword=a {CANARY}\n" in told
    assert CANARY not in git.run("credential", "fill", stdin=question).stdout.decode()


@pytest.fixture
def silent_server() -> Iterator[tuple[int, threading.Event, threading.Event]]:
    """A port that takes one connection, tells so, and answers nothing until it may end."""
    came, may_end = threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            came.set()
            may_end.wait(60)
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], came, may_end
        may_end.set()
        thread.join()


def test_no_process_shows_the_login_while_git_talks(
    silent_server: tuple[int, threading.Event, threading.Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, came, may_end = silent_server
    monkeypatch.setenv("ALL_PROXY", "")
    monkeypatch.setenv("http_proxy", f"http://ops:{CANARY}-proxy@127.0.0.1:9/")
    home = make_remote(tmp_path / "fleet", bare=False)
    home.commit({"state/x": b"1"})
    said: list[str] = []
    with Repository.open(parse_address(str(home.path), cwd=tmp_path), state_dir=tmp_path / "daemon") as repository:
        address = parse_address(f"https://ops:{CANARY}@127.0.0.1:{port}/state", cwd=tmp_path)

        def look() -> None:
            with pytest.raises(SourceError) as refused:
                repository.look(Remote(name="further", address=address), ("refs/heads/*",))
            said.append(str(refused.value))

        thread = threading.Thread(target=look)
        thread.start()
        assert came.wait(60)
        commands = command_lines()
        may_end.set()
        thread.join()
    assert any(b"127.0.0.1:%d" % port in command for command in commands)
    assert not any(CANARY.encode() in command for command in commands)
    assert CANARY not in said[0]
    kept = [
        path for path in (tmp_path / "daemon").rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()
    ]
    assert kept == []
