"""A node that answers slowly, or a byte at a time without end: the others' documents run and are reported meanwhile."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.compliance.report import Status
from reconciler.daemon import controller as controllers
from reconciler.daemon.passing import PassResult, Request
from reconciler.ids import NodeId
from reconciler.inventory import collect
from reconciler.model.command import Answer, Program, Session
from reconciler.model.node import Node
from reconciler.rollout import stragglers
from reconciler.rollout.stragglers import Stragglers
from reconciler.transport.pool import ConnectionPool
from tests.support.nodes import Fleet, TestNode
from tests.support.site import Site, bodies
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 3

SLOW = NodeId("web-01")
PATIENCE = timedelta(seconds=5)
"""In the place of 30 s. A node that drips is cut off after 120 s of its own: nothing here waits so long."""

DRIPS = r"""#!/bin/sh
# A login shell that says a byte every 5 s, for ever. $2 is the loader's command.
nonce=${2##*echo }
echo begun >>/tmp/inventories
printf '%s\n' "${nonce%%[!0-9a-f]*}"
while sleep 5; do printf x; done
"""
WAITS = r"""#!/bin/sh
# A package database that answers when it may.
echo begun >>/tmp/inventories
until [ -e /tmp/go ]; do sleep 0.1; done
exec /usr/bin/dpkg-query "$@"
"""


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Site:
    longest = timedelta(seconds=120)  # on a busy machine the others are slow, too
    monkeypatch.setattr(collect._Lateness, "_patience", lambda _, node: PATIENCE if node == SLOW else longest)
    for node in fleet.nodes:
        node.run(
            [
                "sh",
                "-c",
                "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd /tmp/go /tmp/inventories /usr/local/sbin/dpkg-query",
            ]
        )
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    return made


def install(node: TestNode, path: str, script: str) -> None:
    (node.root / path).write_text(script)
    (node.root / path).chmod(0o755)


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
    install(slow, "usr/local/bin/drips", DRIPS)
    slow.run(["usermod", "-s", "/usr/local/bin/drips", "ops"])
    with site.controller() as controller:
        first = controller.one_pass(Request())
        # Everything below happened while the node was still dripping its first answer.
        assert slow.run(["pgrep", "-f", "/usr/local/bin/drips"]).stdout.split()
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
    wait_until(lambda: not asking(), "nobody is asked any more")
    slow.run(["usermod", "-s", "/bin/sh", "ops"])


def test_a_node_that_is_always_late_is_kept_all_the_same(site: Site, fleet: Fleet) -> None:
    """Each pass goes by what it said to the one before; the re-check, just before a start, asks it in any case."""
    slow = fleet.nodes[0]
    install(slow, "usr/local/sbin/dpkg-query", WAITS)
    with site.controller() as controller:
        assert statuses(controller.one_pass(Request()))["web-01"] is Status.UNKNOWN
        assert ran(fleet) == [0, 1, 1]
        (slow.root / "tmp/go").touch()
        wait_until(lambda: not asking(), "its first answer is here")
        (slow.root / "tmp/go").unlink()
        (slow.root / "var/lib/dpkg/status").touch()  # so that its packages are read again
        controller.one_pass(Request())
        assert inventories(slow)[:2] == ["begun", "begun"]  # it was asked again, and was as late again
        assert ran(fleet) == [1, 1, 1]
        (slow.root / "tmp/go").touch()
        wait_until(lambda: controller.one_pass(Request()).all_in_sync, "quick again, it is in sync")
    wait_until(lambda: not asking(), "nobody is asked any more")
    assert ran(fleet) == [1, 1, 1]


@dataclass(frozen=True)
class Hanging:
    """A session that does nothing but answer its inventory until it may."""

    session: Session
    may_go_on: threading.Event

    @property
    def node(self) -> NodeId:
        return self.session.node

    @property
    def host_key(self) -> str | None:
        return self.session.host_key

    def run(self, program: Program) -> Answer:
        if program.standing is None:
            self.may_go_on.wait(60)
        return self.session.run(program)

    def stream(self, program: Program) -> Iterator[bytes]:
        return self.session.stream(program)


def epochs(fleet: Fleet) -> list[str]:
    return [node.run(["cat", "/var/lib/reconciler/epochs/example"]).stdout.strip() for node in fleet.nodes]


def test_a_node_that_hangs_when_it_hears_of_a_new_leader_keeps_nobody_waiting(
    site: Site, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its inventory is as quick as anybody's; whoever else is slow has a busy machine for a reason.
    monkeypatch.setattr(collect._Lateness, "_patience", lambda _, __: timedelta(seconds=120))
    had_its_time = stragglers._Turns._had_its_time
    monkeypatch.setattr(
        stragglers._Turns, "_had_its_time", lambda turns, name, now: name == SLOW and had_its_time(turns, name, now)
    )
    assert site.once().all_in_sync
    may_go_on = threading.Event()
    connect = ConnectionPool.connect

    @contextmanager
    def hanging(pool: ConnectionPool, node: Node) -> Iterator[Session]:
        with connect(pool, node) as session:
            yield Hanging(session, may_go_on) if node.id == SLOW else session

    monkeypatch.setattr(ConnectionPool, "connect", hanging)
    monkeypatch.setattr(controllers, "Stragglers", lambda: Stragglers(PATIENCE))
    (fleet.nodes[1].root / "etc/motd").write_text("by hand\n")
    with site.controller(state_dir=site.folder / "another") as controller:
        first = controller.one_pass(Request(take_over=True))
        # Everything below happened while the node was still to hear of the new leader.
        assert epochs(fleet) == ["1", "2", "2"]
        assert ran(fleet) == [1, 2, 1]
        assert first.report_commit is not None
        assert controller.one_pass(Request()).all_in_sync
        assert epochs(fleet) == ["1", "2", "2"]
        may_go_on.set()
        wait_until(lambda: controller.one_pass(Request()).all_in_sync and epochs(fleet) == ["2"] * 3, "it has heard")
    wait_until(lambda: not asking(), "nobody is asked any more")
