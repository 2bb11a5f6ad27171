import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.model.command import Program, Session
from reconciler.rollout.node_programs import (
    Order,
    acknowledge_program,
    discard_program,
    forget_program,
    start_program,
)
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.sight import Refusal, Sight, Standing, read_report
from tests.rollout.a_node import FLEET, MOTD, NODE, HomeNode, HomeSession, a_step, an_order, wait_for
from tests.rollout.conftest import all_about, pids

RUNS = NodeRuns(OutputKeeper(None))


def start(session: Session, order: Order) -> Sight | Refusal:
    return RUNS.start(session, order, become=False, wait=60, on_claimed=lambda: None)


def killed_start(node: HomeNode, order: Order, after: float) -> None:
    """Begin a start, and kill everything of that session but what has detached itself, after some seconds."""
    with node.begin(node.text_of(start_program(order, become=False, wait=60, held={}))) as process:
        time.sleep(after)
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("seed", range(3))
def test_a_start_killed_anywhere_and_repeated_runs_the_body_once(locked: HomeNode, seed: int) -> None:
    moments = random.Random(seed)
    for n in range(1, 9):
        order = an_order(a_step(f"echo {n} >>{locked.log}\n"), n=n)
        killed_start(locked, order, moments.uniform(0, 0.3))
        if moments.random() < 0.5:
            killed_start(locked, order, moments.uniform(0, 0.3))
        found = start(HomeSession(locked), order)
        for _ in range(20):  # a killed start may have left a runner that still holds the lock: it is asked for again
            if isinstance(found, Sight):
                break
            assert found.kind == "busy", found
            found = start(HomeSession(locked), order)
        assert isinstance(found, Sight), found
        assert found.status == "Success", found
    assert locked.bodies() == [str(n) for n in range(1, 9)]


@pytest.mark.parametrize("seed", range(2))
def test_a_run_killed_anywhere_runs_its_body_at_most_once(node: HomeNode, seed: int) -> None:
    """Kill processes of the node at random, runners and scripts among them: a node that goes down does no less."""
    moments = random.Random(seed)
    for n in range(1, 9):
        order = an_order(a_step(f"echo {n} >>{node.log}; sleep 0.1\n"), n=n)
        killed_start(node, order, moments.uniform(0.05, 0.4))
        for pid in pids():
            if str(node.root) in all_about(pid) and moments.random() < 0.7:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        found = start(HomeSession(node), order)
        assert isinstance(found, Sight), found
        assert found.standing in (Standing.ENDED, Standing.KILLED, Standing.ABSENT, Standing.UNBEGUN), found
        if found.status == "Success":
            assert node.bodies()[-1] == str(n)
    assert len(node.bodies()) == len(set(node.bodies()))


@pytest.mark.parametrize("then", ["", "trap '' XFSZ; "], ids=["and is killed", "and is refused"])
def test_a_start_that_runs_out_of_room_is_made_up_for_by_the_next(node: HomeNode, then: str) -> None:
    """No file of the run folder that is there in part may be taken for a whole one."""
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    told = start_program(order, become=False, wait=60, held={}).text
    with node.begin(f"{then}ulimit -f 8\n".encode() + told) as process:
        process.communicate()
    found = start(HomeSession(node), order)
    assert isinstance(found, Sight), found
    assert found.status == "Success", found
    assert node.bodies() == ["ran"]


def test_two_managers_with_one_id_run_the_body_once(locked: HomeNode) -> None:
    found: list[Sight | Refusal] = []
    for n in range(1, 5):
        order = an_order(a_step(f"echo {n} >>{locked.log}\n"), n=n)
        threads = [
            threading.Thread(target=lambda o=order: found.append(start(HomeSession(locked), o))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 12
    assert [told for told in found if not (isinstance(told, Sight) and told.status == "Success")] == []
    assert locked.bodies() == ["1", "2", "3", "4"]


def test_a_start_beside_one_that_is_still_writing_the_run_waits_for_it(locked: HomeNode) -> None:
    """The manifest is made before it is written: until then there is no run."""
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    made, waited, may_write = (locked.home / name for name in ("made", "waited", "may-write"))
    told = locked.text_of(start_program(order, become=False, wait=60, held={}))
    writes, waits = b"printf %s '{", b"tenths=$((tenths - 1))"
    assert (told.count(writes), told.count(waits)) == (1, 4)  # the runner's functions are the same
    stands_still = f"""printf '' >"$1/manifest"; : >{made}; until [ -e {may_write} ]; do pause 0.05; done; """.encode()
    with locked.begin(told.replace(writes, stands_still + writes)) as first:
        wait_for(made)
        with locked.begin(told.replace(waits, f": >{waited}; ".encode() + waits)) as second:
            while second.poll() is None and not waited.exists():
                time.sleep(0.01)
            may_write.touch()
            found = [read_report(process.communicate()[0]) for process in (first, second)]
    assert [sight.status if isinstance(sight, Sight) else sight for sight in found] == ["Success", "Success"]
    assert locked.bodies() == ["ran"]


def test_two_documents_at_once_run_one_after_the_other(locked: HomeNode) -> None:
    body = f"echo in >>{locked.log}; sleep 0.3; echo out >>{locked.log}\n"
    orders = [an_order(a_step(body), n=n) for n in (1, 2, 3)]
    found: list[Sight | Refusal] = []
    threads = [threading.Thread(target=lambda o=order: found.append(start(HomeSession(locked), o))) for order in orders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ran = locked.bodies()
    assert ran == ["in", "out"] * (len(ran) // 2), found
    assert ran, found


def test_a_connection_cut_during_a_script_loses_nothing(starting: HomeNode) -> None:
    release = starting.home / "release"
    order = an_order(
        a_step(f"echo begun; echo ran >>{starting.log}; until [ -e {release} ]; do sleep 0.05; done; echo done\n")
    )
    with starting.begin(starting.text_of(start_program(order, become=False, wait=60, held={}))) as process:
        wait_for(starting.log)
        os.killpg(process.pid, signal.SIGKILL)
    release.touch()
    found = start(HomeSession(starting), order)
    assert isinstance(found, Sight), found
    assert found.status == "Success", found
    assert RUNS.output.head(order.run, 1, "out").endswith(b"begun\ndone\n")
    assert starting.bodies() == ["ran"]


def test_of_several_runners_in_one_folder_one_is_the_run(starting: HomeNode) -> None:
    """A start that was slow to spawn, and another manager's that was quicker."""
    order = an_order(a_step(f"echo ran >>{starting.log}\n"))
    first = start(HomeSession(starting), order)
    assert isinstance(first, Sight), first
    assert first.status == "Success", first
    folder = starting.root / "runs" / order.run
    (folder / "begun").unlink()
    (folder / "state").unlink()
    starting.log.unlink()
    runners = [subprocess.Popen(starting.command(folder / "runner")) for _ in range(5)]
    assert [runner.wait() for runner in runners] == [0] * 5
    assert starting.bodies() == ["ran"]


def marker_of(order: Order) -> str:
    return json.dumps(
        {"fleet": FLEET, "node": NODE, "definition": order.definition, "n": order.executions, "run": order.run}
    )


def noted(order: Order) -> Program:
    """Give the program that lets a node forget a run whose result is on the branch."""
    return acknowledge_program({MOTD: marker_of(order)}, [order.run], fleet=FLEET, count=1, epoch=1, become=False)


def forgotten(order: Order) -> Program:
    """Give the one that lets it forget a command's run."""
    return forget_program([order.run], FLEET, epoch=1, become=False)


@pytest.mark.parametrize("let_go", [noted, forgotten])
def test_a_start_that_arrives_after_its_run_was_noted_runs_nothing(
    node: HomeNode, let_go: Callable[[Order], Program]
) -> None:
    """The link stalled, another connection did all of it, and then the first one delivers what it held."""
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    start(HomeSession(node), order)
    assert HomeSession(node).run(let_go(order)).stdout == b"end\n"
    assert not (node.root / "runs" / order.run).exists()
    late = start(HomeSession(node), order)
    assert late == Refusal(kind="done", words=order.run)
    assert node.bodies() == ["ran"]
    assert not (node.root / "runs" / order.run).exists()
    following = an_order(a_step(f"echo next >>{node.log}\n"), n=2)
    found = start(HomeSession(node), following)
    assert isinstance(found, Sight), found
    assert found.status == "Success", found
    assert node.bodies() == ["ran", "next"]


def test_a_start_that_arrives_after_its_cancel_runs_nothing(node: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    sight = RUNS.cancel(HomeSession(node), order.run, become=False, for_good=True)
    assert sight.standing is Standing.ABSENT
    assert start(HomeSession(node), order) == Refusal(kind="done", words=order.run)
    assert node.bodies() == []


def test_two_starts_that_come_late_run_nothing_behind_their_cancel(locked: HomeNode) -> None:
    """Both looked for the cancel before it came; the second finds the run that the first is about to take back."""
    order = an_order(a_step(f"echo ran >>{locked.log}\n"))
    late, wrote, may_look = (locked.home / name for name in ("late", "wrote", "may-look"))
    told = locked.text_of(start_program(order, become=False, wait=60, held={}))
    looks_for_run, looks_again = b'is_run "$run" || [ -L "$run" ]', b"! is_done || { take_back"
    assert (told.count(looks_for_run), told.count(looks_again)) == (1, 1)

    def stopped(before: bytes, mark: Path, until: Path) -> bytes:
        return f": >{mark}; until [ -e {until} ]; do pause 0.05; done; ".encode() + before

    first = told.replace(looks_for_run, stopped(looks_for_run, locked.home / "first", late))
    first = first.replace(looks_again, stopped(looks_again, wrote, may_look))
    second = told.replace(looks_for_run, stopped(looks_for_run, locked.home / "second", wrote))
    with locked.begin(first) as one, locked.begin(second) as other:
        wait_for(locked.home / "first")
        wait_for(locked.home / "second")
        sight = RUNS.cancel(HomeSession(locked), order.run, become=False, for_good=True)
        assert sight.standing is Standing.ABSENT
        late.touch()
        found = read_report(other.communicate()[0])
        may_look.touch()
        assert [found, read_report(one.communicate()[0])] == [Refusal(kind="done", words=order.run)] * 2
    assert locked.bodies() == []


def test_a_start_beside_its_cancel_runs_to_its_end_or_not_at_all(locked: HomeNode) -> None:
    """Whatever the cancel says is not there does not run behind its back."""
    for n in range(1, 13):
        order = an_order(a_step(f"echo {n} >>{locked.log}; sleep 60\n"), n=n)
        with locked.begin(locked.text_of(start_program(order, become=False, wait=0, held={}))) as starting:
            time.sleep(0.004 * n)
            sight = RUNS.cancel(HomeSession(locked), order.run, become=False, for_good=True)
            starting.communicate()
        if sight.standing is Standing.ABSENT:
            assert str(n) not in locked.bodies()
            later = start(HomeSession(locked), order)
            assert isinstance(later, Refusal), later
            assert later.kind == "done"
            assert str(n) not in locked.bodies()
        else:
            assert sight.status in {"Cancelled", "NotStarted", ""}, sight


def test_a_run_that_begins_while_it_is_removed_is_told_and_not_called_absent(node: HomeNode) -> None:
    """Both stand still at the worst moment: the runner in making its `begun`, and who removes the run behind its last look."""
    release, may_write, decided = node.home / "release", node.home / "may-write", node.home / "decided"
    order = an_order(a_step(f"echo ran >>{node.log}; until [ -e {release} ]; do sleep 0.05; done\n"))
    unspawned = start_program(order, become=False, wait=0, held={}).text.replace(
        b'setsid sh "$runner"', b'true "$runner"'
    )
    with node.begin(unspawned) as process:
        process.communicate()
    runner = node.root / "runs" / order.run / "runner"
    written = """printf '%s\\n' "$2" 2>/dev/null >"$1"\n    made="""
    slowly = f'{{ until [ -e {may_write} ]; do pause 0.05; done; printf \'%s\\n\' "$2"; }} 2>/dev/null >"$1"\n    made='
    text = runner.read_text()
    assert text.count(written) == 1
    runner.write_text(text.replace(written, slowly))
    told = discard_program(order.run, become=False, held={}).text
    moves = b'mv "$run" "$old"'
    assert told.count(moves) == 1
    held_up = f"printf '' >{decided}; until [ -s {node.log} ]; do pause 0.05; done; ".encode()
    with subprocess.Popen(node.command(runner)) as running:
        wait_for(runner.with_name("begun"))
        with node.begin(told.replace(moves, held_up + moves)) as removing:
            wait_for(decided)
            may_write.touch()
            sight = read_report(removing.communicate()[0])
        release.touch()
        assert running.wait() == 0
    assert isinstance(sight, Sight), sight
    assert sight.standing is Standing.GOING, sight
    found = start(HomeSession(node), order)
    assert isinstance(found, Sight), found
    assert found.standing is Standing.ENDED, found
    assert node.bodies() == ["ran"]


def test_a_runner_whose_folder_was_moved_away_takes_no_new_one_for_its_own(node: HomeNode) -> None:
    """It stands still before it has the lock, and meanwhile its run is removed, and started anew under the same id."""
    may_go = node.home / "may-go"
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    unspawned = start_program(order, become=False, wait=0, held={}).text.replace(
        b'setsid sh "$runner"', b'true "$runner"'
    )
    with node.begin(unspawned) as process:
        process.communicate()
    folder = node.root / "runs" / order.run
    runner = folder / "runner"
    waits = 'tell state "waiting $epoch $self $start" || not_started "no space left on the node"\n'
    text = runner.read_text()
    assert text.count(waits) == 1
    runner.write_text(text.replace(waits, f"{waits}until [ -e {may_go} ]; do pause 0.05; done\n"))
    with subprocess.Popen(node.command(runner)) as running:
        wait_for(folder / "state")
        folder.rename(folder.with_name(f".old.{order.run}"))
        again = start(HomeSession(node), order)
        may_go.touch()
        assert running.wait() == 0
    assert isinstance(again, Sight), again
    assert again.status == "Success", again
    assert node.bodies() == ["ran"]


def test_an_association_run_cancelled_before_it_began_is_started_by_the_next_pass(node: HomeNode) -> None:
    """Its number was not used up, so its id is the same."""
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    assert RUNS.cancel(HomeSession(node), order.run, become=False).standing is Standing.ABSENT
    RUNS.discard(HomeSession(node), order.run, become=False)
    found = start(HomeSession(node), order)
    assert isinstance(found, Sight), found
    assert found.status == "Success", found
    assert node.bodies() == ["ran"]


@pytest.mark.parametrize("cut", [0.01, 0.03, 0.05])
def test_a_node_killed_while_it_forgets_never_runs_it_again(node: HomeNode, cut: float) -> None:
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    start(HomeSession(node), order)
    with node.begin(node.text_of(noted(order))) as process:
        time.sleep(cut)
        os.killpg(process.pid, signal.SIGKILL)
    start(HomeSession(node), order)
    HomeSession(node).run(noted(order))
    start(HomeSession(node), order)
    assert node.bodies() == ["ran"]


def test_marks_of_what_is_done_are_bounded_in_number(node: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    marks, before = node.root / "done", node.root / "done.before"
    for _ in range(3):
        start(HomeSession(node), order)
        HomeSession(node).run(noted(order))
        marks.mkdir(exist_ok=True)
        for number in range(1100):
            (marks / f"{number:064x}").touch()
        other = an_order(a_step("true\n"), n=2)
        HomeSession(node).run(noted(other))
        assert 1000 <= len(list(before.iterdir())) <= 1102
        assert not marks.exists()
        assert start(HomeSession(node), order) == Refusal(kind="done", words=order.run), "the last thousand stay"
        (before / order.run).unlink()
    assert node.bodies() == ["ran"] * 3
