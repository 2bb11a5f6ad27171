"""What real nodes with dnf and with zypper tell about their patches: two nodes, repositories of the tests' own, nothing of the day."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.inventory.metadata_refresh import refresh
from reconciler.model.known import Known
from reconciler.model.patch import Family, Index, InstallState
from reconciler.model.patch_lines import read_installed
from reconciler.model.questions import Questions
from tests.inventory.patch_site import ASKED, Site, offers, rows, unknown
from tests.support.rpm_repository import (
    Advisory,
    Rpm,
    RpmPackages,
    configure_dnf,
    rpm_fleet,
)

SECTIONS = (
    "installed",
    "available",
    "notices",
    "repositories",
    "metadata",
    "reboot",
    "restarts",
    "dpkg",
    "rpm",
    "locks",
)
NEEDS = ("Requires: hello-data >= 1, libgreet", "Requires: (no-such or unwanted)", "Requires: nobody-has-it")
HELLO = {
    v: Rpm(name="hello", version=f"{v}-1.el9", fields=NEEDS if v == "1.10" else ())
    for v in ("0.9", "1.0~rc1", "1.0", "1.0^git1", "1.1", "1.10")
}
COMPANIONS = [
    Rpm(name="hello-data", version="1.10-1.el9", fields=("Requires: hello-fonts",)),
    Rpm(name="hello-fonts", version="3-1.el9", arch="x86_64"),
]
GREET = [Rpm(name="libgreet", version=f"2:{v}-1.el9", arch="x86_64", source="greet") for v in ("2.0", "2.1")]
KERNEL = [
    Rpm(
        name="kernel-core",
        version=f"5.14.0-{n}.el9",
        arch="x86_64",
        fields=["Provides: installonlypkg(kernel)", "Provides: multiversion(kernel)"],
    )
    for n in (9, 10)
]
NODE = {
    stream: [
        Rpm(
            name="nodejs",
            version=f"1:{stream}.{minor}-1.module+el9",
            arch="x86_64",
            module=f"nodejs:{stream}:1:c0ffee42",
        )
        for minor in (0, 1)
    ]
    for stream in ("18", "20")
}
PLAIN_NODE = Rpm(name="nodejs", version="1:16.9-1.el9", arch="x86_64")
TOO_NEW = Rpm(name="nodejs", version="1:99-1.el9", arch="x86_64")
SECURITY = Advisory(
    id="RHSA-2026:0001",
    packages=[HELLO["1.1"], GREET[1]],
    cves=["CVE-2026-10001", "CVE-2026-10002"],
    bugzillas=["2100001"],
    title="Important: hello <security> & CVE-2026-10003",
)
BUGFIX = Advisory(
    id="RHBA-2026:0002",
    packages=[HELLO["1.10"]],
    type="bugfix",
    severity=None,
    updated="2026-03-09 08:00:00",
    reboot=True,
)
OF_NOBODY = Advisory(id="RHSA-2026:0003", packages=[Rpm(name="unwanted", version="1-1")])
MODULES = "".join(
    f"""---
document: modulemd
version: 2
data:
  name: nodejs
  stream: "{stream}"
  version: 1
  context: c0ffee42
  arch: x86_64
  summary: Javascript runtime
  description: >-
    name: nothing
  license:
    module:
    - MIT
  dependencies:
  - requires:
      platform: [el9]
  artifacts:
    rpms:
    - nodejs-1:{stream}.0-1.module+el9.x86_64
    - nodejs-1:{stream}.1-1.module+el9.x86_64
...
"""
    for stream in NODE
)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, require_nodes: None) -> Iterator[tuple[Site, Site]]:
    own = {"dnf": ["baseos", "updates", "modular"], "zypper": ["baseos", "updates"]}
    with rpm_fleet(tmp_path_factory.mktemp("rpm"), **own) as fleet:
        rocky, leap = fleet.nodes
        packages = RpmPackages(rocky)
        everything = [*HELLO.values(), *GREET, *KERNEL, *COMPANIONS, Rpm(name="unwanted", version="1-1")]
        packages.publish("baseos", everything, notices=[SECURITY, BUGFIX, OF_NOBODY])
        packages.publish("updates", [HELLO["1.1"]], notices=[SECURITY])
        packages.publish("modular", [*NODE["18"], *NODE["20"], PLAIN_NODE, TOO_NEW], notices=None, modules=MODULES)
        packages.copy_to(leap)
        rocky.run(["dnf", "-q", "-y", "module", "enable", "nodejs:18"])
        rocky.run(
            [
                "dnf",
                "-q",
                "-y",
                "install",
                "hello-1.0-1.el9",
                "libgreet-2:2.0",
                "kernel-core-5.14.0-9.el9",
                "nodejs-1:18.0",
            ]
        )
        zypper = ["zypper", "--non-interactive", "--no-gpg-checks"]
        leap.run([*zypper, "install", "hello=1.0-1.el9", "libgreet=2:2.0-1.el9", "kernel-core=5.14.0-9.el9"])
        yield Site(fleet, rocky), Site(fleet, leap)


@pytest.fixture(autouse=True)
def no_connection_is_left(sites: tuple[Site, Site]) -> Iterator[None]:
    for site in sites:
        site.open()
    yield
    for site in sites:
        site.pool.close()


@pytest.fixture
def rocky(sites: tuple[Site, Site]) -> Site:
    return sites[0]


@pytest.fixture
def leap(sites: tuple[Site, Site]) -> Site:
    return sites[1]


@pytest.mark.parametrize(("which", "family"), [(0, Family.RPM), (1, Family.SUSE)])
def test_versions_on_offer_are_told_from_the_installed_one_upwards(
    sites: tuple[Site, Site], which: int, family: Family
) -> None:
    site = sites[which]
    found = site.look()
    versions = {patch.version: patch for patch in offers(found, "hello.noarch")}
    assert versions.keys() == {"1.0-1.el9", "1.0^git1-1.el9", "1.1-1.el9", "1.10-1.el9"}
    baseos, updates = Index(repository="baseos"), Index(repository="updates")
    assert versions["1.0-1.el9"].indexes == (baseos,)
    newer = versions["1.1-1.el9"]
    assert (newer.family, set(newer.indexes)) == (family, {baseos, updates})
    rpm = site.on_disk.root / "srv/rpm/baseos" / newer.filename
    assert (newer.size, newer.filename) == (rpm.stat().st_size, "hello-1.1-1.el9.noarch.rpm")
    assert newer.checksum == "sha256:" + site.sh(f"sha256sum /srv/rpm/baseos/{newer.filename}").split()[0]
    assert newer.built == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    greet = offers(found, "libgreet.x86_64")[-1]
    assert (greet.version, greet.source, greet.source_version) == ("2:2.1-1.el9", "greet", "")
    assert greet.title == "libgreet.x86_64:2:2.1-1.el9"
    assert [patch.version for patch in offers(found, "kernel-core.x86_64")] == ["5.14.0-10.el9", "5.14.0-9.el9"]
    brought = {"hello-data.noarch", "hello-fonts.x86_64"}  # by an upgrade, and by what that brings
    others = {"nodejs.x86_64"} if which == 0 else set()
    assert rows(found, "available").keys() == {
        "hello.noarch",
        "libgreet.x86_64",
        "kernel-core.x86_64",
        *brought,
        *others,
    }


@pytest.mark.parametrize("which", [0, 1])
def test_notices_are_told_with_their_dates_and_numbers(sites: tuple[Site, Site], which: int) -> None:
    found = sites[which].look()
    assert rows(found, "notices").keys() == {"RHSA-2026:0001", "RHBA-2026:0002"}
    named = {patch.version: patch.notices for patch in offers(found, "hello.noarch")}
    (security,) = named["1.1-1.el9"]
    assert (security.id, security.classification, security.severity) == ("RHSA-2026:0001", "security", "Important")
    assert security.cves == ("CVE-2026-10001", "CVE-2026-10002", "CVE-2026-10003")
    assert security.bugzillas == ("2100001",)
    assert security.title == "Important: hello <security> & CVE-2026-10003"
    assert (security.published, security.reboot) == (datetime(2026, 3, 1, 12, tzinfo=UTC), False)
    (bugfix,) = named["1.10-1.el9"]
    assert (bugfix.severity, bugfix.updated, bugfix.reboot) == ("", datetime(2026, 3, 9, 8, tzinfo=UTC), True)
    assert named["1.0-1.el9"] == ()


def test_dnf_and_zypper_name_the_same_packages_for_each_notice(rocky: Site, leap: Site) -> None:
    listed = rocky.sh("dnf -C -q updateinfo list --all").split("\n")
    said = {(line.split()[0], line.split()[-1]) for line in listed if line.strip()}
    found = rocky.look()
    mine = {
        (notice.id, f"{patch.name}-{patch.version}.{patch.arch}")
        for row in ("hello.noarch", "libgreet.x86_64")
        for patch in offers(found, row)
        for notice in patch.notices
    }
    assert mine == {one for one in said if "unwanted" not in one[1]}
    patches = leap.sh("zypper --xmlout --no-refresh list-patches --all")
    assert all(f'name="{one.id}"' in patches for one in (SECURITY, BUGFIX))
    assert 'text="2026-03-09T08:00:00Z"' in patches


def test_streams_of_modules_that_are_not_enabled_are_not_on_offer(rocky: Site) -> None:
    mine = sorted(patch.version for patch in offers(rocky.look(), "nodejs.x86_64"))
    assert mine == ["1:18.0-1.module+el9", "1:18.1-1.module+el9"]
    said = rocky.sh("dnf -C -q repoquery --showduplicates --qf '%{epoch}:%{version}-%{release}' nodejs").split()
    assert sorted(said) == mine
    assert {patch.module for patch in offers(rocky.look(), "nodejs.x86_64")} == {"nodejs:18"}
    rocky.sh("cp /etc/dnf/modules.d/nodejs.module /root; sed -i s/18/20/ /etc/dnf/modules.d/nodejs.module")
    try:
        found = rocky.look()
        assert [patch.module for patch in offers(found, "nodejs.x86_64")] == ["nodejs:20", "nodejs:20"]
        assert rows(found, "rpm")["modules"] == {"nodejs": "20 enabled"}
    finally:
        rocky.sh("cp /root/nodejs.module /etc/dnf/modules.d/nodejs.module")


@pytest.mark.parametrize("which", [0, 1])
def test_installed_packages_are_told_with_source_and_time(sites: tuple[Site, Site], which: int) -> None:
    site = sites[which]
    found = site.look()
    here = {
        row: read_installed(str(lines[0])) for row, lines in rows(found, "installed").items() if isinstance(lines, list)
    }
    listed = site.sh("rpm -qa --qf '%{NAME}.%{ARCH} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{INSTALLTIME}\\n'").splitlines()
    expected = {line.split()[0]: line.split()[1].removeprefix("0:") for line in listed}
    assert {row: one.version for row, one in here.items()} == expected
    times = {line.split()[0]: datetime.fromtimestamp(int(line.split()[2]), UTC) for line in listed}
    assert {row: one.installed_at for row, one in here.items()} == times
    assert {one.hold for one in here.values()} == {False}
    assert here["libgreet.x86_64"].source == "greet"


def test_locks_and_excludes_hold_packages(rocky: Site, leap: Site) -> None:
    def held(site: Site) -> set[str]:
        lines = [
            str(line) for some in rows(site.look(), "installed").values() if isinstance(some, list) for line in some
        ]
        return {one.name for one in map(read_installed, lines) if one.hold}

    rocky.sh(
        "mkdir -p /etc/dnf/plugins; printf '# mine\\nlibgreet-2:2.0-1.el9.*\\n' >/etc/dnf/plugins/versionlock.list"
    )
    rocky.sh("cp /etc/dnf/dnf.conf /root; echo 'exclude=kernel* foo' >>/etc/dnf/dnf.conf")
    leap.sh("zypper --non-interactive addlock 'hel*'")
    try:
        assert held(rocky) == {"libgreet", "kernel-core"}
        assert held(leap) == {"hello"}
    finally:
        rocky.sh("rm /etc/dnf/plugins/versionlock.list; cp /root/dnf.conf /etc/dnf/dnf.conf")
        leap.sh("zypper --non-interactive removelock 'hel*'")
    assert held(rocky) == held(leap) == set()


def test_what_a_repository_excludes_is_not_on_offer_from_it(rocky: Site) -> None:
    configure_dnf(rocky.on_disk, {"baseos": "excludepkgs=hello-1.10*\n", "updates": "includepkgs=other", "modular": ""})
    try:
        versions = {patch.version: patch.indexes for patch in offers(rocky.look(), "hello.noarch")}
        assert "1.10-1.el9" not in versions
        assert versions["1.1-1.el9"] == (Index(repository="baseos"),)
    finally:
        configure_dnf(rocky.on_disk, ["baseos", "updates", "modular"])


def test_repositories_are_told_with_the_age_of_what_they_said(rocky: Site, leap: Site) -> None:
    assert rows(rocky.look(), "repositories") == {
        "baseos": {"trusted": True, "fetched": True, "notices": True},
        "updates": {"trusted": True, "fetched": True, "notices": True},
        "modular": {"trusted": True, "fetched": True, "notices": False},
    }
    assert rows(leap.look(), "repositories").keys() == {"baseos", "updates"}
    configure_dnf(
        rocky.on_disk,
        {"baseos": "baseurl=http://user:secret@mirror.example/", "never": "metalink=https://mirror.example/\n"},
    )
    try:
        told = rows(rocky.look(), "repositories")
        assert told == {
            "baseos": {"trusted": False, "fetched": True, "notices": True},
            "never": {"trusted": True, "fetched": False, "notices": False},
        }
        assert b"secret" not in b"".join(answer.stdout for answer in rocky.answers)
    finally:
        configure_dnf(rocky.on_disk, ["baseos", "updates", "modular"])


@pytest.mark.parametrize(
    ("which", "again"), [(0, "dnf -q makecache --refresh"), (1, "sleep 1; zypper --non-interactive refresh")]
)
def test_an_unchanged_node_says_so_in_less_than_a_kilobyte(sites: tuple[Site, Site], which: int, again: str) -> None:
    site = sites[which]
    first = site.look()
    assert all(isinstance(first.facts.section(name), Known) for name in SECTIONS), first.facts
    second = site.look(before=first)
    third = site.look(before=second)
    assert len(site.answers) == 1
    assert len(site.answers[0].stdout) < 1024
    assert all(third.facts.section(name) == first.facts.section(name) for name in SECTIONS)
    site.sh(again)  # nothing new: what is on offer is not worked out again, and the lists are young again
    later = site.look(before=third)
    assert all(
        later.facts.section(name) is third.facts.section(name) for name in ("available", "notices", "repositories")
    )
    assert str(rows(later, "metadata")["baseos"]) > str(rows(first, "metadata")["baseos"])


def test_lists_packed_with_zstd_are_read_where_rpm_alone_knows_it(rocky: Site) -> None:
    assert rocky.sh("command -v zstd || echo none") == "none\n"
    (primary,) = rocky.sh("ls /var/cache/dnf/baseos-*/repodata/*primary.xml.gz").split()
    before = rows(rocky.look(), "available")
    packed = primary.removesuffix(".gz") + ".zst"
    pack = f"import gzip, rpm; f = rpm.fd('{packed}', 'w', 'zstdio'); f.write(gzip.open('{primary}').read()); f.close()"
    rocky.sh(f'python3 -c "{pack}"; cp -a {primary} /root/packed.gz; rm {primary}')
    repomd = f"$(dirname {primary})/repomd.xml"
    rocky.sh(f"cp -a {repomd} /root/repomd.xml; sed -i s/primary.xml.gz/primary.xml.zst/ {repomd}")
    try:
        assert rows(rocky.look(), "available") == before
        rocky.sh("chmod 0 /usr/bin/python3.11")  # as where dnf 5 is: rpm itself unpacks
        assert rows(rocky.look(), "available") == before
    finally:
        rocky.sh(
            f"chmod 755 /usr/bin/python3.11; rm {packed}; cp -a /root/packed.gz {primary}; cp -a /root/repomd.xml {repomd}"
        )


def test_what_is_not_asked_is_not_told(rocky: Site) -> None:
    found = rocky.look(asked=Questions())
    assert not set(SECTIONS) & set(found.facts.sections)


def test_who_runs_the_package_manager_is_named(rocky: Site, leap: Site) -> None:
    assert rows(rocky.look(), "locks") == {}
    assert rows(leap.look(), "locks") == {}
    begin = (
        "cp /bin/sleep /root/NAME; /root/NAME 600 >/dev/null 2>&1 & echo $! | tee PATH; "
        "until [ $(readlink /proc/$!/exe) = /root/NAME ]; do sleep 0.1; done"
    )
    dnf = rocky.sh(begin.replace("NAME", "dnf").replace("PATH", "/var/cache/dnf/metadata_lock.pid")).strip()
    zypper = leap.sh(begin.replace("NAME", "zypper").replace("PATH", "/run/zypp.pid")).strip()
    try:
        assert rows(rocky.look(), "locks") == {"/var/cache/dnf/metadata_lock.pid": {"pid": int(dnf), "process": "dnf"}}
        assert rows(leap.look(), "locks") == {"/run/zypp.pid": {"pid": int(zypper), "process": "zypper"}}
    finally:
        rocky.sh(f"kill {dnf}")
        leap.sh(f"kill {zypper}")
    assert rows(rocky.look(), "locks") == {}  # dnf leaves its file behind where it is killed
    rocky.sh("rm /var/cache/dnf/metadata_lock.pid")


def test_lists_are_refreshed_and_what_is_away_is_named(rocky: Site, leap: Site) -> None:
    asked = replace(ASKED, refresh=True)
    for site, others in ((rocky, {"modular": None}), (leap, {})):
        before = rows(site.look(), "metadata")["baseos"]
        site.sh("sleep 1; mv /srv/rpm/updates /srv/rpm/away")
        try:
            found = site.look(asked=asked)
        finally:
            site.sh("mv /srv/rpm/away /srv/rpm/updates")
        told = rows(found, "refreshed")
        assert told.pop("*") is None
        assert str(told.pop("@")).endswith("Z")
        assert str(told.pop("updates")).startswith(("Cannot download repomd.xml", "Problem retrieving files"))
        assert told == {"baseos": None, **others}
        assert str(rows(found, "metadata")["baseos"]) > str(before)
        again = {**rows(site.look(asked=asked), "refreshed"), "@": None}
        assert again == {"*": None, "@": None, "baseos": None, "updates": None, **others}


def test_a_refresh_that_finds_the_lock_taken_names_its_holder(rocky: Site, leap: Site) -> None:
    for site, name, path in ((rocky, "dnf", "/var/cache/dnf/metadata_lock.pid"), (leap, "zypper", "/run/zypp.pid")):
        begin = f"cp /bin/sleep /root/{name}; /root/{name} 600 >/dev/null 2>&1 & echo $! | tee {path}"
        pid = site.sh(f"{begin}; until [ $(readlink /proc/$!/exe) = /root/{name} ]; do sleep 0.1; done").strip()
        try:
            with site.pool.connect(site.node) as session:
                came = refresh(session, site.node, wait=timedelta(seconds=1))
            assert isinstance(came, Known)
            assert came.value.archives == {}
            assert f"locked by {pid} ({name})" in str(came.value.problem) or f"pid {pid} (/root/{name})" in str(
                came.value.problem
            )
        finally:
            site.sh(f"kill {pid}; rm -f {path}")


def test_signs_of_a_reboot_are_told(rocky: Site, leap: Site) -> None:
    # Both installed a kernel after they were booted.
    assert rows(rocky.look(), "reboot") == {"required": True, "packages": ["kernel-core"]}
    leap.sh("touch /run/reboot-needed; mkdir -p /etc/zypp/needreboot.d; echo hello >/etc/zypp/needreboot.d/ours")
    try:
        assert rows(leap.look(), "reboot") == {"required": True, "packages": ["hello", "kernel-core"]}
    finally:
        leap.sh("rm -r /run/reboot-needed /etc/zypp/needreboot.d")


def test_competitors_are_told(rocky: Site) -> None:
    assert rows(rocky.look(), "rpm")["installs_by_itself"] is None
    wants = "/etc/systemd/system/timers.target.wants"
    rocky.sh(
        "cp /etc/dnf/automatic.conf /root; printf '[commands]\\napply_updates = yes\\n' >/etc/dnf/automatic.conf; echo x >/etc/cron.daily/0yum-daily.cron"
    )
    rocky.sh("mkdir -p /etc/yum; printf 'apply_updates = yes\\n' >/etc/yum/yum-cron.conf")
    try:
        found = rows(rocky.look(), "rpm")
        assert found["settings"] == {"automatic": "yes", "yum-cron": "yes"}
        assert found["installs_by_itself"] == "0yum-daily.cron"
    finally:
        rocky.sh(
            f"cp /root/automatic.conf /etc/dnf/automatic.conf; rm -r /etc/cron.daily/0yum-daily.cron /etc/yum; rm -rf {wants}/dnf-automatic.timer"
        )


def test_a_node_without_dnf_is_unknown_with_what_to_do(rocky: Site) -> None:
    """Only whether yum is there decides what is said: its lists are never read."""
    rocky.sh("mv /usr/bin/dnf /root/dnf")
    try:
        assert "neither dnf nor dnf5 is installed: install one of them" in unknown(rocky.look(), "available")
        rocky.sh("printf '#!/bin/sh\\n' >/usr/bin/yum; chmod +x /usr/bin/yum")
        told = unknown(rocky.look(), "available")
        assert told.endswith(
            "yum is here without dnf, and its lists are not read: install dnf beside it (yum install dnf)"
        )
    finally:
        rocky.sh("mv /root/dnf /usr/bin/dnf; rm -f /usr/bin/yum")


def test_a_package_left_double_by_a_broken_transaction_is_not_whole(rocky: Site) -> None:
    rocky.sh(
        "rpm -i --force --nodeps --force-debian /srv/rpm/baseos/hello-1.1-1.el9.noarch.rpm /srv/rpm/baseos/kernel-core-5.14.0-10.el9.x86_64.rpm"
    )
    try:
        told = rows(rocky.look(), "installed")
        states = {
            row: [read_installed(str(line)).state for line in lines]
            for row, lines in told.items()
            if isinstance(lines, list)
        }
        assert states["hello.noarch"] == [InstallState.BROKEN] * 2
        assert states["kernel-core.x86_64"] == [InstallState.INSTALLED] * 2
    finally:
        rocky.sh("rpm -e --nodeps --force-debian hello-1.1-1.el9 kernel-core-5.14.0-10.el9")


def test_a_list_that_is_cut_or_hostile_is_unknown_and_nothing_else_is(rocky: Site) -> None:
    (primary,) = rocky.sh("ls /var/cache/dnf/baseos-*/repodata/*primary.xml.gz").split()
    rocky.sh(f"cp -a {primary} /root/primary.gz; gzip -dc {primary} >/root/primary.xml")

    def with_list(script: str) -> str:
        rocky.sh(f"{script}; touch $(dirname {primary})/repomd.xml")
        found = rocky.look()
        others = set(SECTIONS) - {"available", "notices"}
        assert all(isinstance(found.facts.section(name), Known) for name in others)
        return unknown(found, "available")

    try:
        cut = "could not be read to its end (is the program that unpacks it installed?): baseos"
        assert cut in with_list(f"head -c 400 /root/primary.gz >{primary}")
        assert cut in with_list(f"head -n 30 /root/primary.xml | gzip >{primary}")
        hostile = 's/<location href=.hello/<location href="..\\/..\\/hello/'
        assert "not the place of a file" in with_list(f"sed '{hostile}' /root/primary.xml | gzip >{primary}")
        option = 's/ver=.1.10. rel=.1.el9./ver="9;--setopt=x" rel="1"/'
        assert "not a version of rpm" in with_list(f"sed '{option}' /root/primary.xml | gzip >{primary}")
        rocky.sh(f"tr -d '\\n' </root/primary.xml | gzip >{primary}")
        assert len(offers(rocky.look(), "hello.noarch")) == 4
        updateinfo = primary.replace(primary.rpartition("/")[2], "*updateinfo.xml.gz")
        rocky.sh(
            f"cp -a {updateinfo} /root/notices.gz; gzip -dc /root/notices.gz | sed '/<.updates>/d' | gzip >$(echo {updateinfo})"
        )
        assert cut in with_list(f"cp -a /root/primary.gz {primary}")
        rocky.sh(f"cp -a /root/notices.gz $(echo {updateinfo})")
    finally:
        rocky.sh(f"cp -a /root/primary.gz {primary}")
