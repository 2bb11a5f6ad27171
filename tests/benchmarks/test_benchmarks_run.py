"""The benchmarks at toy size: they run, and what they assert about the program and the other tools holds. No times."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.figure import Figure
from benchmarks.fleet_model import FleetModel, Shape
from reconciler.ids import NodeId
from reconciler.model.known import Known
from tests.support.node_root import why_not

ROOT = Path(__file__).parents[2]
SMALL = ("--fleet", "120", "--packages", "40", "--associations", "10", "--runs", "1")


def run(*arguments: str) -> dict[str, Any]:
    """Run the command; a missed budget is exit status 1 and no failure here, an assertion that does not hold is."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--format", "json", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return {figure["name"]: figure for figure in told["figures"]}


def test_plans_and_report_commits_of_a_small_fleet_are_measured() -> None:
    figures = run("--only", "plan,plan-by-role,commit,help,known-hosts", *SMALL)
    assert set(figures) == {
        "help",
        "known-hosts",
        "commit",
        *(f"{plan}-{what}" for plan in ("plan", "plan-by-role") for what in ("cold", "warm", "peak")),
    }
    assert all(figure["median"] > 0 for figure in figures.values())


@pytest.mark.nodes
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_passes_over_real_nodes_are_measured() -> None:
    figures = run("--only", "nodes", "--nodes", "2", "--tools", "", "--runs", "1")
    assert set(figures) == {"pass-warm", "pass-cpu", "once"}


@pytest.mark.nodes
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_commands_on_real_nodes_are_measured() -> None:
    figures = run("--only", "command", "--nodes", "2", "--tools", "", "--runs", "1")
    assert set(figures) == {"command-warm", "command-tidying", "command-cpu"}


@pytest.mark.nodes
@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_a_scan_for_patches_is_measured_and_says_no_more_than_it_may() -> None:
    figures = run("--only", "scan", "--runs", "1")
    assert set(figures) == {"scan-cpu", "scan-answer", "scan-unchanged", "scan-unchanged-cpu"}
    assert figures["scan-answer"]["met"]  # bytes, which are the same on every machine
    assert figures["scan-unchanged"]["met"]


def test_an_unknown_part_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "nothing"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "nothing" in done.stderr


def test_a_hundredth_of_a_nodes_packages_is_its_own() -> None:
    model = FleetModel(Shape(nodes=400, packages=300, associations=10, profiles=200))
    first, alike = (_packages(model, number) for number in (0, 200))
    own = {name for name in first if first[name] != alike[name]}
    assert len(first) == 300
    assert 3 <= len(own) <= 6
    other = _packages(model, 1)
    assert set(first) != set(other)


def _packages(model: FleetModel, number: int) -> dict[str, object]:
    section = model.facts(NodeId(f"node-{number:05}")).section("packages")
    assert isinstance(section, Known)
    return dict(section.value)


@pytest.mark.parametrize(
    ("values", "at_least", "met"),
    [
        pytest.param((1.0, 2.0, 9.0), False, True, id="the median counts, below a ceiling"),
        pytest.param((2.1, 2.2, 2.3), False, False, id="above a ceiling"),
        pytest.param((2.1, 2.2, 2.3), True, True, id="above a floor"),
        pytest.param((1.0, 1.5, 9.0), True, False, id="below a floor"),
    ],
)
def test_a_figure_tells_whether_its_budget_holds(values: tuple[float, ...], at_least: bool, met: bool) -> None:  # noqa: FBT001
    figure = Figure(name="x", what="it", values=values, unit="s", budget=2.0, at_least=at_least)
    assert figure.met is met
    assert ("NOT MET" in figure.line()) is not met
