"""The loader: a program runs whole or not at all, through any login shell."""

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import AnswerGarbled, BecomeRefused, LoginRefused, NodeError
from reconciler.ids import NodeId
from reconciler.model.command import Answer, Program
from reconciler.transport.loader import (
    CUT_STATUS,
    GreetedStream,
    after_greeting,
    answer_of,
    loader_command,
    posix_cksum,
)

WEB = NodeId("web-01")
NONCE = "0123456789abcdef0123456789abcdef"

SHELLS = [
    ["sh"],
    ["bash"],
    ["dash"],
    ["busybox", "sh"],
    ["bash", "--posix"],
    ["fish"],
    ["csh"],
    ["tcsh"],
    ["zsh"],
    ["mksh"],
]
LOGIN_SHELLS = [
    pytest.param(
        shell,
        id="-".join(shell),
        marks=[] if shutil.which(shell[0]) else [pytest.mark.skip(reason=f"no {shell[0]} here")],
    )
    for shell in SHELLS
]
"""Every shell that may stand in a user's passwd entry, as far as this machine has it."""

INNER_SHELLS = ["dash", "bash", "busybox sh"]
"""What `sh` may be on a node."""


def run(shell: list[str], command: str, stdin: bytes) -> Answer:
    done = subprocess.run([*shell, "-c", command], input=stdin, capture_output=True, check=False, timeout=60)
    return Answer(stdout=done.stdout, stderr=done.stderr, exit_status=done.returncode)


@pytest.mark.parametrize("shell", LOGIN_SHELLS)
def test_a_program_runs_through_any_login_shell(shell: list[str]) -> None:
    program = Program(text=b"cat; printf '%s\\n' 'it'\"'\"'s \\ ! $HOME' \"$#\"; echo err >&2; exit 7\n\n")
    answer = answer_of(WEB, NONCE, run(shell, loader_command(program, NONCE, sudo=False), program.text), sudo=False)
    assert answer == Answer(stdout=b"it's \\ ! $HOME\n0\n", stderr=b"err\n", exit_status=7)


@pytest.mark.parametrize("inner", INNER_SHELLS)
def test_a_program_that_is_cut_anywhere_runs_nothing(inner: str, tmp_path: Path) -> None:
    if shutil.which(inner.partition(" ")[0]) is None:
        pytest.skip(f"no {inner} here")
    harmed = tmp_path / "harmed"
    text = f"touch {harmed}\nrm -rf {tmp_path}/x /nonexistent/y # \xfc\n\n".encode("latin-1")
    command = loader_command(Program(text=text), NONCE, sudo=False).replace("sh -c", f"{inner} -c", 1)
    for cut in range(len(text)):
        done = run(["sh"], command, text[:cut])
        assert (done.stdout, done.exit_status) == (b"", CUT_STATUS), cut
        assert not harmed.exists()
    assert after_greeting(run(["sh"], command, text).stdout, NONCE) == b""
    assert harmed.exists()


@pytest.mark.parametrize("inner", INNER_SHELLS)
@pytest.mark.parametrize("change", [b"echo", b"\n", b"x"])
def test_a_program_with_anything_behind_it_runs_nothing(inner: str, change: bytes) -> None:
    if shutil.which(inner.partition(" ")[0]) is None:
        pytest.skip(f"no {inner} here")
    program = Program(text=b"echo done\n")
    command = loader_command(program, NONCE, sudo=False).replace("sh -c", f"{inner} -c", 1)
    assert run(["sh"], command, program.text + change).exit_status == CUT_STATUS


def test_a_changed_byte_is_noticed() -> None:
    program = Program(text=b"echo done\n")
    done = run(["sh"], loader_command(program, NONCE, sudo=False), b"echo dome\n")
    with pytest.raises(AnswerGarbled, match="cut or changed"):
        answer_of(WEB, NONCE, done, sudo=False)


def test_an_empty_program_runs() -> None:
    program = Program(text=b"")
    assert after_greeting(run(["sh"], loader_command(program, NONCE, sudo=False), b"").stdout, NONCE) == b""


def test_the_program_is_in_no_argument_list(tmp_path: Path) -> None:
    canary = "hunter2-canary"
    program = Program(text=f"tr '\\0' ' ' < /proc/$PPID/cmdline; tr '\\0' ' ' < /proc/$$/cmdline; : {canary}".encode())
    done = run(["sh"], loader_command(program, NONCE, sudo=False), program.text)
    assert b"cksum" in done.stdout
    assert canary.encode() not in done.stdout


def test_a_shell_whose_printf_is_no_builtin_refuses_instead_of_showing_the_program(tmp_path: Path) -> None:
    program = Program(text=b"echo done\n")
    command = loader_command(program, NONCE, sudo=False).replace("printf %s", "no_builtin_printf %s")
    assert run(["sh"], command, program.text).exit_status == CUT_STATUS


def test_a_nul_byte_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="NUL"):
        loader_command(Program(text=b"echo \0"), NONCE, sudo=False)


@given(st.binary(max_size=600))
def test_the_checksum_is_the_one_that_posix_means(data: bytes) -> None:
    crc = 0
    for byte in data + len(data).to_bytes((len(data).bit_length() + 7) // 8, "little"):
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 0x80000000 else 0)) & 0xFFFFFFFF
    assert posix_cksum(data) == crc ^ 0xFFFFFFFF


def test_the_checksum_is_the_one_that_cksum_prints() -> None:
    data = bytes(range(256)) * 300
    printed = subprocess.run(["cksum"], input=data, capture_output=True, check=True).stdout.split()
    assert [str(posix_cksum(data)), str(len(data))] == [part.decode() for part in printed]


@pytest.mark.parametrize(
    ("stdout", "rest"),
    [
        pytest.param(f"{NONCE}\nanswer\n", b"answer\n", id="clean"),
        pytest.param(f"banner\nno line break{NONCE}\nanswer", b"answer", id="noise before it"),
        pytest.param(f"{NONCE}\n{NONCE}\n", f"{NONCE}\n".encode(), id="said twice"),
        pytest.param(f"{NONCE}", None, id="cut in the middle"),
        pytest.param("0" * 32 + "\nanswer\n", None, id="another request's"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_only_what_follows_the_greeting_is_the_answer(stdout: str, rest: bytes | None) -> None:
    assert after_greeting(stdout.encode(), NONCE) == rest


@given(st.lists(st.integers(min_value=0, max_value=80), max_size=6))
def test_a_followed_output_loses_its_greeting_wherever_it_is_split(cuts: list[int]) -> None:
    whole = f"noise {NONCE}\nthe answer {NONCE}\n".encode()
    greeted = GreetedStream(WEB, NONCE, sudo=False)
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [greeted.take(whole[start:end]) for start, end in itertools.pairwise(edges)]
    greeted.end(b"", 0)
    assert b"".join(pieces) == f"the answer {NONCE}\n".encode()


SUDO = [
    pytest.param(b"sudo: a password is required\n", "asks for a password: add a NOPASSWD rule", id="password"),
    pytest.param(
        b"sudo: a terminal is required to read the password; either use the -S option or an askpass helper\n"
        b"sudo: a password is required\n",
        "asks for a password",
        id="password, newer",
    ),
    pytest.param(b"sudo: sorry, you must have a tty to run sudo\n", "requiretty", id="requiretty"),
    pytest.param(b"ops is not in the sudoers file.\n", "no sudo rule", id="no rule"),
    pytest.param(
        b"Sorry, user ops is not allowed to execute '/usr/bin/sh -c x' as root on web-01.\n",
        "does not allow `sh`",
        id="other",
    ),
    pytest.param(b"Sorry, user ops may not run sudo on web-01.\n", "no sudo rule", id="may not"),
    pytest.param(b"env: 'sudo': No such file or directory\n", "not installed", id="no sudo"),
    pytest.param(b"sh: 1: sudo: not found\n", "not installed", id="no sudo, dash"),
    pytest.param(b"sudo: effective uid is not 0, is /usr/bin/sudo on a file system\n", "nosuid", id="nosuid"),
    pytest.param(
        b'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.\n',
        "no_new_privs",
        id="nnp",
    ),
    pytest.param(b"sudo: Account expired\n", "sudo refused: sudo: Account expired", id="something else"),
]


@pytest.mark.parametrize(("stderr", "words"), SUDO)
def test_why_sudo_refused_is_said_in_words(stderr: bytes, words: str) -> None:
    with pytest.raises(BecomeRefused, match=words):
        answer_of(WEB, NONCE, Answer(stdout=b"", stderr=stderr, exit_status=1), sudo=True)


@pytest.mark.parametrize(
    ("raw", "sudo", "error"),
    [
        pytest.param(Answer(stdout=b"", stderr=b"", exit_status=1), True, LoginRefused, id="silence is not sudo's"),
        pytest.param(
            Answer(stdout=b"", stderr=b"sudo: no\n", exit_status=1), False, LoginRefused, id="sudo was not asked"
        ),
        pytest.param(Answer(stdout=b"", stderr=b"", exit_status=CUT_STATUS), True, AnswerGarbled, id="cut under sudo"),
    ],
)
def test_other_refusals_are_not_blamed_on_sudo(raw: Answer, sudo: bool, error: type[NodeError]) -> None:  # noqa: FBT001
    with pytest.raises(error):
        answer_of(WEB, NONCE, raw, sudo=sudo)
