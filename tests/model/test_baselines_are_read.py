"""Baselines: every key as a record, every mistake at its place, what the AWS CLI prints and takes as it is."""

import json
from datetime import date
from typing import Any

import pytest

from reconciler.bundled import bundled_files
from reconciler.ids import BaselineName
from reconciler.model.baseline import (
    NOT_LINUX,
    ComplianceLevel,
    FilterKey,
    OperatingSystem,
    PatchBaseline,
    PatchEntry,
    PatchFilter,
    PatchRule,
    PhasedUpdates,
    Refresh,
    RejectedPatchesAction,
    ReleaseDates,
    SecurityIndex,
    SecurityUpdatesStatus,
    Supersede,
    UnapprovedDependencies,
)
from reconciler.model.read_state import desired_state, read_state
from reconciler.model.reading.patch_sources import why_refused
from reconciler.problem import Gravity
from tests.model.reading import as_bytes, errors, lints, reads

FILE = "baselines/b.yaml"
RULE = "ApprovalRules: {PatchRules: [{PatchFilterGroup: {PatchFilters: [%s]}, ApproveAfterDays: 7}]}\n"
DEBIAN = "Name: abc\nOperatingSystem: DEBIAN\n"
ROCKY = "Name: abc\nOperatingSystem: ROCKY_LINUX\n"
WHOLE = """Name: Every-Key
OperatingSystem: ROCKY_LINUX
Description: everything
GlobalFilters: {PatchFilters: [{Key: PRODUCT, Values: [RockyLinux9, 'RockyLinux8.10']}]}
ApprovalRules:
  PatchRules:
    - PatchFilterGroup:
        PatchFilters:
          - {Key: CLASSIFICATION, Values: [Security]}
          - {Key: SEVERITY, Values: [Critical, Important]}
      ComplianceLevel: CRITICAL
      ApproveAfterDays: 0
    - PatchFilterGroup: {PatchFilters: []}
      ApproveUntilDate: 2025-07-07
      EnableNonSecurity: true
ApprovedPatches: [RHSA-2024:1234, 'kernel*', 4711]
ApprovedPatchesComplianceLevel: HIGH
ApprovedPatchesEnableNonSecurity: true
RejectedPatches: [{Id: 'nginx*', Owner: web, Reason: pinned, Expires: 2030-01-31}]
RejectedPatchesAction: BLOCK
Sources: [{Name: ours, Products: ['*'], Configuration: "[ours]\\nbaseurl=https://mirror.example/\\ngpgcheck=1\\n"}]
PatchGroups: [web, db, web]
Default: true
ReleaseDates: publisher
Supersede: lift
UnapprovedDependencies: allow
Refresh: max-age
MetadataMaxAgeHours: 6
PhasedUpdates: always
SecurityIndexes: [{Label: Ours-Security, Codename: 1.10}]
Holds: [{Id: kernel, Owner: ops, Reason: freeze, Expires: 2030-01-31}]
Ignores: [{Id: CVE-2024-1, Owner: ops, Reason: not reachable, Expires: 2030-01-31}]
Tags: [{Key: a, Value: b}]
ClientToken: x
"""


def baseline(text: str) -> PatchBaseline:
    (found,) = reads({FILE: text}).baselines.values()
    return found


def told(text: str, gravity: Gravity = Gravity.LINT) -> list[str]:
    found = lints({FILE: text}) if gravity is Gravity.LINT else errors({FILE: text})
    return [str(one).removeprefix(f"{FILE}:") for one in found if "not supported yet" not in one.message]


def test_every_key_has_its_place_in_the_record() -> None:
    found = baseline(WHOLE)
    security = (
        PatchFilter(key=FilterKey.CLASSIFICATION, values=("Security",)),
        PatchFilter(key=FilterKey.SEVERITY, values=("Critical", "Important")),
    )
    assert (found.name, found.operating_system) == ("Every-Key", OperatingSystem.ROCKY_LINUX)
    assert found.global_filters == (PatchFilter(key=FilterKey.PRODUCT, values=("RockyLinux9", "RockyLinux8.10")),)
    assert found.rules == (
        PatchRule(number=1, filters=security, level=ComplianceLevel.CRITICAL, approve_after_days=0),
        PatchRule(number=2, approve_until=date(2025, 7, 7), non_security=True),
    )
    assert [entry.pattern for entry in found.approved] == ["RHSA-2024:1234", "kernel*", "4711"]
    assert (found.approved_level, found.approved_non_security) == (ComplianceLevel.HIGH, True)
    assert found.rejected == (PatchEntry(pattern="nginx*", owner="web", reason="pinned", expires=date(2030, 1, 31)),)
    assert found.rejected_action is RejectedPatchesAction.BLOCK
    assert [(source.name, source.products) for source in found.sources] == [("ours", ("*",))]
    assert "mirror.example" not in repr(found)
    assert (found.patch_groups, found.default) == (("web", "db"), True)
    assert found.release_dates is ReleaseDates.PUBLISHER
    assert found.supersede is Supersede.LIFT
    assert found.unapproved_dependencies is UnapprovedDependencies.ALLOW
    assert (found.refresh, found.metadata_max_age_hours) == (Refresh.MAX_AGE, 6)
    assert found.phased_updates is PhasedUpdates.ALWAYS
    assert found.security_indexes == (SecurityIndex(label="Ours-Security", codename="1.10"),)
    assert [entry.pattern for entry in (*found.holds, *found.ignores)] == ["kernel", "CVE-2024-1"]
    assert found.file == f"{FILE}:1"
    assert told(WHOLE) == []


def test_what_is_not_said_is_as_on_aws_or_the_safer_way() -> None:
    found = baseline(DEBIAN)
    assert (found.rules, found.approved, found.rejected, found.sources) == ((), (), (), ())
    assert found.rejected_action is RejectedPatchesAction.ALLOW_AS_DEPENDENCY
    assert found.approved_level is ComplianceLevel.UNSPECIFIED
    assert found.release_dates is ReleaseDates.FIRST_SEEN
    assert found.supersede is Supersede.EXACT
    assert found.unapproved_dependencies is UnapprovedDependencies.DENY
    assert (found.refresh, found.metadata_max_age_hours) == (Refresh.BEFORE_SCAN, 24)
    assert not found.default
    assert baseline("Name: abc\n").operating_system is OperatingSystem.WINDOWS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("OperatingSystem: DEBIAN\n", "1:1: Name is missing", id="no name"),
        pytest.param("Name: ab\n", "1:7: Name: this is not a baseline's name", id="a short name"),
        pytest.param("Name: abc\nOperatingSystem: FEDORA\n", "2:18: OperatingSystem: this must be one of", id="unknown system"),
        pytest.param(ROCKY + RULE.replace(", ApproveAfterDays: 7", "") % "", "3:30: a rule has one of", id="no delay"),
        pytest.param(
            DEBIAN + RULE.replace("7}", "7, ApproveUntilDate: 2025-01-01}") % "", "3:30: a rule has one of", id="two delays"
        ),
        pytest.param(ROCKY + RULE.replace("7", "361") % "", "this must be at most 360", id="a delay too long"),
        pytest.param(ROCKY + RULE.replace("7", "-1") % "", "this must be at least 0", id="a delay below nothing"),
        pytest.param(
            ROCKY + RULE.replace("AfterDays: 7", "UntilDate: 2025-02-30") % "", "there is no such day", id="no such day"
        ),
        pytest.param(
            ROCKY + RULE.replace("AfterDays: 7", "UntilDate: 7 July") % "", "this is not a date", id="no date at all"
        ),
        pytest.param(DEBIAN + RULE % "{Key: SEVERITY, Values: [Low]}", "SEVERITY: no filter of DEBIAN", id="severity on Debian"),
        pytest.param(ROCKY + RULE % "{Key: SECTION, Values: [net]}", "SECTION: no filter of ROCKY_LINUX", id="section on rpm"),
        pytest.param(
            "Name: abc\nOperatingSystem: SUSE\n" + RULE % "{Key: MSRC_SEVERITY, Values: [Low]}", "no filter of SUSE", id="SUSE"
        ),
        pytest.param("Name: abc\n" + RULE % "{Key: SEVERITY, Values: [Low]}", "no filter of WINDOWS", id="Windows"),
        pytest.param(
            "Name: abc\nOperatingSystem: MACOS\n" + RULE % "{Key: SEVERITY, Values: [Low]}", "no filter of MACOS", id="macOS"
        ),
        pytest.param(
            DEBIAN + "GlobalFilters: {PatchFilters: [{Key: SEVERITY, Values: [Low]}]}\n",
            "3:38: SEVERITY: no filter of DEBIAN",
            id="a global filter",
        ),
        pytest.param(ROCKY + RULE % "{Key: COLOUR, Values: [red]}", "Key: this must be one of", id="no key of SSM"),
        pytest.param(ROCKY + RULE % "{Key: SEVERITY, Values: []}", "Values: this is empty", id="a filter of nothing"),
        pytest.param(
            ROCKY + RULE % ("{Key: SEVERITY, Values: [" + "Low," * 21 + "]}"), "more than 20 entries", id="too many values"
        ),
        pytest.param(
            ROCKY + RULE % ("{Key: SEVERITY, Values: [" + "x" * 65 + "]}"), "more than 64 characters", id="a long value"
        ),
        pytest.param(
            "Name: abc\n" + RULE.replace("7}", "7, EnableNonSecurity: true}") % "", "only on Linux", id="non-security on Windows"
        ),
        pytest.param("Name: abc\nApprovedPatchesEnableNonSecurity: true\n", "2:35: ApprovedPatches", id="and in the list"),
        pytest.param(
            "Name: abc\nSources: [{Name: abc, Products: ['*'], Configuration: '[a]'}]\n", "Sources: only on Linux", id="sources"
        ),
        pytest.param(
            "Name: abc\nOperatingSystem: MACOS\nRejectedPatches: ['a*']\n", "3:19: RejectedPatches: macOS", id="a macOS wildcard"
        ),
        pytest.param(DEBIAN + f"ApprovedPatches: [{'x' * 101}]\n", "3:19: ", id="a long patch"),
        pytest.param(DEBIAN + "ApprovedPatches: ['version:']\n", "version: without a version", id="no version"),
        pytest.param(
            DEBIAN + "Holds: [{Id: a, Owner: b, Reason: c, Expires: 2025-13-01}]\n", "there is no such day", id="no such end"
        ),
        pytest.param(DEBIAN + "ReleaseDates: issued\n", "ReleaseDates: this must be one of", id="dates"),
        pytest.param(DEBIAN + "Supersede: newest\n", "Supersede: this must be one of exact, lift", id="supersede"),
        pytest.param(DEBIAN + "UnapprovedDependencies: ask\n", "must be one of deny, allow", id="dependencies"),
        pytest.param(DEBIAN + "Refresh: always\n", "must be one of never, before-scan, max-age", id="refresh"),
        pytest.param(DEBIAN + "MetadataMaxAgeHours: 0\n", "this must be at least 1", id="an age of nothing"),
        pytest.param(DEBIAN + "PhasedUpdates: never\n", "must be one of follow, always", id="phased"),
        pytest.param(DEBIAN + "SecurityIndexes: [{}]\n", "SecurityIndexes: this ", id="an index that is any"),
        pytest.param(DEBIAN + "SecurityIndex: []\n", "3:1: unknown key", id="a misspelt key"),
        pytest.param(
            DEBIAN + "Sources: [{Name: ours, Products: ['*'], Configuration: 'rpm https://user:hunter2@mirror.example'}]\n",
            "3:56: Configuration: not one line of apt's sources (met: [not shown])",
            id="no line of apt",
        ),
        pytest.param(
            ROCKY + "Sources: [{Name: ours, Products: ['*'], Configuration: 'baseurl=https://mirror.example'}]\n",
            "3:56: Configuration: not a stanza of yum's (met: [not shown])",
            id="no stanza of yum",
        ),
        pytest.param(DEBIAN + "Default: true\n---\nName: abcd\nOperatingSystem: DEBIAN\nDefault: true\n", f"7:10: DEBIAN has a default already, at {FILE}:1", id="two defaults"),
        pytest.param(
            DEBIAN + "PatchGroups: [web]\n---\nName: abcd\nOperatingSystem: DEBIAN\nPatchGroups: [db, web]\n",
            f"7:19: patch group web has a baseline for DEBIAN already, at {FILE}:1",
            id="a group twice",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place(text: str, expected: str) -> None:
    assert any(expected in one for one in told(text, Gravity.ERROR)), told(text, Gravity.ERROR)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            ROCKY + RULE % "{Key: SEVERITY, Values: [Importnat]}", "did you mean Important?", id="a misspelt value"
        ),
        pytest.param(
            ROCKY + RULE % "{Key: CLASSIFICATION, Values: [CriticalUpdates]}", "not known", id="of another system"
        ),
        pytest.param(ROCKY + RULE % "{Key: PRODUCT, Values: ['Rocky*']}", "a filter has no globs", id="a partial glob"),
        pytest.param(
            ROCKY + RULE % "{Key: SEVERITY, Values: [Low]}, {Key: SEVERITY, Values: [None]}",
            "a second filter of SEVERITY",
            id="one key twice",
        ),
        pytest.param(
            ROCKY + RULE % ", ".join(["{Key: PRODUCT, Values: ['*']}"] * 5),
            "more than 4 filters",
            id="more filters than AWS",
        ),
        pytest.param(
            ROCKY
            + "ApprovalRules: {PatchRules: ["
            + "{PatchFilterGroup: {PatchFilters: []}, ApproveAfterDays: 7}," * 11
            + "]}\n",
            "more than 10 rules",
            id="more rules than AWS",
        ),
        pytest.param(ROCKY + f"ApprovedPatches: [{'a,' * 51}]\n", "more than 50 entries", id="more patches than AWS"),
        pytest.param(
            ROCKY + f"PatchGroups: [{','.join(map(str, range(26)))}]\n", "more than 25 patch groups", id="groups"
        ),
        pytest.param(
            ROCKY + "ApprovedPatches: [a, b]\nRejectedPatches: [b]\n",
            "3:22: both approved and rejected",
            id="in both lists",
        ),
        pytest.param(
            DEBIAN + "ApprovedPatches: [CVE-2024-1234]\n", "knows packages by name only", id="a CVE on Debian"
        ),
        pytest.param("Name: abc\n", "WINDOWS (the default where no OperatingSystem is written)", id="Windows unsaid"),
        pytest.param("Name: abc\nOperatingSystem: MACOS\n", "it applies to no node", id="macOS"),
        pytest.param(
            ROCKY + "AvailableSecurityUpdatesComplianceStatus: COMPLIANT\n", "no effect on Linux", id="a key of Windows"
        ),
        pytest.param("BaselineId: pb-0c10e65780EXAMPLE\n", "it goes by its BaselineId", id="an update of AWS"),
        pytest.param(
            ROCKY + 'Sources: [{Name: abc, Products: [a], Configuration: "[a]\\nbaseurl=http://x\\ngpgcheck=1"}]\n',
            "it is fetched over plain http: not used (met: [not shown])",
            id="plain http",
        ),
        pytest.param(
            DEBIAN
            + "Sources: [{Name: abc, Products: [a], Configuration: 'deb [trusted=yes] https://x stable main'}]\n",
            "its signature is not checked: not used",
            id="unchecked",
        ),
    ],
)
def test_a_doubt_is_told_and_accepted(text: str, expected: str) -> None:
    assert told(text, Gravity.ERROR) == []
    assert any(expected in one for one in told(text)), told(text)


@pytest.mark.parametrize("system", OperatingSystem)
def test_one_group_may_have_a_baseline_for_each_system(system: OperatingSystem) -> None:
    other = "Name: other\nOperatingSystem: %s\nPatchGroups: [web]\nDefault: true\n"
    text = "".join(
        f"Name: a-{one.value}\nOperatingSystem: {one.value}\nPatchGroups: [web]\n---\n" for one in OperatingSystem
    )
    assert errors({FILE: text}) == []
    assert len(errors({FILE: text + other % system.value})) == 1


def test_apt_may_leave_both_delays_out() -> None:
    for system in ("DEBIAN", "UBUNTU", "RASPBIAN"):
        text = DEBIAN.replace("DEBIAN", system) + RULE.replace(", ApproveAfterDays: 7", "") % ""
        assert baseline(text).rules == (PatchRule(number=1),)


def test_what_aws_prints_and_takes_is_a_baseline() -> None:
    """The keys of get-patch-baseline, create-patch-baseline and update-patch-baseline, as JSON."""
    rule: dict[str, Any] = {
        "PatchFilterGroup": {
            "PatchFilters": [
                {"Key": "PATCH_SET", "Values": ["OS"]},
                {"Key": "CLASSIFICATION", "Values": ["CriticalUpdates", "SecurityUpdates"]},
                {"Key": "MSRC_SEVERITY", "Values": ["Critical", "Important"]},
            ]
        },
        "ComplianceLevel": "UNSPECIFIED",
        "ApproveAfterDays": 7,
        "EnableNonSecurity": False,
    }
    printed = {
        "BaselineId": "arn:aws:ssm:us-east-1:075727635805:patchbaseline/pb-0123456789abcdef0",
        "Name": "Everything-Printed",
        "OperatingSystem": "WINDOWS",
        "GlobalFilters": {"PatchFilters": []},
        "ApprovalRules": {"PatchRules": [rule]},
        "ApprovedPatches": [],
        "ApprovedPatchesComplianceLevel": "UNSPECIFIED",
        "ApprovedPatchesEnableNonSecurity": False,
        "RejectedPatches": [],
        "RejectedPatchesAction": "ALLOW_AS_DEPENDENCY",
        "PatchGroups": ["QA"],
        "CreatedDate": 1550244180.465,
        "ModifiedDate": "2019-05-07T18:32:23.887000+00:00",
        "Description": "as printed",
        "Sources": [],
        "AvailableSecurityUpdatesComplianceStatus": "NON_COMPLIANT",
    }
    update = {"BaselineId": "pb-0c10e65780EXAMPLE", "RejectedPatches": ["KB2032276", "MS10-048"]}
    for given in (printed, update):
        assert errors({FILE: json.dumps(given, indent=2)}) == []
    found = baseline(json.dumps(printed))
    assert found.patch_groups == ("QA",)
    assert found.security_updates_status is SecurityUpdatesStatus.NON_COMPLIANT
    assert found.rules[0].filters[1].values == ("CriticalUpdates", "SecurityUpdates")
    assert baseline(json.dumps(update)).name == "pb-0c10e65780EXAMPLE"


def test_every_linux_of_ssm_has_a_bundled_default_with_levels_and_a_delay() -> None:
    state, problems = read_state({}, bundled=bundled_files())
    assert state is not None
    assert problems == ()
    defaults = {one.operating_system: one for one in state.baselines.values() if one.default}
    assert defaults.keys() == set(OperatingSystem) - NOT_LINUX
    assert len(defaults) == len(state.baselines)
    for one in defaults.values():
        assert one.bundled
        assert all(rule.approve_after_days == 7 and rule.level is not ComplianceLevel.UNSPECIFIED for rule in one.rules)
        assert one.rules


def test_what_replaces_a_bundled_default_is_the_default() -> None:
    name = "DebianDefaultPatchBaseline"
    own = f"Name: {name}\nOperatingSystem: DEBIAN\n"
    found = desired_state(as_bytes({FILE: own}), bundled=bundled_files()).baselines[BaselineName(name)]
    assert (found.default, found.bundled, found.rules) == (True, False, ())
    other = own + "---\nName: mine\nOperatingSystem: DEBIAN\nDefault: true\n"
    state = desired_state(as_bytes({FILE: other}), bundled=bundled_files())
    assert not state.baselines[BaselineName(name)].default
    assert state.baselines[BaselineName("mine")].default


def test_two_spellings_of_one_tag_that_differ_are_told() -> None:
    node = "Id: web-01\nAddress: 10.0.0.11\nTags: {Patch Group: a, PatchGroup: %s}\n"
    assert lints({"state/nodes/n.yaml": node % "a"}) == []
    (lint,) = lints({"state/nodes/n.yaml": node % "b"})
    assert "Patch Group and PatchGroup name two patch groups" in lint.message


def test_a_source_says_why_it_is_not_used() -> None:
    (source,) = baseline(WHOLE).sources
    assert source.refused == ""
    assert why_refused("[a]\nbaseurl=https://x\n", apt=False).startswith("its packages'")
