"""A report that is gone is not a fleet that is new: nodes that remember runs make the difference."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from reconciler.drift.finding import State
from reconciler.drift.lost_history import guarded, rebuilt
from reconciler.ids import AssociationName, CommitId, NodeId, RunId
from reconciler.inventory.observed import Facts
from reconciler.model.history import History, NodeHistory, RunStatus
from reconciler.model.known import JsonValue, Known
from tests.drift.builders import a_state, an_association, find, plan, some_facts

NOON = datetime(2026, 9, 1, 12, tzinfo=UTC)


def run_of(node: NodeId, association: AssociationName, executions: int) -> RunId:
    return RunId(f"{node}/{association}/{executions}")


MARKER = json.dumps(
    {
        "definition": "d" * 64,
        "n": 4,
        "run": run_of(NodeId("web-01"), AssociationName("motd"), 4),
        "status": "Success",
        "ended": "2026-08-31T02:00:00+00:00",
    }
)


def facts(**markers: JsonValue) -> dict[NodeId, Facts]:
    node = NodeId("web-01")
    sections = {"markers": Known(markers), "identity": Known({"acknowledged": 7})}
    return {node: Facts(node=node, sections=sections)}


def test_a_new_fleet_is_new() -> None:
    assert guarded(History(), facts(), NOON, run_of) == History()


def test_nodes_that_remember_make_a_missing_report_a_lost_one() -> None:
    lost = guarded(History(), facts(motd=MARKER), NOON, run_of).lost
    assert lost is not None
    assert "web-01" in lost
    assert "--new-history" in lost


def test_markers_of_another_fleet_mean_nothing_here() -> None:
    foreign = json.dumps({**json.loads(MARKER), "run": "f" * 64})
    assert guarded(History(), facts(motd=foreign), NOON, run_of) == History()
    assert rebuilt(History(), facts(motd=foreign), NOON, run_of).nodes == {}


def test_a_report_that_is_there_is_believed() -> None:
    node = NodeId("web-01")
    there = History(commit=CommitId("c" * 40), nodes={node: NodeHistory(node=node, acknowledged=7)})
    assert guarded(there, facts(motd=MARKER), NOON, run_of) == there


def test_a_node_the_report_knows_nothing_of_is_taken_at_its_word() -> None:
    there = History(commit=CommitId("c" * 40))
    (found,) = guarded(there, facts(motd=MARKER), NOON, run_of).nodes.values()
    assert found.applied[AssociationName("motd")].executions == 4
    assert guarded(there, facts(), NOON, run_of).nodes == {}


def test_history_is_rebuilt_from_what_the_nodes_remember() -> None:
    history = rebuilt(replace(History(), lost="gone"), facts(motd=MARKER), NOON, run_of)
    assert history.lost is None
    node = history.nodes[NodeId("web-01")]
    row = node.applied[AssociationName("motd")]
    assert (row.executions, row.status, row.definition) == (4, RunStatus.SUCCESS, "d" * 64)
    assert node.acknowledged == 7


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        pytest.param(
            {"markers": "more than 200000 lines"}, "markers of the node: more than 200000 lines", id="markers"
        ),
        pytest.param({"runs": "garbled"}, "runs of the node: garbled", id="run folders"),
        pytest.param({"markers": {"motd": {"unknown": "cut off"}}}, "its marker on the node: cut off", id="one marker"),
        pytest.param({"markers": {"motd": '{"n": 1'}}, "its marker on the node is damaged; ", id="half a marker"),
        pytest.param({"markers": {"motd": ""}}, "its marker on the node is damaged; ", id="an empty marker"),
        pytest.param({"markers": {"motd": "[1]"}}, "its marker on the node is damaged; ", id="no marker of ours"),
    ],
)
@pytest.mark.parametrize("by_hand", [False, True])
def test_what_a_node_remembers_and_cannot_be_read_is_not_never_applied(
    sections: dict[str, object], why: str, *, by_hand: bool
) -> None:
    state, found = a_state(an_association()), some_facts(**sections)
    for report in (None, CommitId("c" * 40)):  # without a report, and with one that knows nothing of the node
        history = guarded(History(commit=report), {found.node: found}, NOON, run_of)
        (finding,) = find(state, found, history=history, forced=lambda _name, _node: by_hand)
        assert finding.state is State.UNKNOWN
        assert finding.reason.startswith(f"whether it ever ran here is not known: {why}")
        assert not plan(state, found, history=history).items


def test_another_associations_marker_that_does_not_read_is_in_nobodys_way() -> None:
    (finding,) = find(a_state(an_association()), some_facts(markers={"other": {"unknown": "cut off"}}))
    assert finding.wanted


def test_a_marker_that_does_not_read_is_no_memory() -> None:
    for bad in ("{", "[]", '{"n": 1}', json.dumps({**json.loads(MARKER), "status": "Odd"})):
        assert rebuilt(History(), facts(motd=bad), NOON, run_of).nodes == {}
