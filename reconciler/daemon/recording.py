"""Records of commands on the compliance branch: read back, and completed by what passes find on the nodes."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler.commands.dispatch import invocation_from
from reconciler.commands.record import ROOT, CommandRecord, Invocation, command_in, decode_record, encode_record
from reconciler.commands.statuses import Detail
from reconciler.commit.branch import ReportsBranch, read_branch
from reconciler.daemon.cancelling import is_being_sent
from reconciler.errors import SourceError
from reconciler.ids import CommitId, FleetId, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.known import Known
from reconciler.model.outcome import RunRecord
from reconciler.plan.run_id import command_of, command_subject, run_id
from reconciler.source.repository import Repository

MONTHS = 3
"""How far back a pass looks for commands that have not ended: a deadline is at most 30 days away."""

LATE = "no end of it was reported before the command expired"
NEVER_SENT = "its sender was ended before it was sent to this node"


def read_commands(repository: Repository, tip: CommitId | None) -> tuple[CommandRecord, ...]:
    """Give every command on record. Raises SourceError naming the file that is no record of this version."""
    if tip is None:
        return ()
    with closing(read_branch(repository, tip, (ROOT,))) as files:
        return tuple(_read(path, content) for path, content in files if command_in(path) is not None)


def _read(path: str, content: bytes) -> CommandRecord:
    try:
        return decode_record(content)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise SourceError(f"compliance branch, {path}: not a command record of this version ({exc})") from exc


def as_of(record: CommandRecord, now: datetime) -> CommandRecord:
    """Give a record as it stands at an instant: what has not ended when the command expires counts as not delivered."""
    if now < record.expires:
        return record
    return record.with_invocations(
        replace(each, detail=Detail.DELIVERY_TIMED_OUT, reason=each.reason or LATE)
        for each in record.invocations
        if not each.detail.ended
    )


class OpenCommands:
    """Commands that have not ended, as recorded; the branch is read only where it moved. For one thread."""

    def __init__(self, repository: Repository, state_dir: Path) -> None:
        self._repository = repository
        self._state_dir = state_dir
        self._tip: CommitId | None = None
        self._open: tuple[CommandRecord, ...] = ()

    def orphans(self, branch: ReportsBranch, now: datetime) -> tuple[CommandRecord, ...]:
        """Give those whose sender does not live on this host. To be asked before the nodes are, and only by who leads."""
        alone = {record.id for record in self._at(branch.tip(), now) if not is_being_sent(self._state_dir, record.id)}
        if not alone:
            return ()
        # One that ended since the branch was looked at wrote its end to our clone before it let go.
        self._repository.forget_refs()
        return tuple(record for record in self._at(branch.tip(), now) if record.id in alone)

    def _at(self, tip: CommitId | None, now: datetime) -> tuple[CommandRecord, ...]:
        if tip != self._tip:
            self._open = tuple(record for record in self._known(tip, now) if not record.verdict.detail.ended)
            self._tip = tip
        return self._open

    def _known(self, tip: CommitId | None, now: datetime) -> Iterator[CommandRecord]:
        """Give the records that read: one that does not is told by whoever asks for it, and ends no pass."""
        if tip is None:
            return
        with closing(read_branch(self._repository, tip, tuple(_months(now)))) as files:
            for path, content in files:
                if command_in(path) is not None:
                    with suppress(SourceError):
                        yield _read(path, content)


def _months(now: datetime) -> Iterator[str]:
    year, month = now.year, now.month
    for _ in range(MONTHS):
        yield f"{ROOT}/{year:04}-{month:02}"
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def completed_records(
    repository: Repository,
    tip: CommitId | None,
    *,
    settled: Iterable[RunRecord],
    orphans: Iterable[CommandRecord] = (),
    facts: Mapping[NodeId, Facts],
    fleet: FleetId,
    now: datetime,
) -> Mapping[str, bytes]:
    """Give the files of commands whose sender is gone, with what is known by now of their nodes; `tip` is what they go upon.

    `facts` were collected after `orphans` had lost their senders: a node without the run never got it, and never will.
    """
    ended: dict[object, list[RunRecord]] = {}
    for run in settled:
        command = command_of(run.association)
        if command is not None and run.status.ended:
            ended.setdefault(command, []).append(run)
    lost = {record.id: record for record in orphans}
    if not ended and not lost:
        return {}
    known = {record.id: record for record in read_commands(repository, tip) if record.id in ended} if ended else {}
    files: dict[str, bytes] = {}
    for record in (lost | known).values():
        told = record.with_invocations(map(invocation_from, ended.get(record.id, [])))
        if record.id in lost:
            told = as_of(told.with_invocations(_never_sent(told, facts, fleet)), now)
        if told != record:
            files[record.path] = encode_record(told)
    return files


def _never_sent(record: CommandRecord, facts: Mapping[NodeId, Facts], fleet: FleetId) -> Iterator[Invocation]:
    for each in record.invocations:
        found = facts.get(each.node)
        if each.detail not in (Detail.PENDING, Detail.DELAYED) or found is None or found.unreachable is not None:
            continue
        match found.section("runs"):
            case Known(runs) if run_id(fleet, each.node, command_subject(record.id), 1) not in runs:
                yield replace(each, detail=Detail.CANCELLED, reason=NEVER_SENT)
            case _:
                pass
