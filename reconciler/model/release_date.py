"""Dates of patches as vendors and people write them: text -> an instant in UTC. Pure."""

import re
from datetime import UTC, datetime
from typing import Final

_DATE: Final = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})(?:[ T](?P<time>\d{2}:\d{2}(?::\d{2})?))?(?P<zone> ?UTC|Z|[+-]\d{2}:\d{2})?", re.ASCII
)
_EPOCH: Final = re.compile(r"\d{9,11}", re.ASCII)


def read_release_date(text: str) -> datetime:
    """Read `2024-03-01 12:30:05`, without seconds or time, with `UTC`, `Z` or an offset, or epoch seconds; no zone: UTC.

    Raises ValueError on anything else: a date that is guessed would end a wait.
    """
    said = text.strip()
    if _EPOCH.fullmatch(said):
        return datetime.fromtimestamp(int(said), UTC)
    found = _DATE.fullmatch(said)
    if found is None:
        raise ValueError(f"not a date: {said[:40]!r}")
    zone = (found["zone"] or "Z").strip()
    written = f"{found['day']}T{found['time'] or '00:00'}{'Z' if zone == 'UTC' else zone}"
    try:
        return datetime.fromisoformat(written).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"not a date: {said[:40]!r}") from None
