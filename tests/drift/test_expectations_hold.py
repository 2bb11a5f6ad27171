"""Every kind of expectation against facts: holds, differs, or cannot be told."""

from dataclasses import replace
from typing import Any

import pytest

from reconciler.drift.expectations import unmet
from reconciler.inventory.observed import Facts
from reconciler.model.association import (
    Expectations,
    ExpectedFile,
    ExpectedGroup,
    ExpectedInventory,
    ExpectedKernel,
    ExpectedMount,
    ExpectedPackage,
    ExpectedPort,
    ExpectedService,
    ExpectedUser,
    Presence,
)
from tests.drift.builders import FILE, some_facts

ABSENT = Presence.ABSENT
ANY = ".".join("0000")
SH = {"shell": "/bin/sh"}
FALSE = {"shell": "/bin/false"}
NODE = some_facts()
RPM = {"os": {"family": "rpm"}}


def file(**fields: Any) -> Expectations:
    return Expectations(files=(ExpectedFile(path="/etc/motd", **fields),))


def package(name: str = "nginx", constraint: str = "", **fields: Any) -> Expectations:
    operator, _, version = constraint.partition(" ")
    return Expectations(
        packages=(ExpectedPackage(name=name, operator=operator or None, version=version or None, **fields),)
    )


def service(name: str = "nginx", **fields: Any) -> Expectations:
    return Expectations(services=(ExpectedService(name=name, **fields),))


def user(name: str = "app", **fields: Any) -> Expectations:
    return Expectations(users=(ExpectedUser(name=name, **fields),))


def group(name: str = "app", **fields: Any) -> Expectations:
    return Expectations(groups=(ExpectedGroup(name=name, **fields),))


def mount(path: str = "/srv", **fields: Any) -> Expectations:
    return Expectations(mounts=(ExpectedMount(path=path, **fields),))


def port(number: int, **fields: Any) -> Expectations:
    return Expectations(ports=(ExpectedPort(port=number, **fields),))


def rack(operator: str, count: int, **where: str) -> Expectations:
    return Expectations(inventory=(ExpectedInventory(type="Custom:Rack", where=where, operator=operator, count=count),))


def files(row: object) -> Facts:
    return some_facts(files={"/etc/motd": row})


def packages(row: object, **sections: Any) -> Facts:
    return some_facts(packages={"nginx": row}, **sections)


def services(**row: str) -> Facts:
    return some_facts(services={"nginx": {"active": "active", "sub": "running", "enabled": "enabled", **row}})


def kernel(release: str, newest: str | None) -> Facts:
    return some_facts(kernel={"release": release, "newest": newest})


def ports(*keys: str) -> Facts:
    return some_facts(ports=dict.fromkeys(keys, True))


RACKS = some_facts(custom={"Custom:Rack": [{"Site": "ams", "U": "1"}, {"Site": "ams", "U": "2"}, {"Site": "fra"}]})
KERNEL = "6.1.0-30-amd64"
NEWEST = Expectations(kernel=ExpectedKernel(newest=True))


@pytest.mark.parametrize(
    ("expect", "facts"),
    [
        pytest.param(Expectations(), NODE, id="nothing expected"),
        pytest.param(file(), NODE, id="a file, whatever is in it"),
        pytest.param(file(sha256="a" * 64, mode="0644", owner="root", group="root"), NODE, id="a file as it should be"),
        pytest.param(file(mode="644"), NODE, id="a mode without its zero"),
        pytest.param(file(state=ABSENT), files(None), id="no file"),
        pytest.param(package(), NODE, id="a package"),
        pytest.param(package(constraint=">= 1.22"), NODE, id="at least"),
        pytest.param(package(constraint="< 1:0"), NODE, id="an epoch is newer"),
        pytest.param(package(constraint="= 1.22.1-9"), NODE, id="exactly"),
        pytest.param(package(constraint="> 1.0~rc1"), packages("1.0 amd64"), id="a tilde is older"),
        pytest.param(package(constraint="= 1.22"), packages("1.22-3.el9 x86_64", **RPM), id="rpm: any release"),
        pytest.param(package(constraint=">= 2"), packages(["1-1 x86_64", "2-1 x86_64"], **RPM), id="one of several"),
        pytest.param(package(name="telnetd", state=ABSENT), NODE, id="no package"),
        pytest.param(package(), packages("1 x", os="cut"), id="without a version the family does not matter"),
        pytest.param(service(running=True, enabled=True), NODE, id="a service"),
        pytest.param(service("nginx.service", running=True), NODE, id="a service by its full name"),
        pytest.param(service(running=True), services(active="reloading"), id="reloading is running"),
        pytest.param(service(running=False, enabled=False), some_facts(services={}), id="no service: stopped"),
        pytest.param(service(enabled=True), services(enabled="static"), id="static cannot be enabled"),
        pytest.param(service(enabled=False), services(enabled="static"), id="nor disabled"),
        pytest.param(user(uid=900, group="app", groups=("adm",), home="/srv", **SH), NODE, id="a user"),
        pytest.param(user(groups=("app",)), NODE, id="in its own group"),
        pytest.param(user("guest", state=ABSENT), NODE, id="no user"),
        pytest.param(group(gid=900), NODE, id="a group"),
        pytest.param(group(members=("app",)), NODE, id="its own group's user is a member"),
        pytest.param(group("adm", members=("app",)), NODE, id="a member by the list"),
        pytest.param(group("guest", state=ABSENT), NODE, id="no group"),
        pytest.param(Expectations(sysctls={"net.ipv4.ip_forward": "0"}), NODE, id="a sysctl"),
        pytest.param(
            Expectations(sysctls={"net.ipv4.tcp_rmem": "4096 131072 6291456"}),
            some_facts(sysctls={"net.ipv4.tcp_rmem": "4096\t131072\t6291456"}),
            id="a sysctl of several numbers",
        ),
        pytest.param(mount(device="/dev/sdb1", type="ext4", options=("noatime",)), NODE, id="a mount"),
        pytest.param(mount("/mnt", state=ABSENT), NODE, id="no mount"),
        pytest.param(port(22), NODE, id="a port"),
        pytest.param(port(443), NODE, id="tcp is met by tcp6"),
        pytest.param(port(443, address=ANY), NODE, id="[::] takes IPv4"),
        pytest.param(port(22, address="127.0.0.1"), NODE, id="every address is this one too"),
        pytest.param(port(443, protocol="tcp6"), NODE, id="tcp6"),
        pytest.param(port(53, protocol="udp", address="127.0.0.1"), NODE, id="udp"),
        pytest.param(port(2, listening=False), NODE, id="22 is not 2"),
        pytest.param(port(53, listening=False), NODE, id="udp is not tcp"),
        pytest.param(port(25, address="10.0.0.1", listening=False), ports("tcp 127.0.0.1:25"), id="closed out there"),
        pytest.param(Expectations(kernel=ExpectedKernel(release=KERNEL)), NODE, id="the kernel"),
        pytest.param(NEWEST, NODE, id="the newest kernel"),
        pytest.param(rack(">=", 1), RACKS, id="inventory"),
        pytest.param(rack("=", 2, Site="ams"), RACKS, id="inventory where"),
        pytest.param(rack("=", 0), NODE, id="no such inventory"),
        pytest.param(Expectations(checks=("true",)), some_facts(checks={"user:true": 0}), id="a check"),
    ],
)
def test_it_holds(expect: Expectations, facts: Facts) -> None:
    verdict = unmet(expect, facts, check_as_root=False)
    assert (verdict.holds, verdict.differences, verdict.unknown) == (True, (), ())


@pytest.mark.parametrize(
    ("expect", "facts", "expected", "observed"),
    [
        pytest.param(file(), files(None), "a file", "absent", id="no file"),
        pytest.param(file(), files({"kind": "symlink"}), "a file", "a symlink", id="a link in its place"),
        pytest.param(file(state=ABSENT), files({"kind": "dir"}), "absent", "dir", id="a folder that should not be"),
        pytest.param(
            file(sha256="b" * 64, content="hello\n"),
            NODE,
            "content sha256 bbbbbbbbbbbb ('hello')",
            "content sha256 aaaaaaaaaaaa",
            id="another content",
        ),
        pytest.param(
            file(mode="0600", owner="app"), NODE, "mode 0600, owner app", "mode 0644, owner root", id="mode and owner"
        ),
        pytest.param(file(group="adm"), NODE, "group adm", "group root", id="another group"),
        pytest.param(package("curl"), NODE, "installed", "absent", id="no package"),
        pytest.param(package(constraint=">= 1.23"), NODE, ">= 1.23", "1.22.1-9", id="too old"),
        pytest.param(package(constraint="= 1.22.1"), NODE, "= 1.22.1", "1.22.1-9", id="another revision"),
        pytest.param(
            package(constraint="< 2"), packages(["1-1 x", "3-1 x"], **RPM), "< 2", "1-1, 3-1", id="all below a bound"
        ),
        pytest.param(package(state=ABSENT), NODE, "absent", "1.22.1-9", id="a package too many"),
        pytest.param(
            service(running=True), services(active="failed", sub="failed"), "running", "failed (failed)", id="down"
        ),
        pytest.param(service(running=False), NODE, "stopped", "active (running)", id="up"),
        pytest.param(service(enabled=True), services(enabled="masked"), "enabled", "masked", id="masked"),
        pytest.param(
            service(enabled=True), services(enabled="enabled-runtime"), "enabled", "enabled-runtime", id="volatile"
        ),
        pytest.param(service("x", running=True, enabled=True), NODE, "running, enabled", "absent, absent", id="none"),
        pytest.param(user("x"), NODE, "present", "absent", id="no user"),
        pytest.param(user(uid=1, **FALSE), NODE, "uid 1, shell /bin/false", "uid 900, shell /bin/sh", id="uid"),
        pytest.param(user(group="adm"), NODE, "group adm", "gid 900", id="another primary group"),
        pytest.param(user(group="none"), NODE, "group none", "gid 900", id="a primary group that is not"),
        pytest.param(user(groups=("sudo", "adm")), NODE, "in sudo", "not in sudo", id="a missing group"),
        pytest.param(user(state=ABSENT), NODE, "absent", "present", id="a user too many"),
        pytest.param(group("x"), NODE, "present", "absent", id="no group"),
        pytest.param(group("adm", members=("app", "root")), NODE, "members root", "members app", id="a missing member"),
        pytest.param(group(gid=1), NODE, "gid 1", "gid 900", id="gid"),
        pytest.param(Expectations(sysctls={"net.ipv4.ip_forward": "1"}), NODE, "1", "0", id="a sysctl"),
        pytest.param(
            Expectations(sysctls={"no.such": "1"}), some_facts(sysctls={"no.such": None}), "1", "absent", id="no sysctl"
        ),
        pytest.param(mount("/mnt"), NODE, "mounted", "not mounted", id="no mount"),
        pytest.param(
            mount(type="xfs", options=("ro",)),
            NODE,
            "type xfs, options ro",
            "type ext4, options noatime,rw",
            id="mount",
        ),
        pytest.param(mount(state=ABSENT), NODE, "not mounted", "mounted", id="a mount too many"),
        pytest.param(port(80), NODE, "listening", "closed", id="a closed port"),
        pytest.param(
            port(25, address="10.0.0.1"), ports("tcp 127.0.0.1:25"), "listening", "listens at 127.0.0.1", id="elsewhere"
        ),
        pytest.param(
            port(443, protocol="tcp6", address="[::1]"), ports("tcp 0.0.0.0:443"), "listening", "closed", id="6"
        ),
        pytest.param(port(22, listening=False), NODE, "closed", "listens at 0.0.0.0", id="an open port"),
        pytest.param(NEWEST, kernel("6.1.0-29", "6.1.0-30"), "newest 6.1.0-30", "newest 6.1.0-29", id="an old kernel"),
        pytest.param(rack(">", 2, Site="ams"), RACKS, "> 2 with Site=ams", "2", id="inventory"),
        pytest.param(rack(">=", 1), NODE, ">= 1", "0", id="no inventory"),
        pytest.param(
            Expectations(checks=("false",)),
            some_facts(checks={"user:false": 125}),
            "exit status 0",
            "exit status 125",
            id="a check",
        ),
    ],
)
def test_it_differs_and_says_how(expect: Expectations, facts: Facts, expected: str, observed: str) -> None:
    verdict = unmet(expect, facts, check_as_root=False)
    assert verdict.holds is False
    assert [(difference.expected, difference.observed) for difference in verdict.differences] == [(expected, observed)]


@pytest.mark.parametrize(
    ("expect", "facts", "why"),
    [
        pytest.param(file(), replace(NODE, unreachable="timed out"), "timed out", id="unreachable"),
        pytest.param(file(), some_facts(files="cut"), "files: cut", id="a section"),
        pytest.param(file(), some_facts(files={}), "not asked for", id="a file never asked for"),
        pytest.param(file(), files({"unknown": "permission denied"}), "permission denied", id="a row"),
        pytest.param(file(sha256="a" * 64), files({**FILE, "sha256": None}), "checksum", id="too big to sum up"),
        pytest.param(file(mode="0644"), files({**FILE, "mode": None}), "mode", id="no mode"),
        pytest.param(package(), packages(7), "list of texts", id="an odd row"),
        pytest.param(package(constraint=">= 1"), packages("1 x", os="cut"), "os: cut", id="which order"),
        pytest.param(package(constraint=">= 1"), packages("1 x", os={"family": "other"}), "no order", id="no order"),
        pytest.param(package(constraint=">= a:1"), NODE, "not a Debian version", id="no version"),
        pytest.param(service(running=True), some_facts(services="cut"), "services: cut", id="services"),
        pytest.param(user(group="app"), some_facts(groups="cut"), "groups: cut", id="the other section"),
        pytest.param(mount(options=("rw",)), some_facts(mounts={"/srv": {"options": None}}), "list", id="odd options"),
        pytest.param(NEWEST, kernel(KERNEL, None), "no installed kernel", id="a container has no kernel"),
        pytest.param(rack(">=", 1), some_facts(custom={"Custom:Rack": "x"}), "not a list", id="odd inventory"),
        *(
            pytest.param(
                Expectations(checks=("x",)),
                some_facts(checks={"user:x": status}),
                "decides nothing",
                id=f"check {status}",
            )
            for status in (126, 127, 137, -9, None)
        ),
        pytest.param(
            Expectations(checks=("x",)),
            some_facts(checks={"root:x": 0}),
            "not asked for",
            id="checked as somebody else",
        ),
    ],
)
def test_it_cannot_be_told_and_never_passes_as_fine(expect: Expectations, facts: Facts, why: str) -> None:
    verdict = unmet(expect, facts, check_as_root=False)
    assert verdict.holds is None
    assert why in verdict.unknown[0]


def test_one_that_fails_decides_whatever_else_is_unknown() -> None:
    expect = Expectations(files=(ExpectedFile(path="/etc/motd"),), packages=(ExpectedPackage(name="curl"),))
    verdict = unmet(expect, some_facts(files="cut"), check_as_root=False)
    assert verdict.holds is False
    assert [difference.subject for difference in verdict.differences] == ["package curl"]
    assert verdict.unknown == ("files: cut",)


def test_a_check_as_root_looks_at_the_check_as_root() -> None:
    expect = Expectations(checks=("x",))
    facts = some_facts(checks={"root:x": 0, "user:x": 1})
    assert unmet(expect, facts, check_as_root=True).holds is True
    assert unmet(expect, facts, check_as_root=False).holds is False
