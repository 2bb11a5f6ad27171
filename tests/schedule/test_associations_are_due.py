"""When State Manager's schedule asks for a run on a node, and when it does not."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.ids import AssociationName, NodeId
from reconciler.schedule.association import (
    LONGEST_JITTER,
    Due,
    NotDue,
    Past,
    association_lints,
    due,
    jitter,
    parse_association_schedule,
)

SUNDAYS = "cron(0 2 ? * SUN *)"
DAILY = "cron(0 2 * * ? *)"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_past(**instants: str) -> Past:
    """An association of Wednesday 2 September 2026; the rest as told."""
    given = {"definition_changed": "2026-09-02T10:00"} | instants
    return Past(**{name: at(text) for name, text in given.items()})


def decide(text: str, past: Past, now: str, *, offset_days: int = 0) -> Due | NotDue:
    return due(parse_association_schedule(text), past, now=at(now), offset_days=offset_days)


def due_since(decision: Due | NotDue) -> datetime:
    assert isinstance(decision, Due), decision
    return decision.since


def waits_until(decision: Due | NotDue) -> datetime | None:
    assert isinstance(decision, NotDue), decision
    return decision.until


@pytest.mark.parametrize(
    ("past", "now", "until"),
    [
        pytest.param(a_past(), "2026-09-02T10:00", "2026-09-06T02:00", id="A before the first Sunday"),
        pytest.param(
            a_past(last_started="2026-09-06T02:00", last_completed="2026-09-06T02:03"),
            "2026-09-06T02:03",
            "2026-09-13T02:00",
            id="A after it ran",
        ),
        pytest.param(
            a_past(first_matched="2026-09-07T12:00"), "2026-09-07T12:00", "2026-09-13T02:00", id="B matched on Monday"
        ),
        pytest.param(
            a_past(last_started="2026-09-08T09:00", last_completed="2026-09-08T09:01"),
            "2026-09-08T10:00",
            "2026-09-13T02:00",
            id="C after its catch-up",
        ),
    ],
)
def test_the_next_sunday_is_waited_for(past: Past, now: str, until: str) -> None:
    assert waits_until(decide(SUNDAYS, past, now)) == at(until)


@pytest.mark.parametrize(
    ("past", "now", "since"),
    [
        pytest.param(a_past(), "2026-09-06T02:00", "2026-09-06T02:00", id="A at the instant"),
        pytest.param(a_past(first_matched="2026-09-07T12:00"), "2026-09-13T02:00", "2026-09-13T02:00", id="B"),
        pytest.param(a_past(), "2026-09-08T09:00", "2026-09-06T02:00", id="C back on Tuesday"),
        pytest.param(a_past(), "2026-12-24T09:00", "2026-09-06T02:00", id="back at Christmas"),
    ],
)
def test_a_sunday_that_passed_unanswered_is_due(past: Past, now: str, since: str) -> None:
    assert due_since(decide(SUNDAYS, past, now)) == at(since)


def test_a_node_that_was_off_for_days_runs_once() -> None:
    before = a_past(last_started="2026-09-07T02:00", last_completed="2026-09-07T02:02")
    thursday = "2026-09-10T09:00"
    assert due_since(decide(DAILY, before, thursday)) == at("2026-09-08T02:00")
    caught_up = a_past(last_started=thursday, last_completed="2026-09-10T09:02")
    assert waits_until(decide(DAILY, caught_up, "2026-09-10T09:02")) == at("2026-09-11T02:00")


def test_a_change_of_the_schedule_forgets_earlier_instants() -> None:
    changed = a_past(definition_changed="2026-09-06T12:00", last_completed="2026-08-30T02:03")
    assert waits_until(decide(SUNDAYS, changed, "2026-09-07T00:00")) == at("2026-09-13T02:00")


def test_what_runs_is_not_due() -> None:
    running = a_past(last_started="2026-09-06T02:00")
    decision = decide(SUNDAYS, running, "2026-09-14T00:00")
    assert decision == NotDue(until=None, reason="running since 2026-09-06T02:00:00Z")
    again = a_past(last_completed="2026-08-30T02:03", last_started="2026-09-06T02:00")
    assert isinstance(decide("rate(30 minutes)", again, "2026-09-14T00:00"), NotDue)


def test_an_instant_that_passes_during_a_run_is_answered_by_it() -> None:
    long_run = a_past(last_started="2026-09-06T01:50", last_completed="2026-09-06T02:20")
    assert waits_until(decide(SUNDAYS, long_run, "2026-09-06T02:20")) == at("2026-09-13T02:00")


def test_an_instant_that_was_given_up_is_not_due_again() -> None:
    given_up = a_past(passed_over="2026-09-06T02:00")
    assert waits_until(decide(SUNDAYS, given_up, "2026-09-06T02:10")) == at("2026-09-13T02:00")


def test_a_rate_that_was_given_up_waits_one_interval_more() -> None:
    given_up = a_past(last_completed="2026-09-06T01:00", passed_over="2026-09-06T02:00")
    assert waits_until(decide("rate(1 hour)", given_up, "2026-09-06T02:10")) == at("2026-09-06T03:00")


def test_drift_waits_for_the_first_instant_after_it_was_found() -> None:
    drifted = a_past(drift_found="2026-09-08T09:00")
    assert waits_until(decide(SUNDAYS, drifted, "2026-09-08T09:00")) == at("2026-09-13T02:00")
    assert due_since(decide(SUNDAYS, drifted, "2026-09-13T02:00:05")) == at("2026-09-13T02:00")


def test_a_rate_counts_from_the_end_of_the_last_run() -> None:
    ran = a_past(last_started="2026-09-02T10:07", last_completed="2026-09-02T10:09")
    assert waits_until(decide("rate(1 hour)", ran, "2026-09-02T11:08:59")) == at("2026-09-02T11:09")
    assert due_since(decide("rate(1 hour)", ran, "2026-09-02T11:09")) == at("2026-09-02T11:09")
    assert due_since(decide("rate(1 hour)", ran, "2026-09-05T00:00")) == at("2026-09-02T11:09")


def test_a_rate_that_never_ran_is_due_at_once() -> None:
    assert due_since(decide("rate(1 hour)", a_past(), "2026-09-02T10:07")) == at("2026-09-02T10:00")


def test_jitter_delays_a_rate_and_nothing_else() -> None:
    spread, now = timedelta(seconds=17), at("2026-09-06T02:00")
    ran = a_past(last_started="2026-09-06T00:59", last_completed="2026-09-06T01:00")
    rate = due(parse_association_schedule("rate(1 hour)"), ran, now=now, spread=spread)
    assert rate == NotDue(
        until=at("2026-09-06T02:00:17"),
        reason="rate(1 hour) after 2026-09-06T01:00:00Z: next due at 2026-09-06T02:00:17Z",
    )
    assert isinstance(due(parse_association_schedule(SUNDAYS), ran, now=now, spread=spread), Due)


def test_jitter_is_stable_and_spread_over_its_range() -> None:
    motd = AssociationName("motd")
    found = [jitter(NodeId(f"web-{number}"), motd) for number in range(200)]
    assert found == [jitter(NodeId(f"web-{number}"), motd) for number in range(200)]
    assert all(timedelta(0) <= one <= LONGEST_JITTER for one in found)
    assert min(found) < LONGEST_JITTER / 10
    assert max(found) > LONGEST_JITTER * 9 / 10
    assert len(set(found)) > 190
    assert jitter(NodeId("web-1"), AssociationName("other")) != found[1]
    assert jitter(NodeId("a"), AssociationName("bc")) != jitter(NodeId("ab"), AssociationName("c"))
    assert found[:2] == [timedelta(seconds=25.195), timedelta(seconds=16.726)]


ONCE = "at(2026-09-06T02:00:00)"


@pytest.mark.parametrize(
    ("past", "now", "decision"),
    [
        pytest.param(a_past(), "2026-09-05T00:00", at("2026-09-06T02:00"), id="ahead"),
        pytest.param(
            a_past(definition_changed="2026-09-06T02:00"), "2026-09-06T02:00", None, id="past when it was written"
        ),
        pytest.param(a_past(first_matched="2026-09-07T00:00"), "2026-09-08T00:00", None, id="matched later"),
        pytest.param(
            a_past(last_started="2026-09-06T02:00", last_completed="2026-09-06T02:01"),
            "2026-09-08T00:00",
            None,
            id="done",
        ),
        pytest.param(a_past(passed_over="2026-09-06T02:00"), "2026-09-06T03:00", None, id="given up"),
    ],
)
def test_a_single_run_is_not_due(past: Past, now: str, decision: datetime | None) -> None:
    assert waits_until(decide(ONCE, past, now)) == decision


def test_a_single_run_is_due_once_it_is_time_however_late() -> None:
    assert due_since(decide(ONCE, a_past(), "2026-09-06T02:00")) == at("2026-09-06T02:00")
    ran_before = a_past(last_started="2026-09-02T10:01", last_completed="2026-09-02T10:02")
    assert due_since(decide(ONCE, ran_before, "2026-12-06T02:00")) == at("2026-09-06T02:00")


def test_a_single_run_that_is_past_is_doubted() -> None:
    expression = parse_association_schedule(ONCE)
    assert association_lints(expression) == association_lints(expression, now=at("2026-09-06T01:59")) == ()
    assert len(association_lints(expression, now=at("2026-09-06T02:00"))) == 1


SECOND_THURSDAY = "cron(0 0 ? * THU#2 *)"


@pytest.mark.parametrize(
    ("created", "until"),
    [
        pytest.param("2026-09-02T10:00", "2026-09-13T00:00", id="created before the base"),
        pytest.param("2026-09-10T00:00", "2026-10-11T00:00", id="created at the base"),
        pytest.param("2026-09-11T10:00", "2026-10-11T00:00", id="created between base and run"),
    ],
)
def test_an_offset_run_needs_a_base_after_creation(created: str, until: str) -> None:
    past = a_past(definition_changed=created)
    assert waits_until(decide(SECOND_THURSDAY, past, "2026-09-12T10:00", offset_days=3)) == at(until)
    assert due_since(decide(SECOND_THURSDAY, past, until, offset_days=3)) == at(until)


def test_an_offset_on_a_daily_schedule_still_runs_daily() -> None:
    ran = a_past(last_started="2026-09-10T02:00", last_completed="2026-09-10T02:01")
    assert waits_until(decide(DAILY, ran, "2026-09-10T02:01", offset_days=3)) == at("2026-09-11T02:00")


def test_a_schedule_whose_years_are_over_never_runs_again() -> None:
    decision = decide("cron(0 2 * * ? 2020-2026)", a_past(last_completed="2026-12-31T02:01"), "2027-01-01T00:00")
    assert decision == NotDue(until=None, reason="cron(0 2 * * ? 2020-2026): it never runs again")
