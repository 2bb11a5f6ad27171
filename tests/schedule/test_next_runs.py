"""Worked examples: when windows and associations run next."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from reconciler.schedule.association import parse_association_schedule
from reconciler.schedule.error import ScheduleError
from reconciler.schedule.expression import parse
from reconciler.schedule.next_run import Gap, Timetable, next_run, preview, upcoming
from reconciler.schedule.window import parse_window_schedule
from tests.support.cases import read_cases

CASES = Path(__file__).parent / "cases"


def instant(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def cases(name: str) -> list[Any]:
    loaded = read_cases(CASES / f"{name}.yaml")
    return [pytest.param(case, id=case["id"]) for case in loaded]


def check(case: dict[str, Any], timetable: Timetable, now: datetime) -> None:
    expected = [instant(text) for text in case["next"]]
    wanted = len(expected) + (case.get("then") == "never")
    assert wanted
    assert list(islice(upcoming(timetable, now), wanted)) == expected


@pytest.mark.parametrize("case", cases("windows"))
def test_a_window_opens_next(case: dict[str, Any]) -> None:
    now = instant(case.get("now", "2026-01-15T12:00"))
    timetable = Timetable(
        expression=parse_window_schedule(case["expression"]),
        timezone=case.get("timezone", "UTC"),
        offset_days=case.get("offset", 0),
        start=instant(case["start"]) if "start" in case else None,
        end=instant(case["end"]) if "end" in case else None,
        effective_from=instant(case["created"]) if "created" in case else now,
        gap=Gap(case.get("gap", "shift")),
    )
    check(case, timetable, now)


@pytest.mark.parametrize("case", cases("associations"))
def test_an_association_runs_next(case: dict[str, Any]) -> None:
    now = instant(case.get("now", "2026-09-01T00:00"))
    timetable = Timetable(
        expression=parse_association_schedule(case["expression"]),
        offset_days=case.get("offset", 0),
        effective_from=instant(case["created"]) if "created" in case else now,
    )
    check(case, timetable, now)


def test_now_itself_is_not_the_next_run() -> None:
    now = instant("2026-01-15T12:00")
    assert preview(parse("cron(0 12 * * ? *)"), count=1, now=now) == (instant("2026-01-16T12:00"),)


def test_now_may_carry_any_zone_and_fractions_of_a_second() -> None:
    found = preview(parse("cron(0 12 * * ? *)"), count=2, now=instant("2026-01-15T12:59:59.999999+01:00"))
    assert found == (instant("2026-01-15T12:00"), instant("2026-01-16T12:00"))


def test_a_preview_of_a_rate_counts_from_now() -> None:
    now = instant("2026-01-15T12:07:10")
    assert preview(parse("rate(1 day)"), count=2, now=now) == (
        instant("2026-01-16T12:07:10"),
        instant("2026-01-17T12:07:10"),
    )


def test_a_preview_ends_where_the_schedule_does() -> None:
    now = instant("2026-01-15T12:00")
    assert preview(parse("cron(0 2 30 2 ? *)"), count=5, now=now) == ()
    assert preview(parse("cron(0 2 29 2 ? 2090-2110)"), count=5, now=now) == (
        instant("2092-02-29T02:00"),
        instant("2096-02-29T02:00"),
        instant("2104-02-29T02:00"),
        instant("2108-02-29T02:00"),
    )
    assert len(preview(parse("at(2026-03-08T02:30:00)"), count=5, now=now)) == 1


def test_after_the_last_year_nothing_runs() -> None:
    timetable = Timetable(expression=parse("cron(0 2 * * ? *)"), effective_from=instant("2026-01-15T12:00"))
    assert next_run(timetable, instant("2199-12-30T12:00")) == instant("2199-12-31T02:00")
    assert next_run(timetable, instant("2199-12-31T12:00")) is None


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        pytest.param({"timezone": "Europe/Atlantis"}, "not an IANA time zone", id="unknown zone"),
        pytest.param({"timezone": "europe/berlin"}, "write Europe/Berlin", id="zone in small letters"),
        pytest.param({"timezone": "../../etc/passwd"}, "not an IANA time zone", id="a path"),
        pytest.param({"timezone": "localtime"}, "not an IANA time zone", id="the machine's own"),
        pytest.param({"timezone": "right/Europe/Berlin"}, "not an IANA time zone", id="leap seconds"),
        pytest.param({"timezone": ""}, "not an IANA time zone", id="empty"),
        pytest.param({"offset_days": 7}, "1 to 6 days", id="offset too long"),
        pytest.param({"offset_days": -1}, "1 to 6 days", id="negative offset"),
        pytest.param({"offset_days": 1, "expression": parse("rate(1 day)")}, "cron() only", id="offset with rate"),
        pytest.param(
            {"offset_days": 1, "expression": parse("at(2026-07-07T15:55:00)")}, "cron() only", id="offset with at"
        ),
        pytest.param(
            {"start": instant("2026-01-02T00:00"), "end": instant("2026-01-02T00:00")}, "not after", id="empty span"
        ),
    ],
)
def test_a_timetable_that_contradicts_itself_is_refused(changed: dict[str, Any], says: str) -> None:
    sound = {"expression": parse("cron(0 2 * * ? *)"), "effective_from": instant("2026-01-01T00:00")}
    with pytest.raises(ScheduleError) as refused:
        Timetable(**(sound | changed))
    assert says in str(refused.value)
