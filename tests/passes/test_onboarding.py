"""docs/onboarding.md, followed word by word as a new user would, over real nodes: a first report, and nothing on them changed."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.nodes import Fleet, TestNode, start_fleet

PAGE = Path(__file__).parents[2] / "docs/onboarding.md"

TRACES = re.compile(r"/(?:run|proc|sys|dev)(?:/|$)|/var/log/(?:sshd\.log|lastlog|wtmp|btmp|auth\.log|journal)")
"""What any login leaves: sshd's log, the list of who logged in, and what lives in memory alone."""


def tree(node: TestNode) -> dict[str, str]:
    """Give every file with mode, owner, size and both times: a file cannot change without its ctime, which nobody can set."""
    listed = node.run(["find", "/", "-xdev", "-printf", r"%p\t%y%m %U:%G %s %T@ %C@ %l\n"], timeout=300).stdout
    entries = dict(line.split("\t", 1) for line in listed.splitlines() if "\t" in line)
    return {path: entry for path, entry in entries.items() if not TRACES.match(path)}


def commands() -> list[tuple[str, int]]:
    """Give the commands of the page, in order, with the exit codes that it tells of."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    told = [(line, re.search(r"# exit code ([0-9]+)", line)) for line in lines]
    return [(line, int(code[1]) if code else 0) for line, code in told]


def new_user(home: Path, fleet: Fleet) -> None:
    """Give a user what the page asks for: a key, git's two settings, and an ssh configuration with a gateway in it."""
    ssh = home / ".ssh"
    ssh.mkdir(parents=True, mode=0o700)
    (ssh / "fleet").touch(mode=0o600)
    (ssh / "fleet").write_bytes(fleet.identity_file.read_bytes())
    hosts = [
        f"Host web-{number:02}\n  HostName {node.address}\n  Port {node.port}\n"
        for number, node in enumerate(fleet.nodes, 1)
    ]
    hosts[-1] += "  ProxyJump web-01\n"
    hosts.append("Host *\n  User ops\n  IdentityFile ~/.ssh/fleet\n")
    (ssh / "config").write_text("".join(hosts))
    (home / ".gitconfig").write_text("[user]\n  name = A New User\n  email = new@example.org\n")


def follow(home: Path) -> list[tuple[str, str]]:
    """Run the page's commands in one shell; gives each with what it printed. Fails at the first other exit code."""
    script = "".join(f"{line}\nprintf '@@ %s\\n' \"$?\"\n" for line, _ in commands())
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=home,
        capture_output=True,
        check=False,
        text=True,
        timeout=3000,
        env={
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RECONCILER_STATE_DIR": str(home / "state-folder"),
            "RECONCILER_HOST_SETTINGS": str(home / "host.yaml"),
        },
    )
    parts = re.split(r"^@@ ([0-9]+)\n", done.stdout, flags=re.MULTILINE)
    met = [int(code) for code in parts[1::2]]
    assert met == [code for _, code in commands()], f"{list(zip(commands(), met, strict=False))}\n{done.stderr[-3000:]}"
    return [(line, said) for (line, _), said in zip(commands(), parts[::2], strict=False)]


def onboard(home: Path, fleet: Fleet) -> None:
    """Go through the page, and hold every node's tree against what it was."""
    new_user(home, fleet)
    (home / "host.yaml").write_text("")
    before = [tree(node) for node in fleet.nodes]
    began = time.monotonic()
    said = dict(follow(home))
    took = time.monotonic() - began
    print(f"{len(fleet.nodes)} nodes from an ssh configuration to the end of the page in {took:.0f} s")  # noqa: T201 - for docs/reliability.md
    count = len(fleet.nodes)
    assert f"{count} files written: {count} nodes at Mode: warn" in said["reconciler import ssh-config fleet"]
    assert f"valid: {count + 1} nodes" in said["reconciler validate"]
    assert f"{count + 1} compliant" in said["reconciler status"]
    reported = summary(home / "fleet")
    assert reported.keys() >= {f"web-{number:02}" for number in range(1, count + 1)}
    assert_unchanged(fleet.nodes, before)
    (fleet.nodes[0].root / "etc/motd").write_text("by hand\n")
    with pytest.raises(AssertionError, match="/etc/motd"):
        assert_unchanged(fleet.nodes, before)


def assert_unchanged(nodes: Sequence[TestNode], before: Sequence[dict[str, str]]) -> None:
    """Hold every node's tree against what it was."""
    for node, earlier in zip(nodes, before, strict=True):
        now = tree(node)
        changed = {path for path in earlier.keys() | now.keys() if earlier.get(path) != now.get(path)}
        assert not changed, f"{node.name}: {sorted(changed)[:20]}"


def summary(repository: Path) -> dict[str, object]:
    """Give the nodes that the committed report is about."""
    shown = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "compliance", "nodes/"],
        cwd=repository,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    names = [line for line in shown.stdout.splitlines() if line.endswith(".json")]
    found = {}
    for name in names:
        blob = subprocess.run(
            ["git", "show", f"compliance:{name}"], cwd=repository, check=True, capture_output=True, timeout=60
        )
        found[Path(name).stem] = json.loads(blob.stdout)
    return found


def test_a_new_user_gets_a_first_report_and_no_node_is_changed(tmp_path: Path, shared_fleet: Fleet) -> None:
    try:
        onboard(tmp_path / "home", shared_fleet)
    finally:
        (shared_fleet.nodes[0].root / "etc/motd").unlink(missing_ok=True)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_fifty_servers_get_a_first_report_and_none_is_changed(tmp_path: Path, require_nodes: None) -> None:
    with start_fleet(tmp_path / "nodes", 50, systemd=2) as fleet:
        onboard(tmp_path / "home", fleet)
