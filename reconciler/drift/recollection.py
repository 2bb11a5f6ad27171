"""History as a pass goes by it: what the branch says, with what nodes remember and what became of earlier runs; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.drift.identity import renamed, with_traced
from reconciler.drift.lost_history import OfThisFleet, guarded, rebuilt
from reconciler.drift.memory import with_seen, with_settled
from reconciler.drift.patches import with_told
from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.model.outcome import RunRecord
from reconciler.model.patch_request import PatchRequest
from reconciler.model.pause import Pauses


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a plan stands on beside its commits, its facts and its instant: with all of them it can be made again."""

    forced: AssociationName | None = None
    """What somebody asked for by `apply`."""
    allow_shrink: frozenset[AssociationName] = frozenset()
    new_history: bool = False
    """A person said that the lost history is to be rebuilt from the nodes' markers."""
    settled: tuple[RunRecord, ...] = ()
    """What became of associations' runs that earlier passes left."""
    host_keys: Mapping[NodeId, str | None] = field(default_factory=dict)
    skews: tuple[float, ...] = ()
    """How far the nodes' clocks are from this host's, in seconds."""
    epoch: int | None = None
    """Ours among the leaders; None: nobody was told to do anything."""
    pauses: Pauses = field(default_factory=Pauses)


def believed(
    history: History,
    facts: Mapping[NodeId, Facts],
    now: datetime,
    desired: DesiredState,
    *,
    new_history: bool,
    run_of: OfThisFleet,
) -> History:
    """Hold what the branch says against what the nodes remember."""
    former = {node.id: node.former_ids for node in desired.nodes.values() if node.former_ids}
    held_against = rebuilt if new_history else guarded
    return held_against(renamed(history, desired.nodes.values()), facts, now, run_of, former)


def recollected(
    history: History,
    facts: Mapping[NodeId, Facts],
    now: datetime,
    basis: Basis,
    *,
    patched: Mapping[NodeId, Mapping[AssociationName, PatchRequest | None]],
) -> History:
    """Give the history that findings rest on, from one that is believed."""
    traced = with_traced(with_settled(history, basis.settled, now), facts)
    return with_told(with_seen(traced, facts, now, host_keys=basis.host_keys), basis.settled, facts, patched)
