"""What one pass remembers for the next: executions, failures, repairs, adoption, drift; and nothing where nothing changed."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from reconciler.drift.finding import State
from reconciler.drift.memory import with_findings, with_outcomes, with_seen, with_settled
from reconciler.ids import AssociationName, Digest, NodeId, RunId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, History, RunStatus
from reconciler.model.outcome import Disposition, Outcome, RunRecord
from reconciler.targets.resolve import resolve_targets
from tests.drift.builders import (
    DRIFTED_FILE,
    EXPECT_FILE,
    MOTD,
    NOW,
    WEB,
    a_history,
    a_node,
    a_state,
    ago,
    an_association,
    applied,
    digest_of,
    find,
    some_facts,
    with_file,
)

PLAIN = a_state(an_association())
EXPECTING = a_state(an_association(expect=EXPECT_FILE))
TRACES = {"motd": '{"n": 9}'}
"""Markers of the runs below: without them the node would count as rolled back."""
GOOD, BAD = some_facts(markers=TRACES), with_file(DRIFTED_FILE, markers=TRACES)


def a_record(state: DesiredState, n: int = 1, at: datetime = NOW, **fields: Any) -> RunRecord:
    given: dict[str, Any] = {
        "cause": "Pending",
        "status": RunStatus.SUCCESS,
        "started": at,
        "ended": at + timedelta(seconds=5),
        "exit_code": 0,
        **fields,
    }
    return RunRecord(
        run=RunId(f"R{n}"),
        node=WEB,
        association=MOTD,
        definition=digest_of(state),
        rendered=Digest("x"),
        executions=n,
        **given,
    )


def ran(record: RunRecord) -> Outcome:
    running = record.status is RunStatus.IN_PROGRESS
    return Outcome(
        node=record.node,
        association=record.association,
        disposition=Disposition.RUNNING if running else Disposition.RAN,
        reason="",
        record=record,
        at=NOW,
    )


def looked(state: DesiredState, facts: Facts, history: History, now: datetime = NOW) -> History:
    found = find(state, facts, history=history, now=now)
    return with_findings(history, found, now, desired=state, targets=resolve_targets(state))


def row(history: History) -> Applied:
    found = history.applied(WEB, MOTD)
    assert found is not None
    return found


def test_a_run_that_helped_is_in_sync_and_counts_no_failure() -> None:
    history = with_outcomes(History(), (ran(a_record(EXPECTING)),), NOW)
    history = looked(EXPECTING, GOOD, history)
    assert (row(history).in_sync, row(history).failures, row(history).executions) == (True, 0, 1)
    assert history.nodes[WEB].acknowledged == 1
    assert find(EXPECTING, GOOD, history=history)[0].state is State.IN_SYNC


def test_a_run_that_exited_0_and_left_it_unmet_is_a_failure() -> None:
    history = with_outcomes(History(), (ran(a_record(EXPECTING)),), NOW)
    history = looked(EXPECTING, BAD, history)
    (found,) = find(EXPECTING, BAD, history=history)
    assert (found.state, found.cause.value) == (State.WAITING, "Failed")
    assert found.until == NOW + timedelta(minutes=30, seconds=5)
    (later,) = find(EXPECTING, BAD, history=history, now=NOW + timedelta(hours=1))
    assert (later.state, later.wanted) == (State.FAILED, True)


def test_failures_in_a_row_double_the_wait_and_a_success_resets_it() -> None:
    history = History()
    at = NOW
    for n, wait in enumerate((30, 60, 120, 240), 1):
        record = a_record(EXPECTING, n, at, status=RunStatus.FAILED, exit_code=1, cause="Failed")
        history = looked(EXPECTING, BAD, with_outcomes(history, (ran(record),), at), at)
        (found,) = find(EXPECTING, BAD, history=history, now=at + timedelta(seconds=5))
        assert found.until == at + timedelta(minutes=wait, seconds=5)
        at = found.until
    assert row(looked(EXPECTING, GOOD, history, at)).failures == 0


def test_a_plain_success_counts_no_failure() -> None:
    history = looked(PLAIN, GOOD, with_outcomes(History(), (ran(a_record(PLAIN)),), NOW))
    assert (row(history).failures, row(history).in_sync) == (0, True)


def test_a_new_definition_starts_its_own_count_of_failures() -> None:
    history = a_history({"motd": applied(PLAIN, failures=3, definition=Digest("old"))})
    history = with_outcomes(history, (ran(a_record(PLAIN, 2, status=RunStatus.FAILED)),), NOW)
    assert row(history).failures == 1
    assert row(history).definition_since == NOW
    assert row(history).first_matched == ago(days=9)


def test_repairs_of_drift_are_counted_and_forgotten_after_a_day() -> None:
    history = a_history({"motd": applied(EXPECTING, repairs=(ago(hours=25), ago(hours=2)))})
    history = with_outcomes(history, (ran(a_record(EXPECTING, 2, cause="Drifted")),), NOW)
    assert row(history).repairs == (ago(hours=2), NOW)
    history = with_outcomes(history, (ran(a_record(EXPECTING, 3, cause="Pending")),), NOW)
    assert row(history).repairs == (ago(hours=2), NOW)


def test_the_fifth_repair_in_a_day_ends_it() -> None:
    history = looked(EXPECTING, GOOD, with_outcomes(History(), (ran(a_record(EXPECTING)),), NOW))
    at = NOW
    for n in range(2, 7):
        at += timedelta(hours=1)
        (found,) = find(EXPECTING, BAD, history=history, now=at)
        assert found.wanted, found.reason
        record = a_record(EXPECTING, n, at, cause=found.cause.value)
        history = looked(EXPECTING, GOOD, with_outcomes(history, (ran(record),), at), at)
    (found,) = find(EXPECTING, BAD, history=history, now=at + timedelta(hours=1))
    assert (found.state, found.wanted) == (State.FAILED, False)
    assert found.reason.startswith("flapping: repaired 5 times in 24 h")


def test_a_run_that_goes_on_is_settled_once() -> None:
    going = a_record(EXPECTING, status=RunStatus.IN_PROGRESS, ended=None, exit_code=None, cause="Drifted")
    history = with_outcomes(History(), (ran(going),), NOW)
    assert (history.nodes[WEB].acknowledged, row(history).status) == (0, RunStatus.IN_PROGRESS)
    ended = a_record(EXPECTING, cause="Drifted")
    settled = with_settled(history, (ended,), NOW)
    assert (settled.nodes[WEB].acknowledged, row(settled).status) == (1, RunStatus.SUCCESS)
    assert row(settled).repairs == (NOW,)
    assert with_settled(settled, (ended,), NOW) == settled


def test_an_older_run_never_overwrites_a_newer_one() -> None:
    history = with_settled(History(), (a_record(PLAIN, 2), a_record(PLAIN, 1)), NOW)
    assert row(history).executions == 2
    assert with_settled(history, (a_record(PLAIN, 1, status=RunStatus.FAILED),), NOW) == history


@pytest.mark.parametrize("facts", [GOOD, BAD, some_facts(files="cut"), replace(GOOD, unreachable="timed out")])
def test_looking_again_without_change_changes_no_record(facts: Facts) -> None:
    history = with_seen(a_history({"motd": applied(EXPECTING)}), {WEB: facts}, NOW)
    first = looked(EXPECTING, facts, history)
    second = looked(EXPECTING, facts, with_seen(first, {WEB: facts}, NOW), NOW + timedelta(hours=1))
    assert second == first


def test_adoption_is_booked_without_a_run() -> None:
    history = looked(EXPECTING, GOOD, History())
    assert (row(history).adopted, row(history).executions, row(history).run) == (True, 0, None)
    (found,) = find(EXPECTING, BAD, history=looked(EXPECTING, GOOD, history))
    assert found.state is State.DRIFTED


def test_drift_is_dated_once_and_cleared_when_it_is_gone() -> None:
    history = looked(EXPECTING, BAD, a_history({"motd": applied(EXPECTING)}))
    assert (row(history).drift_seen, row(history).in_sync) == (NOW, False)
    again = looked(EXPECTING, BAD, history, NOW + timedelta(hours=1))
    assert again == history
    assert row(looked(EXPECTING, GOOD, again)).drift_seen is None


def test_a_drift_that_was_only_reported_stays_drift() -> None:
    history = looked(EXPECTING, BAD, a_history({"motd": applied(EXPECTING)}))
    (found,) = find(EXPECTING, BAD, history=history)
    assert (found.state, found.wanted) == (State.DRIFTED, True)


def test_what_git_manages_no_more_is_dropped_but_what_shrank_too_far() -> None:
    history = a_history({"motd": applied(PLAIN), "gone": applied(PLAIN), "shrunk": applied(PLAIN)})
    history = replace(history, target_counts={AssociationName("shrunk"): 9, AssociationName("motd"): 5})
    shrunk = AssociationName("shrunk")
    state = a_state(an_association(), an_association("shrunk", targets=()))
    found = find(state, GOOD, history=history)
    after = with_findings(
        history, found, NOW, desired=state, targets=resolve_targets(state), refused=frozenset({shrunk})
    )
    assert set(after.nodes[WEB].applied) == {"motd", "shrunk"}
    assert after.target_counts == {"motd": 1, "shrunk": 9}


def test_nodes_that_left_the_fleet_are_forgotten() -> None:
    history = replace(
        a_history({"motd": applied(PLAIN)}),
        nodes={**a_history({"motd": applied(PLAIN)}).nodes, **a_history({}, node="old").nodes},
    )
    assert list(looked(PLAIN, GOOD, history).nodes) == [WEB]


def test_a_node_that_was_not_looked_at_keeps_its_rows() -> None:
    state = a_state(an_association(), nodes=(a_node(), a_node("web-02")))
    history = a_history({"motd": applied(state)})
    targets = resolve_targets(state)
    found = find(state, some_facts("web-02"), history=history)
    found = tuple(each for each in found if each.node == "web-02")
    after = with_findings(history, found, NOW, desired=state, targets=targets)
    assert after.applied(WEB, MOTD) == applied(state)
    assert NodeId("web-02") in after.nodes
