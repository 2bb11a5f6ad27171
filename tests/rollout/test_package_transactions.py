"""A package transaction that has begun is let finish, whoever wants its step to end: a cancel, or its own time-out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from reconciler.model.history import RunStatus
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.sight import Sight, Standing
from tests.rollout.a_node import a_step, an_order
from tests.rollout.test_runs_on_real_nodes import Manager
from tests.support.nodes import Fleet, NodeSpec, TestNode, start_fleet
from tests.support.rpm_repository import rpm_node
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nodes]

SCRIPTLET = ": >/var/log/configuring\nuntil [ -e /var/log/go ]; do sleep 0.1; done\n: >/var/log/configured\n"
DEB = rf"""
set -e
mkdir -p /tmp/slow/DEBIAN
printf 'Package: slow-one\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.org>\nDescription: slow\n' >/tmp/slow/DEBIAN/control
cat >/tmp/slow/DEBIAN/postinst <<'END'
#!/bin/sh
{SCRIPTLET}
END
chmod 755 /tmp/slow/DEBIAN/postinst
dpkg-deb --build /tmp/slow /tmp/slow.deb
"""
RPM = rf"""
set -e
mkdir -p /tmp/slow /var/lib/rpm
cat >/tmp/slow/slow.spec <<'END'
Name: slow-one
Version: 1
Release: 1
Summary: slow
License: none
BuildArch: noarch
%description
slow
%post
{SCRIPTLET}
%files
END
rpmbuild -bb --define '_topdir /tmp/slow' /tmp/slow/slow.spec
mv /tmp/slow/RPMS/noarch/slow-one-1-1.noarch.rpm /tmp/slow.rpm
# Not by its name: what holds rpm's lock is a transaction, whatever it is called.
cp /usr/bin/rpm /tmp/installer
"""
# Time-outs of five seconds are counted from the transaction's beginning, however long it took to get there.
SLEEP = """#!/bin/sh
[ "$1" != 5 ] || until [ -e /var/log/configuring ]; do /bin/sleep 0.1; done
exec /bin/sleep "$@"
"""
PERL = r"""#!/bin/sh
exec /usr/bin/perl "$@" 7<<X
$(sed 's|now() + $seconds|do { select(undef, undef, undef, 0.1) until -e "/var/log/configuring"; now() + $seconds }|' <&7)
X
"""
INSTALL_RPM = "/tmp/installer --install --nodeps --force-debian --dbpath /var/lib/rpm /tmp/slow.rpm"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    specs = (NodeSpec(name="deb"), rpm_node("rpm"))
    with start_fleet(tmp_path_factory.mktemp("nodes"), specs=specs) as started:
        started.nodes[0].run(["sh", "-c", DEB])
        started.nodes[1].run(["sh", "-c", RPM])
        for node in started.nodes:
            for name, text in (("sleep", SLEEP), ("perl", PERL)):
                (node.root / "usr/local/sbin" / name).write_text(text)
                (node.root / "usr/local/sbin" / name).chmod(0o755)
        yield started


def why(node: TestNode) -> str:
    return "".join(path.read_text() for path in (node.root / "var/lib/reconciler/runs").glob("*/why"))


@pytest.mark.parametrize(
    ("name", "install", "worker"),
    [
        pytest.param("deb", "dpkg --install /tmp/slow.deb", "dpkg", id="dpkg"),
        pytest.param("rpm", INSTALL_RPM, "installer", id="whoever holds rpm's lock"),
    ],
)
def test_a_time_out_waits_for_a_package_transaction(fleet: Fleet, name: str, install: str, worker: str) -> None:
    node = next(node for node in fleet.nodes if node.name == name)
    node.run(["sh", "-c", "rm -f /var/log/go /var/log/configuring /var/log/configured /var/log/after"])
    with ThreadPoolExecutor(max_workers=1) as thread:
        under_way = thread.submit(
            Manager(node).roll_out, f"{install}\nsleep 300\necho after >/var/log/after\n", timeout=5
        )
        wait_until((node.root / "var/log/configuring").exists, "the package is being configured")
        wait_until(lambda: f"timed out, waiting for {worker} (pid " in why(node), "its time is over")
        (node.root / "var/log/go").touch()
        record = under_way.result().record
    assert record is not None
    assert record.status is RunStatus.TIMED_OUT
    assert (record.steps[0].status, record.steps[0].exit_code) == ("TimedOut", 137)
    assert f"timed out after 5 s, and ended once {worker} (pid ".encode() in record.steps[0].stderr
    assert (node.root / "var/log/configured").exists()
    assert not (node.root / "var/log/after").exists()


def test_a_cancel_waits_for_whoever_holds_rpms_lock(fleet: Fleet) -> None:
    node, runs = fleet.nodes[1], NodeRuns(OutputKeeper(None))
    node.run(["sh", "-c", "rm -f /var/log/go /var/log/configuring /var/log/configured /var/log/after"])
    order = an_order(a_step(f"{INSTALL_RPM} --replacepkgs\nsleep 300\necho after >/var/log/after\n"), n=2)
    manager = Manager(node)
    with manager.pool() as pool, pool.connect(manager.node) as session:
        runs.start(session, order, become=True, wait=0, on_claimed=lambda: None)
        wait_until((node.root / "var/log/configuring").exists, "the package is being installed")
        sight = runs.cancel(session, order.run, become=True)
        assert sight.standing is Standing.GOING
        assert sight.why.startswith("cancelling, waiting for installer (pid ")
        (node.root / "var/log/go").touch()

        def ended() -> Sight:
            return runs.look(session, order.run, become=True, wait=1)

        wait_until(lambda: ended().standing is Standing.ENDED, "the step is ended behind it")
        assert ended().status == "Cancelled"
    assert (node.root / "var/log/configured").exists()
    assert not (node.root / "var/log/after").exists()
