"""An instant that a node tells (hold files, manifests, markers): foreign text -> an instant we can reckon with, or None; pure."""

from datetime import UTC, datetime

_FIRST, _LAST = 2000, 2999
"""Years. Beyond them sums of instants and intervals leave what a datetime can hold, and one node's text must end no pass."""


def told_instant(text: object, *, zoned: bool = True) -> datetime | None:
    """Read ISO 8601; None where it is none, or lies in no year of ours. What people write need not be `zoned`: then it is UTC."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        if zoned and found.tzinfo is None:
            return None
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if _FIRST <= found.year <= _LAST else None
