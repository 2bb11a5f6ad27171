"""Patch compliance as AWS exports it: takes committed reports, gives rows with the columns of its CSV report; pure.

SSM: the columns of a patch compliance report, in their order: one row a node, or one row a patch. What AWS has and we do not (an
agent, a log's address) stays empty; UNKNOWN is ours. The same commit and fleet give the same bytes.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from reconciler.compliance.encode import instant
from reconciler.compliance.patches import PatchReport, ReportedPatch
from reconciler.compliance.report import NodeReport
from reconciler.foreign_text import Sink, fit
from reconciler.ids import NodeId
from reconciler.model.baseline import ComplianceLevel
from reconciler.model.known import Known
from reconciler.model.node import Node
from reconciler.patching.node_compliance import ComplianceStatus

SUMMARY: Final = (
    "Index",
    "Instance ID",
    "Instance name",
    "Instance IP",
    "Platform name",
    "Platform version",
    "SSM Agent version",
    "Patch baseline",
    "Patch group",
    "Compliance status",
    "Compliance severity",
    *(f"Noncompliant {level.value.capitalize()} severity patch count" for level in ComplianceLevel),
)
PATCHES: Final = (
    "Index",
    "Instance ID",
    "Instance name",
    "Patch name",
    "KB ID/Patch ID",
    "Patch state",
    "Last report time",
    "Compliance level",
    "Patch severity",
    "Patch classification",
    "CVE ID",
    "Patch baseline",
    "Logs URL",
    "Instance IP",
    "Platform name",
    "Platform version",
    "SSM Agent version",
)
_LONGEST: Final = 4096
"""SSM: characters of a compliance item's detail."""

Row = Mapping[str, str]
Unknown = Callable[[NodeId], bool]
"""Whether nothing is known of a node now, whatever was reported."""


def summary_rows(nodes: Iterable[Node], reports: Mapping[NodeId, NodeReport], unknown: Unknown) -> Iterable[Row]:
    """Give one row for each node and baseline that its patches are looked at by, by id."""
    for number, (node, report, patches) in enumerate(_looked_at(nodes, reports), 1):
        status = ComplianceStatus.UNKNOWN if unknown(node.id) else patches.status
        counts = (str(patches.levels.get(level, 0)) for level in ComplianceLevel)
        values = (
            str(number),
            *_instance(node),
            *_platform(report),
            patches.baseline,
            patches.group,
            status.value,
            patches.level.value,
            *counts,
        )
        yield dict(zip(SUMMARY, values, strict=True))


def patch_rows(nodes: Iterable[Node], reports: Mapping[NodeId, NodeReport]) -> Iterable[Row]:
    """Give one row for each patch that is not compliant, by node and title."""
    every = ((one, row) for one in _looked_at(nodes, reports) for row in one[2].rows)
    for number, ((node, report, patches), row) in enumerate(every, 1):
        name, address = _instance(node)[1], _instance(node)[2]
        values = (str(number), node.id, name, *_patch(row, patches), address, *_platform(report))
        yield dict(zip(PATCHES, values, strict=True))


def _patch(row: ReportedPatch, patches: PatchReport) -> tuple[str, ...]:
    return (
        row.title,
        row.id,
        row.state.value,
        instant(row.since),
        row.level.value,
        row.severity,
        row.classification,
        ",".join(row.cves),
        patches.baseline,
        "",
    )


def _looked_at(
    nodes: Iterable[Node], reports: Mapping[NodeId, NodeReport]
) -> Iterable[tuple[Node, NodeReport, PatchReport]]:
    for node in sorted(nodes, key=lambda one: one.id):
        report = reports.get(node.id)
        if report is not None:
            yield from ((node, report, patches) for patches in report.every_patches)


def _instance(node: Node) -> tuple[str, str, str]:
    return node.id, node.tags.get("Name", node.id), node.address or ""


def _platform(report: NodeReport) -> tuple[str, str, str]:
    """Give name, version, and the agent's version: there is none."""
    system = report.facts.sections.get("os")
    rows = system.value if isinstance(system, Known) else {}
    return str(rows.get("name") or ""), str(rows.get("version_id") or ""), ""


def as_csv(columns: tuple[str, ...], rows: Iterable[Row]) -> str:
    """Write RFC 4180: quoted where it must be, and no cell that a spreadsheet takes for a formula."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=columns, lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: fit(text, Sink.CSV, limit=_LONGEST) for name, text in row.items()})
    return out.getvalue()
