"""An archive replayed day by day before a fleet: a surveyor that remembers, and one made from git alone each day, say the same."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from reconciler.compliance.paths import node_path
from reconciler.compliance.read import read_branch_files
from reconciler.compliance.report import NodeReport
from reconciler.compliance.write import node_file
from reconciler.drift.patched import PatchBooks, Patched, PatchSurvey
from reconciler.drift.patches import PatchSurveyor, with_patches
from reconciler.ids import AssociationName, BaselineName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.baseline import OperatingSystem, PatchBaseline, PatchRule
from reconciler.model.history import History, NodeHistory
from reconciler.model.known import JsonValue, Known, Observed
from reconciler.model.patch import Installed, Patch
from reconciler.model.patch_lines import installed_line, patch_line
from reconciler.model.patch_request import Operation, PatchRequest
from reconciler.patching.ledger import Ledger, key_of
from reconciler.patching.ledger_files import read_ledger, write_ledger
from reconciler.patching.node_compliance import ComplianceStatus
from tests.drift.builders import a_node, a_state
from tests.patching.rows import SECURITY, a_deb, at, installed

BEGIN = at("2026-01-01 04:00")
DAY = timedelta(days=1)
INSTALL = AssociationName("install")
SEVEN = PatchBaseline(
    name=BaselineName("seven"),
    operating_system=OperatingSystem.DEBIAN,
    default=True,
    rules=(PatchRule(number=1, approve_after_days=7),),
)
NODES = tuple(NodeId(name) for name in "abc")
ASKED = {node: {INSTALL: PatchRequest(operation=Operation.INSTALL)} for node in NODES}
STATE = replace(a_state(nodes=tuple(a_node(name) for name in "abc")), baselines={SEVEN.name: SEVEN})
SITE = {"origin": "Debian", "label": SECURITY.label, "suite": SECURITY.suite, "codename": SECURITY.codename}


def told(have: Mapping[str, str], offers: list[Patch], now: datetime, node: NodeId) -> Facts:
    """Give what a node tells whose lists were just refreshed."""
    rows: dict[str, dict[str, JsonValue]] = {
        "os": {"id": "debian", "version_id": "12", "family": "debian", "arch": "x86_64"},
        "identity": {"machine_id": node * 32},
        "installed": {f"{name}.amd64": [installed_line(row(name, version))] for name, version in have.items()},
        "available": {},
        "repositories": {
            "mirror.example bookworm-security/main amd64": {
                **SITE,
                "component": "main",
                "trusted": True,
                "fetched": True,
                "release": "it",
            }
        },
        "metadata": {"it": {"fetched": f"{now:%Y-%m-%dT%H:%M:%SZ}"}},
        "dpkg": {"installs_by_itself": False},
        "clock": {"uptime": 1000},
    }
    for patch in offers:
        lines = rows["available"].setdefault(patch.id, [])
        assert isinstance(lines, list)
        lines.append(patch_line(patch))
    sections: dict[str, Observed[Mapping[str, JsonValue]]] = {name: Known(each) for name, each in rows.items()}
    return Facts(node=node, sections=sections)


def row(name: str, version: str) -> Installed:
    return installed(name, version)


@dataclass
class Host:
    """A management host: one that remembers, or one that is made from git alone before each pass."""

    anew: bool
    surveyor: PatchSurveyor = field(default_factory=PatchSurveyor)
    ledger: Ledger = field(default_factory=Ledger)
    history: History = field(default_factory=History)
    reported: Mapping[NodeId, Facts] = field(default_factory=dict)
    committed_at: datetime | None = None

    def look(self, facts: Mapping[NodeId, Facts], now: datetime) -> PatchSurvey:
        if self.anew:
            self._from_git()
        books = PatchBooks(ledger=self.ledger, committed_at=self.committed_at, reported=self.reported)
        found = self.surveyor.survey(STATE, ASKED, facts, self.history, books, now)
        self.history = with_patches(self.history, found)
        self.ledger, self.reported, self.committed_at = found.ledger, facts, now
        return found

    def _from_git(self) -> None:
        files = {
            node_path(node): node_file(
                NodeReport(
                    node=node,
                    facts=Facts(node=node),
                    history=self.history.nodes.get(node, NodeHistory(node=node)),
                )
            )
            for node in NODES
        }
        self.history = read_branch_files(files.items(), None).history
        self.ledger = read_ledger(write_ledger(self.ledger))
        self.surveyor = PatchSurveyor()


def of(found: PatchSurvey, node: NodeId) -> Patched:
    one = found.nodes[node]
    assert isinstance(one, Known), one
    return one.value


@pytest.mark.parametrize("seed", range(4))
def test_nothing_young_is_ever_ordered_and_every_host_says_the_same(seed: int) -> None:
    rng = random.Random(seed)
    hosts = (Host(anew=False), Host(anew=True))
    have = {node: {"one": "1", "two": "1", "idle": "1"} for node in NODES}
    first: dict[object, datetime] = {}
    offers = [a_deb(name, "1") for name in ("one", "two", "idle")]
    ordered = 0
    for day in range(60):
        now = BEGIN + day * DAY + timedelta(hours=rng.randrange(20))
        if day % 3 == 0:  # one archive replaces, the other piles up
            offers = [patch for patch in offers if patch.name != "one"] + [a_deb("one", f"1.{day}")]
        if rng.random() < 0.2:
            offers.append(a_deb("two", f"1.{day}", checksum=f"sha256:{rng.randrange(2)}"))
        facts = {node: told(have[node], offers, now, node) for node in NODES if node != "c" or day % 2}
        for patch in offers:
            first.setdefault(key_of(patch), now.replace(microsecond=0))
        looks = [host.look(facts, now) for host in hosts]
        assert looks[0].nodes == looks[1].nodes
        assert hosts[0].ledger.archives == hosts[1].ledger.archives
        again = hosts[0].surveyor.survey(
            STATE, ASKED, facts, hosts[0].history, PatchBooks(ledger=hosts[0].ledger, reported=facts), now
        )
        assert again.nodes == looks[0].nodes
        for node in facts:
            patched = of(looks[0], node)
            order = patched.orders[INSTALL]
            for pin in () if order is None else order.pins:
                ordered += 1
                (seen,) = [
                    when for key, when in first.items() if key[:2] == (pin.name, pin.version) and key[3] == pin.checksum
                ]  # type: ignore[index] - keys of a ledger are tuples
                assert now - seen >= 7 * DAY, pin
                if rng.random() < 0.5:
                    have[node] = {**have[node], pin.name: pin.version}
            assert all(date > now for date in patched.upcoming.values())
    assert ordered > 5


def test_a_package_that_is_replaced_too_often_is_never_starved_in_silence() -> None:
    host = Host(anew=True)
    have = {"one": "1"}
    for day in range(60):
        now = BEGIN + day * DAY
        offers = [a_deb("one", f"1.{day - day % 3}")]
        found = of(host.look({node: told(have, offers, now, node) for node in NODES}, now), NODES[0])
        assert found.orders[INSTALL] is None
        # A version that passed its wait after it was gone is missing, and the reason names it and its successor.
        if day >= 7:
            (missing,) = found.rows
            assert "is gone since" in missing.reason
            assert "its successor" in missing.reason
            assert found.compliance.status is ComplianceStatus.NON_COMPLIANT


def test_a_node_that_announces_a_version_ahead_of_time_makes_nobody_elses_older() -> None:
    host = Host(anew=False)
    have = {"one": "1"}
    true, lie = a_deb("one", "2", checksum="sha256:true"), a_deb("one", "2", checksum="sha256:lie")
    for day in range(12):
        now = BEGIN + day * DAY
        shown = {node: [lie] if node == "c" else [true] if day >= 5 else [] for node in NODES}
        facts = {node: told(have, shown[node], now, node) for node in NODES}
        found = host.look(facts, now)
        (lied, honest) = (of(found, NODES[2]).orders[INSTALL], of(found, NODES[0]).orders[INSTALL])
        assert (lied is not None) is (day >= 7)
        assert (honest is not None) is (day >= 12)
        if day == 5:
            assert any("has new content" in finding.reason for finding in found.findings)


def test_while_the_clock_is_doubted_nothing_is_dated_and_nothing_more_is_approved() -> None:
    host = Host(anew=False)
    have, offers = {"one": "1"}, [a_deb("one", "2")]

    def facts(now: datetime) -> Mapping[NodeId, Facts]:
        return {node: told(have, offers, now, node) for node in NODES}

    host.look(facts(BEGIN), BEGIN)
    ahead = BEGIN + 30 * DAY
    books = PatchBooks(
        ledger=host.ledger,
        committed_at=BEGIN,
        reported=host.reported,
        clock_before=BEGIN,
        elapsed=timedelta(minutes=10),
    )
    found = host.surveyor.survey(STATE, ASKED, facts(ahead), host.history, books, ahead)
    assert found.clock.startswith("clock: it jumped")
    assert found.ledger is host.ledger
    assert of(found, NODES[0]).orders[INSTALL] is None
    assert of(found, NODES[0]).clock == found.clock
    by_nodes = host.surveyor.survey(
        STATE, ASKED, facts(ahead), host.history, replace(books, elapsed=None), ahead, node_skews=[-2.6e6, -2.6e6, 0.0]
    )
    assert "median" in by_nodes.clock
