"""Baselines with Sources on real nodes with apt, dnf and zypper: what these offer counts and is installed, and nothing else is seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from reconciler.ids import NodeId
from reconciler.patching.node_compliance import ComplianceStatus
from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import Fleet, NodeSpec
from tests.support.rpm_repository import (
    Advisory,
    Rpm,
    RpmPackages,
    rpm_fleet,
)
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

BASELINE = """\
Name: NAME
OperatingSystem: SYSTEM
Default: true
Refresh: never
MetadataMaxAgeHours: 8760
SecurityIndexes: [{Codename: ours}]
ApprovalRules:
  PatchRules:
    - PatchFilterGroup: {PatchFilters: [{Key: PRODUCT, Values: ['*']}]}
      ApproveAfterDays: 0
      EnableNonSecurity: true
Sources:
  - Name: ours
    Products: [RELEASED]
    Configuration: "SOURCE"
"""
INSTALL = """\
AssociationName: patches
Name: AWS-RunPatchBaseline
Targets: [{Key: 'tag:Role', Values: [web]}]
Parameters: {Operation: [Install], RebootOption: [NoReboot]}
MaxConcurrency: '3'
MaxErrors: '3'
"""
STANZA = "[ours]\\nname=ours\\nenabled=1\\ngpgcheck=0\\nbaseurl="
SYSTEMS = {
    "debian": ("DEBIAN", "Debian12", "deb [trusted=yes] file:/srv/apt ours main"),
    "rocky": ("ROCKY_LINUX", "RockyLinux9", f"{STANZA}file:///srv/rpm/ours"),
    # libzypp's patches are what it goes by: a version needs a notice there.
    "leap": ("SUSE", "Suse15.6", f"{STANZA}dir:///srv/rpm/ours\\ntype=rpm-md"),
}
ALLOWED = "InsecurePatchSources: ['file:/srv/apt', 'file:///srv/rpm/ours', 'dir:///srv/rpm/ours']\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Three nodes: their own repositories have hello 1.2 and needy 2, ours hello 1.1 and a needy 1.5 that needs what only theirs has."""

    fleet: Fleet
    site: Site

    def versions(self, *, apt: bool = True) -> Sequence[str]:
        asked = ["dpkg-query", "-W", "-f", "${Version}\n", "hello", "needy"]
        rpm = ["rpm", "-q", "--qf", "%{VERSION}\n", "hello", "needy"]
        return [
            " ".join(node.run(asked if number == 0 else rpm).stdout.split())
            for number, node in enumerate(self.fleet.nodes)
            if apt or number
        ]

    def baselines(self, **sources: str) -> dict[str, str | None]:
        files = {}
        for name, (system, product, source) in SYSTEMS.items():
            text = BASELINE.replace("NAME", name).replace("SYSTEM", system).replace("RELEASED", product)
            files[f"baselines/{name}.yaml"] = text.replace("SOURCE", sources.get(name, source))
        return {**files}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("sources")
    known = ("updates", "ours")
    with rpm_fleet(folder / "nodes", NodeSpec(name="debian"), dnf=known, zypper=known) as fleet:
        debian, rocky, leap = fleet.nodes
        archive = AptRepository(folder / "apt")

        def debs(*versions: str) -> list[Package]:
            named = [version.split() for version in versions]
            return [
                Package(name=one[0], version=one[1], fields={"Depends": one[2]} if one[2:] else {}) for one in named
            ]

        archive.publish("bookworm-security", debs("hello 1.0", "needy 1"), label="Debian-Security")
        archive.install_into(debian.root)
        debian.run(["sh", "-ec", "apt-get -q update; apt-get -qy install hello needy"])
        archive.publish("bookworm-security", debs("hello 1.2", "needy 2", "extra 1"), label="Debian-Security")
        archive.publish("ours", debs("hello 1.1", "needy 1.5 extra"), label="Ours", origin="Ours")
        archive.install_into(debian.root)
        debian.run(["apt-get", "-q", "update"])
        packages = RpmPackages(rocky)
        old = [Rpm(name="hello", version="1.0-1"), Rpm(name="needy", version="1-1")]
        theirs = [
            Rpm(name="hello", version="1.2-1"),
            Rpm(name="needy", version="2-1"),
            Rpm(name="extra", version="1-1"),
        ]
        ours = [Rpm(name="hello", version="1.1-1"), Rpm(name="needy", version="1.5-1", fields=["Requires: extra"])]
        packages.publish("updates", [*old, *theirs], notices=[notice("THEIRS", theirs)])
        packages.publish("ours", ours, notices=[notice("OURS", ours)])
        packages.copy_to(leap)
        for node in (rocky, leap):
            node.run(["sh", "-c", "rpm -i --force-debian --nodeps /srv/rpm/updates/hello-1.0-1.noarch.rpm"])
            node.run(["sh", "-c", "rpm -i --force-debian --nodeps /srv/rpm/updates/needy-1-1.noarch.rpm"])
        rocky.run(["dnf", "-q", "makecache"])
        leap.run(["zypper", "-q", "--non-interactive", "refresh"])
        site = Site(folder / "site", fleet)
        site.standard(fleet.nodes)
        site.commit({"state/associations/motd.yaml": None})
        yield Place(fleet=fleet, site=site)


def notice(name: str, packages: Sequence[Rpm]) -> Advisory:
    return Advisory(id=f"{name}-2026:1", packages=packages)


def test_a_source_without_signatures_is_not_used_until_the_host_settings_allow_its_address(place: Place) -> None:
    place.site.commit({**place.baselines(), "state/associations/patches.yaml": INSTALL})
    refused = place.site.once()
    assert refused.outcomes == ()
    for report in refused.reports.values():
        assert report.patches is not None
        assert (report.patches.status, report.patches.rows) == (ComplianceStatus.UNKNOWN, ())
        assert "source ours is not used: its" in report.patches.reason
        assert "InsecurePatchSources" in report.patches.reason
    assert place.versions() == ["1.0 1"] * 3


def test_a_source_that_a_node_has_no_list_of_is_unknown_in_words(place: Place) -> None:
    place.site.settings.write_text(f"{place.site.settings.read_text()}{ALLOWED}")
    elsewhere = {
        "debian": "deb file:/srv/apt elsewhere main",
        "rocky": "[elsewhere]\\nname=x\\nbaseurl=https://mirror.example/x\\ngpgcheck=1",
        "leap": "[elsewhere]\\nname=x\\nbaseurl=https://mirror.example/x\\ngpgcheck=1",
    }
    place.site.commit(place.baselines(**elsewhere))
    for report in place.site.once().reports.values():
        assert report.patches is not None
        assert report.patches.status is ComplianceStatus.UNKNOWN
        assert "source ours is not among the node's own" in report.patches.reason
    assert place.versions() == ["1.0 1"] * 3


def test_patches_come_from_the_sources_alone_and_nothing_of_them_stays_on_the_node(place: Place) -> None:
    """What only the node's own repositories offer is neither missing nor there to be required."""
    site = place.site
    before = [settings(node.run) for node in place.fleet.nodes]
    site.commit(place.baselines())
    # A document that never went well goes to one node at a time, and needy fails on each.
    passes = [site.once() for _ in place.fleet.nodes]
    said = [
        (one.node, step.stdout, step.stderr)
        for done in passes
        for one in done.outcomes
        if one.record
        for step in one.record.steps
    ]
    assert place.versions() == ["1.1 1"] * 3, said
    done = passes[-1]
    for node in ("web-01", "web-02", "web-03"):
        patches = done.reports[NodeId(node)].patches
        assert patches is not None
        told = {row.id.partition(".")[0]: (row.state.value, row.approved or row.title) for row in patches.rows}
        assert told["hello"][0] == "INSTALLED_PENDING_REBOOT", told
        assert told["needy"][0] == "FAILED", told
        assert told["needy"][1].startswith("1.5"), told
    assert [settings(node.run) for node in place.fleet.nodes] == before
    for node in place.fleet.nodes:
        left = node.run(
            ["sh", "-c", "find /var/lib/reconciler -name lists -o -name repos -o -name cache -o -name sources.list"]
        )
        assert left.stdout == ""


def test_a_source_for_other_products_changes_nothing(place: Place) -> None:
    place.site.commit({"state/associations/patches.yaml": f"{INSTALL}Mode: warn\n"})
    place.site.commit(
        {name: (text or "").replace("    Products: [", "    Products: [X") for name, text in place.baselines().items()}
    )
    for report in place.site.once().reports.values():
        assert report.patches is not None
        wanted = {row.title for row in report.patches.rows if row.state.value in {"MISSING", "FAILED"}} | set(
            report.patches.upcoming
        )
        assert {title.rpartition(":")[2].removesuffix("-1") for title in wanted} == {"1.2", "2"}, report.patches


def settings(run: object) -> str:
    """Give what a node's package managers go by, and the lists they hold."""
    assert callable(run)
    look = "cat /etc/apt/sources.list /etc/yum.repos.d/* /etc/zypp/repos.d/* 2>/dev/null; ls /var/lib/apt/lists /var/cache/dnf /var/cache/zypp/raw 2>/dev/null"
    return str(run(["sh", "-c", f"{look}; :"]).stdout)
