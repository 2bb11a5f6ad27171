from typing import Any

import pytest

from reconciler.documents.render import Place
from tests.rollout.a_node import WAYS, HomeNode, a_step, run

Row = tuple[list[tuple[str, dict[str, Any]]], list[str], tuple[str, int]]

# 194 is not among these: it reboots, and here the node is this machine (tests/passes/test_reboots.py has nodes of its own).
EXITS: dict[str, Row] = {
    # SSM's worked example: a fails without a modifier, c demands the end, e is the finally step
    "a fails, c demands exit": (
        [
            ("exit 2", {}),
            ("exit 0", {"on_failure": "exit"}),
            ("", {"on_success": "exit"}),
            ("", {}),
            ("", {"finally_step": True}),
        ],
        ["Failed 2", "Success 0", "Success 0", "Skipped 0", "Success 0"],
        ("Failed", 2),
    ),
    "a fails with successAndExit": (
        [("exit 2", {"on_failure": "successAndExit"}), ("", {}), ("", {}), ("", {}), ("", {"finally_step": True})],
        ["Success 168", "Skipped 0", "Skipped 0", "Skipped 0", "Success 0"],
        ("Success", 0),
    ),
    "a failed step does not stop the next": ([("exit 7", {}), ("", {})], ["Failed 7", "Success 0"], ("Failed", 7)),
    "onFailure exit": ([("exit 1", {"on_failure": "exit"}), ("", {})], ["Failed 1", "Skipped 0"], ("Failed", 1)),
    "168 ends well": ([("exit 168", {}), ("", {})], ["Success 168", "Skipped 0"], ("Success", 0)),
    "169 ends badly": ([("exit 169", {}), ("", {})], ["Failed 169", "Skipped 0"], ("Failed", 169)),
    "137 counts as timed out": ([("exit 137", {}), ("", {})], ["TimedOut 137", "Success 0"], ("TimedOut", 137)),
    "skipped does not trigger onSuccess": (
        [("", {"skip": "not here", "script": None, "on_success": "exit"}), ("", {})],
        ["Skipped 0", "Success 0"],
        ("Success", 0),
    ),
    "failing beforehand": ([("", {"fail": "bad", "script": None}), ("", {})], ["Failed 1", "Success 0"], ("Failed", 1)),
    "all skipped is a success": ([("", {"skip": "not here", "script": None})], ["Skipped 0"], ("Success", 0)),
    "false then true": ([("false\ntrue", {})], ["Success 0"], ("Success", 0)),
}


@pytest.mark.parametrize("node", [WAYS[0], WAYS[-1]], indirect=True, ids=["sh", "sh that stays"])
@pytest.mark.parametrize(("steps", "results", "ended"), [pytest.param(*case, id=name) for name, case in EXITS.items()])
def test_steps_end_a_document_as_on_ssm(
    node: HomeNode, steps: list[tuple[str, dict[str, object]]], results: list[str], ended: tuple[str, int]
) -> None:
    found = run(node, *(a_step(f"{script}\n", **fields) for script, fields in steps))
    assert [f"{step.status} {step.exit_code}" for step in found.steps] == results
    assert (found.status.value, found.exit_code) == ended


@pytest.mark.parametrize("case", list(EXITS)[:2])
def test_every_shell_counts_ssms_examples_alike(node: HomeNode, case: str) -> None:
    steps, results, ended = EXITS[case]
    found = run(node, *(a_step(f"{script}\n", **fields) for script, fields in steps))
    assert [f"{step.status} {step.exit_code}" for step in found.steps] == results
    assert (found.status.value, found.exit_code) == ended


def test_168_takes_back_what_the_script_said_went_wrong(node: HomeNode) -> None:
    found = run(node, a_step("echo well; echo odd >&2; exit 168\n"), a_step("echo never\n"))
    assert found.steps[0].stderr == b""
    assert found.steps[0].stdout.startswith(b"well\nthe script ended with 168")


def test_elements_of_one_step_all_run_and_count_as_one(node: HomeNode) -> None:
    elements = [a_step(f"exit {code}\n", group=1) for code in (0, 169, 5)]
    found = run(node, *elements, a_step("echo never\n", group=2))
    assert [step.status for step in found.steps] == ["Success", "Failed", "Failed", "Skipped"]
    assert found.exit_code == 169


def inner(group: int, *places: Place, **fields: Any) -> dict[str, Any]:
    return {"group": group, "within": places, **fields}


ONE = Place(group=1, element=1)
NESTED: dict[str, Row] = {
    "168 ends the inner document only": (
        [("exit 168", inner(1, ONE)), ("", inner(2, ONE)), ("", {"group": 2})],
        ["Success 168", "Skipped 0", "Success 0"],
        ("Success", 0),
    ),
    "169 ends the inner document only, badly": (
        [("exit 169", inner(1, ONE)), ("", inner(2, ONE)), ("", {"group": 2})],
        ["Failed 169", "Skipped 0", "Success 0"],
        ("Failed", 1),
    ),
    "an inner failure is the outer step's, whose onFailure counts": (
        [("exit 3", inner(1, Place(group=1, element=1, on_failure="exit"))), ("", {"group": 2})],
        ["Failed 3", "Skipped 0"],
        ("Failed", 1),
    ),
    "the outer step's successAndExit leaves the inner results as they are": (
        [("exit 3", inner(1, Place(group=1, element=1, on_failure="successAndExit"))), ("", {"group": 2})],
        ["Failed 3", "Skipped 0"],
        ("Success", 0),
    ),
    "an inner successAndExit makes the outer step a success": (
        [
            ("exit 3", inner(1, Place(group=1, element=1, on_success="exit"), on_failure="successAndExit")),
            ("", inner(2, Place(group=1, element=1, on_success="exit"))),
            ("", {"group": 2}),
        ],
        ["Success 168", "Skipped 0", "Skipped 0"],
        ("Success", 0),
    ),
    "an inner finally step runs, and an outer one": (
        [
            ("", inner(1, ONE, on_success="exit")),
            ("", inner(2, ONE)),
            ("", inner(3, ONE, finally_step=True)),
            ("exit 169", {"group": 2}),
            ("", {"group": 3}),
            ("", inner(1, Place(group=4, element=1, finally_step=True))),
            ("", inner(2, Place(group=4, element=1, finally_step=True))),
        ],
        ["Success 0", "Skipped 0", "Success 0", "Failed 169", "Skipped 0", "Success 0", "Success 0"],
        ("Failed", 169),
    ),
    "inside a step TimedOut outranks Failed": (
        [("exit 137", inner(1, ONE)), ("exit 2", inner(2, ONE))],
        ["TimedOut 137", "Failed 2"],
        ("TimedOut", 1),
    ),
    "each element of a list has a document of its own": (
        [
            ("exit 168", inner(1, ONE)),
            ("", inner(2, ONE)),
            ("", inner(1, Place(group=1, element=2))),
            ("exit 4", {"group": 1}),
            ("", inner(1, Place(group=1, element=4))),
        ],
        ["Success 168", "Skipped 0", "Success 0", "Failed 4", "Success 0"],
        ("Failed", 4),
    ),
    "three deep": (
        [
            ("exit 168", inner(1, ONE, Place(group=2, element=1), Place(group=1, element=1))),
            ("", inner(2, ONE, Place(group=2, element=1), Place(group=1, element=1))),
            ("exit 169", inner(2, ONE, Place(group=2, element=1))),
            ("", inner(3, ONE, Place(group=2, element=1))),
            ("", inner(3, ONE)),
            ("", {"group": 2}),
        ],
        ["Success 168", "Skipped 0", "Failed 169", "Skipped 0", "Success 0", "Success 0"],
        ("Failed", 1),
    ),
}


@pytest.mark.parametrize(("steps", "results", "ended"), [pytest.param(*case, id=name) for name, case in NESTED.items()])
def test_a_document_within_another_ends_for_itself(
    node: HomeNode, steps: list[tuple[str, dict[str, object]]], results: list[str], ended: tuple[str, int]
) -> None:
    found = run(node, *(a_step(f"{script}\n", **fields) for script, fields in steps))
    assert [f"{step.status} {step.exit_code}" for step in found.steps] == results
    assert (found.status.value, found.exit_code) == ended
