"""Programs on the machine we run on."""

import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.errors import AnswerGarbled, BecomeRefused, NodeTimeout
from reconciler.ids import NodeId
from reconciler.model.command import Limits, Program, Session
from reconciler.model.node import Become, Node, Transport
from reconciler.transport import local
from reconciler.transport.known_hosts import parse
from tests.support.processes import has_ended
from tests.transport.real_sshd import PoolMaker, wait_until

HERE = Node(id=NodeId("here"), transport=Transport.LOCAL)


@pytest.fixture
def session(make_pool: PoolMaker) -> Session:
    with make_pool(parse(""), HERE).connect(HERE) as session:
        return session


def program(text: str, *, become: bool = False, idle: float = 60, total: float = 120) -> Program:
    limits = Limits(idle=timedelta(seconds=idle), total=timedelta(seconds=total), answer_bytes=1_000_000)
    return Program(text=text.encode(), become=become, limits=limits)


def test_output_errors_and_exit_status_come_back_apart(session: Session) -> None:
    answer = session.run(program("cat; echo out; echo err >&2; exit 7"))
    assert (answer.stdout, answer.stderr, answer.exit_status) == (b"out\n", b"err\n", 7)
    assert (session.node, session.host_key) == ("here", None)


def test_a_large_program_and_a_large_answer_pass(session: Session) -> None:
    text = "x" * 300_000
    answer = session.run(program(f"printf %s {text}; printf %s {text} >&2"))
    assert (answer.stdout, len(answer.stderr)) == (text.encode(), 64 * 1024)


def test_output_can_be_followed(session: Session, tmp_path: Path) -> None:
    go = tmp_path / "go"
    pieces = session.stream(program(f"echo first; while ! [ -e {go} ]; do sleep 0.05; done; echo second"))
    assert next(pieces) == b"first\n"
    go.touch()
    assert b"".join(pieces) == b"second\n"


@pytest.mark.parametrize(
    ("text", "idle", "total", "error"),
    [
        pytest.param("sleep 60", 0.5, 30, NodeTimeout, id="silent"),
        pytest.param("while :; do echo; sleep 0.1; done", 5, 1, NodeTimeout, id="endless"),
        pytest.param("yes", 60, 120, AnswerGarbled, id="too much"),
        pytest.param("exec >&- 2>&-; sleep 60", 0.5, 30, NodeTimeout, id="closed its output"),
    ],
)
def test_at_a_limit_the_whole_process_group_ends(
    session: Session,
    tmp_path: Path,
    text: str,
    idle: float,
    total: float,
    error: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = tmp_path / "pids"
    # Its time counts from when they are written: until then the clock stands still.
    clock = SimpleNamespace(monotonic=lambda: time.time() - written.stat().st_mtime if written.exists() else 0.0)
    monkeypatch.setattr(local, "time", clock)
    monkeypatch.setattr(local, "EXIT_WAIT", 0.5)
    note = f"echo $$ $! > {written}.new; mv {written}.new {written}"
    with pytest.raises(error):
        session.run(program(f"sleep 61 & {note}; {text}", idle=idle, total=total))
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    wait_until(lambda: all(map(has_ended, pids)))


def test_a_background_child_that_holds_the_output_does_not_hold_the_answer(session: Session, tmp_path: Path) -> None:
    answer = session.run(program(f"sleep 60 & echo $! > {tmp_path}/child; echo done"))
    assert (answer.stdout, answer.exit_status) == (b"done\n", 0)
    child = int((tmp_path / "child").read_text())
    assert not has_ended(child)
    os.kill(child, signal.SIGKILL)


def test_a_program_that_a_signal_ended_gives_no_answer(session: Session) -> None:
    with pytest.raises(AnswerGarbled, match="signal 9"):
        session.run(program("echo half; kill -9 $$"))


def test_a_program_that_ends_itself_early_is_no_trouble(session: Session) -> None:
    assert session.run(program("exit 5 #" + "x" * 1_000_000)).exit_status == 5


@pytest.mark.parametrize(
    ("sudo", "expected"),
    [
        pytest.param('shift; exec env BECAME=root "$@"', b"root\n", id="allowed"),
        pytest.param("echo 'sudo: a password is required' >&2; exit 1", None, id="wants a password"),
    ],
)
def test_becoming_root_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_pool: PoolMaker, sudo: str, expected: bytes | None
) -> None:
    (tmp_path / "sudo").write_text(f'#!/bin/sh\n[ "$1" = -n ] || exit 9\n{sudo}\n')
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    node = Node(id=NodeId("here"), transport=Transport.LOCAL, become=Become.SUDO)
    with make_pool(parse(""), node).connect(node) as session:
        assert session.run(program("echo ${BECAME-nobody}")).stdout == b"nobody\n"
        if expected is not None:
            assert session.run(program("echo ${BECAME-nobody}", become=True)).stdout == expected
        else:
            with pytest.raises(BecomeRefused, match="NOPASSWD"):
                session.run(program("echo ${BECAME-nobody}", become=True))
