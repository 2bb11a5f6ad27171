"""Real test nodes: each its own Debian, with its own sshd, host key, package database, boot id and clock.

    with start_fleet(tmp_path, count=3, systemd=1) as fleet:
        node = fleet.nodes[0]
        node.address, node.port, node.user        # "127.3.7.1", 2222, "ops" (sudo without a password); also root, guest
        fleet.identity_file, fleet.known_hosts    # a private key for all of them; text for a known_hosts file
        node.run(["dpkg-query", "-W", "sudo"])    # as root inside the node; raises unless check=False
        (node.root / "etc/motd").write_text("by hand")   # the node's disk, seen from outside: assert on it, change it
        node.reboot(); node.stop(); node.start()
        node.change_host_key(); node.kill_connections(); node.sshd_log()
    with start_fleet(tmp_path, disk_mb=8) as fleet:
        fleet.nodes[0].fill_disk()

`reboot`, `shutdown -r` and `poweroff` inside a node do what they say. The last `systemd` of the `count` nodes boot
systemd as PID 1, the others a small init. They share the machine's loopback interface, kernel settings and clock, which
they can read but not change. All of it lives in a mount namespace of the fleet's supervisor: when that process ends, for
whatever reason, processes and mounts are gone. Needs root; start_fleet raises NodesUnavailable with the reason.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.host_keys import KeyPair, new_key_pair
from tests.support.node_layers import write_layers
from tests.support.node_root import NodesUnavailable, ensure_root, search_path
from tests.support.package_layer import ensure_layer

__all__ = ["Fleet", "NodeSpec", "NodesUnavailable", "TestNode", "start_fleet"]

PORT = 2222
START_DEADLINE = 60.0
_SUPERVISOR = Path(__file__).with_name("node_supervisor.py")
_INSIDE = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
_SESSIONS = r"^sshd(-session)?: [a-z_][a-z0-9_-]*( \[|@)"
"""The titles of the processes that serve one connection; the listener's starts with its path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """What kind of node is wanted. `disk_mb` limits what it can write, and is real: beyond it is no space left.

    `packages` are installed on it beforehand, from the archive this machine is set to use.
    """

    name: str
    systemd: bool = False
    disk_mb: int | None = None
    packages: tuple[str, ...] = ()


class TestNode:
    """One node of a fleet."""

    __test__ = False  # pytest takes classes of such a name for tests

    def __init__(self, fleet: "Fleet", spec: NodeSpec, *, address: str, root: Path) -> None:
        self.fleet = fleet
        self.name = spec.name
        self.systemd = spec.systemd
        self.disk_mb = spec.disk_mb
        self.address = address
        self.port = fleet.port
        self.user = "ops"
        self.root = root
        """The node's file system as seen from outside. Absolute links in it lead outside: do not follow them."""

    @property
    def host_key_line(self) -> str:
        """The line for a known_hosts file, with the key the node has now."""
        public = (self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="ascii").split()[:2]
        return f"[{self.address}]:{self.port} {' '.join(public)}\n"

    @property
    def machine_id(self) -> str:
        """What /etc/machine-id says now."""
        return (self.root / "etc/machine-id").read_text(encoding="ascii").strip()

    @property
    def boot_id(self) -> str:
        """The boot id of a running node."""
        return self.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip()

    @property
    def boots(self) -> int:
        """How often it has been started."""
        return int(str(self.fleet.ask("state", names=[self.name])["boots"]))

    @property
    def is_on(self) -> bool:
        """Whether it runs, or is about to after a reboot; False after `poweroff`."""
        return bool(self.fleet.ask("state", names=[self.name])["on"])

    @property
    def init(self) -> int | None:
        """The process id of the node's PID 1 as seen from outside; None while it is turned off."""
        found = self.fleet.ask("state", names=[self.name])["init"]
        return None if found is None else int(str(found))

    def run(
        self, argv: Sequence[str], *, stdin: str = "", check: bool = True, user: str = "root", timeout: float = 240.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the node, without ssh."""
        init = self.init
        if init is None:
            raise RuntimeError(f"{self.name} is turned off")
        namespaces = ("--mount", "--uts", "--ipc", "--pid", "--cgroup", "--time", "--root", "--wd=/")
        inside = argv if user == "root" else ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *argv)
        return subprocess.run(
            ["nsenter", f"--target={init}", *namespaces, "--", *inside],
            input=stdin,
            capture_output=True,
            text=True,
            check=check,
            env=_INSIDE,
            timeout=timeout,
        )

    def stop(self) -> None:
        """Turn it off as a power cut does."""
        self.fleet.ask("stop", names=[self.name])

    def start(self) -> None:
        """Turn it on, and wait until sshd answers."""
        self.fleet.start((self,))

    def reboot(self) -> None:
        """End everything on it, start it with a new boot id, and wait until sshd answers."""
        self.stop()
        self.start()

    def stay_off_for(self, seconds: float) -> None:
        """Let each reboot that the node asks for itself take this much longer."""
        self.fleet.ask("pause", names=[self.name], seconds=seconds)

    def wait_until_up(self, *, boots: int = 1, deadline: float = START_DEADLINE) -> None:
        """Wait until it has been started `boots` times and sshd answers; for reboots that came from inside."""
        end = time.monotonic() + deadline
        while self.boots < boots or not _greets(self.address, self.port):
            if time.monotonic() > end or (self.boots >= boots and not self.is_on):
                raise TimeoutError(f"{self.name} did not come up: {self.console()[-1000:]}")
            time.sleep(0.02)

    def change_host_key(self) -> None:
        """Give it another host key, as a reinstalled node has."""
        _write_host_key(self.root, new_key_pair(self.name))
        self._reload_sshd()

    def configure_sshd(self, text: str) -> None:
        """Put lines before all others of sshd_config (the first value of a keyword counts), and have sshd read them."""
        (self.root / "etc/ssh/sshd_config.d/0-trouble.conf").write_text(text, encoding="ascii")
        self._reload_sshd()

    def _reload_sshd(self) -> None:
        before = self._listening()
        self.run(["sh", "-c", "kill -HUP $(cat /run/sshd.pid)"])
        end = time.monotonic() + START_DEADLINE
        while self._listening() == before or not _greets(self.address, self.port):
            if time.monotonic() > end:
                raise TimeoutError(f"sshd of {self.name} did not come back: {self.sshd_log()[-300:]}")
            time.sleep(0.02)

    def _listening(self) -> int:
        return self.sshd_log().count("Server listening on")

    def kill_connections(self) -> int:
        """Cut every open connection on the node's side, and tell how many processes that took."""
        killed = self.run(["pkill", "-KILL", "--count", "--full", _SESSIONS], check=False)
        return int(killed.stdout.strip() or 0)

    def heard(self) -> Mapping[int, int]:
        """Give how much each process that serves a connection has read, by its own kernel's count."""
        script = f"for p in $(pgrep -f '{_SESSIONS}'); do echo \"$p $(cat /proc/$p/io 2>/dev/null)\"; done"
        told = re.findall(r"^(\d+) rchar: (\d+)$", self.run(["sh", "-c", script]).stdout, re.MULTILINE)
        return {int(process): int(count) for process, count in told}

    def freeze(self) -> None:
        """Stop all its processes in their tracks: connections stay open and nothing answers any more."""
        self.run(["sh", "-c", "kill -STOP -1"])

    def thaw(self) -> None:
        """Let a frozen node go on."""
        self.run(["sh", "-c", "kill -CONT -1"])

    def mount_over_itself(self, *folders: str, options: str) -> None:
        """Give folders a mount of their own, e.g. "ro" or "noexec", until the node reboots."""
        script = 'for at; do mount --bind "$at" "$at" && mount -o "remount,bind,$options" "$at" || exit 1; done'
        self.run(["sh", "-c", f"options={options}; {script}", "sh", *folders])

    def fill_disk(self) -> None:
        """Write until no space is left."""
        if self.disk_mb is None:
            raise ValueError(f"{self.name} has no disk limit: start it with disk_mb")
        with (self.root / "var/filler").open("ab", buffering=0) as filler, suppress(OSError):
            while filler.write(bytes(1 << 16)):
                pass

    def free_disk(self) -> None:
        """Take the filling away again."""
        (self.root / "var/filler").unlink()

    def sshd_log(self) -> str:
        """What its sshd has logged since it was made (LogLevel VERBOSE)."""
        path = self.root / "var/log/sshd.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def console(self) -> str:
        """What its boot and init wrote to the console."""
        return (self.root.parent / "console").read_text(encoding="utf-8", errors="replace")

    def set_kernel_setting(self, name: str, value: str) -> None:
        """Let /proc/sys show `value` for e.g. "vm.swappiness" on this node, until it reboots; the kernel is not changed."""
        shown = f"/run/kernel-settings/{name}"
        setting = f"/proc/sys/{name.replace('.', '/')}"
        script = 'mkdir -p "${1%/*}" && printf "%s\\n" "$3" >"$1" && mount --bind "$1" "$2"'
        self.run(["sh", "-c", script, "sh", shown, setting, value])


class Fleet:
    """Nodes that were started together, and the process that supervises them."""

    def __init__(self, directory: Path, *, root: Path, supervisor: subprocess.Popen[bytes], network: "Network") -> None:
        self.directory = directory
        self.nodes: tuple[TestNode, ...] = ()
        self.port = network.port
        self.identity_file = directory / "identity"
        self._network = network
        self._root = root
        self._supervisor = supervisor
        self._lock = threading.Lock()
        client = new_key_pair("test")
        self.identity_file.touch(mode=0o600)
        self.identity_file.write_text(client.private, encoding="ascii")
        self._layers = write_layers(directory, authorized_key=client.public, port=self.port)

    @property
    def known_hosts(self) -> str:
        """Text for a known_hosts file, with the keys the nodes have now."""
        return "".join(node.host_key_line for node in self.nodes)

    @property
    def supervisor_pid(self) -> int:
        """The process all nodes depend on."""
        return self._supervisor.pid

    def ask(self, what: str, **request: object) -> Mapping[str, object]:
        """Have the supervisor do something."""
        requests, answers = self._supervisor.stdin, self._supervisor.stdout
        if requests is None or answers is None:
            raise RuntimeError("the supervisor was started without pipes")
        with self._lock:
            requests.write(json.dumps({"do": what, **request}).encode() + b"\n")
            requests.flush()
            line = answers.readline()
        answer: dict[str, object] = json.loads(line) if line else {"error": "the supervisor has ended"}
        if "error" in answer:
            raise RuntimeError(f"{what}: {answer['error']}")
        return answer

    def add(self, specs: Iterable[NodeSpec]) -> tuple[TestNode, ...]:
        """Make and start more nodes, and wait until they answer."""
        made = tuple(self._make(spec) for spec in specs)
        self.nodes += made
        self.start(made)
        return made

    def _make(self, spec: NodeSpec) -> TestNode:
        layers = self._layers.systemd if spec.systemd else self._layers.plain
        init = (
            ["/usr/bin/env", "container=test-node", "/usr/lib/systemd/systemd"]
            if spec.systemd
            else ["/usr/sbin/node-init"]
        )
        more = (ensure_layer(self._root, spec.packages),) if spec.packages else ()
        lower = [str(layer) for layer in (*layers, *more, self._root)]
        answer = self.ask("add", name=spec.name, lower=lower, init=init, disk_mb=spec.disk_mb)
        root = Path(f"/proc/{self._supervisor.pid}/root{answer['root']}")
        address = self._network.take()
        _write_identity(root, spec.name, address)
        return TestNode(self, spec, address=address, root=root)

    def start(self, nodes: Sequence[TestNode]) -> None:
        """Turn nodes on, and wait until they answer."""
        self.ask("start", names=[node.name for node in nodes])
        for node in nodes:
            node.wait_until_up()


class Network:
    """Loopback addresses nobody else on this machine uses: one 127.x.y.0/24, claimed by a bound socket."""

    def __init__(self) -> None:
        self._claim = socket.socket()
        self._last = 0
        self.prefix, self.port = self._claimed()

    def _claimed(self) -> tuple[str, int]:
        start = os.getpid() * 251 + id(self) // 64
        for port in (PORT, PORT + 1, PORT + 2):
            for offset in range(200):
                number = (start + offset) % (254 * 256)
                prefix = f"127.{1 + number // 256}.{number % 256}"
                with suppress(OSError):
                    self._claim.bind((f"{prefix}.255", port))
                    return prefix, port
        raise NodesUnavailable("no loopback network is free")

    def take(self) -> str:
        """Give the next address."""
        self._last += 1
        if self._last > 254:
            raise ValueError("a fleet has at most 254 nodes")
        return f"{self.prefix}.{self._last}"

    def close(self) -> None:
        """Give the network back."""
        self._claim.close()


@contextmanager
def start_fleet(
    directory: Path, count: int = 1, *, systemd: int = 0, disk_mb: int | None = None, specs: Sequence[NodeSpec] = ()
) -> Iterator[Fleet]:
    """Start nodes in a new directory below `directory`, and end them whatever happens."""
    wanted = specs or tuple(
        NodeSpec(name=f"node-{number:02}", systemd=number > count - systemd, disk_mb=disk_mb)
        for number in range(1, count + 1)
    )
    root = ensure_root()
    with ExitStack() as ending:
        home = _fleet_directory(directory)
        ending.callback(shutil.rmtree, home, ignore_errors=True)
        network = Network()
        ending.callback(network.close)
        fleet = Fleet(home, root=root, supervisor=ending.enter_context(_supervisor(home)), network=network)
        fleet.add(wanted)
        yield fleet


def _fleet_directory(directory: Path) -> Path:
    for number in range(1000):
        home = directory / f"fleet-{number}"
        with suppress(FileExistsError):
            home.mkdir(parents=True)
            return home.resolve()
    raise RuntimeError(f"{directory} has a thousand fleets")


@contextmanager
def _supervisor(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        sys.executable,
        "-I",
        "-S",
        str(_SUPERVISOR),
        str(directory),
    ]
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={"PATH": search_path(), "LC_ALL": "C.UTF-8"},
    ) as process:
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=60)
            process.kill()


def _write_identity(root: Path, name: str, address: str) -> None:
    """Write what makes this node differ from the others."""
    (root / "etc/hostname").write_text(f"{name}\n", encoding="ascii")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{address} {name}\n", encoding="ascii")
    (root / "etc/machine-id").write_text(f"{os.urandom(16).hex()}\n", encoding="ascii")
    (root / "etc/ssh/sshd_config.d/address.conf").write_text(f"ListenAddress {address}\n", encoding="ascii")
    _write_host_key(root, new_key_pair(name))


def _write_host_key(root: Path, key: KeyPair) -> None:
    private = root / "etc/ssh/ssh_host_ed25519_key"
    private.touch(mode=0o600)
    private.write_text(key.private, encoding="ascii")
    (root / "etc/ssh/ssh_host_ed25519_key.pub").write_text(key.public, encoding="ascii")


def _greets(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=1) as connection:
        connection.settimeout(5)
        return connection.recv(4) == b"SSH-"
    return False
