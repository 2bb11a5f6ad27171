"""A hand that its node refuses something, or that is lost between two orders: what it could not begin is begun by programs."""

import signal
import subprocess
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.rollout.hand_text import HAND
from reconciler.rollout.node_programs import Order
from reconciler.rollout.sight import Sight, Standing
from tests.rollout.a_node import RUNS, SHELLS, HomeNode, HomeSession, a_step, an_order, start, wait_for
from tests.rollout.test_the_hand import WatchedNode, a_staying_shell, run_and_forget
from tests.support.waiting import wait_until

RUN = "f" * 64
NO_PIDFD = {b"($pidfd_open, $pidfd_getfd) = (434, 438)": b"($pidfd_open, $pidfd_getfd) = (99434, 99438)"}
"""A kernel before 5.3."""
NO_PROCESS = {b"my $pid = fork;": b"my $pid;"}
NO_DESCRIPTOR = {b"my $number = syscall $pidfd_open, $pid, 0;": b"my $number = -1;"}
KILLED = {b"\n    ask run ": b'\n    kill -9 "$!"; wait "$!"; ask run '}
"""Before the order for a step: it is what the shell began last."""


@dataclass
class OtherNode(WatchedNode):
    """A node where parts of what runs there read otherwise."""

    instead: dict[bytes, bytes] = field(default_factory=dict)

    def watched(self, text: bytes) -> bytes:
        text = super().watched(text)
        for known, other in self.instead.items():
            assert known in text
            text = text.replace(known, other)
        return text


@pytest.mark.parametrize(
    "instead", [NO_PIDFD, NO_PROCESS, NO_DESCRIPTOR, KILLED], ids=["kernel", "fork", "pidfd", "killed"]
)
def test_a_step_that_it_could_not_begin_runs_once_by_programs_and_so_does_the_next(
    instead: dict[bytes, bytes], folder: Path
) -> None:
    node = OtherNode(folder / "home", stays=True, instead=instead)
    step = a_step(f"echo ran >>{node.log}\n")
    found = run_and_forget(node, an_order(step, step))
    assert found.status == "Success"
    assert node.bodies() == ["ran", "ran"]


def test_a_step_ends_in_its_time_where_what_is_to_end_it_cannot_begin_at_first(folder: Path) -> None:
    failed = folder / "home/failed"
    once = f'exit 127 if !-e "{failed}" && open my $mark, ">", "{failed}"; exec "sh", "-c", $time_over'
    node = OtherNode(folder / "home", stays=True, instead={b'exec "sh", "-c", $time_over': once.encode()})
    found = run_and_forget(node, an_order(a_step("exec /usr/bin/sleep 600\n", timeout=timedelta(seconds=1))))
    assert failed.exists()
    assert found.status == "TimedOut"


def test_output_beyond_what_a_file_of_its_login_may_hold_ends_neither_it_nor_the_script(folder: Path) -> None:
    node = OtherNode(folder / "home", stays=True, instead={b"\nbegin_hand\n": b"\nulimit -f 128\nbegin_hand\n"})
    order = an_order(a_step(f"head -c 1000000 /dev/zero\necho ran >>{node.log}\n"))
    found = start(node, order)
    assert found.status == "Success"
    assert node.bodies() == ["ran"]
    assert (node.root / "runs" / order.run / "steps/1/out").stat().st_size == 65536


def test_a_perl_that_only_says_what_it_hears_is_no_hand(folder: Path) -> None:
    node = WatchedNode(folder / "home", stays=True)
    (node.programs / "perl").write_text("#!/bin/sh\nexec cat\n")
    (node.programs / "perl").chmod(0o777)
    found = run_and_forget(node, an_order(a_step(f"echo ran >>{node.log}\n")))
    assert found.status == "Success"
    assert node.bodies() == ["ran"]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_it_has_no_child_but_the_step(shell: tuple[str, ...], folder: Path) -> None:
    """Some shells have a process of their own write a long text for another program."""
    node = WatchedNode(folder / "home", shell, stays=True)
    order = an_order(a_step(f"cat /proc/$PPID/task/$PPID/children >{node.home}/children\n"))
    assert start(node, order).status == "Success"
    assert len((node.home / "children").read_text().split()) == 1


@pytest.mark.parametrize("perl", [True, False], ids=["hand", "programs"])
@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_a_script_hears_of_pipes_that_nobody_reads_and_has_three_descriptors(
    shell: tuple[str, ...], folder: Path, *, perl: bool
) -> None:
    node = WatchedNode(folder / "home", shell, stays=True, perl=perl)
    order = an_order(
        a_step(
            "grep SigIgn /proc/$$/status\nfor n in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$n ] || echo $n; done\n"
        )
    )
    assert start(node, order).status == "Success"
    mask, *descriptors = (node.root / "runs" / order.run / "steps/1/out").read_text().splitlines()
    ignored = int(mask.split()[1], 16)
    assert [sign.name for sign in (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ) if ignored >> (sign - 1) & 1] == []
    assert descriptors == ["0", "1", "2"]


def test_a_step_whose_runner_is_killed_the_moment_it_began_is_told_as_one_that_goes_on(folder: Path) -> None:
    killed = {b"\n    case $? in 1) return 1 ;; 2) finish ;; esac\n": b'\n    kill -9 "$self"\n'}
    node = OtherNode(folder / "home", stays=True, instead=killed)
    begun, release = node.home / "begun", node.home / "release"
    order = an_order(a_step(f"touch {begun}\nuntil [ -e {release} ]; do /usr/bin/sleep 0.02; done\n"))
    with a_staying_shell(node) as shell:
        shell.begin(order)
        wait_for(begun)
        assert look(node, order) is Standing.ORPHAN
        release.touch()
        wait_until(lambda: look(node, order) is Standing.KILLED, "its run is told as one that was killed")


def look(node: HomeNode, order: Order) -> Standing:
    found = RUNS.look(HomeSession(node), order.run, become=False)
    assert isinstance(found, Sight)
    return found.standing


@pytest.mark.parametrize("name", ["..", ".", f"{RUN}/..", f"{RUN}/../other", "other", "/other", f"{RUN}/."])
def test_it_removes_nothing_but_runs(name: str, tmp_path: Path) -> None:
    """Whoever asks for more is told that it is unable; here the worst that could go is below the test's own folder."""
    inner = tmp_path / "outer/inner"
    (inner / RUN / "steps").mkdir(parents=True)
    (inner / "other").mkdir()
    (tmp_path / "outer/kept").touch()
    before = sorted(tmp_path.rglob("*"))
    answers = ask_directly(inner, ("rm", "-rf", name), ("rm", "-rf", RUN))
    assert answers == ["unable", "yes"]
    assert sorted(tmp_path.rglob("*")) == [path for path in before if RUN not in path.parts]


def ask_directly(folder: Path, *orders: tuple[str, ...]) -> list[str]:
    """Give what a hand answers to orders of a process that is in `folder`."""
    with subprocess.Popen(["sleep", "600"], cwd=folder) as asker:
        lines = "".join("\t".join((f"{asker.pid}.{at}", *order)) + "\n" for at, order in enumerate(orders))
        hand = ["perl", "-e", f'my $time_over = "exit";{HAND}']
        told = subprocess.run(hand, input=lines, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
        asker.kill()
    return [line.partition(" ")[2] for line in told.stdout.splitlines()]
