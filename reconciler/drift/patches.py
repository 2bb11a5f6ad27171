"""A fleet's patches, pass by pass: takes desired state, facts, ledger and the instant, gives rows, orders and a ledger that grew; pure.

Once a pass, before findings: what nodes show is taken into the ledger first, so that a wait begins in the pass that sees a
version. Nodes that no baseline of the repository's serves, and that no patch association means, are not looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from reconciler.drift.patch_judges import Judges
from reconciler.drift.patch_look import Found, PatchLook
from reconciler.drift.patch_told import Reader
from reconciler.drift.patched import PatchBooks, PatchSurvey
from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, History, NodeHistory
from reconciler.model.known import Known, Unknown
from reconciler.model.outcome import RunRecord
from reconciler.model.patch import Patch, patch_title
from reconciler.model.patch_lines import PatchTable
from reconciler.model.patch_order import PatchOrder
from reconciler.model.patch_request import PatchRequest
from reconciler.patching.clock import ClockReadings, trusted_now
from reconciler.patching.from_facts import READ, SOURCED, family_of, sections_of
from reconciler.patching.install_report import read_install_report
from reconciler.patching.ledger import Ledger, LedgerFinding, with_sightings

_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When nothing was released yet: approvals are judged then where no instant can be trusted."""


class PatchSurveyor:
    """Looks at a fleet's patches again and again: what did not change since the last time is not judged again before its hour."""

    def __init__(self) -> None:
        self._table = PatchTable()
        self._kept: dict[NodeId, _Kept] = {}
        self._rests_on: tuple[DesiredState, Ledger] | None = None

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
        # Where a pass was not committed, or another host's was, the ledger is another one, and nothing is taken for dated.
        if doubt or self._rests_on is None or self._rests_on[0] is not desired or self._rests_on[1] is not books.ledger:
            self._kept = {}
            self._table.turn()
        nodes = self._as_before(nodes)
        reader = Reader(self._table)
        looked = {name: facts[name] for name in sorted(nodes) if name in facts}
        things = {
            name: _things(found, books.reported.get(name), nodes[name], history, books)
            for name, found in looked.items()
        }
        same = {name: kept for name, kept in self._kept.items() if name in things and kept.holds(things[name], now)}
        ledger = books.ledger
        findings: tuple[LedgerFinding, ...] = ()
        if not doubt:
            seen = {name: _offers(reader, found) for name, found in looked.items() if name not in same}
            ledger, findings = with_sightings(ledger, seen, now=now, previous_commit=books.committed_at)
        look = PatchLook(
            reader=reader,
            desired=desired,
            history=history,
            books=books,
            table=self._table,
            now=now,
            clock=doubt,
            judges=Judges(ledger.with_seeds(desired.ledger_seeds), trusted or _NEVER),
        )
        found: dict[NodeId, Found | None] = {}
        for name, told in looked.items():
            node = desired.nodes[name]
            if name in same:
                found[name] = look.again(node, told, nodes[name], same[name].found)
            else:
                found[name] = look.node(node, told, nodes[name])
            self._keep(name, things[name], found[name], now, books, doubt)
        # Sightings that were refused are refused again, and told again, until the node shows something else.
        self._rests_on = None if any(not finding.archive for finding in findings) else (desired, ledger)
        business = {name: one for name, one in found.items() if one is not None}
        return PatchSurvey(
            nodes={name: one.patched for name, one in business.items() if one.patched is not None},
            overridden={name: one.overridden for name, one in business.items() if one.overridden},
            ledger=ledger,
            gone={name: one.gone for name, one in business.items()},
            booted={name: one.waiting for name, one in business.items()},
            needed={name: one.needed for name, one in business.items() if one.needed},
            findings=findings,
            clock=doubt,
        )

    def _as_before(
        self, nodes: Mapping[NodeId, Mapping[AssociationName, PatchRequest | None]]
    ) -> Mapping[NodeId, Mapping[AssociationName, PatchRequest | None]]:
        """Give the records of the last look where the same is asked: a document that downloads is rendered anew in each pass."""
        alike: dict[tuple[int, int], bool] = {}

        def same(one: PatchRequest | None, other: PatchRequest | None) -> bool:
            key = id(one), id(other)  # all nodes of an association share one record
            if key not in alike:
                alike[key] = one == other
            return alike[key]

        answer: dict[NodeId, Mapping[AssociationName, PatchRequest | None]] = {}
        for name, asked in nodes.items():
            kept = self._kept.get(name)
            before = asked if kept is None else kept.rests_on.requests
            is_same = before.keys() == asked.keys() and all(same(before[each], asked[each]) for each in asked)
            answer[name] = before if is_same else asked
        return answer

    def _keep(
        self, name: NodeId, things: "_Things", found: Found | None, now: datetime, books: PatchBooks, doubt: str
    ) -> None:
        if found is None or found.until is None or doubt:
            self._kept.pop(name, None)
        else:
            # What is gone by now is what the next pass finds in its history.
            rests_on = replace(things, gone=found.gone, waiting=found.waiting, kept=_kept(found.gone, books))
            self._kept[name] = _Kept(rests_on=rests_on, found=found, at=now, until=found.until)


def _offers(reader: Reader, facts: Facts) -> Iterable[Patch]:
    """Give what a node's lists show; nothing where a line of them does not read: its rows are Unknown then, too."""
    found = reader.told(sections_of(facts))
    return found.value.every_patch if isinstance(found, Known) else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Things:
    """What the rows of a node rest on, beside ledger, baselines and the instant."""

    sections: tuple[object, ...]
    """Those it tells and those last reported of it, compared as the records they are: equal ones that are not the same are read again."""
    requests: Mapping[AssociationName, PatchRequest | None]
    applied: tuple[Applied | None, ...]
    gone: Mapping[str, datetime]
    waiting: Mapping[str, datetime]
    kept: frozenset[str]
    """Which files the management host holds counts for versions that are gone, and for no others."""


def _things(
    facts: Facts,
    reported: Facts | None,
    requests: Mapping[AssociationName, PatchRequest | None],
    history: History,
    books: PatchBooks,
) -> _Things:
    known = history.nodes.get(facts.node) or NodeHistory(node=facts.node)
    told = () if facts.unreachable is not None else (facts, reported)
    sections = tuple(None if one is None else one.sections.get(name) for one in told for name in (*READ, *SOURCED))
    return _Things(
        sections=sections,
        requests=requests,
        applied=tuple(known.applied.get(name) for name in requests),
        gone=known.gone,
        waiting=known.installed_without_reboot,
        kept=_kept(known.gone, books),
    )


def _kept(gone: Mapping[str, datetime], books: PatchBooks) -> frozenset[str]:
    return books.kept if gone else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the last look found of a node."""

    rests_on: _Things
    found: Found
    at: datetime
    until: datetime

    def holds(self, things: _Things, now: datetime) -> bool:
        mine = self.rests_on
        return (
            self.at <= now < self.until
            and bool(things.sections)
            and len(mine.sections) == len(things.sections)
            and all(one is other for one, other in zip(mine.sections, things.sections, strict=True))
            and mine.requests is things.requests
            and (mine.applied, mine.gone, mine.waiting) == (things.applied, things.gone, things.waiting)
            and mine.kept == things.kept
        )


def with_installed(history: History, brought: Iterable[tuple[NodeId, PatchOrder, datetime]], now: datetime) -> History:
    """Take in what installs were to bring, and when they began: until the node is booted, what they brought waits for it.

    What did not come is no row of that title, and is forgotten by the next look. SSM: with RebootIfNeeded the node was booted since.
    """
    nodes = dict(history.nodes)
    for node, order, began in brought:
        known = nodes.get(node, NodeHistory(node=node))
        when = min(began, now).replace(microsecond=0)
        titles = {pin.title(order.family): when for pin in (*order.pins, *order.dependencies)}
        waiting = {**known.installed_without_reboot, **titles}
        nodes[node] = replace(known, installed_without_reboot=dict(sorted(waiting.items())))
    return replace(history, nodes=nodes)


def with_told(
    history: History,
    records: Iterable[RunRecord],
    facts: Mapping[NodeId, Facts],
    asked: Mapping[NodeId, Mapping[AssociationName, PatchRequest | None]],
) -> History:
    """Take in what installs of earlier passes say that they brought, once they are settled: nobody else may have noted what they were to bring.

    The words of a node count for its own rows alone, and the next look forgets a title that is not installed there.
    """
    nodes = dict(history.nodes)
    for record in records:
        system = facts[record.node].section("os") if record.node in facts else Unknown("not asked")
        family = family_of(system.value) if isinstance(system, Known) else None
        if family is None or record.started is None or record.association not in asked.get(record.node, {}):
            continue
        began = record.started.replace(microsecond=0)
        brought = (read_install_report(step.stdout).installed.items() for step in record.steps)
        titles = {patch_title(family, row, version): began for rows in brought for row, version in rows}
        known = nodes.get(record.node, NodeHistory(node=record.node))
        if not titles.keys() <= known.installed_without_reboot.keys():
            waiting = {**titles, **known.installed_without_reboot}
            nodes[record.node] = replace(known, installed_without_reboot=dict(sorted(waiting.items())))
    return replace(history, nodes=nodes) if nodes != history.nodes else history


def with_patches(history: History, survey: PatchSurvey) -> History:
    """Take in what nodes show no more, and what was booted since; the same record where nothing changed."""
    nodes = dict(history.nodes)
    for node, gone in survey.gone.items():
        known = nodes.get(node, NodeHistory(node=node))
        waiting = survey.booted[node]
        if (known.gone, known.installed_without_reboot) != (gone, waiting):
            nodes[node] = replace(known, gone=gone, installed_without_reboot=waiting)
    return replace(history, nodes=nodes) if nodes != history.nodes else history
