"""Programs on a real sshd: what they print, how they end, what bounds them."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from reconciler.errors import AnswerGarbled, LoginRefused, NodeTimeout, NodeUnreachable
from reconciler.model.command import Limits, Program, Session
from reconciler.transport import exchange
from tests.transport.real_sshd import PoolMaker, Sshd, SshdMaker, pinned, wait_until


@pytest.fixture
def session(sshd: Sshd, make_pool: PoolMaker) -> Iterator[Session]:
    node = sshd.node()
    with make_pool(pinned((node.id, sshd)), node).connect(node) as session:
        yield session


def program(text: str, *, idle: float = 60, total: float = 120, answer_bytes: int = 1_000_000) -> Program:
    limits = Limits(idle=timedelta(seconds=idle), total=timedelta(seconds=total), answer_bytes=answer_bytes)
    return Program(text=text.encode(), limits=limits)


def test_output_errors_and_exit_status_come_back_apart(session: Session) -> None:
    answer = session.run(program("echo out; echo err >&2; exit 7"))
    assert (answer.stdout, answer.stderr, answer.exit_status) == (b"out\n", b"err\n", 7)


def test_the_session_knows_the_key_it_was_shown(session: Session, sshd: Sshd) -> None:
    assert session.host_key == str(sshd.host_key)


def test_a_program_sees_nothing_on_its_stdin(session: Session) -> None:
    assert session.run(program("cat; echo done")).stdout == b"done\n"


def test_a_large_program_and_a_large_answer_arrive_whole(session: Session) -> None:
    text = "x" * 300_000
    answer = session.run(program(f"printf %s {text}; printf %s {text} >&2"))
    assert answer.stdout == text.encode()
    assert answer.stderr == text.encode()[: 64 * 1024]


def test_bytes_that_are_no_text_arrive_as_they_are(session: Session) -> None:
    assert session.run(program(r"printf '\000\377\r\n\033'")).stdout == b"\0\xff\r\n\x1b"


def test_one_connection_serves_many_programs(session: Session, sshd: Sshd) -> None:
    assert [session.run(program(f"echo {n}")).stdout for n in range(5)] == [b"%d\n" % n for n in range(5)]
    assert sshd.connections() == 1


def test_endless_output_is_stopped_at_the_limit(session: Session) -> None:
    with pytest.raises(AnswerGarbled, match="longer than 1000000 bytes"):
        session.run(program("yes"))


def test_endless_errors_are_stopped_at_the_limit(session: Session) -> None:
    with pytest.raises(AnswerGarbled, match="longer than 1000000 bytes"):
        session.run(program("yes >&2"))


def test_a_silent_program_is_given_up_at_the_idle_limit(session: Session) -> None:
    with pytest.raises(NodeTimeout, match="sent nothing for"):
        session.run(program("sleep 20", idle=0.5))


def test_a_slow_program_with_something_to_say_is_no_silent_one(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that the test sets forward: how fast this machine is plays no part."""
    instant = 0.0
    monkeypatch.setattr(exchange, "time", SimpleNamespace(monotonic=lambda: instant))
    text = f"for n in 1 2 3 4; do until [ -e {tmp_path}/$n ]; do sleep 0.05; done; echo $n; done"
    pieces = session.stream(program(text, idle=1))
    for number in (1, 2, 3, 4):
        (tmp_path / str(number)).touch()
        assert next(pieces) == f"{number}\n".encode()
        instant += 0.9
    assert list(pieces) == []


def test_a_node_that_drips_is_given_up_at_the_total_limit(session: Session) -> None:
    with pytest.raises(NodeTimeout, match="not done after 1 s"):
        session.run(program("while :; do echo; sleep 0.1; done", idle=5, total=1))


def test_after_a_limit_the_session_serves_the_next_program(session: Session) -> None:
    with pytest.raises(AnswerGarbled):
        session.run(program("yes"))
    assert session.run(program("echo next")).stdout == b"next\n"


def test_a_background_child_that_holds_the_output_does_not_hold_the_answer(session: Session, tmp_path: Path) -> None:
    answer = session.run(program(f"sleep 60 & echo $! > {tmp_path}/child; echo done"))
    assert (answer.stdout, answer.exit_status) == (b"done\n", 0)
    assert session.run(program(f"kill $(cat {tmp_path}/child)")).exit_status == 0


def test_a_program_that_a_signal_ended_gives_no_answer(session: Session) -> None:
    with pytest.raises(AnswerGarbled, match="signal"):
        session.run(program("echo half; kill -9 $$"))


def test_a_connection_that_is_cut_in_the_middle_is_no_answer(session: Session, sshd: Sshd, tmp_path: Path) -> None:
    def cut() -> None:
        wait_until((tmp_path / "started").exists)
        sshd.cut()

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        with pytest.raises(NodeUnreachable, match=r"lost in the middle|closed the connection"):
            session.run(program(f"echo half; touch {tmp_path}/started; exec sleep 15"))
    finally:
        cutter.join()


def test_output_can_be_followed_while_the_program_runs(session: Session, tmp_path: Path) -> None:
    go = tmp_path / "go"
    pieces = session.stream(program(f"echo first; while ! [ -e {go} ]; do sleep 0.05; done; echo second"))
    assert next(pieces) == b"first\n"
    go.touch()
    assert b"".join(pieces) == b"second\n"


def test_following_can_stop_before_the_end(session: Session) -> None:
    assert next(iter(session.stream(program("yes")))).startswith(b"y\ny\n")
    assert session.run(program("echo next")).stdout == b"next\n"


NOISY = 'echo "Welcome to Debian"; echo "you have mail" >&2; printf "no newline"; '


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        pytest.param(NOISY + 'eval "$SSH_ORIGINAL_COMMAND"', None, "", id="noise from start-up files"),
        pytest.param('fish -c "$SSH_ORIGINAL_COMMAND"', None, "", id="fish"),
        pytest.param('busybox sh -c "$SSH_ORIGINAL_COMMAND"', None, "", id="busybox"),
        pytest.param('dash -c "$SSH_ORIGINAL_COMMAND"', None, "", id="dash"),
        pytest.param("/usr/sbin/nologin", LoginRefused, "account is currently not available", id="nologin"),
        pytest.param("false", LoginRefused, "ran no command: exit status 1;", id="false"),
        pytest.param("echo only this", LoginRefused, "exit status 0, it said: only this", id="forced command"),
        pytest.param("internal-sftp", LoginRefused, "ran no command", id="sftp only"),
    ],
)
def test_login_shells(
    make_sshd: SshdMaker, make_pool: PoolMaker, command: str, error: type[Exception] | None, words: str
) -> None:
    sshd = make_sshd(f"ForceCommand {command}")
    node = sshd.node()
    with make_pool(pinned((node.id, sshd)), node).connect(node) as session:
        if error is None:
            assert session.run(program("echo it runs; exit 3")).stdout == b"it runs\n"
        else:
            with pytest.raises(error, match=words):
                session.run(program("echo it runs"))
