"""A node as the state repository describes it, with the fleet's defaults already filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from reconciler.ids import NodeId


class Transport(Enum):
    """How a node is reached."""

    SSH = "ssh"
    LOCAL = "local"


class Become(Enum):
    """How the login user becomes root."""

    NONE = "none"
    SUDO = "sudo"


class Mode(Enum):
    """How much may be done; of several the least intervening wins."""

    ENFORCE = "enforce"
    WARN = "warn"
    OBSERVE = "observe"

    @property
    def intervention(self) -> int:
        """2 for enforce, 1 for warn, 0 for observe."""
        return {"enforce": 2, "warn": 1, "observe": 0}[self.value]


def least_intervening(*modes: Mode) -> Mode:
    """Give the mode that does least."""
    return min(modes, key=lambda mode: mode.intervention)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One server. `address` is None for the local transport only; `user` None means the management host's ssh default."""

    id: NodeId
    address: str | None = None
    port: int = 22
    port_is_written: bool = True
    """Where it is not, the management host's own ssh configuration may say another."""
    user: str | None = None
    identity_file: str | None = None
    """The name of a key in the host's key directory, never a path."""
    gateway: NodeId | None = None
    transport: Transport = Transport.SSH
    become: Become = Become.NONE
    mode: Mode = Mode.ENFORCE
    tags: Mapping[str, str] = field(default_factory=dict)
    former_ids: tuple[NodeId, ...] = ()
    file: str = ""
    """Where it is written, for messages: `state/nodes/web.yaml:1`."""
