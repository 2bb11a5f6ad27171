"""The full plan of a large fleet: in a process that has just started, and in one that has planned before."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.figure import Figure
from benchmarks.fleet_model import AT, Written

COLD_BUDGET = 5.0
WARM_BUDGET = 0.5
PEAK_BUDGET = 1024.0


def plan_figures(folder: Path, fleet: Written, *, runs: int) -> Iterator[Figure]:
    """Plan from committed facts; git included, the clone of an earlier run is there."""
    folder.mkdir()
    shape = fleet.model.shape
    size = f"{shape.nodes} nodes x {shape.packages} packages x {shape.associations} associations"
    spread = "each on every node" if shape.everywhere else "one in five on every node, the others on a tenth"
    label = f"{size}, {spread}"
    name = "plan" if shape.everywhere else "plan-by-role"
    state_dir = folder / "state"
    first, _ = _cold(fleet, state_dir)
    runs_made = [_cold(fleet, state_dir) for _ in range(runs)]
    _check(fleet, [told for _, told in runs_made])
    yield Figure(
        name=f"{name}-cold",
        what=f"full plan, {label}, cold process, git included",
        values=tuple(took for took, _ in runs_made),
        unit="s",
        budget=COLD_BUDGET,
        note=f"{told_words([told for _, told in runs_made])}; {first:.3g} s with the first clone",
    )
    warm, again = _warm(fleet, state_dir, runs)
    yield Figure(
        name=f"{name}-warm",
        what=f"full plan again in a warm process after a one-file change, {label}",
        values=tuple(float(str(told["seconds"])) for told in warm),
        unit="s",
        budget=WARM_BUDGET,
        note=told_words(warm),
    )
    yield Figure(
        name=f"{name}-peak",
        what=f"peak memory of that process, {label}",
        values=(float(str(again["peak_mib"])),),
        unit="MiB",
        budget=PEAK_BUDGET,
        note=f"{float(str(runs_made[0][1]['peak_mib'])):.0f} MiB after the first plan",
    )


def told_words(told: Sequence[Mapping[str, object]]) -> str:
    """Say what was planned, and how much CPU our own process took: what a busy machine does not change."""
    used = median(float(str(one["cpu"])) for one in told)
    return f"{used:.3g} s CPU of our process, {told[0]['items']} items"


@contextmanager
def _child(fleet: Written, state_dir: Path) -> Iterator[tuple[subprocess.Popen[str], float]]:
    command = [sys.executable, "-m", "benchmarks.plan_child", str(fleet.folder), str(state_dir), AT.isoformat()]
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    ) as child:
        yield child, began
        child.communicate()
        assert child.returncode == 0, "the planning process failed"


def _line(child: subprocess.Popen[str]) -> Mapping[str, object]:
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line, "the planning process ended early"
    told: Mapping[str, object] = json.loads(line)
    return told


def _cold(fleet: Written, state_dir: Path) -> tuple[float, Mapping[str, object]]:
    with _child(fleet, state_dir) as (child, began):
        told = _line(child)
        return time.perf_counter() - began, told


def _warm(fleet: Written, state_dir: Path, runs: int) -> tuple[tuple[Mapping[str, object], ...], Mapping[str, object]]:
    """Commit a change to one file before each plan; give the plans, and what the process told last."""
    with _child(fleet, state_dir) as (child, _):
        told = _line(child)
        plans = []
        for number in range(runs):
            commit = _change_one_file(fleet, number)
            assert child.stdin is not None
            child.stdin.write("again\n")
            child.stdin.flush()
            before, told = told, _line(child)
            assert told["commit"] == commit, "the plan is not of the commit just made"
            assert told["digest"] != before["digest"]
            plans.append(told)
        return tuple(plans), told


def _change_one_file(fleet: Written, number: int) -> str:
    name = "state/associations/task-00.yaml"
    severity = "HIGH" if number % 2 == 0 else "LOW"
    (fleet.folder / name).write_text(fleet.model.association_yaml(0, severity=severity), encoding="utf-8")
    git = ["git", "-C", str(fleet.folder), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    subprocess.run([*git, "commit", "--quiet", "--message", f"Change {number}", "--", name], check=True)
    done = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _check(fleet: Written, told: list[Mapping[str, object]]) -> None:
    """Every cold process arrives at the same plan, and it is about the nodes that have drifted."""
    drifted = sum(1 for number in range(len(fleet.model.ids)) if number % 100 == 7)
    assert len({str(one["digest"]) for one in told}) == 1, "the same inputs made different plans"
    for one in told:
        assert int(str(one["items"])) + int(str(one["left_out"])) >= drifted, f"{drifted} nodes drifted: {one}"
