"""How the patches of a node and of a fleet stand, and what that is judged by: records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.ids import AssociationName, BaselineName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.known import Observed
from reconciler.model.patch_order import PatchOrder
from reconciler.patching.ledger import Ledger, LedgerFinding
from reconciler.patching.needed_files import NeededFile
from reconciler.patching.node_compliance import NodeCompliance
from reconciler.patching.states import PatchRow


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchBooks:
    """What patches are judged by, beside git's word and the nodes'."""

    ledger: Ledger = field(default_factory=Ledger)
    """As the compliance branch has it."""
    committed_at: datetime | None = None
    """When the last compliance commit was made (UTC); None: there is none."""
    reported: Mapping[NodeId, Facts] = field(default_factory=dict)
    """The facts as last reported: what they show and a node shows no more is gone."""
    keeps_files: bool = False
    """Whether the management host keeps files of patches; nobody has to know which ones were good to have else."""
    kept: frozenset[str] = frozenset()
    """Checksums (`sha256:HEX`) of the files that it holds."""
    clock_before: datetime | None = None
    """The wall clock at this process's last pass; None: this is its first."""
    elapsed: timedelta | None = None
    """Since then, by the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patched:
    """The patches of one node under one baseline."""

    baseline: BaselineName
    group: str
    """The patch group it is in; empty: none."""
    why: str
    """Why that baseline."""
    rows: tuple[PatchRow, ...]
    """Those that are not compliant."""
    compliance: NodeCompliance
    doubts: tuple[str, ...] = ()
    """Why zero missing would prove nothing."""
    orders: Mapping[AssociationName, PatchOrder | None] = field(default_factory=dict)
    """What the installs of associations that mean it would bring now; None: nothing."""
    upcoming: Mapping[str, datetime] = field(default_factory=dict)
    """Title of a newer version of something installed -> when a rule approves it."""
    clock: str = ""
    """Why the clock is not trusted: nothing is installed then; empty: it is."""


Overridden = Mapping[AssociationName, Observed[Patched]]
"""What a node's patches are under the BaselineOverride of each association that has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSurvey:
    """What one look found."""

    nodes: Mapping[NodeId, Observed[Patched]] = field(default_factory=dict)
    """Only nodes whose patches are looked at by a baseline of their own."""
    overridden: Mapping[NodeId, Overridden] = field(default_factory=dict)
    """Only nodes that associations look at by another one."""
    ledger: Ledger = field(default_factory=Ledger)
    """The very record that was given where nothing was seen for the first time."""
    gone: Mapping[NodeId, Mapping[str, datetime]] = field(default_factory=dict)
    """What each node's history is to hold of versions that its lists dropped."""
    booted: Mapping[NodeId, Mapping[str, datetime]] = field(default_factory=dict)
    """What it is to hold of installs without the reboot they wait for."""
    needed: Mapping[NodeId, tuple[NeededFile, ...]] = field(default_factory=dict)
    """Files that the management host does well to hold, where it keeps any."""
    findings: tuple[LedgerFinding, ...] = ()
    clock: str = ""

    def of(self, node: NodeId, association: AssociationName) -> Observed[Patched] | None:
        """Give a node's patches as an association has them judged; None: nobody looked."""
        found = self.overridden.get(node, {}).get(association)
        return self.nodes.get(node) if found is None else found

    def with_later(self, later: "PatchSurvey") -> "PatchSurvey":
        """Give it with what a later look at some of the nodes found."""
        return PatchSurvey(
            nodes={**self.nodes, **later.nodes},
            overridden={**self.overridden, **later.overridden},
            ledger=later.ledger,
            gone={**self.gone, **later.gone},
            booted={**self.booted, **later.booted},
            needed={**self.needed, **later.needed},
            findings=tuple(dict.fromkeys((*self.findings, *later.findings))),
            clock=later.clock or self.clock,
        )
