"""The books: takes history and what a pass saw and did, gives the history that the next pass starts from; pure.

In a pass: `with_settled` (runs that ended since), `with_seen` (is it still that node), then findings, plan, rollout, then
`with_outcomes`, findings of the second look, and `with_findings` last. A change is a new record; nothing changed means
equal records, so that no change is no commit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from reconciler.drift.finding import Cause, Finding, State
from reconciler.drift.identity import NOTHING, history_of, still_counts
from reconciler.drift.standing import FLAPPING_WITHIN
from reconciler.drift.view import is_committed_of
from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.outcome import Outcome, RunRecord
from reconciler.targets.resolve import Targets

_DETAIL = 510
"""Characters of SSM's ExecutionSummary that its agent keeps."""


def with_seen(
    history: History,
    facts: Mapping[NodeId, Facts],
    now: datetime,  # noqa: ARG001 - every entry in the books takes the instant
    *,
    host_keys: Mapping[NodeId, str | None] | None = None,
) -> History:
    """Take in which machines answered: new ids and keys, reimaged and rolled back nodes."""
    keys = host_keys or {}
    nodes = dict(history.nodes)
    for node, found in facts.items():
        if found.unreachable is not None:
            continue
        known = nodes.get(node, NodeHistory(node=node))
        seen = known if is_committed_of(found, known.machine_id) else still_counts(known, found)
        key = keys.get(node)
        nodes[node] = seen if key is None or key == seen.host_key else replace(seen, host_key=key)
    return replace(history, nodes=nodes)


def with_settled(history: History, records: Iterable[RunRecord], now: datetime) -> History:
    """Take in runs of earlier passes, as their folders on the nodes tell them."""
    return with_records(history, records, now)


def with_outcomes(history: History, outcomes: Iterable[Outcome], now: datetime) -> History:
    """Take in what came of the plan's items; what did not start changes nothing."""
    return with_records(history, (outcome.record for outcome in outcomes if outcome.record is not None), now)


def with_records(history: History, records: Iterable[RunRecord], now: datetime) -> History:
    """Take in runs, in the order they were started; one that is known to have ended is taken in once."""
    nodes = dict(history.nodes)
    for record in sorted(records, key=lambda record: (record.node, record.association, record.executions)):
        known = nodes.get(record.node, NodeHistory(node=record.node))
        before = known.applied.get(record.association)
        if before is not None and _is_old(record, before):
            continue
        nodes[record.node] = replace(
            known,
            acknowledged=known.acknowledged + record.status.ended,
            applied={**known.applied, record.association: _booked(record, before, now)},
        )
    return replace(history, nodes=nodes)


def _is_old(record: RunRecord, before: Applied) -> bool:
    if record.executions != before.executions:
        return record.executions < before.executions
    return before.status is not RunStatus.IN_PROGRESS


def _booked(record: RunRecord, before: Applied | None, now: datetime) -> Applied:
    """Give the new row. A success is booked as a failure until a second look has confirmed it: `with_findings` does."""
    same = before is not None and before.definition == record.definition
    failures = before.failures if before is not None and same else 0
    started = record.started or now
    return Applied(
        definition=record.definition,
        definition_since=before.definition_since if before is not None and same else started,
        first_matched=started if before is None else before.first_matched,
        run=record.run,
        executions=record.executions,
        status=record.status,
        started=started,
        ended=(record.ended or now) if record.status.ended else None,
        exit_code=record.exit_code,
        detail=record.detail[:_DETAIL],
        failures=failures + record.status.ended,
        repairs=_repairs(record, before, started, now),
    )


def _repairs(record: RunRecord, before: Applied | None, started: datetime, now: datetime) -> tuple[datetime, ...]:
    """Add this run where drift caused it, once, and forget what is more than a day old."""
    earlier = () if before is None or before.definition != record.definition else before.repairs
    kept = {repair for repair in earlier if repair > now - FLAPPING_WITHIN}
    return tuple(sorted(kept | {started} if record.cause == Cause.DRIFTED.value else kept))


def with_findings(
    history: History,
    findings: Iterable[Finding],
    now: datetime,
    *,
    desired: DesiredState,
    targets: Targets,
    refused: frozenset[AssociationName] = frozenset(),
) -> History:
    """Take in what the last look of a pass found, drop what git manages no more, and note the sizes of target sets.

    `refused`: associations whose target set shrank too far; their rows and their count are kept as they were.
    """
    nodes: dict[NodeId, NodeHistory] = {}
    for node, group in groupby(findings, key=attrgetter("node")):
        known = history_of(history, desired.nodes[node]) or NodeHistory(node=node)
        applied = dict(known.applied)
        for finding in group:
            row = _looked_at(applied.get(finding.association), finding, now)
            if row is not None:
                applied[finding.association] = row
        nodes[node] = replace(known, node=node, applied=applied)
    for node in targets.nodes:
        if node not in nodes and (known_before := history_of(history, desired.nodes[node])) is not None:
            nodes[node] = replace(known_before, node=node)
    kept = {
        node: _managed(record, frozenset(targets.associations_of(node)) | refused) for node, record in nodes.items()
    }
    kept |= _refused_rows(history, desired, refused)
    counts = {name: len(members) for name, members in targets.members.items()}
    counts |= {name: history.target_counts[name] for name in refused if name in history.target_counts}
    return replace(history, state_commit=desired.commit, nodes=kept, target_counts=counts)


def _managed(record: NodeHistory, names: frozenset[AssociationName]) -> NodeHistory:
    if names.issuperset(record.applied):
        return record
    return replace(record, applied={name: row for name, row in record.applied.items() if name in names})


def _refused_rows(
    history: History, desired: DesiredState, refused: frozenset[AssociationName]
) -> dict[NodeId, NodeHistory]:
    """Keep nodes that left the fleet as far as an association whose shrinking was refused knows them."""
    former = {name for node in desired.nodes.values() for name in node.former_ids}
    return {
        node: _managed(record, refused)
        for node, record in history.nodes.items()
        if node not in desired.nodes and node not in former and not refused.isdisjoint(record.applied)
    }


def _looked_at(row: Applied | None, finding: Finding, now: datetime) -> Applied | None:
    """Give the row after a look; the same one where the look changes nothing."""
    if finding.cause is Cause.IN_SYNC and finding.state is State.IN_SYNC:
        return _in_sync(row, finding, now)
    if row is None or finding.cause is not Cause.DRIFTED:
        return row
    if row.drift_seen is not None and not row.in_sync:
        return row
    return replace(row, in_sync=False, drift_seen=row.drift_seen or now)


def _in_sync(row: Applied | None, finding: Finding, now: datetime) -> Applied | None:
    if finding.definition is None:
        return row
    if finding.adopted:
        return _adopted(row, finding, now)
    if row is None or (row.in_sync and row.failures == 0 and row.drift_seen is None):
        return row
    return replace(row, in_sync=True, failures=0, drift_seen=None)


def _adopted(row: Applied | None, finding: Finding, now: datetime) -> Applied:
    definition = finding.definition or NOTHING
    if row is None:
        return Applied(definition=definition, definition_since=now, first_matched=now, adopted=True, in_sync=True)
    same = row.definition == definition
    return Applied(
        definition=definition,
        definition_since=row.definition_since if same else now,
        first_matched=row.first_matched,
        adopted=True,
        in_sync=True,
        run=row.run,
        executions=row.executions,
        started=row.started,
        ended=row.ended,
        repairs=row.repairs if same else (),
    )
