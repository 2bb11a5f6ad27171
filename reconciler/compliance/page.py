"""The report that people read: README.md of the compliance branch. The summary first, then what is wrong and why."""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from reconciler.compliance.encode import instant
from reconciler.compliance.patch_page import patch_lines
from reconciler.compliance.paths import node_path
from reconciler.compliance.report import FleetSummary, NodeReport, ReportedFinding, Status, item_status
from reconciler.drift.text import differences_text
from reconciler.foreign_text import Sink, fit
from reconciler.ids import NodeId
from reconciler.model.association import Severity
from reconciler.model.known import Known

DIFFERENCES = 3
"""Shown with a finding; the rest is counted."""

SHOWN = 200
"""Findings on the page: a longer one is not read; the rest is counted, and stands in each node's own file."""

ORDER = ("Failed", "Drifted", "Unknown", "Pending", "Waiting", "InSync")


def page(summary: FleetSummary, reports: Mapping[NodeId, NodeReport]) -> str:
    """Give the whole page. Nothing in it depends on the hour: it changes when what it says changes."""
    return "\n".join(
        [
            f"# Compliance of fleet {_md(summary.fleet)}",
            "",
            *_summary(summary),
            *_problems(summary),
            *_paused(summary, reports),
            *_wrong(reports),
            *patch_lines(summary, reports),
            *_associations(summary),
            *_nodes(reports),
            "---",
            "",
            "A line here says what the node said when it was last read. How fresh that is stands in the heartbeat:",
            "`reconciler status` reads it, and turns stale nodes Unknown. Each node's findings and history are in",
            "`nodes/`, its facts in `inventory/`, the same in numbers in `compliance.json`; `git log` tells what changed.",
            "",
        ]
    )


@lru_cache(maxsize=1 << 14)  # nodes are alike, and so are passes
def _md(text: str) -> str:
    return fit(text, Sink.MARKDOWN)


def _summary(summary: FleetSummary) -> Iterator[str]:
    total = sum(summary.nodes.values())
    compliant = summary.nodes[Status.COMPLIANT]
    wrong, unknown = summary.nodes[Status.NON_COMPLIANT], summary.nodes[Status.UNKNOWN]
    if total and compliant == total:
        yield f"**All {total} nodes are compliant.**" if total > 1 else "**The one node is compliant.**"
    else:
        yield f"**{compliant} of {total} nodes are compliant**, {wrong} are not, {unknown} could not be told."
    yield ""
    if summary.severities:
        worst = ", ".join(f"{count} {severity.value}" for severity, count in summary.severities.items())
        yield f"Not compliant, by highest severity: {worst}."
        yield ""
    if summary.state_commit is not None:
        yield f"State in force: commit `{summary.state_commit}`."
        yield ""


def _problems(summary: FleetSummary) -> Iterator[str]:
    if summary.problems:
        yield "## Needs attention first"
        yield ""
        yield from (f"- {_md(problem)}" for problem in summary.problems)
        yield ""


def _paused(summary: FleetSummary, reports: Mapping[NodeId, NodeReport]) -> Iterator[str]:
    held = [(node, note) for node, report in sorted(reports.items()) for note in report.notes]
    if not summary.pauses and not held:
        return
    yield "## Paused and held"
    yield ""
    yield "Nothing is started here until the pause or the hold file is gone; facts are collected and reported all the same."
    yield ""
    yield from (f"- {_md(pause)}" for pause in summary.pauses)
    yield from (f"- [{_md(node)}]({node_path(node)}): {_md(note)}" for node, note in held[:SHOWN])
    if len(held) > SHOWN:
        yield f"- ... and {len(held) - SHOWN} more, in the files of their nodes."
    yield ""


def _rank(item: tuple[NodeId, ReportedFinding]) -> tuple[int, int, str, str]:
    node, reported = item
    finding = reported.finding
    return (
        list(Severity).index(finding.severity),
        ORDER.index(finding.state.value),
        node,
        finding.association,
    )


def _wrong(reports: Mapping[NodeId, NodeReport]) -> Iterator[str]:
    wrong = sorted(
        (
            (node, reported)
            for node, report in reports.items()
            for reported in report.findings
            if item_status(reported.finding) is not Status.COMPLIANT
        ),
        key=_rank,
    )
    if not wrong:
        return
    yield "## What is wrong, and why"
    yield ""
    yield "| Node | Association | State | Severity | Since (UTC) | Why |"
    yield "|---|---|---|---|---|---|"
    for node, reported in wrong[:SHOWN]:
        finding = reported.finding
        state = finding.state.value
        if finding.cause.value != state:
            state += f" ({finding.cause.value})"
        yield (
            f"| [{_md(node)}]({node_path(node)}) | {_md(finding.association)} | {state} | {finding.severity.value} "
            f"| {instant(reported.since)} | {_why(reported)} |"
        )
    if len(wrong) > SHOWN:
        yield ""
        yield f"... and {len(wrong) - SHOWN} more, in the files of their nodes."
    yield ""


def _why(reported: ReportedFinding) -> str:
    finding = reported.finding
    why = _md(finding.reason)
    if finding.differences and differences_text(finding.differences) not in finding.reason:
        shown = "; ".join(
            f"{_md(d.subject)}: {_md(d.observed)}, should be {_md(d.expected)}"
            for d in finding.differences[:DIFFERENCES]
        )
        more = f"; and {len(finding.differences) - DIFFERENCES} more" if len(finding.differences) > DIFFERENCES else ""
        why = f"{why}<br>{shown}{more}"
    return why


def _associations(summary: FleetSummary) -> Iterator[str]:
    if not summary.associations:
        return
    yield "## Associations"
    yield ""
    yield "| Association | " + " | ".join(reversed(ORDER)) + " |"
    yield "|---|" + "---:|" * len(ORDER)
    for name, counts in summary.associations.items():
        yield f"| {_md(name)} | " + " | ".join(str(counts.get(state, 0) or "") for state in reversed(ORDER)) + " |"
    yield ""


def _nodes(reports: Mapping[NodeId, NodeReport]) -> Iterator[str]:
    if not reports or len(reports) > SHOWN:
        return
    yield "## Nodes"
    yield ""
    yield "| Node | Status | Operating system | Kernel |"
    yield "|---|---|---|---|"
    for node, report in sorted(reports.items()):
        system, kernel = _fact(report, "os", "name"), _fact(report, "kernel", "release")
        yield f"| [{_md(node)}]({node_path(node)}) | {report.status.value} | {system} | {kernel} |"
    yield ""


def _fact(report: NodeReport, section: str, key: str) -> str:
    match report.facts.get(section, key):
        case Known(str(value)):
            return _md(value)
        case _:
            return ""
