"""What stops a fleet from being harmed pass after pass: a definition that fails, another tool that undoes every repair."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import PassResult, Request
from reconciler.ids import AssociationName, NodeId
from reconciler.model.outcome import Disposition
from reconciler.settings import read_host_settings
from tests.support.nodes import Fleet, TestNode
from tests.support.site import APPEND_DOCUMENT, MOTD, Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(900)]
NODES = 8

MOTD_NAME = AssociationName("motd")
BAD = APPEND_DOCUMENT.replace("- printf '%s\\n' '{{ text }}' > /etc/motd", "- exit 3")
STRICT = APPEND_DOCUMENT.replace("> /etc/motd\n", "> /etc/motd || exit 3\n")


@dataclass
class Clock:
    """The management host's clock, which a test moves."""

    now: datetime = datetime(2026, 9, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    return Site(tmp_path, fleet)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def controller(site: Site, fleet: Fleet, clock: Clock) -> Iterator[Controller]:
    site.standard(fleet.nodes)
    opened = Controller(
        str(site.repo), settings=read_host_settings(site.settings), state_dir=site.state_dir, clock=clock
    )
    yield opened
    opened.close()


def reasons(result: PassResult) -> dict[NodeId, str]:
    return {
        node: f"{r.finding.state.value}: {r.finding.reason}"
        for node, report in result.reports.items()
        for r in report.findings
        if r.finding.association == MOTD_NAME
    }


def total(fleet: Fleet) -> int:
    return sum(bodies(node) for node in fleet.nodes)


def test_a_definition_that_fails_reaches_five_nodes_and_no_more(
    site: Site, fleet: Fleet, clock: Clock, controller: Controller
) -> None:
    site.commit({"documents/Motd.yaml": BAD})
    reached = []
    for _ in range(7):
        result = controller.one_pass(Request())
        reached.append(total(fleet))
        clock.now += timedelta(minutes=1)
    assert reached == [1, 2, 3, 4, 5, 5, 5], "the canary stops each pass, the breaker the passes"
    assert [bodies(node) for node in fleet.nodes] == [1] * 5 + [0] * 3
    held = reasons(result)[NodeId("web-08")]
    assert held.startswith(
        "Waiting: breaker: this definition failed on 5 nodes and went well on 0, StopAfterFailures is 5; "
        "it goes on when one of them succeeds, with a new definition, or by apply"
    )
    # Where it failed it is tried again after the back-off, and nowhere else.
    clock.now += timedelta(minutes=31)
    controller.one_pass(Request())
    assert [bodies(node) for node in fleet.nodes] == [2] * 5 + [0] * 3
    # A person may insist; and a new definition begins anew.
    controller.one_pass(Request(apply="motd", limit=("web-08",)))
    assert bodies(fleet.nodes[7]) == 1
    site.commit({"documents/Motd.yaml": APPEND_DOCUMENT})
    assert controller.one_pass(Request()).all_in_sync


def test_errors_that_stand_count_towards_max_errors_in_the_next_pass(
    site: Site, fleet: Fleet, clock: Clock, controller: Controller
) -> None:
    for node in fleet.nodes[1:4]:
        node.run(["mkdir", "/etc/motd"])  # it cannot be written there; the canary, web-01, can
    limits = "MaxConcurrency: '1'\nMaxErrors: '1'\n"
    site.commit({"documents/Motd.yaml": STRICT, "state/associations/motd.yaml": MOTD + limits})
    first = controller.one_pass(Request())
    assert [o.node for o in first.outcomes if o.disposition is Disposition.RAN] == ["web-01", "web-02", "web-03"]
    clock.now += timedelta(minutes=1)
    second = controller.one_pass(Request())
    assert [bodies(node) for node in fleet.nodes] == [1, 1, 1, 0, 0, 0, 0, 0]
    assert reasons(second)[NodeId("web-08")].startswith("Waiting: 2 errors, MaxErrors allows 1; ")
    for node in fleet.nodes[1:4]:
        node.run(["rmdir", "/etc/motd"])
    clock.now += timedelta(minutes=31)
    assert [o.node for o in controller.one_pass(Request()).outcomes] == ["web-02", "web-03"]
    clock.now += timedelta(minutes=1)
    assert controller.one_pass(Request()).all_in_sync


def test_more_drift_than_one_pass_may_repair_is_repaired_over_several(
    site: Site, fleet: Fleet, clock: Clock, controller: Controller
) -> None:
    site.commit({"state/fleet.yaml": "Fleet: example\nMaxChangedPerPass: 3\n"})
    applied = []
    while not controller.one_pass(Request()).all_in_sync:
        applied.append(total(fleet))
        clock.now += timedelta(minutes=1)
        assert len(applied) < 9, "it never ends"
    drifted = fleet.nodes[1:6]
    for node in drifted:
        (node.root / "etc/motd").write_text("changed by hand\n")
    before, repaired = total(fleet), []
    for _ in range(3):
        clock.now += timedelta(minutes=1)
        result = controller.one_pass(Request())
        repaired.append(total(fleet) - before)
        if len(repaired) == 1:
            held = [reason for reason in reasons(result).values() if "MaxChangedPerPass" in reason]
            assert len(held) == 2, reasons(result)
    assert repaired == [3, 5, 5]
    assert result.all_in_sync
    assert {(node.root / "etc/motd").read_text() for node in fleet.nodes} == {"managed by git\n"}


def revert(node: TestNode, number: int) -> None:
    """Undo what git says, as another tool does that believes it owns the file."""
    (node.root / "etc/motd").write_text(f"managed by another tool, {number % 2}\n")


def fight(controller: Controller, clock: Clock, node: TestNode, passes: int) -> PassResult:
    """Let another tool undo every repair between passes, ten minutes apart."""
    for number in range(passes):
        revert(node, number)
        clock.now += timedelta(minutes=10)
        result = controller.one_pass(Request())
    return result


def flapping_ends_the_fight(site: Site, fleet: Fleet, clock: Clock, controller: Controller, passes: int) -> None:
    assert controller.one_pass(Request()).all_in_sync
    commits = len(site.reports())
    node = fleet.nodes[0]
    result = fight(controller, clock, node, passes)
    assert bodies(node) == 1 + 5
    assert [bodies(other) for other in fleet.nodes[1:]] == [1] * 7
    found = reasons(result)[NodeId("web-01")]
    assert found.startswith("Failed: flapping: repaired 5 times in 24 h, and undone each time: file /etc/motd; "), found
    assert found.endswith("left alone until 2026-09-02T00:10:00Z or apply")
    # Five repairs and the word that it flaps, although the other tool writes another text each time.
    made = len(site.reports()) - commits
    assert made <= 5 + 1, site.git("show", "compliance")


def test_another_tool_that_undoes_repairs_is_flapping_and_not_a_commit_a_pass(
    site: Site, fleet: Fleet, clock: Clock, controller: Controller
) -> None:
    flapping_ends_the_fight(site, fleet, clock, controller, passes=9)


@pytest.mark.soak
def test_a_day_of_fighting_is_six_commits(site: Site, fleet: Fleet, clock: Clock, controller: Controller) -> None:
    flapping_ends_the_fight(site, fleet, clock, controller, passes=143)
    # A day after the first repair there is room for one again, and only one.
    fight(controller, clock, fleet.nodes[0], 2)
    assert bodies(fleet.nodes[0]) == 1 + 5 + 1
