"""`doctor NODE` on real nodes, each trouble really made: it is named, with a remedy, and what rests on it is not guessed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartNodes
from tests.support.host_keys import new_key_pair
from tests.support.nodes import Fleet, TestNode
from tests.support.site import Site

HOLD = 'open F, ">>", "/var/lib/dpkg/lock-frontend"; $l = pack("s s l! l! i", 1, 0, 0, 0, 0); fcntl F, 6, $l or die; sleep 300'
"""Takes dpkg's lock as dpkg does: a POSIX lock, which flock(1) cannot take."""
Checks = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def fleet(shared_fleet: Fleet) -> Fleet:
    """The shared nodes; everything a test does to them is put right."""
    return shared_fleet


@pytest.fixture
def server(fleet: Fleet) -> Iterator[TestNode]:
    """A node whose users, rules and programs are put back afterwards."""
    server = fleet.nodes[0]
    server.run(["cp", "-a", "/etc/passwd", "/etc/passwd.before"])
    server.run(["cp", "-a", "/etc/sudoers.d", "/etc/sudoers.before"])
    yield server
    server.run(["mv", "/etc/passwd.before", "/etc/passwd"])
    server.run(["rm", "-rf", "/etc/sudoers.d", "/usr/local/bin/date"])
    server.run(["mv", "/etc/sudoers.before", "/etc/sudoers.d"])


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    """A management host for the shared nodes."""
    site = Site(tmp_path, fleet)
    site.standard(fleet.nodes)
    return site


def examine(site: Site, *, code: int, node: str = "web-01") -> Checks:
    """Give the checks by name."""
    said = json.loads(site.command("doctor", node, "--format", "json", check=code).stdout)
    assert said["ok"] is (code == 0)
    return {check["name"]: check for check in said["checks"]}


def states(checks: Checks) -> dict[str, str]:
    """Give the states that are not ok."""
    return {name: check["state"] for name, check in checks.items() if check["state"] != "ok"}


def assert_rest_was_not_looked_at(checks: Checks, name: str) -> None:
    """After the one that failed come only checks that nobody made up."""
    order = list(checks)
    for later in order[order.index(name) + 1 :]:
        assert checks[later]["words"] == f"not looked at because {name} failed"
        assert checks[later]["state"] == "unknown"


def test_nothing_is_wrong_with_a_good_node(site: Site, server: TestNode) -> None:
    checks = examine(site, code=0)
    assert states(checks) == {}
    assert list(checks) == [
        "name", "tcp", "host key", "login", "login shell", "tools", "clock", "disk", "sudo", "run folder", "packages", "sshd",
    ]  # fmt: skip
    assert "works without a password" in checks["sudo"]["words"]
    assert "maxsessions 10" in checks["sshd"]["words"]
    text = site.command("doctor", "web-01", check=0).stdout
    assert text.startswith(f"ok       name: {server.address} is an address\n")


def test_a_node_that_is_down(site: Site, fleet: Fleet) -> None:
    fleet.nodes[1].stop()
    try:
        checks = examine(site, code=2, node="web-02")
    finally:
        fleet.nodes[1].start()
    assert checks["tcp"]["state"] == "trouble"
    assert "connection refused" in checks["tcp"]["words"]
    assert_rest_was_not_looked_at(checks, "tcp")


def test_a_name_that_is_not_found(site: Site) -> None:
    site.commit({"state/nodes/x.yaml": "Id: lost\nAddress: no-such-name.invalid\n"})
    checks = examine(site, code=2, node="lost")
    assert checks["name"]["state"] == "trouble"
    assert "no-such-name.invalid is not found" in checks["name"]["words"]
    assert_rest_was_not_looked_at(checks, "name")


def test_an_unknown_key_comes_with_the_line_to_add(site: Site, server: TestNode) -> None:
    site.commit({"state/known_hosts": "# none\n"})
    checks = examine(site, code=2)
    assert "no key is pinned" in checks["host key"]["words"]
    line = f"web-01 {' '.join(server.host_key_line.split()[1:3])}"
    assert f"`{line}`" in checks["host key"]["remedy"]
    assert_rest_was_not_looked_at(checks, "host key")
    site.commit({"state/known_hosts": f"{line}\n"})
    examine(site, code=0)


def test_a_changed_and_a_revoked_key(site: Site, server: TestNode) -> None:
    other = " ".join(new_key_pair("other").public.split()[:2])
    site.commit({"state/known_hosts": f"web-01 {other}\n"})
    checks = examine(site, code=2)
    assert checks["host key"]["words"].startswith("changed: SHA256:")
    shown = " ".join(server.host_key_line.split()[1:3])
    site.commit({"state/known_hosts": f"web-01 {shown}\n@revoked web-01 {shown}\n"})
    assert examine(site, code=2)["host key"]["words"].startswith("revoked: the node shows SHA256:")


def test_a_key_that_is_refused_missing_or_open_to_others(site: Site, tmp_path: Path) -> None:
    key = tmp_path / "keys/fleet"
    good = key.read_bytes()
    key.chmod(0o644)
    checks = examine(site, code=0)
    assert (checks["login"]["state"], checks["login"]["remedy"]) == ("warning", f"chmod 600 {key}")
    key.write_text(new_key_pair("stranger").private)
    key.chmod(0o600)
    checks = examine(site, code=2)
    assert "the node refused user 'ops' with key 'fleet'" in checks["login"]["words"]
    assert "no agent is there" in checks["login"]["remedy"]
    assert_rest_was_not_looked_at(checks, "login")
    key.unlink()
    assert "there is no key 'fleet'" in examine(site, code=2)["login"]["words"]
    key.write_bytes(good)


def test_a_login_shell_that_runs_nothing(site: Site, server: TestNode) -> None:
    server.run(["usermod", "--shell", "/usr/sbin/nologin", "ops"])
    checks = examine(site, code=2)
    assert checks["login"]["state"] == "ok"
    assert "the login shell ran no command" in checks["login shell"]["words"]
    assert_rest_was_not_looked_at(checks, "login shell")


@pytest.mark.parametrize(
    ("rules", "words", "remedy"),
    [
        pytest.param("", "if there is a rule at all", "NOPASSWD", id="no rule"),
        pytest.param("ops ALL=(ALL) ALL\n", "sudo asks for a password", "NOPASSWD", id="password"),
        pytest.param("Defaults:ops requiretty\nops ALL=(ALL) NOPASSWD: ALL\n", "requiretty", "!requiretty", id="tty"),
        pytest.param(
            "Defaults:ops log_input\nops ALL=(ALL) NOPASSWD: ALL\n", "log_input", "!log_input", id="log_input"
        ),
        pytest.param("ops ALL=(ALL) NOPASSWD:LOG_INPUT: ALL\n", "log_input", "!log_input", id="log_input in a rule"),
    ],
)
def test_what_sudo_says(site: Site, server: TestNode, rules: str, words: str, remedy: str) -> None:
    server.run(["sh", "-c", "rm -f /etc/sudoers.d/*; cat >/etc/sudoers.d/ops"], stdin=rules)
    checks = examine(site, code=2)
    assert checks["sudo"]["state"] == "trouble"
    assert words in checks["sudo"]["words"] + checks["sudo"]["remedy"]
    assert remedy in checks["sudo"]["remedy"]
    assert checks["disk"]["state"] == "ok", "it rests on no sudo"
    if "log_input" not in rules.lower():
        assert_rest_was_not_looked_at(checks, "sudo")


def test_sudo_that_is_not_there(site: Site, server: TestNode) -> None:
    server.run(["mv", "/usr/bin/sudo", "/usr/bin/sudo.away"])
    try:
        assert "sudo is not installed" in examine(site, code=2)["sudo"]["words"]
    finally:
        server.run(["mv", "/usr/bin/sudo.away", "/usr/bin/sudo"])


def test_log_input_that_is_taken_back_is_no_trouble(site: Site, server: TestNode) -> None:
    rules = "Defaults log_input\nDefaults:ops !log_input\nops ALL=(ALL) NOPASSWD: ALL\n"
    server.run(["sh", "-c", "rm -f /etc/sudoers.d/*; cat >/etc/sudoers.d/ops"], stdin=rules)
    assert examine(site, code=0)["sudo"]["state"] == "ok"


def test_a_run_root_that_is_read_only_a_link_or_somebody_elses(site: Site, server: TestNode) -> None:
    root = "/var/lib/reconciler"
    server.run(["mkdir", "-p", root])
    server.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", root])
    try:
        checks = examine(site, code=2)
    finally:
        server.run(["umount", root])
    assert "mounted read-only" in checks["run folder"]["words"]
    server.run(["chmod", "0777", root])
    checks = examine(site, code=2)
    assert "can be written by others" in checks["run folder"]["words"]
    assert checks["run folder"]["remedy"] == f"chmod 700 {root}"
    server.run(["chown", "ops", root])
    assert "belongs to uid" in examine(site, code=2)["run folder"]["words"]
    server.run(["rm", "-rf", root])
    server.run(["ln", "-s", "/tmp", root])
    assert "is a link or a file" in examine(site, code=2)["run folder"]["words"]
    server.run(["rm", root])
    assert "can be made" in examine(site, code=0)["run folder"]["words"]


def test_a_disk_and_a_tmp_that_are_full(start_nodes: StartNodes, tmp_path: Path) -> None:
    fleet = start_nodes(disk_mb=16)
    site = Site(tmp_path / "site", fleet)
    site.standard(fleet.nodes)
    fleet.nodes[0].fill_disk()
    checks = examine(site, code=2)
    assert checks["disk"]["state"] == "trouble"
    assert "0 MB free on /" in checks["disk"]["words"]
    fleet.nodes[0].free_disk()
    fleet.nodes[0].run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/tmp"])
    assert "/tmp: 1 MB free" in examine(site, code=2)["disk"]["words"]


def test_a_clock_that_is_an_hour_off(site: Site, server: TestNode) -> None:
    late = '#!/bin/sh\nif [ "$*" = +%s ]; then echo $(($(/bin/date +%s) + 3600)); else exec /bin/date "$@"; fi\n'
    server.run(["sh", "-c", "cat >/usr/local/bin/date; chmod 755 /usr/local/bin/date"], stdin=late)
    checks = examine(site, code=2)
    assert checks["clock"]["words"] == "60 min ahead of this host's"
    assert "timesyncd" in checks["clock"]["remedy"]
    assert states(checks) == {"clock": "trouble"}, "nothing rests on the clock"


def test_a_lock_that_is_held_and_a_package_that_is_half_installed(site: Site, server: TestNode) -> None:
    holder = server.run(["sh", "-c", f"perl -e '{HOLD}' >/dev/null 2>&1 & echo $!"]).stdout.strip()
    try:
        server.run(["sh", "-c", "until grep -q POSIX /proc/locks; do sleep 0.1; done"])
        checks = examine(site, code=0)
    finally:
        server.run(["kill", holder])
    assert checks["packages"]["state"] == "warning"
    assert "/var/lib/dpkg/lock-frontend is held by" in checks["packages"]["words"]
    server.run(["cp", "-a", "/var/lib/dpkg/status", "/var/lib/dpkg/status.before"])
    server.run(
        [
            "sed",
            "-i",
            "/^Package: sudo$/,/^$/s/install ok installed/install ok half-configured/",
            "/var/lib/dpkg/status",
        ]
    )
    try:
        checks = examine(site, code=2)
    finally:
        server.run(["mv", "/var/lib/dpkg/status.before", "/var/lib/dpkg/status"])
    assert checks["packages"]["words"] == "half-installed: sudo"


def test_missing_tools_are_named(site: Site, server: TestNode) -> None:
    server.run(["mv", "/usr/bin/setsid", "/usr/bin/setsid.away"])
    try:
        assert examine(site, code=2)["tools"]["words"] == "missing: setsid"
    finally:
        server.run(["mv", "/usr/bin/setsid.away", "/usr/bin/setsid"])


def test_a_node_that_is_not_there_is_a_wrong_word(site: Site) -> None:
    assert "there is no node 'web-99'" in site.command("doctor", "web-99", check=64).stderr
