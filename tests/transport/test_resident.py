"""A shell that stays on the node: programs reach it whole or not at all, run once, and say what they say anywhere else."""

import os
import signal
import subprocess
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.errors import NodeError
from reconciler.model.command import Program, Resident
from reconciler.model.node import Node
from reconciler.transport.loader import CUT_STATUS
from reconciler.transport.pool import ConnectionPool
from reconciler.transport.resident import Answering, told
from tests.rollout.a_node import SHELLS
from tests.transport.real_sshd import PoolMaker, Sshd, SshdMaker, Told, pinned, wait_until

NONCE = "0123456789abcdef0123456789abcdef"
LIBRARY = b"greet() {\n    printf 'hello %s\\n' \"$1\"\n}\n"


def a_program(call: str, *, library: bytes = LIBRARY, patience: timedelta | None = None) -> Program:
    return Program(
        text=library + call.encode(),
        resident=Resident(library=library, call=call.encode(), begins=True, patience=patience),
    )


@pytest.fixture
def warm(sshd: Sshd, make_pool: PoolMaker) -> tuple[ConnectionPool, Node]:
    """A pool whose connection holds such a shell."""
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    assert said(pool, node, "greet you\n") == b"hello you\n"
    return pool, node


def said(pool: ConnectionPool, node: Node, call: str) -> bytes:
    with pool.connect(node) as session:
        return session.run(a_program(call)).stdout


def commands(sshd: Sshd) -> int:
    return sshd.log().count("Starting session: command")


def test_the_next_program_opens_no_session_and_nothing_of_one_is_left_for_the_other(
    warm: tuple[ConnectionPool, Node], sshd: Sshd
) -> None:
    pool, node = warm
    begun = commands(sshd)
    assert said(pool, node, "left=1; cd /tmp; greet a; exit 3\n") == b"hello a\n"
    assert said(pool, node, 'greet "${left:-none}"; read -r line; printf end\n') == b"hello none\nend"
    assert said(pool, node, "") == b""
    assert commands(sshd) == begun


def test_output_is_brought_byte_by_byte(warm: tuple[ConnectionPool, Node]) -> None:
    pool, node = warm
    octal = "".join(f"\\{byte:03o}" for byte in range(256))
    assert said(pool, node, f"printf '{octal}'\n") == bytes(range(256))
    assert said(pool, node, "head -c 3000000 /dev/zero\n") == bytes(3_000_000)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_cut_text_does_nothing(shell: tuple[str, ...], tmp_path: Path) -> None:
    text = told(b"echo ran; touch " + str(tmp_path / "ran").encode() + b"\n", NONCE, forked=True)
    for cut in range(len(text) - 1):
        done = subprocess.run([*shell], input=text[:cut], capture_output=True, check=False, timeout=60)
        assert b"ran\n" not in done.stdout, cut
    assert list(tmp_path.iterdir()) == []
    whole = subprocess.run([*shell], input=text, capture_output=True, check=True, timeout=60)
    assert whole.stdout == f"{NONCE}\nran\n{NONCE} end\n".encode()


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_changed_text_does_nothing(shell: tuple[str, ...]) -> None:
    text = told(b"echo ran\n", NONCE, forked=True)
    for changed in (text.replace(b"ran", b"rat", 1), text.replace(b"ran", b"rans")):
        done = subprocess.run([*shell], input=changed, capture_output=True, check=False, timeout=60)
        assert (done.stdout, done.returncode) == (b"", CUT_STATUS)


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_an_answer_is_taken_out_of_pieces_of_any_size(size: int) -> None:
    printed = f"claimed\n{NONCE[:9]}\n{NONCE} en\nend\n".encode()
    raw = b"noise\n" + NONCE.encode() + b"\n" + printed + f"{NONCE} end\n".encode()
    answering = Answering(NONCE)
    assert b"".join(answering.take(raw[at : at + size]) for at in range(0, len(raw), size)) == printed
    assert answering.has_ended


def test_what_takes_long_is_left_alone_and_goes_on(
    warm: tuple[ConnectionPool, Node], sshd: Sshd, tmp_path: Path
) -> None:
    pool, node = warm
    call = f"echo claimed; until [ -e {tmp_path}/go ]; do sleep 0.05; done; touch {tmp_path}/ran\n"
    with pool.connect(node) as session:
        pieces = list(session.stream(a_program(call, patience=timedelta(seconds=0.2))))
        assert b"".join(pieces) == b"claimed\n"
        assert session.run(a_program("greet again\n")).stdout == b"hello again\n"
    (tmp_path / "go").touch()
    wait_until((tmp_path / "ran").exists)
    assert sshd.connections() == 1


def test_a_program_for_which_none_is_begun_uses_the_one_that_is_there(sshd: Sshd, make_pool: PoolMaker) -> None:
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    begins = a_program("greet a\n")
    assert begins.resident is not None
    uses = replace(begins, resident=replace(begins.resident, begins=False))
    with pool.connect(node) as session:
        opened = []
        for program in (uses, begins, uses, uses):
            assert session.run(program).stdout == b"hello a\n"
            opened.append(commands(sshd))
    assert opened == [1, 2, 2, 2]


def test_what_has_begun_to_come_is_waited_for(warm: tuple[ConnectionPool, Node], tmp_path: Path) -> None:
    pool, node = warm
    with pool.connect(node) as session:
        held_up = "until [ -e {0} ]; do sleep 0.05; done; echo {1}"
        words = "; ".join(held_up.format(tmp_path / word, word) for word in ("half", "end"))
        pieces = session.stream(a_program(f"echo claimed; {words}\n", patience=(patience := Told())))
        assert next(pieces) == b"claimed\n"
        (tmp_path / "half").touch()
        assert next(pieces) == b"half\n"
        patience.over = True
        (tmp_path / "end").touch()
        assert b"".join(pieces) == b"end\n"


def test_what_a_program_says_first_comes_at_once(warm: tuple[ConnectionPool, Node], tmp_path: Path) -> None:
    pool, node = warm
    with pool.connect(node) as session:
        pieces = session.stream(a_program(f"echo claimed; until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo end\n"))
        assert next(iter(pieces)) == b"claimed\n"
        (tmp_path / "go").touch()
        assert b"".join(pieces) == b"end\n"


def test_a_shell_that_died_between_two_programs_is_begun_anew(
    warm: tuple[ConnectionPool, Node], sshd: Sshd, tmp_path: Path
) -> None:
    pool, node = warm
    shell = int(said(pool, node, "echo $$\n"))
    os.kill(shell, signal.SIGKILL)
    assert said(pool, node, f"echo ran >>{tmp_path}/log; greet again\n") == b"hello again\n"
    assert (tmp_path / "log").read_text() == "ran\n"
    assert sshd.connections() == 1


def test_a_program_that_broke_off_is_not_sent_again(warm: tuple[ConnectionPool, Node], tmp_path: Path) -> None:
    pool, node = warm
    with pytest.raises(NodeError):
        said(pool, node, f"echo ran >>{tmp_path}/log; kill -9 $$\n")
    time.sleep(0.2)
    assert (tmp_path / "log").read_text() == "ran\n"
    assert said(pool, node, "greet again\n") == b"hello again\n"


def test_where_no_shell_can_stay_programs_go_as_before(make_sshd: SshdMaker, make_pool: PoolMaker) -> None:
    sshd = make_sshd("MaxSessions 1")
    node = sshd.node()
    pool = make_pool(pinned((node.id, sshd)), node)
    broken = b"exit 7\n"
    with pool.connect(node) as session:
        program = a_program("echo ran\n")
        assert program.resident is not None
        deaf = replace(program, resident=replace(program.resident, library=broken))
        assert session.run(deaf).stdout == b"ran\n"
        assert session.run(program).stdout == b"ran\n"
