import json
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.errors import AnswerGarbled
from reconciler.ids import FleetId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.fleet import Fleet
from reconciler.model.history import History, NodeHistory, RunStatus
from reconciler.model.known import JsonValue, Known
from reconciler.model.node import Node
from reconciler.model.outcome import RunRecord
from reconciler.plan.run_id import run_id
from reconciler.rollout.fencing import announce
from reconciler.rollout.node_programs import Order, announce_program
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.settle import Unsettled, acknowledge, acknowledge_on, leftovers, settle
from reconciler.rollout.sight import Refusal, Sight
from tests.rollout.a_node import FLEET, MOTD, NODE, STARTED, HomeNode, HomeSession, a_step, an_order, wait_for

DESIRED = DesiredState(commit=None, nodes={NODE: Node(id=NODE)}, fleet=Fleet(id=FLEET))


@dataclass(frozen=True)
class Seen:
    facts: Facts


def seen(node: HomeNode) -> Seen:
    """What inventory tells about run folders."""
    rows: dict[str, JsonValue] = {}
    for folder in sorted((node.root / "runs").glob("*")):
        state = folder / "state"
        rows[folder.name] = {
            "manifest": (folder / "manifest").read_text(),
            "state": state.read_text() if state.exists() else "",
        }
    return Seen(Facts(node=NODE, sections={"runs": Known(rows)}))


def settled(node: HomeNode, problems: list[Unsettled] | None = None) -> tuple[RunRecord, ...]:
    return settle(
        {NODE: seen(node)},
        DESIRED,
        connect=node.connect,
        clock=lambda: STARTED + timedelta(hours=1),
        on_unsettled=([] if problems is None else problems).append,
    )


def run(node: HomeNode, order: Order, wait: int = 60) -> None:
    runs = NodeRuns(OutputKeeper(None))
    assert isinstance(runs.start(HomeSession(node), order, become=False, wait=wait, on_claimed=lambda: None), Sight)


def test_an_ended_run_is_told_whole_by_its_folder_alone(node: HomeNode) -> None:
    order = an_order(a_step("echo out; sleep 1; exit 3\n", name="install"), n=4)
    run(node, order)
    (found,) = settled(node)
    assert (found.run, found.node, found.association, found.executions) == (order.run, NODE, MOTD, 4)
    assert (found.definition, found.rendered, found.cause) == (order.definition, order.rendered.digest, "Pending")
    assert (found.status, found.exit_code) == (RunStatus.FAILED, 3)
    assert found.started == STARTED
    assert found.ended is not None
    assert timedelta(0) < found.ended - STARTED < timedelta(minutes=30), "by its own clock, not by ours"
    assert [(step.name, step.stdout) for step in found.steps] == [("install", b"out\n")]
    assert found.detail.endswith("install: exit status 3")


def test_a_run_that_goes_on_is_in_progress_and_left_alone(node: HomeNode) -> None:
    release = node.home / "release"
    order = an_order(a_step(f"until [ -e {release} ]; do sleep 0.05; done; echo ran >>{node.log}\n", name="slow"))
    run(node, order, wait=1)
    wait_for(node.root / "runs" / order.run / "steps/1/pid")
    (found,) = settled(node)
    assert (found.status, found.step, found.detail) == (RunStatus.IN_PROGRESS, "slow", "running, at slow")
    assert found.ended is None
    release.touch()
    wait_for(node.log)


def test_a_claimed_run_that_never_began_is_removed_and_is_no_execution(node: HomeNode) -> None:
    order = an_order(a_step(f"echo ran >>{node.log}\n"))
    run(node, order)
    folder = node.root / "runs" / order.run
    for name in ("begun", "state"):
        (folder / name).unlink()
    node.log.unlink()
    assert settled(node) == ()
    assert not folder.exists()
    # The drift still stands, and is planned anew: under the same id.
    run(node, order)
    assert node.bodies() == ["ran"]


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        pytest.param("", "is not JSON", id="empty"),
        pytest.param("[]", "is not a JSON object", id="a list"),
        pytest.param("[" * 100_000, "is not JSON", id="deep"),
        pytest.param('{"run": "x"}', "is of run 'x'", id="another run"),
    ],
)
def test_a_manifest_nobody_can_read_is_told_and_not_touched(node: HomeNode, manifest: str, reason: str) -> None:
    order = an_order(a_step("true\n"))
    run(node, order)
    (node.root / "runs" / order.run / "manifest").write_text(manifest)
    problems: list[Unsettled] = []
    assert settled(node, problems) == ()
    assert [reason in problem.reason for problem in problems] == [True]
    assert (node.root / "runs" / order.run).exists()


def test_a_manifest_with_one_odd_field_is_refused(node: HomeNode) -> None:
    order = an_order(a_step("true\n"))
    good = json.loads(order.manifest)
    odd: dict[str, list[object]] = {
        "n": [True, 0, "1", 10**10],
        "association": ["../x", "", 3],
        "definition": ["zz"],
        "cause": ["?"],
        "epoch": [-1],
        "started": ["noon", "2026-03-01T12:00:00"],
    }
    for key, values in odd.items():
        for value in values:
            text = json.dumps({**good, key: value})
            rows: dict[str, JsonValue] = {order.run: {"manifest": text, "state": ""}}
            good_ones, bad = leftovers(Facts(node=NODE, sections={"runs": Known(rows)}), FLEET)
            assert (good_ones, len(bad)) == ((), 1), (key, value)


def test_acknowledged_runs_leave_a_marker_and_the_count(node: HomeNode) -> None:
    for n in (1, 2):
        run(node, an_order(a_step("true\n"), n=n, epoch=3))
    records = settled(node)
    history = History(nodes={NODE: NodeHistory(node=NODE, acknowledged=2)})
    assert acknowledge(reversed(records), (), DESIRED, history, connect=node.connect) == {}
    assert list((node.root / "runs").iterdir()) == []
    assert (node.root / f"acknowledged@{FLEET}").read_text() == "2\n"
    marker = json.loads((node.root / "markers" / f"{FLEET}@{MOTD}").read_text())
    assert (marker["n"], marker["status"], marker["definition"]) == (2, "Success", "e" * 64)
    assert marker["run"] == an_order(a_step(""), n=2).run


def test_a_run_that_goes_on_is_never_pruned(node: HomeNode) -> None:
    release = node.home / "release"
    order = an_order(a_step(f"until [ -e {release} ]; do sleep 0.05; done\n"))
    run(node, order, wait=1)
    (going,) = settled(node)
    ended = [replace(going, status=RunStatus.SUCCESS)]
    acknowledge_on(HomeSession(node), ended, fleet=FLEET, count=1, epoch=None, become=False)
    assert (node.root / "runs" / order.run / "state").exists()
    release.touch()


def test_a_daemon_that_was_overtaken_prunes_nothing(node: HomeNode) -> None:
    run(node, an_order(a_step("true\n"), epoch=5))
    with pytest.raises(AnswerGarbled, match="fenced 5"):
        acknowledge_on(HomeSession(node), settled(node), fleet=FLEET, count=1, epoch=4, become=False)
    assert len(list((node.root / "runs").iterdir())) == 1


def test_the_count_never_goes_back(node: HomeNode) -> None:
    for count in (3, 2):
        run(node, an_order(a_step("true\n"), n=count))
        acknowledge_on(HomeSession(node), settled(node), fleet=FLEET, count=count, epoch=None, become=False)
    assert (node.root / f"acknowledged@{FLEET}").read_text() == "3\n"


def test_output_is_kept_whole_over_restarts_of_the_manager(node: HomeNode, tmp_path: Path) -> None:
    """More than one answer holds of it, fetched by managers that each begin anew."""
    order = an_order(a_step("i=0; while [ $i -lt 3 ]; do head -c 900000 /dev/zero | tr '\\0' $i; i=$((i + 1)); done\n"))
    run(node, order)
    for _ in range(2):
        settle({NODE: seen(node)}, DESIRED, connect=node.connect, outputs=tmp_path)
    kept = (tmp_path / order.run / "1/stdout").read_bytes()
    assert kept == b"0" * 900_000 + b"1" * 900_000 + b"2" * 900_000


def test_what_another_fleet_started_on_a_shared_node_is_left_to_it(node: HomeNode) -> None:
    """It knows the node by another name, perhaps, and has associations and epochs of its own."""
    other = FleetId("other")
    theirs = replace(an_order(a_step("true\n"), epoch=9), fleet=other, run=run_id(other, NODE, MOTD, 1))
    run(node, theirs)
    run(node, an_order(a_step("true\n"), epoch=2))
    problems: list[Unsettled] = []
    assert [record.run for record in settled(node, problems)] == [an_order(a_step("")).run]
    assert problems == []
    renamed = json.dumps({**json.loads(theirs.manifest), "node": "db-7"})
    (node.root / "runs" / theirs.run / "manifest").write_text(f"{renamed}\n")
    assert len(settled(node, problems)) == 1
    assert problems == []
    epochs = {path.name: path.read_text() for path in (node.root / "epochs").iterdir()}
    assert epochs == {"other": "9\n", FLEET: "2\n"}


def test_a_new_leader_makes_itself_known_where_it_has_nothing_to_do(node: HomeNode) -> None:
    run(node, an_order(a_step("true\n"), epoch=3))
    facts = Facts(node=NODE, sections={"epochs": Known({FLEET: 3})})
    assert announce({NODE: facts}, DESIRED, 3, connect=node.connect) == ()
    assert announce({NODE: facts}, DESIRED, 4, connect=node.connect) == (NODE,)
    late = an_order(a_step(f"echo ran >>{node.log}\n"), n=2, epoch=3)
    runs = NodeRuns(OutputKeeper(None))
    found = runs.start(HomeSession(node), late, become=False, wait=1, on_claimed=lambda: None)
    assert isinstance(found, Refusal)
    assert (found.kind, found.words) == ("fenced", "4")
    assert node.bodies() == []
    # A leader that is not the newest is told nothing and changes nothing.
    assert (
        announce({NODE: Facts(node=NODE, sections={"epochs": Known({FLEET: 1})})}, DESIRED, 2, connect=node.connect)
        == ()
    )
    assert (node.root / "epochs" / FLEET).read_text() == "4\n"


def test_a_node_that_never_ran_anything_is_not_written_to(node: HomeNode) -> None:
    assert announce({NODE: Facts(node=NODE, sections={"epochs": Known({})})}, DESIRED, 5, connect=node.connect) == ()
    HomeSession(node).run(announce_program(FLEET, epoch=5, become=False))
    assert not node.root.exists()


def test_leftovers_of_a_node_that_answers_slowly_are_left_to_a_later_pass(
    node: HomeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(node, an_order(a_step("true\n")))
    problems: list[Unsettled] = []
    with monkeypatch.context() as patch:
        patch.setattr("reconciler.rollout.settle.NODE_PATIENCE", -1.0)
        assert settled(node, problems) == ()
    assert [each.reason for each in problems] == [
        "1 leftover runs are settled by a later pass: the node answers slowly"
    ]
    assert len(settled(node)) == 1
