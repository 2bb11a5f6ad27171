"""A warning where the key that pushes reports could push the state branch; asked once a day, silenced by the host settings."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import PassResult, Request
from reconciler.settings import read_host_settings
from tests.support.git_over_ssh import GitOverSsh, git_over_ssh
from tests.support.site import Site

pytestmark = pytest.mark.timeout(300)
WORDS = "the key that pushes reports could push the state branch main too"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[GitOverSsh]:
    (tmp_path / "server").mkdir()
    with git_over_ssh(tmp_path / "server") as started:
        yield started


@pytest.fixture
def site(tmp_path: Path, served: GitOverSsh, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A host of a fleet without nodes: what is asked of git is the same."""
    monkeypatch.setenv("PATH", served.ssh_first_on_path(tmp_path / "bin", served.pushes))
    made = Site(tmp_path, None)
    made.commit({"state/fleet.yaml": "Fleet: example\nReports: {Branch: compliance, Remote: origin}\n"})
    made.git("push", "--quiet", str(served.remote.path), "main")
    return made


def one_pass(site: Site, repo: str, *, later: timedelta = timedelta()) -> PassResult:
    controller = Controller(
        repo,
        settings=read_host_settings(site.settings),
        state_dir=site.state_dir,
        clock=lambda: datetime.now(UTC) + later,
    )
    try:
        return controller.one_pass(Request())
    finally:
        controller.close()


def pushes(served: GitOverSsh) -> int:
    return served.asked.read_text().count("git-receive-pack")


def test_once_and_status_warn_and_end_as_without(site: Site, served: GitOverSsh) -> None:
    tip = served.remote.tip()
    once = site.command("once", served.url, check=0)
    assert f"warning: {served.url}: {WORDS}" in once.stdout
    status = site.command("status", served.url, "--format", "json", check=0)
    (warning,) = json.loads(status.stdout)["warnings"]
    assert WORDS in warning
    assert json.loads(status.stdout)["problems"] == []
    assert served.remote.tip() == tip, "something was pushed to ask"
    assert served.remote.has("refs/heads/compliance")


def test_it_is_asked_once_a_day(site: Site, served: GitOverSsh) -> None:
    assert one_pass(site, served.url).warnings
    first = pushes(served)
    assert one_pass(site, served.url).warnings, "it is remembered"
    again = pushes(served)
    assert one_pass(site, served.url, later=timedelta(hours=25)).warnings
    tomorrow = pushes(served)
    assert tomorrow - again == (again - first) + 1, "a day later one question more than the heartbeat's push"
    (site.state_dir / "push-rights.json").write_text("{garbage")
    assert one_pass(site, served.url, later=timedelta(hours=26)).warnings


def test_the_host_settings_silence_it(site: Site, served: GitOverSsh) -> None:
    assert one_pass(site, served.url).warnings
    site.settings.write_text(site.settings.read_text() + "MayPushState: true\n")
    before = pushes(served)
    assert one_pass(site, served.url, later=timedelta(hours=25)).warnings == ()
    heartbeat = pushes(served) - before
    assert one_pass(site, served.url, later=timedelta(hours=25)).warnings == ()
    assert pushes(served) - before == 2 * heartbeat


def test_a_checkout_whose_reports_go_on_to_a_url_is_asked_there(site: Site, served: GitOverSsh) -> None:
    site.git("remote", "add", "origin", served.url)
    (warning,) = one_pass(site, str(site.repo)).warnings
    assert warning.startswith(f"{served.url}: {WORDS}")


def test_a_repository_on_this_disk_is_not_asked(site: Site, served: GitOverSsh) -> None:
    site.git("remote", "add", "origin", str(served.remote.path))
    assert one_pass(site, str(site.repo)).warnings == ()
    assert not (site.state_dir / "push-rights.json").exists()
