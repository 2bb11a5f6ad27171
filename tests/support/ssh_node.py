"""The light node: a bare sshd on this machine as whoever runs the tests, for machines where real nodes cannot be had.

Gives an address with keys of its own; commands find `bin` of the given directory first on their PATH, and a home with
nothing of anybody's shell in it. It has this machine's files, packages and processes: nothing may be applied to it.
"""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.host_keys import new_key_pair
from tests.support.node_root import search_path
from tests.support.requirements import skip_or_fail

_CONFIG = """\
ListenAddress 127.0.0.1:{port}
PidFile none
HostKey {home}/host_key
AuthorizedKeysFile {home}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
LogLevel VERBOSE
MaxStartups 200
KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org
SetEnv PATH={path} HOME={home}/empty
"""
"""The key exchange is the one that takes a hundredth of the processor time of ssh's first choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAddress:
    """How to reach the node."""

    address: str
    port: int
    user: str
    identity_file: Path
    known_hosts: str
    log: Path
    bin: Path


@contextmanager
def ssh_node(directory: Path) -> Iterator[SshAddress]:
    """Start a sshd below `directory`, wait for its banner, and end it with all its connections."""
    sshd = shutil.which("sshd", path=search_path())
    if sshd is None:
        skip_or_fail("needs sshd (openssh-server)")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    home = directory / "sshd"
    (home / "empty").mkdir(parents=True)
    (directory / "bin").mkdir(exist_ok=True)
    with _free_port() as port:
        address = _write(home, port, directory / "bin")
    argv = [sshd, "-D", "-f", str(home / "config"), "-E", str(address.log)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for_banner(process, address)
            yield address
        finally:
            for child in _descendants(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(child, 9)
            process.kill()


def _write(home: Path, port: int, fakes: Path) -> SshAddress:
    host, client = new_key_pair("node"), new_key_pair("test")
    path = f"{fakes}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for name, text in (
        ("host_key", host.private),
        ("identity", client.private),
        ("authorized_keys", client.public),
        ("config", _CONFIG.format(port=port, home=home, path=path)),
    ):
        (home / name).touch(mode=0o600)
        (home / name).write_text(text, encoding="ascii")
    return SshAddress(
        address="127.0.0.1",
        port=port,
        user=pwd.getpwuid(os.geteuid()).pw_name,
        identity_file=home / "identity",
        known_hosts=f"[127.0.0.1]:{port} {' '.join(host.public.split()[:2])}\n",
        log=home / "log",
        bin=fakes,
    )


@contextmanager
def _free_port() -> Iterator[int]:
    """Lend a port that is free now; sshd binds it right after."""
    with socket.socket() as claim:
        claim.bind(("127.0.0.1", 0))
        yield claim.getsockname()[1]


def _wait_for_banner(process: subprocess.Popen[bytes], address: SshAddress) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection((address.address, address.port), timeout=1) as connection:
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.01)
    raise RuntimeError(f"sshd did not start: {address.log.read_text(encoding='utf-8', errors='replace')}")


def _descendants(process: int) -> tuple[int, ...]:
    """Give the processes below this one, the deepest first."""
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except OSError:
        return ()
    children = tuple(int(child) for child in text.split())
    return tuple(found for child in children for found in (*_descendants(child), child))
