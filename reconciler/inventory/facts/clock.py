"""The node's clock: seconds since 1970, and seconds since it started."""

import re
from datetime import UTC, datetime

from reconciler.inventory.fact import Asked, Fact, Rows, always

_SCRIPT = r"""
first /proc/uptime
say clock ok "$now${NL}uptime ${v%% *}"
"""

_SECONDS = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
"""No `nan` and no `inf`: both would go into the heartbeat."""
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d+)? \+0000")


def parse(stdout: str, _: Asked) -> Rows:
    """Read the instant (stat's own words, or `epoch SECONDS`) and the uptime."""
    now, _line_feed, uptime = stdout.partition("\n")
    if not uptime.startswith("uptime "):
        raise ValueError(f"not a clock: {stdout[:80]!r}")
    told = uptime.removeprefix("uptime ")
    return {"epoch": _epoch(now), "uptime": _seconds(told) if told else None}


def _seconds(text: str) -> float:
    if _SECONDS.fullmatch(text) is None:
        raise ValueError(f"not seconds: {text[:80]!r}")
    return float(text)


def _epoch(text: str) -> float:
    if text.startswith("epoch "):
        return _seconds(text.removeprefix("epoch "))
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError(f"not an instant: {text[:80]!r}")
    whole = datetime.fromisoformat(found.group(1)).replace(tzinfo=UTC).timestamp()
    return whole + float(found.group(2) or 0)


FACT = Fact(section="clock", script=always(_SCRIPT), parse=parse)
