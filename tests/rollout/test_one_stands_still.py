"""Two programs of one run, of which one stands still between two of its steps, or is killed there, while the other does all of its work."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.model.command import Program
from reconciler.model.outcome import Disposition
from reconciler.rollout.flight import advance
from reconciler.rollout.node_programs import (
    Order,
    cancel_program,
    discard_program,
    forget_program,
    look_program,
    start_program,
)
from reconciler.rollout.sight import Refusal, Sight, Standing, read_report
from tests.rollout.a_node import FLEET, MOTD, RUNS, HomeNode, HomeSession, a_step, an_order, start, wait_for
from tests.rollout.test_a_cancel_is_heard import a_command
from tests.support.waiting import wait_until

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


def forgotten(order: Order) -> Program:
    return forget_program([order.run], FLEET, epoch=1, become=False)


def start_again(node: HomeNode, order: Order) -> Sight | Refusal:
    return RUNS.start(HomeSession(node), order, become=False, wait=60, on_claimed=lambda: None)


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


@pytest.mark.parametrize(
    ("first", "program", "before"),
    [
        pytest.param(begin_and_die, discard_program, b"never_again\n    remove_run\n    ;;", id="removes it"),
        pytest.param(Path.exists, cancel_program, b"never_again\n        remove_run", id="cancels it before it began"),
        pytest.param(
            begin_and_die,
            discard_program,
            b'mv "$run" "$old"',
            id="moves it, behind its last look at where the name leads",
        ),
    ],
)
def test_who_was_to_take_a_run_away_leaves_the_one_that_was_started_anew_meanwhile(
    locked: HomeNode, first: Callable[[Path], object], program: Callable[..., Program], before: bytes
) -> None:
    order = an_order_to_wait(locked)
    first(claim(locked, order))
    with stopped(locked, program(order.run, become=False, held={}), before) as late:
        assert RUNS.discard(HomeSession(locked), order.run, become=False).standing is Standing.ABSENT
        with a_run(locked, order):
            found = late.end()
            assert isinstance(found, Sight), found
            assert found.standing is Standing.GOING, found
    assert start(locked, order).status == "Success"


def test_a_start_that_found_a_run_which_is_removed_starts_it_anew(locked: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    for place in [b'    [ -n "$is_ours" ] || exec 9>&-\n', b"    have=\n"]:
        claim(locked, order)
        with stopped(locked, start_program(order, become=False, wait=60, held={}), place) as late:
            assert RUNS.discard(HomeSession(locked), order.run, become=False).standing is Standing.ABSENT
            found = late.end()
        assert isinstance(found, Sight), found
        assert found.status == "Success", found
        assert locked.bodies() == ["ran"]
        HomeSession(locked).run(forgotten(order))
        (locked.root / "done" / order.run).unlink()
        locked.log.unlink()


def test_a_start_whose_run_is_removed_before_it_has_a_runner_says_that_it_is_not_there(locked: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    (claim(locked, order) / "runner").unlink()
    with stopped(locked, start_program(order, become=False, wait=60, held={}), b'    if [ ! -s "$runner" ]') as late:
        assert RUNS.discard(HomeSession(locked), order.run, become=False).standing is Standing.ABSENT
        assert late.end() == Sight(standing=Standing.ABSENT)
    assert locked.bodies() == []


def test_a_start_beside_the_removal_of_what_is_known_says_no_other_content(locked: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    start(locked, order)
    with stopped(locked, start_program(order, become=False, wait=60, held={}), b"    have=\n") as late:
        killed = b'rm -rf "$run"/[!ms]* "$run/steps" '
        with locked.begin(with_instead(forgotten(order).text, killed, b'rm -f "$run/digest"; ' + killed)) as process:
            process.communicate()
        assert late.end() == Refusal(kind="done", words=order.run)
    assert locked.bodies() == ["ran"]


def test_a_runner_that_comes_when_its_run_is_known_runs_nothing_again(locked: HomeNode) -> None:
    """Another one was quicker, the run was told and noted, and who removed it was killed with the first file of it."""
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    folder = claim(locked, order)
    slow, may_go = folder / "slow", locked.home / "may-go"
    begins = b'    make_first begun "$self $start $boot" || finish\n'
    stop = f"    : >{slow}.reached; until [ -e {may_go} ]; do pause 0.05; done\n".encode()
    slow.write_bytes(with_instead((folder / "runner").read_bytes(), begins, stop + begins))
    slow.chmod(0o644)
    with subprocess.Popen(locked.command(slow)) as late:
        wait_for(folder / "slow.reached")
        assert start(locked, order).status == "Success"
        removes = b'rm -rf "$run"/[!ms]* "$run/steps" '
        told = with_instead(forgotten(order).text, removes, b'rm -f "$run/begun"; kill -9 "$$"; ' + removes)
        with locked.begin(told) as process:
            process.communicate()
        may_go.touch()
        late.wait()
    assert locked.bodies() == ["ran"]
    assert start_again(locked, order) == Refusal(kind="done", words=order.run)


def come_back_from_a_reboot(node: HomeNode, order: Order) -> Path:
    """Leave the run as its first step's wish for a reboot did, and the reboot behind that; gives its runner."""
    folder = claim(node, order)
    left = {"begun": "1 1 00000000-another-boot\n", "reboots": "1\n", "state": "step 1 1\nreboot 1 1 99999999\n"}
    for name, text in left.items():
        (folder / name).write_text(text)
        os.chown(folder / name, folder.stat().st_uid, folder.stat().st_gid)
    return folder / "runner"


def resume(node: HomeNode, order: Order, *, expired: bool = False, wait: int = 0) -> Sight:
    return RUNS.resume(HomeSession(node), order.run, FLEET, epoch=1, expired=expired, become=False, wait=wait)


def test_a_run_whose_runner_is_killed_before_it_goes_on_after_a_reboot_is_resumed_once_more(locked: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    runner = come_back_from_a_reboot(locked, order)
    text, is_run = runner.read_bytes(), b'    mv -f "begun.$self" begun || finish\n'
    runner.write_bytes(with_instead(text, is_run, is_run + b'    kill -9 "$$"\n'))
    resume(locked, order)
    wait_until(lambda: "another-boot" not in runner.with_name("begun").read_text(), "its runner is the run")
    runner.write_bytes(text)
    wait_until(
        lambda: RUNS.look(HomeSession(locked), order.run, become=False).standing is Standing.REBOOTED,
        "it waits to be resumed",
    )
    assert resume(locked, order, wait=60).status == "Success"
    assert locked.bodies() == ["ran"]


def test_a_runner_that_stood_still_until_its_run_was_too_old_to_go_on_runs_nothing(locked: HomeNode) -> None:
    order = an_order(a_step("true\n"), a_step(f"echo ran >>{locked.log}\n"))
    runner = come_back_from_a_reboot(locked, order)
    reached, goes_on, ended = (locked.home / name for name in ("reached", "goes-on", "ended"))
    text, decides = runner.read_bytes(), b'    ln "begun.$self" "resumed.$resumed"'
    stop = f"    : >{reached}; until [ -e {goes_on} ]; do pause 0.05; done\n".encode()
    runner.write_bytes(f"trap ': >{ended}' EXIT\n".encode() + with_instead(text, decides, stop + decides))
    resume(locked, order)
    wait_for(reached)
    found = resume(locked, order, expired=True)
    assert (found.standing, found.status) == (Standing.ENDED, "Failed")
    goes_on.touch()
    wait_for(ended)
    assert locked.bodies() == []


def test_a_run_that_was_resumed_in_time_is_not_ended_as_too_old(locked: HomeNode) -> None:
    order = an_order_to_wait(locked)
    runner = come_back_from_a_reboot(locked, order)
    reached, goes_on = locked.home / "reached", locked.home / "goes-on"
    text, goes = runner.read_bytes(), b'    exec 9>>"$root/lock"\n    # Without the lock'
    stop = f"    : >{reached}; until [ -e {goes_on} ]; do pause 0.05; done\n".encode()
    runner.write_bytes(with_instead(text, goes, stop + goes))
    resume(locked, order)
    wait_for(reached)
    found = resume(locked, order, expired=True)
    assert found.standing is Standing.REBOOTED
    goes_on.touch()
    (locked.home / "release").touch()
    assert resume(locked, order, wait=60).status == "Success"
    assert locked.bodies() == ["ran"]


FORKED = b"    pid=$!\n    exec 3<&- 4>&- 5<&- 6>&-\n"
"""Where a runner has begun a step without a hand."""
BECOMES = b"            become_known\n            exec setsid"
"""Where its child becomes the step."""


def standing(node: HomeNode, order: Order) -> Standing:
    return RUNS.look(HomeSession(node), order.run, become=False).standing


def test_a_step_whose_runner_is_killed_with_its_first_word_is_told_as_one_that_goes_on(starting: HomeNode) -> None:
    begun, release = starting.home / "begun", starting.home / "release"
    order = an_order(a_step(f"touch {begun}; until [ -e {release} ]; do sleep 0.05; done\n"))
    told = start_program(order, become=False, wait=0, held={}).text
    with starting.begin(with_instead(told, BECOMES, BECOMES.replace(b"exec", b'kill -9 "$by"; exec'))) as process:
        process.communicate()
    wait_for(begun)
    assert standing(starting, order) is Standing.ORPHAN
    release.touch()
    wait_until(lambda: standing(starting, order) is Standing.KILLED, "its run is told as one that was killed")


def test_a_step_that_comes_behind_the_end_of_its_runner_does_not_begin(starting: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{starting.log}\n"))
    told = start_program(order, become=False, wait=0, held={}).text
    reached, goes_on, ended = (starting.home / name for name in ("reached", "goes-on", "ended"))
    stop = f'trap ": >{ended}" EXIT; : >{reached}; until [ -e {goes_on} ]; do pause 0.05; done; become_known'.encode()
    told = with_instead(told, BECOMES, BECOMES.replace(b"become_known", stop))
    told = with_instead(told, FORKED, FORKED + b'    kill -9 "$self"\n')
    with starting.begin(told) as process:
        process.communicate()
    wait_for(reached)
    wait_until(lambda: standing(starting, order) is Standing.KILLED, "its run is told as one that was killed")
    goes_on.touch()
    wait_for(ended)
    assert starting.bodies() == []


def test_a_step_whose_process_cannot_be_noted_does_not_begin(node: HomeNode) -> None:
    """No cancel would ever find it."""
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    told = with_instead(
        node.text_of(start_program(order, become=False, wait=60, held={})), b'"$1/steps/1"', b'"$1/steps/1/pid"'
    )
    with node.begin(told) as process:
        found = read_report(process.communicate()[0])
    assert isinstance(found, Sight), found
    assert found.status == "Failed", found
    assert node.bodies() == []
    said = (node.root / "runs" / order.run / "steps/1/err").read_text()
    assert "its process cannot be noted in its run folder on the node: it was not begun\n" in said


def test_a_runner_whose_folder_was_removed_lets_go_of_the_node(locked: HomeNode) -> None:
    order = an_order_to_wait(locked)
    with locked.begin(locked.text_of(start_program(order, become=False, wait=0, held={}))) as process:
        wait_for(locked.log)
        shutil.rmtree(locked.root / "runs" / order.run)
        (locked.home / "release").touch()
        process.communicate()
    other = an_order(a_step(f"echo next >>{locked.log}\n"), n=2)
    wait_until(lambda: isinstance(start_again(locked, other), Sight), "another document runs")
    assert locked.bodies() == ["ran", "next"]


def test_no_wish_is_lost_where_the_others_cannot_be_written(locked: HomeNode) -> None:
    order = an_order(a_step("true\n"))
    claim(locked, order)
    wishes = locked.root / "refresh" / FLEET
    wishes.parent.mkdir()
    wishes.write_text(f"ask {MOTD}\nask other\n")
    os.chown(wishes.parent, locked.root.stat().st_uid, locked.root.stat().st_gid)
    runner = locked.root / "runs" / order.run / "runner"
    full = b'grep() { case $1 in -v) return 2 ;; *) command grep "$@" ;; esac; }\n'
    runner.write_bytes(full + runner.read_bytes())
    assert start(locked, order).status == "Success"
    assert wishes.read_text() == f"ask {MOTD}\nask other\n"


def test_a_look_at_what_is_being_forgotten_tells_its_end_or_that_it_is_gone(locked: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    start(locked, order)
    with stopped(locked, look_program(order.run, become=False, wait=0, held={}), b"await_end\nreport\n") as late:
        assert HomeSession(locked).run(forgotten(order)).stdout == b"end\n"
        found = late.end()
    assert isinstance(found, Sight), found
    assert found.standing is Standing.ABSENT


DEAD_HOLDER = "1 1 00000000-another-boot"
FOLLOWS = [b"        place=$place.$2.$3\n", b'    at=$1\n    while [ "$at"', b'    mv -f "$place" "$1" 2>/dev/null ||']
"""Where a shell without flock is about to make its name, to look at it once more, and to take the dead one's place."""


@pytest.mark.parametrize("place", FOLLOWS, ids=["to make its name", "to look again", "to take its place"])
def test_of_several_that_find_the_dead_holder_of_a_lock_one_takes_its_place(folder: Path, place: bytes) -> None:
    node = HomeNode(folder / "home", flock=False)
    assert start(node, an_order(a_step("true\n"), n=9)).status == "Success"
    lock = node.root / "lock.d"
    wait_until(lambda: not lock.is_symlink(), "its runner has let go of the lock, too")
    lock.symlink_to(DEAD_HOLDER)
    body = f"echo in >>{node.log}; until [ -e {node.home}/release ]; do sleep 0.05; done; echo out >>{node.log}\n"
    slow, quick, third = (an_order(a_step(body), n=n) for n in (1, 2, 3))
    told = start_program(slow, become=False, wait=60, held={})
    # The first of these is the start's own, the others are its runner's.
    reached, goes_on = node.home / "reached", node.home / "goes-on"
    stop = f": >{reached}; until [ -e {goes_on} ]; do pause 0.05; done\n".encode()
    with node.begin(told.text.replace(place, stop + place, 1)) as process:
        wait_for(reached)
        with node.begin(start_program(quick, become=False, wait=60, held={}).text) as other:
            wait_until(lambda: other.poll() is not None or node.log.exists(), "it runs, or is refused")
            refused = start_again(node, third)
            if not node.log.exists():
                (node.home / "release").touch()
            goes_on.touch()
            said = [read_report(process.communicate()[0])]
            (node.home / "release").touch()
            said.append(read_report(other.communicate()[0]))
    kinds = [each.kind if isinstance(each, Refusal) else each.status for each in (refused, *said)]
    assert sorted(kinds) == ["Success", "busy", "busy"]
    assert node.bodies() == ["in", "out"]


def test_nobody_lets_go_of_the_lock_of_another(folder: Path) -> None:
    node = HomeNode(folder / "home", flock=False)
    order = an_order_to_wait(node)
    with a_run(node, order):
        lock = (node.root / "lock.d").readlink()
        told = with_instead(
            look_program(order.run, become=False, wait=0, held={}).text, b"await_end\n", b'let_go "$root/lock"\n'
        )
        with node.begin(told) as process:
            process.communicate()
        assert (node.root / "lock.d").readlink() == lock


def test_what_a_cancel_finds_removed_by_another_is_started_by_nobody(locked: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    claim(locked, order)
    cancels = cancel_program(order.run, become=False, held={}, for_good=True)
    with stopped(locked, cancels, b'cd "$root/runs/$run" 2>/dev/null && is_run .') as late:
        RUNS.discard(HomeSession(locked), order.run, become=False)
        assert late.end() == Sight(standing=Standing.ABSENT)
    assert start_again(locked, order) == Refusal(kind="done", words=order.run)
    assert locked.bodies() == []


@pytest.mark.parametrize("tells", ["cancel", "discard"])
def test_a_command_that_is_told_as_one_that_never_began_is_started_by_nobody(locked: HomeNode, tells: str) -> None:
    """Its start stood still on the node, and whoever settles what is left there removes the rest of it."""
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    begin_and_die(claim(locked, order))
    told = RUNS.cancel if tells == "cancel" else RUNS.discard
    assert told(HomeSession(locked), order.run, become=False, for_good=True).nothing_ran
    RUNS.discard(HomeSession(locked), order.run, become=False)
    assert start_again(locked, order) == Refusal(kind="done", words=order.run)
    assert locked.bodies() == []


def test_a_command_whose_run_was_killed_before_it_began_is_never_run(locked: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    begin_and_die(claim(locked, order))
    flight, tools = a_command(order, locked.connect, lambda: False)
    outcome = advance(flight, tools, 0)
    assert outcome is not None
    assert outcome.disposition is Disposition.HELD_BACK
    assert start_again(locked, order) == Refusal(kind="done", words=order.run)
    assert locked.bodies() == []
