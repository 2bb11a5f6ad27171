"""What a pass did, told: in words for people, as one JSON document for programs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.compliance.encode import encode_finding, instant
from reconciler.compliance.patch_rows import encode_patches
from reconciler.compliance.report import Status, item_status
from reconciler.daemon.passing import PassResult
from reconciler.model.history import RunStatus
from reconciler.model.outcome import Disposition, Outcome, RunRecord
from reconciler.plan.difference import PlanDifference
from reconciler.plan.plan import PlanItem

_NOTHING_TO_READ = frozenset({RunStatus.SUCCESS, RunStatus.IN_PROGRESS})


def pass_in_words(result: PassResult) -> Iterator[str]:
    """Give lines: what kept us, what ran, what is left, where the report went. Foreign parts are raw: render each line."""
    yield from result.problems
    yield from (f"warning: {warning}" for warning in result.warnings)
    yield from (f"paused: {pause}" for pause in result.summary.pauses)
    yield from (f"held: {node}: {note}" for node, report in result.reports.items() for note in report.notes)
    for outcome in result.outcomes:
        yield f"{outcome.node}  {outcome.association}: {ended(outcome)}"
        if outcome.record is not None and outcome.record.status not in _NOTHING_TO_READ:
            yield f"    what it wrote: reconciler runs output {outcome.record.run[:12]}"
    if result.dry_run:
        for item in result.plan.items:
            yield f"{item.node}  {item.association}: would run {item.document}: {item.reason}"
    left = 0
    for report in result.reports.values():
        if report.facts.unreachable is not None and not report.findings:
            yield f"{report.node}  unknown: {report.facts.unreachable}"
        for reported in report.findings:
            finding = reported.finding
            if item_status(finding) is not Status.COMPLIANT:
                left += 1
                yield f"{finding.node}  {finding.association}  {finding.state.value}: {finding.reason}"
        if report.patch_words:
            left += 1
            yield f"{report.node}  {report.patch_words}"
    nodes = result.summary.nodes
    total = sum(nodes.values())
    ran = sum(outcome.disposition is Disposition.RAN for outcome in result.outcomes)
    yield (
        f"{total} nodes: {nodes[Status.COMPLIANT]} compliant, {nodes[Status.NON_COMPLIANT]} not, "
        f"{nodes[Status.UNKNOWN]} unknown; {ran} documents ran; {left} findings left"
    )
    yield result.commit_words


def unkept_words(records: Iterable[RunRecord]) -> Iterator[str]:
    """Say of which runs this host could not keep what they wrote."""
    for run, record in {record.run: record for record in records if record.unkept}.items():
        yield f"{record.node}: output of {record.association}, run {run[:12]}, could not be kept on this host: {record.unkept}"


def ended(outcome: Outcome) -> str:
    """Say how one plan item ended; the reason is foreign text."""
    if outcome.record is not None and outcome.disposition is Disposition.RAN:
        return outcome.reason
    return f"{outcome.disposition.value}: {outcome.reason}"


def pass_json(result: PassResult) -> Mapping[str, Any]:
    """Give the pass as a JSON value (instants UTC)."""
    return {
        "at": instant(result.plan.at),
        "state_commit": result.plan.commit,
        "plan": result.plan.digest,
        "dry_run": result.dry_run,
        "problems": list(result.problems),
        "warnings": list(result.warnings),
        "pauses": list(result.summary.pauses),
        "items": [_item(item) for item in result.plan.items],
        "outcomes": [
            {
                "node": o.node,
                "association": o.association,
                "disposition": o.disposition.value,
                "status": None if o.record is None else o.record.status.value,
                "reason": o.reason,
            }
            for o in result.outcomes
        ],
        "nodes": {
            node: {
                "status": report.status.value,
                "unreachable": report.facts.unreachable,
                "notes": list(report.notes),
                "findings": {r.finding.association: encode_finding(r) for r in report.findings},
                **encode_patches(report.every_patches),
            }
            for node, report in result.reports.items()
        },
        "summary": {
            "nodes": {status.value: count for status, count in result.summary.nodes.items()},
            "findings": dict(result.summary.states),
        },
        "report_commit": result.report_commit,
    }


def difference_json(found: PlanDifference) -> Mapping[str, Any]:
    """Give what a change does as a JSON value."""
    return {
        "base": {"commit": found.base.commit, "plan": found.base.digest},
        "head": {"commit": found.head.commit, "plan": found.head.digest},
        "at": instant(found.head.at),
        "would_run": [_item(item) for item in found.added],
        "would_run_otherwise": [{"before": _item(c.before), "after": _item(c.after)} for c in found.changed],
        "would_no_longer_run": [_item(item) for item in found.gone],
        "left_out": [{"node": o.node, "association": o.association, "reason": o.reason} for o in found.left_out],
        "removals": [{"node": o.node, "association": o.association, "reason": o.reason} for o in found.removals],
        "notes": list(found.notes),
    }


def _item(item: PlanItem) -> Mapping[str, Any]:
    return {
        "node": item.node,
        "association": item.association,
        "document": item.document,
        "run": item.run,
        "reason": item.reason,
    }
