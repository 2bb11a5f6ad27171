"""Whose package lists are refreshed before they are asked: takes what nodes said last, gives the questions of this pass; pure.

A refresh is a round trip of its own and asks archives, so it is done by the baseline's policy, and once an hour at most.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from reconciler.ids import NodeId
from reconciler.inventory.collect import Collected
from reconciler.inventory.metadata_refresh import is_due
from reconciler.inventory.observed import Facts
from reconciler.model.baseline import PatchBaseline, Refresh
from reconciler.model.desired import DesiredState
from reconciler.model.known import JsonValue, Known, Unknown
from reconciler.model.node import Node
from reconciler.model.patch_request import PatchRequest
from reconciler.model.questions import Questions, WantedSource
from reconciler.patching.evidence import REFRESHED_AT
from reconciler.patching.products import operating_system, product
from reconciler.patching.sources import used_sources
from reconciler.patching.which_baseline import resolve_asked, resolve_baseline, serves_itself

SHORTEST: Final = timedelta(hours=1)
"""A scan counts for so long: passes come every few minutes, and archives publish a few times a day."""


def with_refreshes(
    questions: Mapping[NodeId, Questions],
    patched: Mapping[NodeId, Collection[PatchRequest | None]],
    desired: DesiredState,
    held: Mapping[NodeId, Collected],
    now: datetime,
) -> Mapping[NodeId, Questions]:
    """Give the questions, with a refresh where one is due; a node that was never asked is asked first what it runs.

    `patched`: the nodes whose patches are somebody's business, each with what is asked of them.
    """
    due = {
        node: replace(questions[node], refresh=True)
        for node, requests in patched.items()
        if node in held
        and _is_due(
            _baselines(desired.nodes[node], requests, desired, held[node].facts),
            held[node],
            questions[node].sources,
            now,
        )
    }
    return {**questions, **due} if due else questions


def with_sources(
    questions: Mapping[NodeId, Questions],
    patched: Mapping[NodeId, Collection[PatchRequest | None]],
    desired: DesiredState,
    known: Callable[[NodeId], Facts | None],
) -> Mapping[NodeId, Questions]:
    """Give the questions, with the repositories that the baselines of a node name in the place of its own.

    `known`: what nodes last said, or are reported to have said; one of which neither is known is asked first what it runs.
    """
    if not any(baseline.sources for baseline in desired.baselines.values()):
        return questions
    found: dict[NodeId, Questions] = {}
    for node, requests in patched.items():
        facts = known(node)
        if facts is None:
            continue
        released = _released(facts)
        wanted = {
            WantedSource(id=source.id, configuration=source.configuration)
            for baseline in _baselines(desired.nodes[node], requests, desired, facts)
            for source in used_sources(baseline, released)
        }
        if wanted:
            found[node] = replace(questions[node], sources=tuple(sorted(wanted)))
    return {**questions, **found} if found else questions


def _released(facts: Facts) -> str:
    match facts.sections.get("os"):
        case Known(rows):
            return product(str(rows.get("id", "")), str(rows.get("version_id", "")))
    return ""


def _is_due(
    baselines: Iterable[PatchBaseline], held: Collected, sources: Sequence[WantedSource], now: datetime
) -> bool:
    return any(_wants_it(baseline, held, sources, now) for baseline in baselines)


def _wants_it(baseline: PatchBaseline, held: Collected, sources: Sequence[WantedSource], now: datetime) -> bool:
    if baseline.refresh is Refresh.NEVER:
        return False
    longest = timedelta(hours=baseline.metadata_max_age_hours)
    at = _refreshed_at(held)
    if not all(_was_tried(source, held, at) for source in sources):
        return True  # what a commit adds is not to wait for the next hour
    sources_are_young = all(_is_young(source, held, now, longest) for source in sources)
    if at is None:
        metadata = held.facts.sections.get("metadata", Unknown("not asked"))
        return is_due(baseline.refresh, metadata, now=now, longest=longest) or not sources_are_young
    if timedelta(0) <= now - at < SHORTEST:
        return False
    young = timedelta(0) <= now - at <= longest and sources_are_young
    return baseline.refresh is Refresh.BEFORE_SCAN or not young


def _was_tried(source: WantedSource, held: Collected, refreshed: datetime | None) -> bool:
    """Whether it was fetched, or could not be, since it was first asked for."""
    row = _times(source, held)
    return bool(row.get("tried") or row.get("problem") or (row and refreshed is not None))


def _is_young(source: WantedSource, held: Collected, now: datetime, longest: timedelta) -> bool:
    fetched = _instant(_times(source, held).get("fetched"))
    return fetched is not None and now - fetched <= longest


def _times(source: WantedSource, held: Collected) -> Mapping[str, JsonValue]:
    match held.facts.sections.get("source_times"):
        case Known(rows):
            row = rows.get(source.id)
            return row if isinstance(row, Mapping) else {}
    return {}


def _baselines(
    node: Node, requests: Collection[PatchRequest | None], desired: DesiredState, facts: Facts
) -> Iterable[PatchBaseline]:
    """Give the baselines that a node is judged by: its own, and those that override it."""
    system = facts.sections.get("os", Unknown("not asked"))
    if isinstance(system, Unknown):
        return
    identity, version = (str(system.value.get(key, "")) for key in ("id", "version_id"))
    runs = operating_system(identity, version)
    own = resolve_baseline(node.tags, runs, desired.baselines.values())
    overriding = [request for request in requests if request is not None and request.has_own_baseline]
    found = [resolve_asked(node.tags, runs, desired.baselines.values(), request) for request in overriding]
    if len(overriding) < len(requests) or serves_itself(node.tags, own):
        found.append(own)
    yield from (one.baseline for one in found if one.baseline is not None)


def _refreshed_at(held: Collected) -> datetime | None:
    match held.facts.sections.get("refreshed"):
        case Known(rows):
            return _instant(rows.get(REFRESHED_AT))
    return None


def _instant(value: JsonValue) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
