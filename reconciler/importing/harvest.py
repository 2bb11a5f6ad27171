"""What a reader brought in: nodes and groups to be written, and a note with its place for everything that was not taken."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from reconciler.ids import GroupName, NodeId


class Kind(Enum):
    """What a note is about."""

    SKIPPED = "skipped"
    """Something that was not imported at all."""
    NOTE = "note"
    """Something was imported without this."""
    LEFT_ALONE = "left alone"
    """It is in the repository already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that was not taken as it stood. Foreign text: whoever prints it renders it."""

    kind: Kind
    place: str
    """`file:line` in what was read."""
    what: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.place}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundNode:
    """A node as it will be written; validated only when it is."""

    id: NodeId
    place: str
    address: str | None = None
    """None: the management host itself."""
    port: int = 22
    user: str | None = None
    identity_file: str | None = None
    gateway: NodeId | None = None
    become: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def way(self) -> tuple[str, int, str]:
        """How it is reached: two nodes with the same way are one machine."""
        return (self.address or "").lower(), self.port if self.address else 0, str(self.gateway or "").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGroup:
    """A group, as a tag that its members carry."""

    name: GroupName
    tag: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file of the repository that is written as it is: an association, a document, a baseline."""

    kind: str
    name: str
    path: str
    content: bytes
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest:
    """Everything one source gave, in its order."""

    nodes: tuple[FoundNode, ...] = ()
    groups: tuple[FoundGroup, ...] = ()
    files: tuple[FoundFile, ...] = ()
    notes: tuple[Note, ...] = ()


ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


def node_id(name: str) -> NodeId | None:
    """Give the id for a foreign name: itself where it is one, else the nearest; None where nothing of it can stand."""
    if ID.fullmatch(name):
        return NodeId(name)
    near = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).lstrip("-_.").rstrip("-")[:100]
    return NodeId(near) if near else None
