"""Time zones by name: takes an IANA name, gives the zone as the tzdata package knows it.

The package, not the machine's own database: the same commit then means the same instants everywhere, and the version
can be reported. Reading it is the only look outside that this stage takes, once for each zone.
"""

import re
from functools import lru_cache
from importlib import metadata, resources
from zoneinfo import ZoneInfo

from reconciler.schedule.error import ScheduleError


def tzdata_version() -> str:
    """Name the edition of the time zone database that decides: `2026.1` is IANA's 2026a."""
    return metadata.version("tzdata")


@lru_cache(maxsize=64)
def time_zone(name: str) -> ZoneInfo:
    """Find a zone by its exact IANA name."""
    if name not in _names():
        similar = next((known for known in sorted(_names()) if known.lower() == name.lower()), None)
        remedy = f"write {similar}" if similar else "write a name such as Europe/Berlin"
        raise ScheduleError("not an IANA time zone", name, remedy)
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii")
    return frozenset(re.findall(r"\S+", listed)) - {"Factory"}
