"""No report, but nodes that know one: history was lost, and a lost history is Unknown, never "never applied"; pure.

A node writes its markers only after a report was pushed. Markers without a report therefore mean that the branch is gone,
or that the nodes came from another fleet; a person says which, and then history is rebuilt from those markers.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from reconciler.drift.identity import json_object
from reconciler.ids import AssociationName, Digest, NodeId, RunId
from reconciler.inventory.observed import Facts
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import Known

NAMED = 3
"""Nodes named in the reason; the rest is counted."""


def guarded(history: History, facts: Mapping[NodeId, Facts]) -> History:
    """Call history lost where there is no report at all and some node remembers one."""
    if history.commit is not None or history.lost is not None:
        return history
    knowing = sorted(node for node, found in facts.items() if _markers(found))
    if not knowing:
        return history
    more = f" and {len(knowing) - NAMED} more" if len(knowing) > NAMED else ""
    return replace(
        history,
        lost=f"there is no report here, but {', '.join(knowing[:NAMED])}{more} know of earlier runs: bring the compliance "
        "branch back, or begin a new history from what the nodes remember with `reconciler once --new-history`",
    )


def rebuilt(history: History, facts: Mapping[NodeId, Facts], now: datetime) -> History:
    """Give a history with a row for every marker that the branch has no row for."""
    nodes = dict(history.nodes)
    for node, found in facts.items():
        known = nodes.get(node, NodeHistory(node=node))
        remembered = {
            name: row
            for name, text in _markers(found).items()
            if AssociationName(name) not in known.applied and (row := _row(text, now)) is not None
        }
        if remembered:
            match found.get("identity", "acknowledged"):
                case Known(int(acknowledged)):
                    known = replace(known, acknowledged=acknowledged)
                case _:
                    pass
            rows = {AssociationName(name): row for name, row in remembered.items()}
            nodes[node] = replace(known, applied={**known.applied, **rows})
    return replace(history, nodes=nodes, lost=None)


def _markers(facts: Facts) -> Mapping[str, object]:
    match facts.section("markers"):
        case Known(rows):
            return rows
        case _:
            return {}


def _row(text: object, now: datetime) -> Applied | None:
    """Read one marker; what does not read is no memory, and its association is then judged as never applied."""
    marker = json_object(text)
    definition, executions, run = marker.get("definition"), marker.get("n"), marker.get("run")
    if not isinstance(definition, str) or not isinstance(executions, int) or not isinstance(run, str):
        return None
    try:
        status = RunStatus(marker.get("status"))
        ended = datetime.fromisoformat(str(marker.get("ended")))
    except ValueError:
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
