"""Versions that their repository drops before their wait is over, on nodes with dnf and with zypper: kept, and brought to them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from reconciler.daemon.passing import PassResult, Request
from reconciler.model.outcome import Disposition
from tests.support.nodes import Fleet, start_fleet
from tests.support.rpm_repository import (
    LEAP,
    ON_NODE,
    ROCKY,
    Advisory,
    Rpm,
    RpmPackages,
    become_rpm_node,
    rpm_node,
)
from tests.support.site import Site
from tests.support.web_server import WebServer, web_server

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

BASELINE = """\
Name: NAME
OperatingSystem: SYSTEM
Default: true
Refresh: before-scan
MetadataMaxAgeHours: 8760
ApprovalRules:
  PatchRules:
    - PatchFilterGroup: {PatchFilters: [{Key: CLASSIFICATION, Values: [Security]}]}
      ApproveAfterDays: 7
"""
INSTALL = """\
AssociationName: patches
Name: AWS-RunPatchBaseline
Targets: [{Key: 'tag:Role', Values: [web]}]
Parameters: {Operation: [Install], RebootOption: [NoReboot]}
MaxConcurrency: '2'
"""
HELLO = [Rpm(name="hello", version=f"1.{n}-1") for n in range(3)]
LIB = [Rpm(name="libgreet", version=f"2:1.{n}-1", arch="x86_64") for n in range(2)]
DAY = timedelta(days=1)
HOST = "127.0.0.10"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    with start_fleet(tmp_path_factory.mktemp("nodes"), specs=[rpm_node("rocky"), rpm_node("leap")]) as started:
        become_rpm_node(started.nodes[0], ROCKY)
        become_rpm_node(started.nodes[1], LEAP)
        yield started


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with web_server(HOST) as started:
        yield started


@pytest.fixture(scope="module")
def site(fleet: Fleet, server: WebServer, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Give a site whose nodes take their packages from the web server; of dnf's address parts are left to be filled in."""
    rocky, leap = fleet.nodes
    (rocky.root / "etc/dnf/vars").mkdir(parents=True, exist_ok=True)
    (rocky.root / "etc/dnf/vars/site").write_text("updates\n")
    repository = "[updates]\nname=updates\nenabled=1\ngpgcheck=0\nbaseurl=http://me:secret@{}\n"
    (rocky.root / "etc/yum.repos.d").mkdir(parents=True, exist_ok=True)
    (rocky.root / "etc/yum.repos.d/tests.repo").write_text(
        repository.format(f"{HOST}:{server.port}/$basearch/${{site}}/") + "sslverify=0\n"
    )
    folder = leap.root / "etc/zypp/repos.d"
    folder.mkdir(parents=True, exist_ok=True)
    (leap.root / "etc/zypp/zypp.conf").write_text("[main]\n")
    (folder / "updates.repo").write_text(
        repository.format(f"{HOST}:{server.port}/$basearch/updates") + "autorefresh=0\ntype=rpm-md\n"
    )
    made = Site(tmp_path_factory.mktemp("site"), fleet)
    made.standard(fleet.nodes)
    with made.settings.open("a") as added:
        added.write(f"PatchFiles: {{Keep: true}}\nDownloads: {{Egress: [{HOST}]}}\n")
    baselines = {
        f"baselines/{name}.yaml": BASELINE.replace("NAME", name).replace("SYSTEM", system)
        for name, system in {"rocky": "ROCKY_LINUX", "leap": "SUSE"}.items()
    }
    made.commit({"state/associations/motd.yaml": None, "state/associations/patches.yaml": INSTALL, **baselines})
    return made


def offer(packages: RpmPackages, server: WebServer, some: Sequence[Rpm]) -> None:
    """Let the repository hold exactly these, all but those of 1.0 by a notice; nobody refreshes."""
    named = [one for one in some if not one.version.endswith("1.0-1")]
    packages.publish(
        "updates", some, notices=[Advisory(id=f"R-{one.name}-{one.version[-3]}", packages=[one]) for one in named]
    )
    folder = packages.node.root / ON_NODE.relative_to("/") / "updates"
    server.forget()
    for path in folder.rglob("*"):
        if path.is_file():
            server.files[f"/x86_64/updates/{path.relative_to(folder)}"] = path.read_bytes()


def passed(site: Site, at: datetime) -> PassResult:
    """Run one pass, and wait for what it fetches."""
    with site.controller(at=at) as controller:
        done = controller.one_pass(Request())
        controller.patch_files.wait(Event())
        return done


def test_versions_that_their_repository_dropped_are_installed_with_dnf_and_with_zypper(
    fleet: Fleet, server: WebServer, site: Site
) -> None:
    packages = RpmPackages(fleet.nodes[0])
    packages.build([HELLO[0], LIB[0]])
    offer(packages, server, [HELLO[0], LIB[0]])
    for node in fleet.nodes:
        for one in (HELLO[0], LIB[0]):
            (node.root / "root" / one.file_name).write_bytes(server.files[f"/x86_64/updates/{one.file_name}"])
            node.run(["rpm", "-i", "--force-debian", "--nodeps", f"/root/{one.file_name}"])
    begin = datetime.now(UTC).replace(microsecond=0)
    passed(site, begin - timedelta(minutes=2))  # what a node runs is known after its first answer

    offer(packages, server, HELLO[:2] + LIB)
    first = passed(site, begin)
    assert first.outcomes == ()
    kept = {path.name for path in (site.state_dir / "patch-files").glob("??/*")}
    assert len(kept) == 2, first  # one of each, whoever of both nodes showed it
    offer(packages, server, [HELLO[2], *LIB])
    assert passed(site, begin + 3 * DAY).outcomes == ()

    done = passed(site, begin + 7 * DAY)
    ran = {str(one.node): (one.disposition, one.record and one.record.status.value) for one in done.outcomes}
    assert ran == dict.fromkeys(("web-01", "web-02"), (Disposition.RAN, "Success")), [
        (node, one.finding.reason) for node, report in done.reports.items() for one in report.findings
    ]
    for node in fleet.nodes:
        assert node.run(["rpm", "-q", "hello", "libgreet"]).stdout.split() == [
            "hello-1.1-1.noarch",
            "libgreet-1.1-1.x86_64",
        ]
