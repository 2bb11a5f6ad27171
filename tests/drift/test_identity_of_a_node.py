"""Reimaged, rolled back, copied, renamed: no blind re-run, no stale InSync."""

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.drift.finding import State
from reconciler.drift.identity import still_counts
from reconciler.drift.memory import with_findings, with_outcomes, with_seen
from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.targets.resolve import resolve_targets
from tests.drift.builders import (
    DRIFTED_FILE,
    EXPECT_FILE,
    NOW,
    WEB,
    a_history,
    a_node,
    a_state,
    an_association,
    applied,
    find,
    some_facts,
    with_file,
)

PLAIN = a_state(an_association())
EXPECTING = a_state(an_association(expect=EXPECT_FILE))
OTHER_MACHINE = {"machine_id": "another", "acknowledged": None}


def identity(acknowledged: int | None) -> dict[str, Any]:
    return {"machine_id": "machine-of-web-01", "acknowledged": acknowledged}


def known(state: DesiredState, acknowledged: int = 0, **fields: Any) -> History:
    history = a_history({"motd": applied(state, executions=7, **fields)})
    return replace(history, nodes={WEB: replace(history.nodes[WEB], acknowledged=acknowledged)})


def marker(n: int) -> dict[str, str]:
    return {"motd": json.dumps({"definition": "x", "n": n, "run": "r", "status": "Success", "ended": 1})}


def test_a_reimaged_node_is_pending_again_with_its_own_reason() -> None:
    (found,) = find(PLAIN, some_facts(identity=OTHER_MACHINE), history=known(PLAIN))
    assert (found.state, found.wanted) == (State.PENDING, True)
    assert found.reason == "the node was reimaged: its machine id was machine-of-web-01 and is another"


def test_a_node_that_counts_more_runs_than_its_report_is_unknown() -> None:
    history = known(PLAIN, acknowledged=7, definition="old")
    (found,) = find(PLAIN, some_facts(identity=identity(7)), history=history)
    assert found.wanted
    (found,) = find(PLAIN, some_facts(identity=identity(8)), history=history)
    assert (found.state, found.wanted) == (State.UNKNOWN, False)
    assert "the report is older than the node: it holds 8 acknowledged runs, the report 7" in found.reason
    assert "--new-history" in found.reason


@pytest.mark.parametrize(
    ("n", "of", "state"),
    [
        pytest.param(7, {}, State.PENDING, id="as many as reported"),
        pytest.param(8, {}, State.UNKNOWN, id="one more than reported"),
        pytest.param(8, {"fleet": "another"}, State.PENDING, id="another fleet's"),
        pytest.param(8, {"node": "web-02"}, State.PENDING, id="another node's"),
        pytest.param(8, {"node": [WEB]}, State.PENDING, id="nobody's"),
    ],
)
def test_a_node_that_remembers_a_later_run_than_its_report_is_unknown(n: int, of: dict[str, Any], state: State) -> None:
    told = {**json.loads(marker(n)["motd"]), "fleet": PLAIN.fleet.id, "node": WEB, **of}
    facts = some_facts(identity=identity(None), markers={"motd": json.dumps(told)})
    (found,) = find(PLAIN, facts, history=known(PLAIN, definition="old"))
    assert found.state is state
    assert ("the report is older than the node" in found.reason) == (state is State.UNKNOWN)


def test_a_marker_of_an_association_that_was_taken_out_and_adopted_since_is_of_before() -> None:
    told = {**json.loads(marker(8)["motd"]), "fleet": PLAIN.fleet.id, "node": WEB}
    facts = some_facts(identity=identity(8), markers={"motd": json.dumps(told)})
    history = known(PLAIN, acknowledged=8, adopted=True, status=None, run=None)
    row = replace(history.nodes[WEB].applied[AssociationName("motd")], executions=0)
    there = replace(history, nodes={WEB: replace(history.nodes[WEB], applied={AssociationName("motd"): row})})
    assert find(PLAIN, facts, history=there)[0].state is State.IN_SYNC


def test_a_reimaged_node_where_everything_holds_needs_no_run() -> None:
    (found,) = find(EXPECTING, some_facts(identity=OTHER_MACHINE), history=known(EXPECTING))
    assert (found.state, found.adopted) == (State.IN_SYNC, True)
    (found,) = find(EXPECTING, with_file(DRIFTED_FILE, identity=OTHER_MACHINE), history=known(EXPECTING))
    assert (found.state, found.wanted) == (State.PENDING, True)
    assert "reimaged" in found.reason


def test_a_reimaged_node_stays_pending_in_later_passes_until_it_was_applied() -> None:
    facts = some_facts(identity=OTHER_MACHINE)
    history = known(PLAIN)
    for _ in range(2):
        history = with_seen(history, {WEB: facts}, NOW)
        (found,) = find(PLAIN, facts, history=history)
        assert (found.state, found.wanted) == (State.PENDING, True)
        history = with_findings(history, (found,), NOW, desired=PLAIN, targets=resolve_targets(PLAIN))


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        pytest.param(some_facts(identity=identity(3)), State.UNKNOWN, id="no trace of the run"),
        pytest.param(some_facts(identity=identity(3), markers=marker(6)), State.UNKNOWN, id="an older marker"),
        pytest.param(some_facts(identity=identity(3), markers=marker(7)), State.IN_SYNC, id="its marker is there"),
        pytest.param(some_facts(identity=identity(None)), State.UNKNOWN, id="its books are gone"),
        pytest.param(some_facts(identity=identity(3), runs="cut"), State.IN_SYNC, id="its folders were not read"),
        pytest.param(some_facts(identity=identity(4)), State.IN_SYNC, id="the same number"),
        pytest.param(some_facts(identity={"machine_id": "machine-of-web-01"}), State.IN_SYNC, id="not told"),
    ],
)
def test_a_rolled_back_node_is_neither_run_blindly_nor_believed(facts: Facts, state: State) -> None:
    (found,) = find(PLAIN, facts, history=known(PLAIN, acknowledged=4))
    assert (found.state, found.wanted) == (state, False)
    assert ("rolled back" in found.reason) is (state is State.UNKNOWN)


def test_expectations_decide_on_a_rolled_back_node() -> None:
    history = known(EXPECTING, acknowledged=4)
    (found,) = find(EXPECTING, some_facts(identity=identity(3)), history=history)
    assert found.state is State.IN_SYNC
    (found,) = find(EXPECTING, with_file(DRIFTED_FILE, identity=identity(3)), history=history)
    assert (found.state, found.wanted) == (State.PENDING, True)
    assert "rolled back" in found.reason


def test_apply_or_its_schedule_runs_a_rolled_back_node_again() -> None:
    facts = some_facts(identity=identity(3))
    (found,) = find(PLAIN, facts, history=known(PLAIN, acknowledged=4), forced=lambda *_: True)
    assert found.wanted
    hourly = a_state(an_association(schedule="rate(30 minutes)"))
    (found,) = find(hourly, facts, history=known(hourly, acknowledged=4))
    assert (found.state, found.wanted) == (State.PENDING, True)


def test_a_rollback_is_remembered_after_another_run_was_acknowledged() -> None:
    history = with_seen(known(PLAIN, acknowledged=4), {WEB: some_facts(identity=identity(3))}, NOW)
    (found,) = find(PLAIN, some_facts(identity=identity(9)), history=history)
    assert found.state is State.UNKNOWN


def test_one_host_key_at_two_ids_is_unknown_at_both() -> None:
    nodes = (a_node("web-01"), a_node("web-02"), a_node("web-03"))
    state = a_state(an_association(), nodes=nodes)
    keys = {NodeId("web-01"): "ssh-ed25519 AAAA", NodeId("web-02"): "ssh-ed25519 AAAA", NodeId("web-03"): None}
    found = find(state, *(some_facts(node.id) for node in nodes), host_keys=keys)
    assert [each.state for each in found] == [State.UNKNOWN, State.UNKNOWN, State.PENDING]
    assert "web-01 and web-02 answer with one host key" in found[0].reason


def test_a_renamed_node_keeps_its_history() -> None:
    state = a_state(an_association(), nodes=(a_node("www-01", former_ids=(WEB,)),))
    facts = some_facts("www-01", identity=identity(0))
    (found,) = find(state, facts, history=a_history({"motd": applied(state)}))
    assert found.state is State.IN_SYNC
    with_key = a_history({"motd": applied(state)})
    with_key = replace(with_key, nodes={WEB: replace(with_key.nodes[WEB], host_key="ssh-ed25519 AAAA")})
    assert find(state, facts, history=with_key, host_keys={NodeId("www-01"): "ssh-ed25519 AAAA"}) == (found,)
    seen = with_seen(a_history({"motd": applied(state)}), {facts.node: facts}, NOW)
    assert find(state, facts, history=seen) == (found,)
    history = with_findings(seen, (found,), NOW, desired=state, targets=resolve_targets(state))
    assert list(history.nodes) == ["www-01"]
    assert history.applied(NodeId("www-01"), AssociationName("motd")) == applied(state)


def test_what_did_not_answer_changes_no_identity() -> None:
    history = known(PLAIN)
    unreachable = replace(some_facts(identity=OTHER_MACHINE), unreachable="timed out")
    assert with_seen(history, {WEB: unreachable}, NOW) == history
    assert with_outcomes(history, (), NOW) == history


@pytest.mark.parametrize(
    "identity",
    [
        pytest.param({"machine_id": "machine-of-web-01"}, id="the same machine"),
        pytest.param({"machine_id": "another"}, id="reimaged"),
        pytest.param({"machine_id": "machine-of-web-01 and more"}, id="a longer id"),
        pytest.param({}, id="no machine id"),
    ],
)
def test_committed_facts_tell_of_the_machine_what_live_ones_tell(identity: dict[str, str]) -> None:
    history = known(EXPECTING)
    live = some_facts(identity=identity)
    committed = read_canonical(live.node, canonical(live))
    assert with_seen(history, {live.node: committed}, NOW) == with_seen(history, {live.node: live}, NOW)


def test_a_count_of_runs_that_somebody_committed_is_not_passed_over() -> None:
    history = known(PLAIN, acknowledged=3)
    content = canonical(some_facts(identity={"machine_id": "machine-of-web-01"}))
    edited = content.replace(b'"identity/machine_id"', b'"identity/acknowledged": 0,\n"identity/machine_id"')
    assert content != edited
    facts = read_canonical(WEB, edited)
    assert with_seen(history, {WEB: facts}, NOW).nodes[WEB] == still_counts(history.nodes[WEB], facts)


def of_another(fleet: str = "fleet", node: str = "web-old") -> dict[str, Any]:
    return {"markers": {"motd": json.dumps({"fleet": fleet, "node": node, "n": 1, "run": "r", "status": "Success"})}}


def test_a_server_that_remembers_another_id_is_unknown_with_the_remedy() -> None:
    (found,) = find(PLAIN, some_facts(**of_another(str(PLAIN.fleet.id))))
    assert (found.state, found.wanted) == (State.UNKNOWN, False)
    assert "this server was web-old of this fleet" in found.reason
    assert "FormerIds: [web-old]" in found.reason


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(of_another("another-fleet"), id="of another fleet"),
        pytest.param(of_another(str(PLAIN.fleet.id), str(WEB)), id="its own"),
        pytest.param({"markers": {"another": "garbled"}}, id="what does not read, of another association"),
        pytest.param({"markers": {"motd": json.dumps({"n": 1})}}, id="of before markers told it"),
    ],
)
def test_other_memories_do_not_stand_in_its_way(facts: dict[str, Any]) -> None:
    (found,) = find(PLAIN, some_facts(**facts))
    assert found.state is State.PENDING


def test_a_node_that_was_reported_is_not_held_against_its_memories() -> None:
    (found,) = find(PLAIN, some_facts(**of_another(str(PLAIN.fleet.id))), history=known(PLAIN))
    assert found.state is not State.UNKNOWN
