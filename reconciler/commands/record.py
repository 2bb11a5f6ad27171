"""What is kept of a command on the compliance branch: commands/YYYY-MM/ID.json, in SSM's words; pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import orjson

from reconciler.commands.command import Command
from reconciler.commands.request import masked
from reconciler.commands.statuses import Detail, Verdict, aggregate
from reconciler.compliance.encode import instant, moment, text_of, whole_of, whole_second
from reconciler.foreign_text import Sink, fit, json_escaped
from reconciler.ids import CommitId, NodeId, RunId

VERSION = 1
ROOT = "commands"
LONGEST_REASON = 500
NAMED_BY_PLUGIN = "1.2"
"""The schema whose steps SSM calls by their plugins."""
_PATH = re.compile(r"commands/[0-9]{4}-[0-9]{2}/([0-9a-f-]{36})\.json", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step on one node; what it wrote stays on the management host."""

    name: str
    status: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """A command on one node."""

    node: NodeId
    detail: Detail = Detail.PENDING
    reason: str = ""
    """Foreign text."""
    run: RunId | None = None
    exit_code: int | None = None
    started: datetime | None = None
    ended: datetime | None = None
    steps: tuple[StepRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """A command as reported. Nothing in it is a secret that we know of."""

    id: UUID
    login: str
    requested: datetime
    expires: datetime
    document: str
    document_version: str
    document_digest: str
    state_commit: CommitId | None
    targets: tuple[tuple[str, tuple[str, ...]], ...]
    instance_ids: tuple[NodeId, ...]
    parameters: Mapping[str, tuple[str, ...]]
    """Those that look secret by their name are masked."""
    max_concurrency: str
    max_errors: str
    threshold: int
    max_unreachable: str | None = None
    timeout_seconds: int
    comment: str
    plugins: tuple[str, ...] = ()
    """Of a document of schema 1.2: the plugin of each step, by which SSM calls them."""
    output_bucket: str = ""
    """A bucket, or a folder."""
    output_prefix: str = ""
    undelivered: tuple[str, ...] = ()
    """What of the output could not be brought there, and why: words of the place itself, and foreign text."""
    cancelled: bool = False
    """Whether somebody asked for its end."""
    invocations: tuple[Invocation, ...] = ()

    @property
    def path(self) -> str:
        """Where it stands on the branch."""
        return f"{ROOT}/{self.requested.strftime('%Y-%m')}/{self.id}.json"

    @property
    def verdict(self) -> Verdict:
        """What it came to."""
        details = [each.detail for each in self.invocations]
        return aggregate(
            details, threshold=self.threshold, stopped=Detail.TERMINATED in details, cancelled=self.cancelled
        )

    def of(self, node: str) -> Invocation | None:
        """Give the invocation on one node."""
        return next((each for each in self.invocations if each.node == node), None)

    def with_invocations(self, news: Iterable[Invocation], *, cancelled: bool = False) -> Self:
        """Give the record with what is known by now; what has ended never changes."""
        known = {each.node: each for each in news}
        merged = tuple(each if each.detail.ended else known.get(each.node, each) for each in self.invocations)
        return replace(self, invocations=merged, cancelled=self.cancelled or cancelled)

    def with_undelivered(self, problems: Iterable[str]) -> Self:
        """Give the record with what became of its output."""
        return replace(self, undelivered=tuple(reason_of(problem) for problem in problems))


def begin_record(command: Command, state_commit: CommitId | None) -> CommandRecord:
    """Give the record of a command that nobody has received yet."""
    request = command.request
    return CommandRecord(
        id=command.id,
        login=command.login,
        requested=whole_second(command.requested),
        expires=whole_second(command.expires),
        document=command.document.name,
        document_version=command.document.version,
        document_digest=command.document.digest,
        state_commit=state_commit,
        targets=tuple((target.key, target.values) for target in request.targets),
        instance_ids=request.instance_ids,
        parameters=masked(request.parameters),
        max_concurrency=request.max_concurrency,
        max_errors=request.max_errors,
        threshold=command.threshold,
        max_unreachable=request.max_unreachable,
        timeout_seconds=int(request.timeout.total_seconds()),
        comment=request.comment,
        plugins=tuple(step.action for step in command.definition.rendered.steps)
        if command.document.schema_version == NAMED_BY_PLUGIN
        else (),
        output_bucket="" if request.output is None else request.output.name,
        output_prefix="" if request.output is None else request.output.prefix,
        invocations=tuple(
            Invocation(node=node, detail=Detail.ACCESS_DENIED, reason=command.denied[node])
            if node in command.denied
            else Invocation(node=node)
            for node in command.nodes
        ),
    )


def command_json(record: CommandRecord) -> dict[str, Any]:
    """Give it as SSM's Command, with what we add."""
    verdict = record.verdict
    details = [each.detail for each in record.invocations]
    return {
        "CommandId": str(record.id),
        "Comment": record.comment,
        "CompletedCount": sum(each.is_completed for each in details),
        "DeliveryTimedOutCount": details.count(Detail.DELIVERY_TIMED_OUT),
        "DocumentHash": record.document_digest,
        "DocumentHashType": "Sha256",
        "DocumentName": record.document,
        "DocumentVersion": record.document_version,
        "ErrorCount": sum(each.is_error for each in details),
        "ErrorThreshold": record.threshold,
        "ExpiresAfter": instant(record.expires),
        "InstanceIds": list(record.instance_ids),
        "MaxConcurrency": record.max_concurrency,
        "MaxErrors": record.max_errors,
        **({} if record.max_unreachable is None else {"MaxUnreachable": record.max_unreachable}),
        "OutputProblems": list(record.undelivered),
        "OutputS3BucketName": record.output_bucket,
        "OutputS3KeyPrefix": record.output_prefix,
        "Parameters": {name: list(values) for name, values in sorted(record.parameters.items())},
        "PluginNames": list(record.plugins),
        "RequestedBy": record.login,
        "RequestedDateTime": instant(record.requested),
        "StateCommit": record.state_commit,
        "Status": verdict.detail.status,
        "StatusDetails": verdict.detail.value,
        "StatusReason": verdict.reason,
        "TargetCount": len(details),
        "Targets": [{"Key": key, "Values": list(values)} for key, values in record.targets],
        "TimeoutSeconds": record.timeout_seconds,
    }


def invocation_json(record: CommandRecord, invocation: Invocation) -> dict[str, Any]:
    """Give one invocation with SSM's names, and each step's status in our own words."""
    return {
        "CommandId": str(record.id),
        "ExecutionEndDateTime": None if invocation.ended is None else instant(invocation.ended),
        "ExecutionStartDateTime": None if invocation.started is None else instant(invocation.started),
        "InstanceId": invocation.node,
        "Plugins": [
            {"Name": step.name, "ResponseCode": step.exit_code, "Status": step.status} for step in invocation.steps
        ],
        "ResponseCode": -1 if invocation.exit_code is None else invocation.exit_code,
        "RunId": invocation.run,
        "Status": invocation.detail.status,
        "StatusDetails": invocation.detail.value,
        "StatusReason": invocation.reason,
    }


def encode_record(record: CommandRecord) -> bytes:
    """Give the bytes of its file: the same record, the same bytes."""
    value = {
        "Version": VERSION,
        "CancelRequested": record.cancelled,
        "Command": command_json(record),
        "Invocations": {each.node: invocation_json(record, each) for each in record.invocations},
    }
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return json_escaped(orjson.dumps(value, option=options))


def command_in(path: str) -> UUID | None:
    """Tell which command a path of the branch is of."""
    found = _PATH.fullmatch(path)
    return None if found is None else UUID(found[1])


def decode_record(content: bytes) -> CommandRecord:
    """Read it again. Raises ValueError, KeyError or TypeError for what is no record of this version."""
    value = orjson.loads(content)
    if not isinstance(value, dict) or value.get("Version") != VERSION:
        raise ValueError("it is no command record of this version")
    told = value["Command"]
    commit = told["StateCommit"]
    return CommandRecord(
        id=UUID(text_of(told["CommandId"])),
        login=text_of(told["RequestedBy"]),
        requested=moment(text_of(told["RequestedDateTime"])),
        expires=moment(text_of(told["ExpiresAfter"])),
        document=text_of(told["DocumentName"]),
        document_version=text_of(told["DocumentVersion"]),
        document_digest=text_of(told["DocumentHash"]),
        state_commit=None if commit is None else CommitId(text_of(commit)),
        targets=tuple((text_of(one["Key"]), tuple(map(text_of, one["Values"]))) for one in told["Targets"]),
        instance_ids=tuple(NodeId(text_of(one)) for one in told["InstanceIds"]),
        parameters={text_of(name): tuple(map(text_of, values)) for name, values in told["Parameters"].items()},
        max_concurrency=text_of(told["MaxConcurrency"]),
        max_errors=text_of(told["MaxErrors"]),
        threshold=whole_of(told["ErrorThreshold"]),
        max_unreachable=text_of(told["MaxUnreachable"]) if "MaxUnreachable" in told else None,
        timeout_seconds=whole_of(told["TimeoutSeconds"]),
        comment=text_of(told["Comment"]),
        plugins=tuple(map(text_of, told.get("PluginNames", []))),
        output_bucket=text_of(told.get("OutputS3BucketName", "")),
        output_prefix=text_of(told.get("OutputS3KeyPrefix", "")),
        undelivered=tuple(map(text_of, told.get("OutputProblems", []))),
        cancelled=value["CancelRequested"] is True,
        invocations=tuple(read_invocation(row) for _, row in sorted(value["Invocations"].items())),
    )


def read_invocation(row: Mapping[str, Any]) -> Invocation:
    """Read what `invocation_json` gave. Raises ValueError, KeyError or TypeError."""
    run, code = row["RunId"], whole_of(row["ResponseCode"], -1)
    return Invocation(
        node=NodeId(text_of(row["InstanceId"])),
        detail=Detail(text_of(row["StatusDetails"])),
        reason=text_of(row["StatusReason"]),
        run=None if run is None else RunId(text_of(run)),
        exit_code=None if code < 0 else code,
        started=None if row["ExecutionStartDateTime"] is None else moment(text_of(row["ExecutionStartDateTime"])),
        ended=None if row["ExecutionEndDateTime"] is None else moment(text_of(row["ExecutionEndDateTime"])),
        steps=tuple(
            StepRecord(name=text_of(s["Name"]), status=text_of(s["Status"]), exit_code=whole_of(s["ResponseCode"], -1))
            for s in row["Plugins"]
        ),
    )


def reason_of(text: str) -> str:
    """Cut a node's own words to what a record holds."""
    return fit(text, Sink.LOG, limit=LONGEST_REASON)
