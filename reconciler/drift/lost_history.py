"""No report, but nodes that know one: history was lost, and a lost history is Unknown, never "never applied"; pure.

A node writes its markers only after a report was pushed. Markers of this fleet without a report therefore mean that the
branch is gone; a person says so, and then history is rebuilt from those markers. Another fleet's markers mean nothing here.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.drift.identity import is_count, json_object
from reconciler.drift.told_instant import told_instant
from reconciler.ids import AssociationName, Digest, NodeId, RunId
from reconciler.inventory.observed import Facts
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import Known

NAMED = 3
"""Nodes named in the reason; the rest is counted."""


OfThisFleet = Callable[[NodeId, AssociationName, int], RunId]
"""The id that an execution of this fleet has: a marker with another one is another fleet's."""


def guarded(history: History, facts: Mapping[NodeId, Facts], now: datetime, run_of: OfThisFleet) -> History:
    """Call history lost where there is no report at all and some node remembers one.

    Where there is a report, a node it knows nothing of and that remembers runs is taken at its word: it was away when a
    person began a new history, or was taken out and is back. Nothing runs blindly there either.
    """
    if history.lost is not None:
        return history
    if history.commit is not None:
        return rebuilt(history, {name: found for name, found in facts.items() if _is_new(history, name)}, now, run_of)
    knowing = sorted(node for node, found in facts.items() if _markers(found, run_of))
    if not knowing:
        return history
    more = f" and {len(knowing) - NAMED} more" if len(knowing) > NAMED else ""
    return replace(
        history,
        lost=f"there is no report here, but {', '.join(knowing[:NAMED])}{more} know of earlier runs: bring the compliance "
        "branch back, or begin a new history from what the nodes remember with `reconciler once --new-history`",
    )


def _is_new(history: History, node: NodeId) -> bool:
    known = history.nodes.get(node)
    return known is None or (not known.applied and not known.acknowledged)


def rebuilt(history: History, facts: Mapping[NodeId, Facts], now: datetime, run_of: OfThisFleet) -> History:
    """Give a history with a row for every marker that the branch has no row for."""
    nodes = dict(history.nodes)
    for node, found in facts.items():
        known = nodes.get(node, NodeHistory(node=node))
        remembered = {
            name: row
            for name, marker in _markers(found, run_of).items()
            if name not in known.applied and (row := _row(marker, now)) is not None
        }
        if remembered:
            match found.get("identity", "acknowledged"):
                case Known(acknowledged) if is_count(acknowledged):
                    known = replace(known, acknowledged=acknowledged)
                case _:
                    pass
            nodes[node] = replace(known, applied={**known.applied, **remembered})
    return replace(history, nodes=nodes, lost=None)


def _markers(facts: Facts, run_of: OfThisFleet) -> Mapping[AssociationName, Mapping[str, object]]:
    """Give the markers that runs of this fleet left; what does not read is no memory."""
    match facts.section("markers"):
        case Known(rows):
            read = {AssociationName(name): json_object(text) for name, text in rows.items()}
        case _:
            return {}
    ours: dict[AssociationName, Mapping[str, object]] = {}
    for name, marker in read.items():
        executions = marker.get("n")
        if is_count(executions) and marker.get("run") == run_of(facts.node, name, executions):
            ours[name] = marker
    return ours


def _row(marker: Mapping[str, object], now: datetime) -> Applied | None:
    definition, executions, run = marker.get("definition"), marker.get("n"), marker.get("run")
    if not isinstance(definition, str) or not is_count(executions) or not isinstance(run, str):
        return None
    try:
        status = RunStatus(marker.get("status"))
    except ValueError:
        return None
    ended = told_instant(marker.get("ended"))
    if ended is None:
        return None
    return Applied(
        definition=Digest(definition),
        definition_since=ended,
        first_matched=min(ended, now),
        run=RunId(run),
        executions=executions,
        status=status,
        started=ended,
        ended=ended,
        failures=int(status.counts_as_error),
        in_sync=status is RunStatus.SUCCESS,
        detail="from the node's own marker",
    )
