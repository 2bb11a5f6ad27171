"""Fleet-wide settings, from `state/fleet.yaml`."""

from dataclasses import dataclass
from datetime import timedelta

from reconciler.ids import FleetId
from reconciler.model.node import Mode

DEFAULT_FLEET = FleetId("fleet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What holds for all nodes; every field has the default that an absent `fleet.yaml` means."""

    id: FleetId = DEFAULT_FLEET
    branch: str | None = None
    """None: the remote's HEAD."""
    interval: timedelta = timedelta(minutes=10)
    pass_wait: timedelta | None = None
    """How long a pass waits for its runs; None: one interval."""
    max_handshakes: int = 20
    """SSH handshakes at a time, over the fleet and through one gateway: sshd's MaxStartups drops more than 10 to 100."""
    keep_connections: int = 256
    """Connections kept open between passes; an idle one costs a thread and 0.2 ms of CPU a second."""
    reports_branch: str = "compliance"
    reports_remote: str | None = None
    """Where reports are pushed; None: nothing is pushed."""
    max_changed_per_pass: str | None = None
    """A breaker: number or percentage of nodes whose drift is repaired in one pass; None: no limit."""
    stop_after_failures: int = 5
    """A breaker: a definition that failed on so many nodes, and on more than it went well on, reaches no further one; 0: none."""
    mode: Mode = Mode.ENFORCE
    suspend: bool = False
    require_reasons: bool = False
