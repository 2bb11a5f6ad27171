"""The repository of the program is a state repository itself: `reconciler once` in a clone observes this machine."""

import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import Host

ROOT = Path(__file__).parents[2]


def test_once_in_a_clone_reports_on_this_machine_changes_nothing_and_pushes_nothing(tmp_path: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    host = Host(tmp_path)
    for source, folder, options in ((ROOT, "origin", ["--bare"]), (tmp_path / "origin", "clone", [])):
        subprocess.run(
            ["git", "clone", "--quiet", *options, str(source), str(tmp_path / folder)],
            check=True,
            capture_output=True,
            timeout=100,
        )
    refs, head = host.git("for-each-ref", repo="origin"), host.git("rev-parse", "HEAD", repo="clone")
    passwd = Path("/etc/passwd").stat()

    result = host.run("once", "clone", "--format", "json", code=0).document()

    assert result["outcomes"] == []
    assert result["nodes"]["this-machine"]["status"] == "COMPLIANT"
    assert set(result["nodes"]["this-machine"]["findings"]) == {"accounts", "operating-system"}
    assert host.git("for-each-ref", repo="origin") == refs
    assert host.git("rev-parse", "HEAD", repo="clone") == head
    assert host.git("status", "--porcelain", repo="clone") == ""
    assert (Path("/etc/passwd").stat().st_mtime_ns, Path("/etc/passwd").stat().st_mode) == (
        passwd.st_mtime_ns,
        passwd.st_mode,
    )
    assert "1 compliant" in host.run("status", "clone", code=0).out
    assert host.run("validate", "clone", code=0).out.startswith("valid: 1 nodes, 2 associations")
