"""Executions as the compliance branch and this host's kept outputs tell them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.daemon.controller import Controller
from reconciler.errors import UsageError
from reconciler.ids import AssociationName, NodeId, RunId
from reconciler.inventory.observed import Facts
from reconciler.model.history import Applied
from reconciler.model.known import Known
from reconciler.model.node import Become
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The last execution of one association on one node."""

    node: NodeId
    association: AssociationName
    applied: Applied


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptStep:
    """A step whose output is kept here."""

    name: str
    kept: str
    """Sizes in words."""


def executions(controller: Controller, limit: tuple[str, ...] = ()) -> tuple[Execution, ...]:
    """Give what was executed, newest first."""
    wanted = controller.limited(limit)
    found = [
        Execution(node=node, association=association, applied=applied)
        for node, report in controller.branches.committed().reports.items()
        if node in wanted
        for association, applied in report.history.applied.items()
        if applied.run is not None
    ]
    return tuple(
        sorted(found, key=lambda e: (e.applied.started is None, e.applied.started, e.node), reverse=True),
    )


def find_execution(controller: Controller, run: str) -> Execution:
    """Give the one execution whose run id starts with `run`. Raises UsageError for none or several."""
    found = [execution for execution in executions(controller) if str(execution.applied.run).startswith(run)]
    if not found:
        raise UsageError(f"no run {run!r} is known here; `reconciler runs list` lists the last one of each association")
    if len(found) > 1:
        raise UsageError(f"{run!r} means {len(found)} runs; give more of the id")
    return found[0]


def _files(controller: Controller, execution: Execution) -> list[Path]:
    folder = controller.outputs / str(execution.applied.run)
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []


def steps_kept(controller: Controller, execution: Execution) -> tuple[KeptStep, ...]:
    """Give the kept outputs of a run, by step."""
    root = controller.outputs / str(execution.applied.run)
    return tuple(
        KeptStep(name=path.relative_to(root).as_posix(), kept=f"{path.stat().st_size} bytes")
        for path in _files(controller, execution)
    )


def output_kept(controller: Controller, execution: Execution) -> tuple[tuple[str, bytes], ...]:
    """Give (title, bytes) of every kept output of a run."""
    root = controller.outputs / str(execution.applied.run)
    return tuple((path.relative_to(root).as_posix(), path.read_bytes()) for path in _files(controller, execution))


def cancel_run(controller: Controller, run: str) -> Iterator[str]:
    """End a run that goes on, wherever it is: asks the nodes which have it. Gives what became of it, in words.

    Raises UsageError where no node has such a run, or several are meant; NodeError where its node cannot be asked.
    """
    base, _ = controller.branches.in_force()
    collected = controller.collect(())
    found = [
        (node, RunId(name))
        for node, seen in sorted(collected.items())
        for name in _runs_of(seen.facts)
        if name.startswith(run)
    ]
    away = sorted(node for node, seen in collected.items() if seen.facts.unreachable is not None)
    if len(found) != 1:
        silent = f"; {', '.join(away)} did not answer" if away else ""
        met = f"{len(found)} runs on the nodes are called {run!r}" if found else f"no node has a run {run!r} going on"
        raise UsageError(f"{met}{silent}")
    ((node, which),) = found
    described = base.desired.nodes[node]
    runs = NodeRuns(OutputKeeper(controller.outputs))
    with controller.connections.pool(base.desired).connect(described) as session:
        sight = runs.cancel(session, which, become=described.become is Become.SUDO)
    yield f"{node}: run {which[:12]}: {sight.status or sight.standing.value}"
    yield "nothing it did is undone; the next pass settles it"


def _runs_of(facts: Facts) -> tuple[str, ...]:
    match facts.section("runs"):
        case Known(rows):
            return tuple(rows)
        case _:
            return ()
