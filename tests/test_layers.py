"""The house: which stage may import which. This table is the drawing in docs/architecture.md; a test compares them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "reconciler"

GROUND = {"ids", "problem", "errors", "foreign_text", "collector", "model"}
"""Every stage may import these."""

LAYERS: dict[str, set[str]] = {
    "ids": set(),
    "problem": set(),
    "foreign_text": set(),
    "collector": set(),
    "errors": {"ids", "problem"},
    "model": {"ids", "problem", "errors", "foreign_text", "collector"},
    "source": GROUND,
    "schedule": GROUND,
    "targets": GROUND,
    "inventory": GROUND,
    "patching": GROUND | {"inventory"},
    "documents": GROUND | {"inventory"},
    "drift": GROUND | {"schedule", "targets", "inventory", "patching", "documents"},
    "plan": GROUND | {"schedule", "targets", "inventory", "patching", "documents", "drift"},
    "journal": GROUND,
    "importing": GROUND,
    "doctor": GROUND,
    "content": GROUND | {"source", "documents"},
    "rollout": GROUND | {"inventory", "documents", "drift", "plan", "journal"},
    "transport": GROUND,
    "compliance": GROUND | {"targets", "inventory", "patching", "drift", "plan", "rollout"},
    "commit": GROUND | {"source", "compliance"},
    "commands": GROUND | {"targets", "documents", "drift", "plan", "rollout", "compliance"},
    "settings": GROUND,
    "reconcile": GROUND | {"targets", "inventory", "documents", "drift", "plan", "rollout", "compliance"},
    "daemon": GROUND
    | {
        "settings",
        "reconcile",
        "commands",
        "commit",
        "source",
        "content",
        "importing",
        "doctor",
        "transport",
        "journal",
        "schedule",
        "compliance",
        "targets",
        "inventory",
        "patching",
        "documents",
        "drift",
        "plan",
        "rollout",
        "bundled",
    },
    "bundled": GROUND,
    "__init__": set(),
    "__main__": set(),
}
"""`cli` stands above and may import everything; `__main__` starts it."""

ONLY_IN = {
    "fabric": {"transport"},
    "paramiko": {"transport"},
    "yaml": {"model", "settings"},
    "jsonschema": {"model", "settings"},
    "watchdog": {"daemon"},
    "typer": {"cli"},
    "rich": {"cli"},
}
"""Foreign libraries that stay behind one door."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """Every imported dotted name, and whether the import stands at the top level of its module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set(map(id, tree.body))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the layer"
            yield from ((f"{node.module}.{name.name}", id(node) in top) for name in node.names)


@pytest.mark.parametrize(("stage", "path"), [pytest.param(*m, id=str(m[1].relative_to(PACKAGE))) for m in modules()])
def test_imports_point_only_up_the_list(stage: str, path: Path) -> None:
    for name, at_top in imports_of(path):
        first, _, rest = name.partition(".")
        if first == "reconciler":
            target = rest.partition(".")[0]
            assert at_top or stage == "cli", f"{path}: import of {name} inside a function hides a cycle"
            if target in {"__version__", stage} or stage in {"cli", "__main__"}:
                continue
            assert target in LAYERS[stage], f"{path}: {stage} may not import {target}"
        elif first in ONLY_IN:
            assert stage in ONLY_IN[first], f"{path}: {first} is used only in {sorted(ONLY_IN[first])}"


def test_no_room_is_named_for_nothing() -> None:
    banned = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
    assert not [path for _, path in modules() if path.stem in banned or path.parent.name in banned]
