"""A report of which a hundredth changed, from judged reports to the remote: files, commit, heartbeat, push."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.fleet_model import WRITTEN, Written, message_for, summary_of
from reconciler.commit.branch import ReportsBranch
from reconciler.commit.heartbeat import Heartbeat, NodeBeat
from reconciler.commit.places import find_places
from reconciler.compliance.report import FleetSummary, NodeReport
from reconciler.compliance.write import changes_in_words, headline, report_files
from reconciler.drift.finding import Cause, State
from reconciler.ids import NodeId
from reconciler.source.address import parse_address
from reconciler.source.git_process import GitProcess
from reconciler.source.records import Person
from reconciler.source.repository import Repository

BUDGET = 1.0


def commit_figure(folder: Path, fleet: Written, *, runs: int) -> Figure:
    """Commit and push what a pass of a warm daemon found, to a bare repository on this machine."""
    folder.mkdir()
    remote = folder / "remote.git"
    remote.mkdir()
    GitProcess(folder=remote).ask("clone", "--quiet", "--bare", str(fleet.folder), str(remote))
    with Repository.open(parse_address(str(remote), cwd=folder), state_dir=folder / "state") as repository:
        branch = ReportsBranch(
            repository=repository,
            places=find_places(repository, None),
            branch="compliance",
            person=Person(email="reconciler@bench"),
        )
        branch.look()
        before = fleet.reports
        took: list[float] = []
        for number in range(runs + 1):
            reports = _some_changed(fleet, before, number)
            summary = summary_of(fleet.desired, reports)
            took.append(_report(branch, fleet, (before, reports), summary, number))
            before = reports
        changed = max(1, len(fleet.reports) // 100)
    return Figure(
        name="commit",
        what=f"report commit, {len(fleet.reports)} nodes of which {changed} changed, pushed to a local bare repository",
        values=tuple(took[1:]),
        unit="s",
        budget=BUDGET,
        note=f"{took[0]:.3g} s for the first one of a process",
    )


def _some_changed(fleet: Written, before: Mapping[NodeId, NodeReport], number: int) -> Mapping[NodeId, NodeReport]:
    """Let the packages of some nodes be others, and one finding of each."""
    reports = dict(before)
    for node in fleet.model.ids[number % 100 :: 100]:
        old = reports[node]
        first = old.findings[0]
        state = State.DRIFTED if first.finding.state is State.IN_SYNC else State.IN_SYNC
        finding = replace(first.finding, state=state, cause=Cause(state.value), reason=f"changed in run {number}")
        facts = fleet.model.facts(node, salt=f".{number}")
        reports[node] = replace(old, facts=facts, findings=(replace(first, finding=finding), *old.findings[1:]))
    return reports


def _report(
    branch: ReportsBranch,
    fleet: Written,
    reports: tuple[Mapping[NodeId, NodeReport], Mapping[NodeId, NodeReport]],
    summary: FleetSummary,
    number: int,
) -> float:
    before, after = reports
    now = WRITTEN + timedelta(minutes=10 * (number + 1))
    began = time.perf_counter()
    changes = changes_in_words(after, before)
    message = replace(message_for(fleet.desired.commit), subject=headline(summary, ()), body="\n".join(changes))
    made = branch.write(report_files(after, summary, before=before), message, now=now, epoch=1)
    beats = {node: NodeBeat(last_contact=now, clock_skew=0.01) for node in fleet.model.ids}
    beat = Heartbeat(last_pass=now, interval=timedelta(minutes=10), holder="bench", epoch=1, report=made, nodes=beats)
    published = branch.publish(beat, epoch=1)
    took = time.perf_counter() - began
    assert made is not None, "something changed, and nothing was committed"
    assert published.complete, published.reasons
    assert published.tip == made
    assert branch.repository.ref(branch.places.home.tracking(branch.ref)) == made, "the remote has it"
    return took
