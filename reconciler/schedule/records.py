"""What an expression says, once read. `expression.parse` makes these; `str()` gives the canonical text, which reads back."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from reconciler.schedule.days import DayRule


class Unit(Enum):
    """The units of a rate; a day is 24 hours whatever the clocks do."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


_LENGTHS = {Unit.MINUTE: timedelta(minutes=1), Unit.HOUR: timedelta(hours=1), Unit.DAY: timedelta(days=1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`rate(2 hours)`: again and again, so much later."""

    count: int
    unit: Unit

    @property
    def interval(self) -> timedelta:
        """Elapsed time from one run to the next."""
        return self.count * _LENGTHS[self.unit]

    def __str__(self) -> str:
        return f"rate({self.count} {self.unit.value}{'' if self.count == 1 else 's'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """`at(2026-07-07T15:55:00)`: once, at this wall time."""

    wall: datetime
    """Without a zone: what uses it says which one."""

    def __str__(self) -> str:
        return f"at({self.wall.isoformat(timespec='seconds')})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """`cron(...)`: at matching wall times. The number fields are ascending and never empty.

    The text alone is compared: what follows from it need not be, and a cron is looked up once for every node.
    """

    fields: tuple[str, ...]
    """As written, in capitals: six, or seven with the seconds first."""
    seconds: tuple[int, ...] = field(compare=False)
    minutes: tuple[int, ...] = field(compare=False)
    hours: tuple[int, ...] = field(compare=False)
    days: DayRule = field(compare=False)
    """Of the one day field that is not `?`."""
    months: tuple[int, ...] = field(compare=False)
    years: tuple[int, ...] = field(compare=False)

    @property
    def day_of_week(self) -> str:
        """The day-of-week field as written."""
        return self.fields[-2]

    @property
    def covers_all_hours(self) -> bool:
        """Whether an hour that occurs twice in autumn runs twice, so that "every 30 minutes" stays that."""
        return len(self.hours) == 24  # noqa: PLR2004  hours of a day

    def __str__(self) -> str:
        return f"cron({' '.join(self.fields)})"


Expression = Rate | Cron | At
