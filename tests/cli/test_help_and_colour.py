"""Help is quick and has an example that works; colour is for terminals, and only where it is wanted."""

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import structlog
import typer

from reconciler.cli.output import table, takes_colour
from reconciler.cli.program import app
from reconciler.daemon.log import configure_logging
from tests.cli.commands import Host

HEAVY = {"paramiko", "fabric", "git", "cryptography", "watchdog", "jsonschema", "structlog", "sqlite3"}


class Terminal(io.StringIO):
    """Something that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example_that_parses(path: tuple[str, ...], tmp_path: Path) -> None:
    """By the lines of the help itself, as somebody copies them from there."""
    shown = Host(tmp_path).run(*path, "--help", code=0).out
    examples = re.findall(r"^ +reconciler (.*)$", shown.partition("Options:")[0], re.MULTILINE)
    assert len(examples) == len(
        re.findall(r"(?:^ +|Example: )reconciler ", COMMANDS[path].callback.__doc__, re.MULTILINE)
    )
    assert examples
    for example in examples:
        words = shlex.split(example.partition(" >>")[0])
        assert tuple(words[: len(path)]) == path
        COMMANDS[path].make_context(path[-1], words[len(path) :])


def test_help_loads_no_ssh_and_no_git() -> None:
    program = (
        "import sys; from reconciler.cli.program import run; code = run(['--help']); "
        f"print('loaded', code, sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert "Usage: reconciler" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded 0 []"


def test_what_writes_no_log_loads_nothing_that_does() -> None:
    program = "import sys, reconciler.daemon.controller; print(sorted({'structlog', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_the_version_is_told(tmp_path: Path) -> None:
    assert re.fullmatch(r"reconciler [0-9]+\.[0-9]+\S*\n", Host(tmp_path).run("--version", code=0).out)


@pytest.mark.parametrize(
    ("stream", "variables", "coloured"),
    [
        (Terminal, {}, True),
        (Terminal, {"NO_COLOR": ""}, True),
        (Terminal, {"NO_COLOR": "1"}, False),
        (Terminal, {"TERM": "dumb"}, False),
        (io.StringIO, {}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], variables: dict[str, str], *, coloured: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    out, log = stream(), stream()
    with redirect_stdout(out), redirect_stderr(log):
        assert ("\x1b[" in table(["NODE", "STATUS"], [["a", "COMPLIANT"]])) is coloured
        configure_logging(as_json=False, coloured=takes_colour(sys.stderr))
        structlog.get_logger().info("pass", node="a")
    assert ("\x1b[" in log.getvalue()) is coloured
    assert "pass" in log.getvalue()


def test_a_terminal_that_is_not_utf8_gets_escapes(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.run("init", "fleet", code=0)
    host.run("once", "fleet", code=0)
    for form in ("text", "json"):
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", "inventory", "query", "SELECT char(233)", "--format", form],
            capture_output=True,
            check=False,
            timeout=60,
            cwd=tmp_path / "fleet",
            env={
                **host.environment(),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "PYTHONIOENCODING": "ascii",
            },
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert (b"\\u00e9" if form == "json" else b"\\xe9") in done.stdout
