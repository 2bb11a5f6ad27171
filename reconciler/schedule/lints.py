"""What is allowed and almost never meant: takes an expression, gives sentences. Never refuses anything."""

from datetime import date

from reconciler.schedule.cron import matching_dates
from reconciler.schedule.days import DAY_NAMES
from reconciler.schedule.records import Cron, Expression


def lints(expression: Expression) -> tuple[str, ...]:
    """List doubts about an expression that reads."""
    if not isinstance(expression, Cron):
        return ()
    found = [*_day_of_week_lints(expression.day_of_week)]
    if next(matching_dates(expression, date(1970, 1, 1)), None) is None:
        found.append(f"{expression} never runs: no month and year of it has such a day")
    return tuple(found)


def _day_of_week_lints(field: str) -> list[str]:
    found = []
    if field == "L":
        found.append("day-of-week L alone is every Saturday: write SAT, or the last one of a month as in FRIL")
    named = ",".join(_named(item) for item in field.split(","))
    if named != field:
        found.append(f"day-of-week {field}: days count from 1 = SUN here and from 0 elsewhere; write {named}")
    if "/" in field:
        found.append(f"day-of-week {field}: a step here is not in SSM's published list; write the days")
    return found


def _named(item: str) -> str:
    """Put names for the numbers of one item, but for its step and its ordinal."""
    for mark in "/#":
        if mark in item:
            head, _, tail = item.partition(mark)
            return f"{_named(head)}{mark}{tail}"
    if item.endswith("L"):
        return _named(item[:-1]) + "L"
    return "-".join(DAY_NAMES[int(day) - 1] if day.isdecimal() else day for day in item.split("-"))
