"""What a patch document that somebody sends is to bring to each node: asks them now, and judges as a pass does. I/O through sessions.

A command follows the node's own baseline and the ledger as committed: it dates nothing, so that nobody makes a version older than
a pass has seen it. What cannot be told of a node is an Unknown, and nothing is sent there.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from reconciler.errors import NodeError
from reconciler.ids import NodeId
from reconciler.inventory.collect import ask
from reconciler.inventory.observed import Facts
from reconciler.model.command import Connect
from reconciler.model.desired import DesiredState
from reconciler.model.known import Known, Observed, Unknown
from reconciler.model.node import Node
from reconciler.model.patch_order import PatchOrder
from reconciler.model.patch_request import PatchRequest
from reconciler.model.questions import Questions
from reconciler.patching.ledger import Ledger
from reconciler.patching.look import look_at_node
from reconciler.patching.orders import order_of

WORKERS = 16
"""Nodes that are asked at once: a list of packages is some 200 KB."""


def patch_orders(
    request: PatchRequest,
    nodes: Iterable[Node],
    desired: DesiredState,
    ledger: Ledger,
    connect: Connect,
    now: datetime,
) -> Mapping[NodeId, Observed[PatchOrder | None]]:
    """Give what each node is to get; None within Known: nothing is to be done there."""
    wanted = tuple(nodes)
    questions = Questions(fleet=desired.fleet.id, patches=True, ports=(), mounts=False)

    def one(node: Node) -> Observed[PatchOrder | None]:
        try:
            with connect(node) as session:
                facts = ask(session, node, questions).facts
        except NodeError as error:
            return Unknown(str(error))
        return order_for(request, node, desired, facts, ledger, now)

    with ThreadPoolExecutor(max_workers=max(1, min(WORKERS, len(wanted))), thread_name_prefix="patches") as pool:
        answers = list(pool.map(one, wanted))
    return {node.id: found for node, found in zip(wanted, answers, strict=True)}


def order_for(
    request: PatchRequest, node: Node, desired: DesiredState, facts: Facts, ledger: Ledger, now: datetime
) -> Observed[PatchOrder | None]:
    """Judge one node's facts; pure."""
    look = look_at_node(node, desired, facts, ledger, now, override=request.baselines)
    if isinstance(look, Unknown):
        return look
    return Known(order_of(request, look.value.patches, look.value.judge))
