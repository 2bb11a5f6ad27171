"""A new user's first hour, without any node but this machine: every command on a repository that `init` made."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import OBEYED, Host

NOW = "2026-01-31T02:00:00Z"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host that has made a repository and one pass."""
    host = Host(tmp_path_factory.mktemp("host"))
    host.run("init", "fleet", code=0)
    host.run("once", "fleet", code=0)
    return host


def test_a_new_repository_validates_plans_and_passes_at_once(tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert "a state repository of fleet fleet" in host.run("init", "fleet", code=0).out
    assert host.run("validate", "fleet", code=0).out.startswith("valid: 1 nodes")
    assert "Nothing to run" in host.run("plan", "fleet", code=0).out
    assert not host.git("branch", "--list", "compliance")

    dry = host.run("once", "fleet", "--dry-run", "--format", "json", code=0).document()
    assert (dry["dry_run"], dry["report_commit"]) == (True, None)
    assert not host.git("branch", "--list", "compliance")

    passed = host.run("once", "fleet", "--format", "json", code=0).document()
    assert passed["report_commit"] == host.git("rev-parse", "compliance")
    assert host.git("status", "--porcelain") == ""


def test_before_the_first_pass_nobody_says_that_all_is_well(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.run("init", "fleet", code=0)
    assert "no pass has ended here" in host.run("status", "fleet", code=2).out
    assert "nothing has drifted" not in host.run("drift", "fleet", code=2).out
    assert list(host.run("drift", "fleet", "--format", "json", code=2).document()["unknown"]) == ["this-machine"]
    assert "nothing was reported yet" in host.run("report", "fleet", code=2).out
    assert host.run("inventory", "show", "this-machine", "--repo", "fleet", code=64).out == ""


WINDOW = """\
Name: {name}
Schedule: cron(0 2 ? * SUN *)
Duration: 2
Cutoff: 1
"""


def test_tasks_of_a_window_wait_in_every_plan_pass_and_status(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.run("init", "fleet", code=0)
    host.commit(
        {
            "state/windows/sunday.yaml": WINDOW.format(name="sunday-night") + "Targets: [{}]\nTasks: [{}, {}]\n",
            "state/windows/empty.yaml": WINDOW.format(name="without-tasks"),
        }
    )
    said = (
        "window sunday-night (state/windows/sunday.yaml:1): Waiting, not supported yet: its 2 tasks never run; "
        "what must run belongs to an association"
    )
    for command in ("plan", "once", "status"):
        told = host.run(command, "fleet").out
        assert said in " ".join(told.split()), told
        assert "without-tasks" not in told


def test_after_a_pass_every_reading_command_answers(host: Host) -> None:
    assert "1 compliant" in host.run("status", "fleet", code=0).out
    assert "this-machine  COMPLIANT" in host.run("nodes", "fleet", code=0).out
    assert host.run("drift", "fleet", code=0).out == "nothing has drifted\n"
    assert host.run("report", "fleet", code=0).out.startswith("# Compliance of fleet fleet\n")
    assert "no association means this node" in host.run("explain", "this-machine", "--repo", "fleet", code=0).out
    assert host.run("runs", "list", "fleet", code=0).out.split() == [
        "RUN",
        "NODE",
        "ASSOCIATION",
        "N",
        "STATUS",
        "STARTED",
        "EXIT",
    ]


def test_facts_are_collected_shown_and_asked_with_sql(host: Host) -> None:
    assert "this-machine" in host.run("inventory", "collect", "fleet", code=0).out
    shown = host.run("inventory", "show", "this-machine", "--repo", "fleet", code=0).out
    committed = host.git("show", "compliance:inventory/c2/this-machine.json")
    assert shown.rstrip("\n") == committed
    asked = host.run(
        "inventory", "query", "SELECT uid, home FROM users WHERE name = 'root'", "--repo", "fleet", "--format", "json"
    )
    assert asked.document()["rows"] == [[0, "/root"]]
    assert "packages(node, name, version, arch)\n" in host.run("inventory", "tables", code=0).out


COMMANDS = (
    ("validate", "fleet"),
    ("plan", "fleet"),
    ("plan", "fleet", "--base", "HEAD", "--head", "HEAD"),
    ("plan", "fleet", "--inventory", "compliance", "--at", NOW),
    ("once", "fleet", "--dry-run"),
    ("once", "fleet"),
    ("status", "fleet"),
    ("nodes", "fleet"),
    ("drift", "fleet"),
    ("report", "fleet"),
    ("explain", "this-machine", "--repo", "fleet"),
    ("inventory", "collect", "fleet"),
    ("inventory", "show", "this-machine", "--repo", "fleet"),
    ("inventory", "tables"),
    ("inventory", "query", "SELECT x'00ff', 1e999, char(27, 155, 8238)", "--repo", "fleet"),
    ("runs", "list", "fleet"),
    ("schedule", "next", "rate(1 hour)"),
    ("node", "scan-keys", "fleet"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_gives_one_versioned_document(host: Host, command: tuple[str, ...]) -> None:
    answer = host.run(*command, "--format", "json", code=0)
    assert answer.document()
    assert not OBEYED & set(answer.out)


def test_a_plan_of_reported_facts_is_the_same_bytes_everywhere(host: Host, tmp_path: Path) -> None:
    question = ("--inventory", "compliance", "--at", NOW, "--format", "json")
    here = host.run("plan", "fleet", *question, code=0).out
    assert host.run("plan", "fleet", *question, code=0).out == here
    elsewhere = Host(tmp_path)
    clone = tmp_path / "fleet"
    subprocess.run(["git", "clone", "--quiet", "--mirror", str(host.folder / "fleet"), str(clone)], check=True)
    assert elsewhere.run("plan", "fleet", *question, code=0).out == here


def test_a_schedule_tells_when_it_runs_next(host: Host) -> None:
    answer = host.run("schedule", "next", "cron(0 2 ? * SUN *)", "--count", "2", "--at", "2026-01-31T00:00:00Z", code=0)
    assert answer.out.splitlines() == ["Sun 2026-02-01 02:00:00 UTC", "Sun 2026-02-08 02:00:00 UTC"]
