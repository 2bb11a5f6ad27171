"""A server of downloads that says nothing, or answers late: what needs it waits, all else is kept in the same pass."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from reconciler.daemon import controller as controllers
from reconciler.daemon.passing import PassResult, Request
from reconciler.drift.finding import State
from tests.support.nodes import Fleet, TestNode
from tests.support.silent_server import silent_server
from tests.support.site import Site, bodies
from tests.support.waiting import wait_until
from tests.support.web_server import WebServer, reply, web_server

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]

SERVER, SILENT = "127.0.0.5", "127.0.0.6"
PATIENCE = 3.0
"""In the place of 30 s; a git that hears nothing is ended after 180 s of its own, a web request after 30: nothing here
waits so long."""


@pytest.fixture
def node(fleet: Fleet) -> TestNode:
    fleet.nodes[0].run(["sh", "-c", "rm -rf /var/lib/reconciler /var/log/bodies /etc/motd /var/log/downloaded"])
    return fleet.nodes[0]


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server(SERVER) as started:
        yield started


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet, node: TestNode, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(controllers, "PATIENCE", PATIENCE)
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes, "Fleet: example\nInterval: rate(1 hour)\n")
    with made.settings.open("a") as settings:
        settings.write(f"Downloads: {{Egress: [{SERVER}, {SILENT}]}}\n")
    return made


def downloading(kind: str, info: str) -> dict[str, str | None]:
    return {
        "documents/Get.yaml": f"""\
schemaVersion: '2.2'
mainSteps:
  - name: get
    action: aws:downloadContent
    inputs: {{sourceType: {kind}, sourceInfo: '{info}', destinationPath: file}}
  - name: use
    action: aws:runShellScript
    inputs: {{runCommand: ['cat file >>/var/log/downloaded']}}
""",
        "state/associations/get.yaml": (
            "AssociationName: get\nName: Get\nTargets: [{Key: 'tag:Role', Values: [web]}]\n"
        ),
    }


def findings(result: PassResult) -> dict[str, tuple[State, str]]:
    (report,) = result.reports.values()
    return {str(found.association): (found.state, found.reason) for found in (each.finding for each in report.findings)}


def fetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "fetch"]


def downloaded(node: TestNode) -> str:
    return node.run(["sh", "-c", "cat /var/log/downloaded || :"]).stdout


def test_a_git_server_that_hangs_holds_only_what_needs_it(site: Site, node: TestNode) -> None:
    with silent_server(SILENT) as silent:
        site.commit(downloading("Git", f'{{"repository": "https://{SILENT}:{silent.port}/x.git"}}'))
        with site.controller() as controller:
            first = controller.one_pass(Request())
            wait_until(lambda: silent.waiting == 1, "git waits")
            # It is still the first git that hangs, in the second pass as well.
            (node.root / "etc/motd").write_text("by hand\n")
            second = controller.one_pass(Request())
            assert (silent.met, silent.waiting) == (1, 1)
        wait_until(lambda: silent.waiting == 0, "the end of the process lets go of it")
    assert bodies(node) == 2
    for result in (first, second):
        state, reason = findings(result)["get"]
        assert state is State.WAITING
        assert "did not answer within 3 s: the pass went on without it" in reason
        assert findings(result)["motd"][0] is State.IN_SYNC
    assert second.report_commit is not None


def test_what_a_slow_server_sends_counts_in_the_next_pass(site: Site, node: TestNode, server: WebServer) -> None:
    gate = threading.Event()

    def late(handler: BaseHTTPRequestHandler) -> None:
        gate.wait(60)
        reply(handler, 200, b"late\n")

    server.answers["/late"] = late
    site.commit(downloading("HTTP", f'{{"url": "{server.url}/late", "allowInsecureDownload": true}}'))
    with site.controller() as controller:
        first = controller.one_pass(Request())
        assert {name: state for name, (state, _) in findings(first).items()} == {
            "get": State.WAITING,
            "motd": State.IN_SYNC,
        }
        assert downloaded(node) == ""
        gate.set()
        wait_until(lambda: not fetching(), "the answer is here")
        second = controller.one_pass(Request())
        assert len(server.asked) == 1
    assert {state for state, _ in findings(second).values()} == {State.IN_SYNC}, findings(second)
    assert downloaded(node) == "late\n"
    assert bodies(node) == 1
