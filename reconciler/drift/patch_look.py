"""One look at the patches of a fleet's nodes, at one instant: takes what a pass knows, gives rows, orders and what is gone; pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from reconciler.drift.identity import history_of
from reconciler.drift.patch_attempts import attempts_of, with_attempts, with_list
from reconciler.drift.patch_judges import Judges
from reconciler.drift.patch_told import Reader, Rows, Told
from reconciler.drift.patched import Overridden, PatchBooks, Patched
from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import History, NodeHistory, RunStatus
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.node import Node
from reconciler.model.patch import Family, Installed, Patch, patch_title
from reconciler.model.patch_lines import PatchTable, patch_line
from reconciler.model.patch_order import PatchOrder
from reconciler.model.patch_request import Operation, PatchRequest
from reconciler.patching.approval import ApprovalStatus
from reconciler.patching.doubts import scan_doubts
from reconciler.patching.evidence import scan_evidence
from reconciler.patching.from_facts import NodeMemory, gone_text, node_patches, remembered, sections_of
from reconciler.patching.gone import remember_gone
from reconciler.patching.ledger import key_of
from reconciler.patching.needed_files import NeededFile, needed_files
from reconciler.patching.node_compliance import ComplianceStatus, summarize
from reconciler.patching.node_patches import Gone, NodePatches
from reconciler.patching.orders import order_of
from reconciler.patching.products import operating_system, product
from reconciler.patching.since_boot import booted_at, brought
from reconciler.patching.sources import from_sources, gone_from, is_own, offered, sources_for
from reconciler.patching.states import Judge, PatchRow, PatchState, judge_rows
from reconciler.patching.stream import RowStream
from reconciler.patching.versions import COMPARE_LABELS
from reconciler.patching.which_baseline import (
    Resolution,
    may_have_baseline,
    resolve_asked,
    resolve_baseline,
    serves_itself,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a look at one node found."""

    patched: Observed[Patched] | None
    """By the node's own baseline; None: none is its business."""
    overridden: Overridden = field(default_factory=dict)
    gone: Mapping[str, datetime]
    waiting: Mapping[str, datetime]
    needed: tuple[NeededFile, ...] = ()
    """Files that the management host does well to hold; nothing where it keeps none."""
    until: datetime | None = None
    """Until when the rows stay as they are, if the node tells the same; None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One baseline that a node is looked at by."""

    association: AssociationName | None
    """Whose BaselineOverride or BaselineTags it is; None: it is the node's own."""
    resolution: Resolution
    requests: Mapping[AssociationName, PatchRequest | None]
    """What goes by it."""


def _overrides(request: PatchRequest | None) -> bool:
    return request is not None and request.has_own_baseline


def _found_of(found: Found, by: Mapping[AssociationName | None, Observed[Patched]]) -> Found:
    return replace(found, patched=by.get(None), overridden={name: one for name, one in by.items() if name is not None})


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
    reader: Reader
    streams: dict[tuple[int, Family, str], RowStream] = field(default_factory=dict)
    """By judge (which `judges` keeps), family and machine."""
    narrowed: dict[tuple[int, int, int], tuple[Rows, Rows, Rows, tuple[Patch, ...]]] = field(default_factory=dict)
    """By list of offers and judge: what the sources of its baseline offer of it."""

    def node(self, node: Node, facts: Facts, requests: Mapping[AssociationName, PatchRequest | None]) -> Found | None:
        """Look at one node; None: no baseline is its business."""
        known = history_of(self.history, node) or NodeHistory(node=node.id)
        kept = Found(patched=None, gone=known.gone, waiting=known.installed_without_reboot)
        system = facts.section("os")
        if isinstance(system, Unknown):
            why = system.why if facts.unreachable is not None else f"os: {system.why}"
            plain = [name for name, request in requests.items() if not _overrides(request)]
            mine = bool(plain) or may_have_baseline(node.tags, self.desired.baselines.values())
            return _found_of(kept, {name: Unknown(why) for name in (*[None] * mine, *requests) if name not in plain})
        views = self._views(node, facts, requests)
        if not views:
            return None
        judged = {view.association: self.judges.of(view.resolution, product(*system_of(facts))) for view in views}
        unjudged: dict[AssociationName | None, Observed[Patched]] = {
            view.association: Unknown(f"no baseline: {view.resolution.reason}")
            for view in views
            if judged[view.association] is None
        }
        told = self.reader.told(sections_of(facts))
        why = told.why if isinstance(told, Unknown) else ""
        if isinstance(told, Known) and len(unjudged) < len(views):
            looks = [(view, judge) for view in views if (judge := judged[view.association]) is not None]
            try:
                return self._found(node, facts, told.value, known, looks, unjudged)
            except ValueError as exc:
                why = f"its packages do not read: {exc}"
        return _found_of(kept, {view.association: Unknown(why) for view in views} | unjudged)

    def _views(
        self, node: Node, facts: Facts, requests: Mapping[AssociationName, PatchRequest | None]
    ) -> tuple["_View", ...]:
        """Give the baselines that a node is looked at by: its own first."""
        runs = operating_system(*system_of(facts))
        baselines = self.desired.baselines.values()
        own = resolve_baseline(node.tags, runs, baselines)
        asked = {
            name: resolve_asked(node.tags, runs, baselines, request)
            for name, request in requests.items()
            if _overrides(request)
        }
        # Tags may well choose the node's own.
        others = {
            name: found for name, found in asked.items() if found.baseline is None or found.baseline != own.baseline
        }
        plain = {name: request for name, request in requests.items() if name not in others}
        mine = (_View(association=None, resolution=own, requests=plain),)
        return (
            *(mine if plain or serves_itself(node.tags, own) else ()),
            *(
                _View(
                    association=name,
                    resolution=found,
                    # One report tells of all that go by one baseline, and what any of them tried in vain is FAILED.
                    requests={
                        other: requests[other]
                        for other, its in others.items()
                        if other == name or (its.baseline is not None and its.baseline == found.baseline)
                    },
                )
                for name, found in others.items()
            ),
        )

    def _found(
        self,
        node: Node,
        facts: Facts,
        told: Told,
        known: NodeHistory,
        looks: Sequence[tuple["_View", Judge]],
        unjudged: Mapping[AssociationName | None, Observed[Patched]],
    ) -> Found:
        gone = self._gone(known, told, node.id)
        waiting = self._waiting(known, told, facts)
        memory = NodeMemory(gone=gone, installed_without_reboot=waiting, booted_at=booted_at(facts, self.now))
        found: dict[AssociationName | None, Observed[Patched]] = {
            view.association: self._judged(view, judge, facts, told, memory, known) for view, judge in looks
        }
        return _found_of(
            Found(
                patched=None,
                gone={gone_text(one.patch): one.since for one in gone},
                waiting=waiting,
                needed=self._needed(told, gone, [judge for _, judge in looks]),
                until=None if waiting else min(self._until(told, gone, judge) for _, judge in looks),
            ),
            {**found, **unjudged},
        )

    def _judged(
        self, view: "_View", judge: Judge, facts: Facts, told: Told, memory: NodeMemory, known: NodeHistory
    ) -> Observed[Patched]:
        """Judge by one baseline what its sources offer, or the node's own lists."""
        if told.sources_problem and sources_for(judge.grounds.baseline, judge.grounds.product):
            return Unknown(told.sources_problem)
        return Known(self._patched(view, judge, facts, *self._offered(told, memory, judge), known))

    def _patched(
        self, view: "_View", judge: Judge, facts: Facts, told: Told, memory: NodeMemory, known: NodeHistory
    ) -> Patched:
        """Judge a node's rows by one baseline."""
        installs = {
            name: request
            for name, request in view.requests.items()
            if request is not None and request.operation is Operation.INSTALL
        }
        attempts = attempts_of(known, (name for name, one in installs.items() if one.overrides is None))
        rows = tuple(with_attempts(row, attempts) for row in self._rows(facts, told, judge, memory))
        wrong = tuple(row for row in rows if not row.is_compliant)
        orders = {name: self._order(request, told, judge, wrong, memory.gone) for name, request in installs.items()}
        # SSM: of a list of its own an Install has failed with what is on it, and with nothing else.
        listed = {name: order for name, order in orders.items() if installs[name].overrides is not None}
        tried = {
            pin.id: (pin.title(told.family), max(began))
            for name, order in listed.items()
            if order is not None and (began := attempts_of(known, (name,)))
            for pin in order.pins
        }
        rows = tuple(with_list(row, tried) for row in rows) if tried else rows
        wrong = tuple(_with_times(row, told) for row in rows if not row.is_compliant)
        wrong = tuple(sorted(wrong, key=lambda row: (row.id, row.title, row.state.value)))
        doubts = self._doubts(facts, judge)
        missing = {patch.id for patch in told.patches if not told.has(patch) and judge.approval(patch).is_approved}
        return Patched(
            baseline=judge.grounds.baseline.name,
            group=view.resolution.group,
            why=view.resolution.reason,
            rows=wrong,
            compliance=summarize(rows, doubts=doubts, not_applicable=len(missing)),
            doubts=doubts,
            orders=orders,
            upcoming=_upcoming(told, judge),
            clock=self.clock,
        )

    def _offered(self, told: Told, memory: NodeMemory, judge: Judge) -> tuple[Told, NodeMemory]:
        """Give what a node is shown and what is gone there, without what the sources of a baseline do not offer."""
        by = judge.grounds.baseline, judge.grounds.product
        memory = replace(memory, gone=gone_from(memory.gone, *by, told.fetched))
        if not sources_for(*by):
            return told, memory
        key = (id(told.available), id(told.sourced_rows), id(judge))
        if key not in self.narrowed:
            patches = offered(told.every_patch, *by, told.fetched)
            by_row: dict[str, list[JsonValue]] = {}
            for patch in patches:
                by_row.setdefault(patch.id, []).append(patch_line(patch))
            lines: Rows = {**by_row}
            # The rows are held as well: as long as they are, no others have their identity.
            self.narrowed[key] = told.available, told.sourced_rows, lines, patches
        _, _, available, patches = self.narrowed[key]
        return replace(told, available=available, patches=patches, sourced=()), memory

    def _rows(self, facts: Facts, told: Told, judge: Judge, memory: NodeMemory) -> Iterable[PatchRow]:
        """Judge every row: alike ones of the fleet once, but on nodes whose phase decides."""
        if told.is_phased:
            whole = node_patches(sections_of(facts), self.table, memory)
            if isinstance(whole, Unknown):
                raise ValueError(whole.why)
            by = judge.grounds.baseline, judge.grounds.product
            patches = from_sources(whole.value, *by) if sources_for(*by) else whole
            if isinstance(patches, Unknown):
                raise ValueError(patches.why)
            return judge_rows(patches.value, judge)
        key = (id(judge), told.family, told.native)
        if key not in self.streams:
            self.streams[key] = RowStream(judge, self.table, family=told.family, native=told.native)
        return self.streams[key].rows(told.installed, told.available, memory)

    def _order(
        self, request: PatchRequest, told: Told, judge: Judge, wrong: Sequence[PatchRow], gone: tuple[Gone, ...]
    ) -> PatchOrder | None:
        if request.overrides is None and not wrong:
            return None
        # A baseline's order asks only which packages there are; a list's, which versions.
        installed = tuple(map(_named, told.installed)) if request.overrides is None else told.every_installed()
        patches = NodePatches(
            family=told.family, installed=installed, available=told.patches, native=told.native, gone=gone
        )
        return order_of(request, patches, judge, wrong)

    def _needed(self, told: Told, gone: Sequence[Gone], judges: Iterable[Judge]) -> tuple[NeededFile, ...]:
        """Give the files that any of the node's baselines may ask for, each as it is missed most."""
        if not self.books.keeps_files:
            return ()
        found: list[NeededFile] = []
        for judge in judges:
            mine, memory = self._offered(told, NodeMemory(gone=tuple(gone)), judge)
            found += needed_files(mine.patches, memory.gone, told.versions, judge)
        foremost = {one.checksum: one for one in sorted(found, key=lambda one: (one.need, one.checksum))}
        return tuple(foremost.values())

    def _waiting(self, known: NodeHistory, told: Told, facts: Facts) -> Mapping[str, datetime]:
        """Give the installs without a reboot that the node still waits with."""
        going_on = any(row.status is RunStatus.IN_PROGRESS for row in known.applied.values())
        waiting = brought(facts, told.family, known.installed_without_reboot, self.now)
        if not waiting or going_on:  # what an install has not brought yet it may bring
            return known.installed_without_reboot
        booted = booted_at(facts, self.now)
        titles = {patch_title(told.family, row.id, row.version) for row in told.every_installed()}
        return {title: when for title, when in waiting.items() if title in titles and (booted is None or booted < when)}

    def again(
        self, node: Node, facts: Facts, requests: Mapping[AssociationName, PatchRequest | None], found: Found
    ) -> Found:
        """Give what an earlier look at the same things found, with doubts as they are now."""
        by: dict[AssociationName | None, Observed[Patched]] = {}
        by.update((name, one) for name, one in found.overridden.items())
        if found.patched is not None:
            by[None] = found.patched
        moved: dict[AssociationName | None, Observed[Patched]] = {}
        for view in self._views(node, facts, requests):
            patched = by.get(view.association)
            judge = self.judges.of(view.resolution, product(*system_of(facts)))
            doubts = () if judge is None else self._doubts(facts, judge)
            if isinstance(patched, Known) and patched.value.doubts != doubts:
                moved[view.association] = Known(_with_doubts(patched.value, doubts))
        if not moved:
            return found
        return _found_of(found, by | moved)

    def _until(self, told: Told, gone: Sequence[Gone], judge: Judge) -> datetime:
        """Give when the next wait is over, or the next day comes, with which entries of lists end."""
        today = judge.grounds.now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return min(judge.until((*told.every_patch, *(one.patch for one in gone))), today + timedelta(days=1))

    def _doubts(self, facts: Facts, judge: Judge) -> tuple[str, ...]:
        evidence = scan_evidence(facts.sections, product=judge.grounds.product, now=self.now)
        if isinstance(evidence, Unknown):
            return (evidence.why,)
        doubts = scan_doubts(evidence.value, judge.grounds.baseline, self.now)
        return (*doubts, self.clock) if self.clock else doubts

    def _gone(self, known: NodeHistory, told: Told, node: NodeId) -> tuple[Gone, ...]:
        """Hold what its lists show now against what they were last reported to show; those of sources by themselves."""
        kept = remembered(known, self.table).gone
        of_own = tuple(one for one in kept if is_own(one.patch))
        before = self._shown_before(node, told.family, "available", "notices", told.available)
        own = self._dropped(told, before, of_own, told.patches)
        # What is not asked for any more, or cannot be read, has dropped nothing.
        of_sources = tuple(one for one in kept if not is_own(one.patch))
        if told.sources_problem:
            return (*own, *of_sources)
        before = self._shown_before(node, told.family, "source_offers", "source_notices", told.sourced_rows)
        asked = [patch for patch in before if all(index.source in told.fetched for index in patch.indexes)]
        return (*own, *self._dropped(told, tuple(asked), of_sources, told.sourced))

    def _dropped(
        self, told: Told, before: tuple[Patch, ...], kept: tuple[Gone, ...], shown: tuple[Patch, ...]
    ) -> tuple[Gone, ...]:
        keys = {key_of(patch) for patch in shown} if before or kept else set()
        if all(key_of(patch) in keys for patch in (*before, *(one.patch for one in kept))):
            return ()
        now_shown = NodePatches(
            family=told.family, installed=told.every_installed(), available=shown, native=told.native
        )
        return remember_gone(
            replace(now_shown, available=before, gone=kept), now_shown, now=self.now, kept=self.books.kept
        )

    def _shown_before(
        self, node: NodeId, family: Family, section: str, beside: str, shown: Mapping[str, JsonValue]
    ) -> tuple[Patch, ...]:
        """Give what lists were last reported to show; nothing where they show the same, or that does not read."""
        reported = self.books.reported.get(node)
        sections = {} if reported is None else reported.sections
        offers, notices = sections.get(section), sections.get(beside)
        if not isinstance(offers, Known) or _are_the_same(offers.value, shown):
            return ()
        try:
            return self.reader.offers(family, offers.value, notices.value if isinstance(notices, Known) else {})[0]
        except ValueError:
            return ()


def _with_times(row: PatchRow, told: Told) -> PatchRow:
    """Add what is the node's own of a row that others share: when it was installed."""
    for mine in told.installed_rows(row.id):
        if mine.version == row.installed.version:
            return replace(row, installed=mine)
    return row


def _named(key: str) -> Installed:
    name, _, arch = key.rpartition(".")
    return Installed(name=name, arch=arch, version="")


def _upcoming(told: Told, judge: Judge) -> Mapping[str, datetime]:
    """Give the titles of newer versions of what is installed that wait for an approval, and when each comes."""
    compare = COMPARE_LABELS[told.family.value]
    found: dict[str, datetime] = {}
    for patch in told.patches:
        verdict = judge.approval(patch)
        if verdict.status is not ApprovalStatus.PENDING_APPROVAL or verdict.approval_date is None:
            continue
        mine = told.versions(patch.id)
        if mine and all(compare(patch.version, version) > 0 for version in mine):
            found[patch.title] = max(verdict.approval_date, found.get(patch.title, verdict.approval_date))
    return found


def _are_the_same(one: Mapping[str, JsonValue], other: Mapping[str, JsonValue]) -> bool:
    return one is other or (len(one) == len(other) and dict(one.items()) == dict(other.items()))


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
