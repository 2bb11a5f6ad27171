"""What is, and why: status, nodes, drift, report, explain. Reads the compliance branch and the heartbeat; asks no node."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, Limit, Repo, RepoOption, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_json, say_page, shown, table
from reconciler.drift.text import untold_differences

if TYPE_CHECKING:  # what these commands load lazily, so that --help stays quick
    from reconciler.daemon.standing import Standing


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(status)
    app.command()(nodes)
    app.command()(drift)
    app.command()(report)
    app.command()(explain)


def _standing(repo: str, state_dir: object, settings: object, limit: list[str] | None) -> "Standing":
    from reconciler.cli.opening import open_view

    with open_view(repo, state_dir, settings) as view:
        from reconciler.daemon.standing import read_standing

        return read_standing(view, datetime.now(UTC), limit or [])


def status(
    repo: Repo = ".",
    output: FormatOption = Format.TEXT,
    limit: Limit = None,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Where the fleet stands, and whether that is fresh.

    A report is as good as its heartbeat: nodes not seen for two intervals count as unknown.

    Example: reconciler status fleet
    """
    standing = _standing(repo, state_dir, host_settings, limit)
    if output is Format.JSON:
        say_json(standing.as_json())
    else:
        for line in standing.in_words():
            say(shown(line, 2000))
    return Exit.DONE if standing.all_compliant else Exit.NOT_IN_SYNC


def nodes(
    repo: Repo = ".",
    output: FormatOption = Format.TEXT,
    limit: Limit = None,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """List the nodes: status, last contact, operating system.

    Example: reconciler nodes --limit tag:Role=web
    """
    standing = _standing(repo, state_dir, host_settings, limit)
    if output is Format.JSON:
        say_json({"nodes": [standing.node_json(node) for node in standing.nodes]})
    else:
        say(
            table(
                ["NODE", "STATUS", "LAST CONTACT", "SYSTEM", "ADDRESS"], [standing.node_row(n) for n in standing.nodes]
            )
        )
    return Exit.DONE


def drift(
    repo: Repo = ".",
    output: FormatOption = Format.TEXT,
    limit: Limit = None,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """List what is not in sync, with the reason and the differences, as last reported.

    A node whose report is not fresh, or that was not reported at all, is listed too: nobody knows whether it drifted.

    Example: reconciler drift --format json
    """
    standing = _standing(repo, state_dir, host_settings, limit)
    wrong = standing.not_in_sync()
    if output is Format.JSON:
        say_json(
            {
                "findings": [standing.finding_json(node, finding) for node, finding in wrong],
                "unknown": dict(standing.unknown()),
                "problems": list(standing.problems),
                "pauses": list(standing.pauses),
            }
        )
    elif standing.all_compliant:
        say("nothing has drifted")
    else:
        for node, reported in wrong:
            finding = reported.finding
            state = (
                finding.state.value
                if finding.cause.value == finding.state.value
                else f"{finding.state.value} ({finding.cause.value})"
            )
            say(f"{shown(node)}  {shown(finding.association)}  {state}: {shown(finding.reason)}")
            for difference in untold_differences(finding):
                say(
                    f"    {shown(difference.subject)}: {shown(difference.observed)}, should be {shown(difference.expected)}"
                )
        for node, words in standing.patches_in_words():
            say(f"{shown(node)}  {shown(words, 2000)}")
        for node, why in standing.unknown():
            say(f"{shown(node)}  UNKNOWN: {shown(why, 2000)}")
        for problem in standing.problems:
            say(f"attention: {shown(problem, 2000)}")
    if output is Format.TEXT:
        for pause in standing.pauses:
            say(f"paused: {shown(pause)}")
    return Exit.DONE if standing.all_compliant else Exit.NOT_IN_SYNC


def report(
    repo: Repo = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Print the report that stands on the compliance branch, and whether it is fresh.

    Example: reconciler report fleet
    """
    standing = _standing(repo, state_dir, host_settings, None)
    if output is Format.JSON:
        say_json(standing.report_json())
        return Exit.DONE if standing.all_compliant else Exit.NOT_IN_SYNC
    if standing.page is None:
        say("nothing was reported yet: run `reconciler once` first")
        return Exit.NOT_IN_SYNC
    say_page(standing.page.rstrip())
    for line in standing.freshness():
        say(shown(line, 2000))
    return Exit.DONE if standing.all_compliant else Exit.NOT_IN_SYNC


def explain(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    association: Annotated[Optional[str], typer.Argument(help="Only this association.", show_default=False)] = None,
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Why a node is in the state it is in: what targets it, what was applied when, what holds it back.

    Example: reconciler explain web-01 motd
    """
    standing = _standing(repo, state_dir, host_settings, None)
    if output is Format.JSON:
        say_json(standing.explain_json(node, association))
        return Exit.DONE
    for line in standing.explain(node, association):
        say(shown(line, 2000))
    return Exit.DONE
