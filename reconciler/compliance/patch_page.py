"""The part about patches of the page that people read: by patch group, and which nodes miss what."""

from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.compliance.encode import instant
from reconciler.compliance.paths import node_path
from reconciler.compliance.report import FleetSummary, NodeReport, words_of
from reconciler.foreign_text import Sink, fit
from reconciler.ids import NodeId
from reconciler.patching.node_compliance import ComplianceStatus
from reconciler.patching.states import PatchState

_SHOWN: Final = 100
"""Nodes; the rest is counted."""
_STATES: Final = (
    PatchState.MISSING,
    PatchState.FAILED,
    PatchState.INSTALLED_PENDING_REBOOT,
    PatchState.INSTALLED_REJECTED,
)
_RANKS: Final = {ComplianceStatus.NON_COMPLIANT: 0, ComplianceStatus.UNKNOWN: 1}


def patch_lines(summary: FleetSummary, reports: Mapping[NodeId, NodeReport]) -> Iterator[str]:
    """Give the section; nothing where no node's patches are looked at."""
    if not summary.patches:
        return
    yield "## Patches"
    yield ""
    yield "| Patch group | Nodes | Compliant | Not | Unknown | Missing | Failed | Waiting for a reboot | Rejected |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for group, one in summary.patches.items():
        name = "all" if group == "*" else _md(group) or "none"
        nodes = " | ".join(str(one.nodes.get(status, 0)) for status in ComplianceStatus)
        rows = " | ".join(str(one.states.get(state, 0) or "") for state in _STATES)
        yield f"| {name} | {sum(one.nodes.values())} | {nodes} | {rows} |"
    yield ""
    levels = summary.patches["*"].levels
    if levels:
        yield f"Not compliant, by highest level: {', '.join(f'{count} {level.value}' for level, count in levels.items())}."
        yield ""
    yield from _wrong(reports)


def _wrong(reports: Mapping[NodeId, NodeReport]) -> Iterator[str]:
    wrong = sorted(
        (
            (node, patches)
            for node, report in reports.items()
            for patches in report.every_patches
            if patches.status in _RANKS
        ),
        key=lambda one: (_RANKS[one[1].status], -one[1].level.rank, one[0], one[1].baseline),
    )
    if not wrong:
        return
    yield "| Node | Baseline | Status | Level | Since (UTC) | Why |"
    yield "|---|---|---|---|---|---|"
    for node, patches in wrong[:_SHOWN]:
        yield (
            f"| [{_md(node)}]({node_path(node)}) | {_md(patches.baseline)} | {patches.status.value} "
            f"| {patches.level.value} | {instant(patches.since)} | {_md(words_of(patches))} |"
        )
    if len(wrong) > _SHOWN:
        yield ""
        yield f"... and {len(wrong) - _SHOWN} more, in the files of their nodes."
    yield ""


def _md(text: str) -> str:
    return fit(text, Sink.MARKDOWN)
