"""Reported patches <-> the JSON values of the compliance branch; fields at their default are left out."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from reconciler.compliance.encode import instant, moment, text_of, whole_of
from reconciler.compliance.patches import PatchReport, PatchSummary, ReportedPatch
from reconciler.ids import BaselineName, PatchId
from reconciler.model.baseline import ComplianceLevel
from reconciler.patching.node_compliance import ComplianceStatus
from reconciler.patching.states import PatchState

_ROW_TEXTS = (
    "id",
    "classification",
    "severity",
    "installed",
    "approved",
    "target",
    "approval",
    "date_source",
    "reason",
)
_ROW_INSTANTS = ("installed_at", "approval_date", "release")


def encode_row(row: ReportedPatch) -> dict[str, Any]:
    """Give the JSON value of one row, without its title, which is its key."""
    value: dict[str, Any] = {name: text for name in _ROW_TEXTS if (text := getattr(row, name))}
    value |= {"state": row.state.value, "level": row.level.value, "since": instant(row.since)}
    value |= {name: instant(when) for name in _ROW_INSTANTS if (when := getattr(row, name)) is not None}
    if row.rule is not None:
        value["rule"] = row.rule
    if row.cves:
        value["cves"] = list(row.cves)
    return value


def _decode_row(title: str, said: Mapping[str, Any]) -> ReportedPatch:
    def text(name: str) -> str:
        return text_of(said.get(name, ""))

    def when(name: str) -> datetime | None:
        return moment(said[name]) if name in said else None

    return ReportedPatch(
        id=PatchId(text_of(said["id"])),
        title=title,
        state=PatchState(said["state"]),
        since=moment(said["since"]),
        level=ComplianceLevel(said["level"]),
        classification=text("classification"),
        severity=text("severity"),
        installed=text("installed"),
        installed_at=when("installed_at"),
        approved=text("approved"),
        target=text("target"),
        approval=text("approval"),
        approval_date=when("approval_date"),
        release=when("release"),
        date_source=text("date_source"),
        rule=whole_of(said["rule"]) if "rule" in said else None,
        cves=tuple(map(text_of, said.get("cves", ()))),
        reason=text("reason"),
    )


def encode_patches(reports: Iterable[PatchReport]) -> dict[str, Any]:
    """Give the members of a node's file that tell of its patches, by baseline; nothing where none is its business."""
    value: dict[str, dict[str, Any]] = {"baselines": {}, "patches": {}, "upcoming": {}}
    for report in reports:
        name = report.baseline
        value["baselines"][name] = _encode_summary_of(report)
        value["patches"] |= {f"{name}/{row.title}": encode_row(row) for row in report.rows}
        value["upcoming"] |= {f"{name}/{title}": instant(when) for title, when in report.upcoming.items()}
    return {name: members for name, members in value.items() if members}


def _encode_summary_of(report: PatchReport) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "status": report.status.value,
        "level": report.level.value,
        "since": instant(report.since),
        "reason": report.reason,
        "why": report.why,
        "counts": {state.value: count for state, count in report.counts.items()},
        "levels": {level.value: count for level, count in report.levels.items()},
        "critical": report.critical,
        "security": report.security,
        "other": report.other,
    }
    if report.group:
        summary["group"] = report.group
    if report.overriding:
        summary["overriding"] = True
    return summary


def decode_patches(said: Mapping[str, Any]) -> tuple[PatchReport, ...]:
    """Read what `encode_patches` wrote. Raises ValueError or KeyError on anything else."""
    return tuple(_decode_report(name, summary, said) for name, summary in said.get("baselines", {}).items())


def _decode_report(name: str, summary: Mapping[str, Any], said: Mapping[str, Any]) -> PatchReport:
    def mine(member: str) -> Mapping[str, Any]:
        return {
            key.removeprefix(f"{name}/"): value
            for key, value in said.get(member, {}).items()
            if key.startswith(f"{name}/")
        }

    return PatchReport(
        baseline=BaselineName(text_of(name)),
        group=text_of(summary.get("group", "")),
        why=text_of(summary["why"]),
        status=ComplianceStatus(summary["status"]),
        since=moment(summary["since"]),
        reason=text_of(summary["reason"]),
        level=ComplianceLevel(summary["level"]),
        counts={PatchState(state): whole_of(count) for state, count in summary["counts"].items()},
        levels={ComplianceLevel(level): whole_of(count) for level, count in summary["levels"].items()},
        critical=whole_of(summary["critical"]),
        security=whole_of(summary["security"]),
        other=whole_of(summary["other"]),
        upcoming={title: moment(when) for title, when in mine("upcoming").items()},
        rows=tuple(_decode_row(title, row) for title, row in mine("patches").items()),
        overriding=summary.get("overriding") is True,
    )


def encode_summary(summaries: Mapping[str, PatchSummary]) -> dict[str, Any]:
    """Give the JSON value: by patch group."""
    return {
        name: {
            "nodes": {status.value: count for status, count in one.nodes.items()},
            "levels": {level.value: count for level, count in one.levels.items()},
            "rows": {state.value: count for state, count in one.states.items()},
            "nodes_with": {state.value: count for state, count in one.with_state.items()},
        }
        for name, one in summaries.items()
    }
