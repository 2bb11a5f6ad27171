"""What a plan stands on, as JSON values in this host's own file, and back; pure. Reading raises KeyError, TypeError, ValueError."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reconciler.daemon.pause_file import decode_pauses, encode_pauses
from reconciler.drift.recollection import Basis
from reconciler.ids import AssociationName, Digest, NodeId, RunId
from reconciler.model.history import RunStatus
from reconciler.model.outcome import RunRecord, StepResult
from reconciler.model.pause import Pauses


def encode_basis(basis: Basis) -> Mapping[str, Any]:
    """Give it for JSON."""
    return {
        "forced": basis.forced,
        "allow_shrink": sorted(basis.allow_shrink),
        "new_history": basis.new_history,
        "settled": [_encode_record(record) for record in basis.settled],
        "host_keys": dict(basis.host_keys),
        "skews": list(basis.skews),
        "epoch": basis.epoch,
        "pauses": encode_pauses(basis.pauses.all).decode(),
        "pauses_unreadable": basis.pauses.unreadable,
    }


def decode_basis(value: Mapping[str, Any]) -> Basis:
    """Read it."""
    forced = value["forced"]
    return Basis(
        forced=None if forced is None else AssociationName(forced),
        allow_shrink=frozenset(AssociationName(name) for name in value["allow_shrink"]),
        new_history=value["new_history"],
        settled=tuple(_decode_record(record) for record in value["settled"]),
        host_keys={NodeId(node): key for node, key in value["host_keys"].items()},
        skews=tuple(value["skews"]),
        epoch=value["epoch"],
        pauses=Pauses(all=decode_pauses(value["pauses"].encode()), unreadable=value["pauses_unreadable"]),
    )


def _encode_record(record: RunRecord) -> Mapping[str, Any]:
    return {
        "run": record.run,
        "node": record.node,
        "association": record.association,
        "definition": record.definition,
        "rendered": record.rendered,
        "executions": record.executions,
        "cause": record.cause,
        "status": record.status.value,
        "started": None if record.started is None else record.started.isoformat(),
        "ended": None if record.ended is None else record.ended.isoformat(),
        "exit_code": record.exit_code,
        "detail": record.detail,
        # What an install says that it brought stands in what it wrote.
        "steps": [[step.name, step.status, step.exit_code, step.stdout.decode("latin-1")] for step in record.steps],
    }


def _decode_record(value: Mapping[str, Any]) -> RunRecord:
    started, ended = value["started"], value["ended"]
    return RunRecord(
        run=RunId(value["run"]),
        node=NodeId(value["node"]),
        association=AssociationName(value["association"]),
        definition=Digest(value["definition"]),
        rendered=Digest(value["rendered"]),
        executions=value["executions"],
        cause=value["cause"],
        status=RunStatus(value["status"]),
        started=None if started is None else datetime.fromisoformat(started),
        ended=None if ended is None else datetime.fromisoformat(ended),
        exit_code=value["exit_code"],
        detail=value["detail"],
        steps=tuple(
            StepResult(name=name, status=status, exit_code=code, stdout=stdout.encode("latin-1"))
            for name, status, code, stdout in value["steps"]
        ),
    )
