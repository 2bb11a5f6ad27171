"""What earlier passes report to have done and seen, read back from the compliance branch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeHistory:
    """What the branch holds about one node."""

    node: NodeId
    machine_id: str | None = None
    host_key: str | None = None
    acknowledged: int = 0
    """Count of runs of this node whose results are on the branch: the node holds the same number."""
    applied: Mapping[AssociationName, Applied] = field(default_factory=dict)


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
