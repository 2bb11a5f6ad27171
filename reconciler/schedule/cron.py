"""Wall times that match a cron expression: takes a Cron, gives dates and times without a zone, ascending.

Years and months that cannot match are skipped, so that a fifth Sunday in February is found at once. Knows no zone and
no daylight saving: `next_run` does.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise

from reconciler.schedule.days import days_in
from reconciler.schedule.records import Cron

_DAY = timedelta(days=1)


def matching_dates(cron: Cron, first: date) -> Iterator[date]:
    """Give every matching date from `first` on; ends with the year field, 2199 at the latest.

    No limit of fruitless years is needed: the whole year field is at most 2760 months, and looking at one costs
    microseconds.
    """
    for year in cron.years[bisect_left(cron.years, first.year) :]:
        for month in cron.months:
            if (year, month) < (first.year, first.month):
                continue
            for day in days_in(cron.days, year, month):
                found = date(year, month, day)
                if found >= first:
                    yield found


def times_of_day(cron: Cron, first: time = time.min) -> Iterator[time]:
    """Give every matching time of day from `first` on."""
    for hour in cron.hours[bisect_left(cron.hours, first.hour) :]:
        minutes = cron.minutes[bisect_left(cron.minutes, first.minute) :] if hour == first.hour else cron.minutes
        for minute in minutes:
            for second in cron.seconds:
                found = time(hour, minute, second)
                if found >= first:
                    yield found


def wall_times(cron: Cron, first: datetime) -> Iterator[datetime]:
    """Give every matching wall time from `first` on; `first` and the results have no zone."""
    for day in matching_dates(cron, first.date()):
        for clock in times_of_day(cron, first.time() if day == first.date() else time.min):
            yield datetime.combine(day, clock)


def last_wall_time(cron: Cron, until: datetime) -> datetime | None:
    """Give the latest matching wall time at or before `until`; None: there was none since 1970."""
    last = until.date()
    for year in reversed(cron.years[: bisect_right(cron.years, last.year)]):
        for month in reversed(cron.months):
            if (year, month) > (last.year, last.month):
                continue
            for day in reversed(days_in(cron.days, year, month)):
                found = date(year, month, day)
                latest = time.max if found < last else until.time()
                clock = _last_time_of_day(cron, latest) if found <= last else None
                if clock is not None:
                    return datetime.combine(found, clock)
    return None


def _last_time_of_day(cron: Cron, latest: time) -> time | None:
    for hour in reversed(cron.hours[: bisect_right(cron.hours, latest.hour)]):
        for minute in reversed(cron.minutes):
            for second in reversed(cron.seconds):
                found = time(hour, minute, second)
                if found <= latest:
                    return found
    return None


def smallest_gap(cron: Cron) -> timedelta:
    """Measure the shortest way from one time of day to the next, across midnight too; a day where there is only one."""
    seconds = [clock.hour * 3600 + clock.minute * 60 + clock.second for clock in times_of_day(cron)]
    midnight = seconds[0] + int(_DAY.total_seconds()) - seconds[-1]
    return timedelta(seconds=min([midnight, *(later - earlier for earlier, later in pairwise(seconds))]))
