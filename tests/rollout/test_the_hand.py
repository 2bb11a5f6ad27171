"""The Perl process that a shell which stays asks instead of starting programs: what it does, and what becomes of runs without it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.model.command import Program
from reconciler.rollout.node_programs import Order, forget_program, look_program, start_program
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.sight import Sight, Standing, read_report
from reconciler.transport.loader import new_nonce
from reconciler.transport.resident import Answering, told
from tests.rollout.a_node import FLEET, RUNS, SHELLS, HomeNode, HomeSession, a_step, an_order, wait_for, wait_for_death
from tests.support.waiting import wait_until

BY_HAND = {"flock", "sync", "cat", "sleep", "setsid", "rm", "wc"}
"""Programs that a run and its removal take where there is no hand."""
WATCHED = """#!/bin/sh
echo "${0##*/}" >>"${0%/*}/log"
exec "/usr/bin/${0##*/}" "$@"
"""


@dataclass
class WatchedNode(HomeNode):
    """A node that notes which programs its shells start."""

    perl: bool = True
    programs: Path = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.programs = self.home.parent / "programs"
        self.programs.mkdir()
        for name in BY_HAND:
            (self.programs / name).write_text(WATCHED)
        if not self.perl:
            (self.programs / "perl").write_text("#!/bin/sh\nexit 2\n")
        (self.programs / "log").touch()
        for path in self.programs.iterdir():
            path.chmod(0o777)

    def text_of(self, program: Program) -> bytes:
        return self.watched(super().text_of(program))

    def watched(self, text: bytes) -> bytes:
        return text.replace(b"\nPATH=/", f"\nPATH={self.programs}:/".encode())

    def started(self) -> set[str]:
        """Give the programs that were started since this was asked last."""
        log = self.programs / "log"
        names = set(log.read_text().split())
        log.write_text("")
        return names


@dataclass
class StayingShell:
    """A shell that stays, on a pipe instead of a connection."""

    process: "subprocess.Popen[bytes]"

    def tell(self, text: bytes, *, forked: bool = True) -> bytes:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        nonce = new_nonce()
        answering, answer = Answering(nonce), b""
        self.process.stdin.write(told(text, nonce, forked=forked))
        self.process.stdin.flush()
        while not answering.has_ended:
            chunk = os.read(self.process.stdout.fileno(), 65536)
            assert chunk, "the shell ended"
            answer += answering.take(chunk)
        return answer

    def begin(self, order: Order) -> None:
        """Tell it to run a document, and do not wait for it."""
        assert self.process.stdin is not None
        call = start_program(order, become=False, wait=60, held={}).resident
        assert call is not None
        self.process.stdin.write(told(call.call, new_nonce(), forked=True))
        self.process.stdin.flush()

    def run(self, order: Order) -> Sight:
        resident = start_program(order, become=False, wait=60, held={}).resident
        assert resident is not None
        found = read_report(self.tell(resident.call))
        assert isinstance(found, Sight), found
        return found


@contextmanager
def a_staying_shell(node: WatchedNode) -> Iterator[StayingShell]:
    resident = look_program(an_order(a_step("")).run, become=False, wait=0, held={}).resident
    assert resident is not None
    text = node.home / "begin"
    text.write_text("")
    begin = [*node.command(text)[:-1], "-s"]
    with subprocess.Popen(
        begin,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"HOME": str(node.home), "PATH": os.environ["PATH"]},
        start_new_session=True,
    ) as process:
        shell = StayingShell(process)
        shell.tell(node.watched(resident.library), forked=False)
        yield shell
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[0])
def watched(request: pytest.FixtureRequest, folder: Path) -> WatchedNode:
    return WatchedNode(folder / "home", request.param, stays=True)


def hand_of(node: HomeNode, order: Order) -> int:
    """Give the process that began the first step."""
    pid = wait_for_text(node.root / "runs" / order.run / "steps/1/pid").split()[0]
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def after_one_run(node: HomeNode, shell: StayingShell) -> int:
    """Give the hand, once a run of that shell is over."""
    order = an_order(a_step(f"until [ -e {node.home}/go ]; do /usr/bin/sleep 0.02; done\n"))
    shell.begin(order)
    hand = hand_of(node, order)
    (node.home / "go").touch()
    wait_for(node.root / "runs" / order.run / "took")
    return hand


def wait_for_text(path: Path) -> str:
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), f"{path.name} is written")
    return path.read_text()


def run_and_forget(node: HomeNode, order: Order) -> Sight:
    runs = NodeRuns(OutputKeeper(None))
    found = runs.start(HomeSession(node), order, become=False, wait=60, on_claimed=lambda: None)
    assert isinstance(found, Sight), found
    assert HomeSession(node).run(forget_program([order.run], FLEET, epoch=1, become=False)).stdout == b"end\n"
    assert not (node.root / "runs" / order.run).exists()
    return found


def test_a_run_and_its_removal_start_nothing_but_the_script(watched: WatchedNode) -> None:
    run_and_forget(watched, an_order(a_step("true\n")))
    watched.started()
    found = run_and_forget(watched, an_order(a_step(f"echo said; echo ran >>{watched.log}\n"), n=2))
    assert found.status == "Success"
    assert watched.bodies() == ["ran"]
    assert watched.started() == set()


def test_without_perl_programs_do_it(folder: Path) -> None:
    node = WatchedNode(folder / "home", stays=True, perl=False)
    found = run_and_forget(node, an_order(a_step(f"echo said; echo ran >>{node.log}\n")))
    assert found.status == "Success"
    assert node.bodies() == ["ran"]
    # The program that waits for the step's time to be over may be ended before it was begun.
    assert node.started() | {"sleep"} == BY_HAND


@dataclass
class HastyNode(WatchedNode):
    """One without a hand, whose runner ends what watches a step's time at once."""

    def text_of(self, program: Program) -> bytes:
        return super().text_of(program).replace(b"\n    watch\n", b'\n    watch\n    kill "$dog"\n')


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_run_is_reported_once_whichever_of_its_processes_ends_when(shell: tuple[str, ...], folder: Path) -> None:
    """A child of bash that gets a signal before it has let go of its parent's traps runs them."""
    node = HastyNode(folder / "home", shell, stays=True, perl=False)
    orders = [an_order(a_step("echo said\n"), n=n) for n in range(1, 6)]
    told = [HomeSession(node).run(start_program(order, become=False, wait=60, held={})).stdout for order in orders]
    assert [answer.count(b"standing ") for answer in told] == [1] * 5
    assert [b"\nstanding ended\n" in answer for answer in told] == [True] * 5


def test_a_shell_whose_hand_was_killed_starts_programs(watched: WatchedNode) -> None:
    with a_staying_shell(watched) as shell:
        hand = after_one_run(watched, shell)
        os.kill(hand, signal.SIGKILL)
        wait_for_death(hand)
        found = shell.run(an_order(a_step(f"echo ran >>{watched.log}\n"), n=2))
    assert found.status == "Success"
    assert watched.bodies() == ["ran"]


def test_a_hand_that_is_killed_during_a_step_ends_its_run_and_not_the_script(watched: WatchedNode) -> None:
    release, done = watched.home / "release", watched.home / "done"
    order = an_order(
        a_step(f"echo ran >>{watched.log}\nuntil [ -e {release} ]; do /usr/bin/sleep 0.02; done\ntouch {done}\n")
    )
    found = RUNS.start(HomeSession(watched), order, become=False, wait=0, on_claimed=lambda: None)
    assert isinstance(found, Sight), found
    wait_for(watched.log)
    os.kill(hand_of(watched, order), signal.SIGKILL)

    def look() -> Standing:
        return RUNS.look(HomeSession(watched), order.run, become=False).standing

    wait_until(lambda: look() is Standing.ORPHAN, "its run is told as one that goes on without a runner")
    release.touch()
    wait_for(done)
    wait_until(lambda: look() is Standing.KILLED, "its run is told as one that was killed")
    assert watched.bodies() == ["ran"]


def test_a_step_whose_hand_was_killed_still_has_a_time_limit(watched: WatchedNode) -> None:
    order = an_order(a_step(f"echo ran >>{watched.log}\nexec /usr/bin/sleep 600\n", timeout=timedelta(seconds=8)))
    found = RUNS.start(HomeSession(watched), order, become=False, wait=0, on_claimed=lambda: None)
    assert isinstance(found, Sight), found
    wait_for(watched.log)
    os.kill(hand_of(watched, order), signal.SIGKILL)
    step = watched.root / "runs" / order.run / "steps/1"
    wait_for_death(int((step / "pid").read_text().split()[0]))
    assert (step / "timedout").exists()


def test_whose_shell_was_killed_keeps_output_and_its_time_and_gives_others_no_answer_of_it(
    watched: WatchedNode,
) -> None:
    """The next programs of that shell go by programs, until the step is over."""
    log = watched.home / "loud"
    with a_staying_shell(watched) as shell:
        order = an_order(a_step(f"echo first\ntouch {log}\nexec /usr/bin/sleep 600\n", timeout=timedelta(seconds=8)))
        shell.begin(order)
        wait_for(log)
        folder = watched.root / "runs" / order.run
        hand_of(watched, order)
        os.kill(int((folder / "begun").read_text().split()[0]), signal.SIGKILL)
        found = shell.run(an_order(a_step(f"echo ran >>{watched.log}\n"), n=2))
        assert found.status == "Success"
        pid = int((folder / "steps/1/pid").read_text().split()[0])
        wait_for_death(pid)
        assert (folder / "steps/1/timedout").exists()
        assert (folder / "steps/1/out").read_text() == "first\n"
        watched.started()
        found = shell.run(an_order(a_step(f"echo ran >>{watched.log}\n"), n=3))
        assert found.status == "Success"
    assert watched.bodies() == ["ran", "ran"]


def test_what_a_script_left_below_its_folder_goes_and_nothing_that_it_links_to(watched: WatchedNode) -> None:
    outside = watched.home / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    outside.chmod(0o777)
    order = an_order(
        a_step(
            f'cd "${{0%/*}}" && mkdir -p a/b/c && echo deep >a/b/c/file && ln -s {outside} a/out && ln -s {outside}/kept a/b/kept\n'
        )
    )
    found = run_and_forget(watched, order)
    assert found.status == "Success"
    assert (outside / "kept").exists()


def test_a_hand_goes_with_its_shell(watched: WatchedNode) -> None:
    with a_staying_shell(watched) as shell:
        hand = after_one_run(watched, shell)
    with suppress(ProcessLookupError):
        wait_for_death(hand)


def test_lines_in_the_name_of_a_home_are_no_orders(folder: Path) -> None:
    """What does not fit into a line of words is done by programs."""
    node = WatchedNode(folder / "a home\twith\nlines", stays=True)
    found = run_and_forget(node, an_order(a_step(f"echo ran >>'{node.log}'\n")))
    assert found.status == "Success"
    assert node.bodies() == ["ran"]
