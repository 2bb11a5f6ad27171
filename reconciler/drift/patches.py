"""How the patches of each node stand: takes desired state, facts, ledger and the instant, gives rows, an order and a ledger that grew; pure.

Once a pass, before findings: what nodes show is taken into the ledger first, so that a wait begins in the pass that sees a
version. Nodes that no baseline of the repository's serves, and that no patch association means, are not looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.drift.identity import history_of
from reconciler.ids import AssociationName, BaselineName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.baseline import PATCH_GROUP_TAGS
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.node import Node
from reconciler.model.patch import Patch
from reconciler.model.patch_lines import PatchTable, patch_line
from reconciler.model.patch_order import PatchOrder
from reconciler.model.patch_request import Operation, PatchRequest
from reconciler.patching.approval import Grounds
from reconciler.patching.clock import ClockReadings, trusted_now
from reconciler.patching.doubts import scan_doubts
from reconciler.patching.evidence import scan_evidence
from reconciler.patching.from_facts import READ, NodeMemory, node_patches, remembered
from reconciler.patching.gone import remember_gone
from reconciler.patching.ledger import Ledger, LedgerFinding, with_sightings
from reconciler.patching.node_compliance import NodeCompliance, summarize
from reconciler.patching.node_patches import Gone, NodePatches
from reconciler.patching.orders import order_of
from reconciler.patching.products import operating_system, product
from reconciler.patching.states import Judge, PatchRow, PatchState, judge_rows, not_applicable
from reconciler.patching.upcoming import upcoming_of
from reconciler.patching.which_baseline import Resolution, resolve_baseline

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When nothing was released yet: approvals are judged then where no instant can be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchBooks:
    """What patches are judged by, beside git's word and the nodes'."""

    ledger: Ledger = field(default_factory=Ledger)
    """As the compliance branch has it."""
    committed_at: datetime | None = None
    """When the last compliance commit was made (UTC); None: there is none."""
    reported: Mapping[NodeId, Facts] = field(default_factory=dict)
    """The facts as last reported: what they show and a node shows no more is gone."""
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
    orders: Mapping[AssociationName, PatchOrder | None] = field(default_factory=dict)
    """What the installs of associations that mean it would bring now; None: nothing."""
    upcoming: Mapping[str, datetime] = field(default_factory=dict)
    """Title of a newer version of something installed -> when a rule approves it."""
    clock: str = ""
    """Why the clock is not trusted: nothing is installed then; empty: it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchSurvey:
    """What one look found."""

    nodes: Mapping[NodeId, Observed[Patched]] = field(default_factory=dict)
    """Only nodes whose patches are looked at."""
    ledger: Ledger = field(default_factory=Ledger)
    """The very record that was given where nothing was seen for the first time."""
    gone: Mapping[NodeId, Mapping[str, datetime]] = field(default_factory=dict)
    """What each node's history is to hold of versions that its lists dropped."""
    booted: Mapping[NodeId, Mapping[str, datetime]] = field(default_factory=dict)
    """What it is to hold of installs without the reboot they wait for."""
    findings: tuple[LedgerFinding, ...] = ()
    clock: str = ""

    def with_later(self, later: "PatchSurvey") -> "PatchSurvey":
        """Give it with what a later look at some of the nodes found."""
        return PatchSurvey(
            nodes={**self.nodes, **later.nodes},
            ledger=later.ledger,
            gone={**self.gone, **later.gone},
            booted={**self.booted, **later.booted},
            findings=tuple(dict.fromkeys((*self.findings, *later.findings))),
            clock=later.clock or self.clock,
        )


class PatchSurveyor:
    """Looks at a fleet's patches again and again; remembers records of lines that do not change."""

    def __init__(self) -> None:
        self._table = PatchTable()

    def survey(
        self,
        desired: DesiredState,
        nodes: Mapping[NodeId, Mapping[AssociationName, PatchRequest | None]],
        facts: Mapping[NodeId, Facts],
        history: History,
        books: PatchBooks,
        now: datetime,
        *,
        node_skews: Sequence[float] = (),
    ) -> PatchSurvey:
        """Look at the patches of `nodes`, each with the patch associations that mean it and what they ask (None: not known yet)."""
        if not nodes:
            return PatchSurvey(ledger=books.ledger)
        now = now.replace(microsecond=0)  # as the branch will have it: a daemon made from git alone judges the same
        readings = ClockReadings(
            now=now,
            elapsed=books.elapsed,
            before=books.clock_before,
            last_commit=books.committed_at,
            node_skews=node_skews,
        )
        trusted, doubt = trusted_now(readings)
        self._table.turn()
        looked = {name: facts[name] for name in sorted(nodes) if name in facts}
        seen = {name: self._offers(found) for name, found in looked.items()}
        ledger = books.ledger
        findings: tuple[LedgerFinding, ...] = ()
        if not doubt:
            ledger, findings = with_sightings(ledger, seen, now=now, previous_commit=books.committed_at)
        look = _Look(
            desired=desired,
            history=history,
            books=books,
            table=self._table,
            now=now,
            clock=doubt,
            judges=_Judges(ledger.with_seeds(desired.ledger_seeds), trusted or _NEVER),
        )
        found = {name: look.node(desired.nodes[name], looked[name], nodes[name]) for name in looked}
        return PatchSurvey(
            nodes={name: one.patched for name, one in found.items() if one is not None},
            ledger=ledger,
            gone={name: one.gone for name, one in found.items() if one is not None},
            booted={name: one.waiting for name, one in found.items() if one is not None},
            findings=findings,
            clock=doubt,
        )

    def _offers(self, facts: Facts) -> Iterable[Patch]:
        """Give what a node's lists show; nothing where a line of them does not read: its rows are Unknown then, too."""
        found = node_patches({name: facts.section(name) for name in READ}, self._table, NodeMemory())
        return found.value.available if isinstance(found, Known) else ()


class _Judges:
    """One judge for each baseline and product: verdicts are worked out once for the fleet."""

    def __init__(self, ledger: Ledger, now: datetime) -> None:
        self._ledger = ledger
        self._now = now
        self._made: dict[tuple[BaselineName, str], Judge] = {}

    def of(self, resolution: Resolution, product_name: str) -> Judge | None:
        if resolution.baseline is None:
            return None
        key = resolution.baseline.name, product_name
        if key not in self._made:
            self._made[key] = Judge(
                Grounds(baseline=resolution.baseline, ledger=self._ledger, product=product_name, now=self._now)
            )
        return self._made[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    patched: Observed[Patched]
    gone: Mapping[str, datetime]
    waiting: Mapping[str, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look at a fleet."""

    desired: DesiredState
    history: History
    books: PatchBooks
    table: PatchTable
    now: datetime
    clock: str
    judges: _Judges

    def node(self, node: Node, facts: Facts, requests: Mapping[AssociationName, PatchRequest | None]) -> _Found | None:
        """Look at one node; None: no baseline is its business."""
        known = history_of(self.history, node) or NodeHistory(node=node.id)
        kept = _Found(patched=Unknown(""), gone=known.gone, waiting=known.installed_without_reboot)
        system = facts.section("os")
        if isinstance(system, Unknown):
            return replace(kept, patched=Unknown(system.why if facts.unreachable is not None else f"os: {system.why}"))
        identity, version = (str(system.value.get(key, "")) for key in ("id", "version_id"))
        resolution = resolve_baseline(node.tags, operating_system(identity, version), self.desired.baselines.values())
        serves = resolution.baseline is not None and not resolution.baseline.bundled
        if not requests and not serves and not _is_in_two_groups(node):
            return None
        judge = self.judges.of(resolution, product(identity, version))
        if judge is None:
            return replace(kept, patched=Unknown(f"no baseline: {resolution.reason}"))
        memory = NodeMemory(booted_at=self._booted_at(facts))
        shown = node_patches({name: facts.section(name) for name in READ}, self.table, memory)
        if isinstance(shown, Unknown):
            return replace(kept, patched=shown)
        gone = self._gone(known, shown.value, node.id)
        waiting = {
            title: when
            for title, when in known.installed_without_reboot.items()
            if memory.booted_at is None or memory.booted_at < when
        }
        patches = replace(shown.value, gone=gone, installed_without_reboot=waiting)
        installs = {
            name: request
            for name, request in requests.items()
            if request is not None and request.operation is Operation.INSTALL
        }
        return _Found(
            patched=Known(self._judged(patches, facts, judge, resolution, installs, self._attempts(known, installs))),
            gone={patch_line(one.patch): one.since for one in gone},
            waiting=waiting,
        )

    def _judged(
        self,
        patches: NodePatches,
        facts: Facts,
        judge: Judge,
        resolution: Resolution,
        installs: Mapping[AssociationName, PatchRequest],
        attempts: Sequence[datetime],
    ) -> Patched:
        baseline = judge.grounds.baseline
        rows = tuple(_with_attempts(row, attempts) for row in judge_rows(patches, judge))
        evidence = scan_evidence(facts.sections, product=judge.grounds.product, now=self.now)
        doubts = (evidence.why,) if isinstance(evidence, Unknown) else scan_doubts(evidence.value, baseline, self.now)
        compliance = summarize(
            rows,
            doubts=(*doubts, self.clock) if self.clock else doubts,
            not_applicable=not_applicable(patches, judge),
        )
        wrong = tuple(row for row in rows if not row.is_compliant)
        return Patched(
            baseline=baseline.name,
            group=resolution.group,
            why=resolution.reason,
            rows=wrong,
            compliance=compliance,
            orders={name: order_of(request, patches, judge) for name, request in installs.items()},
            upcoming=upcoming_of(patches, judge),
            clock=self.clock,
        )

    def _gone(self, known: NodeHistory, shown: NodePatches, node: NodeId) -> tuple[Gone, ...]:
        """Hold what its lists show now against what they were last reported to show."""
        kept = remembered(known, self.table).gone
        reported = self.books.reported.get(node)
        before = replace(shown, available=(), gone=kept)
        if reported is not None:
            told = node_patches({name: _as_told(reported, name) for name in READ}, self.table, NodeMemory())
            if isinstance(told, Known):
                before = replace(told.value, gone=kept)
        return remember_gone(before, shown, now=self.now, kept=frozenset())

    def _attempts(self, known: NodeHistory, names: Iterable[AssociationName]) -> Sequence[datetime]:
        """Give when installs began that ended, and after which not everything was found in order."""
        rows = (known.applied.get(name) for name in names)
        return [row.started for row in rows if row is not None and row.started is not None and _left_something(row)]

    def _booted_at(self, facts: Facts) -> datetime | None:
        """Give when the node was booted, by our own clock."""
        match facts.get("clock", "uptime"):
            case Known(int() | float() as seconds) if 0 <= seconds < 2**31:
                return self.now - timedelta(seconds=seconds)
        return None


def _is_in_two_groups(node: Node) -> bool:
    return len({node.tags[tag] for tag in PATCH_GROUP_TAGS if tag in node.tags}) > 1


def _left_something(row: Applied) -> bool:
    return row.executions > 0 and row.status is not None and row.status is not RunStatus.IN_PROGRESS and not row.in_sync


def _with_attempts(row: PatchRow, attempts: Sequence[datetime]) -> PatchRow:
    """SSM: what an Install was to bring and did not is FAILED, until it is tried anew or comes by itself."""
    date = None if row.approval is None else row.approval.approval_date
    tried = [at for at in attempts if date is None or date <= at]
    if row.state is not PatchState.MISSING or row.target is None or not tried:
        return row
    said = f"the install of {max(tried):%Y-%m-%d %H:%M} UTC did not bring it"
    return replace(row, state=PatchState.FAILED, reason=f"{said}; {row.reason}")


def _as_told(facts: Facts, section: str) -> Observed[Mapping[str, JsonValue]]:
    """Give a section as the node told it last, whether or not it answered since."""
    return facts.sections.get(section, Unknown(f"section {section} was not collected"))


def with_patches(history: History, survey: PatchSurvey) -> History:
    """Take in what nodes show no more, and what was booted since; the same record where nothing changed."""
    nodes = dict(history.nodes)
    for node, gone in survey.gone.items():
        known = nodes.get(node, NodeHistory(node=node))
        waiting = survey.booted[node]
        if (known.gone, known.installed_without_reboot) != (gone, waiting):
            nodes[node] = replace(known, gone=gone, installed_without_reboot=waiting)
    return replace(history, nodes=nodes) if nodes != history.nodes else history
