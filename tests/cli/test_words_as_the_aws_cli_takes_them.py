"""send-command and cancel-command take their words as `aws ssm` does: several behind one option, JSON, and `file://`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from reconciler.cli.program import app
from reconciler.commands.request import Request, Typed, read_request
from reconciler.model.association import Target
from tests.cli.commands import Host

WEB = Target(key="tag:Role", values=("web",))
DEV = Target(key="tag:Env", values=("Dev", "Test"))


def words_of(command: str, *words: str) -> Mapping[str, Any]:
    """Give what a command is called with."""
    group: Any = typer.main.get_command(app)
    given: Mapping[str, Any] = group.commands[command].make_context(command, list(words)).params
    return given


def request_of(*words: str) -> Request:
    given = words_of("send-command", "--document-name", "AWS-RunShellScript", *words)
    names = ("targets", "instance_ids", "parameters")
    return read_request(Typed(document_name=given["document_name"], **{name: given[name] or () for name in names}))


@pytest.mark.parametrize(
    "words",
    [
        ("--instance-ids", "n1", "n2"),
        ("--instance-ids", "n1,n2"),
        ("--instance-ids", "n1", "--instance-ids", "n2"),
        ("--instance-ids=n1", "--instance-ids=n2"),
        ("--instance-ids", "n1", "--comment", "why not", "--instance-ids", "n2"),
        ("--instance-ids", '["n1", "n2"]'),
    ],
)
def test_several_ids(words: tuple[str, ...]) -> None:
    assert request_of(*words, "--parameters", "commands=id").instance_ids == ("n1", "n2")


@pytest.mark.parametrize(
    "words",
    [
        ("--targets", "Key=tag:Role,Values=web", "Key=tag:Env,Values=Dev,Test"),
        ("--targets", "Key=tag:Role,Values=web", "--targets", "Key=tag:Env,Values=Dev,Test"),
        ("--targets", '[{"Key":"tag:Role","Values":["web"]},{"Key":"tag:Env","Values":["Dev","Test"]}]'),
        ("--targets", '{"Key":"tag:Role","Values":["web"]}', "Key=tag:Env,Values=[Dev,Test]"),
    ],
)
def test_several_targets(words: tuple[str, ...]) -> None:
    assert request_of(*words).targets == (WEB, DEV)


@pytest.mark.parametrize(
    "words",
    [
        ("commands=id,executionTimeout=60",),
        ('commands="id",executionTimeout=60',),
        ("commands=id", "executionTimeout=60"),
        ('commands=["id"],executionTimeout=["60"]',),
        ('{"commands":["id"],"executionTimeout":["60"]}',),
    ],
)
def test_several_parameters(words: tuple[str, ...]) -> None:
    given = request_of("--instance-ids", "n1", "--parameters", *words, "--max-errors", "1").parameters
    assert given == {"commands": ("id",), "executionTimeout": ("60",)}


def test_ids_of_a_command_to_end() -> None:
    given = words_of("cancel-command", "--command-id", "3f1c", "--instance-ids", "n1", "n2", "--repo", "fleet")
    assert (given["instance_ids"], given["repo"]) == (("n1", "n2"), "fleet")


@pytest.mark.parametrize(
    "words",
    [
        ("stray",),
        ("--comment", "two", "words"),
        ("--yes", "n2"),
        ("--instance-ids", "n1", "--", "n2"),
        ("--instance-ids=n1", "n2"),
    ],
)
def test_a_word_that_belongs_to_nothing_is_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    answer = Host(tmp_path).run("send-command", "--document-name", "AWS-Noop", *words, code=64)
    assert "unexpected extra argument" in answer.err


@pytest.fixture
def host(tmp_path: Path) -> Host:
    made = Host(tmp_path)
    made.run("init", "fleet", code=0)
    return made


def test_a_file_stands_for_its_content(host: Host) -> None:
    (host.folder / "given.json").write_text('\n{"commands": ["echo from a file"]}\n')
    words = ("--repo", "fleet", "--format", "json", "--parameters", "file://given.json")
    shown = host.run("document", "show", "AWS-RunShellScript", *words, code=0).out
    assert "echo from a file" in shown
    (host.folder / "targets.json").write_text('[{"Key": "tag:Role", "Values": ["nobody"]}, {"Key": "Role"}]')
    words = ("--document-name", "AWS-RunShellScript", "--targets", f"file://{host.folder}/targets.json")
    assert "InvalidTarget" in host.run("send-command", *words, code=64).err, "it was read"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), (b"\xff", "is not UTF-8"), (b"x" * 300_000, "more than 262144 bytes")]
)
def test_a_file_that_cannot_be_taken_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "given").write_bytes(content)
    words = ("--document-name", "AWS-RunShellScript", "--instance-ids", "n1", "--parameters", "file://given")
    answer = Host(tmp_path).run("send-command", *words, code=64)
    assert "--parameters file://given: " in answer.err
    assert said in answer.err
