"""Documents that download: the management host fetches, nodes without a network get the files over their SSH connection."""

import hashlib
import json
import random
import socket
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import pytest

from reconciler.model.outcome import RunRecord
from tests.support.git_remote import make_remote
from tests.support.nodes import Fleet, TestNode
from tests.support.site import Site
from tests.support.web_server import WebServer, reply, web_server

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

NUMBERS = count(1)
SERVER = "127.0.0.5"


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with web_server(SERVER) as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet) -> Site:
    made = Site(tmp_path_factory.mktemp("site"), fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    made.write({"state/associations/motd.yaml": None, "documents/Motd.yaml": None})
    with made.settings.open("a") as settings:
        settings.write(f"Downloads: {{Egress: [{SERVER}]}}\n")
    return made


def association(name: str, document: str, parameters: str = "{}") -> dict[str, str | None]:
    text = f"AssociationName: {name}\nName: {document}\nParameters: {parameters}\nTargets: [{{Key: 'tag:Role', Values: [web]}}]\n"
    return {f"state/associations/{name}.yaml": text}


def apply(site: Site, document: str, parameters: str = "{}", **documents: str) -> RunRecord:
    """Commit documents and an association with one of them, and run a pass: one run is what comes of it."""
    name = f"run-{next(NUMBERS)}"
    site.commit(
        {**{f"documents/{n}.yaml": text for n, text in documents.items()}, **association(name, document, parameters)}
    )
    result = site.once()
    (outcome,) = [one for one in result.outcomes if one.association == name]
    assert outcome.record is not None, (outcome, result.problems)
    site.commit({f"state/associations/{name}.yaml": None})
    return outcome.record


def results(record: RunRecord) -> Sequence[str]:
    return [f"{step.name} {step.status} {step.exit_code}" for step in record.steps]


def downloading(url: str, destination: str, command: str, *more: str) -> str:
    return f"""\
schemaVersion: '2.2'
mainSteps:
  - name: get
    action: aws:downloadContent
    inputs:
      sourceType: HTTP
      sourceInfo: '{{"url": "{url}", "allowInsecureDownload": true}}'
      destinationPath: '{destination}'
  - name: use
    action: aws:runShellScript
    inputs: {{runCommand: ['{command}']}}
""" + "".join(more)


def test_bytes_of_any_kind_arrive_as_they_were(site: Site, server: WebServer) -> None:
    data = bytes(range(256)) * 40 + random.Random(1).randbytes(1_200_000)
    server.files["/data.bin"] = data
    found = apply(
        site,
        "Get",
        Get=downloading(
            f"{server.url}/data.bin", "in/data.bin", "sha256sum in/data.bin; stat -c %a in in/data.bin; pwd"
        ),
    )
    assert results(found) == ["get Success 0", "use Success 0"], found.steps
    said = found.steps[1].stdout.decode().splitlines()
    assert said[:3] == [f"{hashlib.sha256(data).hexdigest()}  in/data.bin", "700", "700"]
    assert said[3].endswith("/downloads")
    assert found.steps[0].stdout.decode() == f"Content downloaded to {said[3]}/in/data.bin\n"


DESTINATIONS = [
    ("", "cat download*"),
    ("some/folder/", "cat some/folder/download*"),
    ("some/name", "cat some/name"),
    ("some/folder", "cat some/folder/download*"),
    ("/opt/app/", "cat /opt/app/download*"),
    ("/opt/app-file", "cat /opt/app-file"),
    ("/var", "cat /var/download*; rm /var/download*"),
    ("/opt/it's $(id) here", "cat /opt/it*here"),
]
"""Where to, and what shows that it is there: folders and files, relative and absolute, names that a shell would take apart."""


def test_the_destination_is_ssms(site: Site, server: WebServer) -> None:
    server.files["/file"] = b"content"
    info = {"url": f"{server.url}/file", "allowInsecureDownload": "true"}
    steps = [
        step
        for number, (destination, command) in enumerate(DESTINATIONS)
        for step in (
            {
                "name": f"get{number}",
                "action": "aws:downloadContent",
                "inputs": {"sourceType": "HTTP", "sourceInfo": info, "destinationPath": destination},
            },
            {"name": f"use{number}", "action": "aws:runShellScript", "inputs": {"runCommand": [command]}},
        )
    ]
    found = apply(site, "Get", Get=json.dumps({"schemaVersion": "2.2", "mainSteps": steps}))
    assert [step.status for step in found.steps] == ["Success"] * len(steps), [step.stderr for step in found.steps]
    assert [step.stdout for step in found.steps[1::2]] == [b"content"] * len(DESTINATIONS)


def test_a_changed_file_is_a_change_and_the_same_one_runs_nothing(
    site: Site, server: WebServer, node: TestNode
) -> None:
    server.files["/script.sh"] = b"#!/bin/sh\necho first\n"
    get = downloading(f"{server.url}/script.sh", "script.sh", "./script.sh")
    site.commit({"documents/Script.yaml": get, **association("script", "Script")})
    planned = site.command("plan", str(site.repo)).stdout
    assert f"downloads {server.url}/script.sh: sha256" in planned
    assert "(mutable: nothing pins it)" in planned
    (first,) = site.once().outcomes
    assert first.record is not None
    assert first.record.steps[1].stdout == b"first\n"
    assert site.once().outcomes == ()
    server.files["/script.sh"] = b"#!/bin/sh\necho second\n"
    (second,) = site.once().outcomes
    assert second.record is not None
    assert (second.record.steps[1].stdout, second.record.cause) == (b"second\n", "Pending")
    del server.files["/script.sh"]
    gone = site.once()
    assert gone.outcomes == ()
    assert any("stays in force" in problem for problem in gone.problems), gone.problems
    assert not [path for path in (node.root / "var/lib/reconciler/runs").iterdir() if "staged" in path.name]
    site.commit({"state/associations/script.yaml": None})


def test_what_cannot_be_fetched_waits_and_says_why(site: Site) -> None:
    get = downloading("http://127.0.0.1:1/x", "x", "true")
    site.commit({"documents/Never.yaml": get, **association("never", "Never")})
    done = site.once()
    assert done.outcomes == ()
    (left,) = [each for each in done.plan.left_out if each.association == "never"]
    assert "127.0.0.1, which is no public address" in left.reason
    site.commit({"state/associations/never.yaml": None})


def test_a_plan_without_nodes_fetches_nothing_and_knows_what_passes_saw(site: Site, server: WebServer) -> None:
    server.files["/unseen"] = b"x"
    document = downloading(f"{server.url}/unseen", "x", "cat x")
    site.commit({"documents/Unseen.yaml": document, **association("unseen", "Unseen")})
    server.asked.clear()
    site.command("validate", str(site.repo), check=0)
    site.command("document", "validate", str(site.repo / "documents"), check=0)
    first = site.command("plan", str(site.repo), "--base", "HEAD~1", "--head", "HEAD").stdout
    assert "was not looked at yet" in first
    assert server.asked == []
    (outcome,) = site.once().outcomes
    assert outcome.record is not None
    server.asked.clear()
    site.commit({"documents/Unseen.yaml": document.replace("cat x", "cat ./x")})
    second = site.command("plan", str(site.repo), "--base", "HEAD~1", "--head", "HEAD").stdout
    assert f"downloads {server.url}/unseen: sha256 {hashlib.sha256(b'x').hexdigest()}" in second
    question = ("plan", str(site.repo), "--inventory", "compliance", "--at", "2030-01-01T00:00:00Z", "--format", "json")
    assert site.command(*question).stdout == site.command(*question, state_dir=site.folder / "another-host").stdout
    replayed = site.command(
        "plan", str(site.repo), "--inventory", site.once().plan.digest[:16], "--format", "json"
    ).stdout
    assert '"items"' in replayed
    site.commit({"state/associations/unseen.yaml": None})
    site.once()
    assert "downloads.json" not in site.git("ls-tree", "--name-only", "compliance").split()


SCRIPT = '#!/bin/sh\necho "$1 and $2 in $(basename $(pwd))"\n'


@pytest.mark.parametrize(("directory", "shown"), [("", "downloads"), ("scripts/", "scripts")])
def test_the_bundled_document_for_remote_scripts(site: Site, server: WebServer, directory: str, shown: str) -> None:
    server.files["/it.sh"] = SCRIPT.encode()
    info = f'{{"url": "{server.url}/it.sh", "allowInsecureDownload": "true"}}'
    parameters = f"{{sourceType: [HTTP], sourceInfo: ['{info}'], commandLine: ['download* one two'], workingDirectory: ['{directory}']}}"
    found = apply(site, "AWS-RunRemoteScript", parameters)
    assert results(found) == [
        "downloadContent Success 0",
        "runPowerShellScript Skipped 0",
        "runShellScript Success 0",
    ], found
    assert found.steps[2].stdout.decode() == f"one and two in {shown}\n"


DOCUMENT = """\
schemaVersion: '2.2'
parameters:
  word: {type: String, default: default}
mainSteps:
  - name: speak
    action: aws:runShellScript
    inputs: {runCommand: ['echo "{{ word }}"']}
"""


def test_the_bundled_document_for_documents_that_lie_elsewhere(site: Site, server: WebServer) -> None:
    server.files["/document"] = DOCUMENT.encode()
    info = f'{{"url": "{server.url}/document", "allowInsecureDownload": "true"}}'
    found = apply(
        site,
        "AWS-RunDocument",
        f"{{sourceType: [HTTP], sourceInfo: ['{info}'], documentParameters: ['{{\"word\": \"given\"}}']}}",
    )
    assert results(found) == ["downloadContent Success 0", "runDocument/speak Success 0"], found
    assert found.steps[1].stdout == b"given\n"


def test_the_bundled_document_runs_one_of_the_repository_too(site: Site) -> None:
    found = apply(
        site, "AWS-RunDocument", '{sourceType: [SSMDocument], sourceInfo: [\'{"name": "Inner"}\']}', Inner=DOCUMENT
    )
    assert results(found) == ["downloadContent Success 0", "runDocument/speak Success 0"], found
    assert found.steps[1].stdout == b"default\n"


def test_a_document_that_was_changed_on_the_node_does_not_run(site: Site, server: WebServer) -> None:
    server.files["/document"] = DOCUMENT.encode()
    run = """\
  - name: inner
    action: aws:runDocument
    inputs: {documentType: LocalPath, documentPath: doc.yaml}
"""
    found = apply(site, "Get", Get=downloading(f"{server.url}/document", "doc.yaml", "echo >>doc.yaml", run))
    assert results(found) == ["get Success 0", "use Success 0", "inner/speak Failed 1"]
    assert b"is not on the node as it was downloaded" in found.steps[2].stderr


def test_a_command_downloads_too(site: Site, server: WebServer) -> None:
    server.files["/file"] = b"for a command\n"
    site.commit({"documents/Get.yaml": downloading(f"{server.url}/file", "x", "cat x")})
    done = site.command(
        "send-command", "--document-name", "Get", "--targets", "Key=tag:Role,Values=web", "--repo", str(site.repo)
    )
    assert done.returncode == 0, (done.stdout, done.stderr)


def test_a_command_runs_the_version_that_git_had(site: Site) -> None:
    site.commit({"documents/Versioned.yaml": DOCUMENT.replace("default: default", "default: first")})
    site.commit({"documents/Versioned.yaml": DOCUMENT.replace("default: default", "default: second")})
    typed = (
        "send-command",
        "--document-name",
        "Versioned",
        "--targets",
        "Key=tag:Role,Values=web",
        "--repo",
        str(site.repo),
    )
    for version, word in (("1", "first"), ("2", "second"), ("$LATEST", "second")):
        done = site.command(*typed, "--document-version", version, "--format", "json", check=0)
        command = json.loads(done.stdout)["Command"]["CommandId"]
        shown = site.command("get-command-invocation", "--command-id", command, "--instance-id", "web-01", check=0)
        assert word in shown.stdout, shown.stdout
    done = site.command(*typed, "--document-version", "3")
    assert "InvalidDocumentVersion" in done.stderr


def test_a_file_of_the_store_that_was_changed_reaches_no_node(site: Site, server: WebServer) -> None:
    server.files["/kept"] = b"reviewed"
    sha256 = hashlib.sha256(b"reviewed").hexdigest()
    site.commit({"documents/Kept.yaml": downloading(f"{server.url}/kept", "x", "cat x"), **association("kept", "Kept")})
    site.command("plan", str(site.repo))
    stored = site.state_dir / "content/files" / sha256[:2] / sha256
    stored.write_bytes(b"swapped!")
    server.answers["/kept"] = lambda handler: handler.send_error(503)
    done = site.once()
    assert [one.record for one in done.outcomes if one.record is not None] == []
    assert not stored.exists()
    del server.answers["/kept"]
    (outcome,) = site.once().outcomes
    assert outcome.record is not None
    assert outcome.record.steps[1].stdout == b"reviewed"
    site.commit({"state/associations/kept.yaml": None})


def test_a_script_from_git_runs_at_the_commit_of_the_plan(
    site: Site, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = make_remote(tmp_path_factory.mktemp("git") / "scripts.git")
    tip = remote.commit({"web/run.sh": b"#!/bin/sh\n. ./words\necho $word $1\n", "web/words": b"word=hello\n"})
    with web_server(SERVER, tls=tmp_path_factory.mktemp("tls"), git=remote.path.parent) as serving:
        monkeypatch.setenv("SSL_CERT_FILE", str(serving.authority))
        info = f'{{"repository": "{serving.url}/git/scripts.git", "path": "web", "getOptions": "commitID:{tip}"}}'
        parameters = f"{{sourceType: [Git], sourceInfo: ['{info}'], commandLine: ['run.sh world']}}"
        site.commit(association("from-git", "AWS-RunRemoteScript", parameters))
        result = site.once()
        (item,) = result.plan.items
        assert [each.in_words for each in item.fetches] == [
            f"{serving.url}/git/scripts.git at {tip[:12]}, web: commit {tip}"
        ]
        (outcome,) = result.outcomes
        assert outcome.record is not None
        assert results(outcome.record) == [
            "downloadContent Success 0",
            "runPowerShellScript Skipped 0",
            "runShellScript Success 0",
        ], outcome.record.steps
        assert outcome.record.steps[2].stdout == b"hello world\n"
        asked = len(serving.asked)
        assert site.once().outcomes == ()
        assert len(serving.asked) == asked  # a commit is what it is: nobody is asked again
    site.commit({"state/associations/from-git.yaml": None})


def test_a_script_from_github_runs_as_one_from_git_does(
    site: Site, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("github")
    (folder / "example").mkdir()
    remote = make_remote(folder / "example/scripts.git")
    tip = remote.commit({"web/run.sh": b"#!/bin/sh\necho hello $1\n"}, branch="master")
    asked_names = socket.getaddrinfo

    def to_this_machine(host: str, *args: Any, **options: Any) -> Any:
        return asked_names(SERVER if host == "github.com" else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", to_this_machine)
    with web_server(SERVER, port=443, tls=tmp_path_factory.mktemp("tls"), git=folder) as serving:
        monkeypatch.setenv("SSL_CERT_FILE", str(serving.authority))
        info = '{"owner": "example", "repository": "scripts", "path": "web", "getOptions": "branch:master"}'
        parameters = f"{{sourceType: [GitHub], sourceInfo: ['{info}'], commandLine: ['run.sh world']}}"
        site.commit(association("from-github", "AWS-RunRemoteScript", parameters))
        result = site.once()
        (item,) = result.plan.items
        (fetch,) = [each.in_words for each in item.fetches]
        assert fetch.startswith("https://github.com/example/scripts.git at ")
        assert f"commit {tip}" in fetch
        (outcome,) = result.outcomes
        assert outcome.record is not None
        assert outcome.record.steps[2].stdout == b"hello world\n"
        assert any("/example/scripts.git/" in line for line in serving.asked)
        site.commit({"state/associations/from-github.yaml": None})


LISTED = """<ListBucketResult><IsTruncated>false</IsTruncated>
<Contents><Key>web/run.sh</Key><ETag>1</ETag><Size>22</Size></Contents>
<Contents><Key>web/sub/word</Key><ETag>2</ETag><Size>6</Size></Contents></ListBucketResult>"""


def test_a_folder_of_a_bucket_arrives(
    site: Site, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(SERVER, tls=tmp_path_factory.mktemp("tls")) as serving:
        monkeypatch.setenv("SSL_CERT_FILE", str(serving.authority))
        serving.answers["/bucket/"] = lambda handler: reply(handler, 200, LISTED.encode())
        serving.files |= {"/bucket/web/run.sh": b"echo $(cat sub/word) $1", "/bucket/web/sub/word": b"hello\n"}
        info = f'{{"path": "{serving.url}/bucket/web/"}}'
        parameters = f"{{sourceType: [S3], sourceInfo: ['{info}'], commandLine: ['sh run.sh world']}}"
        found = apply(site, "AWS-RunRemoteScript", parameters)
    assert results(found) == ["downloadContent Success 0", "runPowerShellScript Skipped 0", "runShellScript Success 0"]
    assert found.steps[2].stdout == b"hello world\n"


def test_what_an_interrupted_sender_left_is_sent_anew(site: Site, server: WebServer, node: TestNode) -> None:
    server.files["/file"] = b"whole"
    sha256 = hashlib.sha256(b"whole").hexdigest()
    site.commit({"documents/Left.yaml": downloading(f"{server.url}/file", "x", "cat x"), **association("left", "Left")})
    with site.controller() as controller:
        (item,) = controller.plan(limit=()).plan.items
    staged = node.root / "var/lib/reconciler/runs" / f".staged.{item.run}"
    staged.mkdir(mode=0o700)
    (staged / f"{sha256}.part").write_bytes(b"wh")
    (outcome,) = site.once().outcomes
    assert outcome.record is not None
    assert outcome.record.steps[1].stdout == b"whole"
    assert not staged.exists()
    site.commit({"state/associations/left.yaml": None})


def test_what_was_downloaded_is_there_after_a_reboot(site: Site, server: WebServer, node: TestNode) -> None:
    server.files["/file"] = b"still here"
    boots = node.boots
    again = "[ -e /var/log/went-down ] || { touch /var/log/went-down; exit 194; }; cat kept"
    found = apply(site, "Get", Get=downloading(f"{server.url}/file", "kept", again))
    assert results(found) == ["get Success 0", "use Success 0"]
    assert found.steps[1].stdout == b"still here"
    assert node.boots == boots + 1
