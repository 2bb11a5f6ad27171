"""What earlier passes report to have done and seen, read back from the compliance branch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from reconciler.ids import AssociationName, CommitId, Digest, NodeId, RunId


class RunStatus(Enum):
    """How an execution ended (SSM's words), or that it has not."""

    IN_PROGRESS = "InProgress"
    SUCCESS = "Success"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self is not RunStatus.IN_PROGRESS

    @property
    def counts_as_error(self) -> bool:
        """SSM: Failed and TimedOut count against MaxErrors, Cancelled does not."""
        return self in (RunStatus.FAILED, RunStatus.TIMED_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The last word on one association on one node."""

    definition: Digest
    """What was applied, or adopted without a run because every expectation held."""
    definition_since: datetime
    """When this definition was first seen for this node."""
    first_matched: datetime
    """When the node first matched the association."""
    adopted: bool = False
    run: RunId | None = None
    """The last execution; None: never executed here."""
    executions: int = 0
    """Number n of the last execution: the next one is n + 1."""
    status: RunStatus | None = None
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    detail: str = ""
    """The outcome in one line, at most 510 characters (SSM: ExecutionSummary)."""
    failures: int = 0
    """Failed executions of this definition in a row; a success resets it."""
    in_sync: bool = False
    """Whether the last pass that could tell found every expectation held."""
    repairs: tuple[datetime, ...] = ()
    """Starts of repairs (cause Drifted) within the last 24 hours."""
    drift_seen: datetime | None = None
    """When the drift that still stands was first seen."""


RUN_ID_LENGTH = 64
"""Hexadecimal digits of SHA-256."""


class AppliedRows(Mapping[AssociationName, Applied]):
    """The rows of one node as committed: nodes that tell alike share their records, but for the ids of runs.

    A quarter of a million records of their own would take seconds and hundreds of megabytes; few are ever asked for.
    """

    __slots__ = ("_ids", "_made", "_with_run", "alike")

    alike: Mapping[AssociationName, Applied]
    """Every row; those in `with_run` hold no run of this node."""

    def __init__(
        self, alike: Mapping[AssociationName, Applied], with_run: tuple[AssociationName, ...], ids: bytes
    ) -> None:
        """Take the ids of the runs of `with_run` in this order, `RUN_ID_LENGTH` characters each."""
        self.alike = alike
        self._with_run = with_run
        self._ids = ids
        self._made: dict[AssociationName, Applied] | None = None

    def __getitem__(self, name: AssociationName) -> Applied:
        return (self.alike if not self._with_run else self._whole())[name]

    def _whole(self) -> Mapping[AssociationName, Applied]:
        if self._made is None:
            whole = dict(self.alike)
            for number, name in enumerate(self._with_run):
                run = self._ids[number * RUN_ID_LENGTH : (number + 1) * RUN_ID_LENGTH]
                whole[name] = replace(whole[name], run=RunId(run.decode("ascii")))
            self._made = whole
        return self._made

    def __iter__(self) -> Iterator[AssociationName]:
        return iter(self.alike)

    def __len__(self) -> int:
        return len(self.alike)

    def __contains__(self, name: object) -> bool:
        return name in self.alike

    def __repr__(self) -> str:
        return f"AppliedRows({dict(self)!r})"


def alike_rows(applied: Mapping[AssociationName, Applied]) -> Mapping[AssociationName, Applied]:
    """Give the rows for whoever does not look at ids of runs: records that many nodes share, where there are such."""
    return applied.alike if isinstance(applied, AppliedRows) else applied


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHistory:
    """What the branch holds about one node."""

    node: NodeId
    machine_id: str | None = None
    host_key: str | None = None
    acknowledged: int = 0
    """Count of runs of this node whose results are on the branch: the node holds the same number."""
    applied: Mapping[AssociationName, Applied] = field(default_factory=dict)
    gone: Mapping[str, datetime] = field(default_factory=dict)
    """Versions above the installed one (as `model.patch_lines.patch_line` writes them) that the node's own package lists showed,
    and when they were found to show them no more."""
    installed_without_reboot: Mapping[str, datetime] = field(default_factory=dict)
    """Title of a patch -> when an Install with NoReboot brought it; it may have been booted since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The compliance branch at one commit."""

    commit: CommitId | None = None
    """None: no report was ever committed."""
    state_commit: CommitId | None = None
    """The last accepted commit of the state repository."""
    nodes: Mapping[NodeId, NodeHistory] = field(default_factory=dict)
    target_counts: Mapping[AssociationName, int] = field(default_factory=dict)
    """How many nodes each association meant at that commit: the shrink guard's memory."""
    lost: str | None = None
    """Why history cannot be trusted (missing, rewound); findings are Unknown with this reason."""

    def applied(self, node: NodeId, association: AssociationName) -> Applied | None:
        """Give the record of one association on one node."""
        known = self.nodes.get(node)
        return None if known is None else known.applied.get(association)
