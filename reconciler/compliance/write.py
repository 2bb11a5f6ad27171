"""Reports -> the files of the compliance branch: canonical bytes, so that the same facts make no commit."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from reconciler.compliance.encode import encode_applied, encode_finding, instant
from reconciler.compliance.page import page
from reconciler.compliance.patch_rows import encode_patches, encode_summary
from reconciler.compliance.paths import inventory_path, node_path
from reconciler.compliance.report import FleetSummary, NodeReport, Status
from reconciler.drift.finding import Cause
from reconciler.foreign_text import json_escaped
from reconciler.ids import NodeId
from reconciler.inventory.canonical import canonical, say_the_same
from reconciler.model.history import RunStatus
from reconciler.model.outcome import Disposition, Outcome
from reconciler.patching.ledger import Ledger
from reconciler.patching.ledger_files import write_ledger
from reconciler.plan.plan import Plan

VERSION = 1
"""Of the layout below; a reader refuses a higher one."""


def lines(value: Mapping[str, Any]) -> bytes:
    """Give a JSON object with sorted keys, one item of it (and of its object members) a line."""
    parts: list[bytes] = []
    for key in sorted(value):
        member = value[key]
        if isinstance(member, Mapping) and member:
            rows = b",\n".join(b"  %s: %s" % (_json(name), _json(member[name])) for name in sorted(member))
            parts.append(b"%s: {\n%s\n}" % (_json(key), rows))
        else:
            parts.append(b"%s: %s" % (_json(key), _json(member)))
    return b"{\n" + b",\n".join(parts) + b"\n}\n"


def _json(value: object) -> bytes:
    return json_escaped(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))


def node_file(report: NodeReport) -> bytes:
    """Give the bytes of `nodes/ab/ID.json`."""
    value: dict[str, Any] = {
        "version": VERSION,
        "node": report.node,
        "status": report.status.value,
        "findings": {r.finding.association: encode_finding(r) for r in report.findings},
        "applied": {name: encode_applied(applied) for name, applied in report.history.applied.items()},
    }
    if report.history.acknowledged:
        value["acknowledged"] = report.history.acknowledged
    if report.history.machine_id is not None:
        value["machine_id"] = report.history.machine_id
    if report.history.host_key is not None:
        value["host_key"] = report.history.host_key
    if report.notes:
        value["notes"] = list(report.notes)
    for name, instants in (
        ("gone", report.history.gone),
        ("installed_without_reboot", report.history.installed_without_reboot),
    ):
        if instants:
            value[name] = {what: instant(when) for what, when in instants.items()}
    value |= encode_patches(report.every_patches)
    return lines(value)


def summary_file(summary: FleetSummary) -> bytes:
    """Give the bytes of `compliance.json`."""
    patches = {"patches": encode_summary(summary.patches)} if summary.patches else {}
    return lines(
        patches
        | {
            "version": VERSION,
            "fleet": summary.fleet,
            "state_commit": summary.state_commit,
            "nodes": {status.value: count for status, count in summary.nodes.items()},
            "findings": dict(summary.states),
            "severities": {severity.value: count for severity, count in summary.severities.items()},
            "associations": {name: dict(counts) for name, counts in summary.associations.items()},
            "targets": dict(summary.target_counts),
            "problems": list(summary.problems),
            "pauses": list(summary.pauses),
        }
    )


def _told(report: NodeReport) -> tuple[object, ...]:
    return report.findings, report.history, report.notes, report.every_patches


def ledger_files(ledger: Ledger, before: Ledger, *, restored: bool = False) -> Mapping[str, bytes]:
    """Give the files of archives of which something was seen for the first time since `before`; `restored`: of all of them."""
    if restored:
        return write_ledger(ledger)
    if ledger is before:
        return {}
    news = {name: entries for name, entries in ledger.archives.items() if entries != before.archives.get(name)}
    return write_ledger(Ledger(archives=news))


def report_files(
    reports: Mapping[NodeId, NodeReport],
    summary: FleetSummary,
    *,
    before: Mapping[NodeId, NodeReport],
    gone: Iterable[NodeId] = (),
) -> Mapping[str, bytes | None]:
    """Give the files that may differ from the branch: path -> bytes, or None for a file to delete.

    A node whose report equals the one in `before` is not rendered; a node that did not answer keeps its last known facts.
    """
    files: dict[str, bytes | None] = {}
    for node, report in reports.items():
        old = before.get(node)
        if old is report:
            continue
        if old is None or _told(old) != _told(report):
            files[node_path(node)] = node_file(report)
        if old is None or not say_the_same(old.facts, report.facts):
            files[inventory_path(node)] = canonical(report.facts)
    for node in gone:
        files[node_path(node)] = None
        files[inventory_path(node)] = None
    files["compliance.json"] = summary_file(summary)
    files["README.md"] = page(summary, reports).encode()
    return files


def changes_in_words(reports: Mapping[NodeId, NodeReport], before: Mapping[NodeId, NodeReport]) -> tuple[str, ...]:
    """Give one line for each node and association whose state moved, most telling first; for the commit's message."""
    moved: list[tuple[int, str]] = []
    for node, report in sorted(reports.items()):
        old = before.get(node)
        if old is not None and old.findings == report.findings:
            continue
        known = {} if old is None else {r.finding.association: r.finding for r in old.findings}
        for reported in report.findings:
            finding = reported.finding
            earlier = known.get(finding.association)
            if earlier is not None and (earlier.state, earlier.cause) == (finding.state, finding.cause):
                continue
            was = f" (was {earlier.state.value})" if earlier is not None else ""
            rank = ("Failed", "Drifted", "Unknown", "Pending", "Waiting", "InSync").index(finding.state.value)
            moved.append((rank, f"{node}: {finding.association} {finding.state.value}{was}: {finding.reason}"))
    return tuple(line for _, line in sorted(moved))


def runs_in_words(plan: Plan, outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    """Give one line for each document that ran: what it repaired or applied, and how it ended."""
    causes = {(item.node, item.association): item.cause for item in plan.items}
    lines_: list[str] = []
    for outcome in outcomes:
        if outcome.disposition is not Disposition.RAN or outcome.record is None:
            continue
        well = outcome.record.status is RunStatus.SUCCESS
        did = "repaired" if causes.get((outcome.node, outcome.association)) is Cause.DRIFTED else "applied"
        verb = did if well else f"not {did} ({outcome.record.status.value})"
        lines_.append(f"{outcome.node}: {outcome.association} {verb}: {outcome.reason}")
    return tuple(lines_)


def headline(summary: FleetSummary, outcomes: Iterable[Outcome]) -> str:
    """Give the subject of the commit: where the fleet stands, and how much ran."""
    total = sum(summary.nodes.values())
    wrong, unknown = summary.nodes[Status.NON_COMPLIANT], summary.nodes[Status.UNKNOWN]
    ran = sum(outcome.disposition is Disposition.RAN for outcome in outcomes)
    parts = [f"{summary.nodes[Status.COMPLIANT]} of {total} nodes compliant"]
    if wrong:
        parts.append(f"{wrong} not")
    if unknown:
        parts.append(f"{unknown} unknown")
    if ran:
        parts.append(f"{ran} run{'s' if ran > 1 else ''}")
    return ", ".join(parts)
