"""Every worked example and trap of the specification of patches, from files; how many there are is kept beside them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from reconciler.model.baseline import OperatingSystem, SecurityIndex
from reconciler.model.patch import Index
from reconciler.model.patch_request import BaselineTags, Operation, PatchRequest
from reconciler.patching.entries import matching_entry
from reconciler.patching.filters import candidates, first_mismatch
from reconciler.patching.node_compliance import summarize
from reconciler.patching.products import product_matches
from reconciler.patching.states import Judge, PatchRow, judge_rows, not_applicable
from reconciler.patching.versions import compare_dpkg, compare_rpm_labels, rpmvercmp
from reconciler.patching.which_baseline import resolve_asked
from tests.patching.rows import at
from tests.patching.worked import CASES, Worked, baseline_of, cases
from tests.support.cases import read_cases

ALL = list(cases())
COMPARE = {"dpkg": compare_dpkg, "rpm": rpmvercmp, "rpm label": compare_rpm_labels}
RELATIONS = {"<": -1, "=": 0, ">": 1}


def params(kind: str) -> list[Any]:
    return [pytest.param(case, id=f"{section} {name}") for section, name, case in ALL if kind in case]


def test_no_example_is_lost() -> None:
    counts = read_cases(CASES / "counts.yaml")
    assert dict(Counter(section for section, _, _ in ALL)) == counts
    names = Counter((section, name) for section, name, _ in ALL)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("case", params("compare"))
def test_versions_are_ordered_as_the_tools_do(case: Mapping[str, Any]) -> None:
    left, relation, right = case["compare"].split(" ")
    compare = COMPARE[case["with"]]
    assert compare(left, right) == RELATIONS[relation]
    assert compare(right, left) == -RELATIONS[relation]


@pytest.mark.parametrize("case", params("entry"))
def test_entries_name_patches(case: Mapping[str, Any]) -> None:
    worked = Worked({"baseline": {"OperatingSystem": "ROCKY_LINUX"}, "offers": [case["offer"]], **case})
    baseline = baseline_of({"OperatingSystem": "ROCKY_LINUX", "RejectedPatches": [case["entry"]]})
    found = matching_entry(baseline.rejected, worked.available[0], at(str(case.get("today", "2025-06-01"))).date())
    assert (found is not None) is case["matches"]


@pytest.mark.parametrize("case", params("is_security"))
def test_security_indexes_are_told(case: Mapping[str, Any]) -> None:
    extra = tuple(SecurityIndex(**one) for one in case.get("extra", ()))
    assert Index(**{"repository": "mirror.example", **case["index"]}).is_security(extra) is case["is_security"]


@pytest.mark.parametrize("case", params("product_value"))
def test_products_switch_rules(case: Mapping[str, Any]) -> None:
    assert product_matches(case["product_value"], case["node_product"]) is case["matches"]


@pytest.mark.parametrize("case", params("filters"))
def test_filters_match(case: Mapping[str, Any]) -> None:
    worked = Worked({**case, "offers": [case["offer"]]})
    looks = candidates(worked.available[0])
    found = [first_mismatch(worked.grounds.baseline.rules[0].filters, one, worked.grounds.product) for one in looks]
    assert any(not mismatch for mismatch in found) is case["matches"], found
    assert case.get("words", "") in "; ".join(found)


@pytest.mark.parametrize("case", params("approvals"))
def test_patches_are_approved_by_the_rule(case: Mapping[str, Any]) -> None:
    worked = Worked(case)
    judge = Judge(worked.grounds)
    found = {patch.title: judge.approval(patch) for patch in worked.available}
    assert found.keys() == case["approvals"].keys()
    for title, expected in case["approvals"].items():
        approval = found[title]
        assert approval.status.value == expected["status"], approval.reason
        for word in expected.get("words", ()):
            assert word in approval.reason
        assert approval.reason
        if "date" in expected:
            wanted = None if expected["date"] is None else at(str(expected["date"]))
            assert approval.approval_date == wanted, approval.reason
        if "level" in expected:
            assert approval.level.value == expected["level"]
        if "source" in expected:
            source = None if approval.release is None else approval.release.source
            assert (None if source is None else source.value) == expected["source"]
        if "rule" in expected:
            assert approval.rule == expected["rule"]


@pytest.mark.parametrize("case", params("rows"))
def test_rows_have_their_states(case: Mapping[str, Any]) -> None:
    worked = Worked(case)
    judge = Judge(worked.grounds)
    rows = judge_rows(worked.node, judge, worked.run)
    assert [(row.title, row.state.value) for row in rows] == [(one["title"], one["state"]) for one in case["rows"]], [
        row.reason for row in rows
    ]
    for row, expected in zip(rows, case["rows"], strict=True):
        assert row.reason
        _check_row(row, expected)
    if "not_applicable" in case:
        assert not_applicable(worked.node, judge) == case["not_applicable"]
    if "node" in case:
        _check_node(rows, case)


def _check_row(row: PatchRow, expected: Mapping[str, Any]) -> None:
    for word in expected.get("words", ()):
        assert word in row.reason
    for word in expected.get("not_words", ()):
        assert word not in row.reason
    if "target" in expected:
        assert (None if row.target is None else row.target.version) == expected["target"], row.reason
    for key in ("level", "classification", "severity", "installed_rejected", "is_compliant"):
        if key in expected:
            value = getattr(row, key)
            assert getattr(value, "value", value) == expected[key]
    if "cves" in expected:
        assert list(row.cves) == expected["cves"]


def _check_node(rows: tuple[PatchRow, ...], case: Mapping[str, Any]) -> None:
    summary = summarize(rows, doubts=case.get("doubts", ()))
    for key, value in case["node"].items():
        if key == "counts":
            assert {state.value: count for state, count in summary.counts.items() if count} == value
        else:
            found = getattr(summary, key)
            assert getattr(found, "value", found) == value


@pytest.mark.parametrize("case", params("resolve"))
def test_nodes_get_their_baseline(case: Mapping[str, Any]) -> None:
    baselines = [baseline_of({"Name": name, **given}) for name, given in case["resolve"].items()]
    system = case["system"]
    request = PatchRequest(operation=Operation.SCAN)
    if "asks" in case:
        key, values = next(iter(case["asks"].items()))
        request = replace(request, baseline_tags=BaselineTags(key=key, values=tuple(values)))
    found = resolve_asked(case["tags"], None if system is None else OperatingSystem(system), baselines, request)
    assert (None if found.baseline is None else found.baseline.name) == case["gives"]
    for word in case["words"]:
        assert word in found.reason
