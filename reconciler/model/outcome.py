"""What came of a plan item, and what a run folder on a node tells."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from reconciler.ids import AssociationName, Digest, NodeId, RunId
from reconciler.model.history import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One step of a run."""

    name: str
    status: str
    """SSM: Success, Failed, TimedOut, Cancelled, Skipped, NotStarted, InProgress."""
    exit_code: int
    stdout: bytes = field(default=b"", repr=False)
    stderr: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as its folder on the node tells it (manifest, state, results)."""

    run: RunId
    node: NodeId
    association: AssociationName
    definition: Digest
    rendered: Digest
    executions: int
    """The n of this run."""
    cause: str
    """Why it was started, a `Cause` value: settling keeps the books with it."""
    status: RunStatus
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    detail: str = ""
    step: str = ""
    """The step a run in progress stands at."""
    steps: tuple[StepResult, ...] = ()
    unkept: str = ""
    """Why the management host could not keep (all of) its output; empty: it has what came."""


class Disposition(Enum):
    """What became of a plan item."""

    RAN = "ran"
    """It was started (now or, attached to, before) and has ended: `record` tells how."""
    RUNNING = "running"
    """It was started and goes on alone; a later pass settles it."""
    NOT_NEEDED = "not needed"
    """The re-check on the node found that it no longer holds: nothing was started."""
    HELD_BACK = "held back"
    """Not started: MaxErrors, a breaker, a hold, a lock, the pass's end."""
    UNREACHABLE = "unreachable"
    """The node could not be asked; whether something started is for the next pass to settle."""


class Hindrance(Enum):
    """What kept an item from being started, where a command's status depends on it."""

    ERRORS = "errors"
    """The roll-out was stopped: too many errors."""
    TIME = "time"
    """It was not started by its deadline."""
    GATE = "gate"
    """A pause, or a hold file on the node."""
    CANCEL = "cancel"
    """Somebody cancelled it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one plan item, with the reason in words."""

    node: NodeId
    association: AssociationName
    disposition: Disposition
    reason: str
    record: RunRecord | None = None
    hindrance: Hindrance | None = None
    at: datetime
