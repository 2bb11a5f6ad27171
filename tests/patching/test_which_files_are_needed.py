"""Which files are worth keeping: upgrades of what nodes have, that a baseline approves or will approve, from where nodes say."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from reconciler.ids import BaselineName, NodeId, PatchId
from reconciler.model.baseline import OperatingSystem, PatchBaseline, PatchEntry, PatchRule
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.patch import Patch
from reconciler.patching.approval import Grounds
from reconciler.patching.ledger import Ledger, with_sightings
from reconciler.patching.needed_files import Need, files_to_keep, needed_files
from reconciler.patching.node_patches import Gone
from reconciler.patching.states import Judge
from tests.patching.rows import SECURITY, a_deb, an_rpm, at

NOW = at("2025-06-09")
WEB, ODD = NodeId("web-01"), NodeId("web-02")


def deb(version: str, checksum: str = "", **given: Any) -> Patch:
    told = {"checksum": f"sha256:{checksum or version[-1] * 64}", "size": 10, "filename": f"pool/it_{version}.deb"}
    return a_deb("it", version, **told | given)


def judge(*offers: Patch) -> Judge:
    ledger, _ = with_sightings(Ledger(), {WEB: offers}, now=at("2025-06-05"), previous_commit=None)
    baseline = PatchBaseline(
        name=BaselineName("b"),
        operating_system=OperatingSystem.DEBIAN,
        rules=(PatchRule(number=1, approve_after_days=7),),
        rejected=(PatchEntry(pattern="never"),),
    )
    return Judge(Grounds(baseline=baseline, ledger=ledger, product="Debian12", now=NOW))


def have(row: PatchId) -> tuple[str, ...]:
    return {"it.amd64": ("1-1",), "never.amd64": ("1-1",), "bash.x86_64": ("5-1",)}.get(row, ())


def test_what_waits_and_what_is_gone_is_needed() -> None:
    offers = (deb("1-2"), deb("1-3"))
    lost = Gone(patch=deb("1-4"), since=NOW)
    found = needed_files(offers, [lost], have, judge(*offers, lost.patch))
    assert [(one.patch.version, one.need) for one in found] == [
        ("1-4", Need.GONE),
        ("1-2", Need.PENDING),
        ("1-3", Need.PENDING),
    ]


def test_new_packages_are_needed_where_they_were_built_together_with_an_upgrade() -> None:
    def new(name: str, digit: str, source: str) -> Patch:
        return a_deb(name, "1-2", checksum=f"sha256:{digit * 64}", size=1, filename="x.deb", source=source)

    offers = (deb("1-2"), new("it-abi", "7", "it"), new("strange", "8", "strange"))
    found = needed_files(offers, [], have, judge(*offers))
    assert {(one.patch.name, one.need) for one in found} == {("it", Need.PENDING), ("it-abi", Need.PENDING)}


def test_new_rpms_are_needed_where_they_were_built_together_with_an_upgrade_whatever_their_epoch() -> None:
    def rpm(name: str, version: str, digit: str, **given: Any) -> Patch:
        return an_rpm(name, version, checksum=f"sha256:{digit * 64}", size=1, filename=f"{name}.rpm", **given)

    offers = (
        rpm("bash", "1:5-2", "5"),
        rpm("bash-new", "9-1", "6", source="bash", source_version="5-2"),
        rpm("strange", "5-2", "7"),
    )
    baseline = PatchBaseline(
        name=BaselineName("b"),
        operating_system=OperatingSystem.ROCKY_LINUX,
        approved=(PatchEntry(pattern="bash"),),
        approved_non_security=True,
    )
    by = Judge(Grounds(baseline=baseline, ledger=Ledger(), product="", now=NOW))
    assert {one.patch.name for one in needed_files(offers, [], have, by)} == {"bash", "bash-new"}


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param(deb("1-1"), id="what is installed"),
        pytest.param(deb("0-9"), id="what is older"),
        pytest.param(a_deb("else", "1-2", checksum=f"sha256:{'2' * 64}", size=1, filename="x.deb"), id="no row"),
        pytest.param(a_deb("never", "1-2", checksum=f"sha256:{'2' * 64}", size=1, filename="x.deb"), id="rejected"),
        pytest.param(deb("1-2", checksum="short"), id="a checksum that is none"),
        pytest.param(deb("1-2", size=None), id="no size"),
        pytest.param(deb("1-2", filename=""), id="no place"),
    ],
)
def test_nothing_else_is(patch: Patch) -> None:
    assert needed_files([patch], [], have, judge(patch)) == ()


def test_a_deb_of_an_index_that_was_not_verified_is_not_kept_and_an_rpm_is() -> None:
    loose = replace(SECURITY, trusted=False)
    entries = PatchBaseline(
        name=BaselineName("b"),
        operating_system=OperatingSystem.DEBIAN,
        approved=(PatchEntry(pattern="*"),),
        approved_non_security=True,
    )
    by = Judge(Grounds(baseline=entries, ledger=Ledger(), product="", now=NOW))
    rpm = an_rpm("bash", "5-2", checksum=f"sha256:{'5' * 64}", size=1, filename="bash-5-2.x86_64.rpm")
    assert needed_files([deb("1-2", indexes=(loose,))], [], have, by) == ()
    assert [one.need for one in needed_files([deb("1-2"), rpm], [], have, by)] == [Need.APPROVED, Need.APPROVED]


ROW: JsonValue = {
    "origin": "Debian",
    "label": "Debian-Security",
    "suite": "oldstable-security",
    "codename": "bookworm-security",
    "component": "main",
    "trusted": True,
}
KEY = "mirror.example bookworm-security/main amd64"


def told(addresses: Mapping[NodeId, Observed[Mapping[str, JsonValue]]]) -> Any:
    repositories: Mapping[str, JsonValue] = {KEY: ROW, "mirror.example bookworm/main amd64": {"label": "Debian"}}

    def section(node: NodeId, name: str) -> Observed[Mapping[str, JsonValue]]:
        return Known(repositories) if name == "repositories" else addresses[node]

    return section


def test_a_file_lies_where_most_nodes_say_that_its_own_index_lies() -> None:
    offers = (deb("1-2", filename="./pool/it 100%?.deb"),)
    mine = needed_files(offers, [], have, judge(*offers))
    lie = needed_files((deb("1-2", filename="pool/lie.deb", size=10**9),), [], have, judge(*offers))
    nodes = [NodeId(f"node-{number}") for number in range(3)]
    elsewhere: Mapping[str, JsonValue] = {"mirror.example bookworm/main amd64": ["http://main/"]}
    addresses: dict[NodeId, Observed[Mapping[str, JsonValue]]] = {
        node: Known({KEY: ["http://good/debian/"], **elsewhere}) for node in nodes
    }
    addresses[ODD] = Known({KEY: ["http://bad/"]})
    addresses[WEB] = Unknown("not asked")
    (found,) = files_to_keep({**dict.fromkeys((*nodes, WEB), mine), ODD: lie}, told(addresses))
    assert found.addresses == ("http://good/debian/pool/it%20100%25%3F.deb", "http://bad/pool/lie.deb")
    assert (found.name, found.need, found.checksum) == ("it.amd64:1-2", Need.PENDING, f"sha256:{'2' * 64}")
