"""The test nodes are what they claim: each its own machine, really rebooted, really full, and really gone afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartNodes
from tests.support.apt_repository import AptRepository, Package
from tests.support.left_behind import mounts_below, processes_mentioning
from tests.support.nodes import Fleet, NodeSpec, TestNode, start_fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(tmp_path_factory.mktemp("nodes"), count=4, systemd=2) as started:
        yield started


@pytest.fixture(params=["plain", "systemd"])
def either(fleet: Fleet, request: pytest.FixtureRequest) -> TestNode:
    return fleet.nodes[0 if request.param == "plain" else -1]


def ssh_argv(node: TestNode, tmp_path: Path, command: str, *, user: str = "ops") -> list[str]:
    known = tmp_path / "known_hosts"
    known.write_text(node.fleet.known_hosts, encoding="ascii")
    options = ["-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes", "-o", "IdentityAgent=none"]
    options += ["-o", "KexAlgorithms=curve25519-sha256"]  # the first choice takes a hundred times the processor time
    identity = ["-i", str(node.fleet.identity_file), "-p", str(node.port)]
    return ["ssh", *options, *identity, f"{user}@{node.address}", command]


def ssh(node: TestNode, tmp_path: Path, command: str, *, user: str = "ops") -> subprocess.CompletedProcess[str]:
    argv = ssh_argv(node, tmp_path, command, user=user)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)


def eventually(condition: str, node: TestNode) -> None:
    """Wait until a shell condition holds on the node."""
    deadline = time.monotonic() + 60
    while node.run(["sh", "-c", condition], check=False).returncode != 0:
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def test_ops_becomes_root_by_sudo_and_guest_does_not(either: TestNode, tmp_path: Path) -> None:
    assert ssh(either, tmp_path, "sudo -n id -u").stdout == "0\n"
    assert ssh(either, tmp_path, "id -u", user="root").stdout == "0\n"
    assert ssh(either, tmp_path, "sudo -n id -u", user="guest").returncode == 1


def test_a_node_is_its_own_machine(fleet: Fleet, tmp_path: Path) -> None:
    asked = (
        "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id; ssh-keygen -lf /etc/ssh/*key.pub; hostname -i"
    )
    answers = [ssh(node, tmp_path, asked).stdout.split("\n") for node in fleet.nodes]
    for line in range(5):
        assert len({answer[line] for answer in answers}) == len(fleet.nodes)
    assert [answer[0] for answer in answers] == [node.name for node in fleet.nodes]
    assert [answer[1] for answer in answers] == [node.machine_id for node in fleet.nodes]
    ours = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    assert ours not in {answer[2] for answer in answers}


def test_a_hand_edit_on_one_node_is_seen_there_only(fleet: Fleet, tmp_path: Path) -> None:
    edited, other = fleet.nodes[:2]
    (edited.root / "etc/motd").write_text("by hand\n", encoding="ascii")
    assert ssh(edited, tmp_path, "cat /etc/motd").stdout == "by hand\n"
    assert ssh(other, tmp_path, "cat /etc/motd").stdout != "by hand\n"
    assert ssh(edited, tmp_path, "echo theirs | sudo -n tee /etc/motd").returncode == 0
    assert (edited.root / "etc/motd").read_text(encoding="ascii") == "theirs\n"


def test_processes_of_a_node_are_its_own(either: TestNode) -> None:
    titles = either.run(["ps", "-eo", "args"]).stdout
    assert "pytest" not in titles
    assert titles.count("[listener]") == 1


def test_a_node_cannot_harm_the_machine(either: TestNode) -> None:
    before = Path("/proc/sys/vm/swappiness").read_text(encoding="ascii")
    assert either.run(["sh", "-c", "echo 7 >/proc/sys/vm/swappiness"], check=False).returncode != 0
    assert either.run(["ls", "/dev/vda", "/dev/sda", "/dev/kmsg", "/dev/mem"], check=False).stdout == ""
    assert not may_set_the_clock(either)
    assert Path("/proc/sys/vm/swappiness").read_text(encoding="ascii") == before


def may_set_the_clock(node: TestNode) -> bool:
    """Whether PID 1, and so anything it started, could ever get CAP_SYS_TIME."""
    status = (Path("/proc") / str(node.init) / "status").read_text(encoding="ascii")
    bounding = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounding, 16) >> 25 & 1)


def test_a_kernel_setting_can_be_shown_changed_on_one_node(fleet: Fleet) -> None:
    changed, other = fleet.nodes[:2]
    changed.set_kernel_setting("vm.swappiness", "3")
    asked = ["cat", "/proc/sys/vm/swappiness"]
    assert changed.run(asked).stdout == "3\n"
    assert other.run(asked).stdout == Path("/proc/sys/vm/swappiness").read_text(encoding="ascii")


@pytest.mark.parametrize("command", ["reboot", "shutdown -r now", "systemctl reboot --force --force"])
def test_a_reboot_from_inside_really_ends_and_restarts_the_node(either: TestNode, tmp_path: Path, command: str) -> None:
    before, boots = either.boot_id, either.boots
    either.run(["sh", "-c", "touch /run/gone /etc/stays; setsid sleep 1000 >/dev/null 2>&1 &"])
    ssh(either, tmp_path, f"sudo -n {command}")
    either.wait_until_up(boots=boots + 1)
    assert either.boots == boots + 1
    assert either.boot_id != before
    assert not either.run(["pgrep", "-x", "sleep"], check=False).stdout
    assert either.run(["ls", "/run/gone"], check=False).returncode != 0
    assert (either.root / "etc/stays").exists()


def test_uptime_starts_again_after_a_reboot(either: TestNode) -> None:
    either.reboot()
    uptime = float(either.run(["cat", "/proc/uptime"]).stdout.split()[0])
    assert 0 <= uptime < 100
    assert either.run(["stat", "-c", "%Y", "/proc/1"]).returncode == 0


def test_a_node_turned_off_stays_off_until_it_is_started(either: TestNode, tmp_path: Path) -> None:
    ssh(either, tmp_path, "sudo -n poweroff")
    deadline = time.monotonic() + 60
    while either.is_on:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "Connection refused" in ssh(either, tmp_path, "true").stderr
    either.start()
    assert ssh(either, tmp_path, "true").returncode == 0


def test_a_changed_host_key_is_noticed_by_ssh(either: TestNode, tmp_path: Path) -> None:
    before = ssh_argv(either, tmp_path, "true")
    either.change_host_key()
    refused = subprocess.run(before, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "HOST IDENTIFICATION HAS CHANGED" in refused.stderr
    assert ssh(either, tmp_path, "true").returncode == 0


def test_a_cut_connection_leaves_the_node_up(either: TestNode, tmp_path: Path) -> None:
    argv = ssh_argv(either, tmp_path, "touch /tmp/there && sleep 1000")
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
        eventually("rm /tmp/there", either)
        assert either.kill_connections() > 0
        assert client.wait(timeout=60) == 255
    assert ssh(either, tmp_path, "true").returncode == 0


def test_a_frozen_node_keeps_connections_open_and_says_nothing(fleet: Fleet, tmp_path: Path) -> None:
    node = fleet.nodes[0]
    node.freeze()
    with subprocess.Popen(ssh_argv(node, tmp_path, "echo thawed"), stdout=subprocess.PIPE, text=True) as client:
        with pytest.raises(subprocess.TimeoutExpired):
            client.wait(timeout=1)
        node.thaw()
        assert client.communicate(timeout=60)[0] == "thawed\n"


def test_sshd_says_who_came_and_with_which_key(either: TestNode, tmp_path: Path) -> None:
    ssh(either, tmp_path, "true")
    assert "Accepted publickey for ops from 127.0.0.1" in either.sshd_log()


def test_systemd_nodes_boot_systemd_and_run_transient_units(fleet: Fleet, tmp_path: Path) -> None:
    plain, systemd = fleet.nodes[:2], fleet.nodes[2:]
    assert [node.run(["cat", "/proc/1/comm"]).stdout for node in systemd] == ["systemd\n"] * 2
    assert all(node.run(["test", "-d", "/run/systemd/system"], check=False).returncode for node in plain)
    for node in systemd:
        script = "touch /root/started; exec sleep 1000"
        started = ssh(node, tmp_path, f"sudo -n systemd-run -p KillMode=process --unit=job sh -c '{script}'")
        assert started.returncode == 0, started.stderr
        eventually("test -e /root/started", node)
        node.kill_connections()
        assert node.run(["systemctl", "is-active", "job"]).stdout == "active\n"
        waited = ssh(node, tmp_path, "sudo -n systemd-run --wait --pipe --quiet sh -c 'echo out; exit 3'")
        assert (waited.stdout, waited.returncode) == ("out\n", 3)


def test_systemd_nodes_have_no_failed_unit(fleet: Fleet) -> None:
    for node in fleet.nodes[2:]:
        node.reboot()
        node.run(["systemctl", "is-system-running", "--wait"], check=False)
        assert node.run(["systemctl", "--failed", "--no-legend", "--plain"]).stdout == ""


def test_a_full_disk_is_really_full(start_nodes: StartNodes, tmp_path: Path) -> None:
    (node,) = start_nodes(disk_mb=8).nodes
    node.fill_disk()
    refused = ssh(node, tmp_path, "echo text | sudo -n tee /root/file")
    assert "No space left on device" in refused.stderr
    node.free_disk()
    assert ssh(node, tmp_path, "echo text | sudo -n tee /root/file").returncode == 0


def test_packages_come_from_the_repository_that_the_test_built(fleet: Fleet, tmp_path: Path) -> None:
    node, other = fleet.nodes[:2]
    repository = AptRepository(tmp_path / "apt")
    told = {"postinst": "#!/bin/sh\necho configured >>/var/log/configured\n"}
    repository.publish("bookworm", [Package(name="greeting", version="1.0", files={"/etc/greeting": "one\n"})])
    repository.install_into(node.root)
    node.run(["apt-get", "update"])
    node.run(["apt-get", "install", "-y", "greeting"])
    repository.publish(
        "bookworm-security",
        [Package(name="greeting", version="1.0+deb12u1", files={"/etc/greeting": "two\n"}, scripts=told)],
        label="Debian-Security",
    )
    repository.install_into(node.root)
    node.run(["apt-get", "update"])
    policy = node.run(["apt-cache", "policy", "greeting"]).stdout
    assert "Installed: 1.0\n  Candidate: 1.0+deb12u1\n" in policy
    node.run(["apt-get", "upgrade", "-y"])
    assert (node.root / "etc/greeting").read_text(encoding="ascii") == "two\n"
    assert (node.root / "var/log/configured").read_text(encoding="ascii") == "configured\n"
    assert other.run(["dpkg-query", "-W", "greeting"], check=False).returncode == 1


def test_nothing_is_left_behind(tmp_path: Path, require_nodes: None) -> None:
    with start_fleet(tmp_path, specs=[NodeSpec(name="small", disk_mb=4), NodeSpec(name="big", systemd=True)]) as fleet:
        home = str(fleet.directory)
        name = f"reconciler-nodes-{fleet.supervisor_pid}"
        # Groups of other nodes come and go meanwhile, which this passes over.
        cgroups = [Path(top) / name for top, folders, _ in os.walk("/sys/fs/cgroup") if name in folders]
        assert processes_mentioning(home)
        assert not mounts_below(tmp_path)
        (fleet.nodes[0].root / "dev").is_dir()
    assert not processes_mentioning(home)
    assert not any(cgroup.exists() for cgroup in cgroups)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_by_a_test_that_fails(tmp_path: Path, require_nodes: None) -> None:
    homes = []

    def failing() -> None:
        with start_fleet(tmp_path) as fleet:
            homes.append(str(fleet.directory))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert not processes_mentioning(homes[0])
    assert list(tmp_path.iterdir()) == []


def test_nothing_runs_on_when_the_tests_are_killed(tmp_path: Path, require_nodes: None) -> None:
    script = (
        "import pathlib, sys, time\n"
        "from tests.support.nodes import start_fleet\n"
        "with start_fleet(pathlib.Path(sys.argv[1]), count=2, systemd=1) as fleet:\n"
        "    print(fleet.directory, flush=True)\n"
        "    time.sleep(1000)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=here) as tests:
        assert tests.stdout is not None
        home = tests.stdout.readline().strip()
        assert len(processes_mentioning(home)) > 4
        tests.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while processes_mentioning(home):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nothing_runs_on_when_the_supervisor_is_killed(tmp_path: Path, require_nodes: None) -> None:
    with start_fleet(tmp_path, count=2, systemd=1) as fleet:
        home = str(fleet.directory)
        os.kill(fleet.supervisor_pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while processes_mentioning(home):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_twenty_nodes_answer_at_once(start_nodes: StartNodes, tmp_path: Path) -> None:
    fleet = start_nodes(20, systemd=2)
    commands = [ssh_argv(node, tmp_path, "hostname") for node in fleet.nodes]  # all before the first reads known_hosts
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    assert [client.communicate(timeout=60)[0].strip() for client in clients] == [node.name for node in fleet.nodes]
