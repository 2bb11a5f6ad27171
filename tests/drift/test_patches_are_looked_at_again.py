"""A fleet's patches, pass after pass: what did not change is not looked at, and everything is said as by who looks for the first time."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.documents.patch_overrides import read_baseline_override
from reconciler.drift.patch_told import Reader
from reconciler.drift.patched import PatchBooks, PatchSurvey
from reconciler.drift.patches import PatchSurveyor, with_patches
from reconciler.ids import AssociationName, Digest, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import JsonValue, Known, Observed
from reconciler.model.patch import Family, Index, Installed, Patch
from reconciler.model.patch_lines import installed_line, patch_line
from reconciler.model.patch_request import InstallOverride, Operation, PatchRequest
from reconciler.model.read_state import desired_state
from reconciler.patching.states import PatchState

BASELINE = b"""\
Name: now
OperatingSystem: DEBIAN
Default: true
ApprovalRules:
  PatchRules:
    - PatchFilterGroup: {PatchFilters: [{Key: SECTION, Values: [web]}]}
      ApproveAfterDays: 3
    - PatchFilterGroup: {PatchFilters: [{Key: PRODUCT, Values: ['*']}]}
      ApproveAfterDays: 7
RejectedPatches: [{Id: p3, Owner: ops, Reason: it broke, Expires: 2026-03-20}]
"""
SECURITY = Index(
    repository="deb.example.org",
    origin="Debian",
    label="Debian-Security",
    suite="stable-security",
    codename="bookworm-security",
    component="main",
)
BEGIN = datetime(2026, 3, 1, 10, tzinfo=UTC)
LISTS: Mapping[str, JsonValue] = {
    "origin": "Debian",
    "label": "Debian-Security",
    "suite": "stable-security",
    "codename": "bookworm-security",
    "component": "main",
    "trusted": True,
    "fetched": True,
    "release": "r",
}


def fleet(count: int) -> DesiredState:
    nodes = "---\n".join(f"Id: n{number}\nAddress: 10.0.0.{number + 1}\n" for number in range(count))
    return desired_state(
        {"state/fleet.yaml": b"Fleet: x\n", "state/nodes/n.yaml": nodes.encode(), "baselines/now.yaml": BASELINE}
    )


def offered(name: str, version: int) -> Patch:
    return Patch(
        family=Family.APT,
        name=name,
        arch="amd64",
        version=f"1.{version}-1",
        section="web" if name == "p1" else "libs",
        checksum=f"sha256:{hash((name, version)) & 0xFFFFFF:064x}",
        indexes=(SECURITY,),
    )


class Server:
    """A node that changes now and then; a section that did not is the very record of the look before."""

    def __init__(self, number: int) -> None:
        self.id = NodeId(f"n{number}")
        self.installed = {f"p{each}": 0 for each in range(6)}
        self.newest = dict(self.installed)
        self.sections: dict[str, Observed[Mapping[str, JsonValue]]] = {
            "os": Known({"id": "debian", "version_id": "12", "family": "debian", "arch": "x86_64"}),
            "identity": Known({"machine_id": f"{number:032x}"}),
            "repositories": Known({"deb.example.org bookworm-security main": LISTS}),
            "dpkg": Known({"installs_by_itself": False, "timers": []}),
        }
        self.tell(BEGIN)

    def tell(self, now: datetime) -> None:
        self.sections |= {
            "installed": Known(
                {
                    f"{name}.amd64": [installed_line(Installed(name=name, arch="amd64", version=f"1.{version}-1"))]
                    for name, version in self.installed.items()
                }
            ),
            "available": Known(
                {
                    f"{name}.amd64": [patch_line(offered(name, each)) for each in {self.installed[name], newest}]
                    for name, newest in self.newest.items()
                }
            ),
            "metadata": Known({"r": {"fetched": f"{now:%Y-%m-%dT%H:%M:%SZ}"}}),
        }

    def facts(self) -> Facts:
        return Facts(node=self.id, sections=dict(self.sections))


HOTFIX = AssociationName("hotfix")


def by_another() -> PatchRequest:
    """Ask by a BaselineOverride, in a record of its own."""
    text = b'[{"Name": "other", "OperatingSystem": "DEBIAN", "ApprovedPatches": ["p1"]}]'
    return PatchRequest(operation=Operation.SCAN, baselines=read_baseline_override(text), baselines_digest="f" * 64)


def same(one: PatchSurvey, other: PatchSurvey) -> None:
    assert one.nodes == other.nodes
    assert (one.gone, one.booted, one.clock) == (other.gone, other.booted, other.clock)
    assert one.ledger.archives == other.ledger.archives
    assert one.findings == other.findings


@pytest.mark.parametrize("seed", range(6))
def test_a_look_at_what_did_not_change_says_what_a_first_look_says(seed: int) -> None:
    rng = random.Random(seed)
    desired = fleet(4)
    servers = [Server(number) for number in range(4)]
    meant: dict[NodeId, dict[AssociationName, PatchRequest | None]] = {server.id: {} for server in servers}
    surveyor, history, books, now = PatchSurveyor(), History(), PatchBooks(), BEGIN
    for _ in range(40):
        now += timedelta(hours=rng.choice([1, 1, 6, 24, 60]))
        for server in servers:
            if rng.random() < 0.2:
                name = rng.choice(sorted(server.installed))
                if rng.random() < 0.5:
                    server.installed[name] = server.newest[name]
                else:
                    server.newest[name] += 1
                server.tell(now)
        facts = {server.id: server.facts() for server in servers}
        found = surveyor.survey(desired, meant, facts, history, books, now)
        same(found, PatchSurveyor().survey(desired, meant, facts, history, books, now))
        if rng.random() < 0.1:
            desired = replace(desired, baselines=dict(desired.baselines))
        history = with_patches(history, found)
        books = PatchBooks(ledger=found.ledger, committed_at=now.replace(microsecond=0), reported=facts)


def test_a_pass_in_which_nothing_changed_reads_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    desired, servers = fleet(3), [Server(number) for number in range(3)]
    meant: dict[NodeId, dict[AssociationName, PatchRequest | None]]
    meant = {server.id: {HOTFIX: by_another()} for server in servers}
    facts = {server.id: server.facts() for server in servers}
    surveyor = PatchSurveyor()
    first = surveyor.survey(desired, meant, facts, History(), PatchBooks(), BEGIN)
    books = PatchBooks(ledger=first.ledger, committed_at=BEGIN, reported=facts)
    told = surveyor.survey(desired, meant, facts, History(), books, BEGIN + timedelta(minutes=1))

    def read(*_: object) -> None:
        raise AssertionError("rows were read")

    monkeypatch.setattr(Reader, "told", read)
    meant = {server.id: {HOTFIX: by_another()} for server in servers}  # the document was rendered anew
    later = surveyor.survey(
        desired,
        meant,
        {server.id: server.facts() for server in servers},
        History(),
        books,
        BEGIN + timedelta(minutes=2),
    )
    assert later.nodes == told.nodes


def test_a_list_that_grows_old_is_noticed_though_nothing_on_the_node_changed() -> None:
    desired, server = fleet(1), Server(0)
    surveyor, facts = PatchSurveyor(), {server.id: server.facts()}
    words = []
    books = PatchBooks()
    for hours in (1, 2, 24 * 30):
        found = surveyor.survey(desired, {server.id: {}}, facts, History(), books, BEGIN + timedelta(hours=hours))
        books = PatchBooks(ledger=found.ledger, committed_at=BEGIN, reported=facts)
        (patched,) = found.nodes.values()
        assert isinstance(patched, Known)
        words.append(patched.value.compliance.reason)
    assert words[0] == words[1] == "all 6 rows are compliant"
    assert "its list is more than" in words[2]


def test_an_approval_comes_at_its_minute_and_not_with_the_next_day() -> None:
    server, surveyor, desired = Server(0), PatchSurveyor(), fleet(1)
    server.newest["p0"] = 1
    server.tell(BEGIN + timedelta(days=7))
    states, ledger = [], None
    for after in (timedelta(0), timedelta(days=7, minutes=-2), timedelta(days=7, minutes=-1), timedelta(days=7)):
        books = PatchBooks() if ledger is None else PatchBooks(ledger=ledger, committed_at=BEGIN)
        facts = {server.id: server.facts()}
        found = surveyor.survey(desired, {server.id: {}}, facts, History(), books, BEGIN + after)
        ledger = found.ledger
        (patched,) = found.nodes.values()
        assert isinstance(patched, Known)
        states.append([row.state for row in patched.value.rows])
    assert states == [[], [], [], [PatchState.MISSING]]


def test_what_a_list_did_not_bring_has_failed_approved_or_not_and_nothing_else() -> None:
    """SSM: an approved patch that is not on the InstallOverrideList stays missing."""
    desired, server, at = fleet(1), Server(0), BEGIN + timedelta(days=10)
    server.newest |= {"p0": 1, "p1": 1, "p3": 1}
    server.tell(BEGIN)
    facts = {server.id: server.facts()}
    seen = PatchSurveyor().survey(desired, {server.id: {}}, facts, History(), PatchBooks(), BEGIN)
    books = PatchBooks(ledger=seen.ledger, committed_at=BEGIN, reported=facts)
    listed = tuple(InstallOverride(id=name) for name in ("p1", "p3", "p4"))
    asked = {server.id: {HOTFIX: PatchRequest(operation=Operation.INSTALL, overrides=listed)}}
    ran = Applied(definition=Digest("d"), definition_since=BEGIN, first_matched=BEGIN, executions=1)
    ran = replace(ran, status=RunStatus.FAILED, started=at - timedelta(hours=1), ended=at - timedelta(hours=1))
    node = NodeHistory(node=server.id, applied={HOTFIX: ran})
    later = {server.id: Facts(node=server.id, sections=dict(server.sections))}
    for history, states in (
        (History(), {"p0": "MISSING", "p1": "MISSING"}),
        (History(nodes={server.id: node}), {"p0": "MISSING", "p1": "FAILED", "p3": "FAILED"}),
    ):
        found = PatchSurveyor().survey(desired, asked, later, history, books, at)
        patched = found.nodes[server.id]
        assert isinstance(patched, Known)
        assert {row.id.partition(".")[0]: row.state.value for row in patched.value.rows} == states


def test_what_history_and_the_report_say_of_gone_versions_counts_at_once() -> None:
    server, desired, surveyor = Server(0), fleet(1), PatchSurveyor()
    facts = {server.id: server.facts()}
    server.newest["p0"] = 1
    server.tell(BEGIN)
    had = {server.id: Facts(node=server.id, sections=dict(server.sections))}
    first = surveyor.survey(desired, {server.id: {}}, facts, History(), PatchBooks(), BEGIN)
    books = PatchBooks(ledger=first.ledger, committed_at=BEGIN)
    assert first.gone == {server.id: {}}
    dropped = surveyor.survey(desired, {server.id: {}}, facts, History(), replace(books, reported=had), BEGIN)
    line = patch_line(offered("p0", 1))
    assert dropped.gone == {server.id: {line: BEGIN}}
    earlier = BEGIN - timedelta(days=2)
    history = History(nodes={server.id: NodeHistory(node=server.id, gone={line: earlier})})
    later = surveyor.survey(desired, {server.id: {}}, facts, history, replace(books, reported=had), BEGIN)
    assert later.gone == {server.id: {line: earlier}}
