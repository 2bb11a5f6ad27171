"""A node that answers slowly, or a byte at a time without end: the others' documents run and are reported meanwhile."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.compliance.report import Status
from reconciler.daemon.passing import PassResult, Request
from reconciler.ids import NodeId
from reconciler.inventory import collect
from tests.passes.test_the_daemon import wait_until
from tests.support.nodes import Fleet, TestNode, start_fleet
from tests.support.site import Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

SLOW = NodeId("web-01")
PATIENCE = timedelta(seconds=5)
"""In the place of 30 s. A node that drips is cut off after 120 s of its own: nothing here waits so long."""

SHELL = r"""#!/bin/sh
# A login shell whose inventories are slow; not so the short look right before a start. $2 is the loader's command; the program is on standard input.
nonce=${2##*echo }
nonce=${nonce%%[!0-9a-f]*}
file=$(mktemp)
cat >"$file"
if grep -q '^say() {' "$file" && grep -q 'say packages' "$file"; then
    echo begun >>/tmp/inventories
    if [ -e /tmp/drips ]; then
        printf '%s\n' "$nonce"
        while sleep 5; do printf x; done
    fi
    until [ -e /tmp/go ]; do sleep 0.1; done
    echo done >>/tmp/inventories
fi
sh -c "$2" <"$file"
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(tmp_path_factory.mktemp("fleet"), count=3) as started:
        slow = started.nodes[0]
        (slow.root / "usr/local/bin/slow").write_text(SHELL)
        (slow.root / "usr/local/bin/slow").chmod(0o755)
        slow.run(["usermod", "-s", "/usr/local/bin/slow", "ops"])
        yield started


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(collect, "patience", lambda _: PATIENCE)
    for node in fleet.nodes:
        node.run(
            ["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd /tmp/go /tmp/drips /tmp/inventories"]
        )
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    return made


def ran(fleet: Fleet) -> list[int]:
    return [bodies(node) for node in fleet.nodes]


def inventories(node: TestNode) -> list[str]:
    return (node.root / "tmp/inventories").read_text().split()


def asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("collect_")]


def statuses(result: PassResult) -> dict[str, Status]:
    return {name: report.status for name, report in result.reports.items()}


def test_a_node_that_drips_for_ever_keeps_nobody_from_their_documents(site: Site, fleet: Fleet) -> None:
    slow, quick, _ = fleet.nodes
    (slow.root / "tmp/drips").touch()
    with site.controller() as controller:
        first = controller.one_pass(Request())
        # Everything below happened while the node was still dripping its first answer.
        assert slow.run(["pgrep", "-f", "/usr/local/bin/slow"]).stdout.split()
        assert inventories(slow) == ["begun"]
        assert ran(fleet) == [0, 1, 1]
        assert first.report_commit is not None
        assert statuses(first) == {"web-01": Status.UNKNOWN, "web-02": Status.COMPLIANT, "web-03": Status.COMPLIANT}
        assert first.reports[SLOW].facts.unreachable == (
            "the node did not answer within 5 s: the pass went on without it, its answer counts in the next"
        )

        (quick.root / "etc/motd").write_text("by hand\n")
        second = controller.one_pass(Request())
        assert inventories(slow) == ["begun"]
        assert ran(fleet) == [0, 2, 1]
        assert statuses(second) == statuses(first)
        assert controller.one_pass(Request()).report_commit is None
    assert not asking()


def test_a_node_that_is_always_late_is_kept_all_the_same(site: Site, fleet: Fleet) -> None:
    """Each pass goes by what it said to the one before; the re-check, just before a start, asks it in any case."""
    slow = fleet.nodes[0]
    with site.controller() as controller:
        assert statuses(controller.one_pass(Request()))["web-01"] is Status.UNKNOWN
        assert ran(fleet) == [0, 1, 1]
        (slow.root / "tmp/go").touch()
        wait_until(lambda: not asking(), "its first answer is here")
        (slow.root / "tmp/go").unlink()
        controller.one_pass(Request())  # it is asked again, and is as late again
        assert inventories(slow)[:3] == ["begun", "done", "begun"]
        assert ran(fleet) == [1, 1, 1]
        (slow.root / "tmp/go").touch()
        wait_until(lambda: controller.one_pass(Request()).all_in_sync, "quick again, it is in sync")
    assert not asking()
    assert ran(fleet) == [1, 1, 1]
