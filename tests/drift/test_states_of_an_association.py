"""The table of states, case by case: what git asks, what the node shows, what history holds, and what is found."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciler.drift.finding import Cause, Finding, State
from reconciler.drift.identity import NOTHING
from reconciler.inventory.observed import Facts
from reconciler.model.association import Expectations, ExpectedService
from reconciler.model.desired import DesiredState
from reconciler.model.history import RunStatus
from tests.drift.builders import (
    DRIFTED_FILE,
    EXPECT_FILE,
    NOW,
    WEB,
    a_history,
    a_node,
    a_state,
    ago,
    an_association,
    applied,
    find,
    some_facts,
    with_file,
)

GOOD = some_facts()
BAD = with_file(DRIFTED_FILE)
EXPECTING = a_state(an_association(expect=EXPECT_FILE))
ON_CHANGE = a_state(an_association(expect=EXPECT_FILE, run_on_change=True))
NIGHTLY = a_state(an_association(expect=EXPECT_FILE, schedule="cron(0 2 * * ? *)"))
HOURLY = a_state(an_association(expect=EXPECT_FILE, schedule="rate(1 hour)"))
PLAIN = a_state(an_association())
PLAIN_NIGHTLY = a_state(an_association(schedule="cron(0 2 * * ? *)"))
OLD = {"definition": "0" * 64}
FAILED: dict[str, Any] = {"status": RunStatus.FAILED, "exit_code": 3, "failures": 1, "in_sync": False}
UNMET = {"failures": 1, "in_sync": False}


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1
    return findings[0]


@pytest.mark.parametrize(
    ("state", "facts", "row", "expected", "reason"),
    [
        pytest.param(EXPECTING, GOOD, None, "InSync", "taken over", id="holds before anything ran: adopted"),
        pytest.param(EXPECTING, BAD, None, "Pending, wanted", "not yet applied", id="never applied"),
        pytest.param(EXPECTING, GOOD, {}, "InSync", "holds", id="applied, and holds"),
        pytest.param(EXPECTING, BAD, {}, "Drifted, wanted", "mode 0600", id="was in sync, the node changed"),
        pytest.param(EXPECTING, BAD, OLD, "Pending, wanted", "definition changed", id="git changed"),
        pytest.param(EXPECTING, GOOD, OLD, "InSync", "taken over", id="git changed, and it holds: adopted"),
        pytest.param(EXPECTING, GOOD, FAILED, "InSync", "holds", id="failed, but everything holds now"),
        pytest.param(
            EXPECTING, BAD, {**FAILED, "ended": ago(minutes=30)}, "Failed, wanted", "exit status 3", id="again"
        ),
        pytest.param(
            EXPECTING, BAD, {**UNMET, "ended": ago(hours=1)}, "Failed, wanted", "exited 0", id="left it unmet"
        ),
        pytest.param(EXPECTING, BAD, {**FAILED, "ended": ago(minutes=29)}, "Waiting", "back-off", id="first back-off"),
        pytest.param(
            EXPECTING, BAD, {**FAILED, "failures": 2, "ended": ago(minutes=59)}, "Waiting", "2 failures", id="2"
        ),
        pytest.param(
            EXPECTING,
            BAD,
            {**FAILED, "failures": 2, "ended": ago(minutes=60)},
            "Failed, wanted",
            "",
            id="second is over",
        ),
        pytest.param(
            EXPECTING, BAD, {**FAILED, "failures": 99, "ended": ago(hours=24)}, "Failed, wanted", "", id="a day at most"
        ),
        pytest.param(
            EXPECTING, BAD, {**FAILED, **OLD, "ended": NOW}, "Pending, wanted", "changed", id="git resets the back-off"
        ),
        pytest.param(
            EXPECTING,
            BAD,
            {"repairs": tuple(ago(hours=n) for n in (1, 2, 3, 4, 23))},
            "Failed",
            "flapping",
            id="five repairs in a day",
        ),
        pytest.param(
            EXPECTING,
            BAD,
            {"repairs": tuple(ago(hours=n) for n in (1, 2, 3, 4, 24))},
            "Drifted, wanted",
            "",
            id="the fifth is a day old",
        ),
        pytest.param(
            EXPECTING, BAD, {"in_sync": False, "drift_seen": ago(hours=2)}, "Drifted, wanted", "", id="still so"
        ),
        pytest.param(
            EXPECTING,
            BAD,
            {"adopted": True, "status": None, "run": None, "executions": 0},
            "Drifted, wanted",
            "",
            id="adopted, then changed",
        ),
        pytest.param(ON_CHANGE, GOOD, OLD, "Pending, wanted", "RunOnChange", id="a new definition runs once"),
        pytest.param(ON_CHANGE, GOOD, {}, "InSync", "", id="and once only"),
        pytest.param(ON_CHANGE, GOOD, {**FAILED, "ended": ago(minutes=1)}, "Waiting", "", id="not at once again"),
        pytest.param(NIGHTLY, BAD, None, "Pending, wanted", "", id="new: at once, as State Manager does"),
        pytest.param(NIGHTLY, BAD, {}, "Waiting", "next due at 2026-09-02T02:00:00Z", id="drift waits for 02:00"),
        pytest.param(
            NIGHTLY, BAD, {"in_sync": False, "drift_seen": ago(hours=13)}, "Waiting", "", id="02:00 was answered"
        ),
        pytest.param(
            NIGHTLY,
            BAD,
            {
                "in_sync": False,
                "drift_seen": ago(hours=13),
                "started": ago(days=2, minutes=1),
                "ended": ago(days=2),
            },
            "Drifted, wanted",
            "",
            id="02:00 has come since",
        ),
        pytest.param(HOURLY, BAD, {"ended": ago(minutes=50)}, "Waiting", "rate(1 hour)", id="the hour is not over"),
        pytest.param(HOURLY, BAD, {"ended": ago(minutes=61)}, "Drifted, wanted", "", id="the hour is over"),
        pytest.param(PLAIN, GOOD, None, "Pending, wanted", "not yet applied", id="plain: created"),
        pytest.param(PLAIN, GOOD, {}, "InSync", "applied as written", id="plain: once and no more"),
        pytest.param(PLAIN, GOOD, OLD, "Pending, wanted", "definition changed", id="plain: changed"),
        pytest.param(PLAIN, GOOD, FAILED, "Failed", "new definition or apply", id="plain: failed for good"),
        pytest.param(PLAIN_NIGHTLY, GOOD, {}, "InSync", "", id="plain: before its instant"),
        pytest.param(
            PLAIN_NIGHTLY,
            GOOD,
            {"started": ago(hours=11), "ended": ago(hours=11)},
            "Pending, wanted",
            "due since 2026-09-01T02:00:00Z",
            id="plain: due",
        ),
        pytest.param(PLAIN_NIGHTLY, GOOD, FAILED, "Waiting", "2026-09-02T02:00:00Z", id="plain: at the next instant"),
    ],
)
def test_a_node_stands_where_the_table_says(
    state: DesiredState, facts: Facts, row: dict[str, Any] | None, expected: str, reason: str
) -> None:
    history = a_history({} if row is None else {"motd": applied(state, **row)})
    found = only(find(state, facts, history=history))
    assert f"{found.state.value}{', wanted' if found.wanted else ''}" == expected, found.reason
    assert reason in found.reason


def test_a_waiting_finding_keeps_its_cause_and_says_until_when() -> None:
    history = a_history({"motd": applied(EXPECTING, **FAILED, ended=ago(minutes=10))})
    found = only(find(EXPECTING, BAD, history=history))
    assert (found.state, found.cause, found.until) == (State.WAITING, Cause.FAILED, NOW + timedelta(minutes=20))


def test_of_schedule_and_backoff_the_later_counts() -> None:
    row = applied(HOURLY, **{**FAILED, "failures": 4}, started=ago(hours=2), ended=ago(hours=2))
    found = only(find(HOURLY, BAD, history=a_history({"motd": row})))
    assert (found.state, found.until) == (State.WAITING, NOW + timedelta(hours=2))


def test_a_node_that_joins_later_is_told_from_a_new_association() -> None:
    state = a_state(an_association(), nodes=(a_node("web-01"), a_node("web-02")))
    history = a_history({"motd": applied(state)})
    findings = find(state, some_facts("web-01"), some_facts("web-02"), history=history)
    assert [found.state for found in findings] == [State.IN_SYNC, State.PENDING]
    assert findings[1].reason == "new node for this association"
    assert not findings[1].first_time


def test_adoption_is_said_once() -> None:
    found = only(find(EXPECTING, GOOD))
    assert found.adopted
    history = a_history({"motd": applied(EXPECTING, adopted=True, status=None, run=None, executions=0)})
    assert not only(find(EXPECTING, GOOD, history=history)).adopted


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        pytest.param(replace(BAD, unreachable="connection refused"), "connection refused", id="unreachable"),
        pytest.param(some_facts(files="cut after 3 rows"), "files: cut after 3 rows", id="a section is garbled"),
        pytest.param(some_facts(files={}), "was not asked for yet", id="never asked"),
        pytest.param(with_file({"unknown": "permission denied"}), "permission denied", id="a row is unreadable"),
        pytest.param(with_file("text"), "not a set of fields", id="a row is odd"),
    ],
)
def test_what_could_not_be_read_is_unknown(facts: Facts, reason: str) -> None:
    for history in (a_history(), a_history({"motd": applied(EXPECTING)})):
        found = only(find(EXPECTING, facts, history=history))
        assert (found.state, found.wanted) == (State.UNKNOWN, False)
        assert reason in found.reason


def test_a_fact_it_does_not_rest_on_changes_nothing() -> None:
    assert only(find(EXPECTING, some_facts(packages="cut"), history=a_history())).state is State.IN_SYNC


def test_a_definite_difference_outranks_an_unknown() -> None:
    expect = Expectations(files=EXPECT_FILE.files, services=(ExpectedService(name="nginx", running=True),))
    state = a_state(an_association(expect=expect))
    found = only(find(state, with_file(None, services="cut"), history=a_history({"motd": applied(state)})))
    assert (found.state, found.wanted) == (State.DRIFTED, True)
    assert "services: cut" in found.reason
    good = only(find(state, some_facts(services="cut"), history=a_history({"motd": applied(state)})))
    assert good.state is State.UNKNOWN


def test_a_node_never_collected_is_unknown() -> None:
    assert only(find(PLAIN)).state is State.UNKNOWN


def test_lost_history_is_unknown_and_never_never_applied() -> None:
    found = only(find(PLAIN, GOOD, history=a_history(lost="the branch was rewound")))
    assert (found.state, found.wanted) == (State.UNKNOWN, False)
    assert "rewound" in found.reason


def test_nothing_known_to_be_applied_is_not_an_old_definition() -> None:
    row = applied(PLAIN, definition=NOTHING, detail="the node was reimaged", status=None, in_sync=False)
    found = only(find(PLAIN, GOOD, history=a_history({"motd": row})))
    assert (found.state, found.reason, found.wanted) == (State.PENDING, "the node was reimaged", True)


def test_findings_come_sorted_one_for_each_association_and_node() -> None:
    names = ("zeta", "motd", "alpha")
    state = a_state(*(an_association(name) for name in names), nodes=(a_node("b"), a_node("a")))
    findings = find(state, some_facts("a"), some_facts("b"))
    assert [(found.node, found.association) for found in findings] == [
        (node, name) for node in "ab" for name in sorted(names)
    ]
    assert WEB not in {found.node for found in findings}
