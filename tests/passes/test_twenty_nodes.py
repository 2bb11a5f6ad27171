"""The acceptance run: twenty nodes, three of them in trouble, the others kept. Its times are printed, never asserted."""

import json
import time
from pathlib import Path

import pytest

from reconciler.compliance.report import Status
from reconciler.daemon.passing import PassResult
from reconciler.ids import AssociationName, NodeId
from tests.support.nodes import NodeSpec, start_fleet
from tests.support.site import MOTD, Site, bodies

pytestmark = [pytest.mark.nodes, pytest.mark.soak, pytest.mark.timeout(1800)]

DOWN, CHANGED, FULL = 3, 8, 13
"""Which nodes are in trouble, counted from 0."""


def reason(result: PassResult, index: int) -> str:
    report = result.reports[NodeId(f"web-{index + 1:02}")]
    findings = {r.finding.association: r.finding.reason for r in report.findings}
    return report.facts.unreachable or findings[AssociationName("motd")]


def want(site: Site, text: str) -> None:
    site.commit(
        {
            "state/associations/motd.yaml": MOTD.replace("managed by git\\n", f"{text}\\n")
            + f"Parameters: {{text: ['{text}']}}\nMaxConcurrency: '20'\n"
        }
    )


def test_twenty_nodes_with_three_in_trouble(tmp_path: Path, require_nodes: None) -> None:
    specs = [
        NodeSpec(name=f"node-{number:02}", systemd=number >= 18, disk_mb=32 if number == FULL else None)
        for number in range(20)
    ]
    with start_fleet(tmp_path / "nodes", specs=specs) as fleet:
        site = Site(tmp_path / "site", fleet)
        site.standard(fleet.nodes)
        first = site.command("once", str(site.repo), "--format", "json", check=0)
        assert len(json.loads(first.stdout)["items"]) == 20
        assert [bodies(node) for node in fleet.nodes] == [1] * 20

        commits = site.reports()
        site.command("once", str(site.repo), check=0)
        assert [bodies(node) for node in fleet.nodes] == [1] * 20
        assert site.reports() == commits

        for times in (2, 3):
            (fleet.nodes[5].root / "etc/motd").write_text("by hand\n")
            site.command("once", str(site.repo), check=0)
            assert [bodies(node) for node in fleet.nodes] == [1] * 5 + [times] + [1] * 14

        want(site, "one")
        began = time.monotonic()
        result = site.once()
        fault_free = time.monotonic() - began
        assert result.all_in_sync

        fleet.nodes[DOWN].stop()
        fleet.nodes[CHANGED].change_host_key()
        fleet.nodes[FULL].fill_disk()
        want(site, "two")
        before = [bodies(node) for node in fleet.nodes]
        began = time.monotonic()
        result = site.once()
        with_faults = time.monotonic() - began
        print(f"fault-free pass {fault_free:.2f} s, with three nodes in trouble {with_faults:.2f} s")  # noqa: T201 - for docs/reliability.md

        assert "refused" in reason(result, DOWN)
        assert "host key changed" in reason(result, CHANGED)
        assert "space" in reason(result, FULL)
        trouble = {DOWN, CHANGED, FULL}
        for index, node in enumerate(fleet.nodes):
            assert bodies(node) == before[index] + (index not in trouble)
            if index not in trouble:
                assert (node.root / "etc/motd").read_text() == "two\n"
                assert result.reports[NodeId(f"web-{index + 1:02}")].status is Status.COMPLIANT
