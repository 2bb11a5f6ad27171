"""One node's patches, looked at as a whole: takes desired state, facts and ledger, gives baseline, rows and summary; pure.

`patch list` and `patch explain` print it; nothing is asked of a node here.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from reconciler.inventory.observed import Facts
from reconciler.model.baseline import OperatingSystem, PatchBaseline
from reconciler.model.desired import DesiredState
from reconciler.model.known import Known, Observed, Unknown
from reconciler.model.node import Node
from reconciler.model.patch_lines import PatchTable
from reconciler.patching.approval import Grounds
from reconciler.patching.from_facts import READ, NodeMemory, node_patches
from reconciler.patching.ledger import Ledger
from reconciler.patching.node_patches import NodePatches
from reconciler.patching.products import operating_system, product
from reconciler.patching.states import Judge
from reconciler.patching.which_baseline import Resolution, resolve_baseline

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
    override: Collection[PatchBaseline] = (),
    doubts: tuple[str, ...] = (_AS_COMMITTED,),
) -> Observed[NodeLook]:
    """Put together what a node is judged by; Unknown, with the reason, where something of it is missing.

    `doubts`: what the last pass found in the way of trusting its lists, where that is known.
    `override`: SSM's BaselineOverride, which stands in the place of every other baseline.
    """
    system = facts.section("os")
    if isinstance(system, Unknown):
        return Unknown(f"os: {system.why}")
    identity, version = (str(system.value.get(key, "")) for key in ("id", "version_id"))
    runs = operating_system(identity, version)
    resolution = (
        _overridden(override, runs) if override else resolve_baseline(node.tags, runs, desired.baselines.values())
    )
    if resolution.baseline is None:
        return Unknown(f"no baseline: {resolution.reason}")
    patches = node_patches(
        {name: facts.section(name) for name in READ},
        PatchTable(),
        memory or NodeMemory(),
    )
    if isinstance(patches, Unknown):
        return patches
    grounds = Grounds(
        baseline=resolution.baseline,
        ledger=ledger.with_seeds(desired.ledger_seeds),
        product=product(identity, version),
        now=now,
    )
    return Known(NodeLook(resolution=resolution, patches=patches.value, judge=Judge(grounds), doubts=doubts))


def _overridden(override: Collection[PatchBaseline], runs: OperatingSystem | None) -> Resolution:
    """SSM: a BaselineOverride has a baseline for the node's operating system, or the operation fails."""
    found = next((one for one in override if one.operating_system is runs), None)
    return Resolution(
        baseline=found, reason="BaselineOverride" if found else "BaselineOverride has none for its system"
    )
