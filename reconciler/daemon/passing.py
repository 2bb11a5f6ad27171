"""What a pass is asked to do, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.compliance.report import FleetSummary, NodeReport, Status
from reconciler.errors import UsageError
from reconciler.ids import AssociationName, CommitId, NodeId
from reconciler.model.outcome import Outcome
from reconciler.plan.ground import Ground
from reconciler.plan.plan import Plan
from reconciler.targets.selector import parse_selectors


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What one pass is asked to do."""

    limit: tuple[str, ...] = ()
    dry_run: bool = False
    apply: str | None = None
    accept_rewind: str | None = None
    """A commit the state branch was rewound to on purpose."""
    new_history: bool = False
    """Begin the history of reports anew, from what the nodes remember."""
    take_over: bool = False
    """Lead from now on, whoever does now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """What came of a pass, for whoever tells it."""

    plan: Plan
    outcomes: tuple[Outcome, ...]
    reports: Mapping[NodeId, NodeReport]
    """Of every node; those outside the limit as last reported."""
    summary: FleetSummary
    problems: tuple[str, ...]
    """What needs attention first; foreign text."""
    warnings: tuple[str, ...]
    """What should be otherwise, and keeps nothing from being in sync; foreign text."""
    dry_run: bool
    lost: str | None
    """Why the history of reports is lost: then nothing is known to be in sync, not even a fleet without associations."""
    report_commit: CommitId | None
    """None: nothing changed, or nothing was to be committed."""
    commit_words: str
    seconds: float

    @property
    def all_in_sync(self) -> bool:
        """Nothing pending, waiting, drifted, failed or unknown."""
        return self.lost is None and all(report.status is Status.COMPLIANT for report in self.reports.values())


def limited(base: Ground, limit: tuple[str, ...]) -> tuple[NodeId, ...]:
    """Give the nodes that a `--limit` means, all without one. Raises UsageError where it means none."""
    wanted = parse_selectors(limit, base.desired.groups)
    found = tuple(name for name in sorted(base.desired.nodes) if wanted(base.desired.nodes[name]))
    if limit and not found:
        raise UsageError(f"no node of this fleet is meant by {', '.join(limit)}; `reconciler nodes` lists them")
    return found


def asked_nodes(request: Request, base: Ground) -> tuple[NodeId, ...]:
    """Give the nodes a pass is asked for. Raises UsageError where the request means nothing."""
    nodes = limited(base, request.limit)
    if request.apply is None:
        return nodes
    name = AssociationName(request.apply)
    if name not in base.desired.associations:
        raise UsageError(f"no association is named {name!r}; state/associations holds them")
    if not any(target.node in nodes for target in base.targets.by_association.get(name, ())):
        raise UsageError(f"association {name!r} means none of these nodes: see its Targets")
    return nodes
