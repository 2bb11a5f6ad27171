"""Is this still the node we knew: takes what history holds and what the node says, gives the history that still counts; pure.

Reimaged (another machine id): nothing that was applied is there any more; every association is Pending again.
Rolled back (it holds fewer acknowledged runs than the branch, a snapshot was restored): what the branch has and the node
has no trace of is not known to be there; expectations decide, and without them it is Unknown, never a blind re-run.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeGuard

from reconciler.ids import AssociationName, Digest, FleetId, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import Known, Unknown
from reconciler.model.node import Node

MOST_RUNS = 10**9
"""Executions and acknowledged runs that a node is believed to have seen."""

NOTHING = Digest("")
"""In place of a definition: nothing is known to be applied."""
UNTRACED = "the reports tell of a run that this node has no trace of: it was wiped there, or never was"


def history_of(history: History, node: Node) -> NodeHistory | None:
    """Give what the branch holds about a node, under its former id where it was renamed and nothing ran since."""
    records = [found for name in (node.id, *node.former_ids) if (found := history.nodes.get(name)) is not None]
    return next((record for record in records if record.applied), records[0] if records else None)


def renamed(history: History, nodes: Iterable[Node]) -> History:
    """Give the history with what it holds under former ids under the new ones: what runs now is booked beside it."""
    moved = {
        node.id: replace(found, node=node.id)
        for node in nodes
        if node.former_ids and (found := history_of(history, node)) is not None and found.node != node.id
    }
    return replace(history, nodes={**history.nodes, **moved}) if moved else history


def is_forgotten(applied: Applied) -> bool:
    """Whether it was executed once and nothing is known to be left of it: `detail` says why."""
    return applied.status is None and not applied.adopted


def still_counts(known: NodeHistory, facts: Facts) -> NodeHistory:
    """Give the node's history as far as the node it tells of is still there; the same record where nothing changed."""
    machine = _text(facts, "machine_id")
    if is_another_machine(known, facts):
        why = f"the node was reimaged: its machine id was {known.machine_id} and is {machine}"
        applied = {name: _reset(row, NOTHING, why) for name, row in known.applied.items()}
        return replace(known, machine_id=machine, acknowledged=acknowledged_on(facts) or 0, applied=applied)
    if machine is not None and known.machine_id is None:
        known = replace(known, machine_id=machine)
    acknowledged = acknowledged_on(facts)
    if acknowledged is None or acknowledged >= known.acknowledged:
        return known
    why = f"the node was rolled back: it holds {acknowledged} acknowledged runs, the reports {known.acknowledged}"
    if any(isinstance(facts.section(section), Unknown) for section in ("runs", "markers")):
        return known  # what it still has a trace of is not known: nothing is concluded
    traces = executions_on_node(facts)
    applied = {
        name: _reset(row, row.definition, why) if row.executions > traces.get(name, 0) else row
        for name, row in known.applied.items()
    }
    return replace(known, acknowledged=acknowledged, applied=applied)


def with_traced(history: History, facts: Mapping[NodeId, Facts]) -> History:
    """Believe of each node that answered only those ended runs of which it has a trace itself: marker or run folder.

    A node keeps a marker for good, so what it knows nothing of was wiped there, or written into the reports by somebody.
    """
    nodes = dict(history.nodes)
    for node, found in facts.items():
        known = nodes.get(node)
        if known is None or found.unreachable is not None or not any(map(_has_ended, known.applied.values())):
            continue
        if any(isinstance(found.section(section), Unknown) for section in ("runs", "markers")):
            continue
        traces = executions_on_node(found)
        untraced = [n for n, row in known.applied.items() if _has_ended(row) and row.executions > traces.get(n, 0)]
        if untraced:
            rows = {name: _reset(known.applied[name], known.applied[name].definition, UNTRACED) for name in untraced}
            nodes[node] = replace(known, applied={**known.applied, **rows})
    return replace(history, nodes=nodes)


def _has_ended(row: Applied) -> bool:
    """Whether the reports tell of a run's end; one that goes on is settled elsewhere."""
    return row.executions > 0 and row.status is not None and row.status is not RunStatus.IN_PROGRESS


def _reset(row: Applied, definition: Digest, why: str) -> Applied:
    return replace(
        row,
        definition=definition,
        adopted=False,
        status=None,
        exit_code=None,
        detail=why,
        failures=0,
        in_sync=False,
        repairs=(),
        drift_seen=None,
    )


def executions_on_node(facts: Facts) -> Mapping[AssociationName, int]:
    """Give the highest execution number of each association in the node's own markers and run folders."""
    highest: dict[AssociationName, int] = defaultdict(int)
    for section, association_of in (("markers", None), ("runs", "association")):
        match facts.section(section):
            case Known(rows):
                for key, value in rows.items():
                    text = value.get("manifest") if isinstance(value, Mapping) else value
                    row = json_object(text)
                    name = key if association_of is None else row.get(association_of)
                    number = row.get("n")
                    if isinstance(name, str) and is_count(number):
                        highest[AssociationName(name)] = max(highest[AssociationName(name)], number)
    return highest


def is_count(value: object) -> TypeGuard[int]:
    """Whether a node's number can count anything: what it says goes into sums and into JSON."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_RUNS


def json_object(text: object) -> Mapping[str, object]:
    """Read one line of JSON that a node keeps; what does not read tells nothing."""
    try:
        value = loaded(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def loaded(text: str) -> object:
    """Read JSON whose texts can be written again: a lone half of a character can not, and is a ValueError."""
    value: object = json.loads(text)
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _text(facts: Facts, key: str) -> str | None:
    match facts.get("identity", key):
        case Known(str(text)) if text:
            return text
    return None


def is_another_machine(known: NodeHistory, facts: Facts) -> bool:
    """Whether the node tells a machine id, and it is not the one that history knows."""
    machine = _text(facts, "machine_id")
    return machine is not None and known.machine_id is not None and machine != known.machine_id


def acknowledged_on(facts: Facts) -> int | None:
    """Give the number of acknowledged runs the node keeps; 0 where it is known to keep none, None where that is not known."""
    match facts.section("identity"):
        case Known(rows) if "acknowledged" in rows:
            value = rows["acknowledged"]
            if value is None:
                return 0
            return value if is_count(value) else None
    return None


def known_as_another(facts: Facts, fleet: FleetId, node: Node, known: NodeHistory | None) -> str | None:
    """Say that a node nobody reported was managed under another id: renamed without a word, or copied."""
    if known is not None and known.applied:
        return None
    match facts.section("markers"):
        case Known(rows):
            markers = [json_object(text) for text in rows.values()]
        case _:
            return None
    told = (marker.get("node") for marker in markers if marker.get("fleet") == fleet)
    others = sorted({name for name in told if isinstance(name, str)} - {node.id, *node.former_ids})
    if not others:
        return None
    name = others[0][:100]
    return (
        f"this server was {name} of this fleet, and runs of that id are remembered on it: if it was renamed, write "
        f"FormerIds: [{name}] in its file; if it was copied from there, remove /var/lib/reconciler on it"
    )


def twins(host_keys: Mapping[NodeId, str | None]) -> Mapping[NodeId, str]:
    """Find nodes that answer with one host key: one server under two ids, or a copied one. Says so for each."""
    by_key: dict[str, list[NodeId]] = defaultdict(list)
    for node, key in host_keys.items():
        if key is not None:
            by_key[key].append(node)
    return {
        node: f"{' and '.join(sorted(nodes))} answer with one host key: one server at two ids, or a copied one"
        for nodes in by_key.values()
        if len(nodes) > 1
        for node in nodes
    }
