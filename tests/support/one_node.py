"""A management host in this process, for one node of the tests: connections to it, and one document carried out there. No git."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reconciler.drift.definitions import Definition
from reconciler.drift.finding import Cause
from reconciler.ids import AssociationName, Digest, DocumentName, FleetId, NodeId
from reconciler.model.association import Association
from reconciler.model.desired import DesiredState
from reconciler.model.fleet import Fleet as FleetSettings
from reconciler.model.node import Become, Node
from reconciler.model.outcome import Outcome
from reconciler.plan.plan import Plan, PlanItem
from reconciler.plan.run_id import run_id
from reconciler.rollout.flight import Delivery
from reconciler.rollout.run import roll_out
from reconciler.transport.known_hosts import parse
from reconciler.transport.pool import ConnectionPool
from tests.support.nodes import TestNode


class OneNode:
    """One node, and who may log in there."""

    def __init__(self, server: TestNode, *, user: str = "", become: Become = Become.SUDO) -> None:
        self.server = server
        self.node = Node(
            id=NodeId(server.name),
            address=server.address,
            port=server.port,
            user=user or server.user,
            identity_file=server.fleet.identity_file.name,
            become=become,
        )

    def pool(self) -> ConnectionPool:
        """Give connections to the node, with the host key it has now."""
        return ConnectionPool(
            known_hosts=parse(self.server.fleet.known_hosts),
            nodes={self.node.id: self.node},
            key_directory=self.server.fleet.identity_file.parent,
        )

    def carry_out(
        self,
        definition: Definition,
        *,
        fleet: FleetId,
        association: AssociationName,
        n: int = 1,
        epoch: int = 1,
        seconds: float = 60,
        stop: threading.Event | None = None,
        outputs: Path | None = None,
        delivery: Delivery | None = None,
    ) -> Outcome:
        """Roll a document out as the only item of a plan, as the `n`th execution; it is waited for `seconds`."""
        document = DocumentName("Doc")
        item = PlanItem(
            node=self.node.id,
            association=association,
            document=f"{document}:1",
            definition=definition.digest,
            rendered=definition.rendered.digest,
            run=run_id(fleet, self.node.id, association, n),
            executions=n,
            cause=Cause.PENDING,
            reason="it was never applied",
        )
        now = datetime.now(UTC)
        with self.pool() as pool:
            (outcome,) = roll_out(
                Plan(digest=Digest("0" * 64), commit=None, facts=Digest("1" * 64), at=now, items=(item,)),
                desired=DesiredState(
                    commit=None,
                    fleet=FleetSettings(id=fleet),
                    nodes={self.node.id: self.node},
                    associations={association: Association(name=association, document=document)},
                ),
                definitions={association: definition},
                connect=pool.connect,
                epoch=epoch,
                clock=lambda: datetime.now(UTC),
                patience=timedelta(seconds=seconds),
                stop=stop or threading.Event(),
                outputs=outputs,
                delivery=delivery,
            )
        return outcome
