"""Files that this host has kept, on real nodes: in one transaction with what is on offer, and refused where they are not what they must be."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler.ids import BaselineName
from reconciler.model.baseline import OperatingSystem
from reconciler.model.patch import Family
from reconciler.model.patch_order import PatchOrder, Pin, RebootOption
from tests.support.apt_repository import build
from tests.support.nodes import Fleet, NodeSpec, TestNode, start_fleet
from tests.support.patching import Manager, audit, forget_packages, have, package, publish, versions
from tests.support.rpm_repository import (
    LEAP,
    ON_NODE,
    ROCKY,
    Rpm,
    RpmPackages,
    become_rpm_node,
    configure_dnf,
    configure_zypper,
    rpm_node,
)

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

HELLO = [Rpm(name="hello", version=f"1.{n}-1") for n in range(2)]
SIGNED = [Rpm(name="signed", version=f"1.{n}-1") for n in range(2)]
BRINGS = [
    Rpm(name="brings", version="1.0-1"),
    Rpm(name="brings", version="1.1-1", fields=["Requires: brought = 1.1-1"]),
    Rpm(name="brought", version="1.1-1"),
]
KEY = r"""
set -e
export GNUPGHOME=/root/signing
mkdir -p -m 700 $GNUPGHOME
gpg --batch --quiet --passphrase '' --quick-gen-key tests@example.invalid rsa2048 sign never
gpg --batch --armor --export >/root/signing.asc
rpmsign --define '__gpg /usr/bin/gpg' --define '_gpg_name tests@example.invalid' --addsign "$1" >/dev/null
gpgconf --kill gpg-agent
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Fleet]:
    specs = [NodeSpec(name="debian"), rpm_node("rocky"), rpm_node("leap")]
    with start_fleet(tmp_path_factory.mktemp("fleet"), specs=specs) as started:
        yield started


def pin(name: str, version: str, data: bytes | None, arch: str = "all", installed: str = "1.0") -> Pin:
    checksum = "" if data is None else f"sha256:{hashlib.sha256(data).hexdigest()}"
    size = None if data is None else len(data)
    return Pin(
        name=name,
        arch=arch,
        version=version,
        checksum=checksum,
        size=size,
        installed=installed,
        kept=data is not None,
    )


def order(family: Family, *pins: Pin) -> PatchOrder:
    return PatchOrder(
        baseline=BaselineName("now"), family=family, pins=tuple(sorted(pins)), reboot=RebootOption.NO_REBOOT
    )


@pytest.fixture(scope="module")
def managers(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Manager]:
    outputs = tmp_path_factory.mktemp("outputs")
    systems = (OperatingSystem.DEBIAN, OperatingSystem.ROCKY_LINUX, OperatingSystem.SUSE)
    return [Manager(node, outputs / node.name, system) for node, system in zip(fleet.nodes, systems, strict=True)]


@pytest.fixture
def debian(managers: Sequence[Manager]) -> Iterator[Manager]:
    yield managers[0]
    forget_packages(managers[0].server)


def kept(node: TestNode, folder: Path) -> bytes:
    """Have hello and liba 1.0; give the file of hello 1.1, which needs the newer liba, and take it off the archive."""
    old = [package("hello", "1.0"), package("liba", "1.0")]
    lost = package("hello", "1.1", Depends="liba (>= 1.1)")
    have(node, folder, old, lost, package("liba", "1.1"))
    data = (folder / "apt/pool/main" / lost.file_name).read_bytes()
    publish(node, folder, [package("hello", "1.2"), package("liba", "1.1")])
    return data


def test_a_kept_file_is_installed_together_with_what_is_on_offer(debian: Manager, tmp_path: Path) -> None:
    node = debian.server
    data = kept(node, tmp_path)
    node.run(["apt-mark", "auto", "hello"])
    done = debian.run(order(Family.APT, pin("hello", "1.1", data), pin("liba", "1.1", None)), files=[data])
    assert (done.status, done.installed) == ("Success", {"hello.all": "1.1", "liba.all": "1.1"}), done
    assert versions(node, "hello", "liba") == {"hello": "1.1", "liba": "1.1"}
    assert audit(node) == ""
    assert "hello" in node.run(["apt-mark", "showauto"]).stdout.split()


def test_new_packages_that_a_kept_one_brings_along_are_kept_with_it(debian: Manager, tmp_path: Path) -> None:
    node = debian.server
    have(node, tmp_path, [package("image", "1.0"), package("alone", "1.0")])
    made = [package("image", "1.1", Depends="image-1.1"), package("image-1.1", "1.1"), package("alone", "1.1")]
    publish(node, tmp_path, made)
    image, new, _ = ((tmp_path / "apt/pool/main" / one.file_name).read_bytes() for one in made)
    publish(node, tmp_path, [package("image", "1.2"), made[2]])
    wanted = order(Family.APT, pin("alone", "1.1", None), pin("image", "1.1", image))
    wanted = replace(wanted, dependencies=(pin("image-1.1", "1.1", new),))
    done = debian.run(wanted, files=[image, new])
    assert (done.status, done.installed) == ("Success", {"alone.all": "1.1", "image.all": "1.1"}), done
    assert versions(node, "image", "image-1.1") == {"image": "1.1", "image-1.1": "1.1"}
    assert "image-1.1" in node.run(["apt-mark", "showauto"]).stdout.split()
    assert "image" in node.run(["apt-mark", "showmanual"]).stdout.split()


def test_a_new_package_that_was_sent_and_is_not_needed_stays_away(debian: Manager, tmp_path: Path) -> None:
    data = kept(debian.server, tmp_path)
    new = package("new", "1.1")
    build(new, tmp_path / "new.deb")
    file = (tmp_path / "new.deb").read_bytes()
    wanted = order(Family.APT, pin("hello", "1.1", data), pin("liba", "1.1", None))
    done = debian.run(replace(wanted, dependencies=(pin("new", "1.1", file),)), files=[data, file])
    assert done.installed == {"hello.all": "1.1", "liba.all": "1.1"}, done
    assert versions(debian.server, "new") == {}


def test_a_kept_file_that_needs_more_than_is_approved_stays_away(debian: Manager, tmp_path: Path) -> None:
    data = kept(debian.server, tmp_path)
    done = debian.run(order(Family.APT, pin("hello", "1.1", data)), files=[data])
    assert done.causes == {"hello.all": "dependency"}, done
    assert "liba 1.1, which is not approved" in str(done.report.failed)
    assert versions(debian.server, "hello", "liba") == {"hello": "1.0", "liba": "1.0"}


def test_a_file_that_changed_on_its_node_is_not_installed_and_the_others_are(debian: Manager, tmp_path: Path) -> None:
    data = kept(debian.server, tmp_path)
    change = f'printf x >>"${{0%/steps/*}}/content/{hashlib.sha256(data).hexdigest()}"\n'.encode()
    wanted = order(Family.APT, pin("hello", "1.1", data), pin("liba", "1.1", None))
    done = debian.run(wanted, files=[data], script=lambda text: change + text)
    assert (done.causes, done.installed) == ({"hello.all": "checksum"}, {"liba.all": "1.1"}), done
    assert versions(debian.server, "hello", "liba") == {"hello": "1.0", "liba": "1.1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rpms:
    """A node with rpm, and what this host has kept for it."""

    manager: Manager
    family: Family
    unsigned: bytes
    signed: bytes
    brings: bytes
    brought: bytes


@pytest.fixture(scope="module")
def files(fleet: Fleet) -> tuple[bytes, ...]:
    """Give hello 1.0 and 1.1, not signed, 1.0 and 1.1 of what is, and what brings something along; leave the key at /root/signing.asc of both nodes."""
    _, rocky, leap = fleet.nodes
    become_rpm_node(rocky, ROCKY)
    become_rpm_node(leap, LEAP)
    packages = RpmPackages(rocky)
    packages.build([*HELLO, *SIGNED, *BRINGS])
    rocky.run(["sh", "-c", KEY, "sh", str(ON_NODE / "pool" / SIGNED[1].file_name)])
    (leap.root / "root/signing.asc").write_bytes((rocky.root / "root/signing.asc").read_bytes())
    pool = rocky.root / ON_NODE.relative_to("/") / "pool"
    packages.publish("updates", [])
    packages.copy_to(leap)
    return tuple((pool / one.file_name).read_bytes() for one in (*HELLO, *SIGNED, *BRINGS))


@pytest.fixture(params=["dnf", "zypper"])
def rpms(request: pytest.FixtureRequest, managers: Sequence[Manager], files: tuple[bytes, ...]) -> Rpms:
    is_dnf = request.param == "dnf"
    manager = managers[1 if is_dnf else 2]
    node = manager.server
    if is_dnf:
        configure_dnf(node, {"updates": "", "strict": "enabled=0\ngpgcheck=1"})
    else:
        configure_zypper(node, ["updates"])
    refresh = "dnf -q makecache" if is_dnf else "zypper -n --no-gpg-checks refresh"
    for old in (files[0], files[2], files[4]):
        (node.root / "root/old.rpm").write_bytes(old)
        node.run(["sh", "-c", "rpm -U --oldpackage --replacepkgs --force-debian --nodeps /root/old.rpm"])
    node.run(["sh", "-ec", f"{refresh}; rpm -qa 'gpg-pubkey*' | xargs -r rpm -e --allmatches"])
    family = Family.RPM if is_dnf else Family.SUSE
    unsigned, signed, brings, brought = files[1], files[3], *files[5:]
    return Rpms(manager=manager, family=family, unsigned=unsigned, signed=signed, brings=brings, brought=brought)


def ask_for_signatures(node: TestNode) -> None:
    for path in ("etc/yum.repos.d/tests.repo", "etc/zypp/repos.d/updates.repo"):
        file = node.root / path
        if file.exists():
            file.write_text(file.read_text().replace("gpgcheck=0", "gpgcheck=1"))


def installed(node: TestNode) -> list[str]:
    return node.run(["rpm", "-q", "hello", "signed"]).stdout.split()


def test_a_kept_rpm_must_be_signed_by_a_known_key_where_repositories_are_asked_for_signatures(rpms: Rpms) -> None:
    node = rpms.manager.server
    ask_for_signatures(node)
    pins = (
        pin("hello", "1.1-1", rpms.unsigned, "noarch", "1.0-1"),
        pin("signed", "1.1-1", rpms.signed, "noarch", "1.0-1"),
    )
    wanted = order(rpms.family, *pins)
    done = rpms.manager.run(wanted, files=[rpms.unsigned, rpms.signed])
    assert done.causes == {"hello.noarch": "signature", "signed.noarch": "signature"}, done
    assert installed(node) == ["hello-1.0-1.noarch", "signed-1.0-1.noarch"]
    node.run(["rpm", "--import", "/root/signing.asc"])
    done = rpms.manager.run(wanted, files=[rpms.unsigned, rpms.signed])
    assert (done.causes, done.installed) == ({"hello.noarch": "signature"}, {"signed.noarch": "1.1-1"}), done
    assert installed(node) == ["hello-1.0-1.noarch", "signed-1.1-1.noarch"]


def test_a_kept_rpm_need_not_be_signed_where_no_enabled_repository_asks_for_that(rpms: Rpms) -> None:
    wanted = order(rpms.family, pin("hello", "1.1-1", rpms.unsigned, "noarch", "1.0-1"))
    done = rpms.manager.run(wanted, files=[rpms.unsigned])
    assert done.installed == {"hello.noarch": "1.1-1"}, done
    assert installed(rpms.manager.server)[0] == "hello-1.1-1.noarch"


def test_new_packages_that_a_kept_rpm_brings_along_are_kept_with_it_and_come_only_then(rpms: Rpms) -> None:
    node = rpms.manager.server
    new = pin("brought", "1.1-1", rpms.brought, "noarch", "")
    alone = replace(order(rpms.family, pin("hello", "1.1-1", rpms.unsigned, "noarch", "1.0-1")), dependencies=(new,))
    done = rpms.manager.run(alone, files=[rpms.unsigned, rpms.brought])
    assert done.installed == {"hello.noarch": "1.1-1"}, done
    assert "not installed" in node.run(["sh", "-c", "rpm -q brought || :"]).stdout

    needing = replace(order(rpms.family, pin("brings", "1.1-1", rpms.brings, "noarch", "1.0-1")), dependencies=(new,))
    done = rpms.manager.run(needing, files=[rpms.brings, rpms.brought])
    assert done.installed == {"brings.noarch": "1.1-1"}, done
    found = node.run(["rpm", "-q", "brings", "brought"]).stdout.split()
    assert found == ["brings-1.1-1.noarch", "brought-1.1-1.noarch"]
    if rpms.family is Family.RPM:
        told = node.run(["dnf", "-q", "repoquery", "--installed", "--qf", "%{reason}", "brought"]).stdout
        assert told.strip() == "dependency"
    else:
        assert "brought" in (node.root / "var/lib/zypp/AutoInstalled").read_text().split()
