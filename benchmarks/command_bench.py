"""A one-step document on real sshd nodes whose connections are open, beside pyinfra's `server.shell` and Ansible's `shell`."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure
from benchmarks.nodes_bench import ROOT, Ours, real_nodes
from benchmarks.other_tools import OtherTools, PyinfraShell, install_tools

PYINFRA_BUDGET = 3.0
ANSIBLE_BUDGET = 10.0


def command_figures(folder: Path, count: int, *, runs: int, tools: Sequence[str]) -> Iterator[Figure]:
    """Measure ours and the other tools over the same nodes. `tools` names those to compare with."""
    folder.mkdir()
    if tools:
        install_tools()
    with real_nodes(folder, count, with_python="ansible" in tools) as fleet:
        told = _commands(Ours(fleet, folder / "ours"), runs)
        seconds = tuple(float(str(each["seconds"])) for each in told)
        on_nodes = median(float(str(each["nodes_seconds"])) for each in told)
        yield Figure(
            name="command-warm",
            what=f"one-step document on {count} warm sshd nodes, recorded before and after, until its result is told",
            values=seconds,
            unit="s",
            note=f"{on_nodes:.3g} s of it from the first start to the last end",
        )
        yield Figure(
            name="command-tidying",
            what="what the nodes take behind it to forget it, with nobody waiting",
            values=tuple(float(str(each["tidying"])) for each in told),
            unit="s",
        )
        cpu = tuple(float(str(each["cpu"])) / count * 1000 for each in told)
        git = median(float(str(each["git_cpu"])) / count * 1000 for each in told)
        yield Figure(
            name="command-cpu",
            what="controller CPU a node of such a document, forgetting it included",
            values=cpu,
            unit="ms",
            note=f"the git it starts uses {git:.3g} ms a node more",
        )
        other = OtherTools(fleet, folder / "tools") if tools else None
        if other is not None and "pyinfra" in tools:
            yield from _against_pyinfra(count, median(seconds), other.pyinfra_shell(runs))
        if other is not None and "ansible" in tools:
            shell = tuple(other.ansible_shell() for _ in range(max(1, runs // 2)))
            words = f"Ansible's shell on the same {count} nodes, connections open, start-up apart"
            yield _other("ansible-shell", words, shell)
            yield _ratio("command-ansible", "Ansible's time over ours", shell, median(seconds), ANSIBLE_BUDGET)
            other.close_connections()


def _against_pyinfra(count: int, ours: float, shells: Sequence[PyinfraShell]) -> Iterator[Figure]:
    """Compare in both readings of "start-up apart": with its connecting, as in the no-change pass, and without."""
    each = tuple(shell.cpu / count * 1000 for shell in shells)
    yield Figure(name="pyinfra-shell-cpu", what="pyinfra's own CPU a node of server.shell", values=each, unit="ms")
    words = f"pyinfra's server.shell on the same {count} nodes"
    kept = tuple(shell.work for shell in shells)
    whole = tuple(shell.connect + shell.work for shell in shells)
    yield _other("pyinfra-shell", f"{words}, its connections open beforehand", kept)
    yield _other("pyinfra-shell-connecting", f"{words}, connecting to them as each of its runs does", whole)
    yield _ratio("command-pyinfra", "pyinfra's time with its connecting over ours", whole, ours, PYINFRA_BUDGET)
    yield _ratio("command-pyinfra-open", "pyinfra's time without its connecting over ours", kept, ours, PYINFRA_BUDGET)


def _commands(ours: Ours, runs: int) -> tuple[Mapping[str, object], ...]:
    command = [sys.executable, "-m", "benchmarks.command_child"]
    with subprocess.Popen(
        [*command, str(ours.repository), str(ours.state_dir), str(ours.keys)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as child:
        said, _ = child.communicate("again\n" * (runs + 1))
    assert child.returncode == 0, "the process that sends commands failed"
    told: list[Mapping[str, object]] = [json.loads(line) for line in said.splitlines()]
    for each in told:
        assert each["status"] == "Success", each
        assert each["nodes"] == ours.count, each
        assert not each["problems"], each
    assert len(told) == runs + 1
    return tuple(told[1:])  # the first one opens what stays open


def _other(name: str, what: str, seconds: tuple[float, ...]) -> Figure:
    return Figure(name=name, what=what, values=seconds, unit="s", note="asserted: well on every node")


def _ratio(name: str, what: str, seconds: tuple[float, ...], ours: float, budget: float) -> Figure:
    values = tuple(value / ours for value in seconds)
    return Figure(name=name, what=what, values=values, unit="times", budget=budget, at_least=True)
