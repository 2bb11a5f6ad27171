"""Installs on real nodes with dnf and with zypper: exactly the approved versions, simulated first, and a true word in the end.

What is judged there before and after them: rows, rules and lists, on what the nodes themselves tell.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.model.baseline import (
    FilterKey,
    OperatingSystem,
    PatchEntry,
    PatchFilter,
    PatchRule,
    RejectedPatchesAction,
    ReleaseDates,
    UnapprovedDependencies,
)
from reconciler.model.patch_order import RebootOption
from reconciler.model.patch_request import Operation, PatchRequest
from reconciler.patching.from_facts import NodeMemory
from reconciler.patching.node_compliance import ComplianceStatus, summarize
from reconciler.patching.node_patches import InstallRun, NodePatches
from reconciler.patching.orders import order_of
from reconciler.patching.states import Judge, PatchState, judge_rows, not_applicable
from tests.support.nodes import Fleet, TestNode
from tests.support.patching import Manager, Patched
from tests.support.rpm_repository import (
    Advisory,
    Rpm,
    RpmPackages,
    rpm_fleet,
)

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

HELLO = [Rpm(name="hello", version=f"1.{n}-1") for n in range(4)]
GREET = [Rpm(name="libgreet", version="2:2.0-1", arch="x86_64"), Rpm(name="libgreet", version="2:2.1-1", arch="x86_64")]
NEEDY = [Rpm(name="needy", version="1-1"), Rpm(name="needy", version="2-1", fields=["Requires: newcomer >= 1"])]
NEWCOMER = Rpm(name="newcomer", version="1-1")
TIED = [Rpm(name="tied", version="1-1"), Rpm(name="tied", version="2-1", fields=["Requires: hello >= 1.3"])]
GREEDY = [Rpm(name="greedy", version="1-1"), Rpm(name="greedy", version="2-1", fields=["Conflicts: victim"])]
VICTIM = Rpm(name="victim", version="1-1")
BAD = [Rpm(name="bad", version="1-1"), Rpm(name="bad", version="2-1", scripts={"pre": "echo no way; exit 7"})]
KILLED = [
    Rpm(name="killed", version="1-1"),
    Rpm(
        name="killed", version="2-1", scripts={"post": "[ -e /root/spared ] || { touch /root/spared; kill -9 $PPID; }"}
    ),
]
KERNEL = [
    Rpm(
        name="kernel-default",
        version=f"5.14-{n}",
        arch="x86_64",
        fields=["Provides: installonlypkg(kernel)", "Provides: multiversion(kernel)"],
    )
    for n in (1, 2, 3, 4)
]
REPLACER = [Rpm(name="replacer", version="1-1"), Rpm(name="replacer", version="2-1", fields=["Obsoletes: victim"])]
LIB = [Rpm(name="liba", version=f"1.{n}-1") for n in range(3)]
USER = [Rpm(name="user", version="1-1"), Rpm(name="user", version="2-1", fields=["Requires: liba >= 1.1"])]
SHELL = Rpm(name="shell", version="1-1", fields=["Provides: /bin/sh"])
OLD = [
    SHELL,
    REPLACER[0],
    LIB[0],
    USER[0],
    HELLO[0],
    GREET[0],
    NEEDY[0],
    TIED[0],
    GREEDY[0],
    VICTIM,
    BAD[0],
    KILLED[0],
    *KERNEL[:3],
]
NEW = [
    *LIB[1:],
    USER[1],
    REPLACER[1],
    *HELLO[1:],
    GREET[1],
    NEEDY[1],
    NEWCOMER,
    TIED[1],
    GREEDY[1],
    BAD[1],
    KILLED[1],
    KERNEL[3],
]
NOTICES = [
    Advisory(id="RHSA-2026:0001", packages=[HELLO[2], LIB[1]], cves=["CVE-2026-10001"], bugzillas=["2100001"]),
    Advisory(id="RHBA-2026:0002", packages=[HELLO[3]], type="bugfix", severity="Low"),
    Advisory(
        id="RHSA-2026:0003",
        packages=[one for one in NEW if one.name not in ("hello", "liba", "newcomer")],
        type="other",
    ),
    Advisory(id="RHSA-2026:0004", packages=[GREET[0]], type="other"),
]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with rpm_fleet(tmp_path_factory.mktemp("fleet")) as started:
        rocky, leap = started.nodes
        packages = RpmPackages(rocky)
        packages.publish("updates", [*OLD, *NEW], notices=NOTICES)
        packages.copy_to(leap)
        for node, refresh in ((rocky, "dnf -q makecache"), (leap, "zypper -n --no-gpg-checks refresh")):
            # zypper asks dpkg's wrapper of rpm for leave on such a node.
            node.run(["sh", "-ec", refresh])
        yield started


@pytest.fixture(scope="module")
def managers(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Manager]:
    outputs = tmp_path_factory.mktemp("outputs")
    rocky, leap = fleet.nodes
    return {
        "dnf": Manager(rocky, outputs / "rocky", OperatingSystem.ROCKY_LINUX, "RockyLinux9.4"),
        "zypper": Manager(leap, outputs / "leap", OperatingSystem.SUSE, "Suse15.6"),
    }


@pytest.fixture(scope="module")
def looks(managers: Mapping[str, Manager]) -> Mapping[str, NodePatches]:
    """What each node tells, read once."""
    for one in managers.values():
        put_back(one.server)
    return {kind: one.look()[0] for kind, one in managers.items()}


@pytest.fixture(params=["dnf", "zypper"])
def manager(request: pytest.FixtureRequest, managers: Mapping[str, Manager]) -> Iterator[Manager]:
    """A node that has the old versions, and nothing else of ours."""
    chosen = managers[request.param]
    put_back(chosen.server)
    yield chosen
    chosen.server.run(
        ["sh", "-c", "rm -rf /root/* /var/lib/reconciler/patching /etc/dnf/plugins/versionlock.list /etc/zypp/locks"]
    )


def put_back(node: TestNode) -> None:
    files = " ".join(f"/srv/rpm/updates/{one.file_name}" for one in OLD)
    all_of_ours = "shell replacer liba user hello libgreet needy newcomer tied greedy victim bad killed kernel-default"
    script = f"rpm -qa --qf '%{{NAME}}-%{{VERSION}}-%{{RELEASE}}\\n' {all_of_ours} | xargs -r rpm -e --nodeps --noscripts --force-debian; rpm -i --force-debian --nodeps {files}"
    node.run(["sh", "-c", script])


def versions(node: TestNode, *names: str) -> Mapping[str, Sequence[str]]:
    listed = node.run(["rpm", "-qa", "--qf", "%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"]).stdout.split("\n")
    found: dict[str, list[str]] = {}
    for name, version in (line.split() for line in listed if line):
        if name in names:
            found.setdefault(name, []).append(version.removeprefix("0:"))
    return {name: sorted(some) for name, some in found.items()}


def words(done: Patched, row: str) -> str:
    return next(problem.words for name, problem in done.report.failed.items() if name == row)


def test_exactly_the_approved_versions_come(manager: Manager) -> None:
    order = manager.order("hello-1.2-1", "libgreet", "kernel-default", "user", "liba-1.1-1")
    assert order is not None
    wanted = {pin.id: pin.version for pin in order.pins}
    assert wanted == {
        "hello.noarch": "1.2-1",
        "kernel-default.x86_64": "5.14-4",
        "liba.noarch": "1.1-1",
        "libgreet.x86_64": "2:2.1-1",
        "user.noarch": "2-1",
    }
    done = manager.run(order)
    assert (done.status, done.installed) == ("Success", wanted), done
    assert versions(manager.server, "hello", "kernel-default", "liba", "libgreet", "needy", "user") == {
        "hello": ["1.2-1"],
        "kernel-default": ["5.14-1", "5.14-2", "5.14-3", "5.14-4"],
        "liba": ["1.1-1"],
        "libgreet": ["2:2.1-1"],
        "needy": ["1-1"],
        "user": ["2-1"],
    }
    again = manager.run(order)
    assert (again.status, dict(again.report.already)) == ("Success", wanted)


def test_each_that_cannot_be_had_fails_alone_and_by_its_own_cause(manager: Manager) -> None:
    given: dict[str, Any] = {
        "rejected": (PatchEntry(pattern="victim"),),
        "rejected_action": RejectedPatchesAction.BLOCK,
        "approved_non_security": True,
    }
    names = ("libgreet", "hello-1.2-1", "liba-1.1-1", "bad", "needy", "tied", "greedy", "replacer")

    def states(*approved: str, run: InstallRun | None = None, memory: NodeMemory | None = None) -> Mapping[str, str]:
        patches, judge = manager.look(*approved, memory=memory, **given)
        return {row.title: row.state.value for row in judge_rows(patches, judge, run)}

    patches, judge = manager.look(*names, **given)
    before = {row.title: row.state.value for row in judge_rows(patches, judge)}
    assert before["libgreet.x86_64:2:2.1-1"] == before["bad.noarch:0:2-1"] == "MISSING"
    assert before["killed.noarch:0:1-1"] == "INSTALLED_OTHER"
    assert before["victim.noarch:0:1-1"] == "INSTALLED_REJECTED"
    summary = summarize(judge_rows(patches, judge), not_applicable=not_applicable(patches, judge))
    assert (summary.status, summary.counts[PatchState.MISSING]) == (ComplianceStatus.NON_COMPLIANT, 8)

    order = order_of(PatchRequest(operation=Operation.INSTALL, reboot=RebootOption.NO_REBOOT), patches, judge)
    assert order is not None
    lock = "mkdir -p /etc/dnf/plugins; echo 'hello-0:1.0-1.*' >/etc/dnf/plugins/versionlock.list"
    if manager.server.name == "leap":
        lock = "zypper --non-interactive addlock hello"
    manager.server.run(["sh", "-c", lock])
    other = next(pin for pin in order.pins if pin.name == "liba").checksum.encode()
    done = manager.run(order, script=lambda text: text.replace(other, b"sha256:" + b"0" * 64))
    assert (done.status, done.installed) == ("Failed", {"libgreet.x86_64": "2:2.1-1"}), done
    assert done.causes == {
        "bad.noarch": "maintainer-script",
        "greedy.noarch": "dependency",
        "hello.noarch": "held",
        "liba.noarch": "checksum",
        "needy.noarch": "dependency",
        "replacer.noarch": "dependency",
        "tied.noarch": "dependency",
    }
    assert "newcomer" in words(done, "needy.noarch")
    assert "not approved" in words(done, "needy.noarch")
    assert "victim" in words(done, "replacer.noarch")
    assert versions(manager.server, *(one.name for one in OLD), "newcomer") == {
        **versions(manager.server, *(one.name for one in OLD)),
        **{one.name: [one.version] for one in OLD if one.name not in ("libgreet", "kernel-default")},
    }

    memory = NodeMemory(installed_without_reboot={"libgreet.x86_64:2:2.1-1": datetime.now(UTC)})
    after = states(*names, run=done.report.as_run({pin.id: pin.version for pin in order.pins}), memory=memory)
    assert after["libgreet.x86_64:2:2.1-1"] == "INSTALLED_PENDING_REBOOT"
    assert after["bad.noarch:0:2-1"] == after["needy.noarch:0:2-1"] == "FAILED"
    assert states(*names)["libgreet.x86_64:2:2.1-1"] == "INSTALLED"


def test_dependencies_come_where_they_are_allowed_and_never_where_they_are_rejected(manager: Manager) -> None:
    allow = UnapprovedDependencies.ALLOW
    rejected = {"rejected": (PatchEntry(pattern="newcomer"),), "rejected_action": RejectedPatchesAction.BLOCK}
    order = manager.order("needy", unapproved_dependencies=allow, **rejected)
    assert order is not None
    assert order.blocked == ("newcomer",)
    done = manager.run(order)
    assert done.causes == {"needy.noarch": "dependency"}, done
    assert "newcomer" in words(done, "needy.noarch")
    done = manager.run(manager.order("needy", unapproved_dependencies=allow))
    assert (done.status, done.installed) == ("Success", {"needy.noarch": "2-1"}), done
    assert versions(manager.server, "newcomer") == {"newcomer": ["1-1"]}


def test_a_repository_that_is_gone_fails_the_download_and_nothing_begins(manager: Manager) -> None:
    order = manager.order("hello-1.2-1")
    manager.server.run(["sh", "-c", "mv /srv/rpm/updates/hello-1.2-1.noarch.rpm /srv; rm -rf /var/cache/zypp/packages"])
    try:
        done = manager.run(order)
    finally:
        manager.server.run(["mv", "/srv/hello-1.2-1.noarch.rpm", "/srv/rpm/updates"])
    assert done.causes == {"hello.noarch": "download"}, done
    assert versions(manager.server, "hello") == {"hello": ["1.0-1"]}


def test_a_lock_is_waited_for_and_its_holder_named(manager: Manager) -> None:
    order = manager.order("hello-1.2-1")
    path = "/run/zypp.pid" if manager.server.name == "leap" else "/var/lib/dnf/rpmdb_lock.pid"
    begin = f"cp /bin/sleep /root/yum; /root/yum 600 >/dev/null 2>&1 & echo $! | tee {path}"
    is_it = "until [ $(readlink /proc/$!/exe) = /root/yum ]; do sleep 0.1; done"
    pid = manager.server.run(["sh", "-c", f"{begin}; {is_it}"]).stdout.strip()
    done = manager.run(order, script=lambda text: text.replace(b"lock_wait='600'\n", b"lock_wait=1\n"))
    manager.server.run(["sh", "-c", f"kill {pid}; rm -f {path}"])
    assert done.causes == {"hello.noarch": "lock-held"}, done
    assert f"yum (pid {pid}) holds {path}" in words(done, "hello.noarch")


def test_a_killed_transaction_is_told_and_finished_by_the_next_install(manager: Manager) -> None:
    order = manager.order("killed")
    done = manager.run(order)
    assert done.status == "Failed", done
    assert set(done.causes.values()) <= {"rpm-killed", "rpm", "transaction", "maintainer-script"}, done
    done = manager.run(order)
    assert done.status == "Success", done
    assert versions(manager.server, "killed") == {"killed": ["2-1"]}


def rule(filters: Mapping[str, str], product: str, *, non_security: bool) -> PatchRule:
    texts = {key: text.replace("NODE", product) for key, text in filters.items()}
    made = tuple(PatchFilter(key=FilterKey[key], values=tuple(text.split())) for key, text in texts.items())
    return PatchRule(number=1, filters=made, approve_after_days=0, non_security=non_security)


@pytest.mark.parametrize(
    ("filters", "non_security", "missing"),
    [
        ({"CLASSIFICATION": "Security", "SEVERITY": "Critical Important"}, False, {"hello": "1.2-1", "liba": "1.1-1"}),
        ({"CLASSIFICATION": "Security", "SEVERITY": "Critical"}, False, {}),
        ({"CLASSIFICATION": "Bugfix Recommended"}, False, {"hello": "1.3-1"}),
        ({"SEVERITY": "*"}, False, {"hello": "1.3-1", "liba": "1.1-1"}),
        ({"PRODUCT": "NODE"}, False, {"hello": "1.3-1", "liba": "1.1-1"}),
        ({"PRODUCT": "AmazonLinux2023"}, False, {}),
        ({"PRODUCT": "*"}, True, {"hello": "1.3-1", "liba": "1.2-1"}),
        ({"CLASSIFICATION": "Security"}, True, {"hello": "1.2-1", "liba": "1.1-1"}),
    ],
)
def test_rules_see_what_the_notices_say(
    managers: Mapping[str, Manager],
    looks: Mapping[str, NodePatches],
    filters: Mapping[str, str],
    *,
    non_security: bool,
    missing: Mapping[str, str],
) -> None:
    for kind, manager in managers.items():
        one = rule(filters, manager.product.partition(".")[0], non_security=non_security)
        # What no notice names has the build time for a date.
        judge = Judge(manager.grounds(rules=(one,), release_dates=ReleaseDates.BUILD_TIME))
        rows = judge_rows(looks[kind], judge)
        found = {row.installed.name: row.target.version for row in rows if row.target is not None}
        wanted = dict(missing)
        if kind == "zypper" and non_security and "PRODUCT" in filters:
            wanted["liba"] = "1.1-1"  # SUSE: what no patch names is never approved
        assert {name: version for name, version in found.items() if name in ("hello", "liba")} == wanted, kind


@pytest.mark.parametrize(
    "entry",
    [
        "RHSA-2026:0001", "CVE-2026-10001", "2100001", "hello-1.2-1", "hello-1.2-1.noarch", "hello-0:1.2-1.noarch",
        "hello.noarch:0:1.2-1", "hello-1.2-1.noarch.rpm", "HELLO-1.2*", "version:1.2*",
    ],
)  # fmt: skip
def test_lists_name_packages_in_every_way(
    managers: Mapping[str, Manager], looks: Mapping[str, NodePatches], entry: str
) -> None:
    for kind, manager in managers.items():
        grounds = manager.grounds(entry, approved_non_security=True)
        approved = {
            patch.version
            for patch in looks[kind].available
            if patch.name == "hello" and Judge(grounds).approval(patch).is_approved
        }
        assert approved == {"1.2-1"}, kind
