"""pyinfra and Ansible over the same nodes: installed apart, each measured with its start-up apart, each held to "no change".

Gives times in seconds. Raises AssertionError where a tool reports anything but "no change" on every node.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.nodes import Fleet

HERE = Path(__file__).parent
VENV = HERE.parent / ".venv-bench"
PACKAGES = ("bash", "coreutils", "dpkg", "openssh-server", "sudo")
"""What pyinfra is asked to find installed: a handful, as the check of a real deploy."""
FORKS = 10
"""Ansible's parallel workers: more made it slower on 2 cores, its default of 5 too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pyinfra:
    """One whole run of pyinfra's no-change `apt.packages`."""

    whole: float
    """The command, from the shell's point of view."""
    connect: float
    """Connecting to every node, in a process that has started already."""
    work: float
    """The operation over these connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ansible:
    """One run of `package_facts`; `startup` is the same command with nothing to do."""

    whole: float
    startup: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PyinfraShell:
    """One run of pyinfra's `server.shell`, in a process that has started already."""

    connect: float
    """It keeps no connections between its runs."""
    work: float
    """The operation over these connections."""
    cpu: float
    """Processor time of its process for the operation."""


def install_tools() -> None:
    """Make the virtual environment of the tools, once for each change of their versions."""
    wanted = (HERE / "requirements.txt").read_text(encoding="ascii")
    stamp = VENV / "installed"
    if stamp.exists() and stamp.read_text(encoding="ascii") == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(VENV / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--requirement", str(HERE / "requirements.txt")], check=True)
    stamp.write_text(wanted, encoding="ascii")


class OtherTools:
    """Both tools, set up for one fleet in a folder of their own."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.folder = folder
        self.names = tuple(node.name for node in fleet.nodes)
        folder.mkdir()
        known_hosts = folder / "known_hosts"
        known_hosts.write_text(fleet.known_hosts, encoding="ascii")
        shared = {
            "ssh_user": "ops",
            "ssh_key": str(fleet.identity_file),
            "ssh_known_hosts_file": str(known_hosts),
            "ssh_strict_host_key_checking": "yes",
            "ssh_look_for_keys": False,
            "ssh_allow_agent": False,
        }
        hosts = [(n.name, {"ssh_hostname": n.address, "ssh_port": n.port, **shared}) for n in fleet.nodes]
        (folder / "inventory.py").write_text(f"hosts = {hosts!r}\n", encoding="ascii")
        (folder / "packages.json").write_text(json.dumps(PACKAGES), encoding="ascii")
        arguments = f"-o UserKnownHostsFile={known_hosts} -o IdentitiesOnly=yes"
        rows = [
            f"{n.name} ansible_host={n.address} ansible_port={n.port} ansible_user=ops "
            f"ansible_ssh_private_key_file={fleet.identity_file} ansible_python_interpreter=/usr/bin/python3"
            for n in fleet.nodes
        ]
        (folder / "inventory.ini").write_text("\n".join(rows) + "\n", encoding="ascii")
        (folder / "ansible.cfg").write_text(
            f"[defaults]\nforks={FORKS}\nlocal_tmp={folder}/scratch\nhost_key_checking=True\n"
            f"[ssh_connection]\npipelining=True\nssh_common_args={arguments}\n"
            f"control_path_dir={folder}/cp\n",
            encoding="ascii",
        )

    def pyinfra(self) -> Pyinfra:
        """Run pyinfra twice: as a command, and as a script that takes the time of its parts."""
        command = [str(VENV / "bin/pyinfra"), "-y", "inventory.py", "apt.packages", json.dumps(PACKAGES)]
        whole, said = self._timed(command)
        expected = f"{len(self.names)}"
        unchanged = said.count("No changes")
        if unchanged < len(self.names):
            raise AssertionError(f"pyinfra said No changes {unchanged} times, not {expected}: {said[-2000:]}")
        _, told = self._timed([str(VENV / "bin/python"), str(HERE / "pyinfra_inside.py")])
        parts = json.loads(told.splitlines()[-1])
        if parts["unchanged"] != len(self.names):
            raise AssertionError(f"pyinfra reports {parts}")
        return Pyinfra(whole=whole, connect=parts["connect"], work=parts["work"])

    def ansible(self) -> Ansible:
        """Run `package_facts` on every node, over connections that an earlier command left open."""
        base = [str(VENV / "bin/ansible"), "all", "-i", "inventory.ini"]
        self._timed([*base, "-m", "ansible.builtin.raw", "-a", "true"])
        startup, _ = self._timed([*base, "--list-hosts"])
        whole, said = self._timed([*base, "-o", "-m", "ansible.builtin.package_facts"])
        ok = sum(1 for line in said.splitlines() if _is_ok(line))
        if ok != len(self.names):
            raise AssertionError(f"Ansible was ok on {ok} of {len(self.names)} nodes: {said[:2000]}")
        return Ansible(whole=whole, startup=startup)

    def pyinfra_shell(self, runs: int) -> tuple[PyinfraShell, ...]:
        """Run pyinfra's `server.shell` so often in one process, and connect before each."""
        _, told = self._timed([str(VENV / "bin/python"), str(HERE / "pyinfra_shell.py"), str(runs)])
        parts = json.loads(told.splitlines()[-1])
        if parts["well"] != len(self.names):
            raise AssertionError(f"pyinfra reports {parts}")
        each_run = zip(parts["connecting"], parts["seconds"], parts["cpu"], strict=True)
        return tuple(PyinfraShell(connect=connect, work=work, cpu=cpu) for connect, work, cpu in each_run)

    def ansible_shell(self) -> float:
        """Run Ansible's `shell` on every node, over connections that an earlier command left open; start-up apart."""
        base = [str(VENV / "bin/ansible"), "all", "-i", "inventory.ini"]
        self._timed([*base, "-m", "ansible.builtin.raw", "-a", "true"])
        startup, _ = self._timed([*base, "--list-hosts"])
        whole, said = self._timed([*base, "-o", "-m", "ansible.builtin.shell", "-a", "true"])
        well = sum(1 for line in said.splitlines() if "| CHANGED | rc=0" in line)
        if well != len(self.names):
            raise AssertionError(f"Ansible was well on {well} of {len(self.names)} nodes: {said[:2000]}")
        return whole - startup

    def close_connections(self) -> None:
        """End the connections Ansible leaves open, so that nobody measured later shares a node with them."""
        for socket in (self.folder / "cp").glob("*"):
            subprocess.run(
                ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "node"], capture_output=True, check=False
            )

    def _timed(self, command: Sequence[str]) -> tuple[float, str]:
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={
                "PATH": f"{VENV}/bin:/usr/local/bin:/usr/bin:/bin",
                "HOME": str(self.folder),
                "LC_ALL": "C.UTF-8",
                "ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        took = time.perf_counter() - began
        if done.returncode != 0:
            raise AssertionError(f"{command[0]} ended with {done.returncode}: {done.stdout[-3000:]}")
        return took, done.stdout


def _is_ok(line: str) -> bool:
    """Read one line of `ansible -o`: `node-01 | SUCCESS => {...}`."""
    head, arrow, body = line.partition(" => ")
    if not arrow or not head.endswith("| SUCCESS"):
        return False
    answer = json.loads(body)
    return answer.get("changed") is False and "dpkg" in answer["ansible_facts"]["packages"]
