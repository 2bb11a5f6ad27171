"""One local node that may be changed: files in a temporary folder only. What runs, what it wrote, drift, repair, Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.commands import HOSTILE, OBEYED, Host
from tests.support.this_machine import this_machine_alone

DOCUMENT = """\
schemaVersion: '2.2'
description: "Writes a file \\u2066in\\u2069 a folder of the test."
parameters:
  path: {type: String, description: The file.}
  text: {type: String, description: What it says., default: managed by git}
  seconds: {type: String, description: How long it takes., default: '0'}
mainSteps:
  - name: write
    action: aws:runShellScript
    inputs:
      runCommand:
        - echo run >> '{{ path }}.runs'
        - printf '\\033[31mred\\033]0;title\\007\\302\\233plain\\n'
        - sleep '{{ seconds }}'
        - printf '%s\\n' '{{ text }}' > '{{ path }}'
        - chmod 0644 '{{ path }}'
"""


def association(path: Path, extra: str = "", text: str = "managed by git") -> str:
    return (
        "AssociationName: a-file\nName: Write\nTargets: [{Key: 'tag:Role', Values: [here]}]\n"
        f"Parameters: {{path: ['{path}'], text: ['{text}']{extra}}}\n"
        f"Expect: {{Files: [{{Path: '{path}', Content: \"{text}\\n\"}}]}}\n"
    )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path / "host", "LocalChanges: true\n")
    host.commit(
        {
            "state/fleet.yaml": f"Fleet: {tmp_path.name}\n",
            "state/nodes/here.yaml": "Id: here\nTransport: local\nTags: {Role: here}\n",
            "state/associations/a-file.yaml": association(tmp_path / "file"),
            "documents/Write.yaml": DOCUMENT,
        }
    )
    with this_machine_alone():
        yield host


def ran(tmp_path: Path) -> int:
    log = tmp_path / "file.runs"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_applied_once_left_alone_drifted_repaired(host: Host, tmp_path: Path) -> None:
    assert [item["node"] for item in host.run("plan", "fleet", "--format", "json", code=2).document()["items"]] == [
        "here"
    ]
    assert ran(tmp_path) == 0
    first = host.run("once", "fleet", "--format", "json", code=0).document()
    assert [outcome["status"] for outcome in first["outcomes"]] == ["Success"]
    assert (tmp_path / "file").read_text() == "managed by git\n"

    assert host.run("once", "fleet", "--format", "json", code=0).document()["outcomes"] == []
    assert ran(tmp_path) == 1

    (tmp_path / "file").write_text(f"by hand {HOSTILE}\n")
    planned = host.run("plan", "fleet", code=2)
    assert "here" in planned.out
    assert host.run("once", "fleet", "--dry-run", code=2).out
    assert ran(tmp_path) == 1
    host.run("once", "fleet", code=0)
    assert (tmp_path / "file").read_text() == "managed by git\n"
    assert ran(tmp_path) == 2
    host.run("apply", "a-file", "--repo", "fleet", code=0)
    assert ran(tmp_path) == 3


def test_drift_is_reported_where_nothing_may_be_changed(host: Host, tmp_path: Path) -> None:
    host.run("once", "fleet", code=0)
    host.settings.write_text("")
    (tmp_path / "file").write_text("by hand\n")
    host.run("once", "fleet", code=2)
    assert (tmp_path / "file").read_text() == "by hand\n"
    assert "here  a-file  Drifted" in host.run("drift", "fleet", code=2).out
    found = host.run("drift", "fleet", "--format", "json", code=2).document()["findings"]
    assert [(finding["node"], finding["association"]) for finding in found] == [("here", "a-file")]
    assert "Drifted" in host.run("explain", "here", "a-file", "--repo", "fleet", code=0).out
    explained = host.run("explain", "here", "--repo", "fleet", "--format", "json", code=0).document()
    assert explained["associations"]["a-file"]["finding"]["state"] == "Drifted"
    assert host.run("status", "fleet", code=2).out.splitlines()[-1].startswith("here  NON_COMPLIANT")


def test_a_change_is_told_before_it_is_made(host: Host, tmp_path: Path) -> None:
    host.run("once", "fleet", code=0)
    before = host.git("rev-parse", "HEAD")
    host.commit({"state/associations/a-file.yaml": association(tmp_path / "file", text="better")})
    told = host.run("plan", "fleet", "--base", before, "--head", "HEAD", "--format", "json", code=2).document()
    assert [item["node"] for item in told["would_run"]] == ["here"]
    for form in ("text", "markdown"):
        assert "here" in host.run("plan", "fleet", "--base", before, "--head", "HEAD", "--format", form, code=2).out
    assert ran(tmp_path) == 1


def test_runs_are_listed_shown_and_their_output_kept(host: Host) -> None:
    host.run("once", "fleet", code=0)
    (listed,) = host.run("runs", "list", "fleet", "--format", "json", code=0).document()["runs"]
    run = listed["run"]
    assert (listed["node"], listed["association"], listed["status"]) == ("here", "a-file", "Success")
    assert run[:12] in host.run("runs", "list", "fleet", code=0).out
    assert "step " in host.run("runs", "show", run[:8], "--repo", "fleet", code=0).out
    shown = host.run("runs", "show", run[:8], "--repo", "fleet", "--format", "json", code=0).document()
    assert shown["run"] == run
    assert shown["steps"]
    output = host.run("runs", "output", run[:8], "--repo", "fleet", code=0)
    assert "\\x1b[31mred" in output.out
    kept = host.run("runs", "output", run[:8], "--repo", "fleet", "--format", "json", code=0)
    assert any("\x1b[31mred" in one["content"] for one in kept.document()["outputs"])
    assert not OBEYED & set(output.out + kept.out)
    assert "\x1b[31mred" in host.run("runs", "output", run[:8], "--repo", "fleet", "--raw", code=0).out


def test_ctrl_c_ends_a_pass_and_leaves_nothing_half_done(host: Host, tmp_path: Path) -> None:
    host.commit({"state/associations/a-file.yaml": association(tmp_path / "file", extra=", seconds: ['3']")})
    running = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "once", "fleet"],
        cwd=host.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **host.environment(), "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    deadline = time.monotonic() + 60
    while ran(tmp_path) == 0:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert host.git("fsck", "--no-dangling", "--no-progress") == ""
    while host.run("once", "fleet").code != 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (tmp_path / "file").read_text() == "managed by git\n"
    assert ran(tmp_path) == 1
    (run,) = host.run("runs", "list", "fleet", "--format", "json", code=0).document()["runs"]
    assert run["status"] == "Success"
