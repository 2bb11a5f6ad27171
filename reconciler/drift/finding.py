"""A finding: the one state of one association on one node, with its cause and its reason in words."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from reconciler.ids import AssociationName, Digest, NodeId
from reconciler.model.association import Severity
from reconciler.model.patch_order import PatchOrder


class State(Enum):
    """What is reported. Exactly one for each association and node."""

    IN_SYNC = "InSync"
    PENDING = "Pending"
    DRIFTED = "Drifted"
    FAILED = "Failed"
    UNKNOWN = "Unknown"
    WAITING = "Waiting"


class Cause(Enum):
    """What is behind a state; the first that holds, in this order."""

    UNKNOWN = "Unknown"
    PENDING = "Pending"
    FAILED = "Failed"
    DRIFTED = "Drifted"
    IN_SYNC = "InSync"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One expectation that does not hold: readable text, for people; nothing is decided by it."""

    subject: str
    """`file /etc/motd`, `package nginx`."""
    expected: str
    observed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """State WAITING keeps its cause, and `until` where it is known."""

    node: NodeId
    association: AssociationName
    state: State
    cause: Cause
    reason: str
    severity: Severity = Severity.UNSPECIFIED
    definition: Digest | None = None
    """None where the document could not be rendered for this node."""
    differences: tuple[Difference, ...] = ()
    until: datetime | None = None
    wanted: bool = False
    """Whether the document should run now: nothing but the plan's own gates stands between."""
    first_time: bool = False
    """Whether this document was never applied anywhere: one node goes first (canary)."""
    adopted: bool = False
    """InSync without a run: this definition is taken over as it stands."""
    unstable: tuple[str, ...] = ()
    """Flapping: the subjects that something else keeps changing, as `differences` would name them."""
    forced: bool = False
    """Whether somebody asked for this run by hand (`apply`): a second look does not make it unneeded."""
    patches: PatchOrder | None = None
    """What an Install would bring; None: the association installs no patches, or nothing is missing."""

    @property
    def compliant(self) -> bool:
        """SSM: COMPLIANT is InSync and nothing else."""
        return self.state is State.IN_SYNC
