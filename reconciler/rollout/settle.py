"""Leftovers first: what the run folders on the nodes tell, before anything is planned. Takes facts, gives RunRecords.

`leftovers` is pure; `settle` asks the nodes for the rest, and removes runs that were claimed and never began (nothing ran:
the drift, where it still stands, is planned anew); `acknowledge` writes markers and removes folders once a report is pushed.
It starts nothing and repeats nothing, but lets a run go on that asked for a reboot and has had it.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from reconciler.errors import AnswerGarbled, NodeError
from reconciler.ids import AssociationName, FleetId, NodeId, RunId
from reconciler.inventory.crew import Crew
from reconciler.inventory.observed import Facts
from reconciler.model.command import Connect, Session
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.model.known import Known
from reconciler.model.node import Become, Node
from reconciler.model.outcome import Outcome, RunRecord
from reconciler.plan.run_id import command_of
from reconciler.rollout.manifest import Manifest, is_of_another_fleet, read_manifest
from reconciler.rollout.node_programs import RESUMED_WITHIN, acknowledge_program, forget_program
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.record import record_of
from reconciler.rollout.sight import Sight, Standing
from reconciler.rollout.stragglers import Stragglers

NODE_PATIENCE = 60.0
"""Seconds after which no further leftover of a node is asked about in this pass: its others wait for the next one."""

WORKERS = 32
"""Nodes whose leftovers are asked about at once."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_RUN = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A run folder on a node that can be settled."""

    node: NodeId
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A run folder, or a node's runs, that nobody could make sense of or reach."""

    node: NodeId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What came of one node's leftovers; `records` holds runs that go on as well."""

    records: tuple[RunRecord, ...] = ()
    unsettled: tuple[Unsettled, ...] = ()
    discarded: tuple[RunId, ...] = ()
    """Claimed, and never begun: removed, nothing ran."""


class HasFacts(Protocol):
    """What `inventory.collect` gives for a node."""

    @property
    def facts(self) -> Facts:
        """The node's facts."""
        ...


def _now() -> datetime:
    return datetime.now(UTC)


def _nobody(_unsettled: Unsettled) -> None:
    """Tell nobody."""


def _by_nobody(_association: AssociationName) -> bool:
    """Nobody follows a run but us."""
    return False


def leftovers(facts: Facts, fleet: FleetId) -> tuple[tuple[Leftover, ...], tuple[Unsettled, ...]]:
    """Read section `runs` of one node; what another fleet started there is that fleet's to settle."""
    section = facts.section("runs")
    if not isinstance(section, Known):
        return (), ()
    good: list[Leftover] = []
    bad: list[Unsettled] = []
    for run, row in sorted(section.value.items()):
        told = row.get("manifest") if isinstance(row, Mapping) else None
        text = told if isinstance(told, str) else ""
        if is_of_another_fleet(text, fleet):
            continue
        try:
            manifest = read_manifest(text, run, facts.node)
            good.append(Leftover(node=facts.node, manifest=manifest))
        except ValueError as error:
            bad.append(Unsettled(node=facts.node, reason=f"run folder {run[:80]!r} on the node: {error}"))
    return tuple(good), tuple(bad)


def settle(  # noqa: PLR0913  (all but two by keyword, and none of them is known to the others)
    collected: Mapping[NodeId, HasFacts],
    desired: DesiredState,
    *,
    connect: Connect,
    epoch: int = 0,
    outputs: Path | None = None,
    clock: Callable[[], datetime] = _now,
    on_unsettled: Callable[[Unsettled], None] = _nobody,
    followed: Callable[[AssociationName], bool] = _by_nobody,
    stragglers: Stragglers | None = None,
) -> tuple[RunRecord, ...]:
    """Find out what became of every leftover run; runs that go on are among the records, those that never began are not.

    A run that is `followed` by somebody else is told as going on, and not looked at: its output has one reader. With
    `stragglers`, a node that lets us wait is left to them: it is looked at to the end of one look, and nothing is done there.
    """
    by_node: dict[NodeId, tuple[Leftover, ...]] = {}
    for node in sorted(collected):
        good, bad = leftovers(collected[node].facts, desired.fleet.id)
        for each in bad:
            on_unsettled(each)
        if good and node in desired.nodes:
            by_node[node] = good
    if not by_node:
        return ()
    runs = NodeRuns(OutputKeeper(outputs))
    waiting = stragglers or Stragglers(patience=None)
    gone: set[NodeId] = set()

    def settle_one(node: NodeId) -> Settled:
        resume = partial(_resumed, runs=runs, fleet=desired.fleet.id, epoch=epoch, now=clock())
        ours = tuple(each for each in by_node[node] if not followed(each.manifest.association))
        others = (each.manifest for each in by_node[node] if each not in ours)
        going = (record_of(manifest, Sight(standing=Standing.GOING), runs.output, clock()) for manifest in others)
        left = tuple(record for record in going if record is not None)
        if not ours:
            return Settled(records=left)
        found = _settle_node(desired.nodes[node], ours, connect, runs, clock, resume, lambda: node in gone)
        return replace(found, records=found.records + left)

    parts = waiting.each(by_node, settle_one, most=WORKERS)
    gone.update(by_node.keys() - parts.keys())
    for node in by_node:
        for each in parts[node].unsettled if node in parts else (Unsettled(node=node, reason=waiting.in_words),):
            on_unsettled(each)
    return tuple(record for node in by_node if node in parts for record in parts[node].records)


def _settle_node(
    node: Node,
    found: tuple[Leftover, ...],
    connect: Connect,
    runs: NodeRuns,
    clock: Callable[[], datetime],
    resume: "Resume",
    is_given_up: Callable[[], bool],
) -> Settled:
    records: list[RunRecord] = []
    discarded: list[RunId] = []
    become = node.become is Become.SUDO
    until = time.monotonic() + NODE_PATIENCE
    try:
        with connect(node) as session:
            for number, leftover in enumerate(found):
                if time.monotonic() > until or is_given_up():
                    reason = f"{len(found) - number} leftover runs are settled by a later pass: the node answers slowly"
                    return Settled(
                        records=tuple(records),
                        unsettled=(Unsettled(node=node.id, reason=reason),),
                        discarded=tuple(discarded),
                    )
                manifest = leftover.manifest
                sight = runs.look(session, manifest.run, become=become)
                if is_given_up():
                    continue
                if sight.standing is Standing.REBOOTED:
                    sight = resume(session, manifest, become=become)
                if sight.nothing_ran:
                    sight = runs.discard(session, manifest.run, become=become)
                record = record_of(manifest, sight, runs.output, clock())
                if record is None:
                    discarded.append(manifest.run)
                else:
                    records.append(record)
    except NodeError as error:
        reason = f"its leftover runs could not be settled: {error}"
        return Settled(
            records=tuple(records), unsettled=(Unsettled(node=node.id, reason=reason),), discarded=tuple(discarded)
        )
    return Settled(records=tuple(records), discarded=tuple(discarded))


class Resume(Protocol):
    """Lets one run of a node go on after its reboot."""

    def __call__(self, session: Session, manifest: Manifest, *, become: bool) -> Sight:
        """Give how it stands then."""
        ...


def _resumed(
    session: Session,
    manifest: Manifest,
    *,
    runs: NodeRuns,
    fleet: FleetId,
    epoch: int,
    now: datetime,
    become: bool,
) -> Sight:
    expired = now - manifest.started > RESUMED_WITHIN
    return runs.resume(session, manifest.run, fleet, epoch=epoch, expired=expired, become=become)


def acknowledge(
    settled: Iterable[RunRecord],
    outcomes: Iterable[Outcome],
    desired: DesiredState,
    history: History,
    *,
    connect: Connect,
    epoch: int | None = None,
    workers: int = 32,
    stragglers: Stragglers | None = None,
) -> Mapping[NodeId, str]:
    """Let nodes forget runs whose results are pushed; gives the nodes that could not be told, and why.

    Call it only after the push: `history` says how many runs of each node are on the branch. A node that is not told keeps its
    folders, and they are settled again. With `stragglers`, one that lets us wait is left to them.
    """
    by_node: dict[NodeId, dict[RunId, RunRecord]] = {}
    for record in (*settled, *(outcome.record for outcome in outcomes if outcome.record is not None)):
        if record.status.ended and record.node in desired.nodes:
            by_node.setdefault(record.node, {})[record.run] = record
    if not by_node:
        return {}

    def tell(node: NodeId) -> str | None:
        known = history.nodes.get(node)
        count = 0 if known is None else known.acknowledged
        become = desired.nodes[node].become is Become.SUDO
        try:
            with connect(desired.nodes[node]) as session:
                acknowledge_on(
                    session,
                    by_node[node].values(),
                    fleet=desired.fleet.id,
                    count=count,
                    epoch=epoch,
                    become=become,
                )
        except NodeError as error:
            return str(error)
        return None

    waiting = stragglers or Stragglers(patience=None)
    told = waiting.each(by_node, tell, most=workers)
    problems = {node: told.get(node, waiting.in_words) for node in by_node}
    return {node: problem for node, problem in problems.items() if problem is not None}


def acknowledge_on(
    session: Session,
    records: Iterable[RunRecord],
    *,
    fleet: FleetId,
    count: int,
    epoch: int | None,
    become: bool,
) -> None:
    """Leave markers of ended runs on one node, write its count of pushed runs, and remove the runs' folders."""
    ended = sorted((record for record in records if record.status.ended), key=lambda record: record.executions)
    for record in ended:
        if not _FILE_NAME.fullmatch(record.association) or not _RUN.fullmatch(record.run):
            raise ValueError(f"association {record.association!r} or run {record.run!r} cannot name a file")
    # The highest n comes last, so that it is the one that stays.
    markers: dict[AssociationName, str] = {
        record.association: marker_of(record, fleet) for record in ended if command_of(record.association) is None
    }
    runs = [record.run for record in ended]
    program = acknowledge_program(markers, runs, fleet=fleet, count=count, epoch=epoch, become=become)
    answer = session.run(program).stdout.decode("utf-8", "replace")
    if answer != "end\n":
        raise AnswerGarbled(session.node, f"the node did not take the acknowledgement: {answer.strip()[:300]}")


def forget(
    runs: Mapping[NodeId, RunId], desired: DesiredState, *, connect: Connect, epoch: int, workers: int = 32
) -> Mapping[NodeId, str]:
    """Let nodes remove the folders of commands' runs, which leave no marker; gives the nodes that could not be told, and why."""
    if not runs:
        return {}

    def tell(node: NodeId) -> str | None:
        become = desired.nodes[node].become is Become.SUDO
        program = forget_program([runs[node]], desired.fleet.id, epoch=epoch, become=become)
        try:
            with connect(desired.nodes[node]) as session:
                answer = session.run(program).stdout.decode("utf-8", "replace")
        except NodeError as error:
            return str(error)
        return None if answer == "end\n" else f"the node did not take it: {answer.strip()[:300]}"

    problems = dict(Crew(runs, tell, most=workers).results())
    return {node: problem for node, problem in problems.items() if problem is not None}


def marker_of(record: RunRecord, fleet: FleetId) -> str:
    """Give the line that stays on the node: what was last applied."""
    return json.dumps(
        {
            "fleet": fleet,
            "node": record.node,
            "definition": record.definition,
            "n": record.executions,
            "run": record.run,
            "status": record.status.value,
            "ended": None if record.ended is None else record.ended.isoformat(),
        }
    )
