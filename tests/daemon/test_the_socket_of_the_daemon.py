"""The daemon's socket takes well-formed, bounded requests from those whom the kernel names; nobody else holds it up."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler.commands.request import Typed
from reconciler.daemon import command_socket
from reconciler.daemon.callers import caller
from reconciler.daemon.command_client import DaemonLine, daemon_of
from reconciler.daemon.command_socket import CommandSocket
from reconciler.daemon.command_wire import MOST_ASKED, VERSION, encode_typed, refusal
from reconciler.daemon.passing import Request
from reconciler.errors import CommitError, LeaseLost, UsageError
from tests.support.site import Site

NOOP = Typed(document_name="AWS-Noop", targets=("Key=tag:Role,Values=nobody",))


@contextmanager
def listening(site: Site, *, leads: bool = True) -> Iterator[CommandSocket]:
    stop = threading.Event()
    with site.controller() as controller:
        if leads:
            controller.one_pass(Request())
        with CommandSocket(controller, stop) as found:
            yield found
            assert found.broken is None


def raw(site: Site) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    folder = os.open(site.state_dir, os.O_PATH)
    connection.connect(f"/proc/self/fd/{folder}/daemon.sock")
    os.close(folder)
    return connection


def answer(connection: socket.socket) -> dict[str, Any]:
    with connection, connection.makefile("rb") as told:
        found: dict[str, Any] = json.loads(told.readline())
        return found


@contextmanager
def line(site: Site) -> Iterator[DaemonLine]:
    with daemon_of(site.state_dir, str(site.repo)) as found:
        assert found is not None
        yield found


def asked(site: Site, **other: object) -> dict[str, object]:
    return {"version": VERSION, "do": "send", "repository": str(site.repo), "options": encode_typed(NOOP), **other}


def send(site: Site) -> str:
    with line(site) as daemon:
        sent = daemon.send(NOOP, stop=threading.Event(), tell=lambda *_: None, confirm=lambda _: None)
    assert not isinstance(sent, str)
    return sent.record.login  # type: ignore[union-attr]  # nobody left


MALFORMED = {
    "no JSON": b"hello\n",
    "no object": b"[1]\n",
    "nothing asked": b"{}\n",
    "deep": b"[" * 100_000 + b"\n",
    "another version": b'{"version": 9, "do": "send"}\n',
    "no UTF-8": b'{"version": 2, "do": "\xff"}\n',
    "no verb": b'{"version": 2}\n',
    "a verb that is no text": b'{"version": 2, "do": {}}\n',
    "too long": b'{"version": 2, "do": "' + b"x" * (MOST_ASKED + 10) + b'"}\n',
    "endless": b"x" * (MOST_ASKED + 100_000),
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_does_not_read_is_refused_in_words(site: Site, sent: bytes) -> None:
    with listening(site, leads=False):
        connection = raw(site)
        with suppress(BrokenPipeError):  # it may be refused, and the line closed, before all of it was sent
            connection.sendall(sent)
        found = answer(connection)
        assert (found["event"], found["kind"]) == ("refused", "UsageError")
        assert "a request that does not read" in found["words"]


def test_why_the_daemon_hung_up_is_told_where_it_said_so(site: Site) -> None:
    """Whoever is turned away, or asks for too much, may meet a closed line while still sending."""
    ours, daemons = socket.socketpair()
    with daemons:
        daemons.sendall(
            json.dumps(refusal(UsageError("32 clients are here already: try again later"))).encode() + b"\n"
        )
    with closing(DaemonLine(ours, str(site.repo))) as daemon, pytest.raises(UsageError, match="are here already"):
        daemon.send(NOOP, stop=threading.Event(), tell=lambda *_: None, confirm=lambda _: None)


def test_a_daemon_that_hangs_up_without_a_word_is_told(site: Site) -> None:
    ours, daemons = socket.socketpair()
    daemons.close()
    with closing(DaemonLine(ours, str(site.repo))) as daemon, pytest.raises(CommitError, match="hung up"):
        daemon.send(NOOP, stop=threading.Event(), tell=lambda *_: None, confirm=lambda _: None)


@pytest.mark.parametrize(
    "options",
    [
        None,
        {},
        {**encode_typed(NOOP), "more": 1},
        {**encode_typed(NOOP), "timeout_seconds": True},
        {**encode_typed(NOOP), "timeout_seconds": "60"},
        {**encode_typed(NOOP), "targets": "all"},
        {**encode_typed(NOOP), "parameters": [1]},
        {**encode_typed(NOOP), "document_name": ["x"]},
        {**encode_typed(NOOP), "document_hash": 1},
    ],
)
def test_options_of_another_shape_are_refused(site: Site, options: object) -> None:
    with listening(site, leads=False):
        connection = raw(site)
        connection.sendall(json.dumps(asked(site, options=options)).encode() + b"\n")
        assert "does not read" in answer(connection)["words"]


def test_the_rules_of_the_command_line_hold_here_too(site: Site) -> None:
    with listening(site, leads=False), line(site) as daemon, pytest.raises(UsageError, match="--max-concurrency '0'"):
        daemon.send(
            Typed(document_name="AWS-Noop", targets=NOOP.targets, max_concurrency="0"),
            stop=threading.Event(),
            tell=lambda *_: None,
            confirm=lambda _: None,
        )


def test_who_is_not_confirmed_sends_nothing(site: Site) -> None:
    def no(_announced: object) -> None:
        raise UsageError("not confirmed: nothing was sent")

    with listening(site), line(site) as daemon, pytest.raises(UsageError, match="not confirmed"):
        daemon.send(NOOP, stop=threading.Event(), tell=lambda *_: None, confirm=no)
    assert "commands/" not in site.git("ls-tree", "-r", "--name-only", "compliance")


def test_a_daemon_that_does_not_lead_sends_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_socket, "FIRST_PASS_PATIENCE", 0.2)
    with listening(site, leads=False), line(site) as daemon, pytest.raises(LeaseLost, match="does not lead yet"):
        daemon.send(NOOP, stop=threading.Event(), tell=lambda *_: None, confirm=lambda _: None)


@pytest.mark.parametrize("late", [False, True], ids=["before the command", "once it was confirmed"])
def test_a_daemon_whose_lease_was_taken_over_sends_nothing(site: Site, tmp_path: Path, *, late: bool) -> None:
    """It has not made a pass since, and holds its old lease for good; what it fetches for the command knows better."""

    def take_over(*_: object) -> None:
        site.once(Request(take_over=True), state_dir=tmp_path / "another host")

    with listening(site):
        if not late:
            take_over()
        with line(site) as daemon, pytest.raises(LeaseLost, match=r"nothing was sent: .* epoch 2"):
            daemon.send(
                NOOP,
                stop=threading.Event(),
                tell=lambda *_: None,
                confirm=take_over if late else lambda _: None,
            )
    assert "commands" not in site.git("ls-tree", "-r", "--name-only", "compliance")


def test_slow_and_silent_clients_hold_up_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_socket, "MOST_CLIENTS", 4)
    monkeypatch.setattr(command_socket, "REQUEST_PATIENCE", 1.5)
    with listening(site):
        drip, silent, rude = raw(site), raw(site), raw(site)
        drip.sendall(b'{"vers')
        rude.close()
        assert send(site) == caller(), "others are served meanwhile"
        more = [raw(site) for _ in range(4)]
        turned_away = answer(more[-1])
        assert "clients are here already" in turned_away["words"]
        assert "no request came" in answer(silent)["words"]
        assert "no request came" in answer(drip)["words"]
        for each in more[:-1]:
            each.close()
        ends = time.monotonic() + 60
        while True:
            try:
                assert send(site) == caller()
                break
            except UsageError:
                assert time.monotonic() < ends, "those who were turned away leave room again"
                time.sleep(0.05)


def test_a_client_that_reads_nothing_keeps_no_command_from_its_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_socket, "WRITE_PATIENCE", 0.5)
    with listening(site):
        deaf = raw(site)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        deaf.sendall(json.dumps(asked(site)).encode() + b'\n{"do": "go"}\n')
        ends = time.monotonic() + 60
        while '"StatusDetails": "NoInstancesInTag"' not in _records(site):
            assert time.monotonic() < ends
            time.sleep(0.05)
        deaf.close()


def _records(site: Site) -> str:
    names = site.git("ls-tree", "-r", "--name-only", "compliance", "commands").split()
    return "".join(site.git("show", f"compliance:{name}") for name in names)


def test_closing_ends_who_is_still_being_asked(site: Site) -> None:
    with listening(site):
        waiting = raw(site)
        waiting.sendall(json.dumps(asked(site)).encode() + b"\n")
        told = waiting.makefile("rb")
        assert json.loads(told.readline())["event"] == "announced"
    assert told.readline() == b""
    told.close()
    waiting.close()
    assert not (site.state_dir / "daemon.sock").exists()


STRANGER = """
import json, os, socket, sys
os.environ.update(USER="root", LOGNAME="root", SUDO_USER="root")
connection = socket.socket(socket.AF_UNIX)
connection.connect("daemon.sock")
connection.sendall(sys.stdin.buffer.read())
print(connection.makefile().readline())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_group_may_be_let_in_and_the_kernel_says_who_it_is(site: Site) -> None:
    site.settings.write_text(f"{site.settings.read_text()}SendCommand: [{{Logins: [root]}}]\n")
    os.chown(site.state_dir, -1, 65534)
    site.state_dir.chmod(0o710)
    with listening(site):
        assert (site.state_dir / "daemon.sock").stat().st_mode & 0o777 == 0o660
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/env", "python3", "-c", STRANGER],
            input=json.dumps(asked(site, login="root", who="root")) + "\n",
            cwd=site.state_dir,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert (
            "AccessDenied: no rule of SendCommand in the host settings names nobody" in json.loads(done.stdout)["words"]
        )


def test_another_user_s_folder_is_named(site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with listening(site, leads=False):
        assert (site.state_dir / "daemon.sock").stat().st_mode & 0o777 == 0o600
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/env", "python3", "-c", STRANGER],
            input="{}",
            cwd=site.state_dir,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert "PermissionError" in done.stderr
