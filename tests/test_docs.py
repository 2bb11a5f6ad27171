"""The reference says everything: each key, each command, each option; and its examples are a repository that validates."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from reconciler.bundled import bundled_files
from reconciler.cli.program import app
from reconciler.daemon.accepting import check_schedule
from reconciler.documents import actions
from reconciler.model.read_state import read_state
from reconciler.problem import Gravity

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs/state-repository.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
SCHEMAS = {
    path.name.partition(".")[0]: path for path in sorted((ROOT / "reconciler/model/schemas").glob("*.schema.json"))
}
SECTIONS = {
    "association": ("Associations", "Not supported yet"),
    "baseline": ("Baselines",),
    "document": ("Documents",),
    "fleet": ("Fleet",),
    "group": ("Groups",),
    "host": ("Host settings",),
    "ledger-seed": ("Ledger seeds",),
    "node": ("Nodes",),
    "parameter": ("Parameters",),
    "signer": ("Signers",),
    "window": ("Windows",),
}
"""The sections where the keys of each kind are explained; a new kind needs a section."""
EVERYWHERE = {"help", "version"}
"""Options that are told once, for all commands."""


def _keys(schema: Any) -> Iterator[str]:
    """Give every key that a schema names, at any depth."""
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
            schema = {**schema, "properties": list(properties.values())}
        for value in schema.values():
            yield from _keys(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _keys(value)


def _section(title: str) -> str:
    """Give the text below one heading of the reference, without its examples."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", REFERENCE, re.DOTALL | re.MULTILINE)
    assert found is not None, f"no section {title}"
    return re.sub(r"^```.*?^```$", "", found[1], flags=re.DOTALL | re.MULTILINE)


def _examples() -> dict[str, bytes]:
    """Give the examples of the reference that say which file they are."""
    blocks = re.findall(
        r"^```yaml\n# ((?:state|documents|baselines)/\S+)\n(.*?)^```$", REFERENCE, re.DOTALL | re.MULTILINE
    )
    assert len({path for path, _ in blocks}) == len(blocks), "two examples of one file"
    return {path: text.encode() for path, text in blocks}


def _commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Give every command that runs something, by the words that call it."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, one in sorted(inner.items()):
        yield from _commands(one, f"{name} {word}".strip())


ALL_COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_key_stands_in_the_section_of_its_kind(kind: str) -> None:
    keys = set(_keys(json.loads(SCHEMAS[kind].read_text(encoding="utf-8"))))
    assert keys
    spans = " ".join(re.findall(r"`[^`\n]+`", "".join(map(_section, SECTIONS[kind]))))
    assert [key for key in sorted(keys) if not re.search(rf"\b{re.escape(key)}\b", spans)] == []


def test_the_examples_are_a_repository_that_validates() -> None:
    files = _examples()
    assert {path.rpartition("/")[0] for path in files} >= {
        "state",
        "state/nodes",
        "state/groups",
        "state/associations",
        "state/parameters",
        "state/windows",
        "documents",
        "baselines",
    }
    desired, problems = read_state(files, bundled=bundled_files(), check_schedule=check_schedule)
    assert [str(problem) for problem in problems if problem.gravity is Gravity.ERROR] == []
    assert desired is not None


def test_the_examples_show_every_kind_of_expectation() -> None:
    schema = json.loads((ROOT / "reconciler/model/schemas/association.schema.json").read_text(encoding="utf-8"))
    shown = _examples()["state/associations/everything.yaml"].decode()
    assert [kind for kind in schema["$defs"]["expect"]["properties"] if f"  {kind}:" not in shown] == []


def test_only_examples_that_say_their_file_are_yaml() -> None:
    assert REFERENCE.count("```yaml") == len(_examples())


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_every_command_stands_in_the_reference_with_its_options(name: str) -> None:
    heading = re.search(rf"^### {re.escape(name)}\n(.*?)(?=^##|\Z)", COMMANDS, re.DOTALL | re.MULTILINE)
    assert heading is not None, f"docs/commands.md has no heading ### {name}"
    assert f"reconciler {name}" in heading[1]
    text = heading[1] + COMMANDS.partition("\n## ")[0]
    options = {param.opts[0] for param in ALL_COMMANDS[name].params if param.param_type_name == "option"}
    options -= {f"--{name}" for name in EVERYWHERE}
    assert [option for option in sorted(options) if f"`{option}" not in text] == []


def test_no_command_is_told_of_that_is_not_there() -> None:
    assert sorted(re.findall(r"^### (.+)$", COMMANDS, re.MULTILINE)) == sorted(ALL_COMMANDS)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_headings_that_links_point_to_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    assert [link for link in re.findall(r"\]\(#([^)]+)\)", text) if link not in anchors] == []


@pytest.mark.parametrize("page", ["security.md", "reliability.md"])
def test_tests_that_a_page_rests_on_are_there(page: str) -> None:
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", (ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert named

    def is_there(path: str, test: str) -> bool:
        file = ROOT / path
        return file.is_file() and (not test or f"def {test}(" in file.read_text(encoding="utf-8"))

    assert [(path, test) for path, test in named if not is_there(path, test)] == []


@pytest.mark.parametrize("page", ["security.md", "reliability.md"])
def test_every_promise_of_a_page_names_its_test(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    tables = re.findall(r"^\| (?:Claim|Promise) \| Test \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 20
    assert [row for row in rows if not re.search(r"`tests/[\w/]+\.py(::\w+)?`", row.split(" | ")[1])] == []


def _rows(heading: str, title: str) -> dict[frozenset[str], str]:
    """Give a table of the reference: the words in code of its first column -> the rest of the row."""
    rows = re.search(rf"^\| {heading} \|.*?\n((?:\|.*\n)+)", _section(title), re.MULTILINE)
    assert rows is not None, f"no table of {heading}"
    found = {}
    for row in rows[1].splitlines()[1:]:
        first, _, rest = row.strip("| ").partition(" | ")
        found[frozenset(re.findall(r"`([^`]+)`", first))] = rest
    return found


def test_the_table_of_actions_is_that_of_the_code() -> None:
    told = {action: rest.split()[0] for names, rest in _rows("Action", "Documents").items() for action in names}
    expected = {
        **dict.fromkeys(actions.ACTIONS, "runs"),
        **dict.fromkeys(actions.LEFT_OUT, "skipped:"),
        **dict.fromkeys(actions.NOT_ON_LINUX, "not"),
    }
    assert told == expected


def test_the_table_of_the_library_is_the_library_with_its_parameters() -> None:
    desired, problems = read_state(_examples(), bundled=bundled_files(), check_schedule=check_schedule)
    assert desired is not None, problems
    library = {Path(path).stem for path in bundled_files() if path.startswith("documents/")}
    told = {
        name: set(re.findall(r"`([^`]+)`", rest))
        for names, rest in _rows("Document", "Documents").items()
        for name in names
    }
    assert told == {
        name: set(versions.versions["1"].parameters) for name, versions in desired.documents.items() if name in library
    }
