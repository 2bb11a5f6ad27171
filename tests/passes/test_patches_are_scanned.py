"""Patches in whole passes over a real node with apt: dates go into git, approvals come with the pass's clock, and are reported."""

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.daemon.passing import PassResult
from reconciler.drift.finding import Cause, State
from reconciler.ids import AssociationName, NodeId
from reconciler.model.history import RunStatus
from reconciler.model.known import Known
from reconciler.patching.node_compliance import ComplianceStatus
from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import TestNode, start_fleet
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

WEB = NodeId("web-01")
BASELINE = """\
Name: Ours
OperatingSystem: DEBIAN
Default: true
Refresh: never
MetadataMaxAgeHours: 8760
ApprovalRules:
  PatchRules:
    - PatchFilterGroup: {PatchFilters: [{Key: PRIORITY, Values: ['*']}]}
      ComplianceLevel: HIGH
      ApproveAfterDays: 7
"""
SCAN = """\
AssociationName: scan
Name: AWS-RunPatchBaseline
Targets: [{Key: InstanceIds, Values: [web-01]}]
Parameters: {Operation: [Scan]}
"""
INSTALL = """\
AssociationName: install
Name: AWS-RunPatchBaseline
Targets: [{Key: InstanceIds, Values: [web-01]}]
Parameters: {Operation: [Install], RebootOption: [NoReboot]}
Mode: warn
"""
DAYS = timedelta(days=1)


class Patching:
    """One node with packages of the tests' own, and the site that keeps it."""

    def __init__(self, folder: Path, site: Site, node: TestNode) -> None:
        self.site = site
        self.node = node
        self.repository = AptRepository(folder / "apt")
        self.begin = datetime.now(UTC).replace(microsecond=0)
        self.last: PassResult

    def publish(self, *security: Package) -> None:
        """Let the security archive offer exactly these, and the node know it."""
        old = [
            Package(name=name, version=version)
            for name, version in (("hello", "1.0"), ("other", "1"), ("stubborn", "1"))
        ]
        self.repository.publish("bookworm", old)
        self.repository.publish("bookworm-security", security, label="Debian-Security")
        self.repository.install_into(self.node.root)
        self.node.run(["apt-get", "-q", "update"])

    def report(self) -> dict[str, Any]:
        """Give the node's file of the compliance branch."""
        return self.file("nodes")

    def ledger(self) -> dict[str, str]:
        """Give the entries of the security archive."""
        said = self.site.git("show", "compliance:ledger/Debian-Security-bookworm-security.json")
        entries: dict[str, str] = json.loads(said)["entries"]
        return entries

    def file(self, folder: str) -> dict[str, Any]:
        names = self.site.git("ls-tree", "-r", "--name-only", "compliance").split()
        (path,) = [name for name in names if re.fullmatch(rf"{folder}/../web-01\.json", name)]
        found: dict[str, Any] = json.loads(self.site.git("show", f"compliance:{path}"))
        return found


@pytest.fixture(scope="module")
def patching(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Patching]:
    folder = tmp_path_factory.mktemp("scanned")
    with start_fleet(folder / "nodes", 1) as fleet:
        (node,) = fleet.nodes
        site = Site(folder / "site", fleet)
        site.standard(fleet.nodes)
        site.commit({"state/associations/motd.yaml": None})
        patching = Patching(folder, site, node)
        patching.publish()
        node.run(["sh", "-ec", "apt-get -qy install hello=1.0 other"])
        yield patching


def test_a_version_is_approved_in_the_pass_after_its_wait_and_reported(patching: Patching) -> None:
    site, begin = patching.site, patching.begin
    patching.publish(Package(name="hello", version="1.0+deb12u1"))
    site.commit({"baselines/ours.yaml": BASELINE, "state/associations/scan.yaml": SCAN})
    first = site.once(at=begin)
    assert any("ledger seed" in warning for warning in first.warnings)
    (key,) = patching.ledger()
    assert key.startswith("hello 1.0+deb12u1 all sha256:")
    assert patching.ledger()[key] == f"{begin:%Y-%m-%dT%H:%M:%SZ} web-01"
    approved = begin + 7 * DAYS
    assert patching.report()["upcoming"] == {"Ours/hello.all:1.0+deb12u1": f"{approved:%Y-%m-%dT%H:%M:%SZ}"}
    assert patching.report()["status"] == "COMPLIANT"
    reports = site.reports()
    site.once(at=approved - timedelta(seconds=1))
    assert site.reports() == reports
    site.once(at=approved)
    told = patching.report()
    assert (told["status"], told["baselines"]["Ours"]["status"]) == ("NON_COMPLIANT", "NON_COMPLIANT")
    assert told["findings"]["scan"]["state"] == "InSync"
    (row,) = told["patches"].values()
    assert (row["state"], row["level"], row["target"]) == ("MISSING", "HIGH", "1.0+deb12u1")
    assert row["approval_date"] == f"{approved:%Y-%m-%dT%H:%M:%SZ}"
    assert "upcoming" not in told
    reports = site.reports()
    elsewhere = site.once(at=approved + timedelta(seconds=1), state_dir=site.folder / "another-host")
    assert elsewhere.reports[WEB].patches == site.once(at=approved + timedelta(seconds=2)).reports[WEB].patches
    assert site.reports() == reports


def test_the_report_is_exported_with_the_columns_of_systems_manager(patching: Patching) -> None:
    site = patching.site
    told = site.command("patch", "report", check=2).stdout
    (row,) = csv.DictReader(io.StringIO(told))
    named = ("Instance ID", "Patch baseline", "Compliance status", "Compliance severity", "Platform version")
    # The last pass lies a week ahead of this machine's clock: such a report is not valid now.
    assert [row[name] for name in named] == ["web-01", "Ours", "UNKNOWN", "HIGH", "12"]
    assert row["Noncompliant High severity patch count"] == "1"
    rows = json.loads(site.command("patch", "report", "--patches", "--format", "json", check=2).stdout)["patches"]
    assert [(row["Patch name"], row["Patch state"]) for row in rows] == [("hello.all:1.0+deb12u1", "MISSING")]
    page = site.git("show", "compliance:README.md")
    assert "| all | 1 | 0 | 1 | 0 | 1 |" in page
    assert "hello.all:1.0+deb12u1 MISSING" in page


def test_a_seed_is_written_for_review_and_counts_once_it_is_committed(patching: Patching) -> None:
    site = patching.site
    site.command("ledger", "seed", "snapshot", "--date", "2025-01-01", check=0)
    assert "is there already" in site.command("ledger", "seed", "snapshot", "--date", "2025-01-01", check=64).stderr
    written = site.repo / "state/ledger-seeds/seed.yaml"
    assert "hello" in written.read_text()
    site.commit({})
    seeded = site.once(at=patching.begin + 7 * DAYS + timedelta(seconds=10)).reports[WEB].patches
    assert seeded is not None
    assert [(row.title, row.date_source) for row in seeded.rows] == [("hello.all:1.0+deb12u1", "seed")]
    site.commit({"state/ledger-seeds/seed.yaml": None})


def test_an_install_is_planned_with_the_very_files_that_are_missing(patching: Patching) -> None:
    site, approved = patching.site, patching.begin + 7 * DAYS
    site.commit({"state/associations/install.yaml": INSTALL.replace("Mode: warn\n", "")})
    with site.controller(at=approved + timedelta(minutes=1)) as controller:
        (item,) = controller.plan(limit=()).plan.items
    assert (item.association, item.cause) == (AssociationName("install"), Cause.PENDING)
    assert item.patches is not None
    (pin,) = item.patches.pins
    assert (pin.name, pin.version, pin.installed, item.patches.reboot.value) == (
        "hello",
        "1.0+deb12u1",
        "1.0",
        "NoReboot",
    )
    assert next(iter(patching.ledger())).endswith(pin.checksum)
    site.commit({"state/associations/install.yaml": INSTALL})
    site.once(at=approved + timedelta(minutes=1))
    assert patching.report()["findings"]["install"]["state"] == State.PENDING.value
    patching.node.run(["apt-get", "-qy", "install", "hello=1.0+deb12u1"])
    done = site.once(at=approved + timedelta(minutes=2))
    told = patching.report()
    assert told["findings"]["install"]["state"] == State.IN_SYNC.value
    assert told["status"] == "COMPLIANT"
    assert told["baselines"]["Ours"]["counts"]["INSTALLED"] == 1
    assert done.all_in_sync


def test_whoever_rewrites_the_ledger_shortens_no_wait_and_is_told(patching: Patching) -> None:
    """A daemon that saw it come, and one that is set up anew from git alone, say the same."""
    site, later = patching.site, patching.begin + 20 * DAYS
    patching.publish(
        Package(name="hello", version="1.0+deb12u1"),
        Package(name="hello", version="1.0+deb12u2"),
        Package(name="other", version="2"),
    )
    site.once(at=later)
    before = patching.ledger()
    assert len(before) == 3
    path = "ledger/Debian-Security-bookworm-security.json"
    honest = site.git("show", f"compliance:{path}") + "\n"
    moved = "\n".join(
        line.replace(f"{later:%Y-%m-%dT%H:%M:%SZ}", "2020-01-01T00:00:00Z")
        for line in honest.splitlines()
        if not line.startswith('"other ')
    )
    moved = moved.replace(",\n}\n}", "\n}\n}") + "\n"
    worktree = site.folder / "forger"
    site.git("clone", "--quiet", "--branch", "compliance", str(site.repo), str(worktree))
    (worktree / path).write_text(moved)
    site.git("commit", "--quiet", "--all", "-m", "Nothing to see", repo=worktree)
    site.git("push", "--quiet", "origin", "HEAD:compliance", repo=worktree)
    told = [site.once(at=later + timedelta(minutes=n), state_dir=site.folder / f"anew-{n}").problems for n in (1, 2)]
    assert any("hello 1.0+deb12u2 (all): its date was moved" in problem for problem in told[0])
    assert any("other 2 (all): its entry was deleted; it stays" in problem for problem in told[0])
    assert patching.ledger() == before
    assert set(told[1]) >= {problem for problem in told[0] if "date was moved" in problem}
    seen = site.once(at=later + timedelta(minutes=3)).reports[WEB].patches
    assert seen is not None
    assert set(seen.upcoming) == {"hello.all:1.0+deb12u2", "other.all:2"}


def test_an_install_runs_once_where_something_is_approved_and_never_again(patching: Patching) -> None:
    """Wait, approval, install of the very pins, look again: and the next pass does nothing."""
    site, later = patching.site, patching.begin + 20 * DAYS
    site.commit({"state/associations/install.yaml": INSTALL.replace("Mode: warn\n", "")})
    waiting = site.once(at=later + timedelta(hours=1))
    assert waiting.outcomes == ()
    done = site.once(at=later + 7 * DAYS)
    (outcome,) = done.outcomes
    assert outcome.record is not None, outcome.reason
    assert outcome.record.status is RunStatus.SUCCESS, outcome.reason
    assert versions(patching.node) == {"hello": "1.0+deb12u2", "other": "2"}
    told = patching.report()
    assert (told["findings"]["install"]["state"], told["status"]) == ("InSync", "NON_COMPLIANT")
    states = {row["id"]: row["state"] for row in told["patches"].values()}
    assert states == {"hello.all": "INSTALLED_PENDING_REBOOT", "other.all": "INSTALLED_PENDING_REBOOT"}
    reports = site.reports()
    assert site.once(at=later + 7 * DAYS + timedelta(seconds=1)).outcomes == ()
    assert site.reports() == reports


def test_each_state_is_met_on_the_way_from_missing_to_installed(patching: Patching) -> None:
    site, node, start = patching.site, patching.node, patching.begin + 40 * DAYS
    node.reboot()
    at_once = BASELINE.replace("ApproveAfterDays: 7", "ApproveAfterDays: 0")
    reject = "RejectedPatches: [{Id: other, Owner: ops, Reason: breaks}]\nRejectedPatchesAction: BLOCK\n"
    site.commit({"baselines/ours.yaml": at_once + reject, "state/associations/install.yaml": INSTALL})
    extra = Package(name="hello-extra", version="1")
    needing = Package(name="hello", version="1.0+deb12u3", fields={"Depends": "hello-extra"})
    patching.publish(needing, extra, Package(name="other", version="2"))
    node.run(["apt-get", "-qy", "install", "stubborn=1"])

    def states(after: timedelta) -> dict[str, str]:
        patching.last = site.once(at=start + after)
        return {row["id"]: row["state"] for row in patching.report().get("patches", {}).values()}

    rejected = {"other.all": "INSTALLED_REJECTED"}
    assert states(timedelta(0)) == rejected | {"hello.all": "MISSING"}
    counts = patching.report()["baselines"]["Ours"]["counts"]
    assert (counts["NOT_APPLICABLE"], counts["INSTALLED_OTHER"] > 1) == (1, True)
    site.commit({"state/associations/install.yaml": INSTALL.replace("Mode: warn\n", "")})
    waiting = {"hello.all": "INSTALLED_PENDING_REBOOT", "hello-extra.all": "INSTALLED_PENDING_REBOOT"}
    assert states(timedelta(minutes=1)) == rejected | waiting
    node.reboot()
    assert states(DAYS) == rejected
    assert patching.report()["baselines"]["Ours"]["counts"]["INSTALLED"] == 2
    assert patching.report()["findings"]["install"]["state"] == "InSync"
    refusing = Package(name="stubborn", version="2", scripts={"preinst": "#!/bin/sh\nexit 1\n"})
    patching.publish(needing, extra, Package(name="other", version="2"), refusing)
    assert states(DAYS + timedelta(hours=1)) == rejected | {"stubborn.all": "FAILED"}
    told = patching.report()
    assert (told["findings"]["install"]["cause"], told["status"]) == ("Failed", "NON_COMPLIANT")
    assert states(DAYS + timedelta(hours=1, seconds=1)) == rejected | {"stubborn.all": "FAILED"}
    assert patching.last.outcomes == ()
    patching.publish(needing, extra, Package(name="other", version="2"), Package(name="stubborn", version="3"))
    assert states(2 * DAYS) == rejected | {"stubborn.all": "INSTALLED_PENDING_REBOOT"}
    site.commit({"state/associations/install.yaml": INSTALL})
    patching.publish(needing, extra, Package(name="other", version="2"), Package(name="stubborn", version="4"))
    states(2 * DAYS + timedelta(hours=1))
    told = patching.report()
    both = {key.rpartition("/")[2]: row["state"] for key, row in told["patches"].items() if row["id"] == "stubborn.all"}
    assert both == {"stubborn.all:3": "INSTALLED_PENDING_REBOOT", "stubborn.all:4": "MISSING"}
    counts = told["baselines"]["Ours"]["counts"]
    assert (counts["INSTALLED_PENDING_REBOOT"], counts["MISSING"]) == (1, 1)
    site.commit({"state/associations/install.yaml": INSTALL.replace("Mode: warn\n", "")})
    assert states(2 * DAYS + timedelta(hours=2)) == rejected | {"stubborn.all": "INSTALLED_PENDING_REBOOT"}
    node.reboot()
    site.commit({"baselines/ours.yaml": at_once})
    assert states(10 * DAYS) == {}
    assert patching.report()["status"] == "COMPLIANT"
    # Whole lists prove it: one that is older than the baseline tolerates, or something else that installs, and nobody knows.
    site.commit({"baselines/ours.yaml": at_once.replace("MetadataMaxAgeHours: 8760", "MetadataMaxAgeHours: 24")})
    assert states(11 * DAYS) == {}
    told = patching.report()
    assert (told["status"], told["findings"]["install"]["state"]) == ("UNKNOWN", "Unknown")
    assert "its list is more than 24 hours old" in told["baselines"]["Ours"]["reason"]


def test_lists_are_refreshed_as_the_baseline_says(patching: Patching) -> None:
    """A refresh runs on the node's own clock: here nothing may be moved."""
    site, now = patching.site, patching.begin + 52 * DAYS
    site.commit({"baselines/ours.yaml": BASELINE.replace("Refresh: never\n", "").replace("8760", "24")})
    patching.repository.publish("bookworm", [Package(name="hello", version="9")])
    shutil.rmtree(patching.node.root / "srv/apt")
    patching.repository.install_into(patching.node.root)
    found = site.once(at=now).reports[WEB]
    told = found.facts.section("refreshed")
    assert isinstance(told, Known)
    assert told.value["@"] == f"{now:%Y-%m-%dT%H:%M:%SZ}"
    assert told.value["file:/srv/apt bookworm"] is None
    assert "|9|" in str(found.facts.get("available", "hello.all"))
    assert found.patches is not None
    assert found.patches.status is not ComplianceStatus.UNKNOWN
    again = site.once(at=now + timedelta(minutes=10)).reports[WEB].facts.section("refreshed")
    assert again == told


def versions(node: TestNode) -> dict[str, str]:
    said = node.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", "hello", "other"]).stdout
    return dict(line.split(" ", 1) for line in said.splitlines())
