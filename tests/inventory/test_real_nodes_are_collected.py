"""Inventory of three real nodes over ssh, one of them with systemd as PID 1: what they say is what is on their disks."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.ids import NodeId
from reconciler.inventory.canonical import canonical
from reconciler.inventory.collect import Collected, collect
from reconciler.inventory.facts import FACTS
from reconciler.model.known import Known, Unknown
from reconciler.model.node import Become, Node
from reconciler.model.questions import Check, Questions
from reconciler.transport.known_hosts import parse
from reconciler.transport.pool import ConnectionPool
from tests.inventory.asking import FOR_PATCHES
from tests.support.nodes import Fleet, TestNode, start_fleet

CHECKS = (
    Check(script='test "$(id -un) $HOME" = "ops /home/ops"'),
    Check(script='test "$(id -un)" = root', as_root=True),
)
ASKED = Questions(
    files=("/etc/motd", "/etc/shadow", "/nowhere"),
    services=("by-another-name", "no-such", "ssh"),
    checks=CHECKS,
    ports=(2222,),
    mounts=False,
)


class Site:
    """A fleet, and a pool of connections to it."""

    def __init__(self, fleet: Fleet, keys: Path) -> None:
        self.fleet = fleet
        self.nodes = {
            NodeId(one.name): Node(
                id=NodeId(one.name),
                address=one.address,
                port=one.port,
                user=one.user,
                identity_file=fleet.identity_file.name,
                become=Become.SUDO,
            )
            for one in fleet.nodes
        }
        self._keys = keys
        self.open()

    def open(self) -> None:
        """Begin without a connection."""
        self.pool = ConnectionPool(
            known_hosts=parse(self.fleet.known_hosts), nodes=self.nodes, key_directory=self._keys
        )

    def look(self, before: dict[NodeId, Collected] | None = None, asked: Questions = ASKED) -> dict[NodeId, Collected]:
        questions = dict.fromkeys(self.nodes, asked)
        return dict(collect(self.nodes.values(), questions, self.pool.connect, before=before))


def write(one: TestNode, script: str) -> None:
    one.run(["sh", "-ec", script])


def settled(found: Collected) -> bytes:
    """The committed facts, less the ports: nodes share the machine's, and other tests open and close some."""
    sections = {name: section for name, section in found.facts.sections.items() if name != "ports"}
    return canonical(replace(found.facts, sections=sections))


def checksum(found: Collected, path: str) -> object:
    row = value(found, "files", path)
    assert isinstance(row, dict)
    return row["sha256"]


def value(found: Collected, section: str, key: str) -> object:
    told = found.facts.get(section, key)
    assert isinstance(told, Known), told
    return told.value


PLAIN = """
mkdir -p /etc/reconciler/hold.d /etc/reconciler/inventory.d
echo 'ann: moving disks' >/etc/reconciler/hold
: >/etc/reconciler/hold.d/silent
printf 'bin\\000ary' >/etc/reconciler/hold.d/binary
: >'/etc/reconciler/hold.d/an odd name'
echo '{"SchemaVersion": "1.0", "TypeName": "Custom:Rack", "Content": {"Site": "ams"}}' >/etc/reconciler/inventory.d/rack.json
mkdir -m 700 /var/lib/reconciler
mkdir -p /var/lib/reconciler/runs/ab12 /var/lib/reconciler/runs/cd34 /var/lib/reconciler/markers
echo '{"run":"ab12"}' >/var/lib/reconciler/runs/ab12/manifest
echo 'started 1 2 3' >/var/lib/reconciler/runs/ab12/state
echo '{"n":1}' >/var/lib/reconciler/markers/@motd
echo 7 >/var/lib/reconciler/acknowledged@
"""
WRITABLE_BY_ALL = "mkdir /var/lib/reconciler; echo 1 >/var/lib/reconciler/acknowledged@; chmod 777 /var/lib/reconciler"

ALIAS = "ln -s /lib/systemd/system/ssh.service /etc/systemd/system/by-another-name.service; systemctl daemon-reload; systemctl is-system-running --wait || true"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Site]:
    with start_fleet(tmp_path_factory.mktemp("inventory"), 3, systemd=1) as fleet:
        write(fleet.nodes[0], PLAIN)
        write(fleet.nodes[1], WRITABLE_BY_ALL)
        write(fleet.nodes[2], ALIAS)
        yield Site(fleet, fleet.identity_file.parent)


@pytest.fixture(autouse=True)
def no_connection_is_left(site: Site) -> Iterator[None]:
    site.open()
    yield
    site.pool.close()


def test_real_nodes_tell_what_is_on_them(site: Site) -> None:
    plain = site.fleet.nodes[0]
    first = site.look()
    for name, found in first.items():
        assert found.error is None, name
        unknown = {key for key in set(FACTS) - FOR_PATCHES if isinstance(found.facts.section(key), Unknown)}
        assert unknown == ({"runs", "markers", "epochs", "refresh"} if name == site.fleet.nodes[1].name else set())
        assert found.skew_seconds == pytest.approx(0, abs=5)
    here = first[NodeId(plain.name)]
    assert value(here, "identity", "user") == "ops"
    assert value(here, "identity", "machine_id") == plain.machine_id
    assert value(here, "identity", "boot_id") == plain.boot_id
    assert value(here, "os", "family") == "debian"
    listed = plain.run(["dpkg-query", "-W", "-f", "${Version} ${Architecture}", "sudo"]).stdout
    assert value(here, "packages", "sudo") == listed
    assert value(here, "packages", "no-such-package") is None
    assert checksum(here, "/etc/motd") == hashlib.sha256((plain.root / "etc/motd").read_bytes()).hexdigest()
    assert value(here, "files", "/nowhere") is None
    assert value(here, "checks", CHECKS[0].key) == 0
    assert value(here, "checks", CHECKS[1].key) == 0
    assert value(here, "ports", f"tcp {plain.address}:{plain.port}") is True


def test_a_node_tells_its_runs_holds_and_custom_inventory(site: Site) -> None:
    here = site.look()[NodeId(site.fleet.nodes[0].name)]
    assert value(here, "identity", "acknowledged") == 7
    assert value(here, "custom", "Custom:Rack") == [{"Site": "ams"}]
    assert value(here, "runs", "ab12") == {"manifest": '{"run":"ab12"}', "state": "started 1 2 3"}
    assert value(here, "runs", "cd34") is None, "a folder without a manifest is no run yet"
    assert value(here, "markers", "motd") == '{"n":1}'
    holds = here.facts.section("holds")
    assert isinstance(holds, Known)
    assert holds.value["hold"] == "ann: moving disks"
    assert holds.value["hold.d/silent"] == ""
    assert "hold.d/binary" in holds.value
    assert isinstance(here.facts.get("holds", "hold.d/"), Unknown)  # the odd name holds, too


def test_a_run_root_that_others_can_write_to_is_not_believed(site: Site) -> None:
    other = site.look()[NodeId(site.fleet.nodes[1].name)].facts
    for told in (other.section("runs"), other.section("markers"), other.get("identity", "acknowledged")):
        assert isinstance(told, Unknown)
        assert "writable by nobody else" in told.why


def test_services_are_told_with_systemd_and_without(site: Site) -> None:
    plain, _, booted = site.fleet.nodes
    found = site.look()
    systemd = found[NodeId(booted.name)]
    assert value(systemd, "os", "init") == "systemd"
    assert value(systemd, "services", "ssh") == {"active": "active", "sub": "running", "enabled": "enabled"}
    assert value(systemd, "services", "no-such") is None
    assert value(systemd, "services", "by-another-name") == {
        "active": "active",
        "sub": "running",
        "enabled": "enabled",
        "alias_of": "ssh",
    }
    here = found[NodeId(plain.name)]
    assert value(here, "services", "ssh") == {"active": "active", "sub": "running", "enabled": "enabled"}
    assert value(here, "services", "no-such") is None


def test_services_that_no_expectation_names_are_told_again_only_when_a_unit_file_changes(site: Site) -> None:
    booted = site.fleet.nodes[2]
    asked = replace(ASKED, services=())
    first = site.look(asked=asked)
    second = site.look(first, asked=asked)
    write(booted, "touch /etc/systemd/system/new.service")
    third = site.look(second, asked=asked)
    told = [found[NodeId(booted.name)].facts.sections["services"] for found in (first, second, third)]
    assert told[1] is told[0]
    assert told[2] != told[0]
    assert value(third[NodeId(booted.name)], "services", "new") is not None


def test_afterwards_only_what_changed_is_told_and_at_once(site: Site) -> None:
    plain, _, booted = site.fleet.nodes
    first = site.look()
    second = site.look(first)
    for name, found in second.items():
        assert settled(found) == settled(first[name])
        assert found.facts.sections["packages"] is first[name].facts.sections["packages"]

    (plain.root / "etc/motd").write_text("by hand\n")
    write(plain, "useradd --system newcomer")
    write(booted, "systemctl disable ssh.service 2>/dev/null")
    third = site.look(second)
    here = third[NodeId(plain.name)]
    assert checksum(here, "/etc/motd") == hashlib.sha256(b"by hand\n").hexdigest()
    assert value(here, "users", "newcomer") is not None
    assert here.facts.sections["packages"] is first[NodeId(plain.name)].facts.sections["packages"]
    ssh = value(third[NodeId(booted.name)], "services", "ssh")
    assert isinstance(ssh, dict)
    assert ssh["enabled"] == "disabled"
    changed = [name for name in third if settled(third[name]) != settled(second[name])]
    assert changed == [plain.name, booted.name]


def test_a_node_without_become_is_told_as_its_login_user_sees_it(site: Site) -> None:
    one = next(iter(site.nodes.values()))
    alone = replace(one, become=Become.NONE)
    pool = ConnectionPool(
        known_hosts=parse(site.fleet.known_hosts),
        nodes={alone.id: alone},
        key_directory=site.fleet.identity_file.parent,
    )
    try:
        found = collect([alone], {alone.id: ASKED}, pool.connect)[alone.id]
    finally:
        pool.close()
    assert value(found, "identity", "user") == "ops"
    assert value(found, "checks", CHECKS[0].key) == 0
    assert isinstance(found.facts.get("checks", CHECKS[1].key), Unknown)
    assert isinstance(found.facts.get("files", "/etc/shadow"), Unknown)
    assert isinstance(found.facts.section("packages"), Known)
    assert found.facts.section("runs") == Known({})
