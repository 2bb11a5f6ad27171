"""When a schedule runs next: takes an expression with its zone, offset and dates, gives instants after `now`, in UTC.

Daylight saving: a wall time that does not exist is shifted forward by the length of the gap (or skipped, where asked),
one that exists twice runs at its first occurrence, or at both where the hour field covers the whole day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import Enum
from heapq import heappop, heappush
from itertools import islice

from reconciler.schedule.cron import wall_times
from reconciler.schedule.error import ScheduleError
from reconciler.schedule.records import At, Cron, Expression, Rate
from reconciler.schedule.time_zone import time_zone

_LONGEST_OFFSET = 6
"""Days: SSM's limit of ScheduleOffset."""
_BACK = timedelta(days=2)
"""How far before `now`, besides its offset, a base may lie whose run is still ahead: a zone may skip a whole day."""
_DISORDER = timedelta(hours=25)
"""Wall times further apart than this map to instants in the same order: no zone ever moved by more than a day."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Gap(Enum):
    """What becomes of a wall time that a spring change leaves out."""

    SHIFT = "shift"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """A schedule as a maintenance window has it. All instants carry a zone; `timezone` concerns the expression alone."""

    expression: Expression
    timezone: str = "UTC"
    offset_days: int = 0
    """SSM: ScheduleOffset. Days from a matching date to its run; cron only."""
    start: datetime | None = None
    end: datetime | None = None
    """No run after it; one at it."""
    effective_from: datetime
    """Creation, or the last change of schedule or start date: anchor of a rate, and bases before it are not used."""
    gap: Gap = Gap.SHIFT

    def __post_init__(self) -> None:
        if not 0 <= self.offset_days <= _LONGEST_OFFSET:
            raise ScheduleError("ScheduleOffset is 1 to 6 days", str(self.offset_days))
        if self.offset_days and not isinstance(self.expression, Cron):
            raise ScheduleError("ScheduleOffset goes with cron() only", str(self.expression))
        if self.start and self.end and self.end <= self.start:
            raise ScheduleError("EndDate is not after StartDate", self.end.isoformat())
        time_zone(self.timezone)


def upcoming(timetable: Timetable, now: datetime) -> Iterator[datetime]:
    """Give every run after `now`, ascending and without doubles; may be endless, or empty for "never again"."""
    for instant in _instants(timetable, max(now, _EPOCH)):
        if timetable.end and instant > timetable.end:
            return
        if timetable.start is None or instant >= timetable.start:
            yield instant


def next_run(timetable: Timetable, now: datetime) -> datetime | None:
    """Give the first run after `now`; None: never again."""
    return next(upcoming(timetable, now), None)


def preview(expression: Expression, *, count: int, now: datetime, timezone: str = "UTC") -> tuple[datetime, ...]:
    """List the next runs for somebody who looks at an expression alone; a rate counts from `now`."""
    timetable = Timetable(expression=expression, timezone=timezone, effective_from=now)
    return tuple(islice(upcoming(timetable, now), count))


def to_instants(wall: datetime, zone: tzinfo, *, both: bool, gap: Gap) -> tuple[datetime, ...]:
    """Map a wall time to the instants it means in a zone: one; none or a shifted one in a gap; one or two where it repeats."""
    early, late = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    before, after = early.utcoffset(), late.utcoffset()
    if before == after:
        return (early.astimezone(UTC),)
    if (
        before is not None and after is not None and before < after
    ):  # left out: fold 0 keeps the old offset, so it shifts
        return (early.astimezone(UTC),) if gap is Gap.SHIFT else ()
    return (early.astimezone(UTC), late.astimezone(UTC)) if both else (early.astimezone(UTC),)


def _instants(timetable: Timetable, now: datetime) -> Iterator[datetime]:
    match timetable.expression:
        case Rate(interval=interval):
            return _rate_instants(timetable, interval, now)
        case Cron() as cron:
            return _cron_instants(timetable, cron, now)
        case At(wall=wall):
            found = to_instants(wall, time_zone(timetable.timezone), both=False, gap=timetable.gap)
            return (instant for instant in found if instant > now)


def _rate_instants(timetable: Timetable, interval: timedelta, now: datetime) -> Iterator[datetime]:
    """Walk a fixed grid: from a start date that lay ahead, itself included, else from creation, itself not."""
    anchor, step = timetable.effective_from.astimezone(UTC), 1
    if timetable.start and timetable.start > anchor:
        anchor, step = timetable.start.astimezone(UTC), 0
    step = max(step, (now - anchor) // interval + 1)
    while True:
        yield anchor + step * interval
        step += 1


def _cron_instants(timetable: Timetable, cron: Cron, now: datetime) -> Iterator[datetime]:
    """Map bases in wall order to runs in the order of instants, which differ around a change of the clocks."""
    zone = time_zone(timetable.timezone)
    both, offset = cron.covers_all_hours, timedelta(days=timetable.offset_days)
    waiting: list[tuple[datetime, datetime]] = []
    last = now
    first = max(now.astimezone(zone).replace(tzinfo=None) - _BACK - offset, _EPOCH.replace(tzinfo=None))
    for base in wall_times(cron, first):
        while waiting and waiting[0][1] + _DISORDER < base + offset:
            instant, _ = heappop(waiting)
            if instant > last:
                yield instant
                last = instant
        if offset and to_instants(base, zone, both=False, gap=Gap.SHIFT)[0] <= timetable.effective_from:
            continue
        for instant in to_instants(base + offset, zone, both=both, gap=timetable.gap):
            heappush(waiting, (instant, base + offset))
    while waiting:
        instant, _ = heappop(waiting)
        if instant > last:
            yield instant
            last = instant
