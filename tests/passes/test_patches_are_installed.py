"""AWS-RunPatchBaseline on a real node with a real apt: exactly what is approved, and nothing else."""

from collections.abc import Iterator

import pytest

from tests.support.apt_repository import Package
from tests.support.nodes import start_fleet
from tests.support.patching import Patching, audit, versions

pytestmark = pytest.mark.nodes


def package(name: str, version: str, **fields: str) -> Package:
    return Package(name=name, version=version, fields={key.replace("_", "-"): text for key, text in fields.items()})


@pytest.fixture(scope="module")
def patching(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Patching]:
    folder = tmp_path_factory.mktemp("patching")
    with start_fleet(folder / "fleet", 1) as fleet:
        yield Patching(folder, fleet)


def test_exactly_the_approved_versions_are_installed(patching: Patching) -> None:
    node = patching.fleet.nodes[0]
    patching.publish([package("hello", "1.0"), package("other", "1.0")])
    node.run(["apt-get", "-qy", "install", "hello", "other"])
    patching.publish([package("hello", "1.1"), package("other", "1.1")])
    patching.approve("hello")
    scanned = patching.send("Scan")
    assert (scanned.status, scanned.exit_code) == ("Success", 0), scanned
    assert "MISSING hello.all:1.1" in scanned.stdout
    assert versions(node, "hello", "other") == {"hello": "1.0", "other": "1.0"}
    done = patching.send()
    assert (done.status, done.exit_code, done.installed) == ("Success", 0, {"hello.all": "1.1"}), done
    assert versions(node, "hello", "other") == {"hello": "1.1", "other": "1.0"}
    assert audit(node) == ""
    again = patching.send()
    assert (again.status, again.installed) == ("Success", {}), again
    assert "nothing is missing" in again.stdout
