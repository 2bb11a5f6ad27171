"""Findings become items in order; what does not is left out with its reason."""

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.drift.finding import Cause
from reconciler.ids import AssociationName, BaselineName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.association import Target
from reconciler.model.desired import DesiredState
from reconciler.model.fleet import Fleet
from reconciler.model.history import History
from reconciler.model.node import Mode
from reconciler.model.patch import Family
from reconciler.model.patch_order import PatchOrder, Pin
from reconciler.plan.digest import plan_digest
from reconciler.plan.plan import Plan
from reconciler.plan.run_id import run_id
from tests.drift.builders import (
    DRIFTED_FILE,
    EXPECT_FILE,
    WEB,
    a_history,
    a_node,
    a_state,
    an_association,
    applied,
    digest_of,
    plan,
    some_facts,
    with_file,
)

IDS = (Target(key="InstanceIds", values=("a", "b", "c")),)
TAG = (Target(key="tag:Role", values=("web",)),)


def a_fleet(*associations: Any, nodes: str = "abc", **fields: Any) -> DesiredState:
    return a_state(*associations, nodes=tuple(a_node(name, tags={"Role": "web"}) for name in nodes), **fields)


def planned(state: DesiredState, history: History | None = None, drifted: str = "", **options: Any) -> Plan:
    facts = [with_file(DRIFTED_FILE, node) if node in drifted else some_facts(node) for node in state.nodes]
    return plan(state, *facts, history=history, **options)


def everywhere(state: DesiredState, *names: str, **fields: Any) -> History:
    records = [
        a_history({name: applied(state, name) for name in names}, node=node).nodes[NodeId(node)] for node in state.nodes
    ]
    return History(nodes={record.node: record for record in records}, **fields)


def pairs(of: Plan) -> list[tuple[str, str]]:
    return [(item.association, item.node) for item in of.items]


def test_an_item_says_what_runs_where_and_why() -> None:
    state = a_fleet(an_association(expect=EXPECT_FILE))
    found = planned(state, everywhere(state, "motd"), drifted="b")
    (item,) = found.items
    assert (item.association, item.node, item.document) == ("motd", "b", "Motd:1")
    assert (item.cause, item.executions, item.opaque, item.canary) == (Cause.DRIFTED, 2, False, False)
    assert item.definition == digest_of(state)
    assert item.run == run_id(state.fleet.id, NodeId("b"), "motd", 2)
    assert item.reason == "file /etc/motd: mode 0600, expected mode 0644"
    assert [(change.expected, change.observed) for change in item.expected_change] == [("mode 0644", "mode 0600")]


def test_an_unchanged_fleet_plans_nothing() -> None:
    state = a_fleet(an_association(expect=EXPECT_FILE), an_association("plain"))
    found = planned(state, everywhere(state, "motd", "plain"))
    assert (found.items, found.left_out, found.removals, found.notes) == ((), (), (), ())


def test_what_nobody_can_foretell_is_opaque() -> None:
    assert [item.opaque for item in planned(a_state(an_association())).items] == [True]


def test_order_is_dependencies_then_ids_groups_tags_everybody_then_name_and_node() -> None:
    state = a_fleet(
        an_association("z-all"),
        an_association("m-tag", targets=TAG),
        an_association("b-id", targets=IDS),
        an_association("a-id", targets=IDS),
        nodes="ab",
    )
    assert pairs(planned(state)) == [(name, node) for name in ("a-id", "b-id", "m-tag", "z-all") for node in ("a", "b")]
    assert [item.order for item in planned(state).items] == list(range(8))


def test_a_dependency_comes_first_whatever_its_kind() -> None:
    needs = AssociationName("z-all")
    state = a_fleet(an_association("a-id", targets=IDS, depends_on=(needs,)), an_association("z-all"), nodes="ab")
    half = a_history({"z-all": applied(state, "z-all")}, node="a")
    found = plan(state, some_facts("a"), some_facts("b"), history=half)
    assert pairs(found) == [("z-all", "b"), ("a-id", "a")]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({}, 2, id="history alone"),
        pytest.param({"markers": {"motd": json.dumps({"n": 4})}}, 5, id="a marker on the node"),
        pytest.param(
            {"runs": {"R": {"manifest": json.dumps({"association": "motd", "n": 6}), "state": "ended Failed 1 1"}}},
            7,
            id="a folder on the node",
        ),
        pytest.param({"markers": {"motd": "garbled", "other": json.dumps({"n": 9})}}, 2, id="what tells nothing"),
    ],
)
def test_executions_are_counted_from_all_who_know(facts: dict[str, Any], expected: int) -> None:
    state = a_state(an_association(), script="echo new")
    history = a_history({"motd": applied(a_state(an_association()))})
    (item,) = plan(state, some_facts(**facts), history=history).items
    assert item.executions == expected


def test_a_document_never_applied_anywhere_sends_one_node_ahead() -> None:
    state = a_fleet(an_association())
    assert [(item.node, item.canary) for item in planned(state).items] == [("a", True), ("b", False), ("c", False)]


def test_no_node_goes_ahead_where_one_runs_or_where_it_was_applied_before() -> None:
    alone = a_fleet(an_association(), nodes="a")
    assert [item.canary for item in planned(alone).items] == [False]
    state = a_fleet(an_association())
    history = a_history({"motd": applied(state)}, node="a")
    assert [(item.node, item.canary) for item in planned(state, history).items] == [("b", False), ("c", False)]


def test_a_first_node_that_failed_sends_another_one_ahead() -> None:
    state = a_fleet(an_association(expect=EXPECT_FILE))
    row = applied(state, status=None, in_sync=False, failures=1, detail="x")
    history = a_history({"motd": row}, node="a")
    found = planned(state, history, drifted="abc")
    assert [(item.node, item.canary) for item in found.items if item.canary] == [("a", True)]


@pytest.mark.parametrize(
    ("before", "now", "is_refused"),
    [
        pytest.param(8, 6, False, id="two of eight"),
        pytest.param(9, 6, True, id="three of nine"),
        pytest.param(12, 9, False, id="a quarter and not more"),
        pytest.param(13, 9, True, id="more than a quarter"),
        pytest.param(4, 2, False, id="half, but two nodes"),
        pytest.param(1, 0, True, id="emptied"),
        pytest.param(0, 0, False, id="it was empty"),
        pytest.param(3, 9, False, id="it grew"),
    ],
)
def test_a_target_set_that_shrank_too_far_is_refused(before: int, now: int, is_refused: bool) -> None:  # noqa: FBT001 - a column
    motd = AssociationName("motd")
    nodes = "abcdefghijklm"
    targets = (Target(key="InstanceIds", values=tuple(nodes[:now])),)
    state = a_fleet(an_association(targets=targets), nodes=nodes)
    old = a_history({"motd": applied(state, definition="0" * 64)}, node="m", target_counts={motd: before})
    found = planned(state, old)
    assert bool(found.items) is (now > 0 and not is_refused)
    assert any("Allow-Shrink: motd" in left.reason for left in found.left_out) is is_refused
    assert bool(found.removals) is (not is_refused and "m" not in nodes[:now])
    allowed = planned(state, old, allow_shrink=frozenset({motd}))
    assert len(allowed.items) == now
    assert not allowed.left_out


def test_the_breaker_counts_repairs_and_not_first_applications() -> None:
    fleet = Fleet(max_changed_per_pass="50%")
    state = a_fleet(an_association(expect=EXPECT_FILE), an_association("new"), nodes="abcd", fleet=fleet)
    found = planned(state, everywhere(state, "motd"), drifted="abc")
    assert [node for name, node in pairs(found) if name == "motd"] == ["a", "b"]
    assert [node for name, node in pairs(found) if name == "new"] == list("abcd")
    (left,) = found.left_out
    assert (left.node, left.association) == ("c", "motd")
    assert left.reason.startswith("breaker: 3 nodes drifted, and MaxChangedPerPass repairs 2 in one pass")


def test_a_limit_plans_for_the_nodes_it_means_alone() -> None:
    state = a_fleet(an_association())
    found = planned(state, limit=lambda node: node.id == "b")
    assert pairs(found) == [("motd", "b")]


def test_a_plan_that_only_observes_has_no_items() -> None:
    found = planned(a_fleet(an_association()), mode=Mode.OBSERVE)
    assert not found.items
    assert len(found.left_out) == 3


def test_what_waits_or_is_unknown_is_left_out_with_its_reason() -> None:
    state = a_fleet(an_association(), nodes="ab")
    facts: list[Facts] = [some_facts("a", holds={"h": "ana"}), replace(some_facts("b"), unreachable="refused")]
    found = plan(state, *facts)
    assert not found.items
    assert [(left.node, left.reason) for left in found.left_out] == [
        ("a", "held by h (ana); not yet applied"),
        ("b", "refused"),
    ]


def test_what_git_manages_no_more_is_a_removal() -> None:
    state = a_fleet(an_association(), an_association("some", targets=(Target(key="InstanceIds", values=("a",)),)))
    history = everywhere(state, "motd", "some")
    gone = a_history({"old": applied(state)}, node="gone").nodes[NodeId("gone")]
    history = replace(history, nodes={**history.nodes, gone.node: gone})
    renamed = replace(state, nodes={**state.nodes, WEB: a_node("web-01", former_ids=(NodeId("gone"),))})
    found = planned(state, history)
    assert [(each.association, each.node) for each in found.removals] == [("some", "b"), ("some", "c"), (None, "gone")]
    assert "gone" not in [each.node for each in planned(renamed, history).removals]


def test_an_association_that_is_gone_is_one_removal_for_all_nodes() -> None:
    state = a_fleet(an_association())
    history = everywhere(a_fleet(an_association(), an_association("old")), "motd", "old")
    (removal,) = planned(state, history).removals
    assert (removal.node, removal.association) == (None, "old")


def test_notes_say_rates_in_words_and_what_is_ignored() -> None:
    state = a_fleet(
        an_association(max_concurrency="50%", max_errors="10%", depends_on=(AssociationName("some"),)),
        an_association("none", targets=TAG[:0]),
        an_association("some", targets=(Target(key="InstanceIds", values=("a",)),)),
        nodes="abcdefghijklmnopqrst",
    )
    found = planned(state)
    assert found.notes == (
        "motd: runs on 19 nodes, 10 at a time; stops after the 3rd failure",
        "motd: DependsOn some is ignored where some does not apply (b, c, d and 16 more)",
        "none: means no node",
        "some: runs on 1 node, 1 at a time, whatever fails",
    )


def test_the_digest_covers_inputs_and_items_and_no_words() -> None:
    state = a_fleet(an_association(), trees={"state": "1"})
    first = planned(state)
    assert first.digest == planned(state).digest
    others = {
        "tree": planned(replace(state, trees={"state": "2"})),
        "history": planned(state, History(commit=None, nodes=everywhere(state, "motd").nodes)),
        "facts": plan(state, *(some_facts(node, custom={"Custom:X": []}) for node in "abc")),
        "limit": planned(state, limit=lambda node: node.id == "b"),
        "mode": planned(state, mode=Mode.WARN),
    }
    digests = [found.digest for found in others.values()]
    assert len({first.digest, *digests}) == len(digests) + 1
    volatile = plan(state, *(some_facts(node, clock={"epoch": 7}) for node in "abc"))
    assert volatile.digest == first.digest


def test_what_an_install_brings_is_part_of_its_item_and_of_the_digest() -> None:
    state = a_fleet(an_association())
    pin = Pin(name="openssl", arch="amd64", version="3.0.2", checksum="sha256:aa", installed="3.0.1")
    order = PatchOrder(baseline=BaselineName("web"), family=Family.APT, pins=(pin,))
    (item,) = planned(state).items[:1]
    changed = replace(order, pins=(replace(pin, checksum="sha256:bb"),))
    digests = {
        plan_digest(replace(planned(state), items=(replace(item, patches=one),))) for one in (None, order, changed)
    }
    assert len(digests) == 3
    assert pin.title(order.family) == "openssl.amd64:3.0.2"
