"""Records <-> the JSON values of the compliance branch; instants are UTC seconds with Z, fields at their default are left out."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from reconciler.compliance.report import ReportedFinding
from reconciler.drift.finding import Cause, Difference, Finding, State
from reconciler.ids import AssociationName, Digest, NodeId, RunId
from reconciler.model.association import Severity
from reconciler.model.history import Applied, RunStatus

_INSTANT = re.compile(r"(?:19[7-9]|2[01]\d)\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MOST = 2**53
"""The largest number that every reader of JSON takes."""


def instant(moment: datetime) -> str:
    """Give `2026-01-31T02:00:00Z`; fractions of a second are cut."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=1 << 16)
def moment(text: str) -> datetime:
    """Read what `instant` wrote; ValueError on anything else: a date without a zone, or at the end of time, breaks arithmetic."""
    if not _INSTANT.fullmatch(text):
        raise ValueError(f"not an instant: {text[:40]!r}")
    return datetime.fromisoformat(text)


def whole_second(moment_: datetime) -> datetime:
    """Cut fractions, so that a record read back equals the one that was written."""
    return moment_.replace(microsecond=0)


def text_of(value: object) -> str:
    """Read a text. Raises ValueError: what is no text here would only break where it is used."""
    if not isinstance(value, str):
        raise ValueError(f"not a text: {str(value)[:40]!r}")  # noqa: TRY004  (foreign text is a value, whatever its type)
    return value


def whole_of(value: object, least: int = 0) -> int:
    """Read a whole number. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST:
        raise ValueError(f"not a whole number: {str(value)[:40]!r}")
    return value


def encode_applied(applied: Applied) -> dict[str, Any]:
    """Give the JSON value of one `Applied`."""
    value: dict[str, Any] = {
        "definition": applied.definition,
        "definition_since": instant(applied.definition_since),
        "first_matched": instant(applied.first_matched),
    }
    if applied.exit_code is not None:
        value["exit_code"] = applied.exit_code
    for name in ("adopted", "in_sync", "run", "executions", "detail", "failures"):
        if field := getattr(applied, name):
            value[name] = field
    if applied.status is not None:
        value["status"] = applied.status.value
    for name in ("started", "ended", "drift_seen"):
        if (when := getattr(applied, name)) is not None:
            value[name] = instant(when)
    if applied.repairs:
        value["repairs"] = [instant(repair) for repair in applied.repairs]
    return value


def decode_applied(value: Mapping[str, Any]) -> Applied:
    """Read one `Applied`. Raises ValueError or KeyError on anything else."""

    def when(name: str) -> datetime | None:
        return moment(value[name]) if name in value else None

    return Applied(
        definition=Digest(text_of(value["definition"])),
        definition_since=moment(value["definition_since"]),
        first_matched=moment(value["first_matched"]),
        adopted=bool(value.get("adopted", False)),
        run=RunId(text_of(value["run"])) if "run" in value else None,
        executions=whole_of(value.get("executions", 0)),
        status=RunStatus(value["status"]) if "status" in value else None,
        started=when("started"),
        ended=when("ended"),
        exit_code=whole_of(value["exit_code"], -_MOST) if "exit_code" in value else None,
        detail=text_of(value.get("detail", "")),
        failures=whole_of(value.get("failures", 0)),
        in_sync=bool(value.get("in_sync", False)),
        repairs=tuple(moment(text) for text in value.get("repairs", ())),
        drift_seen=when("drift_seen"),
    )


def encode_finding(reported: ReportedFinding) -> dict[str, Any]:
    """Give the JSON value of a finding with its date. `wanted` and `first_time` are the plan's business and not kept."""
    finding = reported.finding
    value: dict[str, Any] = {
        "state": finding.state.value,
        "reason": finding.reason,
        "since": instant(reported.since),
    }
    if finding.cause.value != finding.state.value:
        value["cause"] = finding.cause.value
    if finding.severity is not Severity.UNSPECIFIED:
        value["severity"] = finding.severity.value
    if finding.definition is not None:
        value["definition"] = finding.definition
    if finding.until is not None:
        value["until"] = instant(finding.until)
    if finding.adopted:
        value["adopted"] = True
    if finding.differences:
        value["differences"] = [
            {"subject": d.subject, "expected": d.expected, "observed": d.observed} for d in finding.differences
        ]
    return value


def decode_finding(node: NodeId, association: AssociationName, value: Mapping[str, Any]) -> ReportedFinding:
    """Read one finding. Raises ValueError or KeyError."""
    state = State(value["state"])
    return ReportedFinding(
        since=moment(value["since"]),
        finding=Finding(
            node=node,
            association=association,
            state=state,
            cause=Cause(value.get("cause", state.value)),
            reason=text_of(value["reason"]),
            severity=Severity(value.get("severity", "UNSPECIFIED")),
            definition=Digest(text_of(value["definition"])) if "definition" in value else None,
            differences=tuple(_difference(difference) for difference in value.get("differences", ())),
            until=moment(value["until"]) if "until" in value else None,
            adopted=bool(value.get("adopted", False)),
        ),
    )


def _difference(value: Mapping[str, Any]) -> Difference:
    return Difference(**{name: text_of(said) for name, said in value.items()})
