import os
import pwd
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.model.history import RunStatus
from reconciler.rollout.node_programs import OUTPUT_CAP, Order, start_program
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.sight import Refusal, Sight, Standing, read_report
from tests.rollout.a_node import (
    FLEET,
    NOBODY,
    NODE,
    RUNS,
    HomeNode,
    HomeSession,
    a_step,
    an_order,
    record,
    run,
    start,
    wait_for,
    wait_for_death,
)
from tests.rollout.conftest import a_folder


def refused(node: HomeNode, order: Order) -> Refusal:
    found = RUNS.start(HomeSession(node), order, become=False, wait=60, on_claimed=lambda: None)
    assert isinstance(found, Refusal), found
    return found


def test_a_short_document_is_done_in_one_exchange(node: HomeNode) -> None:
    found = run(node, a_step("echo out; echo err >&2\n"))
    assert (found.status, found.exit_code) == (RunStatus.SUCCESS, 0)
    assert found.steps[0].stdout == b"out\n"
    assert found.steps[0].stderr == b"err\n"
    assert found.detail == "1 out of 1 plugin processed, 1 success, 0 failed, 0 timedout, 0 skipped"


def test_a_script_sees_ssms_surroundings_and_nothing_of_ours(node: HomeNode) -> None:
    found = run(
        node,
        a_step(
            "env | sort; pwd; umask; cat; ls -l /proc/self/fd | grep -c reconciler; ps -o pid= -p $$ >/dev/null\n",
            environment={"SSM_Message": 'it\'s "$HOME" `id`\nand more'},
        ),
    )
    text = found.steps[0].stdout.decode()
    assert f"AWS_SSM_INSTANCE_ID={NODE}\n" in text
    assert f"SSM_COMMAND_ID={found.run}\n" in text
    assert 'SSM_Message=it\'s "$HOME" `id`\nand more\n' in text
    assert f"HOME={a_login_s_home()}\n" in text
    assert "\nhome=" not in text
    assert "\n/\n0022\n" in text
    assert str(node.root / "lock") not in text


def a_login_s_home() -> str:
    return pwd.getpwuid(NOBODY if os.geteuid() == 0 else os.geteuid()).pw_dir


def test_a_step_may_set_a_home_of_its_own(node: HomeNode) -> None:
    found = run(node, a_step('echo "$HOME"\n', environment={"HOME": "/srv/app"}))
    assert found.steps[0].stdout == b"/srv/app\n"


def test_values_travel_in_files_and_never_in_argv(node: HomeNode) -> None:
    found = run(
        node,
        a_step(
            "tr '\\0' ' ' </proc/$PPID/cmdline; tr '\\0' ' ' </proc/$$/cmdline\n", environment={"SSM_Secret": "hunter2"}
        ),
    )
    assert b"hunter2" not in found.steps[0].stdout
    modes = {oct(path.stat().st_mode & 0o777) for path in (node.root / "runs" / found.run).rglob("*") if path.is_file()}
    assert modes == {"0o600"}


def test_bytes_of_a_script_arrive_as_they_are(node: HomeNode) -> None:
    script = b"cat <<'END'\n\xff\xfe 'quoted' \\n $HOME `id` \xc3\xa9\r\ttab\nEND\n"
    found = run(node, a_step("", script=script))
    assert found.steps[0].stdout == script.split(b"\n")[1] + b"\n"


def test_the_shebang_decides_who_runs_a_script(node: HomeNode) -> None:
    found = run(
        node,
        a_step("import sys; print(sys.version_info[0])\n", interpreter=("/usr/bin/env", "python3")),
        a_step("", interpreter=("/no/such",)),
    )
    assert found.steps[0].stdout == b"3\n"
    assert (found.steps[1].status, found.steps[1].exit_code) == ("Failed", 127)


def test_a_missing_working_directory_fails_the_step(node: HomeNode) -> None:
    found = run(node, a_step("pwd\n", working_directory="/no/such"), a_step("pwd\n", working_directory="/usr"))
    assert found.steps[0].status == "Failed"
    assert b"the working directory /no/such does not exist" in found.steps[0].stderr
    assert found.steps[1].stdout == b"/usr\n"


def test_downloads_are_where_steps_run_that_name_no_folder_or_one_below(node: HomeNode) -> None:
    found = run(
        node,
        a_step('mkdir -p "${0%/steps/*}/downloads/below"\n'),
        a_step("pwd\n"),
        a_step("pwd\n", working_directory="below"),
        a_step("pwd\n", working_directory="missing"),
    )
    downloads = node.root / "runs" / found.run / "downloads"
    assert [step.stdout.decode() for step in found.steps[1:]] == [f"{downloads}\n", f"{downloads}/below\n", "/\n"]


def test_a_failing_script_says_so_in_ssms_words(node: HomeNode) -> None:
    assert run(node, a_step("exit 4\n")).steps[0].stderr == b"failed to run commands: exit status 4\n"


def test_a_timeout_ends_the_whole_group_and_the_document_goes_on(node: HomeNode) -> None:
    child = node.home / "child"
    script = f"echo begun; sh -c 'echo $$ >{child}.new; mv {child}.new {child}; exec sleep 600' & sleep 600\n"
    node.timeouts_wait_for = child
    found = run(node, a_step(script, timeout=timedelta(seconds=1)), a_step("echo next\n"))
    assert [step.status for step in found.steps] == ["TimedOut", "Success"]
    assert found.steps[0].stdout == b"begun\n"
    assert found.status is RunStatus.TIMED_OUT
    wait_for_death(int(child.read_text()))


def test_a_child_that_keeps_the_output_open_does_not_hold_the_run(node: HomeNode) -> None:
    release, marker = node.home / "release", node.home / "child"
    child = f"until [ -e {release} ]; do sleep 0.05; done; echo late; touch {marker}"
    found = run(node, a_step(f"({child}) & echo begun\n"))
    assert found.status is RunStatus.SUCCESS
    assert found.steps[0].stdout == b"begun\n"
    # Neither does it hold the lock, and nobody killed it.
    assert start(node, an_order(a_step("true\n"), n=2)).status == "Success"
    release.touch()
    wait_for(marker)


def test_endless_output_neither_fills_the_disk_nor_blocks(node: HomeNode) -> None:
    runs = NodeRuns(OutputKeeper(None))
    order = an_order(a_step("yes | head -c 50000000; echo done >&2\n"))
    found = record(node, order, start(node, order, runs, wait=60), runs)
    assert found.status is RunStatus.SUCCESS
    assert (node.root / "runs" / order.run / "steps/1/out").stat().st_size == OUTPUT_CAP
    assert runs.output.held(order.run) == {(1, "out"): OUTPUT_CAP, (1, "err"): 5}
    assert len(found.steps[0].stdout) == 24_000
    assert found.steps[0].stdout.endswith(b"--output truncated--")


def test_slow_small_output_is_all_kept_and_seen_while_it_comes(node: HomeNode, tmp_path: Path) -> None:
    runs = NodeRuns(OutputKeeper(tmp_path / "runs"))
    release = node.home / "release"
    small = "i=0; while [ $i -lt 500 ]; do echo $i; i=$((i + 1)); done | while read line; do echo $line; done"
    order = an_order(a_step(f"echo one; until [ -e {release} ]; do sleep 0.05; done; {small}\n"))
    sight = start(node, order, runs, wait=1)
    seen = tmp_path / "runs" / order.run / "1/stdout"
    for _ in range(20):
        if seen.exists():
            break
        sight = runs.look(HomeSession(node), order.run, become=False, wait=1)
    assert sight.standing is Standing.GOING
    assert seen.read_bytes() == b"one\n"
    release.touch()
    ended = runs.look(HomeSession(node), order.run, become=False, wait=60)
    assert ended.status == "Success"
    assert (tmp_path / "runs" / order.run / "1/stdout").read_text().split() == ["one", *map(str, range(500))]


def test_starting_again_attaches(node: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{node.log}; sleep 1\n"))
    first = start(node, order, wait=0)
    assert first.standing in (Standing.GOING, Standing.UNBEGUN)
    for epoch in (1, 2):
        assert start(node, an_order(*order.rendered.steps, epoch=epoch)).status == "Success"
    assert node.bodies() == ["ran"]


def test_another_content_under_the_same_id_is_refused(node: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    start(node, order)
    found = refused(node, an_order(a_step("true\n"), definition="f"))
    assert found.kind == "differs"
    assert node.bodies() == ["ran"]


def test_a_lower_epoch_is_refused_and_a_higher_one_kept(node: HomeNode) -> None:
    start(node, an_order(a_step("true\n"), epoch=7))
    assert (node.root / "epochs" / FLEET).read_text() == "7\n"
    found = refused(node, an_order(a_step(f"echo ran >>{node.log}\n"), n=2, epoch=6))
    assert (found.kind, found.words) == ("fenced", "7")
    start(node, an_order(a_step("true\n"), n=2, epoch=8))
    assert (node.root / "epochs" / FLEET).read_text() == "8\n"
    assert node.bodies() == []


def test_one_document_at_a_time_and_the_holder_is_named(node: HomeNode) -> None:
    release = node.home / "release"
    first = an_order(a_step(f"until [ -e {release} ]; do sleep 0.05; done\n"))
    start(node, first, wait=0)
    wait_for(node.root / "holder")
    found = refused(node, an_order(a_step(f"echo ran >>{node.log}\n"), n=2))
    assert (found.kind, found.words) == ("busy", f"motd {first.run}")
    release.touch()
    assert RUNS.look(HomeSession(node), first.run, become=False, wait=60).status == "Success"
    assert start(node, an_order(a_step(f"echo ran >>{node.log}\n"), n=2)).status == "Success"
    assert node.bodies() == ["ran"]


@pytest.mark.parametrize("planted", [".local/state/reconciler", ".local/state/reconciler/runs"])
def test_a_planted_link_is_refused(node: HomeNode, planted: str) -> None:
    elsewhere = node.home / "elsewhere"
    elsewhere.mkdir()
    (node.home / planted).parent.mkdir(parents=True, exist_ok=True)
    (node.home / planted).symlink_to(elsewhere)
    for path in (node.home, *node.home.rglob("*")):
        os.chown(path, node.home.stat().st_uid, -1, follow_symlinks=False)
    found = refused(node, an_order(a_step(f"echo ran >>{node.log}\n"))) if planted.endswith("reconciler") else None
    if found is None:
        (node.root).chmod(0o700)
        found = refused(node, an_order(a_step(f"echo ran >>{node.log}\n")))
    assert found.kind == "unsafe"
    assert "is a link or a file" in found.words
    assert list(elsewhere.iterdir()) == []
    assert node.bodies() == []


def test_a_folder_that_others_can_write_is_refused(node: HomeNode) -> None:
    start(node, an_order(a_step("true\n")))
    node.root.chmod(0o770)
    found = refused(node, an_order(a_step(f"echo ran >>{node.log}\n"), n=2))
    assert found.kind == "unsafe"
    assert "can be written by others (mode drwxrwx---): chmod 700" in found.words


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_somebody_else_is_refused(node: HomeNode) -> None:
    start(node, an_order(a_step("true\n")))
    os.chown(node.root, 0, 0)
    node.root.chmod(0o755)
    found = refused(node, an_order(a_step(f"echo ran >>{node.log}\n"), n=2))
    assert (found.kind, "belongs to uid 0" in found.words) == ("unsafe", True)


def test_cancel_kills_the_group_and_the_rest_does_not_run(node: HomeNode) -> None:
    child = node.home / "child"
    order = an_order(
        a_step(f"sh -c 'echo $$ >{child}.new; mv {child}.new {child}; exec sleep 600' & sleep 600\n"),
        a_step(f"echo second >>{node.log}\n"),
        a_step(f"echo finally >>{node.log}\n", finally_step=True),
    )
    runs = NodeRuns(OutputKeeper(None))
    start(node, order, runs, wait=0)
    wait_for(child)
    sight = runs.cancel(HomeSession(node), order.run, become=False)
    found = record(node, order, sight, runs)
    assert found.status is RunStatus.CANCELLED, sight
    assert [f"{step.status} {step.exit_code}" for step in found.steps] == [
        "Cancelled 137",
        "Cancelled 1",
        "Cancelled 1",
    ]
    wait_for_death(int(child.read_text()))
    assert node.bodies() == []


def test_a_killed_runner_is_told_and_its_script_is_waited_for(node: HomeNode) -> None:
    release, began = node.home / "release", node.home / "began"
    order = an_order(a_step(f"touch {began}; until [ -e {release} ]; do sleep 0.05; done; echo ran >>{node.log}\n"))
    runs = NodeRuns(OutputKeeper(None))
    start(node, order, runs, wait=0)
    wait_for(began)
    runner = int((node.root / "runs" / order.run / "begun").read_text().split()[0])
    os.kill(runner, 9)
    wait_for_death(runner)
    sight = runs.look(HomeSession(node), order.run, become=False)
    assert sight.standing is Standing.ORPHAN
    assert record(node, order, sight, runs).status is RunStatus.IN_PROGRESS
    release.touch()
    sight = runs.look(HomeSession(node), order.run, become=False, wait=60)
    found = record(node, order, sight, runs)
    assert (found.status, found.exit_code) == (RunStatus.FAILED, -1)
    assert found.detail == "the run was killed from outside during step1: its exit status is unknown"
    assert start(node, order, runs).standing is Standing.KILLED
    assert node.bodies() == ["ran"]


def test_a_node_that_was_booted_in_between_is_a_failure_not_a_second_run(node: HomeNode) -> None:
    began = node.home / "began"
    order = an_order(a_step(f"echo ran >>{node.log}; touch {began}; sleep 60\n"))
    runs = NodeRuns(OutputKeeper(None))
    start(node, order, runs, wait=0)
    wait_for(began)
    begun = node.root / "runs" / order.run / "begun"
    pid, start_time, _ = begun.read_text().split()
    begun.write_text(f"{pid} {start_time} 00000000-another-boot\n")
    found = record(node, order, runs.look(HomeSession(node), order.run, become=False), runs)
    assert (found.status, found.detail) == (RunStatus.FAILED, "the node went down during step1")
    start(node, order, runs)
    assert node.bodies() == ["ran"]


def test_a_run_that_never_began_can_be_discarded_and_then_never_begins(node: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    start(node, order)
    folder = node.root / "runs" / order.run
    (folder / "begun").unlink()
    (folder / "state").unlink()
    node.log.unlink()
    sight = RUNS.look(HomeSession(node), order.run, become=False)
    assert (sight.standing, sight.nothing_ran) == (Standing.UNBEGUN, True)
    assert RUNS.discard(HomeSession(node), order.run, become=False).standing is Standing.ABSENT
    assert not folder.exists()


def test_a_run_that_has_begun_is_not_discarded(node: HomeNode) -> None:
    order = an_order(a_step("true\n"))
    start(node, order)
    assert RUNS.discard(HomeSession(node), order.run, become=False).status == "Success"
    assert (node.root / "runs" / order.run).exists()


def test_a_folder_that_was_being_made_is_no_run_and_is_made_anew(node: HomeNode) -> None:
    start(node, an_order(a_step("true\n"), n=2))
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    folder = node.root / "runs" / order.run
    folder.mkdir(mode=0o700)
    for name in ("digest", "manifest"):  # what was on its way when the power was cut
        (folder / name).write_text("")
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, NOBODY, NOBODY)
    assert RUNS.look(HomeSession(node), order.run, become=False).standing is Standing.ABSENT
    assert start(node, order).status == "Success"
    assert node.bodies() == ["ran"]


def test_output_is_kept_where_here_documents_are_files() -> None:
    with a_folder() as folder:
        node = HomeNode(folder / "home", pipes=False)
        found = run(node, a_step("echo out; echo err >&2\n"))
        assert found.status is RunStatus.SUCCESS
        assert (found.steps[0].stdout, found.steps[0].stderr) == (b"out\n", b"err\n")
        kept = next((node.root / "runs").iterdir()) / "steps/1"
        assert not [path for path in kept.iterdir() if path.is_fifo()]


def test_names_in_the_surroundings_of_a_login_are_not_taken_for_ours(starting: HomeNode) -> None:
    names = ("self", "mine", "hand", "resident", "rooted", "setsid", "reserve", "is_told", "me")
    leaks = "".join(f"export {name}=1\n" for name in names).encode()
    order = an_order(a_step(f"echo ran >>{starting.log}\n"))
    with starting.begin(leaks + start_program(order, become=False, wait=60, held={}).text) as process:
        found = read_report(process.communicate()[0])
    assert isinstance(found, Sight), found
    assert found.status == "Success", found
    assert starting.bodies() == ["ran"]


def test_a_run_nobody_knows_is_absent(node: HomeNode) -> None:
    assert RUNS.look(HomeSession(node), an_order(a_step("")).run, become=False).standing is Standing.ABSENT
