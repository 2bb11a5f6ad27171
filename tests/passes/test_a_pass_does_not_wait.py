"""A run that goes on past PassWait goes on alone: it keeps its slot, is Waiting, and a later pass settles it."""

from pathlib import Path

import pytest

from reconciler.daemon.passing import PassResult
from reconciler.drift.finding import Cause, Finding, State
from tests.passes.test_the_daemon import daemon_of, end, passes, wait_until
from tests.support.nodes import Fleet
from tests.support.site import APPEND_DOCUMENT, MOTD, Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 3


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd /tmp/go"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    return made


def ran(fleet: Fleet) -> list[int]:
    return [bodies(node) for node in fleet.nodes]


def findings(result: PassResult) -> dict[str, Finding]:
    return {node: report.findings[0].finding for node, report in result.reports.items()}


def test_it_keeps_its_slot_is_waiting_and_is_settled_by_a_later_pass(site: Site, fleet: Fleet) -> None:
    assert site.once().all_in_sync
    waits = APPEND_DOCUMENT.replace("sleep '{{ seconds }}'", "until [ -e /tmp/go ]; do sleep 0.1; done")
    site.commit(
        {
            "state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\nPassWait: rate(10 seconds)\n",
            "documents/Motd.yaml": waits,
            "state/associations/motd.yaml": MOTD + "MaxConcurrency: '1'\n",
        }
    )
    for node in fleet.nodes:
        node.run(["sh", "-c", "echo by hand > /etc/motd"])
    first = site.once()
    assert sorted(ran(fleet)) == [1, 1, 2]
    busy = ran(fleet).index(2)
    name = f"web-{busy + 1:02}"
    found = findings(first)
    assert {f.state for f in found.values()} == {State.WAITING}
    assert found[name].reason.startswith("running since 20")
    assert ", step write" in found[name].reason

    again = site.once()  # its slot is taken, and it is not started a second time
    assert sorted(ran(fleet)) == [1, 1, 2]
    found = findings(again)
    assert found[name].state is State.WAITING
    assert found[name].cause is not Cause.IN_SYNC
    assert "running since 20" in found[name].reason
    assert {f.state for node, f in found.items() if node != name} == {State.WAITING}
    assert "running since 20" in site.command("status", str(site.repo), check=2).stdout

    for node in fleet.nodes:
        (node.root / "tmp/go").touch()
    wait_until(lambda: site.command("once", str(site.repo)).returncode == 0, "it is settled, and the others follow")
    assert ran(fleet) == [2, 2, 2]


def test_what_waits_for_a_slot_starts_when_the_run_that_has_it_ends_and_not_an_interval_later(
    site: Site, fleet: Fleet
) -> None:
    """The interval is an hour and nothing is committed: only the end of a run can have begun the next pass."""
    waits = APPEND_DOCUMENT.replace("sleep '{{ seconds }}'", "until [ -e /tmp/go ]; do sleep 0.1; done")
    site.commit(
        {
            "state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\nPassWait: rate(1 second)\n",
            "documents/Motd.yaml": waits,
            "state/associations/motd.yaml": MOTD + "MaxConcurrency: '1'\n",
        }
    )
    daemon = daemon_of(site)
    try:
        for number in range(1, 4):
            wait_until(lambda: passes(site) == number, f"pass {number} leaves its run alone")  # noqa: B023  (asked at once)
            assert sum(ran(fleet)) == number
            (busy,) = [node for node in fleet.nodes if bodies(node) == 1 and not (node.root / "tmp/go").exists()]
            (busy.root / "tmp/go").touch()
        wait_until(lambda: passes(site) == 4, "the last one is settled")
    finally:
        assert end(daemon) == 0
    assert ran(fleet) == [1, 1, 1]
    assert site.once().outcomes == ()
