"""Versions that their archive drops before their wait is over: this host has kept the file, and brings it to the node."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from urllib.parse import quote

import pytest

from reconciler.daemon.passing import PassResult, Request
from reconciler.model.outcome import Disposition
from tests.support.apt_repository import AptRepository, Package
from tests.support.nodes import Fleet
from tests.support.patching import BASELINE, audit, package, versions
from tests.support.site import Site, nodes_yaml
from tests.support.web_server import WebServer, web_server

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

INSTALL = """\
AssociationName: patches
Name: AWS-RunPatchBaseline
Targets: [{Key: InstanceIds, Values: [web-01]}]
Parameters: {Operation: [Install], RebootOption: [NoReboot]}
"""
DAY = timedelta(days=1)
KEEP = "PatchFiles: {Keep: true, MaxBytes: 1000000}\nDownloads: {Egress: [127.0.0.9]}\n"


@pytest.fixture(scope="module")
def server() -> Iterator[WebServer]:
    with web_server("127.0.0.9") as started:
        yield started


class Archive:
    """An archive on the web, a node that takes its packages from there, and a site that keeps files of patches."""

    def __init__(self, folder: Path, fleet: Fleet, server: WebServer, name: str) -> None:
        self.node = fleet.nodes[0]
        self.server = server
        self.repository = AptRepository(folder / "apt")
        self.site = Site(folder / "site", fleet)
        self.kept = self.site.state_dir / "patch-files"
        with self.site.settings.open("a") as added:
            added.write(KEEP)
        self.site.commit(
            {
                "state/fleet.yaml": f"Fleet: {name}\n",  # the node remembers the other ones
                "state/nodes/web.yaml": nodes_yaml(fleet.nodes),
                "state/known_hosts": fleet.known_hosts,
                "baselines/now.yaml": f"{BASELINE}Refresh: never\nMetadataMaxAgeHours: 8760\n",
                "state/associations/patches.yaml": INSTALL,
            }
        )
        sources = self.node.root / "etc/apt/sources.list"
        sources.write_text(
            f"deb [trusted=yes] http://me:secret@127.0.0.9:{server.port}/debian bookworm-security main\n"
        )

    def offer(self, *packages: Package) -> None:
        """Let the archive hold exactly these, and the node know it."""
        self.repository.publish("bookworm-security", packages, label="Debian-Security", date=datetime.now(UTC))
        self.server.forget()
        names = {one.file_name for one in packages}
        for path in self.repository.directory.rglob("*"):
            if path.is_file() and (path.suffix != ".deb" or path.name in names):
                name = quote(str(path.relative_to(self.repository.directory)), safe="/+~")
                self.server.files[f"/debian/{name}"] = path.read_bytes()
        self.node.run(["apt-get", "-q", "update"])

    def have(self, *packages: Package) -> None:
        """Let the node have exactly these."""
        self.offer(*packages)
        self.node.run(["apt-get", "-qy", "install", *(f"{one.name}={one.version}" for one in packages)])

    def passed(self, at: datetime) -> PassResult:
        """Run one pass, and wait for what it fetches."""
        with self.site.controller(at=at) as controller:
            done = controller.one_pass(Request())
            controller.patch_files.wait(Event())
            return done

    def reasons(self, done: PassResult) -> Sequence[str]:
        """Give the reasons of what is missing."""
        (report,) = done.reports.values()
        assert report.patches is not None
        return [row.reason for row in report.patches.rows]

    def held(self) -> set[str]:
        """Give what is kept, by SHA-256."""
        return {path.name for path in self.kept.glob("??/*")}

    def sha256(self, one: Package) -> str:
        """Give the checksum of a package's file."""
        return hashlib.sha256((self.repository.directory / "pool/main" / one.file_name).read_bytes()).hexdigest()


def test_a_version_that_its_archive_dropped_is_installed_after_its_wait_by_exact_pin(
    fleet: Fleet, server: WebServer, tmp_path: Path
) -> None:
    archive = Archive(tmp_path, fleet, server, "first")
    begin = datetime.now(UTC).replace(microsecond=0)
    old, good, new = (package("hello", f"1:1.{n}-1", files={"/usr/share/hello": f"{n}\n"}) for n in range(3))
    good = replace(good, fields={"Depends": "hello-abi1"})
    along = package("hello-abi1", "1:1.1-1", Source="hello")
    other, unneeded = package("other", "1.0"), package("unneeded", "9.9")
    archive.have(old, other)
    archive.offer(old, other, good, along, unneeded)
    assert archive.passed(begin).outcomes == ()
    assert archive.held() == {archive.sha256(good), archive.sha256(along)}
    assert sorted(path for path in server.asked if "hello" in path) == [
        f"GET /debian/pool/main/{name}_1%253a1.1-1_all.deb" for name in ("hello-abi1", "hello")
    ]
    assert "secret" not in archive.site.command("inventory", "show", "web-01").stdout

    archive.offer(other, new)
    waiting = archive.passed(begin + 3 * DAY)
    assert waiting.outcomes == ()
    assert archive.held() == {archive.sha256(good), archive.sha256(along), archive.sha256(new)}
    done = archive.passed(begin + 7 * DAY)
    assert [(one.disposition, one.record.status.value) for one in done.outcomes if one.record] == [
        (Disposition.RAN, "Success")
    ], done.outcomes
    assert versions(archive.node, "hello", "hello-abi1", "unneeded") == {"hello": "1:1.1-1", "hello-abi1": "1:1.1-1"}
    assert (archive.node.root / "usr/share/hello").read_text() == "1\n"
    assert audit(archive.node) == ""
    assert archive.passed(begin + 7 * DAY + timedelta(minutes=1)).outcomes == ()
    with archive.site.controller(at=begin + 8 * DAY) as controller:  # what was decided can be worked out again
        assert controller.plan_committed(limit=(), inventory=done.plan.digest).plan.digest == done.plan.digest


def test_what_is_sent_by_hand_and_what_is_explained_go_by_what_is_kept(
    fleet: Fleet, server: WebServer, tmp_path: Path
) -> None:
    archive = Archive(tmp_path, fleet, server, "second")
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=2)
    archive.site.commit({"state/associations/patches.yaml": None, "baselines/now.yaml": f"{BASELINE}Refresh: never\n"})
    old, good, new = (package("again", f"1.{n}") for n in range(3))
    archive.have(old)
    archive.offer(old, good)
    archive.passed(begin)
    archive.offer(new)
    archive.passed(begin + timedelta(minutes=1))
    archive.site.commit(
        {"baselines/now.yaml": f"{BASELINE}Refresh: never\nMetadataMaxAgeHours: 8760\nApprovedPatches: [again-1.1]\n"}
    )
    told = archive.site.command("patch", "explain", "web-01", "again").stdout
    assert "approved 1.1 is missing: on the approved list" in told
    assert "(the file is kept here)" in told
    done = archive.site.command(
        "send-command",
        "--document-name",
        "AWS-RunPatchBaseline",
        "--instance-ids",
        "web-01",
        "--parameters",
        '{"Operation": ["Install"], "RebootOption": ["NoReboot"]}',
    )
    assert done.returncode == 0, done
    assert versions(archive.node, "again") == {"again": "1.1"}
