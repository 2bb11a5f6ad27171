"""A command's result is told once it is recorded; nodes forget their runs behind it, whatever becomes of the sender then."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from reconciler.commands.request import Typed, read_request
from reconciler.daemon.callers import this_process
from reconciler.daemon.cancelling import is_being_sent
from reconciler.daemon.commanding import Sent, office_of, send
from reconciler.daemon.controller import Controller
from reconciler.daemon.passing import Request
from tests.passes.sent import LOG, WEB, marks, records, shell
from tests.support.nodes import Fleet, TestNode
from tests.support.site import Site

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(300)]
NODES = 2

SEND = Typed(
    document_name="AWS-RunShellScript",
    targets=("Key=tag:Role,Values=web",),
    parameters=(json.dumps({"commands": [f"hostname >> {LOG}"]}),),
)


@pytest.fixture
def site(tmp_path: Path, fleet: Fleet) -> Site:
    for node in fleet.nodes:
        node.run(["sh", "-c", f"rm -rf /var/lib/reconciler /var/log/bodies {LOG} /etc/motd /etc/reconciler"])
    made = Site(tmp_path, fleet)
    made.standard(fleet.nodes)
    return made


def runs(node: TestNode) -> list[str]:
    return [folder.name for folder in (node.root / "var/lib/reconciler/runs").glob("[0-9a-f]*")]


def sent_from(
    controller: Controller, answer: Callable[[Sent], None], tell: Callable[..., None] = lambda *_: None, **office: Any
) -> Sent:
    """Send a command as the daemon does for a client: passes may be made meanwhile."""
    return send(
        replace(office_of(controller), alone=nullcontext, **office),
        read_request(SEND),
        who=this_process(),
        stop=Event(),
        tell=tell,
        confirm=lambda _: None,
        answer=answer,
    )


def only_record(site: Site) -> dict[str, Any]:
    (record,) = records(site).values()
    return record


def test_the_result_is_recorded_when_it_is_told_and_a_pass_meanwhile_leaves_the_runs_alone(
    site: Site, fleet: Fleet
) -> None:
    told: list[Sent] = []
    with site.controller() as controller:
        controller.one_pass(Request())

        def answer(sent: Sent) -> None:
            told.append(sent)
            assert only_record(site)["Command"]["StatusDetails"] == "Success"
            assert [len(runs(node)) for node in fleet.nodes] == [1, 1]
            assert is_being_sent(site.state_dir, sent.record.id)
            assert controller.one_pass(Request()).report_commit is None
            assert [len(runs(node)) for node in fleet.nodes] == [1, 1], "they are their sender's to remove"

        sent = sent_from(controller, answer)
        assert told == [sent]
        assert sent.untidy == ()
        assert [runs(node) for node in fleet.nodes] == [[], []]
        assert not is_being_sent(site.state_dir, sent.record.id)
        assert controller.one_pass(Request()).report_commit is None
    assert marks(fleet) == [1, 1]


class BegunPass:
    """A pass that has looked at the branch of reports, and takes the lease once the command is over."""

    def __init__(self, controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
        self._controller = controller
        self._patch = monkeypatch
        self._looked, self._over = Event(), Event()
        self._thread: Thread | None = None

    def begin(self, *_: object) -> None:
        """Make it look, once."""
        if self._thread is not None:
            return
        self._patch.setattr(
            self._controller._leadership, "lead", partial(self._late, self._controller._leadership.lead)
        )
        self._thread = Thread(target=self._controller.one_pass, args=(Request(),))
        self._thread.start()
        assert self._looked.wait(200)

    def _late(self, lead: Callable[..., object], *arguments: Any, **named: Any) -> object:
        self._looked.set()
        assert self._over.wait(200)
        return lead(*arguments, **named)

    def go_on(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()


def test_a_command_that_ends_while_a_pass_begins_keeps_its_result(
    site: Site, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pass has looked at the branch, where the command has not ended, and then finds no sender of it any more."""
    with site.controller() as controller:
        controller.one_pass(Request())
        begun = BegunPass(controller, monkeypatch)
        try:
            with controller.beside() as (_, branches, contents):
                sent = sent_from(controller, lambda _: None, tell=begun.begin, branches=branches, contents=contents)
        finally:
            begun.go_on()
    assert sent.record.verdict.detail.value == "Success"
    assert only_record(site)["Command"]["StatusDetails"] == "Success"
    assert marks(fleet) == [1, 1]


def test_a_command_that_ends_while_another_host_takes_the_lease_keeps_its_result(
    site: Site, fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site.controller(state_dir=tmp_path / "other") as other:
        begun = BegunPass(other, monkeypatch)
        try:
            with site.controller() as controller:
                assert sent_from(controller, lambda _: None, tell=begun.begin).problems == ()
        finally:
            begun.go_on()
    assert only_record(site)["Command"]["StatusDetails"] == "Success"
    assert marks(fleet) == [1, 1]


def test_a_result_that_cannot_be_recorded_is_told_and_the_next_pass_records_it(site: Site, fleet: Fleet) -> None:
    """A git of ours that was killed left a lock, and others live that keep it from being called stale."""
    told: list[Sent] = []
    with site.controller() as controller, controller.beside():
        controller.one_pass(Request())
        lock = controller.repository.folder / "refs/queue/compliance.lock"
        sent = sent_from(controller, told.append, tell=lambda *_: lock.touch())
        assert told == [sent]
        assert sent.record.verdict.detail.value == "Success"
        (problem,) = sent.problems
        assert problem.startswith("the result is not recorded: refs of ")
        assert sent.report_commit is None
        assert [len(runs(node)) for node in fleet.nodes] == [1, 1], "they hold what is not recorded yet"
    lock.unlink(missing_ok=True)
    site.once()
    assert only_record(site)["Command"]["StatusDetails"] == "Success"
    assert [runs(node) for node in fleet.nodes] == [[], []]
    assert marks(fleet) == [1, 1]


def test_who_cannot_be_answered_leaves_nothing_on_the_nodes(site: Site, fleet: Fleet) -> None:
    class GoneAway(Exception):
        pass

    def answer(_sent: Sent) -> None:
        raise GoneAway

    with site.controller() as controller, pytest.raises(GoneAway):
        sent_from(controller, answer)
    assert only_record(site)["Command"]["StatusDetails"] == "Success"
    assert [runs(node) for node in fleet.nodes] == [[], []]


def test_a_node_that_does_not_forget_is_told_of_and_the_next_pass_cleans_up(site: Site, fleet: Fleet) -> None:
    epochs = fleet.nodes[1].root / "var/lib/reconciler/epochs/example"
    kept: list[str] = []

    def answer(_sent: Sent) -> None:
        kept.append(epochs.read_text())
        epochs.write_text("99\n")

    with site.controller() as controller:
        sent = sent_from(controller, answer)
    assert sent.problems == ()
    (words,) = sent.untidy
    assert words.startswith("web-02: it keeps its run folder until the next pass: the node did not take it: refused")
    assert [len(runs(node)) for node in fleet.nodes] == [0, 1]
    epochs.write_text(kept[0])
    before = only_record(site)
    assert site.once().all_in_sync
    assert [runs(node) for node in fleet.nodes] == [[], []]
    assert only_record(site) == before
    assert marks(fleet) == [1, 1]


SENDER = """
import os, signal, sys
from pathlib import Path
from tests.passes.test_answered_before_the_clean_up import sent_from
from reconciler.daemon.controller import Controller
from reconciler.settings import read_host_settings

repo, settings, state_dir = sys.argv[1:]
controller = Controller(repo, settings=read_host_settings(Path(settings)), state_dir=Path(state_dir))
sent_from(controller, lambda _: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_sender_killed_between_its_answer_and_the_clean_up_leaves_it_to_the_next_pass(
    site: Site, fleet: Fleet
) -> None:
    assert site.once().all_in_sync
    done = subprocess.run(
        [sys.executable, "-c", SENDER, str(site.repo), str(site.settings), str(site.state_dir)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **site.environment()},
        check=False,
        timeout=200,
    )
    assert done.returncode == -signal.SIGKILL
    before = only_record(site)
    assert before["Command"]["StatusDetails"] == "Success"
    assert [len(runs(node)) for node in fleet.nodes] == [1, 1]
    assert site.once().all_in_sync
    assert only_record(site) == before
    assert [runs(node) for node in fleet.nodes] == [[], []]
    assert site.once().report_commit is None
    assert marks(fleet) == [1, 1]


def test_a_command_on_its_own_says_what_was_left(site: Site, fleet: Fleet) -> None:
    """The script itself puts up a newer leader: its run cannot be forgotten by this one any more."""
    spoilt = "[ $(cat /etc/hostname) != $NODE ] || echo 99 > /var/lib/reconciler/epochs/example"
    script = f"NODE={fleet.nodes[0].name}; {spoilt}"
    done = site.command("send-command", *WEB, *shell(script), "--repo", str(site.repo), check=0)
    assert "2 of 2 nodes succeeded" in done.stdout
    assert "note: web-01: it keeps its run folder until the next pass" in done.stderr
    assert [len(runs(node)) for node in fleet.nodes] == [1, 0]
