"""Installs of approved versions with dnf and with zypper: the same rules as with apt, on the real programs."""

from collections.abc import Iterator, Sequence

import pytest

from reconciler.model.baseline import OperatingSystem
from reconciler.model.patch_order import PatchOrder
from tests.support.nodes import start_fleet
from tests.support.patching import Manager
from tests.support.rpm_repository import (
    LEAP,
    ROCKY,
    Advisory,
    Rpm,
    RpmPackages,
    become_rpm_node,
    configure_dnf,
    configure_zypper,
    rpm_node,
)

pytestmark = pytest.mark.nodes

SHELL = Rpm(name="shell", version="1.0-1.el9", fields=["Provides: /bin/sh"])


def rpm(name: str, version: str, *fields: str, **scripts: str) -> Rpm:
    return Rpm(name=name, version=f"{version}-1.el9", fields=fields, scripts=scripts)


NAMES = ("alone", "bad", "hello", "liba", "other", "pusher", "replacer", "victim", "wants")
OLD = [SHELL, *(rpm(name, "1.0") for name in NAMES)]
NEW = [
    rpm("alone", "1.1"),
    rpm("alone", "1.2"),
    rpm("bad", "1.1", pre="exit 3"),
    rpm("hello", "1.1", "Requires: liba >= 1.1"),
    rpm("liba", "1.1"),
    rpm("liba", "1.2"),
    rpm("other", "1.1", "Requires: liba >= 1.2"),
    rpm("pusher", "1.1", "Conflicts: victim"),
    rpm("replacer", "1.1", "Obsoletes: victim"),
    rpm("wants", "1.1", "Requires: fresh"),
    rpm("fresh", "1.0"),
]


class Distribution:
    """One node, and its repository."""

    def __init__(self, manager: Manager, kind: str, packages: RpmPackages) -> None:
        self.manager, self.node, self.kind, self.packages = manager, manager.server, kind, packages
        self.system = OperatingSystem.ROCKY_LINUX if kind == "dnf" else OperatingSystem.SUSE

    def publish(self, packages: Sequence[Rpm]) -> None:
        everything = Advisory(id="RHSA-2026:0001", packages=packages)
        self.packages.publish("baseos", packages, notices=[everything])
        refresh = "dnf -q makecache --refresh" if self.kind == "dnf" else "zypper -n --no-gpg-checks refresh -f"
        self.node.run(["sh", "-c", f"cd /; {refresh}"])

    def versions(self, *names: str) -> dict[str, str]:
        listed = self.node.run(["rpm", "-q", "--qf", "%{NAME} %{VERSION}\n", *names], check=False).stdout
        return dict(line.split() for line in listed.splitlines() if "not installed" not in line)

    def order(self, *approved: str) -> PatchOrder | None:
        return self.manager.order(*approved, system=self.system)


@pytest.fixture(scope="module", params=["dnf", "zypper"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, require_nodes: None
) -> Iterator[Distribution]:
    folder = tmp_path_factory.mktemp(request.param)
    with start_fleet(folder / "fleet", specs=[rpm_node("rpm")]) as fleet:
        node = fleet.nodes[0]
        become_rpm_node(node, ROCKY if request.param == "dnf" else LEAP)
        distribution = Distribution(Manager(node, folder / "outputs"), request.param, RpmPackages(node))
        distribution.packages.publish("baseos", OLD)
        (configure_dnf if request.param == "dnf" else configure_zypper)(node, ["baseos"])
        yield distribution


@pytest.fixture
def distribution(made: Distribution) -> Distribution:
    """The node with every package at its old version, and the new ones on offer."""
    made.publish(OLD)
    files = " ".join(f"/srv/rpm/pool/{one.file_name}" for one in OLD)
    options = "--nodeps --noscripts --oldpackage --replacepkgs --force"
    made.node.run(["sh", "-c", f"cd /; rpm -U {options} {files} && rm -rf /var/lib/reconciler/patching"])
    assert made.versions(*NAMES) == dict.fromkeys(NAMES, "1.0")
    made.publish([*OLD, *NEW])
    return made


def test_exactly_the_approved_versions_come_and_their_dependencies_too(distribution: Distribution) -> None:
    done = distribution.manager.run(distribution.order("alone-1.1", "hello", "liba-1.1*"))
    assert done.status == "Success", done
    assert done.installed == {"alone.noarch": "1.1-1.el9", "hello.noarch": "1.1-1.el9", "liba.noarch": "1.1-1.el9"}
    assert distribution.versions("alone", "hello", "liba", "other") == {
        "alone": "1.1",
        "hello": "1.1",
        "liba": "1.1",
        "other": "1.0",
    }


def test_what_needs_more_is_left_out_by_name_and_the_others_go_on(distribution: Distribution) -> None:
    order = distribution.order("alone", "bad", "hello", "liba-1.1*", "other", "pusher", "replacer", "wants")
    done = distribution.manager.run(order)
    words = {str(row).partition(".")[0]: problem for row, problem in done.report.failed.items()}
    assert {row: problem.cause for row, problem in words.items()} == {
        "bad": "maintainer-script",
        "other": "dependency",
        "pusher": "dependency",
        "replacer": "dependency",
        "wants": "dependency",
    }, done
    assert "liba" in words["other"].words
    assert "victim" in words["pusher"].words
    assert "victim" in words["replacer"].words
    assert "fresh" in words["wants"].words
    assert distribution.versions(*NAMES, "fresh") == {
        **dict.fromkeys(("bad", "other", "pusher", "replacer", "victim", "wants"), "1.0"),
        **dict.fromkeys(("hello", "liba"), "1.1"),
        "alone": "1.2",
    }


def test_the_same_version_with_other_content_is_not_installed(distribution: Distribution) -> None:
    order = distribution.order("alone-1.1*")
    assert order is not None
    pool = distribution.node.root / "srv/rpm/pool"
    (pool / "alone-1.1-1.el9.noarch.rpm").unlink()
    distribution.packages._built.discard("alone-1.1-1.el9.noarch.rpm")
    changed = Rpm(name="alone", version="1.1-1.el9", files={"/usr/share/evil": "evil\n"})
    distribution.publish([*OLD, changed])
    done = distribution.manager.run(order)
    assert (set(done.causes.values()), distribution.versions("alone")) == ({"checksum"}, {"alone": "1.0"}), done
    (pool / "alone-1.1-1.el9.noarch.rpm").unlink()
    distribution.packages._built.discard("alone-1.1-1.el9.noarch.rpm")


def test_a_lock_is_waited_for_and_its_holder_named(distribution: Distribution) -> None:
    order = distribution.order("alone")
    hold = (
        "use Fcntl; $| = 1; open(my $file, '+>>', '/var/lib/rpm/.rpm.lock') or die;"
        "my $how = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0); fcntl($file, F_SETLK, $how) or die; print qq(held\\n); sleep 600;"
    )
    (distribution.node.root / "root/hold.pl").write_text(hold)
    distribution.node.run(["sh", "-c", "perl /root/hold.pl >/root/held 2>&1 </dev/null & sleep 1; cat /root/held"])
    try:
        done = distribution.manager.run(order, script=lambda text: text.replace(b"lock_wait='600'", b"lock_wait=1"))
    finally:
        distribution.node.run(["sh", "-c", "pkill perl"], check=False)
    assert set(done.causes.values()) == {"lock-held"}, done
    assert "perl (pid" in next(iter(done.report.failed.values())).words
