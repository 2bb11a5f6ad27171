"""How old a node's lists of packages are: the dates in each Release, when it came, and when the last update was tried."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from reconciler.inventory.apt import LISTS, RELEASES, read_targets
from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.rpm import repositories as rpm
from reconciler.model.known import JsonValue
from reconciler.model.questions import Questions

_SCRIPT: Final = r"""
case $apt_index$rpm_index in
indexes*) say metadata ok "$apt_index$NL--$NL$at_metadata";;
*repositories*) say metadata ok "$rpm_index$NL--$NL$at_metadata";;
*) [ "$pm" = apt ] && rpm_index=$apt_index; say metadata unknown "${rpm_index#unknown }";;
esac
"""

# The time of change of the folder itself: apt makes and removes files there in each update, and gives lists their server's time.
_TRIED: Final = f"{LISTS}/partial"
_STAT: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? ([-+]\d{4})(?:\|.*\|\S+)? (/.*)")


def parse(stdout: str, _: Asked) -> Rows:
    """Give RELEASE (apt's name of it; rpm: the repository's id) -> its dates (ISO 8601, UTC); `*` is when an update was last tried."""
    listed, found, stats = stdout.partition("\n--\n")
    if not found:
        raise ValueError("the times of the lists are missing")
    changed = dict(_changed(line) for line in stats.split("\n") if line)
    if listed.startswith("repositories "):
        return _rpm(listed, changed)
    rows: dict[str, JsonValue] = {"*": {"tried": changed.get(_TRIED)}}
    for target in read_targets(listed):
        release = target.release
        if release is not None:
            rows[release.name] = {
                "date": _told(release.date("Date")),
                "valid_until": _told(release.date("Valid-Until")),
                "fetched": changed.get(f"{LISTS}/{release.file}"),
            }
    return rows


def _rpm(listed: str, changed: Mapping[str, str]) -> Rows:
    """Neither dnf nor zypper tells of tries that failed: `*` is when one last succeeded."""
    manager, repositories = rpm.read_repositories(listed)
    rows: dict[str, JsonValue] = {}
    for one in repositories:
        mark = "repomd.xml" if manager == "zypp" else one.primary
        fetched = changed.get(f"{one.folder}/repodata/{mark}") if one.folder else None
        rows[one.id] = {"date": _told(one.published), "valid_until": None, "fetched": fetched}
    times = [row["fetched"] for row in rows.values() if isinstance(row, dict) and row["fetched"]]
    return {"*": {"tried": max(map(str, times), default=None)}, **rows}


def _changed(line: str) -> tuple[str, str]:
    found = _STAT.search(line)
    if found is None:
        raise ValueError(f"not a line of stat: {line[:80]!r}")
    try:
        when = datetime.strptime(f"{found.group(1)} {found.group(2)}", "%Y-%m-%d %H:%M:%S %z")
        return found.group(3), _told(when) or ""
    except OverflowError:
        raise ValueError(f"not a time: {line[:80]!r}") from None


def _told(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _script(questions: Questions) -> str:
    return _SCRIPT if questions.patches else ""


FACT = Fact(section="metadata", watch=f"{RELEASES} {_TRIED} {rpm.MARKS}", script=_script, parse=parse)
