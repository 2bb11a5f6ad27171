"""The short way of a connection that has answered before: the same promises, and no process but `sh`."""

import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.model.command import Answer, Limits, Program
from reconciler.transport.loader import CUT_STATUS, Way, after_greeting, loader_command, way_told
from reconciler.transport.quick_loader import goes_quickly, quick_command, quick_text
from tests.transport.real_sshd import PoolMaker, Sshd, SshdMaker, pinned

NONCE = "0123456789abcdef0123456789abcdef"
SHELLS = [
    pytest.param(
        shell.split(),
        id=shell,
        marks=[] if shutil.which(shell.split()[0]) else [pytest.mark.skip(reason=f"no {shell} here")],
    )
    for shell in ("dash", "bash", "bash --posix", "busybox sh", "mksh", "zsh")
]

ON_NODES = SHELLS[:2] + SHELLS[3:4]
"""What `sh` is on nearly every node: cuts at every byte take hundreds of processes."""


def run(shell: list[str], command: str, stdin: bytes, **environment: str) -> Answer:
    env = {"PATH": "/usr/bin:/bin", **environment}
    done = subprocess.run([*shell, "-c", command], input=stdin, capture_output=True, check=False, timeout=60, env=env)
    return Answer(stdout=done.stdout, stderr=done.stderr, exit_status=done.returncode)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("way", [Way.PIPE, Way.DIRECT])
def test_a_program_runs_as_it_is(shell: list[str], way: Way) -> None:
    text = b"cat; printf '%s\\n' 'it'\"'\"'s \\ ! $HOME' \"$#\" '\x81\x88\xfc'; echo err >&2; exit 7\n\n"
    done = run(shell, quick_command(NONCE, way, sudo=False), quick_text(Program(text=text), NONCE))
    assert after_greeting(done.stdout, NONCE) == b"it's \\ ! $HOME\n0\n\x81\x88\xfc\n"
    assert (done.stderr, done.exit_status) == (b"err\n", 7)


@pytest.mark.parametrize("shell", ON_NODES)
def test_a_program_that_is_cut_anywhere_runs_nothing(shell: list[str], tmp_path: Path) -> None:
    harmed = tmp_path / "harmed"
    program = Program(text=f"touch {harmed}\nrm -rf '{tmp_path}/x' /nonexistent/y\n".encode())
    command, text = quick_command(NONCE, Way.DIRECT, sudo=False), quick_text(program, NONCE)
    last = text.index(b"fi\nexit") + 1
    for cut in range(last):
        done = run(shell, command, text[:cut])
        assert after_greeting(done.stdout, NONCE) is None, cut
        assert not harmed.exists(), cut
    assert after_greeting(run(shell, command, text).stdout, NONCE) == b""
    assert harmed.exists()


@pytest.mark.parametrize("shell", ON_NODES)
def test_a_program_whose_beginning_was_eaten_runs_nothing(shell: list[str], tmp_path: Path) -> None:
    harmed = tmp_path / "harmed"
    program = Program(text=f"touch {harmed}\n".encode())
    command, text = quick_command(NONCE, Way.DIRECT, sudo=False), quick_text(program, NONCE)
    for eaten in range(1, len(text)):
        done = run(shell, command, text[eaten:])
        assert (after_greeting(done.stdout, NONCE), done.exit_status) == (None, CUT_STATUS), eaten
        assert not harmed.exists(), eaten


@pytest.mark.parametrize("shell", SHELLS)
def test_a_changed_byte_is_noticed(shell: list[str]) -> None:
    command, text = quick_command(NONCE, Way.PIPE, sudo=False), quick_text(Program(text=b"echo done\n"), NONCE)
    for changed in (text.replace(b"done", b"dome", 1), text.replace(b"done", b"dne")):
        done = run(shell, command, changed)
        assert (after_greeting(done.stdout, NONCE), done.exit_status) == (None, CUT_STATUS)


@pytest.mark.parametrize(
    ("shell", "way"),
    [
        pytest.param("/bin/sh", Way.DIRECT, id="sh"),
        pytest.param("/bin/bash", Way.PIPE, id="another shell"),
        pytest.param("/usr/bin/fish", Way.PIPE, id="no POSIX shell"),
    ],
)
def test_the_first_greeting_tells_the_way(shell: str, way: Way) -> None:
    program = Program(text=b"echo done\n")
    done = run(["dash"], loader_command(program, NONCE, sudo=False), program.text, SHELL=shell)
    assert way_told(done.stdout, NONCE) is way


def test_without_a_pipe_there_is_no_short_way(tmp_path: Path) -> None:
    given = tmp_path / "program"
    given.write_bytes(b"echo done\n")
    command = loader_command(Program(text=given.read_bytes()), NONCE, sudo=False)
    with given.open("rb") as stdin:
        done = subprocess.run(["dash", "-c", command], stdin=stdin, capture_output=True, check=True)
    assert way_told(done.stdout, NONCE) is Way.NONE
    assert after_greeting(done.stdout, NONCE) == b"done\n"


def test_a_long_program_takes_the_long_way() -> None:
    assert goes_quickly(Program(text=b"x" * 15_000), Way.PIPE)
    assert not goes_quickly(Program(text=b"x" * 15_001), Way.PIPE)
    assert not goes_quickly(Program(text=b"x"), Way.NONE)


def test_the_program_is_in_no_argument_list_the_short_way(sshd: Sshd, make_pool: PoolMaker) -> None:
    node = sshd.node()
    text = b"tr '\\0' ' ' < /proc/$$/cmdline; tr '\\0' ' ' < /proc/$PPID/cmdline; : hunter2-canary"
    with make_pool(pinned((node.id, sshd)), node).connect(node) as session:
        long, short = b"".join(session.stream(Program(text=text))), session.run(Program(text=text)).stdout
    assert b"cksum" in long
    assert b"read -r h" in short
    assert b"canary" not in long + short


def test_a_node_that_no_longer_takes_the_short_way_is_asked_the_long_one(
    make_sshd: SshdMaker, make_pool: PoolMaker, tmp_path: Path
) -> None:
    refuse = tmp_path / "refuse"
    gate = f"case $SSH_ORIGINAL_COMMAND in *cksum*) ;; *) [ ! -e {refuse} ] || exit 3;; esac"
    sshd = make_sshd(f'ForceCommand {gate}; eval "$SSH_ORIGINAL_COMMAND"')
    node = sshd.node()
    ran = tmp_path / "ran"
    program = Program(text=f"echo x >> {ran}; cat {ran} | wc -l".encode(), limits=Limits())
    with make_pool(pinned((node.id, sshd)), node).connect(node) as session:
        session.run(program)
        session.run(program)
        refuse.touch()
        assert session.run(program).stdout.split() == [b"3"]
        assert session.run(program).stdout.split() == [b"4"]
