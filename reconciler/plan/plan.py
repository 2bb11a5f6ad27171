"""The plan record: the executor carries out its items and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.documents.content import Fetched
from reconciler.drift.finding import Cause, Difference
from reconciler.ids import AssociationName, CommitId, Digest, NodeId, RunId
from reconciler.model.node import Mode
from reconciler.model.patch_order import PatchOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanItem:
    """One run: this rendered document on this node, for this reason."""

    node: NodeId
    association: AssociationName
    document: str
    """`NAME:VERSION`."""
    definition: Digest
    """Digest of the association's effective fields with the rendered document: what `Applied.definition` holds."""
    rendered: Digest
    run: RunId
    executions: int
    """n of this run."""
    cause: Cause
    reason: str
    expected_change: tuple[Difference, ...] = ()
    opaque: bool = False
    """True where nobody can tell beforehand what the document will change (no `Expect`)."""
    canary: bool = False
    """Goes first and alone; the rest of its association follows once a second look confirms it."""
    fetches: tuple[Fetched, ...] = ()
    """What it brings to the node; `rendered` covers every byte of it."""
    order: int = 0
    forced: bool = False
    """Asked for by hand (`apply`): the re-check looks at holds only."""
    patches: PatchOrder | None = None
    """Of a document that installs patches: the very files it may bring. The digest covers it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Something that would act and does not, and why."""

    node: NodeId | None
    association: AssociationName
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Git stopped managing something that earlier passes applied; nothing is undone."""

    node: NodeId | None
    association: AssociationName | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What a definition did on nodes that this plan leaves alone: a roll-out's counts go on from here."""

    errors: int = 0
    """Nodes where it failed or timed out, as MaxErrors counts."""
    failed: int = 0
    """These, and those where it ended well and left an expectation unmet."""
    well: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Ordered items, and everything that was not made one. The digest is over the inputs and the items, no prose."""

    digest: Digest
    commit: CommitId | None
    trees: Mapping[str, str] = field(default_factory=dict)
    history: CommitId | None = None
    facts: Digest
    at: datetime
    items: tuple[PlanItem, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    removals: tuple[Removal, ...] = ()
    notes: tuple[str, ...] = ()
    tallies: Mapping[AssociationName, Tally] = field(default_factory=dict)
    """Of associations that failed somewhere already."""
    mode: Mode = Mode.ENFORCE
