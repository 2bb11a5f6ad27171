"""Whether the clock may be trusted with approvals: takes readings, gives a doubt in words or none. Pure.

A clock that runs ahead would end every wait. Approvals move only while the wall clock agrees with the monotonic one, the
last compliance commit and the nodes; else verdicts are those of the last commit's instant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Final

TOLERANCE: Final = timedelta(minutes=10)
_FEWEST_NODES: Final = 3
"""Of fewer nodes a single one that lies, or is wrong, would be the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockReadings:
    """What is known of the time."""

    now: datetime
    """The wall clock, UTC."""
    elapsed: timedelta | None = None
    """By the monotonic clock, since `before` was read; None: nothing was read before."""
    before: datetime | None = None
    """The wall clock at an earlier moment of this process."""
    last_commit: datetime | None = None
    """When the last compliance commit was made; None: there is none."""
    node_skews: Sequence[float] = ()
    """Seconds that each node's clock is ahead of ours."""


def clock_doubt(readings: ClockReadings) -> str:
    """Say why the clock is not to be trusted; empty where it is."""
    if readings.last_commit is not None and readings.now < readings.last_commit - TOLERANCE:
        return f"clock: it says {_told(readings.now)}, but the last report was made at {_told(readings.last_commit)}"
    if readings.before is not None and readings.elapsed is not None:
        jump = readings.now - readings.before - readings.elapsed
        if abs(jump) > TOLERANCE:
            return f"clock: it jumped by {_minutes(jump)} minutes"
    if len(readings.node_skews) >= _FEWEST_NODES:
        skew = timedelta(seconds=median(readings.node_skews))
        if abs(skew) > TOLERANCE:
            return f"clock: the clocks of {len(readings.node_skews)} nodes are {_minutes(skew)} minutes away from ours (median)"
    return ""


def trusted_now(readings: ClockReadings) -> tuple[datetime | None, str]:
    """Give the instant at which approvals are judged, and the doubt; None: nothing may be approved by age at all."""
    doubt = clock_doubt(readings)
    if not doubt:
        return readings.now, ""
    return readings.last_commit, doubt


def _told(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _minutes(span: timedelta) -> int:
    return round(abs(span).total_seconds() / 60)
