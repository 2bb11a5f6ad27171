"""Whose package lists are refreshed before they are asked: takes what nodes said last, gives the questions of this pass; pure.

A refresh is a round trip of its own and asks archives, so it is done by the baseline's policy, and once an hour at most.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from reconciler.ids import NodeId
from reconciler.inventory.collect import Collected
from reconciler.inventory.metadata_refresh import is_due
from reconciler.model.baseline import PatchBaseline, Refresh
from reconciler.model.desired import DesiredState
from reconciler.model.known import JsonValue, Known, Unknown
from reconciler.model.node import Node
from reconciler.model.questions import Questions
from reconciler.patching.evidence import REFRESHED_AT
from reconciler.patching.products import operating_system
from reconciler.patching.which_baseline import resolve_baseline

SHORTEST: Final = timedelta(hours=1)
"""A scan counts for so long: passes come every few minutes, and archives publish a few times a day."""


def with_refreshes(
    questions: Mapping[NodeId, Questions],
    patched: Iterable[NodeId],
    desired: DesiredState,
    held: Mapping[NodeId, Collected],
    now: datetime,
) -> Mapping[NodeId, Questions]:
    """Give the questions, with a refresh where one is due; a node that was never asked is asked first what it runs."""
    due = {
        node: replace(questions[node], refresh=True)
        for node in patched
        if node in held and _is_due(desired.nodes[node], desired, held[node], now)
    }
    return {**questions, **due} if due else questions


def _is_due(node: Node, desired: DesiredState, held: Collected, now: datetime) -> bool:
    baseline = _baseline(node, desired, held)
    if baseline is None or baseline.refresh is Refresh.NEVER:
        return False
    longest = timedelta(hours=baseline.metadata_max_age_hours)
    at = _refreshed_at(held)
    if at is None:
        metadata = held.facts.sections.get("metadata", Unknown("not asked"))
        return is_due(baseline.refresh, metadata, now=now, longest=longest)
    if timedelta(0) <= now - at < SHORTEST:
        return False
    return baseline.refresh is Refresh.BEFORE_SCAN or not timedelta(0) <= now - at <= longest


def _baseline(node: Node, desired: DesiredState, held: Collected) -> PatchBaseline | None:
    system = held.facts.sections.get("os", Unknown("not asked"))
    if isinstance(system, Unknown):
        return None
    identity, version = (str(system.value.get(key, "")) for key in ("id", "version_id"))
    return resolve_baseline(node.tags, operating_system(identity, version), desired.baselines.values()).baseline


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
