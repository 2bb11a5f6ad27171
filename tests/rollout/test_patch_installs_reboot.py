"""Installs that reboot their node under systemd: proven by its boot id, and by the services that ran before."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.patch_order import RebootOption
from tests.support.nodes import NodeSpec, start_fleet
from tests.support.patching import Manager, have, package, publish, versions

pytestmark = pytest.mark.nodes

FRAGILE = """\
[Unit]
Description=Runs until something spoils it
[Service]
ExecStart=/bin/sh -c '[ ! -e /var/lib/spoiled ] && exec sleep 100000'
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture
def manager(tmp_path: Path, require_nodes: None) -> Iterator[Manager]:
    with start_fleet(tmp_path / "fleet", specs=(NodeSpec(name="booting", systemd=True),)) as fleet:
        yield Manager(fleet.nodes[0], tmp_path / "outputs")


def test_an_install_reboots_once_and_a_service_that_does_not_come_back_fails_it(
    manager: Manager, tmp_path: Path
) -> None:
    node = manager.server
    have(node, tmp_path, [package("hello", "1.0")], package("hello", "1.1"))
    (node.root / "etc/systemd/system/fragile.service").write_text(FRAGILE)
    node.run(["systemctl", "enable", "--now", "fragile"])
    before = node.boots
    done = manager.run(manager.order("hello", reboot=RebootOption.REBOOT_IF_NEEDED))
    assert (done.status, done.installed, node.boots - before) == ("Success", {"hello.all": "1.1"}, 1), done
    assert done.report.rebooted == node.boot_id

    nothing = manager.order("hello", reboot=RebootOption.REBOOT_IF_NEEDED)
    assert nothing is None
    publish(
        node,
        tmp_path,
        [package("hello", "1.1"), package("hello", "1.2", postinst="#!/bin/sh\ntouch /var/lib/spoiled\n")],
    )
    order = manager.order("hello", reboot=RebootOption.REBOOT_IF_NEEDED)
    assert order is not None
    done = manager.run(order)
    assert (done.status, done.installed, node.boots - before) == ("Failed", {"hello.all": "1.2"}, 2), done
    assert done.report.services == ("fragile.service",)
    assert "service-failed" in done.stderr

    pending = replace(order, pins=(), pending_reboot=("hello.all:1.2",))
    done = manager.run(pending)
    assert (done.status, node.boots - before, versions(node, "hello")) == ("Success", 3, {"hello": "1.2"}), done

    (node.root / "boot/vmlinuz-6.9.0-1").write_text("kernel")
    done = manager.run(pending)
    assert (done.status, node.boots - before) == ("Failed", 3), done
    assert "no-boot-entry: the newest kernel, 6.9.0-1, has no initrd" in done.report.unbooted
