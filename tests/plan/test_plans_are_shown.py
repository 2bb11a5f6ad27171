import json
from dataclasses import replace

from reconciler.ids import CommitId, NodeId
from reconciler.model.desired import DesiredState
from reconciler.plan.difference import difference
from reconciler.plan.plan import Plan
from reconciler.plan.show import difference_markdown, difference_text, plan_json, plan_markdown, plan_text
from tests.drift.builders import (
    DRIFTED_FILE,
    EXPECT_FILE,
    a_history,
    a_node,
    a_state,
    an_association,
    applied,
    plan,
    some_facts,
    with_file,
)

STATE = a_state(
    an_association(expect=EXPECT_FILE),
    an_association("plain"),
    nodes=tuple(a_node(name) for name in ("a", "b", "c", "d")),
)


def a_plan(state: DesiredState = STATE) -> Plan:
    facts = [with_file(DRIFTED_FILE, "a"), some_facts("b"), some_facts("c", holds={"hold": "\x1b[2Jana"})]
    facts.append(replace(some_facts("d"), unreachable="refused | *by* hand"))
    return plan(
        replace(state, commit=CommitId("c" * 40)), *facts, history=a_history({"motd": applied(state)}, node="a")
    )


def test_text_tells_what_runs_and_what_does_not() -> None:
    found = a_plan()
    assert plan_text(found) == (
        f"Plan {found.digest[:12]} for commit cccccccccccc as of 2026-09-01T12:00:00Z\n"
        "3 runs on 2 nodes, 3 left out.\n"
        "\n"
        "Runs\n"
        "  motd (Motd:1) on a\n"
        "    Drifted: file /etc/motd: mode 0600, expected mode 0644\n"
        "    file /etc/motd: mode 0600 -> mode 0644\n"
        "  plain (Motd:1) on a, b\n"
        "    Pending: not yet applied\n"
        "    what it changes cannot be told beforehand (opaque)\n"
        "    never applied before: a goes first, alone\n"
        "\n"
        "Left out\n"
        "  motd on d: refused | *by* hand\n"
        "  plain on c: held by hold (\\x1b[2Jana); not yet applied\n"
        "  plain on d: refused | *by* hand\n"
        "\n"
        "Notes\n"
        "  motd: runs on 1 node, 1 at a time, whatever fails\n"
        "  plain: runs on 2 nodes, 2 at a time, whatever fails\n"
    )


def test_what_nodes_said_is_harmless_in_every_form() -> None:
    assert "\x1b" not in plan_text(a_plan())
    assert "\x1b" not in plan_markdown(a_plan())
    assert "| *by*" not in plan_markdown(a_plan())


def test_json_is_versioned_and_the_same_plan_gives_the_same_bytes() -> None:
    found = a_plan()
    value = json.loads(plan_json(found))
    assert (value["version"], value["digest"], value["at"]) == (1, found.digest, "2026-09-01T12:00:00Z")
    assert [item["node"] for item in value["items"]] == ["a", "a", "b"]
    assert plan_json(found) == plan_json(a_plan())


def test_nothing_to_do_is_said() -> None:
    state = a_state(an_association())
    found = plan(state, some_facts(), history=a_history({"motd": applied(state)}))
    assert plan_text(found).splitlines()[1:] == ["Nothing to run."]


def test_a_change_is_told_by_what_it_runs() -> None:
    base = a_plan()
    script = a_state(*STATE.associations.values(), nodes=tuple(STATE.nodes.values()), script="echo other")
    found = difference(base, a_plan(script))
    assert [(item.association, item.node) for item in found.added] == []
    assert [(each.after.association, each.after.node) for each in found.changed] == [
        ("motd", "a"),
        ("plain", "a"),
        ("plain", "b"),
    ]
    fewer = replace(STATE, nodes={node: STATE.nodes[node] for node in map(NodeId, "bcd")})
    found = difference(base, plan(fewer, some_facts("b"), some_facts("c"), some_facts("d")))
    assert {(item.association, item.node) for item in found.gone} == {("motd", "a"), ("plain", "a")}
    assert [(item.association, item.node) for item in found.added] == [("plain", "c"), ("plain", "d")]
    assert "2 more runs" in difference_text(found)
    assert "**Would no longer run**" in difference_markdown(found)


def test_a_change_that_does_nothing_is_none() -> None:
    found = difference(a_plan(), a_plan())
    assert not found
    assert "runs nothing" in difference_text(found)
    assert "runs nothing" in difference_markdown(found)
