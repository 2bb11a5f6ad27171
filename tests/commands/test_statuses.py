"""SSM's statuses: every row of the aggregate table, and the small words behind the fine ones."""

from pathlib import Path
from typing import Any

import pytest

from reconciler.commands.statuses import Detail, aggregate
from tests.support.cases import read_cases

CASES: list[dict[str, Any]] = read_cases(Path(__file__).parent / "cases/aggregate.yaml")


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_what_invocations_come_to(case: dict[str, Any]) -> None:
    invocations = [Detail(name) for name, count in case["nodes"].items() for _ in range(count)]
    verdict = aggregate(
        invocations,
        threshold=case["tolerated"],
        stopped=case.get("stopped", False),
        cancelled=case.get("cancelled", False),
    )
    assert (verdict.detail, verdict.detail.status) == (case["detail"], case["status"])
    assert verdict.reason


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ({"Success": 1, "Undeliverable": 1}, "1 of 2 nodes succeeded; 1 was never reached"),
        ({"Success": 1, "Undeliverable": 2}, "1 of 3 nodes succeeded; 2 were never reached"),
        ({"Undeliverable": 1, "Terminated": 1}, "0 of 2 nodes succeeded; 1 was not sent"),
        ({"Failed": 1, "Undeliverable": 1, "Terminated": 2}, "1 of 4 nodes failed; MaxErrors tolerates 1"),
        ({"Failed": 2, "Terminated": 2}, "2 of 4 nodes failed, which stopped it; MaxErrors tolerates 1"),
    ],
)
def test_what_stopped_it_is_told_and_nothing_else(nodes: dict[str, int], words: str) -> None:
    details = [Detail(name) for name, count in nodes.items() for _ in range(count)]
    found = aggregate(details, threshold=1, stopped=Detail.TERMINATED in details, cancelled=False)
    assert found.reason == words


@pytest.mark.parametrize(
    ("detail", "status", "ended", "is_error", "completed"),
    [
        ("Pending", "Pending", False, False, False),
        ("InProgress", "InProgress", False, False, False),
        ("Delayed", "Delayed", False, False, False),
        ("Success", "Success", True, False, True),
        ("Failed", "Failed", True, True, True),
        ("ExecutionTimedOut", "TimedOut", True, True, True),
        ("DeliveryTimedOut", "TimedOut", True, False, True),
        ("Undeliverable", "Failed", True, False, True),
        ("InvalidPlatform", "Failed", True, False, False),
        ("AccessDenied", "Failed", True, False, False),
        ("Terminated", "Cancelled", True, False, True),
        ("Cancelling", "Cancelling", False, False, False),
        ("Cancelled", "Cancelled", True, False, True),
    ],
)
def test_the_words_of_an_invocation(detail: str, status: str, *, ended: bool, is_error: bool, completed: bool) -> None:
    found = Detail(detail)
    assert (found.status, found.ended, found.is_error, found.is_completed) == (status, ended, is_error, completed)
