"""Installs that go wrong on a real node: each ends in a cause of its own, and the next one recovers what can be recovered."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.nodes import Fleet, NodeSpec, TestNode, start_fleet
from tests.support.patching import Manager, audit, forget_packages, have, package, publish, versions
from tests.support.web_server import web_server

pytestmark = pytest.mark.nodes

HOLD = """
use Fcntl; $| = 1;
open(my $file, '>>', '/var/lib/dpkg/lock-frontend') or die;
my $how = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0);
fcntl($file, F_SETLK, $how) or die $!;
print "held\\n"; sleep $ARGV[0];
"""
SLOW = """#!/bin/sh
[ "$1" = configure ] || exit 0
touch /root/begun
if [ -e /root/until-cancelled ]; then
  for n in $(seq 600); do ls /var/lib/reconciler/runs/*/cancel >/dev/null 2>&1 && break; sleep 0.1; done
fi
sleep 3
touch /root/ended
"""
KILLS = '#!/bin/sh\n[ "$1" = configure ] || exit 0\n[ -e /root/killed ] || { touch /root/killed; kill -9 $PPID; }\n'


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    specs = (NodeSpec(name="plain"), NodeSpec(name="small", disk_mb=64))
    with start_fleet(tmp_path_factory.mktemp("fleet"), specs=specs) as started:
        yield started


@pytest.fixture(scope="module")
def manager(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Manager:
    return Manager(fleet.nodes[0], tmp_path_factory.mktemp("outputs"))


@pytest.fixture
def node(manager: Manager) -> Iterator[TestNode]:
    """The node; packages of the last test go."""
    yield manager.server
    manager.server.run(["sh", "-c", "pkill perl; rm -f /root/*"], check=False)
    forget_packages(manager.server)


def impatient(text: bytes) -> bytes:
    assert b"lock_wait='600'\n" in text
    return text.replace(b"lock_wait='600'\n", b"lock_wait=2\n")


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def hold_lock(node: TestNode, seconds: int) -> None:
    (node.root / "root/hold.pl").write_text(HOLD)
    node.run(["sh", "-c", f"rm -f /root/held; perl /root/hold.pl {seconds} >/root/held 2>&1 </dev/null &"])
    held = node.root / "root/held"
    wait_for(lambda: held.exists() and held.read_text() == "held\n")


def release_lock(node: TestNode) -> None:
    node.run(["sh", "-c", "pkill -f [h]old.pl; while pgrep -f [h]old.pl; do sleep 0.1; done"])


def test_a_lock_is_waited_for_and_its_holder_named(manager: Manager, node: TestNode, tmp_path: Path) -> None:
    have(node, tmp_path, [package("hello", "1.0")], package("hello", "1.1"))
    order = manager.order("hello")
    hold_lock(node, 600)
    done = manager.run(order, script=impatient)
    assert (done.status, done.causes, versions(node, "hello")) == (
        "Failed",
        {"hello.all": "lock-held"},
        {"hello": "1.0"},
    )
    assert "perl (pid" in done.report.failed[next(iter(done.report.failed))].words
    release_lock(node)
    hold_lock(node, 600)
    runs = node.root / "var/lib/reconciler/runs"
    earlier = set(runs.iterdir())

    def it_waits() -> bool:
        outputs = [path for run in set(runs.iterdir()) - earlier for path in run.glob("steps/*/out")]
        return any("waiting: perl (pid" in path.read_text() for path in outputs)

    with ThreadPoolExecutor(max_workers=1) as thread:
        under_way = thread.submit(manager.run, order)
        wait_for(it_waits)
        release_lock(node)
        done = under_way.result()
    assert (done.status, done.installed) == ("Success", {"hello.all": "1.1"}), done
    assert "waiting: perl (pid" in done.stdout


def test_a_killed_dpkg_is_told_and_finished_by_the_next_install(
    manager: Manager, node: TestNode, tmp_path: Path
) -> None:
    have(node, tmp_path, [package("hello", "1.0")], package("hello", "1.1", postinst=KILLS))
    order = manager.order("hello")
    done = manager.run(order)
    assert (done.status, done.causes) == ("Failed", {"hello.all": "dpkg-killed"}), done
    assert versions(node, "hello") == {}
    assert audit(node) != ""
    done = manager.run(order)
    assert (done.status, dict(done.report.already)) == ("Success", {"hello.all": "1.1"}), done
    assert (versions(node, "hello"), audit(node)) == ({"hello": "1.1"}, "")


def test_what_somebody_else_left_unfinished_is_repaired_only_where_asked(
    manager: Manager, node: TestNode, tmp_path: Path
) -> None:
    have(node, tmp_path, [package("hello", "1.0"), package("broken", "1.0")], package("hello", "1.1"))
    publish(node, tmp_path, [package("hello", "1.1"), package("broken", "1.1", postinst=KILLS)])
    node.run(["apt-get", "-qy", "install", "broken"], check=False)
    order = manager.order("hello")
    done = manager.run(order)
    assert (done.causes, versions(node, "hello")) == ({"hello.all": "dpkg-interrupted"}, {"hello": "1.0"}), done
    done = manager.run(order, repair=True)
    assert (done.status, done.installed, audit(node)) == ("Success", {"hello.all": "1.1"}, ""), done


def test_a_bad_maintainer_script_fails_its_own_package_and_no_other(
    manager: Manager, node: TestNode, tmp_path: Path
) -> None:
    bad = '#!/bin/sh\n[ "$1" != upgrade ] || { echo no way; exit 7; }\n'
    unready = "#!/bin/sh\n[ -e /root/ready ] || { echo not ready; exit 9; }\n"
    have(
        node,
        tmp_path,
        [package("hello", "1.0"), package("bad", "1.0"), package("unready", "1.0")],
        package("hello", "1.1"),
        package("bad", "1.1", preinst=bad),
        package("unready", "1.1", postinst=unready),
    )
    order = manager.order("hello", "bad", "unready")
    done = manager.run(order)
    assert (done.status, done.exit_code) == ("Failed", 1), done
    assert done.causes == {"bad.all": "maintainer-script", "unready.all": "maintainer-script"}, done
    assert versions(node, "hello", "bad") == {"hello": "1.1", "bad": "1.0"}
    (node.root / "root/ready").touch()
    done = manager.run(order)
    assert (dict(done.report.already), set(done.causes)) == ({"hello.all": "1.1", "unready.all": "1.1"}, {"bad.all"}), (
        done
    )
    assert audit(node) == ""


def test_a_disk_without_room_is_told_before_anything_begins(fleet: Fleet, tmp_path: Path) -> None:
    small = fleet.nodes[1]
    manager = Manager(small, tmp_path / "outputs")
    have(small, tmp_path, [package("hello", "1.0")], package("hello", "1.1"))
    order = manager.order("hello")
    free = int(small.run(["sh", "-c", "df -Pk / | tail -n 1"]).stdout.split()[3])
    small.run(["dd", "if=/dev/zero", "of=/var/filler", "bs=1024", f"count={free - 6000}"])
    done = manager.run(order)
    assert (done.causes, versions(small, "hello"), audit(small)) == (
        {"hello.all": "disk-full"},
        {"hello": "1.0"},
        "",
    ), done
    small.free_disk()
    assert manager.run(order).status == "Success"


def test_a_mirror_that_goes_away_is_told_and_nothing_has_begun(
    manager: Manager, node: TestNode, tmp_path: Path
) -> None:
    packages = [package(name, version) for name in ("hello", "other") for version in ("1.0", "1.1")]
    have(node, tmp_path, [one for one in packages if one.version == "1.0"])
    repository = publish(node, tmp_path, packages)
    with web_server() as server:
        server.files.update(
            {
                f"/{path.relative_to(repository.directory)}": path.read_bytes()
                for path in repository.directory.rglob("*")
                if path.is_file()
            }
        )
        line = f"deb [trusted=yes] {server.url} bookworm-security main\n"
        (node.root / "etc/apt/sources.list").write_text(line)
        node.run(["apt-get", "-q", "update"])
        order = manager.order("hello", "other")
        kept = {path: server.files.pop(path) for path in list(server.files) if "other_1.1" in path}
        done = manager.run(order)
        assert (done.status, set(done.causes.values())) == ("Failed", {"download"}), done
        assert versions(node, "hello", "other") == {"hello": "1.0", "other": "1.0"}
        server.files.update(kept)
        other = next(path for path in kept)
        server.files[other] = server.files[other][:-1] + b"!"
        assert set(manager.run(order).causes.values()) == {"download"}
        server.files.update(kept)
        assert manager.run(order).status == "Success"
    assert versions(node, "hello", "other") == {"hello": "1.1", "other": "1.1"}


def test_the_same_version_with_other_content_is_not_installed(manager: Manager, node: TestNode, tmp_path: Path) -> None:
    have(
        node,
        tmp_path,
        [package("hello", "1.0"), package("other", "1.0")],
        package("hello", "1.1"),
        package("other", "1.1"),
    )
    order = manager.order("hello", "other")
    changed = [package("hello", "1.1", files={"/srv/evil": "evil\n"}), package("other", "1.1")]
    publish(node, tmp_path / "again", changed)
    done = manager.run(order)
    assert (done.causes, done.installed) == ({"hello.all": "checksum"}, {"other.all": "1.1"}), done
    assert versions(node, "hello", "other") == {"hello": "1.0", "other": "1.1"}


def test_a_scheduled_shutdown_lets_nothing_begin(manager: Manager, node: TestNode, tmp_path: Path) -> None:
    have(node, tmp_path, [package("hello", "1.0")], package("hello", "1.1"))
    order = manager.order("hello")
    node.run(["sh", "-c", "mkdir -p /run/systemd/shutdown && touch /run/systemd/shutdown/scheduled"])
    done = manager.run(order)
    node.run(["rm", "-r", "/run/systemd/shutdown"])
    assert (done.causes, versions(node, "hello")) == ({"hello.all": "shutdown-pending"}, {"hello": "1.0"}), done


def test_a_cut_connection_and_a_cancel_end_no_transaction(manager: Manager, node: TestNode, tmp_path: Path) -> None:
    have(node, tmp_path, [package("hello", "1.0")], package("hello", "1.1", postinst=SLOW), package("hello", "1.2"))
    order = manager.order("hello-1.1")
    begun, ended = node.root / "root/begun", node.root / "root/ended"

    def cut() -> None:
        wait_for(begun.exists)
        node.kill_connections()

    cutter = threading.Thread(target=cut)
    cutter.start()
    done = manager.run(order)
    cutter.join()
    assert (done.status, done.installed, ended.exists()) == ("Success", {"hello.all": "1.1"}, True), done
    node.run(
        [
            "sh",
            "-c",
            "rm /root/begun /root/ended; touch /root/until-cancelled; apt-get -qy --allow-downgrades install hello=1.0",
        ]
    )
    done = manager.run(order, cancelled=begun.exists)
    assert (done.status, ended.exists()) == ("Cancelled", True), done
    assert (versions(node, "hello"), audit(node)) == ({"hello": "1.1"}, "")
