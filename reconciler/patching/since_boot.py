"""What installs brought to a node since it was booted: takes its facts and what the branch remembers, gives titles and times; pure.

An install notes on its node, under the boot id of that hour, what it brings; section `reboot` tells it until the node is booted.
So a command counts like an association, and so does an install whose pass was killed. SSM: a small file on the node, too.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.ids import PatchId
from reconciler.inventory.observed import Facts
from reconciler.model.known import Known
from reconciler.model.patch import Family, patch_title


def booted_at(facts: Facts, now: datetime) -> datetime | None:
    """Give when a node was booted, by our own clock; None: it does not say."""
    match facts.get("clock", "uptime"):
        case Known(int() | float() as seconds) if 0 <= seconds < 2**31:
            return now - timedelta(seconds=seconds)
    return None


def brought(facts: Facts, family: Family, known: Mapping[str, datetime], now: datetime) -> Mapping[str, datetime]:
    """Give titles, each with when it was brought: `known` ones, and those that the node alone knows of, which count from now on.

    The words of a node count for its own rows alone: a title that is not installed there is nothing.
    """
    match facts.get("reboot", "since_boot"):
        case Known(list() | tuple() as lines):
            booted = booted_at(facts, now)
            rows = (line.partition(" ") for line in lines if isinstance(line, str))
            told = (patch_title(family, PatchId(row), version) for row, _, version in rows)
            # Its boot id proves what clocks only suggest.
            times = {title: known.get(title, now) for title in told}
            return {**known, **{one: at if booted is None or booted < at else now for one, at in times.items()}}
    return known
