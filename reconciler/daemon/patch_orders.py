"""What a patch document that somebody sends is to bring to each node: asks them now, and judges as a pass does. I/O through sessions.

A command follows the node's own baseline, or that of its BaselineOverride, and the ledger as committed: it dates nothing, so that nobody makes a version older than
a pass has seen it. What cannot be told of a node is an Unknown, and nothing is sent there.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.drift.refreshes import with_refreshes, with_sources
from reconciler.errors import NodeError
from reconciler.foreign_text import Sink, fit
from reconciler.ids import NodeId
from reconciler.inventory.collect import ask, collect
from reconciler.inventory.observed import Facts
from reconciler.model.command import Connect
from reconciler.model.desired import DesiredState
from reconciler.model.history import NodeHistory
from reconciler.model.known import Known, Observed, Unknown
from reconciler.model.node import Node
from reconciler.model.patch_lines import PatchTable
from reconciler.model.patch_order import PatchOrder
from reconciler.model.patch_request import Operation, PatchRequest
from reconciler.model.questions import Questions
from reconciler.patching.doubts import scan_doubts
from reconciler.patching.evidence import scan_evidence
from reconciler.patching.from_facts import NodeMemory, family_of, remembered
from reconciler.patching.gone import remember_gone
from reconciler.patching.ledger import Ledger
from reconciler.patching.look import NodeLook, look_at_node
from reconciler.patching.orders import order_of
from reconciler.patching.since_boot import booted_at, brought
from reconciler.patching.sources import gone_from

WORKERS = 16
"""Nodes that are asked at once: a list of packages is some 200 KB."""
_LONGEST = 300
_AGES = frozenset({"os", "repositories", "metadata"})
"""What tells how old a node's lists are: `metadata` goes by what `repositories` found."""
_SOURCE_AGES = frozenset({"sources", "source_times"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What a command judges by, beside git's word and the nodes'."""

    ledger: Ledger
    """As committed."""
    nodes: Mapping[NodeId, NodeHistory]
    """As committed: what their lists have dropped."""
    kept: frozenset[str]
    """Checksums of the files that this host holds."""


def patch_orders(
    request: PatchRequest,
    nodes: Iterable[Node],
    desired: DesiredState,
    books: Books,
    connect: Connect,
    now: datetime,
) -> Mapping[NodeId, Observed[PatchOrder | None]]:
    """Give what each node is to get; None within Known: nothing is to be done there."""
    wanted = tuple(nodes)

    def one(node: Node) -> Observed[PatchOrder | None]:
        return order_for(request, node, desired, _facts_of(request, node, desired, connect, now), books, now)

    with ThreadPoolExecutor(max_workers=max(1, min(WORKERS, len(wanted))), thread_name_prefix="patches") as pool:
        answers = list(pool.map(one, wanted))
    return {node.id: found for node, found in zip(wanted, answers, strict=True)}


def _facts_of(request: PatchRequest, node: Node, desired: DesiredState, connect: Connect, now: datetime) -> Facts:
    """Ask a node what it runs, refresh its lists where its baseline wants that, and ask it for its patches."""
    patched = {node.id: (request,)}
    questions: Mapping[NodeId, Questions] = {
        node.id: Questions(fleet=desired.fleet.id, patches=True, ports=(), mounts=False)
    }
    try:
        with connect(node) as session:
            first = ask(session, node, questions[node.id], only=_AGES)
            questions = with_sources(questions, patched, desired, lambda _: first.facts)
            if questions[node.id].sources:
                ages = ask(session, node, questions[node.id], only=_SOURCE_AGES).facts.sections
                first = replace(first, facts=replace(first.facts, sections={**first.facts.sections, **ages}))
    except NodeError as error:
        return Facts(node=node.id, unreachable=str(error))
    asked = with_refreshes(questions, patched, desired, {node.id: first}, now)
    return collect([node], asked, connect)[node.id].facts


def _memory(known: NodeHistory, facts: Facts, now: datetime) -> NodeMemory:
    """Give what still waits for a reboot: SSM's RebootIfNeeded reboots for it, too."""
    system = facts.section("os")
    family = family_of(system.value) if isinstance(system, Known) else None
    waiting = known.installed_without_reboot
    return NodeMemory(
        installed_without_reboot=waiting if family is None else brought(facts, family, waiting, now),
        booted_at=booted_at(facts, now),
    )


def order_for(
    request: PatchRequest, node: Node, desired: DesiredState, facts: Facts, books: Books, now: datetime
) -> Observed[PatchOrder | None]:
    """Judge one node's facts; pure."""
    known = books.nodes.get(node.id) or NodeHistory(node=node.id)
    look = look_at_node(node, desired, facts, books.ledger, now, _memory(known, facts, now), request)
    if isinstance(look, Unknown):
        return look
    shown = look.value.patches
    grounds = look.value.judge.grounds
    dropped = remembered(known, PatchTable()).gone
    before = replace(shown, available=(), gone=gone_from(dropped, grounds.baseline, grounds.product, shown.fetched))
    gone = remember_gone(before, shown, now=now, kept=books.kept)
    order = order_of(request, replace(shown, gone=gone), look.value.judge)
    if request.operation is Operation.INSTALL or request.end_if_nothing:
        return Known(order)
    return Known(_with_doubts(order, look.value, facts, now))


def _with_doubts(order: PatchOrder | None, look: NodeLook, facts: Facts, now: datetime) -> PatchOrder | None:
    """Let a Scan say why what it found proves nothing, as a report does."""
    grounds = look.judge.grounds
    evidence = scan_evidence(facts.sections, product=grounds.product, now=now)
    doubts = (evidence.why,) if isinstance(evidence, Unknown) else scan_doubts(evidence.value, grounds.baseline, now)
    if not doubts:
        return order
    nothing = PatchOrder(baseline=grounds.baseline.name, family=look.patches.family, told=("nothing is missing",))
    begun = order or nothing
    words = (f"UNKNOWN: {fit(doubt, Sink.LOG, limit=_LONGEST)}" for doubt in doubts)
    return replace(begun, told=(*begun.told, *words))
