"""What a real node with apt tells about its patches: one node, a repository of the tests' own, nothing of the day."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.inventory.canonical import canonical
from reconciler.model.known import Known
from reconciler.model.patch import Index, InstallState
from reconciler.model.patch_lines import read_installed
from reconciler.model.questions import Questions
from tests.inventory.patch_site import ASKED, Site, offers, rows, unknown
from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import start_fleet

SECTIONS = ("installed", "available", "repositories", "metadata", "reboot", "restarts", "dpkg", "locks")
PUBLISHED = datetime(2026, 3, 1, 12, tzinfo=UTC)
VALID = datetime(2036, 3, 8, 12, tzinfo=UTC)
HOLD = """
use Fcntl; $| = 1;
open(my $file, '>>', '/var/lib/dpkg/lock-frontend') or die;
my $how = pack('s s x4 q q l x4', F_WRLCK, 0, 0, 0, 0);
fcntl($file, F_SETLK, $how) or die $!;
print "held\\n"; sleep 600;
"""


def hello(version: str, **fields: str) -> Package:
    return Package(name="hello", version=version, fields=fields, section="utils")


def publish(directory: Path, security: Sequence[Package]) -> AptRepository:
    repository = AptRepository(directory)
    lib = Package(name="libgreet", version="1:2.0-1+b1", fields={"Source": "greet (1:2.0-1)"}, priority="important")
    stable = [hello(version) for version in ("0.9", "1.0~rc1", "1.0", "1.0+deb12u1")]
    repository.publish("bookworm", [*stable, lib], date=PUBLISHED)
    phased = Package(name="libgreet", version="1:2.1-1", index_fields={"Phased-Update-Percentage": "30"})
    repository.publish("bookworm-updates", [phased, hello("1.0+deb12u1")], date=PUBLISHED)
    repository.publish("bookworm-security", security, label="Debian-Security", date=PUBLISHED, valid_until=VALID)
    return repository


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("patches")
    new = Package(name="hello-data", version="1.1", fields={"Depends": "hello-fonts (>= 1) | no-such"})
    fonts = Package(name="hello-fonts", version="3")
    needing = hello("1.1", Depends="libgreet, hello-data:any (= 1.1), mail-transport-agent | libgreet")
    repository = publish(folder / "apt", [needing, new, fonts, Package(name="unwanted", version="1")])
    with start_fleet(folder / "fleet", 1) as fleet:
        site = Site(fleet, fleet.nodes[0])
        repository.install_into(site.on_disk.root)
        site.sh(
            "apt-get -q update; apt-get -qy install hello=1.0 libgreet=1:2.0-1+b1; apt-mark hold hello; apt-mark auto libgreet"
        )
        yield site


@pytest.fixture(autouse=True)
def no_connection_is_left(site: Site) -> Iterator[None]:
    site.open()
    yield
    site.pool.close()


def test_versions_on_offer_are_told_from_the_installed_one_upwards(site: Site) -> None:
    found = site.look()
    versions = {patch.version: patch for patch in offers(found, "hello.all")}
    assert sorted(versions) == ["1.0", "1.0+deb12u1", "1.1"]
    main = Index(
        repository="file:", origin="Debian", label="Debian", suite="stable", codename="bookworm", component="main"
    )
    assert versions["1.0"].indexes == (main,)
    assert {index.codename for index in versions["1.0+deb12u1"].indexes} == {"bookworm", "bookworm-updates"}
    newest = versions["1.1"]
    assert [index.is_security() for index in newest.indexes] == [True]
    assert (newest.section, newest.priority, newest.filename) == ("utils", "optional", "pool/main/hello_1.1_all.deb")
    deb = site.on_disk.root / "srv/apt" / newest.filename
    assert newest.size == deb.stat().st_size
    assert f"{newest.checksum}  /srv/apt/{newest.filename}\n" == "sha256:" + site.sh(
        f"sha256sum /srv/apt/{newest.filename}"
    )
    old, phased = offers(found, "libgreet.all")
    assert (old.version, old.source, old.source_version, old.priority) == (
        "1:2.0-1+b1",
        "greet",
        "1:2.0-1",
        "important",
    )
    assert (phased.version, phased.phased) == ("1:2.1-1", 30)


def test_new_packages_that_an_upgrade_would_bring_along_are_told_and_no_others(site: Site) -> None:
    found = site.look()
    assert rows(found, "available").keys() == {"hello.all", "hello-data.all", "hello-fonts.all", "libgreet.all"}


def test_installed_packages_are_told_with_hold_mark_and_time(site: Site) -> None:
    found = site.look()
    here = {
        row: read_installed(str(lines[0])) for row, lines in rows(found, "installed").items() if isinstance(lines, list)
    }
    listed = site.sh("dpkg-query -W -f '${db:Status-Status} ${Package}.${Architecture} ${Version}\\n'").splitlines()
    expected = {line.split()[1]: line.split()[2] for line in listed if line.startswith("installed ")}
    assert {row: one.version for row, one in here.items()} == expected
    assert {row for row, one in here.items() if one.hold} == {"hello.all"}
    automatic = set(site.sh("apt-mark showauto").split())
    assert {one.name for one in here.values() if one.auto} == automatic
    assert "libgreet" in automatic
    assert here["libgreet.all"].source == "greet"
    touched = int(site.sh("stat -c %Y /var/lib/dpkg/info/hello.list"))
    assert here["hello.all"].installed_at == datetime.fromtimestamp(touched, UTC)
    assert {one.state for one in here.values()} == {InstallState.INSTALLED}


def test_archives_and_the_age_of_their_lists_are_told(site: Site) -> None:
    found = site.look()
    assert rows(found, "repositories")["file: bookworm-security/main amd64"] == {
        "origin": "Debian",
        "label": "Debian-Security",
        "suite": "stable-security",
        "codename": "bookworm-security",
        "component": "main",
        "trusted": True,
        "fetched": True,
        "release": "_srv_apt_dists_bookworm-security_",
    }
    dates = rows(found, "metadata")
    security = dates["_srv_apt_dists_bookworm-security_"]
    assert isinstance(security, dict)
    assert (security["date"], security["valid_until"]) == ("2026-03-01T12:00:00Z", "2036-03-08T12:00:00Z")
    changed = int(site.sh("stat -c %Z /var/lib/apt/lists/_srv_apt_dists_bookworm-security_Release"))
    assert security["fetched"] == f"{datetime.fromtimestamp(changed, UTC):%Y-%m-%dT%H:%M:%SZ}"
    everything = dates["*"]
    assert isinstance(everything, dict)
    assert str(everything["tried"]) >= str(security["fetched"])[:10]


def test_an_unchanged_node_says_so_in_less_than_a_kilobyte(site: Site) -> None:
    first = site.look()
    second = site.look(before=first)
    third = site.look(before=second)
    assert len(site.answers) == 1
    assert len(site.answers[0].stdout) < 1024
    assert all(third.facts.section(name) == first.facts.section(name) for name in SECTIONS)
    site.sh("apt-get -q update")  # nothing new: what is on offer is not worked out again
    again = site.look(before=third)
    assert again.facts.section("available") is third.facts.section("available")
    assert again.facts.section("repositories") is third.facts.section("repositories")
    assert rows(again, "metadata")["*"] != rows(first, "metadata")["*"]


def test_what_is_not_asked_is_not_told(site: Site) -> None:
    found = site.look(asked=Questions())
    assert not set(SECTIONS) & set(found.facts.sections)


def test_addresses_are_told_without_logins_and_only_to_whoever_asks(site: Site) -> None:
    sources = site.on_disk.root / "etc/apt/sources.list"
    text = sources.read_text()
    sources.write_text(f"{text}deb [trusted=yes] http://me:s3cret@127.0.0.1:9/debian stable main\n")
    asked = replace(ASKED, addresses=True)
    try:
        first = site.look(asked=asked)
        told = site.answers[0].stdout
        assert rows(first, "addresses")["127.0.0.1:9 stable/main amd64"] == ["http://127.0.0.1:9/debian/"]
        assert b"addresses ok" in told
        assert b"s3cret" not in told
        again = site.look(asked=asked, before=first)
        assert len(site.answers[0].stdout) < 1024
        assert again.facts.section("addresses") is first.facts.section("addresses")
        assert b"127.0.0.1:9/debian" not in canonical(first.facts)
    finally:
        sources.write_text(text)


def test_who_holds_the_locks_is_named(site: Site) -> None:
    (site.on_disk.root / "root/hold.pl").write_text(HOLD, encoding="ascii")
    first = site.look()
    assert rows(first, "locks") == {}
    pid = site.sh("perl /root/hold.pl >/root/held 2>&1 & echo $!; until [ -s /root/held ]; do sleep 0.1; done").strip()
    try:
        held = site.look(before=first)
        assert rows(held, "locks") == {"/var/lib/dpkg/lock-frontend": {"pid": int(pid), "process": "perl"}}
        site.sh("touch /run/nologin")
        assert rows(site.look(before=held), "locks")["shutdown"] == "/run/nologin"
    finally:
        site.sh(f"kill {pid}; rm -f /run/nologin")


def test_signs_of_a_reboot_and_services_to_restart_are_told(site: Site) -> None:
    first = site.look()
    assert rows(first, "reboot") == {"required": False, "packages": []}
    assert rows(first, "restarts") == {}
    begin = (
        "cp /bin/sleep /usr/bin/held; /usr/bin/held 600 >/dev/null 2>&1 & echo $!; "
        "until [ $(readlink /proc/$!/exe) = /usr/bin/held ]; do sleep 0.1; done; rm /usr/bin/held"
    )
    pid = site.sh(begin).strip()
    try:
        site.sh("touch /run/reboot-required; printf 'libc6\\nlinux-image-amd64\\nlibc6\\n' >/run/reboot-required.pkgs")
        found = site.look()
        assert rows(found, "reboot") == {"required": True, "packages": ["libc6", "linux-image-amd64"]}
        assert "/usr/bin/held" in rows(found, "restarts").values()
        site.sh("touch /boot/vmlinuz-6.1.0-9 /boot/vmlinuz-6.1.0-10; echo x >/boot/initrd.img-6.1.0-9")
        bare = site.look(before=found)
        assert rows(bare, "reboot")["unbootable"] == "the newest kernel, 6.1.0-10, has no initrd in /boot"
        site.sh("echo x >/boot/initrd.img-6.1.0-10")
        assert "unbootable" not in rows(site.look(before=bare), "reboot")
        note = "cd /var/lib/reconciler/patching; echo 'a.all 1' >installed.0; echo 'b.all 1:2-3' >installed.$(cat /proc/sys/kernel/random/boot_id)"
        site.sh(f"mkdir -p /var/lib/reconciler/patching; {note}")
        assert rows(site.look(before=found), "reboot")["since_boot"] == ["b.all 1:2-3"]
    finally:
        site.sh(f"kill {pid}; rm -rf /run/reboot-required* /var/lib/reconciler/patching /boot/*6.1.0*")


def test_a_package_left_half_done_and_a_competitor_are_told(site: Site) -> None:
    first = site.look()
    assert rows(first, "dpkg")["audit"] == []
    assert rows(first, "dpkg")["installs_by_itself"] is False
    broken = "sed -i '/^Package: libgreet$/,/^$/s/^Status: .*/Status: install ok half-configured/' /var/lib/dpkg/status"
    site.sh(
        f"cp -a /var/lib/dpkg/status /root/status; {broken};"
        "echo 'APT::Periodic::Unattended-Upgrade \"1\";' >/etc/apt/apt.conf.d/99test; : >/usr/bin/unattended-upgrade; chmod 755 /usr/bin/unattended-upgrade"
    )
    try:
        found = site.look(before=first)
        audit = rows(found, "dpkg")["audit"]
        assert isinstance(audit, list)
        assert any("libgreet" in str(line) for line in audit)
        assert rows(found, "dpkg")["periodic"] == {"Unattended-Upgrade": "1"}
        assert rows(found, "dpkg")["unattended_upgrades"] is True
        line = rows(found, "installed")["libgreet.all"]
        assert isinstance(line, list)
        assert read_installed(str(line[0])).state is InstallState.BROKEN
    finally:
        site.sh("cp -a /root/status /var/lib/dpkg/status; rm /etc/apt/apt.conf.d/99test /usr/bin/unattended-upgrade")


def test_a_list_that_is_cut_or_hostile_is_unknown_and_nothing_else_is(site: Site) -> None:
    lists = "/var/lib/apt/lists/_srv_apt_dists_bookworm-security_main_binary-amd64_Packages"
    site.sh(f"cp -a {lists} /root/list; gzip -c {lists} | head -c 150 >{lists}.gz; rm {lists}")
    try:
        found = site.look()
        assert "file: bookworm-security/main amd64" in unknown(found, "available")
        site.sh(
            f"rm {lists}.gz; cp -a /root/list {lists}; printf '\\nPackage: hello\\nVersion: -oDpkg::Pre-Invoke=x\\nArchitecture: all\\n' >>{lists}"
        )
        found = site.look()
        assert "not a Debian version" in unknown(found, "available")
        assert all(isinstance(found.facts.section(name), Known) for name in SECTIONS if name != "available")
        site.sh(
            f"cp -a /root/list {lists}; printf '\\n00 index 0\\n\\nPackage: hello\\nVersion: 9\\nArchitecture: all\\n' >>{lists}"
        )
        found = site.look()
        assert "could not be read to its end: file: bookworm-security/main amd64" in unknown(found, "available")
    finally:
        site.sh(f"rm -f {lists}.gz; cp -a /root/list {lists}")
