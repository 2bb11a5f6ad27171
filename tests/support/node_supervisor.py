"""The process outside a fleet's nodes: mounts their roots, starts them, and starts them again when they reboot.

Run in a mount namespace of its own (`unshare --mount python node_supervisor.py DIRECTORY`). Takes one JSON request a line
on standard input and answers each with one line; when its input ends, it ends every node and itself, and all mounts
go with the namespace. Knows nothing of ssh, users or keys, and uses the standard library only.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BOOT = Path(__file__).parent / "on_node" / "boot.sh"
REBOOT_STATUSES = frozenset({10, -signal.SIGHUP, 128 + signal.SIGHUP})
"""init's own word for it, and how a PID namespace ends when somebody in it calls reboot(2) for a restart."""
_CGROUP = "reconciler-nodes-"
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}

Request = Mapping[str, object]


@dataclass(slots=True, kw_only=True)
class Machine:
    """One node as its supervisor sees it; `process` None means turned off."""

    name: str
    home: Path
    init: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    boots: int = 0
    pause: float = 0.0
    """Seconds between going down and coming up again, for reboots that the node asks for itself."""
    due: float | None = None
    """When it comes up again, on the monotonic clock."""


class Supervisor:
    """All nodes of one fleet."""

    def __init__(self, directory: Path) -> None:
        self.world = directory / "world"
        self.machines: dict[str, Machine] = {}
        self.world.mkdir(exist_ok=True)
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", str(self.world))
        self.cgroup = self._own_cgroup()

    def _own_cgroup(self) -> Path | None:
        """Make a cgroup for the nodes to be in; None where the machine has no cgroup2 for us to write to."""
        mounted = self.world / "cgroup"
        mounted.mkdir()
        try:
            _mount("-t", "cgroup2", "cgroup2", str(mounted))
            for left in mounted.glob(f"{_CGROUP}*"):  # by a supervisor that was killed
                if not Path("/proc", left.name.removeprefix(_CGROUP)).exists():
                    _remove_cgroup(left)
            cgroup = mounted / f"{_CGROUP}{os.getpid()}"
            cgroup.mkdir()
        except (OSError, RuntimeError):
            return None
        return cgroup

    def add(self, request: Request) -> dict[str, object]:
        """Lay out a node's root: the lower directories, and a writable layer of its own above them."""
        name = str(request["name"])
        lower, init = _strings(request["lower"]), _strings(request["init"])
        home = self.world / name
        home.mkdir()
        machine = Machine(name=name, home=home, init=init)
        disk = home / "disk"
        disk.mkdir()
        if request.get("disk_mb") is not None:
            _mount("-t", "tmpfs", "-o", f"mode=755,size={request['disk_mb']}m", "tmpfs", str(disk))
        for part in (disk / "upper", disk / "work", home / "root"):
            part.mkdir()
            part.chmod(0o755)
        layers = f"lowerdir={':'.join(lower)},upperdir={disk}/upper,workdir={disk}/work"
        _mount("-t", "overlay", "-o", layers, "overlay", str(home / "root"))
        self.machines[name] = machine
        return {"root": str(home / "root")}

    def start(self, request: Request) -> dict[str, object]:
        """Turn nodes on; gives back before they answer."""
        for machine in self._named(request):
            if machine.process is None:
                self._boot(machine)
        return {}

    def stop(self, request: Request) -> dict[str, object]:
        """Turn nodes off as a power cut does; gives back when nothing of them is left."""
        self._end(self._named(request))
        return {}

    def state(self, request: Request) -> dict[str, object]:
        """Tell a node's init (None: turned off), how often it has been started, and whether it is or comes up."""
        (machine,) = self._named(request)
        on = machine.process is not None or machine.due is not None
        return {"init": self._init(machine), "boots": machine.boots, "on": on}

    def pause(self, request: Request) -> dict[str, object]:
        """Set how long a node stays off when it reboots."""
        for machine in self._named(request):
            machine.pause = float(str(request["seconds"]))
        return {}

    def _named(self, request: Request) -> tuple[Machine, ...]:
        return tuple(self.machines[name] for name in _strings(request["names"]))

    def _boot(self, machine: Machine) -> None:
        machine.boots += 1
        machine.due = None
        (machine.home / "boot_id").write_text(f"{uuid.uuid4()}\n", encoding="ascii")
        (machine.home / "init.pid").write_text("", encoding="ascii")
        machine_uptime = int(time.clock_gettime(time.CLOCK_BOOTTIME))
        machine_monotonic = int(time.clock_gettime(time.CLOCK_MONOTONIC))
        console = os.open(machine.home / "console", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        namespaces = ("--pid", "--mount", "--uts", "--ipc", "--cgroup", "--time", "--fork", "--kill-child")
        clocks = (f"--boottime=-{machine_uptime}", f"--monotonic=-{machine_monotonic}")
        argv = ("unshare", *namespaces, *clocks, "sh", str(BOOT), str(machine.home), machine.name, *machine.init)
        guarded = ("setpriv", "--pdeathsig", "KILL", *argv)
        if self.cgroup is not None:
            cgroup = self.cgroup / machine.name
            cgroup.mkdir(exist_ok=True)
            joined = f'echo $$ >"{cgroup}/cgroup.procs" && exec "$@"'
            guarded = ("sh", "-c", joined, "sh", *guarded)
        machine.process = subprocess.Popen(
            guarded,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
            env=_ENVIRONMENT,
        )
        os.close(console)

    def _init(self, machine: Machine) -> int | None:
        if machine.process is None:
            return None
        text = (machine.home / "init.pid").read_text(encoding="ascii").strip()
        return int(text) if text else None

    def _end(self, machines: tuple[Machine, ...]) -> None:
        """Kill each init: its PID namespace ends with it, and `unshare` returns when the last process is reaped."""
        running = [(machine, machine.process) for machine in machines if machine.process is not None]
        for machine, process in running:
            init = self._init(machine)
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid if init is None else init, signal.SIGKILL)
        for machine in machines:
            machine.due = None
        for machine, process in running:
            process.wait()
            machine.process = None

    def reap(self) -> None:
        """Note the nodes that turned themselves off, and those to be started again."""
        for machine in self.machines.values():
            if machine.process is None or machine.process.poll() is None:
                continue
            status = machine.process.returncode
            machine.process = None
            if status in REBOOT_STATUSES:
                machine.due = time.monotonic() + machine.pause

    def boot_due(self) -> float | None:
        """Start the nodes whose time has come; give the seconds until the next one's, or None."""
        for machine in self.machines.values():
            if machine.due is not None and machine.due <= time.monotonic():
                self._boot(machine)
        waiting = [machine.due for machine in self.machines.values() if machine.due is not None]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def close(self) -> None:
        """End every node and remove the cgroups; the mounts end with this process' namespace."""
        self._end(tuple(self.machines.values()))
        if self.cgroup is not None:
            _remove_cgroup(self.cgroup)


def _remove_cgroup(cgroup: Path) -> None:
    for directory, _, _ in os.walk(cgroup, topdown=False):
        with suppress(OSError):
            Path(directory).rmdir()


def _strings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r}")
    return tuple(str(item) for item in value)


def _mount(*arguments: str) -> None:
    done = subprocess.run(("mount", *arguments), capture_output=True, text=True, check=False, env=_ENVIRONMENT)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())


def _answer(supervisor: Supervisor, line: bytes) -> dict[str, object]:
    request = json.loads(line)
    handlers = {
        "add": supervisor.add,
        "start": supervisor.start,
        "stop": supervisor.stop,
        "state": supervisor.state,
        "pause": supervisor.pause,
    }
    try:
        return handlers[request["do"]](request)
    except (OSError, RuntimeError, LookupError, ValueError) as exc:
        return {"error": f"{type(exc).__name__}: {exc}"}


def serve(supervisor: Supervisor) -> None:
    """Answer requests and restart nodes until standard input ends."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
    received = b""
    while True:
        ready, _, _ = select.select((0, woken), (), (), supervisor.boot_due())
        if woken in ready:
            os.read(woken, 4096)
            supervisor.reap()
        if 0 not in ready:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        *lines, received = (received + chunk).split(b"\n")
        for line in lines:
            os.write(1, json.dumps(_answer(supervisor, line)).encode() + b"\n")


def main() -> None:
    """Serve one fleet."""
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    supervisor = Supervisor(Path(sys.argv[1]))
    try:
        serve(supervisor)
    finally:
        supervisor.close()


if __name__ == "__main__":
    main()
