"""Baselines whose Sources are none of the node's own repositories, on real nodes with apt, dnf and zypper: scanned, installed, in doubt."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.compliance.report import NodeReport
from reconciler.ids import NodeId
from reconciler.patching.node_compliance import ComplianceStatus
from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import Fleet, NodeSpec, TestNode
from tests.support.rpm_repository import Advisory, Rpm, RpmPackages, rpm_fleet
from tests.support.site import Site, nodes_yaml

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

BASELINE = """\
Name: NAME
OperatingSystem: SYSTEM
Refresh: before-scan
ApprovalRules:
  PatchRules:
    - PatchFilterGroup: {PatchFilters: [{Key: PRODUCT, Values: ['*']}]}
      ApproveAfterDays: 0
      EnableNonSecurity: true
SecurityIndexes: [{Codename: ours}, {Codename: bookworm}]
"""
SOURCED = """\
PatchGroups: [aside]
Sources:
  - Name: ours
    Products: ['*']
    Configuration: "SOURCE"
"""
PATCHES = """\
AssociationName: patches
Name: AWS-RunPatchBaseline
Targets: [{Key: 'tag:Role', Values: [web]}]
Parameters: {Operation: [OPERATION], RebootOption: [NoReboot]}
MaxConcurrency: '4'
MaxErrors: '4'
"""
STANZA = "[ours]\\nname=ours\\nenabled=1\\ngpgcheck=0\\nbaseurl="
SYSTEMS = {
    "debian": ("DEBIAN", "deb [trusted=yes] file:/srv/aside ours main"),
    "rocky": ("ROCKY_LINUX", f"{STANZA}file:///srv/aside/ours"),
    "leap": ("SUSE", f"{STANZA}dir:///srv/aside/ours\\ntype=rpm-md"),
}
ALLOWED = "InsecurePatchSources: ['file:/srv', 'file:///srv', 'dir:///srv']\n"
MEANT, OTHER = ("web-01", "web-03", "web-04"), "web-02"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Four nodes with hello 1.0 and nothing newer in their own repositories; ours, which three of them are to use, has 1.1."""

    fleet: Fleet
    site: Site

    def nodes(self) -> Mapping[str, TestNode]:
        return {f"web-{number:02}": node for number, node in enumerate(self.fleet.nodes, 1)}

    def baselines(self, **changes: str) -> dict[str, str | None]:
        files = {}
        for name, (system, source) in SYSTEMS.items():
            text = BASELINE.replace("SYSTEM", system)
            files[f"baselines/{name}.yaml"] = text.replace("NAME", name) + "Default: true\n"
            sourced = text.replace("NAME", f"{name}-ours") + SOURCED
            files[f"baselines/{name}-ours.yaml"] = sourced.replace("SOURCE", changes.get(name, source))
        return {**files}

    def hello(self) -> Mapping[str, str]:
        deb, rpm = ["dpkg-query", "-W", "-f", "${Version}", "hello"], ["rpm", "-q", "--qf", "%{VERSION}", "hello"]
        return {name: node.run(rpm if name > OTHER else deb).stdout for name, node in self.nodes().items()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("fetched")
    specs = [NodeSpec(name="debian"), NodeSpec(name="other")]
    with rpm_fleet(folder / "nodes", *specs, dnf=("updates",), zypper=("updates",)) as fleet:
        *debians, rocky, leap = fleet.nodes
        own, aside = AptRepository(folder / "apt"), AptRepository(folder / "aside")
        own.publish("bookworm", [Package(name="hello", version="1.0")])
        data = {"Depends": "hello-data (= 1.1)"}
        aside.publish(
            "ours",
            [Package(name="hello", version="1.1", fields=data), Package(name="hello-data", version="1.1")],
            label="Ours",
            origin="Ours",
        )
        for debian in debians:
            own.install_into(debian.root)
            shutil.copytree(aside.directory, debian.root / "srv/aside")
            debian.run(["sh", "-ec", "apt-get -q update; apt-get -qy install hello"])
        packages = RpmPackages(rocky)
        old = Rpm(name="hello", version="1.0-1")
        new = [
            Rpm(name="hello", version="1.1-1", fields=["Requires: hello-data"]),
            Rpm(name="hello-data", version="1.1-1"),
        ]
        packages.publish("updates", [old], notices=[Advisory(id="OLD-2026:1", packages=[old])])
        packages.publish("ours", new, notices=[Advisory(id="OURS-2026:1", packages=new, cves=["CVE-2026-1111"])])
        theirs = [Rpm(name="hello", version="1.9-1")]
        packages.publish("theirs", theirs, notices=[Advisory(id="THEIRS-2026:1", packages=theirs)])
        packages.copy_to(leap)
        # dnf reads repositories from here as well, whatever folder it is told to look into.
        with (rocky.root / "etc/dnf/dnf.conf").open("a", encoding="utf-8") as file:
            file.write("[theirs]\nname=theirs\nenabled=1\ngpgcheck=0\nbaseurl=file:///srv/rpm/theirs\n")
        for node in (rocky, leap):
            node.run(["sh", "-ec", "mkdir /srv/aside; mv /srv/rpm/ours /srv/aside"])
            node.run(["sh", "-c", "rpm -i --force-debian --nodeps /srv/rpm/updates/hello-1.0-1.noarch.rpm"])
        site = Site(folder / "site", fleet)
        site.standard(fleet.nodes)
        text = nodes_yaml(fleet.nodes).replace("Tags: {Role: web}", "Tags: {Role: web, Patch Group: aside}")
        described = text.split("---\n")
        described[1] = described[1].replace(", Patch Group: aside", "")
        site.settings.write_text(f"{site.settings.read_text()}{ALLOWED}")
        site.commit({"state/associations/motd.yaml": None, "state/nodes/web.yaml": "---\n".join(described)})
        yield Place(fleet=fleet, site=site)


def patches_of(reports: Mapping[NodeId, NodeReport], node: str) -> tuple[ComplianceStatus, Mapping[str, str], str]:
    patches = reports[NodeId(node)].patches
    assert patches is not None
    return patches.status, {row.title: row.state.value for row in patches.rows}, patches.reason


def settings(node: TestNode) -> str:
    """Give what a node's package managers go by, and what they hold of it."""
    look = "find /etc/apt /etc/dnf /etc/yum.repos.d /etc/zypp -type f -exec cksum {} + 2>/dev/null; ls /var/lib/apt/lists /var/cache/dnf /var/cache/zypp/raw 2>/dev/null; :"
    return node.run(["sh", "-c", look]).stdout


def test_what_only_a_source_offers_is_missing_installed_and_then_in_order(place: Place) -> None:
    site = place.site
    site.commit({**place.baselines(), "state/associations/patches.yaml": PATCHES.replace("OPERATION", "Scan")})
    first = site.once()
    for node in MEANT:
        status, rows, why = patches_of(first.reports, node)
        assert (status, rows) == (ComplianceStatus.UNKNOWN, {})
        assert "source ours was not fetched yet" in why
    second = site.once()
    before = {name: settings(node) for name, node in place.nodes().items()}
    for node in MEANT:
        status, rows, why = patches_of(second.reports, node)
        assert status is ComplianceStatus.NON_COMPLIANT, why
        ((title, state),) = rows.items()
        assert state == "MISSING"
        assert title.startswith("hello."), rows
        assert "1.1" in title
    status, rows, why = patches_of(second.reports, OTHER)
    assert (status, rows) == (ComplianceStatus.COMPLIANT, {}), why
    assert place.nodes()[OTHER].run(["sh", "-c", "ls /var/lib/reconciler 2>/dev/null; :"]).stdout == ""
    assert set(place.hello().values()) == {"1.0"}

    listed = site.command("patch", "list", MEANT[0]).stdout
    assert "hello" in listed
    explained = site.command("patch", "explain", MEANT[1], "hello").stdout
    assert "1.1" in explained
    site.commit({"state/associations/patches.yaml": PATCHES.replace("OPERATION", "Install")})
    # A document that never went well goes to one node at a time.
    passes = [site.once() for _ in range(2)]
    said = [(one.node, one.reason, one.record) for done in passes for one in done.outcomes]
    assert place.hello() == {**dict.fromkeys(MEANT, "1.1"), OTHER: "1.0"}, said
    for node in MEANT:
        _, rows, why = patches_of(passes[-1].reports, node)
        assert set(rows.values()) == {"INSTALLED_PENDING_REBOOT"}, (rows, why)
    assert {name: settings(node) for name, node in place.nodes().items()} == before

    for name in MEANT:
        place.nodes()[name].reboot()
    for name in MEANT:
        place.nodes()[name].wait_until_up(boots=2)
    last = site.once()
    for node in (*MEANT, OTHER):
        status, rows, why = patches_of(last.reports, node)
        assert (status, rows) == (ComplianceStatus.COMPLIANT, {}), (node, why)
    commits = site.reports()
    done = site.once()
    assert done.outcomes == ()
    assert site.reports() == commits


def test_a_command_goes_by_the_sources_too_and_refreshes_nothing_that_is_young_enough(place: Place) -> None:
    young = {name: (text or "").replace("before-scan", "max-age") for name, text in place.baselines().items()}
    place.site.commit({**young})
    when = "stat -c %y /var/lib/apt/lists/partial /var/cache/dnf/*/repodata/repomd.xml /var/cache/zypp/raw/*/repodata/repomd.xml 2>/dev/null; cat /var/lib/reconciler/sources/*/tried"
    before = {name: place.nodes()[name].run(["sh", "-c", when]).stdout for name in MEANT}
    target = f"Key=InstanceIds,Values={','.join(MEANT)}"
    sent = place.site.command(
        *("send-command", "--document-name", "AWS-RunPatchBaseline", "--targets", target),
        *("--parameters", "Operation=Scan"),
    )
    assert {name: place.nodes()[name].run(["sh", "-c", when]).stdout for name in MEANT} == before
    assert "UNKNOWN" not in sent.stdout, sent.stdout
    assert sent.returncode == 0, sent.stdout + sent.stderr


def test_a_source_that_grew_old_is_no_proof_and_says_why(place: Place) -> None:
    for name in MEANT:
        place.nodes()[name].run(
            [
                "sh",
                "-ec",
                "cd /var/lib/reconciler/sources/ours-*; sed -i 's/^fetched .*/fetched 2026-01-01T00:00:00Z\\nproblem the mirror is away/' tried",
            ]
        )
    looked = place.site.once()
    for node in MEANT:
        status, _, why = patches_of(looked.reports, node)
        assert status is ComplianceStatus.UNKNOWN
        assert "source ours: " in why
        assert "its list is more than 24 hours old, of 2026-01-01 00:00 UTC" in why
        assert "the mirror is away" in why
    assert patches_of(looked.reports, OTHER)[0] is ComplianceStatus.COMPLIANT


def test_a_source_that_cannot_be_had_is_unknown_with_the_words_of_the_package_manager(place: Place) -> None:
    """What a commit adds is fetched in the next pass, whenever the lists were refreshed last."""
    away = {name: source.replace("/srv/aside", "/srv/nowhere") for name, (_, source) in SYSTEMS.items()}
    place.site.commit(place.baselines(**away))
    place.site.once()
    looked = place.site.once()
    for node in MEANT:
        status, rows, why = patches_of(looked.reports, node)
        assert (status, rows) == (ComplianceStatus.UNKNOWN, {})
        assert "source ours could not be fetched: " in why
        assert "nowhere" in why, why
    assert patches_of(looked.reports, OTHER)[0] is ComplianceStatus.COMPLIANT


def test_a_plan_of_a_change_says_whose_patches_go_by_another_baseline(place: Place) -> None:
    """SSM refuses to delete a baseline that a patch group is registered with; here it is a reviewed commit, and its review says so."""
    place.site.commit({"baselines/debian-ours.yaml": None})
    place.site.commit({"baselines/rocky.yaml": None, "baselines/rocky-ours.yaml": None})
    said = place.site.command("plan", "--base", "HEAD~2", "--head", "HEAD").stdout
    outside = "no baseline for DEBIAN serves patch group aside; debian is the default for DEBIAN"
    assert f"patches of web-01: debian instead of debian-ours ({outside})" in " ".join(said.split())
    assert "patches of web-03: RockyLinuxDefaultPatchBaseline instead of rocky-ours" in said
    assert OTHER not in said


def test_two_baselines_of_one_node_see_their_own_repositories(place: Place, tmp_path: Path) -> None:
    """The node's own baseline names none; an association's, chosen by its tag, does. What a source drops is gone for that one alone."""
    tagged = {
        name: (text or "").replace("PatchGroups: [aside]", "Tags: {Stage: aside}")
        for name, text in place.baselines().items()
    }
    association = PATCHES.replace("AWS-RunPatchBaseline", "AWS-RunPatchBaselineAssociation").replace(
        "'tag:Role', Values: [web]", f"InstanceIds, Values: [{OTHER}]"
    )
    association = association.replace(
        "{Operation: [OPERATION], RebootOption: [NoReboot]}",
        "{Operation: [Scan], BaselineTags: ['Key=Stage,Values=aside']}",
    )
    place.site.commit({**tagged, "state/associations/patches.yaml": association})
    place.site.once()
    report = place.site.once().reports[NodeId(OTHER)]
    status, rows, why = patches_of(place.site.once().reports, OTHER)
    assert (status, rows) == (ComplianceStatus.COMPLIANT, {}), why
    (other,) = report.overrides
    assert {row.title: row.state.value for row in other.rows} == {"hello.all:1.1": "MISSING"}, other.reason
    assert other.baseline == "debian-ours"
    emptied = AptRepository(tmp_path / "aside")
    emptied.publish("ours", [Package(name="another", version="1")], label="Ours", origin="Ours")
    there = place.nodes()[OTHER].root / "srv/aside"
    shutil.rmtree(there)
    shutil.copytree(emptied.directory, there)
    for after in (2, 4):
        report = place.site.once(at=datetime.now(UTC) + timedelta(hours=after)).reports[NodeId(OTHER)]
        (row,) = report.overrides[0].rows
        assert (row.state.value, row.approved) == ("MISSING", "1.1"), row
        assert "approved 1.1 is gone since" in row.reason
        assert report.patches is not None
        # The pass's clock is ahead of the nodes' here, and that is all there is to be said of its own baseline.
        assert (report.patches.rows, report.patches.reason.startswith("clock: ")) == ((), True), report.patches.reason
