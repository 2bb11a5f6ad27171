"""What nodes tell of a fleet's leaders: each may lie, and no other one is to suffer from it. Takes facts; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.ids import FleetId, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.known import Known, Unknown

MOST_JUMP: Final = 100
"""How far above ours an epoch that few nodes tell may be: changes of leaders that a remote brought back from a backup lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a fleet's nodes say of its leaders."""

    epochs: Mapping[NodeId, int] = field(default_factory=dict)
    """Of each node that answered; 0: it knows none."""
    silent: int = 0
    """How many nodes of the fleet were not asked, or did not answer, or in a way that means nothing."""

    def above(self, ours: int) -> int:
        """Give the highest epoch that is worth leading above; 0: none.

        One that is a little above ours, by whomever it is told, or one that more than half of the whole fleet has heard of.
        Who says more is alone with it, and refuses for itself.
        """
        near = max((epoch for epoch in self.epochs.values() if epoch <= ours + MOST_JUMP), default=0)
        return max(near, self._of_most(self.silent))

    @property
    def of_most(self) -> int:
        """Give the highest epoch that more than half of those that answered have heard of."""
        return self._of_most(0)

    def _of_most(self, silent: int) -> int:
        falling = sorted(self.epochs.values(), reverse=True)
        middle = (len(falling) + silent) // 2
        return falling[middle] if middle < len(falling) else 0


def heard_from(facts: Mapping[NodeId, Facts], desired: DesiredState) -> Heard:
    """Gather what nodes say of this fleet's leaders."""
    epochs: dict[NodeId, int] = {}
    for node, found in facts.items():
        match found.get("epochs", desired.fleet.id):
            case Known(int(epoch)):
                epochs[node] = epoch
            case Known(None):
                epochs[node] = 0
    return Heard(epochs=epochs, silent=len(desired.nodes.keys() - epochs.keys()))


def without_refusing(facts: Mapping[NodeId, Facts], fleet: FleetId, epoch: int) -> Mapping[NodeId, Facts]:
    """Give the same facts, with nodes as Unknown that will refuse whoever leads with this epoch, each for itself."""
    changed: dict[NodeId, Facts] = {}
    for node, found in facts.items():
        why = _refusing(found, fleet, epoch)
        if why is not None:
            changed[node] = replace(found, unreachable=why)
    return {**facts, **changed} if changed else facts


def _refusing(facts: Facts, fleet: FleetId, epoch: int) -> str | None:
    if isinstance(facts.section("epochs"), Unknown):
        return None
    match facts.get("epochs", fleet):
        case Known(int(known)) if known > epoch:
            told = f"it has heard of a leader with epoch {known}, and we lead with {epoch}"
        case Unknown(why=why):
            told = f"which leaders it has heard of cannot be told: {why}"
        case _:
            return None
    return (
        f"the node takes nothing from us: {told}; where no other daemon leads this fleet, see who wrote there, and remove "
        f"/var/lib/reconciler/epochs/{fleet} on it"
    )


def epoch_on(facts: Facts, fleet: FleetId) -> int:
    """Give the highest epoch of this fleet's leaders that a node knows; 0 where it knows none, or cannot be asked."""
    match facts.get("epochs", fleet):
        case Known(int(epoch)):
            return epoch
        case _:
            return 0
