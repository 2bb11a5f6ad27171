"""Telling a leader's epoch to nodes that know a lower one. I/O; starts nothing.

A node refuses whoever comes with a lower epoch than it knows. So a new leader makes itself known everywhere before it acts:
an old one that was stopped for a while and goes on is refused even where the new one had nothing to do.
"""

from collections.abc import Mapping

from reconciler.drift.epochs import epoch_on
from reconciler.errors import NodeError
from reconciler.ids import NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.command import Connect
from reconciler.model.desired import DesiredState
from reconciler.model.node import Become
from reconciler.rollout.node_programs import announce_program
from reconciler.rollout.stragglers import Stragglers


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
