"""AWS-RunPatchBaseline on a real node with a real apt: exactly what is approved, and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.drift.finding import State
from reconciler.model.outcome import Disposition
from reconciler.patching.states import PatchState
from tests.support.nodes import start_fleet
from tests.support.patching import BASELINE, Patching, audit, package, versions
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def patching(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Patching]:
    folder = tmp_path_factory.mktemp("patching")
    with start_fleet(folder / "fleet", 1) as fleet:
        yield Patching(folder, fleet)


def test_exactly_the_approved_versions_are_installed(patching: Patching) -> None:
    node = patching.fleet.nodes[0]
    patching.publish([package("hello", "1.0"), package("other", "1.0")])
    node.run(["apt-get", "-qy", "install", "hello", "other"])
    patching.publish([package("hello", "1.1"), package("other", "1.1")])
    patching.approve("hello")
    scanned = patching.send("Scan", SnapshotId="0f0e0d0c-0b0a-0908-0706-050403020100")
    assert (scanned.status, scanned.exit_code) == ("Success", 0), scanned
    assert scanned.stdout.split("\n")[:2] == ["baseline now", "MISSING hello.all:1.1"]
    assert versions(node, "hello", "other") == {"hello": "1.0", "other": "1.0"}
    done = patching.send()
    assert (done.status, done.exit_code, done.installed) == ("Success", 0, {"hello.all": "1.1"}), done
    assert versions(node, "hello", "other") == {"hello": "1.1", "other": "1.0"}
    assert audit(node) == ""
    again = patching.send()
    assert (again.status, again.installed) == ("Success", {}), again
    assert "nothing is missing" in again.stdout

    node.run(["apt-get", "-qy", "purge", "other"])  # what it misses is no business of the tests that follow
    # Nobody's history knows of a command: the node does. Another command reboots for it, though nothing is missing.
    assert pending(patching) == ["hello.all:1.1"]
    boots = node.boots
    rebooted = patching.send(RebootOption="RebootIfNeeded")
    assert (rebooted.status, rebooted.installed, node.boots - boots) == ("Success", {}, 1), rebooted
    assert rebooted.report.rebooted == node.boot_id
    assert pending(patching) == []


def pending(patching: Patching, at: datetime | None = None) -> list[str]:
    """Give what waits for a reboot by the report of a pass."""
    (report,) = patching.site.once(at=at).reports.values()
    assert report.patches is not None
    return [row.title for row in report.patches.rows if row.state is PatchState.INSTALLED_PENDING_REBOOT]


INSTALL = """\
AssociationName: patches
Name: AWS-RunPatchBaseline
Targets: [{Key: InstanceIds, Values: [web-01]}]
Parameters: {Operation: [Install], RebootOption: [NoReboot]}
"""


def test_passes_install_what_has_waited_and_the_next_one_does_nothing(patching: Patching) -> None:
    node, site = patching.fleet.nodes[0], patching.site
    begin = datetime.now(UTC).replace(microsecond=0)
    patching.publish([package("late", "1.0"), package("early", "1.0")])
    node.run(["apt-get", "-qy", "install", "late", "early"])
    patching.publish([package("late", "1.0"), package("late", "1.1")])
    site.commit(
        {
            "baselines/now.yaml": f"{BASELINE}Refresh: never\nMetadataMaxAgeHours: 8760\n",
            "state/associations/patches.yaml": INSTALL,
        }
    )
    first = site.once(at=begin)
    assert first.outcomes == ()
    patching.publish([package("late", "1.0"), package("late", "1.1"), package("late", "1.2")])
    site.once(at=begin + timedelta(days=3))
    assert versions(node, "late") == {"late": "1.0"}
    done = site.once(at=begin + timedelta(days=7))
    assert [(one.disposition, one.record.status.value) for one in done.outcomes if one.record] == [
        (Disposition.RAN, "Success")
    ]
    assert versions(node, "late") == {"late": "1.1"}
    (report,) = done.reports.values()
    assert [(one.finding.association, one.finding.state) for one in report.findings] == [("patches", State.IN_SYNC)]
    assert report.patches is not None
    assert [(row.title, row.state) for row in report.patches.rows] == [
        ("late.all:1.1", PatchState.INSTALLED_PENDING_REBOOT)
    ]
    again = site.once(at=begin + timedelta(days=7, minutes=1))
    assert again.outcomes == ()
    node.reboot()
    assert pending(patching, at=begin + timedelta(days=7, minutes=2)) == []


HOOK = """\
schemaVersion: '2.2'
mainSteps:
  - action: aws:runShellScript
    name: hook
    inputs: {runCommand: ['echo "NAME $(dpkg-query -W -f "\\${Version}" hooked) $(cat /proc/sys/kernel/random/boot_id)" >>/root/hooks']}
"""


def test_hooks_run_around_the_install_and_the_reboot_and_only_the_last_where_nothing_is_missing(
    patching: Patching,
) -> None:
    node = patching.fleet.nodes[0]
    patching.publish([package("hooked", "1.0")])
    node.run(["apt-get", "-qy", "install", "hooked"])
    patching.publish([package("hooked", "1.1")])
    patching.approve("hooked")
    names = ("Pre", "Post", "Last")
    patching.site.commit({f"documents/{name}.yaml": HOOK.replace("NAME", name) for name in names})
    hooks = {"PreInstallHookDocName": "Pre", "PostInstallHookDocName": "Post", "OnExitHookDocName": "Last"}
    before, boots = node.boot_id, node.boots
    assert (
        patching.command("AWS-RunPatchBaselineWithHooks", {"Operation": "Scan", **hooks}, step="Scan").status
        == "Success"
    )
    assert not (node.root / "root/hooks").exists()
    done = patching.command("AWS-RunPatchBaselineWithHooks", {"Operation": "Install", **hooks}, step="InstallAndReboot")
    assert (done.status, dict(done.report.already)) == ("Success", {"hooked.all": "1.1"}), done
    said = [line.split() for line in (node.root / "root/hooks").read_text().splitlines()]
    assert said == [["Pre", "1.0", before], ["Post", "1.1", before], ["Last", "1.1", node.boot_id]]
    assert node.boots == boots + 1
    patching.command("AWS-RunPatchBaselineWithHooks", {"Operation": "Install", **hooks}, step="Scan")
    said = [line.split()[0] for line in (node.root / "root/hooks").read_text().splitlines()]
    assert said == ["Pre", "Post", "Last", "Last"]


def test_lists_are_refreshed_before_a_command_judges_by_them_where_the_baseline_wants_that(patching: Patching) -> None:
    node = patching.fleet.nodes[0]
    patching.publish([package("stale", "1.0")])
    node.run(["apt-get", "-qy", "install", "stale"])
    newer = datetime(2026, 3, 2, tzinfo=UTC)
    patching.archive.publish("bookworm-security", [package("stale", "1.1")], label="Debian-Security", date=newer)
    patching.archive.install_into(node.root)
    patching.approve("stale", baseline="Refresh: never\n")
    assert "nothing is missing" in patching.send("Scan").stdout
    node.run(["sh", "-c", "rm /var/lib/apt/lists/*_Packages*"])
    scanned = patching.send("Scan").stdout.split("\n")
    assert scanned[:2] == ["baseline now", "nothing is missing"]
    assert scanned[2].startswith("UNKNOWN: ")
    patching.approve("stale")
    assert "MISSING stale.all:1.1" in patching.send("Scan").stdout


def test_nothing_is_sent_to_a_node_whose_patches_are_not_known_and_it_counts_as_failed(patching: Patching) -> None:
    node = patching.fleet.nodes[0]
    system = node.root / "usr/lib/os-release"
    text = system.read_text()
    system.write_text(text.replace("ID=debian", "ID=arch"))
    try:
        done = patching.send()
    finally:
        system.write_text(text)
    assert (done.status, done.stdout) == ("Failed", ""), done
    (record,) = patching.site.git("log", "-1", "--format=", "--name-only", "compliance").split()
    told = patching.site.git("show", f"compliance:{record}")
    assert "its patches are not known: no baseline" in told


@pytest.fixture
def fresh(tmp_path: Path, require_nodes: None) -> Iterator[Patching]:
    """A site without a past: the other tests' passes are days ahead of the clock."""
    with start_fleet(tmp_path / "fleet", 1) as fleet:
        yield Patching(tmp_path, fleet)


SLOW = "#!/bin/sh\ntouch /root/began\nuntil [ -e /root/go ]; do sleep 0.1; done\n"


@pytest.mark.parametrize("is_committed", [True, False], ids=["the pass reported", "the pass was killed"])
def test_what_an_install_brings_after_its_pass_waits_for_a_reboot_too(fresh: Patching, *, is_committed: bool) -> None:
    """Also what came along with it; who finds nothing but the run goes by what that and its node say."""
    node, site = fresh.fleet.nodes[0], fresh.site
    name = "goes-on" if is_committed else "alone"
    fresh.publish([package(name, "1.0")])
    node.run(["sh", "-c", f"apt-get -qy install {name}; rm -f /root/go /root/began"])
    site.commit({"state/fleet.yaml": "Fleet: example\n"})
    site.once()
    before = site.git("rev-parse", "compliance")
    newer = package(name, "1.1", Depends=f"{name}-lib", preinst=SLOW)
    fresh.publish([newer, package(f"{name}-lib", "1.1", Source=f"{name} (1.1)")])
    site.commit(
        {
            "state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\nPassWait: rate(2 seconds)\n",
            "state/associations/patches.yaml": INSTALL,
        }
    )
    fresh.approve(name, f"{name}-lib", baseline="Refresh: never\nMetadataMaxAgeHours: 8760\n")
    first = site.once()
    assert [one.disposition for one in first.outcomes] == [Disposition.RUNNING], first.outcomes
    wait_until((node.root / "root/began").exists, "it has begun")
    if not is_committed:
        site.git("update-ref", "refs/heads/compliance", before)
    (node.root / "root/go").touch()
    wait_until(lambda: versions(node, name) == {name: "1.1"}, "it is installed")
    states: dict[str, PatchState] = {}

    def is_settled() -> bool:
        (report,) = site.once(state_dir=None if is_committed else site.folder / "another-host").reports.values()
        assert report.patches is not None
        states.update({row.title: row.state for row in report.patches.rows})
        return report.findings[0].finding.state is State.IN_SYNC

    wait_until(is_settled, "it is settled")
    titles = [f"{name}.all:1.1", f"{name}-lib.all:1.1"]
    assert states == dict.fromkeys(titles, PatchState.INSTALLED_PENDING_REBOOT)
