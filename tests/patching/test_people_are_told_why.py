"""`patch explain` and `patch list`: whole texts, so that a reader of this file sees what a user sees."""

from dataclasses import replace

from reconciler.ids import NodeId
from reconciler.model.baseline import OperatingSystem
from reconciler.model.patch import Family
from reconciler.patching.approval import Grounds
from reconciler.patching.explain import approval_facts, explain_lines, list_lines
from reconciler.patching.gone import remember_gone
from reconciler.patching.ledger import Ledger, with_sightings
from reconciler.patching.node_compliance import summarize
from reconciler.patching.node_patches import Gone, NodePatches
from reconciler.patching.states import Judge, judge_rows
from reconciler.patching.which_baseline import resolve_baseline
from tests.patching.rows import MAIN, a_deb, a_notice, an_rpm, at, installed
from tests.patching.worked import baseline_of

BASELINE = baseline_of(
    {
        "Name": "debian-weekly",
        "OperatingSystem": "DEBIAN",
        "PatchGroups": ["web"],
        "ApprovalRules": {
            "PatchRules": [
                {"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 7, "ComplianceLevel": "HIGH"},
            ]
        },
    }
)
OLD, NEW, MAINS = a_deb("bash", "5.2-2"), a_deb("bash", "5.2-3"), a_deb("bash", "5.2-4", indexes=(MAIN,))


def dated() -> Ledger:
    ledger, _ = with_sightings(Ledger(), {NodeId("web-01"): [OLD]}, now=at("2025-05-01"), previous_commit=None)
    ledger, _ = with_sightings(ledger, {NodeId("web-01"): [NEW, MAINS]}, now=at("2025-05-31"), previous_commit=None)
    return ledger


NODE = NodePatches(
    family=Family.APT,
    installed=(installed("bash", "5.2-1", hold=True), installed("zlib", "1-1")),
    available=(NEW, MAINS),
    gone=(Gone(patch=OLD, since=at("2025-05-31"), kept=False),),
)
GROUNDS = Grounds(baseline=BASELINE, ledger=dated(), product="Debian12", now=at("2025-06-01"))
RESOLUTION = resolve_baseline({"Patch Group": "web"}, OperatingSystem.DEBIAN, [BASELINE])


def test_a_package_is_explained() -> None:
    assert [*explain_lines(NODE, Judge(GROUNDS), RESOLUTION, "bash")] == [
        "baseline: debian-weekly (baselines/b.yaml:1): patch group web (Patch Group) is served by debian-weekly",
        "judged at 2025-06-01 00:00 UTC, product Debian12",
        "",
        "MISSING bash.amd64:5.2-2 (installed: 5.2-1; held)",
        (
            "    approved 5.2-2 is missing: rule 1 approved it on 2025-05-08 00:00 UTC: 7 days after it was first seen "
            "(in Debian-Security-bookworm-security) on 2025-05-01 00:00 UTC; held on the node itself; approved 5.2-2 is gone "
            "since 2025-05-31 00:00 UTC; its successor 5.2-3 is approved on 2025-06-07 00:00 UTC"
        ),
        "",
        "versions:",
        "  bash.amd64:5.2-3: waits; Debian-Security-bookworm-security",
        (
            "    rule 1 approves it on 2025-06-07 00:00 UTC: 7 days after it was first seen "
            "(in Debian-Security-bookworm-security) on 2025-05-31 00:00 UTC"
        ),
        "    dated 2025-05-31 00:00 UTC by first-seen",
        "    approved on 2025-06-07 00:00 UTC",
        "  bash.amd64:5.2-4: not approved; Debian-bookworm",
        "    no rule matches: rule 1: no security update, and EnableNonSecurity is false",
        "  bash.amd64:5.2-2: approved; Debian-Security-bookworm-security, gone since 2025-05-31 00:00 UTC",
        (
            "    rule 1 approved it on 2025-05-08 00:00 UTC: 7 days after it was first seen "
            "(in Debian-Security-bookworm-security) on 2025-05-01 00:00 UTC"
        ),
        "    dated 2025-05-01 00:00 UTC by first-seen",
        "    approved since 2025-05-08 00:00 UTC",
    ]


def test_a_package_that_is_not_installed_is_explained() -> None:
    lines = [*explain_lines(NODE, Judge(GROUNDS), RESOLUTION, "nginx")]
    assert lines[2:] == ["it is not installed: new packages come only with patches that need them"]


def test_notices_and_an_install_are_told() -> None:
    patch = an_rpm("bash", "1-2", a_notice(cves=("CVE-2024-1",)))
    chosen = replace(BASELINE, operating_system=OperatingSystem.ROCKY_LINUX, approved=(), rules=BASELINE.rules)
    ledger, _ = with_sightings(Ledger(), {NodeId("a"): [patch]}, now=at("2025-01-01"), previous_commit=None)
    judge = Judge(Grounds(baseline=chosen, ledger=ledger, product="RockyLinux9", now=at("2025-06-01")))
    node = NodePatches(
        family=Family.RPM, installed=(installed("bash", "1-1", arch="x86_64", auto=True),), available=(patch,)
    )
    lines = [*explain_lines(node, judge, RESOLUTION, "bash.x86_64")]
    assert "MISSING bash.x86_64:0:1-2 (installed: 1-1; automatic)" in lines
    assert "    an install would bring exactly 1-2 (sha256:bash-1-2)" in lines
    assert "    notice RHSA-2024:1234 (security Important): CVE-2024-1" in lines


def test_the_rows_of_a_node_are_listed() -> None:
    rows = judge_rows(NODE, Judge(GROUNDS))
    lines = [*list_lines(rows, summarize(rows), RESOLUTION, every=False)]
    assert lines[:5] == [
        "NON_COMPLIANT: 1 of 2 rows are not compliant",
        "baseline: debian-weekly (baselines/b.yaml:1) (patch group web (Patch Group) is served by debian-weekly)",
        "rows: 1 MISSING, 1 INSTALLED_OTHER",
        "",
        "MISSING [HIGH] bash.amd64:5.2-2",
    ]
    assert len(lines) == 6
    assert "INSTALLED_OTHER zlib.amd64:1-1" in [*list_lines(rows, summarize(rows), RESOLUTION, every=True)]


def test_a_verdict_as_values_says_where_its_date_is_from() -> None:
    facts = approval_facts(Judge(GROUNDS).approval(OLD))
    assert facts["status"] == "APPROVED"
    assert facts["dateSource"] == "first-seen"
    assert facts["approvalDate"] == "2025-05-08T00:00:00+00:00"
    assert approval_facts(Judge(GROUNDS).approval(MAINS))["dateSource"] is None


def test_only_what_a_node_was_shown_itself_is_gone_for_it() -> None:
    def look(*offers: str, installed_version: str = "1-1", gone: tuple[Gone, ...] = ()) -> NodePatches:
        return NodePatches(
            family=Family.APT,
            installed=(installed("it", installed_version),),
            available=tuple(a_deb("it", version) for version in offers),
            gone=gone,
        )

    def remembered(before: NodePatches, after: NodePatches, day: str) -> list[tuple[str, str, bool]]:
        found = remember_gone(before, after, now=at(day), kept={"sha256:it-1-3"})
        return [(one.patch.version, f"{one.since:%m-%d}", one.kept) for one in found]

    first = look("1-2", "1-3")
    assert remembered(first, look("1-2", "1-3"), "2025-06-02") == []
    assert remembered(first, look("1-4"), "2025-06-02") == [("1-2", "06-02", False), ("1-3", "06-02", True)]
    gone = remember_gone(first, look("1-4"), now=at("2025-06-02"), kept=())
    second = look("1-4", gone=gone)
    assert remembered(second, look("1-5"), "2025-06-05") == [
        ("1-2", "06-02", False),
        ("1-3", "06-02", True),
        ("1-4", "06-05", False),
    ]
    assert remembered(second, look("1-4", "1-3"), "2025-06-05") == [("1-2", "06-02", False)]
    assert remembered(second, look("1-4", installed_version="1-2"), "2025-06-05") == [("1-3", "06-02", True)]
    new, strange = a_deb("it-abi", "1-2", source="it"), a_deb("strange", "1-2")
    along = replace(first, available=(*first.available, new, strange))
    assert remembered(along, look("1-4"), "2025-06-02") == [
        ("1-2", "06-02", False),
        ("1-3", "06-02", True),
        ("1-2", "06-02", False),
    ]
    assert remembered(along, look("1-2", "1-3"), "2025-06-02") == []
    removed = replace(look(), installed=())
    assert remembered(second, removed, "2025-06-05") == []
