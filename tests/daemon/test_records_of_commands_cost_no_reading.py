"""Records of commands that this process wrote make nobody read the reports again; what anybody else wrote does."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.commands.request import Typed, read_request
from reconciler.daemon.branches import Branches
from reconciler.daemon.callers import this_process
from reconciler.daemon.commanding import office_of, send
from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import Request
from reconciler.source import git_process
from reconciler.source.git_process import GitProcess
from tests.support.site import Site

NOOP = Typed(document_name="AWS-Noop", targets=("Key=tag:Role,Values=nobody",))


@pytest.fixture
def controller(site: Site) -> Iterator[Controller]:
    with site.controller() as made:
        assert made.one_pass(Request()).report_commit is not None
        yield made


@pytest.fixture
def gits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every git that is started from here on, by its first word."""
    found: list[str] = []
    started = GitProcess._started

    def noted(self: GitProcess, arguments: tuple[str, ...], *rest: object) -> object:
        found.append(arguments[0])
        return started(self, arguments, *rest)  # type: ignore[arg-type]  # passed on as given

    monkeypatch.setattr(git_process.GitProcess, "_started", noted)
    return found


def command(controller: Controller) -> None:
    send(
        office_of(controller),
        read_request(NOOP),
        who=this_process(),
        stop=threading.Event(),
        tell=lambda *_: None,
        confirm=lambda _: None,
    )


def assert_reads_as_from_cold(site: Site, branches: Branches) -> None:
    """Hold what is known against what a process reads that knows nothing."""
    base, _ = branches.in_force()
    found = branches.look(base.desired)
    with site.controller() as cold:
        fresh = cold.branches.look(cold.branches.in_force()[0].desired)
        assert found.standing == fresh.standing
        assert found.read.history == fresh.read.history
        assert found.read.committed_at == fresh.read.committed_at
        assert (found.read.ledger, found.read.downloads, found.read.pauses) == (
            fresh.read.ledger,
            fresh.read.downloads,
            fresh.read.pauses,
        )
        assert dict(found.read.reports) == dict(fresh.read.reports)


def test_nothing_is_read_after_our_own_commands(site: Site, controller: Controller, gits: list[str]) -> None:
    command(controller)
    command(controller)
    gits.clear()
    base, _ = controller.branches.in_force()
    controller.branches.look(base.desired)
    assert gits == []
    assert_reads_as_from_cold(site, controller.branches)


def test_a_command_starts_few_gits(controller: Controller, gits: list[str]) -> None:
    command(controller)
    gits.clear()
    command(controller)
    assert gits == ["fast-import", "push", "update-ref"], "it reaches nobody: one record, with its end"


def test_a_client_of_the_daemon_goes_on_from_what_the_daemon_has_read(
    site: Site, controller: Controller, gits: list[str]
) -> None:
    command(controller)
    gits.clear()
    with controller.beside() as (_, branches, _):
        base, _ = branches.in_force()
        branches.look(base.desired)
        assert {"ls-tree", "log"}.isdisjoint(gits)
        assert_reads_as_from_cold(site, branches)


def write_by_hand(site: Site) -> None:
    site.git("checkout", "-q", "compliance")
    (site.repo / "nodes").mkdir(exist_ok=True)
    name = "downloads.json"
    (site.repo / name).write_text("{}\n")
    site.git("add", name)
    site.git("commit", "-q", "-m", "By hand")
    site.git("checkout", "-q", "main")


def test_what_another_host_or_a_person_wrote_is_read(site: Site, controller: Controller) -> None:
    command(controller)
    write_by_hand(site)
    command(controller)
    assert_reads_as_from_cold(site, controller.branches)


@pytest.mark.parametrize("reports", [True, False], ids=["the pass reports", "the pass has nothing to report"])
def test_what_a_client_brought_in_the_middle_of_a_pass_is_read_by_the_next_one(
    site: Site, controller: Controller, monkeypatch: pytest.MonkeyPatch, *, reports: bool
) -> None:
    """The pass then commits upon what somebody else wrote, and never read it."""
    books = controller._books

    def meanwhile(reports: Any) -> object:
        write_by_hand(site)
        with controller.beside() as (_, branches, _):
            branches.look(branches.in_force()[0].desired)
        controller.repository.forget_refs()  # as when the lease is taken with a higher epoch, by the nodes' word
        return books(reports)

    if reports:
        site.commit({"state/fleet.yaml": "Fleet: example\nInterval: rate(1 hour)\n"})
    monkeypatch.setattr(controller, "_books", meanwhile)
    assert (controller.one_pass(Request()).report_commit is not None) is reports
    assert_reads_as_from_cold(site, controller.branches)


def test_a_history_that_was_rewound_behind_our_commands_is_lost_as_ever(site: Site, controller: Controller) -> None:
    command(controller)
    site.git("update-ref", "refs/heads/compliance", "refs/heads/compliance~1")
    base, _ = controller.branches.in_force()
    assert controller.branches.look(base.desired).standing.lost is not None
    with controller.beside() as (_, branches, _):
        assert branches.look(base.desired).standing.lost is not None
