"""Nodes by the thousand: the stream says what the judge of one node says, and judges each distinct row once."""

import random
from dataclasses import replace

import pytest

from reconciler.ids import NodeId, PatchId
from reconciler.model.known import JsonValue, Known, Unknown
from reconciler.model.patch import Family
from reconciler.model.patch_lines import PatchTable, installed_line, patch_line
from reconciler.patching.approval import Grounds
from reconciler.patching.from_facts import NodeMemory, family_of, native_arch, node_patches
from reconciler.patching.ledger import Ledger, with_sightings
from reconciler.patching.node_patches import Gone, InstallRun
from reconciler.patching.states import Judge, PatchRow, PatchState, judge_rows
from reconciler.patching.stream import RowStream
from tests.patching.rows import a_deb, an_rpm, at, installed
from tests.patching.worked import baseline_of

BASELINE = baseline_of(
    {
        "OperatingSystem": "DEBIAN",
        "ApprovalRules": {"PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 7}]},
    }
)
OS: dict[str, JsonValue] = {"family": "debian", "arch": "x86_64", "id": "debian", "version_id": "12"}
STOCK = {f"p{number}": [a_deb(f"p{number}", f"1-{version}") for version in range(3)] for number in range(40)}


def judge() -> Judge:
    everything = [patch for patches in STOCK.values() for patch in patches[:2]]
    ledger, _ = with_sightings(Ledger(), {NodeId("a"): everything}, now=at("2025-01-01"), previous_commit=None)
    return Judge(Grounds(baseline=BASELINE, ledger=ledger, product="Debian12", now=at("2025-06-01")))


def sections(rng: random.Random) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    names = rng.sample(sorted(STOCK), 20)
    rows = {
        f"{name}.amd64": [
            installed_line(installed(name, f"1-{rng.randint(0, 2)}", installed_at=at(f"2025-01-{rng.randint(10, 28)}")))
        ]
        for name in names
    }
    offers = {f"{name}.amd64": [patch_line(patch) for patch in STOCK[name][rng.randint(0, 2) :]] for name in names}
    return dict(rows), dict(offers)


def timeless(rows: tuple[PatchRow, ...]) -> set[PatchRow]:
    return {replace(row, installed=replace(row.installed, installed_at=None)) for row in rows}


def test_the_stream_says_what_is_said_of_one_node() -> None:
    rng = random.Random(7)
    table, judged = PatchTable(), judge()
    stream = RowStream(judged, table, family=Family.APT, native="amd64")
    count = 0
    for number in range(150):
        mine, offered = sections(rng)
        gone = (Gone(patch=table.patch(patch_line(STOCK["p3"][1])), since=at("2025-05-01")),)
        memory = NodeMemory(gone=gone if number % 3 == 0 else ())
        run = InstallRun(attempted={PatchId("p5.amd64"): "1-2"}) if number % 5 == 0 else None
        found = node_patches({"os": Known(OS), "installed": Known(mine), "available": Known(offered)}, table, memory)
        assert isinstance(found, Known)
        rows = tuple(stream.rows(mine, offered, memory, run))
        assert timeless(rows) == timeless(judge_rows(found.value, judged, run))
        count += len(rows)
    assert count == 3000
    assert stream.distinct <= 40 * 3 * 3


def test_rows_that_hang_on_their_node_are_not_shared() -> None:
    table = PatchTable()
    stream = RowStream(judge(), table, family=Family.APT, native="amd64")
    mine: dict[str, JsonValue] = {"p1.amd64": [installed_line(installed("p1", "1-1"))]}
    offered: dict[str, JsonValue] = {"p1.amd64": [patch_line(STOCK["p1"][1])]}
    waits = NodeMemory(installed_without_reboot={"p1.amd64:1-1": at("2025-05-01")})
    states = [
        [row.state for row in stream.rows(mine, offered, memory)] for memory in (NodeMemory(), waits, NodeMemory())
    ]
    assert states == [[PatchState.INSTALLED], [PatchState.INSTALLED_PENDING_REBOOT], [PatchState.INSTALLED]]


def test_a_package_for_all_machines_meets_its_successor() -> None:
    stream = RowStream(judge(), PatchTable(), family=Family.APT, native="amd64")
    mine: dict[str, JsonValue] = {"p1.all": [installed_line(installed("p1", "1-0", arch="all"))]}
    offered: dict[str, JsonValue] = {"p1.amd64": [patch_line(STOCK["p1"][1])]}
    assert [row.title for row in stream.rows(mine, offered, NodeMemory())] == ["p1.amd64:1-1"]


@pytest.mark.parametrize(
    ("section", "value", "why"),
    [
        pytest.param("available", Unknown("no lists"), "available: no lists", id="no section"),
        pytest.param("installed", None, "installed: not asked for", id="not asked"),
        pytest.param("available", Known({"a.amd64": {"unknown": "cut"}}), "'a.amd64' is no list", id="an unknown row"),
        pytest.param("available", Known({"a.amd64": ["debian|a"]}), "2 fields instead of 16", id="a line that is cut"),
        pytest.param("installed", Known({"a.amd64": ["a|b"]}), "2 fields instead of 9", id="an installed line"),
        pytest.param(
            "installed",
            Known({"a": [installed_line(installed("a", "a:1"))]}),
            "not a Debian version",
            id="an odd version",
        ),
        pytest.param(
            "available",
            Known({"a": [patch_line(an_rpm("a", "1-1"))]}),
            "of family rpm, the node of debian",
            id="of rpm",
        ),
        pytest.param("os", Known({"family": "other"}), "none that we know", id="another family"),
    ],
)
def test_what_does_not_read_is_unknown(
    section: str, value: Known[dict[str, JsonValue]] | Unknown | None, why: str
) -> None:
    given: dict[str, Known[dict[str, JsonValue]] | Unknown] = {
        "os": Known(OS),
        "installed": Known({}),
        "available": Known({}),
    }
    if value is None:
        del given[section]
    else:
        given[section] = value
    found = node_patches(given, PatchTable(), NodeMemory())
    assert isinstance(found, Unknown)
    assert why in found.why


def test_machines_are_named_in_the_words_of_packages() -> None:
    assert native_arch(Family.APT, "x86_64") == "amd64"
    assert native_arch(Family.RPM, "x86_64") == "x86_64"
    assert native_arch(Family.APT, "riscv64") == "riscv64"
    assert family_of({"family": "suse"}) is Family.SUSE
    assert family_of({}) is None
