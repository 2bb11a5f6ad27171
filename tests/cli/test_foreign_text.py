"""What nodes, repositories and other writers of the reports' branch say never reaches a terminal raw, in any command."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import HOSTILE, OBEYED, Answer, Host
from tests.support.this_machine import this_machine_alone
from tests.test_docs import ALL_COMMANDS

YAML_HOSTILE = json.dumps(HOSTILE)
"""JSON's escapes are YAML's: the file is plain, the value is not."""

NODE = f"""\
Id: here
Transport: local
Tags: {{Role: here, Note: {YAML_HOSTILE}}}
"""

ASSOCIATION = f"""\
AssociationName: hostile
Name: Hostile
Targets: [{{Key: 'tag:Role', Values: [here]}}, {{Key: 'tag:Note', Values: [{YAML_HOSTILE}]}}]
Expect:
  Files: [{{Path: PATH, Content: {YAML_HOSTILE}}}]
  Checks: ['test -e PATH.not']
"""

DOCUMENT = f"""\
schemaVersion: '2.2'
description: {YAML_HOSTILE}
mainSteps:
  - name: complain
    action: aws:runShellScript
    inputs:
      runCommand:
        - printf '\\033[31mred\\033]0;title\\007\\302\\233plain\\342\\200\\256\\n' >&2
        - exit 3
"""

COMMANDS = (
    ("validate", "fleet"),
    ("validate", "fleet", "--format", "github"),
    ("plan", "fleet"),
    ("plan", "fleet", "--format", "markdown"),
    ("plan", "fleet", "--base", "HEAD~1", "--head", "HEAD"),
    ("plan", "fleet", "--base", "HEAD~1", "--head", "HEAD", "--format", "markdown"),
    ("plan", "fleet", "--inventory", "compliance"),
    ("once", "fleet", "--dry-run"),
    ("status", "fleet"),
    ("nodes", "fleet"),
    ("drift", "fleet"),
    ("report", "fleet"),
    ("explain", "here", "--repo", "fleet"),
    ("inventory", "collect", "fleet"),
    ("inventory", "show", "here", "--repo", "fleet"),
    ("inventory", "query", "SELECT * FROM files", "--repo", "fleet"),
    ("runs", "list", "fleet"),
    ("patch", "list", "here", "--repo", "fleet"),
    ("patch", "explain", "here", "bash", "--repo", "fleet"),
    ("patch", "report", "--repo", "fleet"),
    ("patch", "report", "--patches", "--format", "json", "--repo", "fleet"),
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    host = Host(folder, "LocalChanges: true\n")
    host.commit({"state/fleet.yaml": f"Fleet: {folder.name}\n", "state/nodes/here.yaml": NODE})
    (folder / "file").write_text(f"{HOSTILE}\nby hand\n")
    host.commit(
        {
            "state/associations/hostile.yaml": ASSOCIATION.replace("PATH", str(folder / "file")),
            f"state/associations/{HOSTILE.replace('/', '')}.yaml": "# a file with such a name\n",
            "documents/Hostile.yaml": DOCUMENT,
        }
    )
    with this_machine_alone():
        yield host


@pytest.fixture(scope="module")
def passed(host: Host) -> Answer:
    return host.run("once", "fleet", code=2)


def test_a_pass_says_it_visibly(passed: Answer) -> None:
    assert "\\x1b[31mred" in passed.out
    assert "what it wrote: reconciler runs output " in passed.out
    assert not OBEYED & set(passed.out + passed.err)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_say_it_visibly(host: Host, passed: Answer, command: tuple[str, ...]) -> None:
    assert passed.code == 2
    for form in ((), ("--format", "json")):
        if form and "--format" in command:
            continue
        answer = host.run(*command, *form)
        assert answer.code in {0, 2}, answer
        assert answer.out or command[0] == "validate"
        assert not OBEYED & set(answer.out + answer.err)


def test_runs_say_it_visibly(host: Host, passed: Answer) -> None:
    assert passed.code == 2
    (run,) = host.run("runs", "list", "fleet", "--format", "json", code=0).document()["runs"]
    for command in ("show", "output"):
        answer = host.run("runs", command, run["run"], "--repo", "fleet", code=0)
        assert "\\x1b[31mred" in answer.out or command == "show"
        assert not OBEYED & set(answer.out + answer.err)


def test_a_pause_with_a_hostile_reason_says_it_visibly(host: Host, passed: Answer) -> None:
    assert passed.code == 2
    try:
        for form in ((), ("--format", "json")):
            made = host.run("pause", "--reason", HOSTILE, "--node", "here", "--repo", "fleet", *form, code=0)
            assert not OBEYED & set(made.out + made.err)
            for command in ("status", "report", "drift", "plan"):
                answer = host.run(command, "fleet", *form, code=2)
                assert "red" in answer.out
                assert not OBEYED & set(answer.out + answer.err)
        unknown = host.run("pause", "--node", HOSTILE, "--repo", "fleet", code=64)
        assert not OBEYED & set(unknown.out + unknown.err)
        assert len(host.run("resume", "--all", "--format", "json", code=0).document()["done"]) == 1
    finally:
        host.run("resume", "--all", code=0)


def test_another_writer_of_the_reports_cannot_speak_to_the_terminal(host: Host, passed: Answer, tmp_path: Path) -> None:
    assert passed.code == 2
    shutil.copytree(host.folder / "fleet", tmp_path / "fleet")
    forged = Host(tmp_path, "LocalChanges: true\n")
    forged.git("checkout", "--quiet", "compliance")
    page = tmp_path / "fleet/README.md"
    page.write_text(page.read_text() + f"\n{HOSTILE}\r\n")
    for path in (tmp_path / "fleet/nodes").rglob("*.json"):
        path.write_text(
            path.read_text().replace("\\u001b[31mred", "red").replace('"reason": "', f'"reason": {YAML_HOSTILE[:-1]}')
        )
    forged.git("commit", "--quiet", "--all", "-m", HOSTILE)
    forged.git("checkout", "--quiet", "main")
    for command in (
        ("report", "fleet"),
        ("drift", "fleet"),
        ("status", "fleet"),
        ("explain", "here", "--repo", "fleet"),
    ):
        answer = forged.run(*command)
        assert answer.out
        assert "Traceback" not in answer.err
        assert not OBEYED & set(answer.out + answer.err)
    assert "\\x1b[31mred" in forged.run("report", "fleet").out


def test_a_files_name_that_is_no_text_is_told_in_every_format(tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    folder = host.folder / "documents"
    folder.mkdir()
    (folder / os.fsdecode(b"::error::,line=3 ##vso[x]\xff.yaml")).write_text("x: [\n")
    told = host.run("document", "validate", "documents", "--format", "json", code=1).document()
    assert {problem["file"] for problem in told["problems"]} == {"documents/::error::,line=3 ##vso[x]\\udcff.yaml"}
    (line,) = host.run("document", "validate", "documents", "--format", "github", code=1).out.splitlines()
    place, _, message = line.removeprefix("::error ").partition("::")
    assert [each.partition("=")[0] for each in place.split(",")] == ["file", "line", "col"]
    assert "##vso[" not in message + place
    assert "\\udcff" in host.run("document", "validate", "documents", code=1).out


def test_a_files_name_that_is_no_text_is_refused_by_validate_as_by_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.run("init", "fleet", code=0)
    host.run("once", "fleet", code=0)
    folder = host.folder / "fleet/state" / os.fsdecode(b"n\xffdes")
    folder.mkdir()
    (folder / "web.yaml").write_text("")
    (host.folder / "fleet/documents").mkdir(exist_ok=True)
    (host.folder / "fleet/documents" / os.fsdecode(b"b\xe4d.yaml")).write_text("schemaVersion: '2.2'\n")
    said = [
        f"error: {name}:0:0: the name of this file is not UTF-8; rename it"
        for name in ("documents/b�d.yaml", "state/n�des/web.yaml")
    ]
    validated = host.run("validate", "fleet", code=1)
    assert [line for line in (validated.out + validated.err).splitlines() if "UTF-8" in line] == said
    host.git("add", "--all")
    host.git("commit", "--quiet", "-m", "Bytes for names")
    applied = host.run("once", "fleet")
    told = " ".join((applied.out + applied.err).split())
    assert f"{said[0].removeprefix('error: ')} (and 1 more)" in told


NOT_OVER_THE_REPOSITORY = frozenset(
    {
        *(
            "init",
            "demo",
            "import ssh-config",
            "import ansible",
            "import aws",
            "node add",
            "node scan-keys",
            "document validate",
        ),
        *(
            "document show",
            "document run",
            "schedule next",
            "daemon",
            "apply",
            "pause",
            "resume",
            "locks list",
            "locks release",
            "doctor",
        ),
        *("send-command", "list-commands", "list-command-invocations", "get-command-invocation", "cancel-command"),
        *("ledger seed", "inventory tables", "runs show", "runs output", "runs cancel"),
    }
)
"""Commands that are given a hostile argument alone, or (`runs show`, `runs output`) have a test of their own above.

`ledger seed` prints how many versions it dated, and where it wrote them.
"""


def test_every_command_is_looked_at_here() -> None:
    looked_at = {name for name in ALL_COMMANDS if any(" ".join(words).startswith(name) for words in COMMANDS)}
    assert sorted(set(ALL_COMMANDS) - looked_at - NOT_OVER_THE_REPOSITORY) == []


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_every_command_shows_a_hostile_argument_visibly(host: Host, name: str) -> None:
    word = HOSTILE.replace("/", "")
    for arguments in ((word,), ("--format", word), (f"--{word}",)):
        answer = host.run(*name.split(), *arguments)
        assert answer.code in {0, 1, 2, 64}, answer
        assert not OBEYED & set(answer.out + answer.err)
        assert "Traceback" not in answer.err
