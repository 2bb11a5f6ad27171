"""Facts: inventory collect, show, query."""

from typing import Annotated

import orjson
import typer

from reconciler.cli.exits import Exit
from reconciler.cli.options import FormatOption, Limit, Repo, RepoOption, SettingsFile, StateDir
from reconciler.cli.output import Format, say, say_document, say_json, shown, table

inventory = typer.Typer(help="What is on the nodes.", no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(inventory, name="inventory")


@inventory.command()
def collect(
    repo: Repo = ".",
    limit: Limit = None,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Ask the nodes now, in one round trip each, and say how each answered. Changes and commits nothing.

    Example: reconciler inventory collect --limit tag:Role=web
    """
    from reconciler.cli.opening import open_controller
    from reconciler.model.known import Known, Unknown

    with open_controller(repo, state_dir, host_settings) as controller:
        collected = controller.collect(tuple(limit or ()))
    rows: list[list[str]] = []
    for node, found in sorted(collected.items()):
        unknown = {
            name: section.why for name, section in sorted(found.facts.sections.items()) if isinstance(section, Unknown)
        }
        known = sum(len(section.value) for section in found.facts.sections.values() if isinstance(section, Known))
        why = found.facts.unreachable or "; ".join(f"{name}: {reason}" for name, reason in unknown.items())
        rows.append([node, "unknown" if found.facts.unreachable else str(known), why])
    if output is Format.JSON:
        say_json(
            {
                "nodes": [
                    {"node": n, "facts": None if f == "unknown" else int(f), "unknown": w or None} for n, f, w in rows
                ]
            }
        )
    else:
        say(table(["NODE", "FACTS", "UNKNOWN"], rows))
    return Exit.NOT_IN_SYNC if any(row[2] for row in rows) else Exit.DONE


@inventory.command()
def show(
    node: Annotated[str, typer.Argument(help="The node's id.")],
    repo: RepoOption = ".",
    live: Annotated[
        bool, typer.Option("--live", help="Ask the node now instead of reading the compliance branch.")
    ] = False,
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Print one node's facts, one a line: as committed (byte for byte, but for what a terminal would obey), or as it answers now.

    With --format json they are one versioned document.

    Example: reconciler inventory show web-01 --live
    """
    from reconciler.cli.opening import open_controller
    from reconciler.ids import NodeId
    from reconciler.inventory.canonical import canonical

    with open_controller(repo, state_dir, host_settings) as controller:
        facts = controller.collect((node,))[NodeId(node)].facts if live else controller.branches.facts_of(NodeId(node))
    content = canonical(facts)
    if output is Format.JSON:
        say_json({"node": node, "unreachable": facts.unreachable, "facts": orjson.loads(content)})
    else:
        say_document(content)
    return Exit.NOT_IN_SYNC if facts.unreachable else Exit.DONE


@inventory.command()
def tables(output: FormatOption = Format.TEXT) -> int:
    """List the tables and columns that `inventory query` knows.

    Example: reconciler inventory tables
    """
    from reconciler.inventory.query import TABLES

    if output is Format.JSON:
        say_json({"tables": {name: ["node", *described.columns] for name, described in sorted(TABLES.items())}})
        return Exit.DONE
    for name, described in sorted(TABLES.items()):
        say(f"{name}(node, {', '.join(described.columns)})")
    return Exit.DONE


@inventory.command()
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT. Tables: see `reconciler inventory tables`.")],
    repo: RepoOption = ".",
    output: FormatOption = Format.TEXT,
    state_dir: StateDir = None,
    host_settings: SettingsFile = None,
) -> int:
    """Ask the committed facts of the whole fleet with SQL (SQLite's dialect, reading only).

    Example: reconciler inventory query "SELECT node, version FROM packages WHERE name = 'openssl'"
    """
    from reconciler.cli.opening import open_view
    from reconciler.inventory.query import query as run_query

    with open_view(repo, state_dir, host_settings) as view:
        answer = run_query(view.branches.committed().facts.values(), sql)
    if output is Format.JSON:
        say_json({"columns": list(answer.columns), "rows": [[_plain(v) for v in row] for row in answer.rows]})
    else:
        say(
            table(
                [shown(c) for c in answer.columns],
                [["" if v is None else str(_plain(v)) for v in row] for row in answer.rows],
            )
        )
    return Exit.DONE


def _plain(value: object) -> object:
    """Give what JSON can hold: SQLite's blobs become text in hexadecimal digits."""
    return value.hex() if isinstance(value, bytes) else value
