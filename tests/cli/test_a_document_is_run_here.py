"""document run on this machine: each step as it happens, the exit codes, and nothing left behind."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import has_ended
from tests.support.site import Site
from tests.support.this_machine import this_machine_alone

DOCUMENT = """\
schemaVersion: '2.2'
description: Three steps.
parameters:
  text: {type: String, default: hello, allowedPattern: '[a-z]+'}
mainSteps:
  - name: first
    action: aws:runShellScript
    inputs: {runCommand: ['echo {{ text }}', 'echo aside >&2']}
  - name: elsewhere
    action: aws:runPowerShellScript
    precondition: {StringEquals: [platformType, Windows]}
    inputs: {runCommand: [exit 1]}
  - name: last
    action: aws:runShellScript
    inputs: {runCommand: ['printf "no end of line"; exit CODE']}
"""


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with this_machine_alone():
        yield


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, None)


def document(site: Site, text: str) -> str:
    (site.folder / "Three.yaml").write_text(text)
    return str(site.folder / "Three.yaml")


def folders() -> list[Path]:
    root = Path("/var/lib/reconciler" if os.geteuid() == 0 else "~/.local/state/reconciler").expanduser()
    return list((root / "runs").glob("[0-9a-f]*"))


def test_each_step_is_shown_and_success_is_0(site: Site) -> None:
    done = site.command("document", "run", document(site, DOCUMENT.replace("CODE", "0")), check=0)
    lines = done.stdout.splitlines()
    assert lines[:4] == ["step first", "  | hello", "  ! aside", "step first: Success, exit 0"]
    assert "step elsewhere: Skipped, exit 0" in lines
    assert lines[-3:-1] == ["  | no end of line", "step last: Success, exit 0"]
    assert lines[-1].startswith("this-machine: Success, ")
    assert folders() == []


def test_a_package_of_the_checkout_is_installed_and_removed(site: Site) -> None:
    name, log = "document-run-try", site.folder / "log"
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for word in ("install", "uninstall"):
            archive.writestr(f"{word}.sh", f"echo {word} >>{log}\n")
    manifest = {
        "schemaVersion": "2.0",
        "version": "1.0",
        "packages": {"_any": {"_any": {"_any": {"file": "a.zip"}}}},
        "files": {"a.zip": {"checksums": {"sha256": hashlib.sha256(zipped.getvalue()).hexdigest()}}},
    }
    site.write({"state/fleet.yaml": "Fleet: example\n", f"packages/{name}/1.0/manifest.json": json.dumps(manifest)})
    (site.repo / f"packages/{name}/1.0/a.zip").write_bytes(zipped.getvalue())
    root = Path("/var/lib/reconciler" if os.geteuid() == 0 else "~/.local/state/reconciler").expanduser()
    try:
        for action in ("Install", "Uninstall"):
            done = site.command(
                "document", "run", "AWS-ConfigureAWSPackage", "--parameters", f"action={action},name={name}", check=0
            )
            assert "step configurePackage: Success, exit 0" in done.stdout, done.stdout
        assert log.read_text() == "install\nuninstall\n"
    finally:
        shutil.rmtree(root / "packages" / name, ignore_errors=True)


def test_bundled_documents_need_no_repository(site: Site) -> None:
    inner = "documentType: SSMDocument, documentPath: AWS-RunShellScript, documentParameters: {commands: [echo in]}"
    outer = f"schemaVersion: '2.2'\nmainSteps: [{{name: outer, action: 'aws:runDocument', inputs: {{{inner}}}}}]\n"
    nowhere = ("--repo", str(site.folder / "nowhere"))
    assert "  | in\n" in site.command("document", "run", document(site, outer), *nowhere, check=0).stdout
    named = ("AWS-RunShellScript", "--parameters", "commands=echo by name")
    assert "  | by name\n" in site.command("document", "run", *named, *nowhere, check=0).stdout


def test_a_failure_is_2_and_json_is_one_document(site: Site) -> None:
    done = site.command(
        "document", "run", document(site, DOCUMENT.replace("CODE", "7")), "--parameters", "text=world",
        "--format", "json", check=2,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["StatusDetails"], found["ResponseCode"]) == ("Failed", 7)
    assert [step["Status"] for step in found["Steps"]] == ["Success", "Skipped", "Failed"]
    assert "  | world" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--parameters", "text=UPPER"), 64, "InvalidParameters"),
        (("--parameters", "other=x"), 64, "InvalidParameters"),
        (("--node", "web-01", "--repo", "."), 64, "InvalidInstanceId"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(site: Site, arguments: tuple[str, ...], code: int, said: str) -> None:
    site.commit({"state/fleet.yaml": "Fleet: example\n"})
    done = site.command("document", "run", document(site, DOCUMENT.replace("CODE", "0")), *arguments, check=code)
    assert said in done.stderr


def test_a_document_that_is_none_is_no_answer(site: Site) -> None:
    done = site.command("document", "run", document(site, "schemaVersion: '2.2'\n"), check=1)
    assert "mainSteps" in done.stderr


def test_an_interrupt_kills_what_runs(site: Site) -> None:
    child = site.folder / "child"
    text = DOCUMENT.replace("exit CODE", f"sleep 300 & echo $! > {child}; wait")
    started = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "document", "run", document(site, text)],
        env=site.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    ends = time.monotonic() + 60
    while not child.exists() or not child.read_text().strip():
        assert time.monotonic() < ends
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    said, _ = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "this-machine: Cancelled" in said
    assert has_ended(int(child.read_text()))
    assert folders() == []
