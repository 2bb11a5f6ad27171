"""What an install is to bring to one node: exact versions of what is missing, what may come along, and nothing that nobody approved."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.ids import BaselineName
from reconciler.model.baseline import (
    OperatingSystem,
    PatchBaseline,
    PatchEntry,
    PatchRule,
    RejectedPatchesAction,
    UnapprovedDependencies,
)
from reconciler.model.patch import Family, Installed, Patch
from reconciler.model.patch_order import PatchOrder, RebootOption
from reconciler.model.patch_request import InstallOverride, Operation, PatchRequest
from reconciler.patching.approval import Grounds
from reconciler.patching.ledger import Ledger
from reconciler.patching.node_patches import NodePatches
from reconciler.patching.orders import order_of
from reconciler.patching.states import Judge
from tests.patching.rows import MAIN, a_deb, at, installed

NOW = at("2026-06-01")
INSTALL = PatchRequest(operation=Operation.INSTALL)


def ordered(
    have: list[Installed],
    offers: list[Patch],
    request: PatchRequest = INSTALL,
    node: dict[str, Any] | None = None,
    **given: Any,
) -> PatchOrder | None:
    approved = tuple(PatchEntry(pattern=name) for name in given.pop("approved", ()))
    rejected = tuple(PatchEntry(pattern=name) for name in given.pop("rejected", ()))
    baseline = PatchBaseline(
        name=BaselineName("b"), operating_system=OperatingSystem.DEBIAN, approved=approved, rejected=rejected, **given
    )
    patches = NodePatches(
        family=Family.APT,
        installed=tuple(have),
        available=tuple(offers),
        native="amd64",
        booted_at=at("2026-05-01"),
        **node or {},
    )
    return order_of(request, patches, Judge(Grounds(baseline=baseline, ledger=Ledger(), product="Debian12", now=NOW)))


def pins(order: PatchOrder | None) -> list[str]:
    return [] if order is None else [f"{pin.name}={pin.version}" for pin in order.pins]


def dependencies(order: PatchOrder | None) -> list[str]:
    return [] if order is None else [f"{pin.name}={pin.version}" for pin in order.dependencies]


OLD = installed(version="1.0")
OFFERS = [a_deb(version=version) for version in ("1.0", "1.1", "1.2")]


def test_the_highest_approved_version_and_nothing_higher() -> None:
    order = ordered([OLD], OFFERS, approved=["bash-1.1"])
    assert order is not None
    assert pins(order) == ["bash=1.1"]
    assert (order.pins[0].installed, order.pins[0].checksum) == ("1.0", "sha256:bash-1.1")


def test_nothing_to_do_is_no_order() -> None:
    assert ordered([OLD], OFFERS) is None
    assert ordered([installed(version="1.2")], OFFERS, approved=["bash"]) is None


def test_a_reboot_that_is_due_is_an_order_of_its_own_unless_none_is_wanted() -> None:
    node = {"installed_without_reboot": {"bash.amd64:1.0": at("2026-05-20")}}
    order = ordered([OLD], OFFERS[:1], node=node)
    assert order is not None
    assert (pins(order), order.pending_reboot) == ([], ("bash.amd64:1.0",))
    quiet = replace(INSTALL, reboot=RebootOption.NO_REBOOT)
    assert ordered([OLD], OFFERS[:1], quiet, node=node) is None


def test_a_new_package_comes_along_where_it_is_of_the_very_source_that_the_list_approved() -> None:
    kernel = installed("linux-image-amd64", "6.1.1-1", source="linux-signed")
    offers = [
        a_deb("linux-image-amd64", "6.1.2-1", source="linux-signed", source_version="6.1.2+1"),
        a_deb("linux-image-6.1.0-2-amd64", "6.1.2-1", source="linux-signed", source_version="6.1.2+1"),
        a_deb("linux-image-6.1.0-3-amd64", "6.1.3-1", source="linux-signed", source_version="6.1.3+1"),
        a_deb("unrelated", "1.0"),
    ]
    order = ordered([kernel], offers, approved=["linux-image-amd64-6.1.2-1"])
    assert (pins(order), dependencies(order)) == (["linux-image-amd64=6.1.2-1"], ["linux-image-6.1.0-2-amd64=6.1.2-1"])


def test_a_new_package_that_no_list_names_and_nothing_dates_does_not_come_along() -> None:
    rule = PatchRule(number=1, approve_after_days=7)
    offers = [a_deb(version="1.1"), a_deb("bash-data", "1.1", indexes=(MAIN,)), a_deb("bash-late", "1.1")]
    order = ordered([OLD], offers, rules=(rule,), approved=["bash"])
    assert (pins(order), dependencies(order)) == (["bash=1.1"], [])


@pytest.mark.parametrize(
    ("action", "blocked"), [(RejectedPatchesAction.BLOCK, ("liba",)), (RejectedPatchesAction.ALLOW_AS_DEPENDENCY, ())]
)
def test_rejected_names_that_nothing_may_bring(action: RejectedPatchesAction, blocked: tuple[str, ...]) -> None:
    offers = [*OFFERS, a_deb("liba", "2.0")]
    order = ordered([OLD], offers, approved=["bash"], rejected=["liba"], rejected_action=action)
    assert order is not None
    assert (order.blocked, dependencies(order)) == (blocked, [])


def test_unapproved_dependencies_are_the_baselines_choice() -> None:
    for choice in UnapprovedDependencies:
        order = ordered([OLD], OFFERS, approved=["bash"], unapproved_dependencies=choice)
        assert order is not None
        assert order.any_dependency is (choice is UnapprovedDependencies.ALLOW)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        pytest.param([InstallOverride(id="bash")], ["bash=1.2"], id="by name, whatever the baseline says"),
        pytest.param([InstallOverride(id="BASH.amd64", title="*:1.1")], ["bash=1.1"], id="by row and title"),
        pytest.param([InstallOverride(id="ba*", title="1.1")], ["bash=1.1"], id="by globs, and the bare version"),
        pytest.param([InstallOverride(id="bash", title="9*")], [], id="both must match"),
        pytest.param([InstallOverride(id="zsh")], [], id="only what is installed"),
    ],
)
def test_an_override_list_restricts_and_overrides(overrides: list[InstallOverride], expected: list[str]) -> None:
    request = replace(INSTALL, overrides=tuple(overrides))
    offers = [*OFFERS, a_deb("zsh", "5")]
    assert pins(ordered([OLD], offers, request, rejected=["bash"])) == expected


def test_a_scan_tells_every_row_that_is_not_compliant_and_ignores_a_list() -> None:
    scan = PatchRequest(operation=Operation.SCAN, overrides=(InstallOverride(id="zsh"),))
    rows = [OLD, installed("zsh", "5"), installed("vim", "9"), installed("awk", "1")]
    offers = [*OFFERS, a_deb("zsh", "6"), a_deb("awk", "2")]
    held = {"holds": (PatchEntry(pattern="awk"),), "rejected_action": RejectedPatchesAction.BLOCK}
    order = ordered(rows, offers, scan, approved=["bash", "awk"], rejected=["vim"], **held)
    assert order is not None
    assert order.told == ("MISSING awk.amd64:2", "MISSING bash.amd64:1.2", "INSTALLED_REJECTED vim.amd64:9")
    assert ordered([installed("zsh", "5")], offers, scan) is None


def test_what_another_node_has_is_in_no_order() -> None:
    one = ordered([OLD], OFFERS, approved=["bash"])
    other = ordered([installed(version="1.1")], OFFERS, approved=["bash"])
    assert one is not None
    assert other is not None
    assert (pins(one), pins(other), one.digest == other.digest) == (["bash=1.2"], ["bash=1.2"], False)


def test_the_specifications_list_upgrades_what_is_installed_of_it_and_leaves_its_sibling() -> None:
    """SSM: `libssl*` with a version; openssl is not named, and the version that the list names must exist."""
    request = replace(INSTALL, overrides=(InstallOverride(id="libssl*", title="*3.0.22-1~deb12u2"),))
    have = [installed(name, "3.0.19-1~deb12u2") for name in ("libssl3", "libssl-dev", "openssl")]
    names = ("libssl3", "libssl-dev", "libssl-doc", "openssl")
    offers = [a_deb(name, version) for name in names for version in ("3.0.22-1~deb12u2", "3.0.23-1~deb12u1")]
    order = ordered(have, offers, request)
    assert pins(order) == ["libssl-dev=3.0.22-1~deb12u2", "libssl3=3.0.22-1~deb12u2"]
    assert pins(ordered(have, [one for one in offers if "3.0.23" in one.version], request)) == []
