"""The leader's epoch on the nodes: what they know of it, and telling those that know a lower one. I/O; starts nothing.

A node refuses whoever comes with a lower epoch than it knows. So a new leader makes itself known everywhere before it acts:
an old one that was stopped for a while and goes on is refused even where the new one had nothing to do.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.errors import NodeError
from reconciler.ids import FleetId, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.command import Connect
from reconciler.model.desired import DesiredState
from reconciler.model.known import Known, Unknown
from reconciler.model.node import Become
from reconciler.rollout.node_programs import announce_program
from reconciler.rollout.stragglers import Stragglers

MOST_JUMP: Final = 100
"""How far above ours an epoch that few nodes tell may be: changes of leaders that a remote brought back from a backup lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a fleet's nodes say of its leaders. Each may lie, and no other one is to suffer from it."""

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


def announce(
    facts: Mapping[NodeId, Facts],
    desired: DesiredState,
    epoch: int,
    *,
    connect: Connect,
    workers: int = 32,
    stragglers: Stragglers | None = None,
) -> tuple[NodeId, ...]:
    """Tell nodes that know a lower epoch of ours; gives those that were told.

    A node that knows none never ran anything for this fleet, and is left as it is. One that does not answer is told when it
    does: until then nobody can start anything there. With `stragglers`, one that lets us wait is left to them.
    """
    late = [node for node, known in sorted(facts.items()) if 0 < epoch_on(known, desired.fleet.id) < epoch]
    if not late:
        return ()

    def tell(node: NodeId) -> bool:
        described = desired.nodes[node]
        program = announce_program(desired.fleet.id, epoch=epoch, become=described.become is Become.SUDO)
        try:
            with connect(described) as session:
                return session.run(program).stdout == b"end\n"
        except NodeError:
            return False

    told = (stragglers or Stragglers(patience=None)).each(late, tell, most=workers)
    return tuple(node for node in late if told.get(node))
