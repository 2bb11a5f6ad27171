"""A pass with nothing to do over real sshd nodes, beside pyinfra and Ansible on the same nodes in the same run."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure
from benchmarks.other_tools import PACKAGES, Ansible, OtherTools, Pyinfra, install_tools
from benchmarks.python_root import ensure_python_root
from reconciler.source.begin import begin_repository
from reconciler.source.records import Person
from tests.support.nodes import Fleet, NodeSpec, start_fleet

ROOT = Path(__file__).parent.parent
PYINFRA_BUDGET = 10.0
ANSIBLE_BUDGET = 100.0
CPU_BUDGET = 2.0
_SETTLING = 2
"""Passes that are not measured: after the first, which adopts every association, they open what stays open."""
_PATIENCE = 4
"""The nodes share this machine's loopback: another program that begins to listen is a changed fact on all of them, and a
commit. Such a pass is not one without change, and another one is made in its stead."""
_BATCH = 25
"""Nodes started at a time: a hundred at once do not come up within their deadline on 2 cores."""


@contextmanager
def real_nodes(folder: Path, count: int, *, with_python: bool = True) -> Iterator[Fleet]:
    """Start nodes; with Python where Ansible is to look at them."""
    with start_fleet(folder, count=0) as fleet:
        if with_python:
            fleet._root = ensure_python_root()  # noqa: SLF001 - the same nodes, over another root
        for start in range(0, count, _BATCH):
            names = range(start, min(count, start + _BATCH))
            fleet.add(tuple(NodeSpec(name=f"node-{number:03}") for number in names))
        yield fleet


class Ours:
    """A state repository for these nodes, whose one association holds on all of them."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        folder.mkdir()
        self.count = len(fleet.nodes)
        self.repository, self.state_dir, self.keys = folder / "fleet", folder / "state", folder / "keys"
        self.keys.mkdir(mode=0o700)
        shutil.copyfile(fleet.identity_file, self.keys / "fleet")
        (self.keys / "fleet").chmod(0o600)
        self.settings = folder / "host.yaml"
        self.settings.write_text(f"KeyDirectory: {self.keys}\n", encoding="utf-8")
        nodes = "---\n".join(
            f"Id: {node.name}\nAddress: {node.address}\nPort: {node.port}\nTags: {{Role: bench}}\n"
            for node in fleet.nodes
        )
        packages = ", ".join(f"{{Name: {name}}}" for name in PACKAGES)
        association = (
            "AssociationName: packages\nName: AWS-RunShellScript\n"
            "Targets: [{Key: 'tag:Role', Values: [bench]}]\n"
            "Parameters: {commands: ['exit 1']}\n"
            f"Expect:\n  Packages: [{packages}]\n"
        )
        begin_repository(
            self.repository,
            {
                "state/fleet.yaml": b"Fleet: bench\nSsh: {User: ops, IdentityFile: fleet}\n",
                "state/nodes/all.yaml": nodes.encode(),
                "state/associations/packages.yaml": association.encode(),
                "state/known_hosts": fleet.known_hosts.encode(),
            },
            message="Describe the fleet\n",
            person=Person(email="reconciler@bench"),
            when=datetime.now(UTC),
        )

    def warm_passes(self, runs: int) -> tuple[tuple[Mapping[str, object], ...], Mapping[str, object]]:
        """Give passes of a process whose connections are open, and the first pass of that process."""
        command = [sys.executable, "-m", "benchmarks.pass_child"]
        with subprocess.Popen(
            [*command, str(self.repository), str(self.state_dir), str(self.keys)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as child:
            first = self._checked(child)
            quiet: list[Mapping[str, object]] = []
            for number in range(_SETTLING + _PATIENCE * runs):
                assert child.stdin is not None
                child.stdin.write("again\n")
                child.stdin.flush()
                told = self._checked(child)
                if number >= _SETTLING and told["committed"] is None:
                    quiet.append(told)
                if len(quiet) == runs:
                    break
            child.communicate()
            assert child.returncode == 0, "the process that makes passes failed"
        assert len(quiet) == runs, "passes with nothing to do go on committing"
        return tuple(quiet), first

    def _checked(self, child: subprocess.Popen[str]) -> Mapping[str, object]:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line, "the process that makes passes ended early"
        told: Mapping[str, object] = json.loads(line)
        assert told["in_sync"], f"not every node is in sync: {told}"
        assert told["nodes"] == self.count, told
        assert told["ran"] == 0, told
        assert not told["problems"], told
        return told

    def once(self) -> float:
        """Time the command: from a cold process, with the clone and the branch of the pass before."""
        command = [str(Path(sys.executable).with_name("reconciler")), "once", str(self.repository)]
        options = ["--state-dir", str(self.state_dir), "--host-settings", str(self.settings), "--format", "json"]
        began = time.perf_counter()
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, env=_environment())
        took = time.perf_counter() - began
        assert done.returncode == 0, f"once ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return took


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RECONCILER")}


def node_figures(folder: Path, count: int, *, runs: int, tools: Sequence[str]) -> Iterator[Figure]:
    """Measure ours and the other tools over the same nodes. `tools` names those to compare with."""
    folder.mkdir()
    if tools:
        install_tools()
    with real_nodes(folder, count, with_python="ansible" in tools) as fleet:
        ours = Ours(fleet, folder / "ours")
        passes, first = ours.warm_passes(runs)
        seconds = tuple(float(str(told["seconds"])) for told in passes)
        yield Figure(
            name="pass-warm",
            what=f"no-change pass over {count} sshd nodes, warm",
            values=seconds,
            unit="s",
            note=f"{float(str(first['seconds'])):.3g} s for the first pass ever, which commits",
        )
        yield _cpu_figure(passes, count)
        other = OtherTools(fleet, folder / "tools") if tools else None
        if other is not None and "pyinfra" in tools:
            turns = [
                (ours.once(), other.pyinfra()) for _ in range(runs)
            ]  # in turns: the machine is not the same for long
            once = tuple(took for took, _ in turns)
            yield from _against_pyinfra(count, median(seconds), once, [run for _, run in turns])
        else:
            once = tuple(ours.once() for _ in range(runs))
            yield Figure(name="once", what=f"reconciler once over {count} nodes, cold", values=once, unit="s")
        if other is not None and "ansible" in tools:
            yield from _against_ansible(count, median(seconds), other.ansible())
            other.close_connections()


def _cpu_figure(passes: Sequence[Mapping[str, object]], count: int) -> Figure:
    own = tuple(float(str(told["cpu"])) * 1000 / count for told in passes)
    git = median(float(str(told["git_cpu"])) * 1000 / count for told in passes)
    return Figure(
        name="pass-cpu",
        what=f"controller CPU a node of a warm no-change pass over {count} nodes",
        values=own,
        unit="ms",
        budget=CPU_BUDGET,
        note=f"the git it starts uses {git:.3g} ms a node more",
    )


def _against_pyinfra(count: int, warm: float, once: tuple[float, ...], runs: Sequence[Pyinfra]) -> Iterator[Figure]:
    inside = tuple(run.connect + run.work for run in runs)
    yield Figure(
        name="pyinfra",
        what=f"pyinfra's no-change apt.packages over the same {count} nodes, start-up apart",
        values=inside,
        unit="s",
        note=f"{median(run.connect for run in runs):.3g} s of it connecting; asserted: no change on every node",
    )
    yield Figure(
        name="pass-pyinfra",
        what="pyinfra's time over our warm pass",
        values=tuple(value / warm for value in inside),
        unit="times",
        budget=PYINFRA_BUDGET,
        at_least=True,
        note=f"{median(run.work for run in runs) / warm:.3g} times with its connecting left out",
    )
    whole = tuple(run.whole for run in runs)
    yield Figure(
        name="once",
        what=f"reconciler once over {count} nodes, nothing to do, cold process",
        values=once,
        unit="s",
        budget=median(whole),
        note=f"the budget is pyinfra's whole run, {min(whole):.3g} to {max(whole):.3g} s",
    )


def _against_ansible(count: int, warm: float, run: Ansible) -> Iterator[Figure]:
    inside = run.whole - run.startup
    yield Figure(
        name="ansible",
        what=f"Ansible's package_facts over the same {count} nodes, connections open, start-up apart",
        values=(inside,),
        unit="s",
        note=f"start-up {run.startup:.3g} s; asserted: ok and unchanged on every node",
    )
    yield Figure(
        name="pass-ansible",
        what="Ansible's time over our warm pass",
        values=(inside / warm,),
        unit="times",
        budget=ANSIBLE_BUDGET,
        at_least=True,
    )
