"""The exec command that carries a program to a node, and what its output proves.

Takes a Program and a nonce; gives one command line that any login shell parses (sh, bash, dash, fish, csh, busybox), and
takes the greeting off what came back. The program itself travels on stdin: it is in no argument list and no file, and it
runs only when every byte of it has arrived. Pure: no I/O here.
"""

import secrets
import zlib
from enum import Enum

from reconciler.errors import AnswerGarbled, BecomeRefused, LoginRefused, NodeError
from reconciler.ids import NodeId
from reconciler.model.command import Answer, Program

CUT_STATUS = 121
"""The loader ends with it, in silence, when length or checksum do not match; below 126, where shells have their own meanings."""

SHOWN = 300
"""Characters of a node's own words in a message."""


class Way(Enum):
    """How a program may reach `sh` on this connection, as a greeting told."""

    NONE = ""
    """Only by the loader below."""
    PIPE = ".pipe"
    """stdin is a pipe that can be opened again, by `sh -c`."""
    DIRECT = ".direct"
    """The same, and the login shell is `sh` itself."""


_WAYS = {way.value.encode(): way for way in Way}

# No quote, backslash, exclamation mark or line break may stand in here: fish, csh and sh disagree on each of them.
# - What stands behind the nonce tells which shorter way (quick_loader.py) the next program may take.
# - The greeting comes after the check: it proves that the whole program is there, and costs one packet.
# - The `.` behind `cat` keeps trailing line breaks, which a command substitution would drop.
# - PATH=/dev/null: a shell whose printf is no builtin must fail here, not show the program in a process list.
# - cksum is POSIX and counts the bytes as well.
_LOADER = (
    "LC_ALL=C; export LC_ALL; p=$(cat; echo .); p=${{p%.}}; "
    'c=$(PATH=/dev/null printf %s "$p" | cksum); '
    'if [ "$c" = "{checksum} {length}" ]; then w=; if [ -p /dev/stdin ] && {{ true </dev/stdin; }} 2>/dev/null; then w=.pipe; '
    "case $SHELL in /bin/sh | /usr/bin/sh) w=.direct;; esac; case $BASH_VERSION in [123].*) w=;; esac; fi; "
    'echo {nonce}$w; w=; exec </dev/null; eval "$p"; else exit {cut}; fi'
)


def loader_command(program: Program, nonce: str, *, sudo: bool) -> str:
    """Give the exec command for `program`; it then runs with LC_ALL=C and stdin closed."""
    if b"\0" in program.text:
        raise ValueError("a program cannot hold a NUL byte: no shell variable takes one")
    script = _LOADER.format(nonce=nonce, checksum=posix_cksum(program.text), length=len(program.text), cut=CUT_STATUS)
    # sudo's own words are read below, so they must come in English.
    become = "env LC_ALL=C sudo -n " if sudo else ""
    return f"{become}sh -c '{script}'"


def after_greeting(stdout: bytes, nonce: str) -> bytes | None:
    """Give what the program itself printed; None where the greeting that proves it complete never came.

    Whatever stands before the greeting is a banner, or noise from a start-up file.
    """
    way, rest = _greeting(stdout, nonce)
    return rest if way is not None else None


def way_told(stdout: bytes, nonce: str) -> Way:
    """Give the shorter way that the greeting offers."""
    return _greeting(stdout, nonce)[0] or Way.NONE


def _greeting(stdout: bytes, nonce: str) -> tuple[Way | None, bytes]:
    mark = nonce.encode()
    _, found, rest = stdout.partition(mark)
    while found:
        line, ended, after = rest.partition(b"\n")
        if ended and line in _WAYS:
            return _WAYS[line], after
        _, found, rest = rest.partition(mark)
    return None, b""


def answer_of(node: NodeId, nonce: str, raw: Answer, *, sudo: bool) -> Answer:
    """Take the greeting off a raw answer, or raise the NodeError that says why there is none."""
    rest = after_greeting(raw.stdout, nonce)
    if rest is None:
        raise why_no_greeting(node, raw, sudo=sudo)
    return Answer(stdout=rest, stderr=raw.stderr, exit_status=raw.exit_status)


def why_no_greeting(node: NodeId, raw: Answer, *, sudo: bool) -> NodeError:
    """Tell a cut program, a refusing sudo and a login shell that runs nothing apart."""
    if raw.exit_status == CUT_STATUS:
        return AnswerGarbled(node, f"the program arrived cut or changed, so the node did not run it{_said(raw)}")
    if sudo and (cause := sudo_refusal(raw.stderr)):
        return BecomeRefused(node, cause)
    return LoginRefused(
        node,
        f"the login shell ran no command: exit status {raw.exit_status}{_said(raw)}; "
        "the login user needs a shell that runs `sh` (no nologin, no ForceCommand)",
    )


def sudo_refusal(stderr: bytes) -> str | None:
    """Say in words why sudo refused, with the remedy; None where it does not look like sudo at all."""
    text = stderr.decode("utf-8", "replace")
    low = text.lower()
    if "sudo" not in low and "not allowed to execute" not in low:
        return None
    for mark, cause in _SUDO_CAUSES:
        if mark in low:
            return cause
    return f"sudo refused: {text.strip()[:SHOWN]}"


_RULE = "add a NOPASSWD rule for the login user to the node's sudoers (see docs/installing.md)"

_SUDO_CAUSES = (
    ("must have a tty", "sudo wants a terminal (requiretty): add `Defaults:USER !requiretty` to the node's sudoers"),
    ("password is required", f"sudo asks for a password: {_RULE}"),
    ("terminal is required", f"sudo asks for a password: {_RULE}"),
    ("password expired", "sudo: the login user's password has expired: renew it, or set it to never expire"),
    ("account validation failure", "sudo: the login user's account is locked or has expired on the node"),
    ("not in the sudoers", f"the login user has no sudo rule: {_RULE}"),
    ("may not run sudo", f"the login user has no sudo rule: {_RULE}"),
    ("not allowed to execute", f"the login user's sudo rule does not allow `sh`: {_RULE}"),
    ("not found", "sudo is not installed on the node: install it, log in as root, or set `Become: none`"),
    ("unknown command", "sudo is not installed on the node: install it, log in as root, or set `Become: none`"),
    ("no such file", "sudo is not installed on the node: install it, log in as root, or set `Become: none`"),
    (
        "effective uid is not 0",
        "sudo cannot become root: it lacks its setuid bit, or its file system is mounted nosuid",
    ),
    ("no new privileges", "sudo cannot become root: the login runs with the no_new_privs flag"),
)


def _said(raw: Answer) -> str:
    """Quote the node's last words; foreign text, so whoever prints the message renders it."""
    words = (raw.stderr.strip() or raw.stdout.strip()).decode("utf-8", "replace")
    return f", it said: {words[-SHOWN:]}" if words else ""


def posix_cksum(data: bytes) -> int:
    """Give the checksum that POSIX `cksum` prints: a CRC-32 over the data and its length, highest bit first.

    zlib computes the same polynomial lowest bit first, so the bits of every byte are turned round before and after.
    """
    length = len(data)
    tail = length.to_bytes((length.bit_length() + 7) // 8, "little")
    turned = zlib.crc32((data + tail).translate(_TURNED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{turned:032b}"[::-1], 2) ^ 0xFFFFFFFF


_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def new_nonce() -> str:
    """Give 128 random bits: an answer that carries them answers this request and no other."""
    return secrets.token_hex(16)


class GreetedStream:
    """Takes the greeting off an output that comes in pieces."""

    def __init__(self, node: NodeId, nonce: str, *, sudo: bool) -> None:
        self._node = node
        self._nonce = nonce
        self._sudo = sudo
        self._before = b""
        self._greeted = False

    def take(self, chunk: bytes) -> bytes:
        """Give what of `chunk` the program printed: nothing before the greeting was seen."""
        if self._greeted:
            return chunk
        self._before += chunk
        rest = after_greeting(self._before, self._nonce)
        if rest is None:
            return b""
        self._greeted = True
        self._before = b""
        return rest

    def end(self, stderr: bytes, exit_status: int) -> None:
        """Raise the NodeError that says why, where no greeting came."""
        if not self._greeted:
            raw = Answer(stdout=self._before, stderr=stderr, exit_status=exit_status)
            raise why_no_greeting(self._node, raw, sudo=self._sudo)
