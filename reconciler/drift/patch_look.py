"""One look at the patches of a fleet's nodes, at one instant: takes what a pass knows, gives rows, orders and what is gone; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from reconciler.drift.identity import history_of
from reconciler.drift.patched import PatchBooks, Patched
from reconciler.ids import AssociationName, BaselineName
from reconciler.inventory.observed import Facts
from reconciler.model.baseline import PATCH_GROUP_TAGS
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.node import Node
from reconciler.model.patch import patch_title
from reconciler.model.patch_lines import PatchTable, patch_line
from reconciler.model.patch_request import Operation, PatchRequest
from reconciler.patching.approval import Grounds
from reconciler.patching.doubts import scan_doubts
from reconciler.patching.evidence import scan_evidence
from reconciler.patching.from_facts import READ, NodeMemory, node_patches, remembered
from reconciler.patching.gone import remember_gone
from reconciler.patching.ledger import Ledger
from reconciler.patching.node_compliance import ComplianceStatus, summarize
from reconciler.patching.node_patches import Gone, NodePatches
from reconciler.patching.orders import order_of
from reconciler.patching.products import operating_system, product
from reconciler.patching.states import Judge, PatchRow, PatchState, judge_rows, not_applicable
from reconciler.patching.upcoming import upcoming_of
from reconciler.patching.which_baseline import Resolution, resolve_baseline


class Judges:
    """One judge for each baseline and product: verdicts are worked out once for the fleet."""

    def __init__(self, ledger: Ledger, now: datetime) -> None:
        self._ledger = ledger
        self._now = now
        self._made: dict[tuple[BaselineName, str], Judge] = {}

    def of(self, resolution: Resolution, product_name: str) -> Judge | None:
        """Give the judge of a baseline; None: there is none."""
        if resolution.baseline is None:
            return None
        key = resolution.baseline.name, product_name
        if key not in self._made:
            self._made[key] = Judge(
                Grounds(baseline=resolution.baseline, ledger=self._ledger, product=product_name, now=self._now)
            )
        return self._made[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look at one node found."""

    patched: Observed[Patched]
    gone: Mapping[str, datetime]
    waiting: Mapping[str, datetime]
    until: datetime | None = None
    """Until when the rows stay as they are, if the node tells the same; None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchLook:
    """One look at a fleet."""

    desired: DesiredState
    history: History
    books: PatchBooks
    table: PatchTable
    now: datetime
    clock: str
    judges: Judges

    def shown(self, facts: Facts) -> Observed[NodePatches]:
        """Read what a node tells of its packages and lists."""
        return node_patches({name: facts.section(name) for name in READ}, self.table, NodeMemory())

    def node(self, node: Node, facts: Facts, requests: Mapping[AssociationName, PatchRequest | None]) -> Found | None:
        """Look at one node; None: no baseline is its business."""
        known = history_of(self.history, node) or NodeHistory(node=node.id)
        kept = Found(patched=Unknown(""), gone=known.gone, waiting=known.installed_without_reboot)
        system = facts.section("os")
        if isinstance(system, Unknown):
            return replace(kept, patched=Unknown(system.why if facts.unreachable is not None else f"os: {system.why}"))
        identity, version = system_of(facts)
        resolution = resolve_baseline(node.tags, operating_system(identity, version), self.desired.baselines.values())
        serves = resolution.baseline is not None and not resolution.baseline.bundled
        if not requests and not serves and not _is_in_two_groups(node):
            return None
        judge = self.judges.of(resolution, product(identity, version))
        if judge is None:
            return replace(kept, patched=Unknown(f"no baseline: {resolution.reason}"))
        shown = self.shown(facts)
        if isinstance(shown, Unknown):
            return replace(kept, patched=shown)
        booted_at = self._booted_at(facts)
        gone = self._gone(known, shown.value, facts)
        titles = {patch_title(shown.value.family, row.id, row.version) for row in shown.value.installed}
        waiting = {
            title: when
            for title, when in known.installed_without_reboot.items()
            if title in titles and (booted_at is None or booted_at < when)
        }
        patches = replace(shown.value, gone=gone, installed_without_reboot=waiting, booted_at=booted_at)
        installs = {
            name: request
            for name, request in requests.items()
            if request is not None and request.operation is Operation.INSTALL
        }
        return Found(
            patched=Known(self._judged(patches, facts, judge, resolution, installs, self._attempts(known, installs))),
            gone={patch_line(one.patch): one.since for one in gone},
            waiting=waiting,
            until=None if waiting else self._until(patches, judge),
        )

    def again(self, node: Node, facts: Facts, found: Found) -> Found:
        """Give what an earlier look at the same things found, with doubts as they are now."""
        if not isinstance(found.patched, Known):
            return found
        patched = found.patched.value
        identity, version = system_of(facts)
        resolution = resolve_baseline(node.tags, operating_system(identity, version), self.desired.baselines.values())
        judge = self.judges.of(resolution, product(identity, version))
        doubts = () if judge is None else self._doubts(facts, judge)
        return found if doubts == patched.doubts else replace(found, patched=Known(_with_doubts(patched, doubts)))

    def _until(self, patches: NodePatches, judge: Judge) -> datetime:
        """Give when the next wait is over, or the next day comes, with which entries of lists end."""
        today = judge.grounds.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        offers = (*patches.available, *(gone.patch for gone in patches.gone))
        return min(judge.until(offers), today + timedelta(days=1))

    def _doubts(self, facts: Facts, judge: Judge) -> tuple[str, ...]:
        evidence = scan_evidence(facts.sections, product=judge.grounds.product, now=self.now)
        if isinstance(evidence, Unknown):
            return (evidence.why,)
        doubts = scan_doubts(evidence.value, judge.grounds.baseline, self.now)
        return (*doubts, self.clock) if self.clock else doubts

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
        doubts = self._doubts(facts, judge)
        compliance = summarize(rows, doubts=doubts, not_applicable=not_applicable(patches, judge))
        wrong = tuple(row for row in rows if not row.is_compliant)
        return Patched(
            baseline=baseline.name,
            group=resolution.group,
            why=resolution.reason,
            rows=wrong,
            compliance=compliance,
            doubts=doubts,
            orders={name: order_of(request, patches, judge) for name, request in installs.items()},
            upcoming=upcoming_of(patches, judge),
            clock=self.clock,
        )

    def _gone(self, known: NodeHistory, shown: NodePatches, facts: Facts) -> tuple[Gone, ...]:
        """Hold what its lists show now against what they were last reported to show."""
        kept = remembered(known, self.table).gone
        reported = self.books.reported.get(facts.node)
        before = replace(shown, available=(), gone=kept)
        if reported is not None and all(_as_told(reported, name) == _as_told(facts, name) for name in READ):
            before = replace(shown, gone=kept)
        elif reported is not None:
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


def system_of(facts: Facts) -> tuple[str, str]:
    """Give `id` and `version_id` of os-release; empty where they are not known."""
    system = facts.section("os")
    rows = system.value if isinstance(system, Known) else {}
    return str(rows.get("id", "")), str(rows.get("version_id", ""))


def _with_doubts(patched: Patched, doubts: tuple[str, ...]) -> Patched:
    """Judge the same rows with other doubts: they count only where no row is wrong."""
    summary = patched.compliance
    if not patched.rows:
        status = ComplianceStatus.UNKNOWN if doubts else ComplianceStatus.COMPLIANT
        count = sum(summary.counts.values()) - summary.counts.get(PatchState.NOT_APPLICABLE, 0)
        reason = "; ".join(doubts) or f"all {count} rows are compliant"
        summary = replace(summary, status=status, reason=reason)
    return replace(patched, compliance=summary, doubts=doubts)
