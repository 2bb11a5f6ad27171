"""A real sshd on loopback, small enough to start for each test, and a pool that finds it."""

import math
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Self

from reconciler.ids import NodeId
from reconciler.model.node import Node
from reconciler.transport.known_hosts import HostKey, KnownHosts, host_key_line, parse
from reconciler.transport.pool import ConnectionPool
from reconciler.transport.wire import Patience

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
USER = os.environ.get("USER") or "root"


@dataclass(kw_only=True)
class Sshd:
    """One running sshd: where it listens, what it is, and how to end it."""

    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    def start(self) -> None:
        config = self.folder / "sshd_config"
        lines = [
            *self.options,  # sshd takes the first value of a keyword
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder / 'host_key'}",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
            f"PidFile {self.folder / 'pid'}",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "UsePAM no",
            "LogLevel VERBOSE",
            "PrintMotd no",
            "PermitRootLogin yes",
            *(() if any(option.startswith("MaxStartups") for option in self.options) else ("MaxStartups 200",)),
            "SetEnv SHLVL=2",  # bash then reads no .bashrc of whoever runs the tests
            "PerSourcePenalties no",
        ]
        if "PerSourcePenalties no" in lines and not _knows_penalties():
            lines.remove("PerSourcePenalties no")
        config.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", str(config), "-E", str(self.folder / "log")], stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    if probe.recv(4) == b"SSH-":
                        return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"sshd did not start: {(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        self.process.wait(60)
        self.process = None
        self.cut()

    def cut(self) -> None:
        """End every connection's own sshd, by the process ids it logged nowhere else: the children of ours."""
        for pid in self.session_pids():
            subprocess.run(["kill", "-9", str(pid)], check=False, capture_output=True)

    def session_pids(self) -> list[int]:
        """The sshd processes that serve connections to our port."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/environ"):
            pid = int(stat.parent.name)
            try:
                command = (stat.parent / "cmdline").read_bytes()
                inodes = {str(fd.readlink()) for fd in (stat.parent / "fd").iterdir()}
            except OSError:
                continue
            if not command.startswith(b"sshd:") or (self.process is not None and pid == self.process.pid):
                continue
            if inodes & self._our_sockets():
                found.append(pid)
        return found

    def _our_sockets(self) -> set[str]:
        ours = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(f":{self.port:04X}") and fields[3] == "01":
                ours.add(f"socket:[{fields[9]}]")
        return ours

    def connections(self) -> int:
        """How many TCP connections it has accepted since its start, our own probe apart."""
        return self.log().count("Connection from") - 1

    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def host_key(self) -> HostKey:
        kind, text = (self.folder / "host_key.pub").read_text().split()[:2]
        return HostKey(kind, text)

    def node(self, name: str = "web-01", **changes: object) -> Node:
        node = Node(id=NodeId(name), address="127.0.0.1", port=self.port, user=USER, identity_file="fleet")
        return replace(node, **changes)  # type: ignore[arg-type]  # field names of Node


def _knows_penalties() -> bool:
    version = subprocess.run([SSHD, "-V"], capture_output=True, check=False)
    numbers = (version.stderr or version.stdout).partition(b"OpenSSH_")[2][:3]
    return numbers >= b"9.8"


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class SshdMaker:
    def __init__(self, folder: Path, keys: Path) -> None:
        self._folder = folder
        self._keys = keys
        self.made: list[Sshd] = []

    def __call__(self, *options: str, key: str = "ed25519") -> Sshd:
        folder = self._folder / f"sshd-{len(self.made)}"
        folder.mkdir()
        keygen(folder / "host_key", key)
        shutil.copy(self._keys / "fleet.pub", folder / "authorized_keys")
        sshd = Sshd(folder=folder, port=free_port(), options=options)
        self.made.append(sshd)
        sshd.start()
        return sshd


def pinned(*sshds: tuple[str, Sshd]) -> KnownHosts:
    return parse("".join(host_key_line(name, sshd.host_key) + "\n" for name, sshd in sshds))


LONG = Patience(**dict.fromkeys(("connect", "greeting", "handshake", "login", "channel"), timedelta(seconds=60)))
"""What answers here answers within it, however long this machine stands still; tests of silence say what they wait for."""


class Told(timedelta):
    """A limit that is over when the test says so."""

    over = False

    def total_seconds(self) -> float:
        return Seconds(self)


class Seconds(float):
    """As the end of such a limit, behind an instant; as one itself, beside a time that has passed."""

    limit: Told

    def __new__(cls, limit: Told) -> Self:
        made = super().__new__(cls, 3600)
        made.limit = limit
        return made

    def __radd__(self, instant: float) -> float:
        return -math.inf if self.limit.over else math.inf

    def __le__(self, passed: float) -> bool:
        return self.limit.over


def hurry(pool: ConnectionPool, *nodes: Node, limit: timedelta = timedelta(seconds=1)) -> None:
    """Wait no longer than that on connections that there are (of these nodes): new ones still have all the time."""
    connections = [*pool._idle.values(), *pool._lent, *(gateway.opened.result() for gateway in pool._gateways.values())]
    for connection in connections:
        if not nodes or connection.node in {node.id for node in nodes}:
            connection._patience = replace(connection._patience, connect=limit, channel=limit)


class PoolMaker:
    def __init__(self, keys: Path) -> None:
        self._keys = keys
        self.made: list[ConnectionPool] = []

    def __call__(self, known_hosts: KnownHosts, *nodes: Node, **options: object) -> ConnectionPool:
        pool = ConnectionPool(
            known_hosts=known_hosts,
            nodes={node.id: node for node in nodes},
            key_directory=self._keys,
            **{"patience": LONG, **options},  # type: ignore[arg-type]  # keywords of ConnectionPool
        )
        self.made.append(pool)
        return pool


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
