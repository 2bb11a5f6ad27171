"""Which days of a month a day field means: takes a rule, a year and a month, gives day numbers. Knows no time of day."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date

DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
"""In SSM's numbering, which begins with 1 = SUN."""

_SUNDAY, _SATURDAY = 1, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysOfMonth:
    """A list of day numbers; a month without the day has no run."""

    days: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDay:
    """`L` in the day-of-month field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWorkday:
    """`LW`: the last Monday to Friday of the month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestWorkday:
    """`nW`: the Monday to Friday nearest to day n, never leaving the month."""

    day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaysOfWeek:
    """A list of weekdays, every week; 1 = SUN."""

    weekdays: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LastOfWeekday:
    """`dL`: the last such weekday of the month."""

    weekday: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NthOfWeekday:
    """`d#n`: the n-th such weekday of the month; a month without one has no run."""

    weekday: int
    nth: int


DayRule = DaysOfMonth | LastDay | LastWorkday | NearestWorkday | DaysOfWeek | LastOfWeekday | NthOfWeekday


def weekday_number(day: date) -> int:
    """Give SSM's number of a weekday: 1 = SUN to 7 = SAT."""
    return day.isoweekday() % 7 + 1


def days_in(rule: DayRule, year: int, month: int) -> tuple[int, ...]:
    """List the days of one month that the rule means, ascending; often there are none."""
    length = monthrange(year, month)[1]
    first = weekday_number(date(year, month, 1))
    match rule:
        case DaysOfMonth(days=days):
            found = tuple(day for day in days if day <= length)
        case LastDay():
            found = (length,)
        case LastWorkday():
            found = (_nearest_workday(length, length, first),)
        case NearestWorkday(day=day):
            found = (_nearest_workday(day, length, first),) if day <= length else ()
        case DaysOfWeek(weekdays=weekdays):
            found = tuple(sorted(day for weekday in weekdays for day in _weekdays(weekday, length, first)))
        case LastOfWeekday(weekday=weekday):
            found = _weekdays(weekday, length, first)[-1:]
        case NthOfWeekday(weekday=weekday, nth=nth):
            found = _weekdays(weekday, length, first)[nth - 1 : nth]
    return found


def _weekdays(weekday: int, length: int, first: int) -> tuple[int, ...]:
    """List every day of the month that is this weekday."""
    return tuple(range(1 + (weekday - first) % 7, length + 1, 7))


def _nearest_workday(day: int, length: int, first: int) -> int:
    """Move a Saturday back and a Sunday forward, or the other way where that would leave the month."""
    weekday = (first + day - 2) % 7 + 1
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day
