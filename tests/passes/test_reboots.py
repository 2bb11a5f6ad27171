"""A script that ends with 194 reboots its node, and the document goes on at that step: once, whatever happens meanwhile."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import PassResult, Request
from reconciler.rollout import deciding
from reconciler.settings import read_host_settings
from tests.support.nodes import Fleet, TestNode, start_fleet
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

DOCUMENT = """\
schemaVersion: '2.2'
mainSteps:
  - name: before
    action: aws:runShellScript
    inputs: {runCommand: ['echo before >> /var/log/steps']}
  - name: reboots
    action: aws:runShellScript
    inputs:
      runCommand:
        - echo reboots >> /var/log/steps
        - test -e /var/lib/rebooted && echo back && exit 0
        - GOES_DOWN
        - exit 194
  - name: after
    action: aws:runShellScript
    inputs: {runCommand: ['echo after >> /var/log/steps']}
"""

ASSOCIATION = """\
AssociationName: patch
Name: Patch
Targets: [{Key: 'tag:Role', Values: [web]}]
MaxErrors: '100%'
"""


@pytest.fixture
def fleet(tmp_path: Path, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(tmp_path / "fleet", count=2, systemd=1) as started:
        yield started


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    made = Site(tmp_path / "site", fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    made.write({"state/associations/motd.yaml": None, "documents/Motd.yaml": None})
    return made


def steps(node: TestNode) -> list[str]:
    log = node.root / "var/log/steps"
    return log.read_text().split() if log.exists() else []


def reboots_once(site: Site) -> None:
    site.commit(
        {
            "documents/Patch.yaml": DOCUMENT.replace("GOES_DOWN", "touch /var/lib/rebooted"),
            "state/associations/patch.yaml": ASSOCIATION,
        }
    )


def statuses(result: PassResult) -> set[str]:
    return {finding.finding.state.value for report in result.reports.values() for finding in report.findings}


def until_in_sync(site: Site, deadline: float = 120) -> PassResult:
    ends = time.monotonic() + deadline
    while not (result := site.once()).all_in_sync:
        reasons = [f.finding.reason for report in result.reports.values() for f in report.findings]
        assert time.monotonic() < ends, f"not in sync: {reasons}; {result.problems}"
        time.sleep(0.3)
    return result


def test_a_document_goes_on_after_the_reboot_it_asked_for(site: Site, fleet: Fleet) -> None:
    reboots_once(site)
    boots = [node.boots for node in fleet.nodes]
    result = site.once()
    assert statuses(result) == {"InSync"}, result.problems
    for node, before in zip(fleet.nodes, boots, strict=True):
        assert node.boots == before + 1, f"systemd: {node.systemd}"
        assert steps(node) == ["before", "reboots", "reboots", "after"]
    (listed,) = {outcome.record.status.value for outcome in result.outcomes if outcome.record is not None}
    assert listed == "Success"
    assert site.once().outcomes == ()


def test_an_exit_with_3010_reboots_as_194_does(site: Site, fleet: Fleet) -> None:
    """On Windows it asks for a reboot; of what a program here ends with, nobody is told more than 8 bits."""
    site.commit(
        {
            "documents/Patch.yaml": DOCUMENT.replace("GOES_DOWN", "touch /var/lib/rebooted").replace("194", "3010"),
            "state/associations/patch.yaml": ASSOCIATION,
        }
    )
    boots = [node.boots for node in fleet.nodes]
    assert statuses(site.once()) == {"InSync"}
    for node, before in zip(fleet.nodes, boots, strict=True):
        assert node.boots == before + 1
        assert steps(node) == ["before", "reboots", "reboots", "after"]


def test_another_manager_process_goes_on_where_the_first_was_killed(site: Site, fleet: Fleet) -> None:
    reboots_once(site)
    site.commit({"state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\n"})
    boots = [node.boots for node in fleet.nodes]
    daemon = site.start("daemon", str(site.repo))
    ends = time.monotonic() + 60
    while not any((node.root / "var/lib/rebooted").exists() for node in fleet.nodes):
        assert time.monotonic() < ends
        time.sleep(0.01)
    daemon.kill()
    daemon.wait(timeout=60)
    until_in_sync(site)
    for node, before in zip(fleet.nodes, boots, strict=True):
        assert node.boots == before + 1
        assert steps(node) == ["before", "reboots", "reboots", "after"]


def test_a_step_that_asks_again_and_again_ends_as_failed(
    site: Site, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "MOST_REBOOTS", 2)
    site.commit(
        {
            "documents/Patch.yaml": DOCUMENT.replace("GOES_DOWN", "true"),
            "state/associations/patch.yaml": ASSOCIATION,
        }
    )
    boots = [node.boots for node in fleet.nodes]
    result = site.once()
    assert statuses(result) <= {"Failed", "Waiting"}
    node = fleet.nodes[0]
    assert steps(node) == ["before", "reboots", "reboots", "reboots", "after"], (
        "SSM: a failed step does not stop the others"
    )
    assert node.boots == boots[0] + 2
    said = site.command("runs", "output", result.outcomes[0].record.run).stdout if result.outcomes[0].record else ""
    assert "no more are granted" in said


def test_a_node_that_comes_back_after_two_days_does_not_go_on(site: Site, fleet: Fleet) -> None:
    site.commit({"state/nodes/web.yaml": site.git("show", "HEAD:state/nodes/web.yaml").split("---")[0]})
    site.commit(
        {
            # The node goes down, and its power stays off.
            "documents/Patch.yaml": DOCUMENT.replace("GOES_DOWN", "touch /var/lib/rebooted; poweroff"),
            "state/associations/patch.yaml": ASSOCIATION,
            "state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\nPassWait: rate(1 minute)\n",
        }
    )
    node = fleet.nodes[0]
    first = site.once()
    assert statuses(first) <= {"Waiting", "Unknown"}, first.reports
    ends = time.monotonic() + 60
    while node.is_on:
        assert time.monotonic() < ends
        time.sleep(0.2)
    node.start()
    later = Controller(
        str(site.repo),
        settings=read_host_settings(site.settings),
        state_dir=site.state_dir,
        clock=lambda: datetime.now(UTC) + timedelta(hours=49),
    )
    try:
        later.one_pass(Request())
    finally:
        later.close()
    assert steps(node) == ["before", "reboots"]
