"""Nodes as an attacker would write them: each value is a mistake with its place, and nothing is resolved, connected or run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.problem import Gravity
from tests.model.reading import errors
from tests.support.cases import read_cases

CASES: dict[str, list[str]] = read_cases(Path(__file__).parent / "cases/hostile_nodes.yaml")
VALUES = [(key, value) for key, values in CASES.items() for value in values]
NODE = {"Id": "web-01", "Address": "10.0.0.1"}


def written(key: str, value: str) -> str:
    """Write the node with the value on a line of its own, after the two keys that it needs."""
    node = {"Port": 22, **{name: text for name, text in NODE.items() if name != key}, key: value}
    return "".join(f"{name}: {json.dumps(text)}\n" for name, text in node.items())


def test_there_are_fifty_of_each() -> None:
    assert set(CASES) == {"Address", "User", "Gateway", "IdentityFile", "Id"}
    assert min(len(set(values)) for values in CASES.values()) >= 50


@pytest.mark.parametrize(("key", "value"), [pytest.param(*case, id=f"{case[0]}-{case[1]!r}"[:60]) for case in VALUES])
def test_a_hostile_value_is_a_mistake_with_its_place(key: str, value: str) -> None:
    text = written(key, value)
    found = errors({"state/nodes/web.yaml": text})
    line = text[: text.index(f"{key}: ")].count("\n") + 1
    assert {(problem.file, problem.line) for problem in found} == {("state/nodes/web.yaml", line)}
    assert all(problem.remedy for problem in found)


WATCHED = """
import sys
ASKED = []
FORBIDDEN = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.fork", "os.system", "os.spawn", "pty.")
def hook(event, arguments):
    if event.startswith(FORBIDDEN) and event != "socket.__new__":
        ASKED.append(event)
        print("ASKED", event, arguments, file=sys.stderr)
sys.addaudithook(hook)
from tests.support.cases import read_cases
from reconciler.cli.program import run
code = run(["validate", sys.argv[1], "--format", "json"])
sys.exit(code if not ASKED else 99)
"""
"""Python itself tells of every look-up, connection and process, whichever library asks for it."""


def test_validating_them_asks_no_resolver_no_network_and_no_program(tmp_path: Path) -> None:
    nodes = tmp_path / "state/nodes"
    nodes.mkdir(parents=True)
    for number, (key, value) in enumerate(VALUES):
        (nodes / f"{number:03}.yaml").write_text(written(key, value), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)["problems"]
    files = {one["file"] for one in told if one["gravity"] == Gravity.ERROR.value}
    assert files >= {f"state/nodes/{number:03}.yaml" for number in range(len(VALUES))}
