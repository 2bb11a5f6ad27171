"""Patches: patch list, patch explain, patch report. Reads the compliance branch; asks no node."""

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, Limit, RepoOption, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_json, shown

if TYPE_CHECKING:  # what these commands load lazily, so that --help stays quick
    from reconciler.compliance.patches import PatchReport
    from reconciler.daemon.standing import Standing
    from reconciler.ids import NodeId
    from reconciler.model.known import Observed
    from reconciler.patching.look import NodeLook

patch = typer.Typer(help="Which patches are approved, missing, and why.", no_args_is_help=True, rich_markup_mode=None)


Override = Annotated[
    str | None,
    typer.Option(
        "--association",
        help="Go by the BaselineOverride or BaselineTags of this association, not by the node's own baseline.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(patch, name="patch")


@patch.command("list")
def list_patches(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    repo: RepoOption = ".",
    every: Annotated[bool, typer.Option("--all", help="Rows that are compliant, too.")] = False,
    association: Override = None,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """List a node's patches that are missing, failed, rejected or wait for a reboot, each with the reason, as last collected.

    Example: reconciler patch list web-01
    """
    from reconciler.model.known import Unknown
    from reconciler.patching.explain import list_lines, row_facts
    from reconciler.patching.node_compliance import ComplianceStatus, summarize
    from reconciler.patching.states import judge_rows, not_applicable

    look = _look(node, association, repo, state_dir, host_settings)
    if isinstance(look, Unknown):
        return _say_unknown(node, look.why, output)
    found = look.value
    rows = judge_rows(found.patches, found.judge)
    summary = summarize(rows, doubts=found.doubts, not_applicable=not_applicable(found.patches, found.judge))
    if output is Format.JSON:
        say_json(
            {
                "node": node,
                "status": summary.status.value,
                "why": summary.reason,
                "baseline": found.judge.grounds.baseline.name,
                "reason": found.resolution.reason,
                "rows": [row_facts(row) for row in rows if every or not row.is_compliant],
            }
        )
    else:
        for line in list_lines(rows, summary, found.resolution, every=every):
            say(shown(line, 2000))
    return Exit.DONE if summary.status is ComplianceStatus.COMPLIANT else Exit.NOT_IN_SYNC


@patch.command("explain")
def explain_patch(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    package: Annotated[str, typer.Argument(help="A package: its name, or NAME.ARCH.")],
    repo: RepoOption = ".",
    association: Override = None,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Say of one package which baseline counts and why, which rule approves which version since when, and what is in the way.

    Example: reconciler patch explain web-01 openssl
    """
    from reconciler.model.known import Unknown
    from reconciler.patching.explain import explain_facts, explain_lines

    look = _look(node, association, repo, state_dir, host_settings)
    if isinstance(look, Unknown):
        return _say_unknown(node, look.why, output)
    found = look.value
    if output is Format.JSON:
        say_json({"node": node, **explain_facts(found.patches, found.judge, found.resolution, package)})
    else:
        for line in explain_lines(found.patches, found.judge, found.resolution, package):
            say(shown(line, 2000))
    return Exit.DONE


class ReportFormat(StrEnum):
    """How a report of patches is written."""

    CSV = "csv"
    JSON = "json"


@patch.command("report")
def report_patches(
    repo: RepoOption = ".",
    limit: Limit = None,
    rows: Annotated[
        bool, typer.Option("--patches", help="One row for each patch that is not compliant, instead of one a node.")
    ] = False,
    output: Annotated[ReportFormat, typer.Option("--format", help="csv, or json for programs.")] = ReportFormat.CSV,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Print patch compliance as last reported, with the columns of Systems Manager's report.

    Nodes whose report is not fresh are UNKNOWN.

    Examples:
      reconciler patch report
      reconciler patch report --patches --limit web-01 --format json
    """
    from reconciler.cli.opening import open_view
    from reconciler.compliance.patch_export import PATCHES, SUMMARY, as_csv, patch_rows, summary_rows
    from reconciler.compliance.report import Status
    from reconciler.daemon.standing import read_standing
    from reconciler.ids import NodeId

    with open_view(repo, state_dir, host_settings) as view:
        standing = read_standing(view, datetime.now(UTC), limit or [])

    def unknown(node: NodeId) -> bool:
        status, why = standing.status(node)
        return status is Status.UNKNOWN and bool(why)

    nodes = [standing.ground.desired.nodes[node] for node in standing.nodes]
    summary = list(summary_rows(nodes, standing.reports, unknown))
    told = list(patch_rows(nodes, standing.reports)) if rows else summary
    if output is ReportFormat.JSON:
        say_json({"patches" if rows else "nodes": told})
    else:
        say(as_csv(PATCHES if rows else SUMMARY, told).removesuffix("\r\n"))
    return Exit.DONE if all(row["Compliance status"] == "COMPLIANT" for row in summary) else Exit.NOT_IN_SYNC


def _look(
    node: str, association: str | None, repo: str, state_dir: object, host_settings: object
) -> "Observed[NodeLook]":
    from reconciler.cli.opening import open_view
    from reconciler.daemon.standing import read_standing
    from reconciler.errors import UsageError
    from reconciler.ids import AssociationName, NodeId
    from reconciler.inventory.observed import Facts
    from reconciler.model.history import NodeHistory
    from reconciler.model.known import Known, Unknown
    from reconciler.model.patch_lines import PatchTable
    from reconciler.patching.from_facts import remembered
    from reconciler.patching.look import look_at_node

    with open_view(repo, state_dir, host_settings) as view:
        base, _ = view.branches.in_force()
        committed = view.branches.committed()
        base = base if association is None else view.contents.recalled(base, committed.downloads)
        standing = read_standing(view, datetime.now(UTC), [])
        kept = view.patch_files.kept()
    asked = base.desired.nodes.get(NodeId(node))
    if asked is None:
        raise UsageError(f"there is no node {node!r}; `reconciler nodes` lists the nodes")
    facts = committed.facts.get(asked.id) or Facts(node=asked.id, unreachable="never collected")
    known = committed.history.nodes.get(asked.id, NodeHistory(node=asked.id))
    memory, now = remembered(known, PatchTable(), kept), datetime.now(UTC)
    request = None
    if association is not None:
        request = base.patched.get(asked.id, {}).get(AssociationName(association))
        if request is None or not request.has_own_baseline:
            raise UsageError(
                f"{association!r} brings no BaselineOverride or BaselineTags to {node}, or nobody has looked at it yet"
            )
    report = committed.reports.get(asked.id)
    look = look_at_node(asked, base.desired, facts, committed.ledger, now, memory, request)
    if isinstance(look, Unknown) or report is None:
        return look
    name = look.value.judge.grounds.baseline.name
    mine = next((one for one in report.every_patches if one.baseline == name), None)
    return look if mine is None else Known(replace(look.value, doubts=_doubts(standing, asked.id, mine)))


def _doubts(standing: "Standing", node: "NodeId", reported: "PatchReport") -> tuple[str, ...]:
    """Give what the last pass doubted of the node's lists, and whether that pass still counts."""
    from reconciler.patching.node_compliance import ComplianceStatus

    _, stale = standing.status(node)
    doubted = reported.reason if reported.status is ComplianceStatus.UNKNOWN else ""
    return tuple(filter(None, (stale, doubted)))


def _say_unknown(node: str, why: str, output: Format) -> int:
    if output is Format.JSON:
        say_json({"node": node, "status": "UNKNOWN", "reason": why})
    else:
        say(shown(f"UNKNOWN: {why}", 2000))
    return Exit.NOT_IN_SYNC
