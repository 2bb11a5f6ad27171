"""After a pass: commits what changed, publishes it with the heartbeat, and lets the nodes forget what is published."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from reconciler.commands.record import ROOT as COMMANDS
from reconciler.commands.record import CommandRecord
from reconciler.commit.branch import Publication, ReportsBranch
from reconciler.commit.heartbeat import Heartbeat, NodeBeat, read_heartbeat
from reconciler.commit.lease import Lease
from reconciler.commit.message import Message
from reconciler.compliance.judge import judge, summarise
from reconciler.compliance.paths import DOWNLOADS
from reconciler.compliance.read import Branch
from reconciler.compliance.report import FleetSummary, NodeReport
from reconciler.compliance.write import changes_in_words, headline, ledger_files, report_files, runs_in_words
from reconciler.daemon.recording import completed_records
from reconciler.daemon.reports import Reports
from reconciler.drift.patched import PatchSurvey
from reconciler.errors import LeaseLost
from reconciler.ids import CommitId, NodeId
from reconciler.inventory.collect import Collected
from reconciler.model.command import Connect
from reconciler.plan.ground import Ground
from reconciler.reconcile import Pass
from reconciler.rollout.settle import acknowledge
from reconciler.rollout.stragglers import Stragglers
from reconciler.source.repository import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a pass has to tell, and under which lease."""

    base: Ground
    done: Pass
    everyone: Mapping[NodeId, NodeReport]
    summary: FleetSummary
    lease: Lease
    orphans: tuple[CommandRecord, ...] = ()
    """Commands that had not ended, and had no sender, before this pass asked its nodes."""


class Reporter:
    """Writes reports of one repository; keeps when each node was last heard of."""

    def __init__(
        self,
        repository: Repository,
        clock: Callable[[], datetime],
        on_lost: Callable[[], None] = lambda: None,
        stragglers: Stragglers | None = None,
    ) -> None:
        self._stragglers = stragglers
        self._repository = repository
        self._on_lost = on_lost
        self._clock = clock
        self._beats: dict[NodeId, NodeBeat] | None = None
        self.unpublished: tuple[str, ...] = ()
        """Why the last report waits in our clone; none: every place has it."""

    def report(
        self, reports: Reports, told: Told, connect: Connect, problems: list[str]
    ) -> tuple[CommitId | None, str]:
        """Commit, publish, acknowledge; gives the commit, if any, and what to say of it. Adds to `problems`."""
        done, desired = told.done, told.base.desired
        if done.history.lost is not None:
            problems.append(done.history.lost)
            return None, "nothing was committed: the history of reports is lost"
        before = reports.read.reports
        gone = tuple(sorted(set(before) - set(told.everyone)))
        changes = (
            *runs_in_words(done.plan, done.outcomes),
            *changes_in_words(told.everyone, before),
            *ledger_words(reports.read, done.patches),
        )
        commands = partial(
            completed_records,
            self._repository,
            settled=done.settled,
            orphans=told.orphans,
            facts={name: found.facts for name, found in done.before.items()},
            fleet=desired.fleet.id,
            now=self._clock(),
        )
        files = report_files(told.everyone, told.summary, before=before, gone=gone)
        when = self._clock()
        made = reports.branch.write(
            {
                **dict.fromkeys(reports.forgotten),
                **files,
                **_downloads(reports.read, told.base),
                **ledger_files(done.patches.ledger, reports.read.ledger, restored=reports.read.ledger_differs),
            },
            Message(
                subject=headline(told.summary, done.outcomes),
                body="\n".join(changes),
                trailers={"State-Commit": str(desired.commit), "Plan": done.plan.digest},
            ),
            now=when,
            epoch=told.lease.epoch,
            also=commands,
        )
        tip = reports.branch.tip()
        history = replace(
            done.history, commit=tip, state_commit=desired.commit, target_counts=told.summary.target_counts
        )
        if _nobody_else_wrote(reports, tip, made):
            reports.read = Branch(
                history=history,
                reports=told.everyone,
                pauses=told.summary.pauses,
                downloads=told.base.downloads,
                ledger=done.patches.ledger,
                committed_at=reports.read.committed_at if made is None else when,
            )
        reports.standing = replace(reports.standing, tip=tip)
        reports.forgotten = ()
        publication = self._publish(reports.branch, told, tip, problems)
        if publication is not None and publication.complete:
            untold = acknowledge(
                done.settled,
                done.outcomes,
                desired,
                history,
                connect=connect,
                epoch=told.lease.epoch,
                stragglers=self._stragglers,
            )
            problems.extend(
                f"{node}: its results are published, and it could not be told: {why}" for node, why in untold.items()
            )
        if made is None:
            return None, "the report is unchanged: nothing was committed"
        return made, f"report committed as {made[:12]} on {reports.branch.branch}"

    def _publish(
        self, branch: ReportsBranch, told: Told, tip: CommitId | None, problems: list[str]
    ) -> Publication | None:
        beat = Heartbeat(
            last_pass=self._clock(),
            interval=told.base.desired.fleet.interval,
            holder=told.lease.holder,
            epoch=told.lease.epoch,
            state_commit=told.base.desired.commit,
            report=tip,
            nodes=self._heard_of(branch, told),
        )
        try:
            publication = branch.publish(beat, epoch=told.lease.epoch)
        except LeaseLost as exc:
            self._on_lost()
            problems.append(f"{exc}; from the next pass on we only observe")
            self.unpublished = ()
            return None
        self.unpublished = publication.reasons
        problems.extend(publication.reasons)
        return publication

    def _heard_of(self, branch: ReportsBranch, told: Told) -> Mapping[NodeId, NodeBeat]:
        """Give when each node of the fleet was last heard of: now, or as the last heartbeat says."""
        if self._beats is None:
            last = read_heartbeat(self._repository, branch.places.home, fetch=False)
            self._beats = {} if last is None else dict(last.nodes)
        self._beats = {name: beat for name, beat in self._beats.items() if name in told.base.desired.nodes}
        for name, found in told.done.collected.items():
            self._beats[name] = _beat(found, self._beats.get(name, NodeBeat()))
        return self._beats


def _nobody_else_wrote(reports: Reports, tip: CommitId | None, made: CommitId | None) -> bool:
    """Whether all that came to what we had read is this report, and records of commands by this process."""
    before = reports.read.history.commit
    if tip == before:
        return True
    writes = None if tip is None else reports.branch.own.since(before, tip)
    if writes is None:
        return False
    return all(write.is_below(COMMANDS) for write in (writes if made is None else writes[1:]))


def ledger_words(read: Branch, patches: PatchSurvey) -> tuple[str, ...]:
    """Say what people should look at in the ledger; foreign text."""
    return (*read.ledger_findings, *(found.reason for found in patches.findings))


def _downloads(before: Branch, base: Ground) -> Mapping[str, bytes | None]:
    """Give the file of what was downloaded; it goes where nothing is downloaded any more."""
    return {} if before.downloads is None and base.downloads is None else {DOWNLOADS: base.downloads}


def _beat(found: Collected, before: NodeBeat) -> NodeBeat:
    if found.facts.unreachable is not None:
        return replace(before, trouble=found.facts.unreachable)
    return NodeBeat(last_contact=found.collected_at, clock_skew=found.skew_seconds)


def judged(
    base: Ground, reports: Reports, problems: tuple[str, ...], done: Pass, now: datetime
) -> tuple[Mapping[NodeId, NodeReport], FleetSummary]:
    """Give every node's report, those outside the limit as last reported, and the fleet's summary."""
    known = reports.read.reports
    facts = {name: found.facts for name, found in done.collected.items()}
    judged = judge(
        done.findings,
        facts,
        done.history,
        known,
        now,
        done.outcomes,
        done.plan.left_out,
        done.patches,
    )
    everyone = {
        name: judged.get(name) or known[name] for name in sorted(base.desired.nodes) if name in judged or name in known
    }
    summary = summarise(
        everyone,
        fleet=base.desired.fleet.id,
        state_commit=base.desired.commit,
        target_counts=done.history.target_counts,
        problems=problems,
        pauses=tuple(done.basis.pauses.in_words(now)),
    )
    return everyone, summary
