"""A planner that planned before gives the plan that a new one gives, to the byte."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from reconciler.drift.memory import with_seen
from reconciler.ids import NodeId
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.plan.ground import Ground, ground
from reconciler.plan.planner import Planner
from tests.drift.builders import (
    DRIFTED_FILE,
    EXPECT_FILE,
    NOW,
    a_history,
    a_node,
    a_state,
    an_association,
    applied,
    some_facts,
)

IDS = tuple(NodeId(f"n{number}") for number in range(5))
STATE = a_state(
    an_association("file", expect=EXPECT_FILE),
    an_association("plain"),
    an_association("rate", schedule="rate(1 hour)"),
    nodes=tuple(a_node(node) for node in IDS),
)


def facts_of(node: NodeId, **sections: object) -> Facts:
    facts = some_facts(node, **{"identity": {"machine_id": f"machine-of-{node}"}, **sections})  # type: ignore[arg-type]
    return read_canonical(node, canonical(facts))


def history_of(state: DesiredState) -> History:
    nodes = {}
    for node in IDS:
        rows = {str(name): applied(state, name) for name in state.associations}
        nodes |= a_history(rows, node=node).nodes
    return History(nodes=nodes)


def changes() -> Iterator[tuple[str, Ground, dict[NodeId, Facts], History, timedelta]]:
    base, history = ground(STATE), history_of(STATE)
    facts = {node: facts_of(node) for node in IDS}
    hour = timedelta(hours=1)
    yield "the first", base, facts, history, timedelta()
    yield "nothing changed", base, dict(facts), history, timedelta()
    facts[IDS[1]] = facts_of(IDS[1], files={"/etc/motd": DRIFTED_FILE})
    yield "a file was edited, in the same mapping", base, facts, history, timedelta()
    facts = {**facts, IDS[2]: facts_of(IDS[2], identity={"machine_id": "another"})}
    yield "a node was reimaged", base, facts, history, timedelta()
    history = replace(history, nodes={**history.nodes, IDS[2]: replace(history.nodes[IDS[2]], machine_id="another")})
    yield "its history was written", base, facts, history, timedelta()
    facts = {**facts, IDS[3]: replace(facts[IDS[3]], unreachable="timed out")}
    yield "a node did not answer", base, facts, history, timedelta()
    yield "a schedule came due", base, facts, history, hour
    edited = replace(STATE.associations[an_association("plain").name], schedule="rate(30 minutes)")
    state = replace(STATE, associations={**STATE.associations, edited.name: edited})
    yield "a definition changed", ground(state, base), facts, history, hour
    left = {node: found for node, found in facts.items() if node != IDS[0]}
    state = replace(state, nodes={node: state.nodes[node] for node in left})
    yield "a node left", ground(state, base), left, history, hour
    yield "and came back", base, facts, history, hour


def test_a_warm_planner_plans_what_a_new_one_plans() -> None:
    warm = Planner()
    digests = []
    for what, base, facts, history, later in changes():
        survey, plan = warm.plan(base, facts, history, NOW + later)
        afresh, expected = Planner().plan(ground(base.desired), facts, history, NOW + later)
        assert plan == expected, what
        assert list(survey) == list(afresh), what
        # Findings look at the machine once more: that the books do is seen only within.
        assert warm._with_seen(history, facts, NOW) == with_seen(history, facts, NOW), what
        digests.append(plan.digest)
    assert digests[0] == digests[1]
    assert len(set(digests)) > len(digests) // 2
