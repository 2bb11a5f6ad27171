"""Between two passes: runs that go on alone are looked at, so that what waits for their slots or nodes need not wait for the interval.

Takes the runs that a pass left going and a way to reach their nodes; says when one of them needs a pass. It settles nothing,
starts nothing and keeps nothing: the pass does.
"""

from collections.abc import Iterable

from reconciler.errors import NodeError
from reconciler.inventory.crew import Crew
from reconciler.model.command import Connect
from reconciler.model.desired import DesiredState
from reconciler.model.node import Become
from reconciler.model.outcome import RunRecord
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.sight import Standing

LOOKERS = 32
"""Nodes that are looked at together."""


class GoingRuns:
    """The runs that a pass left going."""

    def __init__(self, records: Iterable[RunRecord], desired: DesiredState, connect: Connect, runs: NodeRuns) -> None:
        self._left = tuple(record for record in records if not record.status.ended and record.node in desired.nodes)
        self._desired = desired
        self._connect = connect
        self._runs = runs

    def __bool__(self) -> bool:
        return bool(self._left)

    def one_needs_a_pass(self) -> bool:
        """Look at each: has one ended, or does it wait to go on after a reboot? A node that is away is left to the interval."""
        seen = tuple(Crew(self._left, self._standing, most=LOOKERS).results())
        self._left = tuple(record for record, standing in seen if standing is not None)
        return any(standing not in (None, Standing.GOING, Standing.ORPHAN) for _, standing in seen)

    def _standing(self, record: RunRecord) -> Standing | None:
        node = self._desired.nodes[record.node]
        try:
            with self._connect(node) as session:
                return self._runs.look(session, record.run, become=node.become is Become.SUDO).standing
        except NodeError:
            return None
