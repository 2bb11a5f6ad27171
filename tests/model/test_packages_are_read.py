"""Manifests of Distributor packages: what is read, what is refused at which line, and which file a node gets."""

import json
from typing import Any

import pytest

from reconciler.ids import PackageName
from reconciler.model.package import PackageFile, PackageVersion, Platform
from reconciler.model.read_state import read_state
from reconciler.problem import Gravity

FLEET = {"state/fleet.yaml": b"Fleet: example\n"}
SUM = "ab" * 32


def a_version(leaves: dict[str, Any]) -> PackageVersion:
    names = {name for versions in leaves.values() for archs in versions.values() for name in archs.values()}
    files = {name: PackageFile(name=name, sha256=SUM) for name in names}
    return PackageVersion(package=PackageName("x"), version="1", leaves=leaves, files=files, folder="packages/x/1")


REDHAT = {"redhat": {"7.*": {"x86_64": "a"}, "_any": {"_any": "b"}}}
UBUNTU = {"ubuntu": {"22.*": {"_any": "a"}, "22.04": {"_any": "b"}}}
OTHERS = {"ubuntu": {"20.04": {"_any": "a"}}, "_any": {"_any": {"_any": "z"}}}


@pytest.mark.parametrize(
    ("leaves", "platform", "file"),
    [
        (REDHAT, ("redhat", "7.9", "x86_64"), "a"),
        (REDHAT, ("redhat", "7", "x86_64"), "a"),
        (REDHAT, ("redhat", "7.9", "arm64"), "nothing for architecture arm64 of redhat 7.9"),
        (REDHAT, ("redhat", "8.4", "arm64"), "b"),
        (REDHAT, ("redhat", "70.1", "x86_64"), "b"),
        (UBUNTU, ("ubuntu", "22.04", "x86_64"), "b"),
        (UBUNTU, ("ubuntu", "22.10", "x86_64"), "a"),
        (OTHERS, ("ubuntu", "24.04", "x86_64"), "nothing for version 24.04 of ubuntu"),
        (OTHERS, ("rocky", "9", "x86_64"), "z"),
        (REDHAT, ("debian", "12", "x86_64"), "nothing for platform debian"),
        ({"a": {"*": {"_any": "s"}}}, ("a", "1", "386"), "s"),
        ({"a": {"*": {"_any": "s"}, "_any": {"_any": "t"}}}, ("a", "1", "386"), "t"),
        ({"a": {"1.*": {"_any": "s"}, "1.2.*": {"_any": "t"}}}, ("a", "1.2.3", "386"), "t"),
    ],
)  # fmt: skip
def test_the_file_of_a_node_is_chosen_as_by_ssms_agent(
    leaves: dict[str, Any], platform: tuple[str, str, str], file: str
) -> None:
    name, version, architecture = platform
    found = a_version(leaves).file_for(Platform(name=name, version=version, architecture=architecture))
    assert (found if isinstance(found, str) else found.name) == file


@pytest.mark.parametrize(
    ("told", "platform"),
    [
        (("amzn", "2", "aarch64"), "amazon 2 arm64"),
        (("rhel", "9.4", "x86_64"), "redhat 9.4 x86_64"),
        (("sles", "15.5", "i686"), "suse 15.5 386"),
        (("debian", "12", "riscv64"), "debian 12 riscv64"),
    ],
)
def test_a_node_is_of_the_platform_that_manifests_name(told: tuple[str, str, str], platform: str) -> None:
    assert str(Platform.of(*told)) == platform


def test_dead_ends_are_named_and_foreign_platforms_bring_no_file() -> None:
    assert list(a_version(REDHAT).dead_ends()) == ["redhat/7.* has nothing for _any, which redhat/_any has"]
    both = a_version({"windows": {"_any": {"_any": "w"}}, "debian": {"12": {"_any": "d"}}})
    assert [file.name for file in both.linux_files] == ["d"]


def a_manifest(**changes: Any) -> dict[str, Any]:
    return {
        "schemaVersion": "2.0",
        "publisher": "ops",
        "version": "1.0",
        "packages": {"debian": {"12": {"_any": {"file": "a.zip"}}}},
        "files": {"a.zip": {"checksums": {"sha256": SUM}}},
        **changes,
    }


def read(manifest: object, **more: str) -> tuple[Any, list[str]]:
    files = {
        "packages/tool/1.0/manifest.json": json.dumps(manifest).encode(),
        **{k: v.encode() for k, v in more.items()},
    }
    desired, problems = read_state({**FLEET, **files})
    return desired, [f"{one.file}: {one.message}" for one in problems if one.gravity is Gravity.ERROR]


def test_packages_are_read_with_their_versions_and_the_default() -> None:
    second = json.dumps(
        a_manifest(version="2.0", files={"a.zip": {"checksums": {"sha256": SUM}, "url": "https://x/a"}})
    )
    desired, errors = read(a_manifest(), **{"packages/tool/2.0/manifest.json": second})
    assert errors == []
    tool = desired.packages["tool"]
    assert (sorted(tool.versions), tool.default) == (["1.0", "2.0"], None)
    assert tool.versions["2.0"].files["a.zip"].url == "https://x/a"
    assert tool.versions["1.0"].folder == "packages/tool/1.0"
    named, _ = read(
        a_manifest(), **{"packages/tool/2.0/manifest.json": second, "packages/tool/package.yaml": "default: 1.0"}
    )
    assert named.packages["tool"].default == "1.0"
    assert read(a_manifest())[0].packages["tool"].default == "1.0"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"version": "1.1"}, "the version must be the name of the manifest's folder"),
        ({"schemaVersion": "1.0"}, 'a manifest says "schemaVersion": "2.0"'),
        ({"files": {}}, "a manifest names 1 to 20 files"),
        ({"files": {"a b.zip": {"checksums": {"sha256": SUM}}}}, "this is no name of a file"),
        ({"files": {"../a.zip": {"checksums": {"sha256": SUM}}}}, "this is no name of a file"),
        ({"files": {"a.zip": {"checksums": {"sha256": "ab"}}}}, "64 hexadecimal digits"),
        ({"files": {"a.zip": {"checksums": {"sha256": SUM}, "url": "http://x/"}}}, "from an https address"),
        ({"packages": {"debian": {"12": {"_any": {"file": "b.zip"}}}}}, "not among the manifest's files"),
        ({"packages": {"debian": "a.zip"}}, "stand inside each other"),
        ({"packages": {}}, "which file is for which platform"),
    ],
)
def test_a_wrong_manifest_is_refused_with_what_is_wrong(changes: dict[str, Any], why: str) -> None:
    desired, errors = read(a_manifest(**changes))
    assert desired is None
    assert any(why in error for error in errors), errors


def test_what_lies_about_in_the_folder_is_no_mistake() -> None:
    desired, errors = read(
        {"name": "an extension of a browser"}, **{"packages/x/README.md": "", "packages/x/1/a.zip": "PK"}
    )
    assert errors == []
    assert desired.packages == {}
    desired, errors = read(a_manifest(), **{"packages/tool/package.yaml": "default: 3.0"})
    assert errors == ["packages/tool/package.yaml: there is no such version of tool (there are: 1.0)"]
