"""A program that stays on the node between passes: the same facts as from one sent anew, and nothing is lost with it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.inventory.collect import Collected, ask
from reconciler.inventory.frames import read_frames
from reconciler.inventory.observed import VOLATILE
from reconciler.inventory.program import program
from reconciler.model.command import Program, Standing
from reconciler.model.known import Known
from reconciler.model.node import Node
from reconciler.model.questions import Check, Questions
from reconciler.transport import standing
from reconciler.transport.loader import CUT_STATUS
from reconciler.transport.pool import ConnectionPool
from reconciler.transport.standing import standing_command
from tests.inventory.asking import SHELLS, WEB
from tests.transport.real_sshd import LONG, PoolMaker, Sshd, SshdMaker, hurry, pinned, wait_until
from tests.transport.test_silent_firewall import before, firewalls

__all__ = ["firewalls"]
NONCE = "0123456789abcdef0123456789abcdef"


def look(pool: ConnectionPool, node: Node, asked: Questions, last: Collected | None = None) -> Collected:
    with pool.connect(node) as session:
        return ask(session, node, asked, before=last, clock=lambda: datetime.now(UTC))


def commands(sshd: Sshd) -> int:
    """How many commands sshd was asked to run."""
    return sshd.log().count("Starting session: command")


def stable(found: Collected) -> dict[str, object]:
    """What a second look at an idle machine finds again; other programs open ports and mounts on this one."""
    left_out = VOLATILE | {"ports", "mounts", "interfaces", "services"}
    return {name: section for name, section in found.facts.sections.items() if name not in left_out}


def looks(pool: ConnectionPool, node: Node, asked: Questions, times: int, last: Collected | None = None) -> Collected:
    for _ in range(times):
        last = look(pool, node, asked, last)
        assert last.facts.unreachable is None
    assert last is not None
    return last


@pytest.fixture
def warm(sshd: Sshd, make_pool: PoolMaker, tmp_path: Path) -> tuple[ConnectionPool, Node, Questions, Collected]:
    """A pool whose connection holds a program that stays, what it was asked, and its last answer."""
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    (tmp_path / "motd").write_text("hello\n")
    asked = Questions(files=(str(tmp_path / "motd"), str(tmp_path / "none")), checks=(Check(script="test -d /"),))
    return pool, node, asked, looks(pool, node, asked, 3)


def test_a_node_that_did_not_change_is_sent_one_line_and_runs_no_command_anew(
    warm: tuple[ConnectionPool, Node, Questions, Collected], sshd: Sshd
) -> None:
    pool, node, asked, last = warm
    begun = commands(sshd)
    again = looks(pool, node, asked, 3, last)
    assert commands(sshd) == begun
    assert sshd.connections() == 1
    assert stable(again) == stable(last)
    assert again.collected_at > last.collected_at


def test_what_changes_between_two_looks_is_told_as_a_program_sent_anew_tells_it(
    warm: tuple[ConnectionPool, Node, Questions, Collected], sshd: Sshd, make_pool: PoolMaker, tmp_path: Path
) -> None:
    pool, node, asked, last = warm
    begun = commands(sshd)
    fresh = make_pool(pinned((node.id, sshd)), node)
    for number in range(3):
        (tmp_path / "motd").write_text(f"edited {number}\n")
        (tmp_path / "none").write_text("now there is one\n") if number == 1 else (tmp_path / "none").unlink(
            missing_ok=True
        )
        last = look(pool, node, asked, last)
        assert stable(last) == stable(look(fresh, node, asked))
    assert commands(sshd) == begun + 3, "only the fresh looks began anything"


def test_other_questions_begin_it_anew(warm: tuple[ConnectionPool, Node, Questions, Collected], tmp_path: Path) -> None:
    pool, node, asked, last = warm
    (tmp_path / "more").write_text("x")
    more = replace(asked, files=(*asked.files, str(tmp_path / "more")))
    found = looks(pool, node, more, 2, last)
    assert found.facts.get("files", str(tmp_path / "more")) != Known(None)


def test_one_that_was_killed_is_begun_anew_and_nothing_is_unknown(
    warm: tuple[ConnectionPool, Node, Questions, Collected], sshd: Sshd
) -> None:
    pool, node, asked, last = warm
    for pid in staying(sshd):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not staying(sshd))
    found = looks(pool, node, asked, 2, last)
    assert stable(found) == stable(last)
    assert sshd.connections() == 1
    assert len(staying(sshd)) == 1


def staying(sshd: Sshd) -> list[int]:
    """The shells below sshd's connections that wait for a line."""
    found = []
    for parent in sshd.session_pids():
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found += [
            int(child) for child in children if (Path("/proc") / child / "comm").read_text() in ("sh\n", "dash\n")
        ]
    return found


def test_it_ends_with_its_connection(warm: tuple[ConnectionPool, Node, Questions, Collected], sshd: Sshd) -> None:
    pool = warm[0]
    pids = staying(sshd)
    assert len(pids) == 1
    pool.close()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_other_programs_run_beside_it_even_where_sshd_allows_one_session(
    make_sshd: SshdMaker, make_pool: PoolMaker
) -> None:
    sshd = make_sshd("MaxSessions 1")
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    last = looks(pool, node, Questions(), 3)
    with pool.connect(node) as session:
        assert session.run(Program(text=b"echo hello")).stdout == b"hello\n"
    looks(pool, node, Questions(), 2, last)


def test_it_is_begun_anew_every_hour(
    warm: tuple[ConnectionPool, Node, Questions, Collected], sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, node, asked, last = warm
    before_ = staying(sshd)
    monkeypatch.setattr(standing, "RENEWED", timedelta(0))
    looks(pool, node, asked, 1, last)
    wait_until(lambda: len(staying(sshd)) == 1)
    assert staying(sshd) != before_


def test_a_connection_that_a_firewall_forgot_is_opened_anew(
    make_sshd: SshdMaker, make_pool: PoolMaker, firewalls: list[object]
) -> None:
    sshd = make_sshd()
    firewall = before(sshd.port, firewalls)  # type: ignore[arg-type]  # the list of that module's fixture
    node = sshd.node(port=firewall.address)
    pool = make_pool(pinned((node.id, sshd)), node)
    last = looks(pool, node, Questions(), 3)
    hurry(pool)
    firewall.forget()
    assert stable(looks(pool, node, Questions(), 1, last)) == stable(last)
    assert sshd.connections() == 2


def test_a_node_that_is_slow_to_begin_is_asked_once_a_pass_and_not_twice(
    make_sshd: SshdMaker, make_pool: PoolMaker, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "stat").write_text(f'#!/bin/sh\nsleep 2\necho x >>{tmp_path}/asked\nexec /usr/bin/stat "$@"\n')
    sshd = make_sshd(f"SetEnv SHLVL=2 PATH={tmp_path}/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node, patience=replace(LONG, channel=timedelta(seconds=1)))
    (tmp_path / "bin" / "stat").chmod(0o755)
    last = looks(pool, node, Questions(), 3)
    wait_until(lambda: not staying(sshd))
    asked = len((tmp_path / "asked").read_text())
    looks(pool, node, Questions(), 2, last)
    assert len((tmp_path / "asked").read_text()) == asked + 2 * len("x\n")
    assert sshd.connections() == 1


def test_where_it_cannot_stay_programs_go_as_before(make_sshd: SshdMaker, make_pool: PoolMaker, tmp_path: Path) -> None:
    """A `sh` that knows no `head -c` begins nothing, and tells no facts either way but whole ones."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "head").write_text("#!/bin/sh\nexit 2\n")
    (tmp_path / "bin" / "head").chmod(0o755)
    sshd = make_sshd(f"SetEnv SHLVL=2 PATH={tmp_path}/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    looks(pool, node, Questions(), 4)
    assert not staying(sshd)
    assert sshd.connections() == 1


@contextmanager
def begun(shell: tuple[str, ...], text: bytes) -> Iterator["subprocess.Popen[bytes]"]:
    command = standing_command(text, NONCE, sudo=False).replace("sh -c", f"exec {' '.join(shell)} -c", 1)
    process = subprocess.Popen(["sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        yield process


@pytest.mark.parametrize("name", SHELLS)
def test_every_shell_answers_a_whole_answer_to_each_line(name: str, tmp_path: Path) -> None:
    shell = SHELLS[name]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"this machine has no {shell[0]}")
    asked = Questions(files=(str(tmp_path / "a b'$(id)"),), checks=(Check(script="exit 3"),))
    made = program(asked, node=WEB, nonce="1" * 32).standing
    assert made is not None
    with begun(shell, made.text.rstrip(b"\n")) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(made.text.rstrip(b"\n"))
        process.stdin.flush()
        for number in ("1", "2", "3"):
            nonce = number * 32
            if number != "1":
                process.stdin.write(f"{nonce}\n".encode())
                process.stdin.flush()
            answer = b""
            while not answer.rpartition(b"\n" + nonce.encode() + b" end ")[1]:
                line = process.stdout.readline()
                assert line
                answer += line
            answered = read_frames(answer, nonce)
            assert answered.problem is None
            assert answered.frames["checks.user"].text == "began\n0 3"
            same = {section for section, frame in answered.frames.items() if frame.status.value == "unchanged"}
            assert ({"packages", "os", "users"} <= same) == (number != "1")
        process.stdin.close()
        assert process.wait(60) is not None


@pytest.mark.parametrize(
    "shell", [SHELLS[name] for name in ("dash", "bash", "busybox") if shutil.which(SHELLS[name][0])]
)
def test_one_that_is_cut_anywhere_runs_nothing(shell: tuple[str, ...], tmp_path: Path) -> None:
    harmed = tmp_path / "harmed"
    small = Standing(begin=b"", body=f"touch {harmed}; rm -rf '{tmp_path}/x' /none".encode(), stay=b"ask", nonce=NONCE)
    for cut in range(len(small.text)):
        with begun(shell, small.text) as process:
            assert process.communicate(small.text[:cut]) == (b"", None), cut
        assert process.returncode == CUT_STATUS, cut
        assert not harmed.exists(), cut
    with begun(shell, small.text) as process:
        assert process.communicate(small.text)[0] == f"{NONCE}\n".encode()
    assert harmed.exists()
