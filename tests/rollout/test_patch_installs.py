"""Installs of approved versions on a real node with a real apt: what goes wrong ends in a cause of its own, by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.model.patch_request import InstallOverride
from tests.support.nodes import Fleet, TestNode, start_fleet
from tests.support.patching import Manager, audit, forget_packages, have, package, publish, versions

pytestmark = pytest.mark.nodes


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(tmp_path_factory.mktemp("fleet"), 1) as started:
        yield started


@pytest.fixture(scope="module")
def manager(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Manager:
    return Manager(fleet.nodes[0], tmp_path_factory.mktemp("outputs"))


@pytest.fixture
def node(manager: Manager) -> Iterator[TestNode]:
    """The node; packages of the last test go."""
    yield manager.server
    forget_packages(manager.server)


def test_only_what_is_approved_is_installed_though_newer_is_on_offer(
    manager: Manager, node: TestNode, tmp_path: Path
) -> None:
    have(node, tmp_path, [package("hello", "1.0")], package("hello", "1.1"), package("hello", "1.2"))
    done = manager.run(manager.order("hello-1.1"))
    assert (done.status, done.installed) == ("Success", {"hello.all": "1.1"}), done
    assert versions(node, "hello") == {"hello": "1.1"}


def test_dependencies_come_at_their_approved_versions_and_no_others(
    manager: Manager, node: TestNode, tmp_path: Path
) -> None:
    have(
        node,
        tmp_path,
        [package("hello", "1.0"), package("liba", "1.0"), package("alone", "1.0")],
        package("hello", "1.1", Depends="liba (>= 1.1), hello-data"),
        package("liba", "1.1"),
        package("liba", "1.2"),
        package("hello-data", "1.1"),
        package("hello-data", "1.2"),
        package("alone", "1.1"),
    )
    done = manager.run(manager.order("hello", "liba-1.1", "hello-data-1.1", "alone"))
    assert done.status == "Success", done
    assert versions(node, "hello", "liba", "hello-data", "alone") == {
        "hello": "1.1",
        "liba": "1.1",
        "hello-data": "1.1",
        "alone": "1.1",
    }
    assert set(node.run(["apt-mark", "showauto"]).stdout.split()) >= {"hello-data"}


def test_a_patch_that_needs_more_than_is_approved_is_left_out_by_name_and_the_others_go_on(
    manager: Manager, node: TestNode, tmp_path: Path
) -> None:
    have(
        node,
        tmp_path,
        [package(name, "1.0") for name in ("alone", "hello", "liba", "pusher", "victim", "wants")],
        package("alone", "1.1"),
        package("hello", "1.1", Depends="liba (>= 1.1)"),
        package("liba", "1.1"),
        package("pusher", "1.1", Conflicts="victim"),
        package("wants", "1.1", Depends="fresh"),
        package("fresh", "1.0"),
    )
    done = manager.run(manager.order("alone", "hello", "pusher", "wants"))
    assert (done.status, done.exit_code, done.installed) == ("Failed", 2, {"alone.all": "1.1"}), done
    assert done.causes == {"hello.all": "dependency", "pusher.all": "dependency", "wants.all": "dependency"}
    words = {row: problem.words for row, problem in done.report.failed.items()}
    assert "liba 1.1, which is not approved" in words["hello.all"]
    assert "remove victim" in words["pusher.all"]
    assert "fresh 1.0, which is not approved" in words["wants.all"]
    assert versions(node, "alone", "hello", "liba", "pusher", "victim", "wants", "fresh") == {
        "alone": "1.1",
        **dict.fromkeys(("hello", "liba", "pusher", "victim", "wants"), "1.0"),
    }
    assert audit(node) == ""


def test_marks_and_local_configuration_stay_and_nothing_is_asked(
    manager: Manager, node: TestNode, tmp_path: Path
) -> None:
    asks = "#!/bin/sh\nif read answer </dev/tty 2>/dev/null; then exit 3; fi\nread answer && exit 4\necho $DEBIAN_FRONTEND >/root/asked\n"
    have(
        node,
        tmp_path,
        [package("hello", "1.0", files={"/etc/hello.conf": "one\n"})],
        package("hello", "1.1", files={"/etc/hello.conf": "two\n"}, postinst=asks),
    )
    node.run(["apt-mark", "auto", "hello"])
    (node.root / "etc/hello.conf").write_text("mine\n")
    done = manager.run(manager.order("hello"))
    assert (done.status, done.installed) == ("Success", {"hello.all": "1.1"}), done
    assert (node.root / "etc/hello.conf").read_text() == "mine\n"
    assert (node.root / "root/asked").read_text() == "noninteractive\n"
    assert "hello" in node.run(["apt-mark", "showauto"]).stdout.split()


def test_a_package_that_its_node_holds_is_not_touched(manager: Manager, node: TestNode, tmp_path: Path) -> None:
    have(node, tmp_path, [package("hello", "1.0")], package("hello", "1.1"))
    order = manager.order("hello")
    node.run(["apt-mark", "hold", "hello"])
    done = manager.run(order)
    node.run(["apt-mark", "unhold", "hello"])
    assert (done.causes, versions(node, "hello")) == ({"hello.all": "held"}, {"hello": "1.0"}), done
    assert done.detail.endswith("PatchLinux: exit status 1: 1 patch failed: held")


def test_old_kernels_are_told_and_removed_only_where_asked(manager: Manager, node: TestNode, tmp_path: Path) -> None:
    kernels = [f"6.1.0-{number}-amd64" for number in (8, 9, 10, 11)]
    images = [package(f"linux-image-{one}", "6.1") for one in kernels]
    headers = package("linux-headers-6.1.0-8-amd64", "6.1")
    needing = package("module", "1.0", Depends="linux-image-6.1.0-9-amd64")
    have(
        node,
        tmp_path,
        [package("hello", "1.0"), headers, needing, *images],
        package("hello", "1.1"),
        package("hello", "1.2"),
    )
    done = manager.run(manager.order("hello-1.1"))
    assert done.report.old_kernels == ("linux-image-6.1.0-9-amd64", "linux-image-6.1.0-8-amd64"), done
    names = [f"linux-image-{one}" for one in kernels]
    assert set(versions(node, *names)) == set(names)
    done = manager.run(manager.order("hello"), remove_old_kernels=True)
    assert done.status == "Success"
    assert "their removal would change module" in done.stdout
    assert set(versions(node, *names)) == set(names)
    node.run(["apt-get", "-qy", "remove", "module"])
    publish(node, tmp_path, [package("hello", "1.3"), headers, *images])
    done = manager.run(manager.order("hello"), remove_old_kernels=True)
    assert done.status == "Success", done
    assert set(versions(node, *names, headers.name)) == {"linux-image-6.1.0-10-amd64", "linux-image-6.1.0-11-amd64"}


def test_an_override_list_brings_what_no_baseline_approves_and_nothing_else(
    manager: Manager, node: TestNode, tmp_path: Path
) -> None:
    new = [package("hello", "1.1"), package("hello", "1.2"), package("other", "1.1")]
    have(node, tmp_path, [package("hello", "1.0"), package("other", "1.0")], *new)
    done = manager.run(manager.order("other", overrides=(InstallOverride(id="hel*", title="hello.all:1.1"),)))
    assert (done.status, done.installed) == ("Success", {"hello.all": "1.1"}), done
    assert versions(node, "hello", "other") == {"hello": "1.1", "other": "1.0"}
