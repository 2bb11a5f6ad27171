"""`python -m benchmarks [--nodes 100] [--only plan,commit,help,known-hosts,scan,nodes,command] [--format json]`: prints the figures with their budgets.

Exit status 1 where a budget is missed.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.fleet_model import Shape

PARTS = ("help", "known-hosts", "scan", "nodes", "command", "plan", "plan-by-role", "commit")


def main() -> int:
    """Measure, print, judge."""
    arguments = _arguments()
    figures: list[Figure] = []
    as_json = arguments.format == "json"
    if not as_json:
        sys.stdout.write(f"{os.cpu_count()} cores\n")
    for figure in _figures(arguments):
        figures.append(figure)
        sys.stderr.write(f"{figure.line()}\n") if as_json else sys.stdout.write(f"{figure.line()}\n")
        sys.stdout.flush()
    if as_json:
        value = {"version": 1, "cores": os.cpu_count(), "figures": [figure.as_json() for figure in figures]}
        sys.stdout.write(json.dumps(value, indent=1) + "\n")
    return 0 if all(figure.met is not False for figure in figures) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The figures of docs/benchmarks.md.")
    parser.add_argument("--nodes", type=int, default=100, help="real sshd nodes")
    parser.add_argument("--fleet", type=int, default=10_000, help="nodes of the made-up fleet")
    parser.add_argument("--packages", type=int, default=500, help="packages a node of it")
    parser.add_argument("--associations", type=int, default=50, help="associations of it")
    parser.add_argument("--runs", type=int, default=5, help="how often what is cheap is measured")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--tools", default="pyinfra,ansible", help="tools to compare with; none: ''")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    arguments = parser.parse_args()
    unknown = set(arguments.only.split(",")) - set(PARTS)
    if unknown:
        parser.error(f"--only: no part is named {', '.join(sorted(unknown))}")
    return arguments


def _figures(arguments: argparse.Namespace) -> Iterator[Figure]:
    parts = arguments.only.split(",")
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as temporary:
        folder = Path(temporary)
        if "help" in parts:
            from benchmarks.help_bench import help_figure  # noqa: PLC0415 - each part loads what it needs

            yield help_figure(runs=2 * arguments.runs)
        if "known-hosts" in parts:
            from benchmarks.known_hosts_bench import known_hosts_figure  # noqa: PLC0415

            yield known_hosts_figure(runs=2 * arguments.runs)
        if "scan" in parts:
            from benchmarks.scan_bench import scan_figures  # noqa: PLC0415 - needs root

            yield from scan_figures(folder / "scan", runs=arguments.runs)
        if "nodes" in parts:
            from benchmarks.nodes_bench import node_figures  # noqa: PLC0415 - needs root

            tools = tuple(filter(None, arguments.tools.split(",")))
            yield from node_figures(folder / "nodes", arguments.nodes, runs=arguments.runs, tools=tools)
        if "command" in parts:
            from benchmarks.command_bench import command_figures  # noqa: PLC0415 - needs root

            tools = tuple(filter(None, arguments.tools.split(",")))
            yield from command_figures(folder / "command", arguments.nodes, runs=arguments.runs, tools=tools)
        yield from _fleet_figures(folder, parts, arguments)


def _fleet_figures(folder: Path, parts: list[str], arguments: argparse.Namespace) -> Iterator[Figure]:
    from benchmarks.commit_bench import commit_figure  # noqa: PLC0415
    from benchmarks.fleet_model import write_fleet  # noqa: PLC0415
    from benchmarks.plan_bench import plan_figures  # noqa: PLC0415

    for everywhere, wanted in ((False, {"plan-by-role", "commit"}), (True, {"plan"})):
        if not wanted & set(parts):
            continue
        shape = Shape(
            nodes=arguments.fleet,
            packages=arguments.packages,
            associations=arguments.associations,
            profiles=min(200, arguments.fleet),
            everywhere=everywhere,
        )
        name = "everywhere" if everywhere else "by-role"
        fleet = write_fleet(folder / name, shape)
        if "commit" in wanted & set(parts):
            yield commit_figure(folder / f"{name}-commit", fleet, runs=arguments.runs)
        if {"plan", "plan-by-role"} & wanted & set(parts):
            yield from plan_figures(folder / f"{name}-plan", fleet, runs=max(1, min(arguments.runs, 3)))


if __name__ == "__main__":
    sys.exit(main())
