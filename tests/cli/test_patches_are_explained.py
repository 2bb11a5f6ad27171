"""`patch list` and `patch explain`, on a repository with committed facts and a ledger."""

from pathlib import Path

import pytest

from reconciler.compliance.paths import inventory_path
from reconciler.ids import NodeId
from reconciler.inventory.canonical import canonical
from reconciler.inventory.observed import Facts
from reconciler.model.known import JsonValue, Known
from reconciler.model.patch_lines import installed_line, patch_line
from reconciler.patching.ledger import Ledger, with_sightings
from reconciler.patching.ledger_files import write_ledger
from tests.cli.commands import HOSTILE, OBEYED, Host
from tests.patching.rows import a_deb, at, installed

NODE = NodeId("this-machine")
OLD, NEW = a_deb("openssl", "3.0.15-1"), a_deb("openssl", "3.0.16-1")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host that has made a repository and one pass."""
    host = Host(tmp_path_factory.mktemp("host"))
    host.run("init", "fleet", code=0)
    host.run("once", "fleet", code=0)
    return host


def commit(host: Host, files: dict[str, bytes]) -> None:
    """Commit files onto the compliance branch, beside what stands there."""
    tree = host.folder / "tree"
    if not tree.exists():
        host.git("worktree", "add", "--quiet", str(tree), "compliance")
    for path, content in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)
    host.git("add", "--all", repo="tree")
    host.git("commit", "--quiet", "--allow-empty", "--message", "facts", repo="tree")


def facts(*offers: str, version_id: str = "12") -> bytes:
    system: dict[str, JsonValue] = {"id": "debian", "version_id": version_id, "family": "debian", "arch": "x86_64"}
    mine: dict[str, JsonValue] = {"openssl.amd64": [installed_line(installed("openssl", "3.0.14-1"))]}
    sections = {"os": Known(system), "installed": Known(mine), "available": Known({"openssl.amd64": list(offers)})}
    return canonical(Facts(node=NODE, sections=sections))


def ledger() -> dict[str, bytes]:
    found, _ = with_sightings(Ledger(), {NODE: [OLD]}, now=at("2025-01-01"), previous_commit=None)
    found, _ = with_sightings(found, {NODE: [NEW]}, now=at("2999-01-01"), previous_commit=None)
    return dict(write_ledger(found))


SEED = f"""\
Archive: Debian-Security-bookworm-security
Source: snapshot
Versions: [{{Package: openssl, Version: 3.0.15-1, Arch: amd64, Checksum: '{OLD.checksum}', Date: 2025-01-01}}]
"""
"""A ledger's own entry would not do: whoever writes one by hand is given the date of the commit before it."""


def test_a_node_whose_patches_were_not_collected_is_unknown(host: Host) -> None:
    for words in (("list", NODE), ("explain", NODE, "openssl")):
        told = host.run("patch", *words, "--repo", "fleet", code=2)
        assert told.out.startswith("UNKNOWN: ")
        assert (
            host.run("patch", *words, "--repo", "fleet", "--format", "json", code=2).document()["status"] == "UNKNOWN"
        )


def test_a_node_that_is_not_there_is_a_mistake(host: Host) -> None:
    assert "there is no node 'web-99'" in host.run("patch", "list", "web-99", "--repo", "fleet", code=64).err


def test_what_is_missing_is_listed_and_explained(host: Host) -> None:
    host.commit({"state/ledger-seeds/debian.yaml": SEED})
    commit(host, {inventory_path(NODE): facts(patch_line(OLD), patch_line(NEW)), **ledger()})
    listed = host.run("patch", "list", NODE, "--repo", "fleet", code=2).out
    assert listed.startswith("NON_COMPLIANT: 1 of 1 rows are not compliant\n")
    assert "DebianDefaultPatchBaseline is the bundled default for DEBIAN" in listed
    assert "MISSING [HIGH] openssl.amd64:3.0.15-1\n" in listed
    explained = host.run("patch", "explain", NODE, "openssl", "--repo", "fleet", code=0).out
    assert "an install would bring exactly 3.0.15-1 (sha256:openssl-3.0.15-1)" in explained
    assert "  openssl.amd64:3.0.16-1: waits; Debian-Security-bookworm-security" in explained
    assert "approved on 2999-01-08 00:00 UTC" in explained
    rows = host.run("patch", "list", NODE, "--repo", "fleet", "--format", "json", code=2).document()["rows"]
    assert [(row["title"], row["state"], row["targetVersion"]) for row in rows] == [
        ("openssl.amd64:3.0.15-1", "MISSING", "3.0.15-1")
    ]
    said = host.run("patch", "explain", NODE, "openssl.amd64", "--repo", "fleet", "--format", "json", code=0).document()
    assert [(one["title"], one["status"], one["dateSource"]) for one in said["versions"]] == [
        ("openssl.amd64:3.0.15-1", "APPROVED", "seed"),
        ("openssl.amd64:3.0.16-1", "PENDING_APPROVAL", "first-seen"),
    ]


def test_a_node_with_nothing_missing_is_listed_in_full_on_demand(host: Host) -> None:
    commit(host, {inventory_path(NODE): facts(patch_line(NEW)), **ledger()})
    told = host.run("patch", "list", NODE, "--repo", "fleet", code=2).out
    assert told.startswith("UNKNOWN: nothing is missing by its package lists, but")
    assert "3.0.14-1" not in told
    assert "INSTALLED_OTHER openssl.amd64:3.0.14-1" in host.run("patch", "list", NODE, "--repo", "fleet", "--all").out


def test_a_package_of_a_hostile_name_is_shown_and_not_obeyed(host: Host) -> None:
    commit(host, {inventory_path(NODE): facts(patch_line(a_deb("openssl", "9", section=HOSTILE, indexes=())))})
    for words in (("list", NODE, "--all"), ("explain", NODE, "openssl"), ("explain", NODE, HOSTILE)):
        assert not OBEYED & set(host.run("patch", *words, "--repo", "fleet").out)


def test_a_system_without_baselines_and_a_ledger_that_does_not_read(host: Host) -> None:
    content = facts(patch_line(OLD)).replace(b'"os/id": "debian"', b'"os/id": "mint"')
    commit(host, {inventory_path(NODE): content})
    told = host.run("patch", "list", NODE, "--repo", "fleet", code=2).out
    assert told.startswith("UNKNOWN: no baseline: Systems Manager has no baselines for its operating system")
    commit(host, {"ledger/Debian-Security-bookworm-security.json": b"{}"})
    refused = host.run("patch", "list", NODE, "--repo", "fleet", code=1).err
    assert "ledger/Debian-Security-bookworm-security.json: not a ledger" in refused


def test_help_tells_of_both(tmp_path: Path) -> None:
    told = Host(tmp_path).run("patch", "--help", code=0).out
    assert "explain" in told
    assert "list" in told
