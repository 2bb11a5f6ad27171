"""What holds for every schedule, against a slow and simple evaluator that shares nothing with the real one."""

from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reconciler.schedule.association import Due, NotDue, Past, due
from reconciler.schedule.cron import last_wall_time, smallest_gap, wall_times
from reconciler.schedule.days import DayRule, days_in
from reconciler.schedule.expression import parse
from reconciler.schedule.next_run import Timetable, preview, upcoming
from reconciler.schedule.records import Cron, Rate
from reconciler.schedule.time_zone import time_zone

WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MINUTE = timedelta(minutes=1)
unhurried = settings(max_examples=60)
"""No test here is about time: a busy machine is no failure."""


@dataclass(frozen=True)
class Field:
    """A field's text, and which values it means."""

    text: str
    values: frozenset[int]


@dataclass(frozen=True)
class Day:
    """The two day fields' text, and which dates they mean."""

    by_date: str
    by_weekday: str
    matches: Callable[[date], bool]


@cache  # hypothesis reads the source of each new lambda, which takes longer than an example
def a_field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[Field]:
    everything = range(low, high + 1)

    def written(value: int, *, by_name: bool) -> str:
        return names[value - low] if names and by_name else str(value)

    @st.composite
    def item(draw: st.DrawFn) -> Field:
        first, last = sorted(draw(st.tuples(st.sampled_from(everything), st.sampled_from(everything))))
        step, by_name = draw(st.integers(1, high)), draw(st.booleans())
        a, b = written(first, by_name=by_name), written(last, by_name=by_name)
        shapes = {
            "*": everything,
            f"*/{step}": [value for value in everything if (value - low) % step == 0],
            a: [first],
            f"{a}/{step}": [value for value in everything if value >= first and (value - first) % step == 0],
            f"{a}-{b}": [value for value in everything if first <= value <= last],
            f"{a}-{b}/{step}": [
                value for value in everything if first <= value <= last and (value - first) % step == 0
            ],
        }
        text = draw(st.sampled_from(sorted(shapes)))
        return Field(text, frozenset(shapes[text]))

    def joined(items: list[Field]) -> Field:
        return Field(",".join(one.text for one in items), frozenset().union(*(one.values for one in items)))

    return st.lists(item(), min_size=1, max_size=3).map(joined)


def number(day: date) -> int:
    return day.isoweekday() % 7 + 1


def length(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def nearest_workday(day: date, wanted: int) -> bool:
    """Walk outwards from the wanted day until there is a workday in the month."""
    if wanted > length(day):
        return False
    near = sorted(range(1, length(day) + 1), key=lambda other: (abs(other - wanted), other))
    return day.day == next(one for one in near if day.replace(day=one).weekday() < 5)


@cache
def a_day() -> st.SearchStrategy[Day]:
    weekday, nth = st.integers(1, 7), st.integers(1, 5)
    return st.one_of(
        a_field(1, 31).map(lambda field: Day(field.text, "?", lambda day: day.day in field.values)),
        a_field(1, 7, WEEKDAYS).map(lambda field: Day("?", field.text, lambda day: number(day) in field.values)),
        st.just(Day("L", "?", lambda day: day.day == length(day))),
        st.just(Day("?", "L", lambda day: day.weekday() == 5)),
        st.just(Day("LW", "?", lambda day: nearest_workday(day, length(day)))),
        st.integers(1, 31).map(lambda wanted: Day(f"{wanted}W", "?", lambda day: nearest_workday(day, wanted))),
        weekday.map(lambda d: Day("?", f"{d}L", lambda day: number(day) == d and day.day > length(day) - 7)),
        st.tuples(weekday, nth).map(
            lambda pair: Day(
                "?",
                f"{WEEKDAYS[pair[0] - 1]}#{pair[1]}",
                lambda day: number(day) == pair[0] and (day.day + 6) // 7 == pair[1],
            )
        ),
    )


@dataclass(frozen=True)
class Written:
    """A random expression, and the plain meaning of its fields."""

    text: str
    matches: Callable[[datetime], bool]
    on_day: Callable[[date], bool]


@st.composite
def a_cron(draw: st.DrawFn) -> Written:
    minute, hour = draw(a_field(0, 59)), draw(a_field(0, 23))
    day, month = draw(a_day()), draw(a_field(1, 12, MONTHS))
    year = draw(
        st.sampled_from([Field("*", frozenset(range(1970, 2200))), Field("2026/2", frozenset(range(2026, 2200, 2)))])
    )
    text = f"cron({minute.text} {hour.text} {day.by_date} {month.text} {day.by_weekday} {year.text})"
    assume(len(text) <= 256)

    def on_day(one: date) -> bool:
        return one.month in month.values and one.year in year.values and day.matches(one)

    def matches(wall: datetime) -> bool:
        return wall.second == 0 and wall.minute in minute.values and wall.hour in hour.values and on_day(wall.date())

    return Written(text, matches, on_day)


def walls(first: datetime, days: int) -> list[datetime]:
    return [first + minutes * MINUTE for minutes in range(days * 1440)]


INSTANTS = st.timedeltas(timedelta(0), timedelta(days=1100)).map(lambda age: datetime(2025, 12, 20, tzinfo=UTC) + age)


@unhurried
@given(written=a_cron(), now=INSTANTS)
def test_the_next_runs_are_those_that_a_look_at_every_minute_finds(written: Written, now: datetime) -> None:
    horizon = timedelta(days=5)
    end = now + horizon
    slow = [
        wall for wall in walls(now.replace(second=0, microsecond=0), 6) if written.matches(wall) and now < wall <= end
    ]
    fast = upcoming(Timetable(expression=parse(written.text), effective_from=now, end=end), now)
    assert list(fast) == slow


@unhurried
@given(written=a_cron(), now=INSTANTS)
def test_the_days_of_a_schedule_are_those_that_a_look_at_every_day_finds(written: Written, now: datetime) -> None:
    first = datetime.combine(now, time.min, UTC)
    end = first + timedelta(days=1200)
    runs = upcoming(Timetable(expression=once_a_day(written), effective_from=first, end=end), first)
    days = [first.date() + timedelta(days=day) for day in range(1200)]
    assert [run.date() for run in runs] == [day for day in days if written.on_day(day)]


def once_a_day(written: Written) -> Cron:
    """The same days, at one minute past midnight."""
    fields = written.text.removeprefix("cron(").removesuffix(")").split(" ")
    expression = parse(f"cron({' '.join(['1', '0', *fields[2:]])})")
    assert isinstance(expression, Cron)
    return expression


@lru_cache(maxsize=16)
def minutes_by_wall_time(zone: ZoneInfo, first: datetime, days: int) -> dict[datetime, list[datetime]]:
    found: dict[datetime, list[datetime]] = {}
    for instant in walls(first, days):
        found.setdefault(instant.astimezone(zone).replace(tzinfo=None), []).append(instant)
    return found


def a_change_of_clocks() -> st.SearchStrategy[tuple[str, datetime]]:
    """A zone, and an instant two days before its clocks change."""
    return st.sampled_from(
        [
            ("America/New_York", datetime(2026, 3, 6, tzinfo=UTC)),
            ("America/New_York", datetime(2026, 10, 30, tzinfo=UTC)),
            ("Europe/Berlin", datetime(2026, 3, 27, tzinfo=UTC)),
            ("Europe/Berlin", datetime(2026, 10, 23, tzinfo=UTC)),
            ("Australia/Lord_Howe", datetime(2026, 10, 1, tzinfo=UTC)),
            ("Australia/Lord_Howe", datetime(2026, 4, 2, tzinfo=UTC)),
            ("Africa/Cairo", datetime(2026, 4, 21, tzinfo=UTC)),
            ("America/Havana", datetime(2026, 10, 30, tzinfo=UTC)),
            ("Asia/Kathmandu", datetime(2026, 3, 1, tzinfo=UTC)),
        ]
    )


@unhurried
@given(written=a_cron(), until=INSTANTS)
def test_the_last_run_before_an_instant_is_the_one_that_a_look_ahead_ends_with(
    written: Written, until: datetime
) -> None:
    expression = parse(written.text)
    assert isinstance(expression, Cron)
    wall = until.replace(tzinfo=None)
    found = last_wall_time(expression, wall)
    assert found is None or found <= wall
    between = wall_times(expression, found + MINUTE if found else datetime.min)  # noqa: DTZ901  wall times have no zone
    assert next(between, wall + MINUTE) > wall
    assert found is None or next(wall_times(expression, found)) == found


@unhurried
@given(
    change=a_change_of_clocks(),
    minute=a_field(0, 59),
    hour=st.one_of(
        st.just(Field("*", frozenset(range(24)))),
        a_field(0, 23),
        st.integers(0, 3).map(lambda hour: Field(f"{hour}", frozenset({hour}))),
        st.just(Field("0-3", frozenset(range(4)))),
    ),
    late=st.integers(0, 4320),
)
def test_around_a_change_of_clocks_runs_follow_the_rules(
    change: tuple[str, datetime], minute: Field, hour: Field, late: int
) -> None:
    name, first = change
    zone = time_zone(name)
    by_wall = minutes_by_wall_time(zone, first - timedelta(days=1), 6)
    now, end = first + late * MINUTE, first + timedelta(days=4)
    expected = set()
    for wall in walls(first.astimezone(zone).replace(tzinfo=None) - timedelta(hours=12), 5):
        if wall.minute not in minute.values or wall.hour not in hour.values:
            continue
        occurrences = by_wall.get(wall)
        if occurrences is None:  # in the gap: count on from the last wall time before it, as if the clock had gone on
            before = max(known for known in by_wall if known < wall)
            expected.add(by_wall[before][-1] + (wall - before))
        else:
            expected.update(occurrences if len(hour.values) == 24 else occurrences[:1])
    timetable = Timetable(
        expression=parse(f"cron({minute.text} {hour.text} * * ? *)"), timezone=name, effective_from=now, end=end
    )
    assert list(upcoming(timetable, now)) == sorted(one for one in expected if now < one <= end)


@unhurried
@given(written=a_cron(), now=INSTANTS, zone=st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia", "Asia/Kolkata"]))
def test_runs_come_strictly_after_now_and_one_after_the_other(written: Written, now: datetime, zone: str) -> None:
    runs = preview(parse(written.text), count=20, now=now, timezone=zone)
    assert all(earlier < later for earlier, later in pairwise((now, *runs)))
    if runs:
        asked_later = preview(parse(written.text), count=19, now=runs[0], timezone=zone)
        assert asked_later == runs[1:]


@unhurried
@given(written=a_cron())
def test_an_expression_reads_back_from_its_own_text(written: Written) -> None:
    expression = parse(written.text)
    assert str(expression) == written.text
    assert parse(str(expression)) == expression
    assert parse(written.text.lower()) == expression


@unhurried
@given(count=st.integers(1, 10_000), unit=st.sampled_from(["minute", "hour", "day"]))
def test_a_rate_reads_back_from_its_own_text(count: int, unit: str) -> None:
    text = f"rate({count} {unit}{'s' if count > 1 else ''})"
    expression = parse(text)
    assert str(expression) == text
    assert parse(text.upper()) == expression


@unhurried
@given(written=a_cron())
def test_the_smallest_gap_is_the_shortest_way_between_two_runs_of_daily_runs(written: Written) -> None:
    minute, hour = written.text.removeprefix("cron(").split(" ")[:2]
    daily = parse(f"cron({minute} {hour} * * ? *)")
    assert isinstance(daily, Cron)
    now = datetime(2026, 1, 15, tzinfo=UTC)
    runs = list(upcoming(Timetable(expression=daily, effective_from=now, end=now + timedelta(days=3)), now))
    assert smallest_gap(daily) == min(later - earlier for earlier, later in pairwise(runs))


@unhurried
@given(
    minutes=st.integers(1, 50_000),
    age=st.timedeltas(timedelta(0), timedelta(days=400)),
    now=INSTANTS,
)
def test_a_rate_of_a_window_keeps_to_its_grid(minutes: int, age: timedelta, now: datetime) -> None:
    rate = parse(f"rate({minutes} minute{'s' if minutes > 1 else ''})")
    assert isinstance(rate, Rate)
    created = now - age
    first, second = islice(upcoming(Timetable(expression=rate, effective_from=created), now), 2)
    assert now < first <= now + rate.interval
    assert second - first == rate.interval
    assert (first - created) % rate.interval == timedelta(0)


@unhurried
@given(written=a_cron(), now=INSTANTS, ages=st.tuples(*[st.timedeltas(timedelta(0), timedelta(days=90))] * 3))
def test_a_due_schedule_is_due_no_more_after_one_run(
    written: Written, now: datetime, ages: tuple[timedelta, timedelta, timedelta]
) -> None:
    changed, matched, ran = (now - age for age in ages)
    past = Past(definition_changed=changed, first_matched=matched, last_started=ran, last_completed=ran)
    expression = parse(written.text)
    decision = due(expression, past, now=now)
    floor = max(changed, matched, ran)
    unanswered = next(upcoming(Timetable(expression=expression, effective_from=floor, end=now + MINUTE), floor), None)
    assert isinstance(decision, Due) is (unanswered is not None and unanswered <= now)
    if isinstance(decision, Due):
        assert decision.since == unanswered
        after = Past(definition_changed=changed, first_matched=matched, last_started=now, last_completed=now)
        decision = due(expression, after, now=now)
    assert isinstance(decision, NotDue)
    assert decision.until == next(iter(preview(expression, count=1, now=now)), None)


@pytest.mark.parametrize(
    ("text", "runs", "months"),
    [
        pytest.param("cron(0 2 ? FEB SUN#5 *)", 1, 35, id="a fifth Sunday in February"),
        pytest.param("cron(0 2 29 2 ? *)", 1, 7, id="leap days"),
        pytest.param("cron(0 2 30 2 ? *)", 0, 174, id="never"),
        pytest.param("cron(0 2 1 1 ? 2199)", 1, 1, id="a distant year"),
    ],
)
def test_a_sparse_schedule_skips_what_cannot_match(
    text: str, runs: int, months: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = []

    def counting(rule: DayRule, year: int, month: int) -> tuple[int, ...]:
        looked_at.append((year, month))
        return days_in(rule, year, month)

    monkeypatch.setattr("reconciler.schedule.cron.days_in", counting)
    assert len(preview(parse(text), count=1, now=datetime(2026, 1, 15, tzinfo=UTC))) == runs
    assert len(looked_at) == months
