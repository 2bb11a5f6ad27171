"""No report, or an old one, but nodes that know more: history was lost, and what is lost is Unknown, never "never applied"; pure.

A node writes its markers and its count of runs only after a report of them was pushed to every place. Markers of this fleet
without a report therefore mean that the branch is gone, and a count above the report's that the branch was set back; a person
says so, and then history is rebuilt from those markers. Another fleet's markers and count mean nothing here.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime

from reconciler.drift.identity import acknowledged_on, is_another_machine, is_count, json_object
from reconciler.drift.told_instant import told_instant
from reconciler.ids import AssociationName, Digest, FleetId, NodeId, RunId
from reconciler.inventory.canonical import CommittedSections
from reconciler.inventory.observed import Facts
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import Known, Unknown

NAMED = 3
"""Nodes named in the reason; the rest is counted."""


REMEDY = (
    "bring the compliance branch back, or begin a new history from what the nodes remember with "
    "`reconciler once --new-history`"
)
_MEND = "find out on the node whether it ran, then remove its file below `markers` in the run root"

FormerIds = Mapping[NodeId, tuple[NodeId, ...]]
"""Of renamed nodes: their markers tell of runs under these ids, too."""

OfThisFleet = Callable[[NodeId, AssociationName, int], RunId]
"""The id that an execution of this fleet has: a marker with another one is another fleet's."""


def guarded(
    history: History,
    facts: Mapping[NodeId, Facts],
    now: datetime,
    run_of: OfThisFleet,
    former: FormerIds | None = None,
) -> History:
    """Call history lost where there is no report at all and some node remembers one.

    Where there is a report, a node it knows nothing of and that remembers runs is taken at its word: it was away when a
    person began a new history, or was taken out and is back. Nothing runs blindly there either.
    """
    if history.lost is not None:
        return history
    if history.commit is not None:
        strangers = {name: found for name, found in facts.items() if _is_new(history.nodes.get(name))}
        return rebuilt(history, strangers, now, run_of, former)
    knowing = sorted(node for node, found in facts.items() if _markers(found, run_of, former))
    if not knowing:
        return history
    more = f" and {len(knowing) - NAMED} more" if len(knowing) > NAMED else ""
    return replace(
        history,
        lost=f"there is no report here, but {', '.join(knowing[:NAMED])}{more} know of earlier runs: {REMEDY}",
    )


def outgrown(known: NodeHistory | None, facts: Facts, fleet: FleetId, ids: AbstractSet[NodeId]) -> str | None:
    """Say that a node remembers runs of which a report that knows the node does not tell: the branch was set back.

    `ids` are the node's own and its former ones. To be asked of a history that holds no more than was reported: a node is
    never rightly ahead of that. One that the report knows nothing of is `guarded` against.
    """
    if known is None or _is_new(known) or facts.unreachable is not None:
        return None
    if isinstance(facts.sections, CommittedSections):
        return None  # committed facts tell neither count nor markers
    held = acknowledged_on(facts)
    if held is not None and held > known.acknowledged and not is_another_machine(known, facts):
        told = f"it holds {held} acknowledged runs, the report {known.acknowledged}"
        return f"the report is older than the node: {told}: {REMEDY}"
    section = facts.sections.get("markers")
    for name, text in section.value.items() if isinstance(section, Known) else ():
        row = known.applied.get(AssociationName(name))
        if row is None or row.executions == 0:  # taken out of git and back, or adopted since: the marker is of before
            continue
        marker = json_object(text)
        executions = marker.get("n")
        ours = marker.get("fleet") == fleet and any(marker.get("node") == each for each in ids)  # it may say any JSON
        if ours and is_count(executions) and executions > row.executions:
            told = f"it remembers run {executions} of {name}, the report run {row.executions}"
            return f"the report is older than the node: {told}: {REMEDY}"
    return None


def unread(facts: Facts, name: AssociationName) -> str | None:
    """Say why it is not known whether an association without a row ever ran on a node: what does not read is not "never".

    A section that was not asked for, as in committed facts, says nothing here: nothing is run by those.
    """
    whether = "whether it ever ran here is not known"
    for section in ("markers", "runs"):
        match facts.sections.get(section):
            case Unknown(why=why):
                return f"{whether}: {section} of the node: {why}"
            case Known(rows) if section == "markers" and name in rows:
                if isinstance(value := rows[name], Mapping):
                    return f"{whether}: its marker on the node: {value.get('unknown')}"
                if not json_object(value):  # whose it was does not read either
                    return f"{whether}: its marker on the node is damaged; {_MEND}"
            case _:
                pass
    return None


def _is_new(known: NodeHistory | None) -> bool:
    return known is None or (not known.applied and not known.acknowledged)


def rebuilt(
    history: History,
    facts: Mapping[NodeId, Facts],
    now: datetime,
    run_of: OfThisFleet,
    former: FormerIds | None = None,
) -> History:
    """Give a history with a row for every marker that the branch has no row for."""
    nodes = dict(history.nodes)
    for node, found in facts.items():
        known = nodes.get(node, NodeHistory(node=node))
        remembered = {
            name: row
            for name, marker in _markers(found, run_of, former).items()
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


def _markers(
    facts: Facts, run_of: OfThisFleet, former: FormerIds | None
) -> Mapping[AssociationName, Mapping[str, object]]:
    """Give the markers that runs of this fleet left; what does not read is no memory."""
    ids = (facts.node, *(former or {}).get(facts.node, ()))
    match facts.section("markers"):
        case Known(rows):
            read = {AssociationName(name): json_object(text) for name, text in rows.items()}
        case _:
            return {}
    ours: dict[AssociationName, Mapping[str, object]] = {}
    for name, marker in read.items():
        executions = marker.get("n")
        if is_count(executions) and any(marker.get("run") == run_of(node, name, executions) for node in ids):
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
