"""What a maintenance window may have as its schedule: takes text, gives an expression no faster than five minutes."""

from datetime import timedelta

from reconciler.schedule.cron import smallest_gap
from reconciler.schedule.error import ScheduleError
from reconciler.schedule.expression import parse
from reconciler.schedule.records import At, Cron, Expression, Rate

SHORTEST_GAP = timedelta(minutes=5)
"""SSM: no window opens more often."""


def parse_window_schedule(text: str) -> Expression:
    """Read the Schedule of a maintenance window."""
    expression = parse(text)
    if shortest_gap(expression) < SHORTEST_GAP:
        raise ScheduleError("a window opens every 5 minutes at most", text, "leave 5 minutes between two openings")
    return expression


def shortest_gap(expression: Expression) -> timedelta:
    """Measure how soon a run can follow another; a single run is never followed."""
    match expression:
        case Rate(interval=interval):
            return interval
        case Cron() as cron:
            return smallest_gap(cron)
        case At():
            return timedelta.max
