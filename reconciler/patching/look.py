"""One node's patches, looked at as a whole: takes desired state, facts and ledger, gives baseline, rows and summary; pure.

`patch list` and `patch explain` print it; nothing is asked of a node here.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.known import Known, Observed, Unknown
from reconciler.model.node import Node
from reconciler.model.patch_lines import PatchTable
from reconciler.model.patch_request import PatchRequest
from reconciler.patching.approval import Grounds
from reconciler.patching.from_facts import NodeMemory, node_patches, sections_of
from reconciler.patching.ledger import Ledger
from reconciler.patching.node_patches import NodePatches
from reconciler.patching.products import operating_system, product
from reconciler.patching.sources import from_sources, gone_from, sources_for
from reconciler.patching.states import Judge
from reconciler.patching.which_baseline import Resolution, resolve_asked

_AS_COMMITTED = "nothing is missing by its package lists, but committed facts do not tell how fresh those were"
"""Ages move with every pass and are not committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLook:
    """What one node is judged by."""

    resolution: Resolution
    patches: NodePatches
    judge: Judge
    doubts: tuple[str, ...]
    """Why its rows may not be the whole truth."""


def look_at_node(
    node: Node,
    desired: DesiredState,
    facts: Facts,
    ledger: Ledger,
    now: datetime,
    memory: NodeMemory | None = None,
    request: PatchRequest | None = None,
    doubts: tuple[str, ...] = (_AS_COMMITTED,),
) -> Observed[NodeLook]:
    """Put together what a node is judged by; Unknown, with the reason, where something of it is missing.

    `doubts`: what the last pass found in the way of trusting its lists, where that is known.
    `request`: what is asked of its patches; a BaselineOverride of it stands in the place of every other baseline, BaselineTags choose one.
    """
    system = facts.section("os")
    if isinstance(system, Unknown):
        return Unknown(f"os: {system.why}")
    identity, version = (str(system.value.get(key, "")) for key in ("id", "version_id"))
    runs = operating_system(identity, version)
    resolution = resolve_asked(node.tags, runs, desired.baselines.values(), request)
    if resolution.baseline is None:
        return Unknown(f"no baseline: {resolution.reason}")
    patches = node_patches(sections_of(facts), PatchTable(), memory or NodeMemory())
    if isinstance(patches, Unknown):
        return patches
    baseline, released = resolution.baseline, product(identity, version)
    if sources_for(baseline, released):
        patches = from_sources(patches.value, baseline, released)
        if isinstance(patches, Unknown):
            return patches
    else:
        patches = Known(replace(patches.value, gone=gone_from(patches.value.gone, baseline, released, ())))
    grounds = Grounds(
        baseline=baseline,
        ledger=ledger.with_seeds(desired.ledger_seeds),
        product=released,
        now=now,
    )
    return Known(NodeLook(resolution=resolution, patches=patches.value, judge=Judge(grounds), doubts=doubts))
