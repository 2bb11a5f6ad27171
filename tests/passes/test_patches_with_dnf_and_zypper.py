"""Patches of nodes with dnf and with zypper, all the way: seen, waited for, installed by exact version, rebooted, compliant."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.ids import NodeId
from reconciler.model.outcome import Disposition
from tests.support.nodes import Fleet
from tests.support.rpm_repository import (
    Advisory,
    Rpm,
    RpmPackages,
    rpm_fleet,
)
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

ROCKY_01, LEAP_02 = NodeId("web-01"), NodeId("web-02")
BASELINE = """\
Name: NAME
OperatingSystem: SYSTEM
Default: true
Refresh: before-scan
MetadataMaxAgeHours: 8760
ApprovalRules:
  PatchRules:
    - PatchFilterGroup:
        PatchFilters: [{Key: CLASSIFICATION, Values: [Security]}, {Key: SEVERITY, Values: [Critical, Important]}]
      ComplianceLevel: HIGH
      ApproveAfterDays: 7
"""
INSTALL = """\
AssociationName: patches
Name: AWS-RunPatchBaseline
Targets: [{Key: 'tag:Role', Values: [web]}]
Parameters: {Operation: [Install], RebootOption: [RebootIfNeeded]}
MaxConcurrency: '2'
"""
HELLO = [Rpm(name="hello", version=f"1.{n}-1") for n in range(3)]
DAYS = timedelta(days=1)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with rpm_fleet(tmp_path_factory.mktemp("nodes")) as started:
        yield started


@pytest.fixture(scope="module")
def packages(fleet: Fleet) -> RpmPackages:
    return RpmPackages(fleet.nodes[0])


def offer(packages: RpmPackages, fleet: Fleet, some: Sequence[Rpm]) -> None:
    """Let both nodes' repository offer exactly these, all but the first by a notice of long ago."""
    packages.publish(
        "updates", some, notices=[Advisory(id=f"RHSA-2026:{one.version}", packages=[one]) for one in some[1:]]
    )
    packages.copy_to(fleet.nodes[1])


def committed(site: Site, folder: str, name: str) -> dict[str, Any]:
    paths = site.git("ls-tree", "-r", "--name-only", "compliance").split()
    (path,) = [path for path in paths if path.startswith(f"{folder}/") and path.endswith(f"/{name}.json")]
    found: dict[str, Any] = json.loads(site.git("show", f"compliance:{path}"))
    return found


def test_what_has_waited_is_installed_by_its_exact_version_and_the_next_pass_does_nothing(
    fleet: Fleet, packages: RpmPackages, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rocky, leap = fleet.nodes
    offer(packages, fleet, HELLO[:1])
    for node in fleet.nodes:
        node.run(["sh", "-c", "rpm -i --force-debian --nodeps /srv/rpm/updates/hello-1.0-1.noarch.rpm"])
    site = Site(tmp_path_factory.mktemp("site"), fleet)
    site.standard(fleet.nodes)
    baselines = {"rocky": "ROCKY_LINUX", "leap": "SUSE"}
    files = {
        f"baselines/{name}.yaml": BASELINE.replace("NAME", name).replace("SYSTEM", system)
        for name, system in baselines.items()
    }
    site.commit({"state/associations/motd.yaml": None, "state/associations/patches.yaml": INSTALL, **files})
    begin = datetime.now(UTC).replace(microsecond=0)
    site.once(at=begin - timedelta(minutes=2))  # what a node runs is known after its first answer

    offer(packages, fleet, HELLO[:2])
    first = site.once(at=begin)
    assert first.outcomes == ()
    entries = json.loads(site.git("show", "compliance:ledger/updates.json"))["entries"]
    assert [key.split()[:3] for key in entries if "1.1-1" in key] == [["hello", "1.1-1", "noarch"]]
    approved = f"{begin + 7 * DAYS:%Y-%m-%dT%H:%M:%SZ}"
    assert committed(site, "nodes", "web-01")["upcoming"] == {"rocky/hello.noarch:0:1.1-1": approved}
    assert committed(site, "nodes", "web-02")["upcoming"] == {"leap/hello.noarch:0:1.1-1": approved}

    offer(packages, fleet, HELLO)
    assert site.once(at=begin + 3 * DAYS).outcomes == ()

    done = site.once(at=begin + 7 * DAYS)
    ran = {one.node: (one.disposition, one.record.status.value) for one in done.outcomes if one.record is not None}
    assert ran == dict.fromkeys((ROCKY_01, LEAP_02), (Disposition.RAN, "Success")), done.outcomes
    for node in (rocky, leap):
        assert node.run(["rpm", "-q", "hello"]).stdout == "hello-1.1-1.noarch\n"
        assert node.boots == 2
    # The pass's clock stands still: the boot counts as one before the install began until another minute is over.
    again = site.once(at=begin + 7 * DAYS + timedelta(minutes=1))
    assert (again.outcomes, again.all_in_sync) == ((), True)
    for name, node in (("rocky", "web-01"), ("leap", "web-02")):
        told = committed(site, "nodes", node)
        assert (told["status"], told["baselines"][name]["status"]) == ("COMPLIANT", "COMPLIANT"), told
        assert told["baselines"][name]["counts"]["INSTALLED"] == 1
        assert set(told["upcoming"]) == {f"{name}/hello.noarch:0:1.2-1"}
    assert "1.1" in site.command("patch", "explain", "web-02", "hello").stdout


def test_an_approved_version_that_its_repository_dropped_stays_told_without_its_notice(
    fleet: Fleet, packages: RpmPackages, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The notice leaves the lists with its package; what it said counts as long as the version is missing, also for a daemon set up anew."""
    old = [Rpm(name="brief", version=f"1.{n}-1") for n in range(3)]
    offer(packages, fleet, old[:1])
    for node in fleet.nodes:
        node.run(["sh", "-c", "rpm -i --force-debian --nodeps /srv/rpm/updates/brief-1.0-1.noarch.rpm"])
    site = Site(tmp_path_factory.mktemp("gone"), fleet)
    site.standard(fleet.nodes, "Fleet: gone\n")
    baselines = {"rocky": "ROCKY_LINUX", "leap": "SUSE"}
    files = {
        f"baselines/{name}.yaml": BASELINE.replace("NAME", name).replace("SYSTEM", system)
        for name, system in baselines.items()
    }
    site.commit({"state/associations/motd.yaml": None, **files})
    begin = datetime.now(UTC).replace(microsecond=0)
    site.once(at=begin - timedelta(minutes=2))
    offer(packages, fleet, old[:2])
    site.once(at=begin)
    offer(packages, fleet, [old[0], old[2]])
    site.once(at=begin + DAYS)
    since = f"approved 1.1-1 is gone since {begin + DAYS:%Y-%m-%d}"
    for number, after in enumerate((7 * DAYS, 7 * DAYS + timedelta(minutes=1)), 1):
        site.once(at=begin + after, state_dir=site.folder / f"anew-{number}")
        for name in ("web-01", "web-02"):
            told = committed(site, "nodes", name)
            (row,) = [one for one in told["patches"].values() if one["id"] == "brief.noarch"]
            assert (row["state"], row["approved"], row.get("target", "")) == ("MISSING", "1.1-1", ""), row
            assert since in row["reason"], row
            assert (row["severity"], row["classification"]) == ("Important", "security")
    assert "notice RHSA-2026:1.1-1 (security Important)" in site.command("patch", "explain", "web-02", "brief").stdout


def test_an_association_goes_by_the_baseline_that_its_tags_choose_and_a_newer_version_has_a_row_of_its_own(
    fleet: Fleet, packages: RpmPackages, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What waits for a reboot and misses the next version has two rows, and both count."""
    some = [Rpm(name="tagged", version=f"1.{n}-1") for n in range(3)]
    offer(packages, fleet, some[:1])
    for node in fleet.nodes:
        node.run(["sh", "-c", "rpm -i --force-debian --nodeps /srv/rpm/updates/tagged-1.0-1.noarch.rpm"])
    site = Site(tmp_path_factory.mktemp("tagged"), fleet)
    site.standard(fleet.nodes, "Fleet: tagged\n")
    files = {}
    for name, system in {"rocky": "ROCKY_LINUX", "leap": "SUSE"}.items():
        text = BASELINE.replace("SYSTEM", system)
        files[f"baselines/{name}.yaml"] = text.replace("NAME", name)
        quick = text.replace("Default: true", "Tags: {Environment: Production}").replace("Days: 7", "Days: 0")
        files[f"baselines/quick-{name}.yaml"] = quick.replace("NAME", f"quick-{name}")
    parameters = (
        "{Operation: [OPERATION], BaselineTags: ['Key=Environment,Values=Test,Production'], RebootOption: [NoReboot]}"
    )
    association = INSTALL.replace("AWS-RunPatchBaseline", "AWS-RunPatchBaselineAssociation")
    association = association.replace("{Operation: [Install], RebootOption: [RebootIfNeeded]}", parameters)
    scan, install = (association.replace("OPERATION", word) for word in ("Scan", "Install"))
    site.commit({"state/associations/motd.yaml": None, "state/associations/patches.yaml": scan, **files})
    begin = datetime.now(UTC).replace(microsecond=0)
    site.once(at=begin - timedelta(minutes=2))

    def states(minutes: int) -> dict[str, dict[str, str]]:
        site.once(at=begin + timedelta(minutes=minutes))
        told = {"web-01": "quick-rocky", "web-02": "quick-leap"}
        found: dict[str, dict[str, str]] = {}
        for node, baseline in told.items():
            reported = committed(site, "nodes", node)
            rows = {key.removeprefix(f"{baseline}/"): row["state"] for key, row in reported["patches"].items()}
            found[node] = {key: state for key, state in rows.items() if key.startswith("tagged")}
        return found

    def on_both(**rows: str) -> dict[str, dict[str, str]]:
        found = {f"tagged.noarch:0:1.{version[1:]}-1": state for version, state in rows.items()}
        return {"web-01": found, "web-02": found}

    offer(packages, fleet, some[:2])
    assert states(70) == on_both(v1="MISSING")
    for node in ("web-01", "web-02"):
        assert any(key.endswith("tagged.noarch:0:1.1-1") for key in committed(site, "nodes", node)["upcoming"]), (
            "by its own baseline it waits"
        )
    site.commit({"state/associations/patches.yaml": install})
    states(71)  # a document that never went well goes to one node at a time
    assert states(72) == on_both(v1="INSTALLED_PENDING_REBOOT")
    site.commit({"state/associations/patches.yaml": scan})
    offer(packages, fleet, some)
    assert states(140) == on_both(v1="INSTALLED_PENDING_REBOOT", v2="MISSING")
    for node, baseline in (("web-01", "quick-rocky"), ("web-02", "quick-leap")):
        reported = committed(site, "nodes", node)
        rows = Counter(row["state"] for key, row in reported["patches"].items() if key.startswith(f"{baseline}/"))
        counts = reported["baselines"][baseline]["counts"]
        for state in ("INSTALLED_PENDING_REBOOT", "MISSING"):
            assert counts[state] == rows[state] >= 1
    site.commit({"state/associations/patches.yaml": install})
    states(141)
    assert states(142) == on_both(v2="INSTALLED_PENDING_REBOOT")
