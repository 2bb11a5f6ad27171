"""What `import aws` takes from files that hold answers of the AWS CLI."""

import json
from pathlib import Path

import pytest

from reconciler.daemon.accepting import read_folder
from reconciler.ids import AssociationName, BaselineName, DocumentName
from reconciler.model.node import Mode
from tests.cli.commands import OBEYED, Host

DOCUMENT = {
    "schemaVersion": "2.2",
    "description": "Says hello: to whoever asks",
    "parameters": {
        "who": {"type": "String", "description": "Whom.", "default": "you", "allowedPattern": "^[a-z :#']*$"}
    },
    "mainSteps": [{"name": "hello", "action": "aws:runShellScript", "inputs": {"runCommand": ["echo {{ who }}"]}}],
}

ASSOCIATION = {
    "AssociationDescription": {
        "Name": "Hello",
        "AssociationName": "say-hello",
        "AssociationVersion": "3",
        "Date": 1700000000.123,
        "LastUpdateAssociationDate": "2024-01-31T10:00:00.000000+01:00",
        "Overview": {"Status": "Success", "AssociationStatusAggregatedCount": {"Success": 3}},
        "DocumentVersion": "$DEFAULT",
        "Parameters": {"who": ["it's: #me"]},
        "AssociationId": "0f1e2d3c-1111-2222-3333-444455556666",
        "Targets": [{"Key": "tag:Role", "Values": ["web", "yes", "0123"]}],
        "ScheduleExpression": "rate(30 minutes)",
        "MaxErrors": "1",
        "MaxConcurrency": "10%",
        "ComplianceSeverity": "HIGH",
        "SyncCompliance": "AUTO",
        "ApplyOnlyAtCronInterval": False,
        "CalendarNames": [],
        "AlarmConfiguration": None,
    }
}

BASELINE = {
    "BaselineId": "pb-0123456789abcdef0",
    "Name": "Ours",
    "OperatingSystem": "DEBIAN",
    "GlobalFilters": {"PatchFilters": []},
    "ApprovalRules": {
        "PatchRules": [
            {
                "PatchFilterGroup": {"PatchFilters": [{"Key": "PRIORITY", "Values": ["important"]}]},
                "ComplianceLevel": "CRITICAL",
                "ApproveAfterDays": 7,
                "EnableNonSecurity": False,
            }
        ]
    },
    "ApprovedPatches": [],
    "RejectedPatches": ["bad-package"],
    "RejectedPatchesAction": "BLOCK",
    "PatchGroups": ["Webservers"],
    "CreatedDate": 1700000000.0,
    "ModifiedDate": 1700000000.0,
    "Sources": [],
}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with a folder of answers."""
    answers = {
        "a.json": ASSOCIATION,
        "b.json": BASELINE,
        "d.json": {
            "Name": "Hello",
            "DocumentFormat": "JSON",
            "Content": json.dumps(DOCUMENT),
            "DocumentType": "Command",
        },
        "lists.json": {"Associations": [{"Name": "Hello", "AssociationId": "1"}]},
        "lost.json": {"AssociationDescription": {"Name": "Nowhere", "AssociationId": "12345678-9"}},
        "other.json": {"Account": "123"},
    }
    (tmp_path / "exports").mkdir()
    for name, answer in answers.items():
        (tmp_path / "exports" / name).write_text(json.dumps(answer, indent=4))
    (tmp_path / "exports/broken.json").write_text('{"Name": \n')
    return Host(tmp_path)


def test_associations_documents_and_baselines_read_back(host: Host) -> None:
    said = host.run("import", "aws", "exports", "fleet", code=0).out
    desired, problems = read_folder(host.folder / "fleet")
    assert desired is not None
    assert [str(problem) for problem in problems if problem.file.endswith(("say-hello.yaml", "Hello.json"))] == []
    association = desired.associations[AssociationName("say-hello")]
    assert (association.mode, association.document) == (Mode.WARN, "Hello")
    assert association.targets[0].values == ("web", "yes", "0123")
    assert association.parameters["who"] == ["it's: #me"]
    assert DocumentName("Hello") in desired.documents
    assert BaselineName("Ours") in desired.baselines
    assert "imported: exports/a.json:1: association say-hello\n" in said
    assert "skipped: exports/lists.json:1: a list (Associations); save `aws ssm describe-association" in said
    assert "skipped: exports/lost.json:1: association Nowhere-12345678: " in said
    assert "skipped: exports/other.json:1: none of describe-association" in said
    assert "skipped: exports/broken.json:" in said
    assert "3 files written: 0 nodes at Mode: warn, 0 groups, 3 others" in said
    assert "scan-keys" not in said


def test_the_only_node_of_an_association_may_be_named_twice(host: Host) -> None:
    inner = {"InstanceId": "i-0a", "Targets": [{"Key": "InstanceIds", "Values": ["i-0a"]}]}
    answer = {"AssociationDescription": ASSOCIATION["AssociationDescription"] | inner}
    (host.folder / "exports/a.json").write_text(json.dumps(answer))
    assert "association say-hello" in host.run("import", "aws", "exports", "fleet", code=0).out
    written = (host.folder / "fleet/state/associations/say-hello.yaml").read_text()
    assert "i-0a" in written
    assert "InstanceId:" not in written


def test_a_second_import_leaves_everything_alone(host: Host) -> None:
    host.run("import", "aws", "exports", "fleet", code=0)
    own = host.folder / "fleet/state/associations/say-hello.yaml"
    own.write_text(own.read_text() + "# by hand\n")
    said = host.run("import", "aws", "exports", "fleet", code=0).out
    assert "left alone: exports/a.json:1: association say-hello is there already" in said
    assert "0 files written" in said
    assert own.read_text().endswith("# by hand\n")


@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "\x1b[31m", "", "x" * 500, "-rf", "a\nb", ".git"])
def test_names_never_lead_out_of_the_repository(host: Host, name: str) -> None:
    for file in (host.folder / "exports").iterdir():
        file.unlink()
    answers = (
        {"Name": name, "Content": "schemaVersion: '2.2'\n", "DocumentFormat": "YAML"},
        {"AssociationDescription": {"Name": "AWS-RunShellScript", "AssociationName": name}},
        BASELINE | {"Name": name},
        BASELINE,
    )
    for number, answer in enumerate(answers):
        (host.folder / f"exports/{number}.json").write_text(json.dumps(answer))
    before = {path for path in host.folder.iterdir() if path.name != "fleet"}
    said = host.run("import", "aws", "exports", "fleet", code=0)
    assert said.out.count("skipped: ") >= 2
    assert not OBEYED & set(said.out)
    assert {path for path in host.folder.iterdir() if path.name != "fleet"} - before <= {host.folder / "state-folder"}
    assert "valid: 1 nodes" in host.run("validate", "fleet", code=0).out
