"""`state/fleet.yaml`: YAML values -> the Fleet record, and what it says for nodes that say nothing themselves."""

import re
from dataclasses import dataclass
from datetime import timedelta

from reconciler.ids import FleetId
from reconciler.model.fleet import DEFAULT_FLEET, Fleet
from reconciler.model.node import Mode
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.schema import check
from reconciler.model.reading.values import Table, Value

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_LONGEST = timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshDefaults:
    """What nodes get that do not name it themselves."""

    user: str | None = None
    identity_file: str | None = None
    mode: Mode = Mode.ENFORCE


def read_fleet(value: Value | None, mistakes: Mistakes) -> tuple[Fleet, SshDefaults]:
    """Read the fleet's settings; without a file, or after a mistake, every default."""
    if value is None or not check("fleet", value, mistakes) or not isinstance(value, Table):
        return Fleet(), SshDefaults()
    empty = Table({}, {}, value.line, value.column)
    ssh, reports = value.table("Ssh") or empty, value.table("Reports") or empty
    mode = Mode(value.scalar("Mode") or "enforce")
    stop_after = value.integer("StopAfterFailures")
    handshakes, kept = ssh.integer("MaxHandshakes"), ssh.integer("KeepConnections")
    fleet = Fleet(
        id=FleetId(value.scalar("Fleet") or DEFAULT_FLEET),
        branch=value.scalar("Branch"),
        interval=_rate(value, "Interval", mistakes) or timedelta(minutes=10),
        pass_wait=_rate(value, "PassWait", mistakes),
        max_handshakes=20 if handshakes is None else handshakes,
        keep_connections=256 if kept is None else kept,
        reports_branch=reports.scalar("Branch") or "compliance",
        reports_remote=reports.scalar("Remote"),
        max_changed_per_pass=value.scalar("MaxChangedPerPass"),
        stop_after_failures=5 if stop_after is None else stop_after,
        mode=mode,
        suspend=value.flag("Suspend"),
        require_reasons=value.flag("RequireReasons"),
    )
    if fleet.branch is not None and fleet.branch == fleet.reports_branch:
        remedy = "keep reports on a branch of their own: set Reports.Branch"
        mistakes.error(value.entries["Branch"], "reports would be written to the very branch they judge", remedy=remedy)
    return fleet, SshDefaults(user=ssh.scalar("User"), identity_file=ssh.scalar("IdentityFile"), mode=mode)


def _rate(value: Table, key: str, mistakes: Mistakes) -> timedelta | None:
    """Read `rate(10 minutes)`; seconds are ours: a pass is not an association's schedule."""
    found = re.fullmatch(r"rate\(([0-9]+) ([a-z]+?)s?\)", value.scalar(key) or "")
    if found is None:
        return None
    seconds = int(found[1]) * _UNITS[found[2]]
    if (found[1] == "1") == found[0].endswith("s)"):
        unit = found[2] if found[1] == "1" else f"{found[2]}s"
        mistakes.error(
            value.entries[key], f"{key}: number and unit do not agree", remedy=f"write rate({found[1]} {unit})"
        )
    if seconds > _LONGEST.total_seconds():
        mistakes.error(value.entries[key], f"{key}: longer than 31 days", remedy="write rate(10 minutes)")
        return None
    return timedelta(seconds=seconds)
