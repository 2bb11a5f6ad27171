"""Two programs of one run, of which one stands still between two of its steps, or is killed there, while the other does all of its work."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.model.command import Program
from reconciler.rollout.node_programs import Order, cancel_program, discard_program, start_program
from reconciler.rollout.sight import Refusal, Sight, Standing, read_report
from tests.rollout.a_node import RUNS, HomeNode, HomeSession, a_step, an_order, start, wait_for

BOOT = Path("/proc/sys/kernel/random/boot_id")


def with_instead(text: bytes, known: bytes, other: bytes) -> bytes:
    assert text.count(known) == 1
    return text.replace(known, other)


@contextmanager
def stopped(node: HomeNode, program: Program, before: bytes) -> Iterator["Stopped"]:
    """Begin a program that stands still before a place in its text; wait until it has come there."""
    name = f"stopped-{len(list(node.home.glob('*.reached')))}"
    reached, goes_on = node.home / f"{name}.reached", node.home / f"{name}.goes-on"
    stop = f": >{reached}; until [ -e {goes_on} ]; do pause 0.05; done; ".encode()
    with node.begin(with_instead(node.text_of(program), before, stop + before)) as process:
        try:
            wait_for(reached)
            yield Stopped(process, goes_on)
        finally:
            goes_on.touch()


class Stopped:
    def __init__(self, process: "subprocess.Popen[bytes]", goes_on: Path) -> None:
        self._process = process
        self._goes_on = goes_on

    def end(self) -> Sight | Refusal:
        """Let it go on, and give what it says."""
        self._goes_on.touch()
        return read_report(self._process.communicate()[0])


def claim(node: HomeNode, order: Order) -> Path:
    """Have a start write the run, and be killed before it has a runner; gives the run's folder."""
    told = start_program(order, become=False, wait=0, held={}).text
    told = with_instead(told, b"\nspawn() {", b'\nspawn() { kill -9 "$$"; ')
    with node.begin(told) as process:
        process.communicate()
    return node.root / "runs" / order.run


def begin_and_die(folder: Path) -> None:
    """Leave the run as a runner that was killed before any step of it."""
    with subprocess.Popen(["true"]) as dead:
        dead.wait()
    (folder / "begun").write_text(f"{dead.pid} 1 {BOOT.read_text()}")


@contextmanager
def a_run(node: HomeNode, order: Order) -> Iterator[None]:
    """Start a run anew, and wait until its body is at work; it ends behind that."""
    with node.begin(node.text_of(start_program(order, become=False, wait=60, held={}))) as process:
        wait_for(node.log)
        yield
        (node.home / "release").touch()
        found = read_report(process.communicate()[0])
    assert isinstance(found, Sight), found
    assert found.status == "Success", found
    assert node.bodies() == ["ran"]


def an_order_to_wait(node: HomeNode) -> Order:
    return an_order(a_step(f"echo ran >>{node.log}; until [ -e {node.home}/release ]; do sleep 0.05; done\n"))


def test_who_was_to_remove_a_run_leaves_the_one_that_was_started_anew_meanwhile(locked: HomeNode) -> None:
    order = an_order_to_wait(locked)
    begin_and_die(claim(locked, order))
    removes = discard_program(order.run, become=False, held={})
    with stopped(locked, removes, b"remove_run ;;") as late:
        assert RUNS.discard(HomeSession(locked), order.run, become=False).standing is Standing.ABSENT
        with a_run(locked, order):
            found = late.end()
            assert isinstance(found, Sight), found
            assert found.standing is Standing.GOING, found
    assert start(locked, order).status == "Success"


def test_who_was_to_cancel_a_run_that_never_began_removes_none_that_did(locked: HomeNode) -> None:
    order = an_order_to_wait(locked)
    claim(locked, order)
    cancels = cancel_program(order.run, become=False, held={})
    with stopped(locked, cancels, b"never_again\n        remove_run") as late:
        assert RUNS.discard(HomeSession(locked), order.run, become=False).standing is Standing.ABSENT
        with a_run(locked, order):
            found = late.end()
            assert isinstance(found, Sight), found
            assert found.standing is Standing.GOING, found
    assert start(locked, order).status == "Success"


def test_a_run_that_was_moved_away_by_mistake_is_brought_back(locked: HomeNode) -> None:
    """Who removes stands still once more: behind its last look at where the name leads to."""
    order = an_order_to_wait(locked)
    begin_and_die(claim(locked, order))
    removes = discard_program(order.run, become=False, held={})
    with stopped(locked, removes, b'mv "$run" "$old"') as late:
        assert RUNS.discard(HomeSession(locked), order.run, become=False).standing is Standing.ABSENT
        with a_run(locked, order):
            found = late.end()
            assert isinstance(found, Sight), found
            assert found.standing is Standing.GOING, found
    assert start(locked, order).status == "Success"
