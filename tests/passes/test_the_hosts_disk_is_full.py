"""The management host's own disk is full: what cannot be kept is told in words, nothing runs twice, the daemon lives."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.nodes import Fleet
from tests.support.site import APPEND_DOCUMENT, Site, bodies
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

ONCE = "AssociationName: motd\nName: Motd\nTargets: [{Key: 'tag:Role', Values: [web]}]\n"
TALKATIVE = APPEND_DOCUMENT.replace("- echo written", "- head -c 6000000 /dev/zero | tr '\\000' x")


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    fleet.nodes[0].run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 minute)\n")
    made.commit({"state/associations/motd.yaml": ONCE, "documents/Motd.yaml": TALKATIVE})
    return made


@contextmanager
def little_room(folder: Path) -> Iterator[None]:
    """Give a folder a small disk of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room at all; gives the file to remove for some."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def log_of(site: Site) -> str:
    log = site.folder / "daemon.log"
    return log.read_text() if log.exists() else ""


def test_output_that_finds_no_room_is_told_and_the_pass_goes_on(site: Site, fleet: Fleet) -> None:
    with little_room(site.state_dir):
        first = site.command("once", str(site.repo), check=0)
        assert "could not be kept on this host: No space left on device" in first.stdout
        assert "report committed" in first.stdout
        assert site.reports()
        assert "kept on the management host: No space left" in site.git(
            "grep", "-h", "output", "compliance", "--", "nodes"
        )
        site.command("once", str(site.repo), check=0)
        assert bodies(fleet.nodes[0]) == 1


def test_the_daemon_lives_without_any_room_and_goes_on_once_there_is_some(site: Site, fleet: Fleet) -> None:
    (node,) = fleet.nodes
    site.commit({"documents/Motd.yaml": APPEND_DOCUMENT})
    with little_room(site.state_dir):
        daemon = site.start("daemon", str(site.repo), "--log-format", "json")
        try:
            wait_until(lambda: '"event":"pass"' in log_of(site).replace(" ", ""), "the first pass")
            assert bodies(node) == 1
            filler = fill(site.state_dir)
            said = len(log_of(site))
            site.commit({"state/associations/motd.yaml": ONCE + "Parameters: {text: [another]}\n"})
            wait_until(lambda: "write error. Out of diskspace" in log_of(site)[said:], "the full disk is told")
            assert daemon.poll() is None
            assert bodies(node) <= 2
            filler.unlink()
            said = len(log_of(site))
            site.commit({"README.md": "Look again.\n"})
            wait_until(lambda: '"event":"pass"' in log_of(site)[said:].replace(" ", ""), "it goes on")
            wait_until(lambda: bodies(node) == 2, "what was to be done is done")
            site.commit({"README.md": "And again.\n"})
            assert daemon.poll() is None
            assert "Traceback" not in log_of(site)
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)
        assert site.command("once", str(site.repo)).returncode == 0
        assert bodies(node) == 2
