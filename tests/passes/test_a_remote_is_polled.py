"""A daemon whose repository is on another host: nobody wakes it, so it asks; what it reports it pushes back."""

from pathlib import Path

import pytest

from tests.passes.test_the_daemon import end
from tests.support.git_over_ssh import git_over_ssh
from tests.support.nodes import Fleet, TestNode
from tests.support.site import MOTD, Site, bodies
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]


def test_a_push_to_a_remote_is_found_by_asking_and_the_report_is_pushed_back(
    tmp_path: Path, fleet: Fleet, node: TestNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path / "site", fleet)
    with git_over_ssh(tmp_path) as served:
        monkeypatch.setenv("PATH", served.ssh_first_on_path(tmp_path / "path", served.pushes))
        remote = "Reports: {Branch: compliance, Remote: origin}\n"
        site.standard(fleet.nodes, f"Fleet: example\nInterval: rate(2 seconds)\n{remote}")
        site.git("push", "--quiet", str(served.remote.path), "main")
        daemon = site.start("daemon", served.url, "--log-format", "json")
        try:
            wait_until(lambda: bodies(node) == 1, "what the remote says is applied")
            better = MOTD.replace("managed by git\\n", "better\\n") + "Parameters: {text: [better]}\n"
            pushed = site.commit({"state/associations/motd.yaml": better})
            site.git("push", "--quiet", str(served.remote.path), "main")
            wait_until(lambda: bodies(node) == 2, "a push is found, though nothing here tells of it")
            wait_until(
                lambda: served.remote.has("refs/heads/compliance") and pushed in served.remote.show("compliance.json"),
                "the report of it is there",
            )
        finally:
            assert end(daemon) == 0
    assert (node.root / "etc/motd").read_text() == "better\n"
