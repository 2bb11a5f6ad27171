"""What failed elsewhere holds further nodes back; where it failed, and what was asked for by hand, goes on."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.ids import NodeId
from reconciler.model.fleet import Fleet
from reconciler.model.history import History, RunStatus
from reconciler.plan.plan import Plan, Tally
from tests.drift.builders import (
    DRIFTED_FILE,
    EXPECT_FILE,
    MOTD,
    a_history,
    a_node,
    a_state,
    ago,
    an_association,
    applied,
    plan,
    some_facts,
    with_file,
)

FAILED = {"status": RunStatus.FAILED, "exit_code": 3, "failures": 1, "in_sync": False, "ended": ago(minutes=5)}
UNMET = {**FAILED, "status": RunStatus.SUCCESS, "exit_code": 0}
LONG_AGO = {"started": ago(hours=3), "ended": ago(hours=2)}


def planned(failed: str, well: str = "", new: str = "xy", **fields: Any) -> Plan:
    """Plan for nodes named by letters: `failed` (upper case: due for another attempt), `well`, and new ones."""
    fleet = Fleet(stop_after_failures=fields.pop("stop_after", 3))
    how = fields.pop("how", FAILED)
    names = [*failed.lower(), *well, *new]
    state = a_state(an_association(expect=EXPECT_FILE, **fields), nodes=tuple(map(a_node, names)), fleet=fleet)
    rows = {
        **{each.lower(): applied(state, **{**how, **(LONG_AGO if each.isupper() else {})}) for each in failed},
        **{each: applied(state) for each in well},
    }
    histories = [a_history({"motd": row}, node=name).nodes[NodeId(name)] for name, row in rows.items()]
    facts = [with_file(DRIFTED_FILE, name) if name not in well else some_facts(name) for name in names]
    return plan(state, *facts, history=History(nodes={record.node: record for record in histories}))


@pytest.mark.parametrize(
    ("failed", "well", "begun"),
    [
        pytest.param("ab", "", "xy", id="two of three"),
        pytest.param("abc", "", "", id="three"),
        pytest.param("abc", "de", "", id="it went well on fewer"),
        pytest.param("abc", "def", "xy", id="it went well on as many"),
        pytest.param("abC", "", "c", id="only where it is due for another attempt"),
    ],
)
def test_a_definition_that_failed_reaches_no_further_node(failed: str, well: str, begun: str) -> None:
    found = planned(failed, well)
    assert [item.node for item in found.items] == list(begun)
    held = [left for left in found.left_out if "StopAfterFailures is 3" in left.reason]
    assert [left.node for left in held] == ([] if "x" in begun else ["x", "y"])


def test_an_expectation_left_unmet_is_a_failure_but_no_error() -> None:
    assert not planned("abc", how=UNMET, max_errors="0").items
    assert planned("ab", how=UNMET, max_errors="0").tallies == {MOTD: Tally(errors=0, failed=2, well=0)}


def test_the_breaker_can_be_turned_off() -> None:
    assert [item.node for item in planned("abcdef", stop_after=0).items] == ["x", "y"]


@pytest.mark.parametrize(
    ("max_errors", "begun"),
    [pytest.param("1", "", id="two are more than one"), pytest.param("2", "xy", id="two are not more than two")],
)
def test_errors_that_stand_count_towards_max_errors(max_errors: str, begun: str) -> None:
    found = planned("ab", max_errors=max_errors)
    assert [item.node for item in found.items] == list(begun)
    if begun:
        assert found.tallies == {MOTD: Tally(errors=2, failed=2, well=0)}
    else:
        assert {left.reason.partition(";")[0] for left in found.left_out if left.node in {"x", "y"}} == {
            "2 errors, MaxErrors allows 1"
        }


def test_another_definitions_failures_do_not_count() -> None:
    state = a_state(
        an_association(expect=EXPECT_FILE), nodes=(a_node("a"), a_node("x")), fleet=Fleet(stop_after_failures=1)
    )
    row = replace(applied(state, **FAILED), definition="0" * 64)  # type: ignore[type-var]  # a digest
    found = plan(
        state, with_file(DRIFTED_FILE, "a"), with_file(DRIFTED_FILE, "x"), history=a_history({"motd": row}, node="a")
    )
    assert [item.node for item in found.items] == ["a", "x"]


def test_at_a_due_instant_of_the_schedule_errors_count_anew() -> None:
    found = planned("AB", max_errors="1", schedule="rate(30 minutes)")
    assert [item.node for item in found.items] == ["a", "b", "x", "y"]
    assert not found.tallies
