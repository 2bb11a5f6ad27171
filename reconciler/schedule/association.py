"""State Manager's schedules: takes an association's expression and what ran on one node, gives Due or NotDue with the reason.

Always UTC, never more often than every 30 minutes. Only the schedule is judged here: creation, changes, manual starts,
drift and back-off are the business of `drift`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from reconciler.ids import AssociationName, NodeId
from reconciler.schedule.cron import last_wall_time, wall_times
from reconciler.schedule.error import ScheduleError
from reconciler.schedule.expression import parse
from reconciler.schedule.lints import lints
from reconciler.schedule.records import At, Cron, Expression, Rate
from reconciler.schedule.window import shortest_gap

SHORTEST_GAP = timedelta(minutes=30)
LONGEST_RATE = timedelta(days=31)
"""SSM: a rate stays below it."""
LONGEST_JITTER = timedelta(seconds=30)
"""SSM's agent spreads its runs that far, so that a fleet with one rate does not start as one."""


def parse_association_schedule(text: str) -> Expression:
    """Read the ScheduleExpression of an association."""
    expression = parse(text)
    if isinstance(expression, Cron) and expression.seconds != (0,):
        remedy = f"write 0, or leave the field out: cron({' '.join(expression.fields[-6:])})"
        raise ScheduleError(
            "the seconds of an association's schedule are 0", expression.fields[0], remedy, len("cron(")
        )
    if shortest_gap(expression) < SHORTEST_GAP:
        remedy = "write rate(30 minutes)" if isinstance(expression, Rate) else "leave 30 minutes between two runs"
        raise ScheduleError("an association runs every 30 minutes at most", text, remedy)
    if isinstance(expression, Rate) and expression.interval >= LONGEST_RATE:
        raise ScheduleError("an association's rate is less than 31 days", text, "write a cron(), or rate(30 days)")
    return expression


def association_lints(expression: Expression, *, now: datetime | None = None) -> tuple[str, ...]:
    """List doubts: those of every schedule, what SSM would not take, and, where `now` is told, an `at` that is past."""
    found = [*lints(expression)]
    if isinstance(expression, Cron):
        month, year = expression.fields[-3], expression.fields[-1]
        found += [
            f"{name} {field}: State Manager on AWS takes only * here, so this schedule is not portable to it"
            for name, field in (("month", month), ("year", year))
            if field != "*"
        ]
    if isinstance(expression, At) and now is not None and _utc(expression.wall) <= now:
        found.append(f"{expression} is past: it is never due for what changes after it")
    return tuple(found)


def jitter(node: NodeId, association: AssociationName) -> timedelta:
    """Spread the nodes of one rate over up to 30 seconds: always the same for one node and association."""
    digest = hashlib.sha256(f"{node}\0{association}".encode()).digest()
    longest = LONGEST_JITTER // timedelta(milliseconds=1)
    return timedelta(milliseconds=int.from_bytes(digest[:8], "big") % (longest + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What happened to one association on one node: instants with a zone, None where it did not happen."""

    definition_changed: datetime
    """When the association was created, or its schedule changed last."""
    first_matched: datetime | None = None
    """When the node became one of its targets."""
    last_started: datetime | None = None
    last_completed: datetime | None = None
    """Of the last run that ended, well or not."""
    passed_over: datetime | None = None
    """Until when due runs were given up without one: the error limit was reached, a gate was closed."""
    drift_found: datetime | None = None
    """Only with expectations: the first due instant after it is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Run once now, however many instants went by."""

    since: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDue:
    """Not now."""

    until: datetime | None
    """None: not known (it is running), or never again."""
    reason: str


def due(
    expression: Expression,
    past: Past,
    *,
    now: datetime,
    spread: timedelta = timedelta(0),
    offset_days: int = 0,
) -> Due | NotDue:
    """Decide whether the schedule asks for a run; `spread` is the node's `jitter`, `offset_days` SSM's ScheduleOffset."""
    if past.last_started and (past.last_completed is None or past.last_completed < past.last_started):
        return NotDue(until=None, reason=f"running since {_text(past.last_started)}")
    match expression:
        case Rate(interval=interval):
            return _rate_due(expression, past, interval + spread, now)
        case Cron() as cron:
            return _cron_due(cron, past, timedelta(days=offset_days), now)
        case At(wall=wall):
            return _at_due(_utc(wall), past, now)


def _rate_due(rate: Rate, past: Past, wait: timedelta, now: datetime) -> Due | NotDue:
    """Count from the end of the last run, which drifts by the time it took: never aligned to the clock."""
    last = _latest(past.last_completed, past.passed_over)
    if last is None:
        since = _latest(past.definition_changed, past.first_matched, past.drift_found) or now
        return Due(since=min(since, now), reason=f"{rate}: it never ran on this node")
    next_due = last + wait
    what = f"{rate} after {_text(last)}"
    return (
        Due(since=next_due, reason=f"{what}: due since {_text(next_due)}")
        if next_due <= now
        else NotDue(until=next_due, reason=f"{what}: next due at {_text(next_due)}")
    )


def _cron_due(cron: Cron, past: Past, offset: timedelta, now: datetime) -> Due | NotDue:
    """Look for the first instant that no run has answered; further ones up to now are answered by the same run.

    Instants that went by while it was running are answered by that run: hence its end counts, not its start.
    """
    known = _latest(past.definition_changed, past.first_matched) or past.definition_changed
    answered = _latest(known, past.last_started, past.last_completed, past.passed_over, past.drift_found) or known
    around = _around(cron, offset, now)
    if known <= now - offset and (around.latest is None or around.latest <= max(known, answered - offset)):
        return around.waiting
    for base in _bases_after(cron, max(known, answered - offset)):
        run = base + offset
        if run <= now:
            return Due(since=run, reason=f"{cron}: due since {_text(run)}")
        return NotDue(until=run, reason=f"{cron}: next due at {_text(run)}")
    return NotDue(until=None, reason=f"{cron}: it never runs again")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Around:
    """What every node of an association shares in one pass."""

    latest: datetime | None
    """The last base whose run is not ahead any more."""
    waiting: NotDue
    """The answer for a node that has answered it."""


@lru_cache(maxsize=1024)
def _around(cron: Cron, offset: timedelta, now: datetime) -> _Around:
    """Work out once what would be the same for 10,000 nodes."""
    threshold = (now - offset).astimezone(UTC)
    latest = last_wall_time(cron, threshold.replace(tzinfo=None))
    waiting = NotDue(until=None, reason=f"{cron}: it never runs again")
    for base in _bases_after(cron, threshold):
        waiting = NotDue(until=base + offset, reason=f"{cron}: next due at {_text(base + offset)}")
        break
    return _Around(latest=None if latest is None else _utc(latest), waiting=waiting)


def _bases_after(cron: Cron, instant: datetime) -> Iterator[datetime]:
    for wall in wall_times(cron, instant.astimezone(UTC).replace(tzinfo=None)):
        base = _utc(wall)
        if base > instant:
            yield base


def _at_due(instant: datetime, past: Past, now: datetime) -> Due | NotDue:
    answered = _latest(
        past.definition_changed,
        past.first_matched,
        past.last_started,
        past.last_completed,
        past.passed_over,
        past.drift_found,
    )
    what = f"at {_text(instant)}"
    if answered is not None and instant <= answered:
        return NotDue(until=None, reason=f"{what}: that was before {_text(answered)}, and it never runs again")
    if instant <= now:
        return Due(since=instant, reason=f"{what}: due, and not run since")
    return NotDue(until=instant, reason=f"{what}: still ahead")


def _latest(*instants: datetime | None) -> datetime | None:
    return max(filter(None, instants), default=None)


def _utc(wall: datetime) -> datetime:
    return wall.replace(tzinfo=UTC)


def _text(instant: datetime) -> str:
    in_utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
    return f"{in_utc.isoformat()[:19]}Z"
