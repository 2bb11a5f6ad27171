"""`document validate` and `document show`: what a document says, and what a node would be given."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.commands import Host

GREET = """\
schemaVersion: '2.2'
parameters:
  name: {type: String, default: world, allowedPattern: '[a-z ]+'}
mainSteps:
  - name: greet
    action: aws:runShellScript
    inputs:
      timeoutSeconds: 60
      runCommand: ['echo "hello {{ name }}"', 'true']
  - name: elsewhere
    precondition: {StringEquals: [platformType, Windows]}
    action: aws:runPowerShellScript
    inputs: {runCommand: ['Write-Output hello']}
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/good.yaml").write_text(GREET)
    (tmp_path / "documents/bad.json").write_text('{"schemaVersion": "9.9", "mainSteps": []}')
    return Host(tmp_path)


def test_a_tree_of_documents_is_judged_file_by_file(host: Host) -> None:
    answer = host.run("document", "validate", str(host.folder / "documents"), "--format", "json", code=1).document()
    assert answer["valid"] is False
    assert {Path(one["file"]).name: one["accepted"] for one in answer["documents"]} == {
        "good.yaml": True,
        "bad.json": False,
    }
    (problem,) = answer["problems"]
    assert (problem["line"], problem["column"], problem["value"]) == (1, 19, "9.9")


def test_one_file_that_is_right_ends_with_zero(host: Host) -> None:
    answer = host.run("document", "validate", str(host.folder / "documents/good.yaml"), code=0)
    assert answer.out == "1 of 1 documents accepted; 0 errors, 0 lints\n"


@pytest.mark.parametrize("tree", ["x/../documents", ".hidden/documents"])
def test_a_tree_is_judged_whatever_leads_to_it(host: Host, tree: str) -> None:
    (host.folder / "x").mkdir()
    (host.folder / ".hidden").mkdir()
    shutil.copytree(host.folder / "documents", host.folder / ".hidden/documents")
    (host.folder / ".hidden/documents/.git").mkdir()
    (host.folder / ".hidden/documents/.git/not.yaml").write_text("hidden within the tree")
    answer = host.run("document", "validate", tree, code=1)
    assert "1 of 2 documents accepted" in answer.out


def test_a_tree_without_documents_is_no_success(host: Host) -> None:
    (host.folder / "empty").mkdir()
    answer = host.run("document", "validate", "documents", "empty", code=64)
    assert "empty: no document found" in answer.err


def test_mistakes_become_annotations(host: Host) -> None:
    answer = host.run("document", "validate", str(host.folder / "documents/bad.json"), "--format", "github", code=1)
    assert answer.out.startswith("::error file=")
    assert "line=1,col=19::an unsupported schemaVersion" in answer.out


def test_a_file_that_is_not_there_is_a_wrong_call(host: Host) -> None:
    assert "there is no such file" in host.run("document", "validate", "nowhere.yaml", code=64).err


REFUSED = """\
schemaVersion: '2.2'
parameters: {kind: {type: String, default: x, allowedPattern: x}}
mainSteps:
- {name: a, action: 'aws:downloadContent', inputs: {SourceType: Gti, sourceInfo: '{}'}}
- {name: b, action: 'aws:downloadContent', inputs: {sourceType: '{{ kind }}', sourceInfo: '{}'}}
- {name: c, action: 'aws:configurePackage', precondition: {StringEquals: [platformType, Windows]}, inputs: {}}
- {name: d, action: 'aws:configurePackage', inputs: {name: tool, action: install}}
- {name: e, action: 'aws:runDockerAction', inputs: {action: Run, container: a}}
- {name: f, action: 'aws:domainJoin', inputs: {}}
- {name: g, action: 'aws:softwareInventory', inputs: {applications: Enabled}}
"""


def test_inputs_that_an_action_refuses_are_told_before_it_runs(host: Host) -> None:
    (host.folder / "refused.yaml").write_text(REFUSED)
    answer = host.run("document", "validate", "refused.yaml", "--format", "json", code=0).document()
    told = {problem["value"]: (problem["line"], problem["message"]) for problem in answer["problems"]}
    assert {name: line for name, (line, _) in told.items()} == {"a": 4, "d": 7, "e": 8}
    assert "refused, and the step will fail: sourceType must be one of" in told["a"][1]


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        pytest.param("documents/god.yaml", "documents/good.yaml", id="a letter left out"),
        pytest.param("documents/good.yml", "documents/good.yaml", id="another ending"),
        pytest.param("documents/Good", "documents/good.yaml", id="no ending"),
        pytest.param("document/good.yaml", "documents", id="a folder"),
    ],
)
@pytest.mark.parametrize("verb", ["validate", "show", "run"])
def test_a_misspelt_path_is_guessed(host: Host, verb: str, named: str, meant: str) -> None:
    told = host.run("document", verb, str(host.folder / named), code=64).err
    assert f"; did you mean {host.folder / meant}?" in told


def test_a_misspelt_name_is_guessed(host: Host) -> None:
    host.run("init", "fleet", code=0)
    for verb in ("show", "run"):
        told = host.run("document", verb, "AWS-RunShelScript", "--repo", "fleet", code=64).err
        assert "; did you mean AWS-RunShellScript?" in told
        wrong = ("--parameters", "nmae=x")
        assert (
            "; did you mean name?"
            in host.run("document", verb, str(host.folder / "documents/good.yaml"), *wrong, code=64).err
        )


def test_a_document_without_an_ending_is_read_by_its_first_character(host: Host) -> None:
    (host.folder / "plain").write_text('\n {"schemaVersion": "2.2", "mainSteps": [{"name": "a", "action": "aws:x"}]}')
    host.run("document", "validate", str(host.folder / "plain"), code=0)


def test_the_exact_script_is_shown(host: Host) -> None:
    answer = host.run("document", "show", str(host.folder / "documents/good.yaml"), "--parameters", "name=you", code=0)
    assert "  name (String): you\n" in answer.out
    assert '  | echo "hello you"\n  | true\n' in answer.out
    assert "skipped: its precondition asks for platform Windows" in answer.out


def test_programs_get_the_script_as_json(host: Host) -> None:
    answer = host.run(
        "document", "show", str(host.folder / "documents/good.yaml"), "--format", "json", code=0
    ).document()
    greet, elsewhere = answer["steps"]
    assert greet["script"] == 'echo "hello world"\ntrue\n'
    assert (greet["timeout_seconds"], greet["skipped"]) == (60, None)
    assert elsewhere["script"] is None
    assert elsewhere["skipped"]


def test_what_a_name_calls_secret_is_shown_nowhere(host: Host) -> None:
    (host.folder / "secret.yaml").write_text(
        "schemaVersion: '2.2'\nparameters:\n  dbPassword: {type: String, interpolationType: ENV_VAR}\n"
        "mainSteps:\n- {name: a, action: 'aws:runShellScript', inputs: {runCommand: ['login {{ dbPassword }} now']}}\n"
    )
    for output in ("text", "json"):
        answer = host.run(
            "document", "show", str(host.folder / "secret.yaml"), "--parameters", "dbPassword=hunter2",
            "--format", output, code=0,
        )  # fmt: skip
        assert "hunter2" not in answer.out
        assert "login [masked] now" in answer.out


@pytest.mark.parametrize(
    ("kind", "value", "line", "secret"),
    [
        pytest.param("String", "se$$kwert", "login -{{ dbPassword2 }}-", "kwert", id="two dollars become one"),
        pytest.param("StringList", 'one"<two', "login {{ dbPassword2 }}", "two", id="json within a line"),
        pytest.param("StringMap", '{"k": "hun\\"zzq"}', "login {{ dbPassword2 }}", "zzq", id="a map within a line"),
    ],
)
def test_a_secret_is_hidden_however_it_is_spelled(host: Host, kind: str, value: str, line: str, secret: str) -> None:
    (host.folder / "secret.yaml").write_text(
        f"schemaVersion: '2.2'\nparameters: {{dbPassword2: {{type: {kind}}}}}\nmainSteps:\n"
        f"- {{name: a, action: 'aws:runShellScript', inputs: {{runCommand: ['{line}']}}}}\n"
        "- {name: b, precondition: {StringEquals: ['{{ dbPassword2 }}', x]}, action: 'aws:runShellScript',"
        " inputs: {runCommand: [id]}}\n"
    )
    given = json.dumps({"dbPassword2": [value]})
    for output in ("text", "json"):
        answer = host.run(
            "document", "show", str(host.folder / "secret.yaml"), "--parameters", given, "--format", output, code=0
        )
        assert secret not in answer.out
        assert "[masked]" in answer.out


def test_a_secret_that_breaks_its_rule_is_not_repeated(host: Host) -> None:
    (host.folder / "secret.yaml").write_text(
        "schemaVersion: '2.2'\nparameters: {userPwd: {type: String, allowedPattern: '[a-z]+'}}\nmainSteps:\n"
        "- {name: a, action: 'aws:runShellScript', inputs: {runCommand: [id]}}\n"
    )
    answer = host.run("document", "show", str(host.folder / "secret.yaml"), "--parameters", "userPwd=Hunter2", code=64)
    assert "does not match" in answer.err
    assert "Hunter2" not in answer.err


def test_a_bundled_document_is_shown_by_its_name(host: Host) -> None:
    host.run("init", "fleet", code=0)
    answer = host.run(
        "document", "show", "AWS-RunShellScript", "--parameters", 'commands=["echo a, b",id]', "--repo", "fleet", code=0
    )
    assert "  | echo a, b\n  | id\n" in answer.out


def test_bundled_documents_need_no_repository(host: Host) -> None:
    (host.folder / "outer.yaml").write_text(
        "schemaVersion: '2.2'\nmainSteps:\n- name: outer\n  action: aws:runDocument\n  inputs:\n"
        "    {documentType: SSMDocument, documentPath: AWS-RunShellScript, documentParameters: {commands: ['echo a b']}}\n"
    )
    shown = ("AWS-RunShellScript", "--parameters", "commands=echo a b")
    assert "  | echo a b\n" in host.run("document", "show", *shown, code=0).out
    assert "  | echo a b\n" in host.run("document", "show", "outer.yaml", code=0).out
    wrong = host.run("document", "show", "AWS-RunShelScript", code=64).err
    assert "is no state repository" in wrong
    assert "did you mean AWS-RunShellScript?" in wrong


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ("--parameters", "name=YOU"), "does not match all of allowedPattern", id="a value that breaks the rule"
        ),
        pytest.param(("--parameters", "nme=you"), "is not declared", id="a name nobody declared"),
        pytest.param(("--parameters", "name"), "NAME=", id="no shorthand"),
    ],
)
def test_wrong_parameters_are_a_wrong_call(host: Host, arguments: tuple[str, ...], words: str) -> None:
    assert words in host.run("document", "show", str(host.folder / "documents/good.yaml"), *arguments, code=64).err


def test_a_name_nobody_knows_is_a_wrong_call(host: Host) -> None:
    host.run("init", "fleet", code=0)
    assert "no document is named" in host.run("document", "show", "Nothing", "--repo", "fleet", code=64).err
    assert (
        "no version 7"
        in host.run("document", "show", "AWS-Noop", "--document-version", "7", "--repo", "fleet", code=64).err
    )


REMOTE = """\
schemaVersion: '2.2'
parameters: {word: {type: String, default: hello}}
mainSteps:
  - name: get
    action: aws:downloadContent
    inputs: {sourceType: HTTP, sourceInfo: {url: 'https://files.example.invalid/x'}, destinationPath: doc}
  - name: use
    action: aws:runShellScript
    inputs: {runCommand: ['cat doc {{ word }}']}
  - name: inner
    action: aws:runDocument
    inputs: {documentType: LocalPath, documentPath: doc}
"""


def test_a_document_that_downloads_is_shown_without_fetching(host: Host) -> None:
    file = host.folder / "documents/remote.yaml"
    file.write_text(REMOTE)
    answer = host.run("document", "show", str(file), "--format", "json", code=0).document()
    assert (answer["rendered"], answer["downloads"]) == (None, ["https://files.example.invalid/x"])
    assert [step["script"] for step in answer["steps"]][1:] == ["cat doc hello\n", None]
    assert "which document doc is shows only where it is fetched" in answer["steps"][2]["fails"]
    told = host.run("document", "show", str(file), code=0).out
    assert "downloads https://files.example.invalid/x (a pass or a plan fetches it; this command does not)" in told
