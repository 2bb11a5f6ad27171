"""Records of commands on the compliance branch: read back, and completed by what passes find on the nodes."""

from collections.abc import Iterable, Mapping
from contextlib import closing

from reconciler.commands.dispatch import invocation_from
from reconciler.commands.record import ROOT, CommandRecord, command_in, decode_record, encode_record
from reconciler.commit.branch import read_branch
from reconciler.errors import SourceError
from reconciler.ids import CommitId
from reconciler.model.outcome import RunRecord
from reconciler.plan.run_id import command_of
from reconciler.source.repository import Repository


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


def completed_records(
    repository: Repository, tip: CommitId | None, settled: Iterable[RunRecord]
) -> Mapping[str, bytes]:
    """Give the files of commands whose sender was gone when runs of theirs ended."""
    ended: dict[object, list[RunRecord]] = {}
    for record in settled:
        command = command_of(record.association)
        if command is not None and record.status.ended:
            ended.setdefault(command, []).append(record)
    if not ended:
        return {}
    known = (record for record in read_commands(repository, tip) if record.id in ended)
    return {
        record.path: encode_record(record.with_invocations(map(invocation_from, ended[record.id]))) for record in known
    }
