"""What get-command-invocation and list-command-invocations answer about steps, and which commands list-commands means."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciler.commands.answers import detailed_answer, invocation_answer, plugin_answer, step_number
from reconciler.commands.filters import Filters, read_filters
from reconciler.commands.record import (
    CommandRecord,
    Invocation,
    StepRecord,
    begin_record,
    command_json,
    decode_record,
    encode_record,
)
from reconciler.commands.statuses import Detail
from reconciler.errors import UsageError
from reconciler.ids import NodeId
from tests.commands.test_requests import NOW, a_command

N1 = NodeId("n1")
TWO = {"document_name": "Secret", "parameters": []}


def a_record(detail: Detail, *steps: tuple[str, str, int], **fields: Any) -> tuple[CommandRecord, Invocation]:
    """Give a record as read back from the branch, and its one invocation."""
    made = tuple(StepRecord(name=name, status=status, exit_code=code) for name, status, code in steps)
    ended = Invocation(node=N1, detail=detail, exit_code=7, steps=made)
    record = decode_record(encode_record(begin_record(a_command(**fields), None).with_invocations([ended])))
    (invocation,) = record.invocations
    return record, invocation


@pytest.mark.parametrize("wanted", [None, "aws:runShellScript", "0.aws:runShellScript"])
def test_an_old_document_s_step_goes_by_its_plugin(wanted: str | None) -> None:
    record, invocation = a_record(Detail.SUCCESS, ("0.aws:runShellScript", "Success", 0))
    number = step_number(record, invocation, wanted)
    assert plugin_answer(record, invocation, number, b"out", b"")["PluginName"] == "aws:runShellScript"


@pytest.mark.parametrize(("wanted", "number"), [("a", 1), ("b", 2)])
def test_a_newer_document_s_step_goes_by_its_name(wanted: str, number: int) -> None:
    record, invocation = a_record(Detail.SUCCESS, ("a", "Success", 0), ("b", "Success", 0), **TWO)
    assert step_number(record, invocation, wanted) == number
    assert plugin_answer(record, invocation, number, b"", b"")["PluginName"] == wanted


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (None, "several steps: give --plugin-name, of a, b"),
        ("aws:runShellScript", "there are: a, b"),
        ("c", "no step 'c'"),
    ],
)
def test_a_newer_document_s_step_has_no_other_name(wanted: str | None, said: str) -> None:
    record, invocation = a_record(Detail.SUCCESS, ("a", "Success", 0), ("b", "Success", 0), **TWO)
    with pytest.raises(UsageError, match=f"InvalidPluginName: .*{said}"):
        step_number(record, invocation, wanted)


def test_a_wrong_plugin_is_refused_and_the_right_ones_are_named() -> None:
    record, invocation = a_record(Detail.SUCCESS, ("0.aws:runShellScript", "Success", 0))
    with pytest.raises(
        UsageError, match=r"InvalidPluginName: .*\(there are: 0.aws:runShellScript, aws:runShellScript\)"
    ):
        step_number(record, invocation, "aws:runPowerShellScript")


def test_two_elements_of_one_id_are_both_reached() -> None:
    record, invocation = a_record(Detail.FAILED, ("four", "Success", 0), ("four", "Failed", 7))
    assert [step_number(record, invocation, name) for name in ("four", "four.2")] == [1, 2]
    assert [row["Name"] for row in invocation_answer(replace(record, plugins=()), invocation)["Plugins"]] == [
        "four",
        "four.2",
    ]


def test_status_and_code_are_both_of_the_step_that_is_meant() -> None:
    record, invocation = a_record(Detail.FAILED, ("a", "Success", 0), ("b", "Failed", 7), **TWO)
    first, second = (plugin_answer(record, invocation, number, b"", b"") for number in (1, 2))
    assert (first["Status"], first["StatusDetails"], first["ResponseCode"]) == ("Success", "Success", 0)
    assert (second["Status"], second["StatusDetails"], second["ResponseCode"]) == ("Failed", "Failed", 7)
    assert {one["InvocationStatus"] for one in (first, second)} == {"Failed"}


@pytest.mark.parametrize(
    ("invocation", "step", "code", "told"),
    [
        (Detail.SUCCESS, "Skipped", 0, ("Success", "Success", 0)),
        (Detail.EXECUTION_TIMED_OUT, "TimedOut", 137, ("TimedOut", "ExecutionTimedOut", 137)),
        (Detail.CANCELLED, "Cancelled", 137, ("Cancelled", "Cancelled", 137)),
        (Detail.IN_PROGRESS, "InProgress", -1, ("InProgress", "InProgress", -1)),
        (Detail.IN_PROGRESS, "NotStarted", -1, ("Pending", "Pending", -1)),
        (Detail.DELIVERY_TIMED_OUT, "InProgress", -1, ("TimedOut", "DeliveryTimedOut", -1)),
        (Detail.CANCELLED, "NotStarted", -1, ("Cancelled", "Cancelled", -1)),
    ],
)
def test_a_step_has_ssm_s_words(invocation: Detail, step: str, code: int, told: tuple[str, str, int]) -> None:
    record, found = a_record(invocation, ("0.aws:runShellScript", step, code))
    answer = plugin_answer(record, found, 1, b"", b"")
    assert (answer["Status"], answer["StatusDetails"], answer["ResponseCode"]) == told
    (row,) = invocation_answer(record, found)["Plugins"]
    assert (row["Status"], row["StatusDetails"], row["ResponseCode"]) == told
    assert found.steps[0].status == step, "our own record says it as it was"


def test_where_nothing_ran_there_is_no_step() -> None:
    record, invocation = a_record(Detail.DELIVERY_TIMED_OUT)
    answer = plugin_answer(record, invocation, step_number(record, invocation, None), b"", b"")
    assert (answer["PluginName"], answer["Status"], answer["ResponseCode"]) == ("", "TimedOut", -1)


def test_details_hold_both_streams_in_one_short_field() -> None:
    record, invocation = a_record(Detail.SUCCESS, ("a", "Success", 0), ("b", "Success", 0), **TWO)
    answer = detailed_answer(record, invocation, [(b"out", b"err"), (b"x" * 9_000, b"")])
    first, second = (row["Output"] for row in answer["CommandPlugins"])
    assert first == "out\n----------ERROR-------\nerr"
    assert (len(second), second[-24:]) == (2_500, "x\n---Output truncated---")
    assert detailed_answer(record, invocation, None)["CommandPlugins"] == []


def test_who_was_never_let_in_is_not_counted_as_completed() -> None:
    record = begin_record(a_command(targets=["Key=InstanceIds,Values=*"]), None).with_invocations(
        [
            Invocation(node=N1, detail=Detail.ACCESS_DENIED),
            Invocation(node=NodeId("n2"), detail=Detail.INVALID_PLATFORM),
            Invocation(node=NodeId("n3"), detail=Detail.UNDELIVERABLE),
        ]
    )
    assert (command_json(record)["CompletedCount"], command_json(record)["TargetCount"]) == (1, 3)


@pytest.mark.parametrize(
    ("filters", "holds"),
    [
        ({}, True),
        ({"invoked_after": NOW}, True),
        ({"invoked_after": NOW + timedelta(seconds=1)}, False),
        ({"invoked_before": NOW}, False),
        ({"invoked_before": NOW + timedelta(seconds=1)}, True),
        ({"stage": "Complete"}, True),
        ({"stage": "Executing"}, False),
        ({"status": "Failed"}, True),
        ({"status": "Success"}, False),
        ({"document": "AWS-RunShellScript", "node": "n1"}, True),
        ({"document": "AWS-RunShellScript", "node": "n2"}, False),
        ({"document": "Motd"}, False),
    ],
)
def test_filters_of_commands(filters: dict[str, Any], *, holds: bool) -> None:
    record, _ = a_record(Detail.FAILED, ("0.aws:runShellScript", "Failed", 7))
    assert Filters(**filters).hold(record) is holds


def test_what_is_still_being_sent_is_executing() -> None:
    assert Filters(stage="Executing").hold(begin_record(a_command(), None))
    with pytest.raises(UsageError, match="write Executing or Complete"):
        Filters(stage="Done")


def test_filters_as_the_aws_cli_takes_them() -> None:
    instant = datetime(2026, 1, 31, tzinfo=UTC).isoformat()
    words = [f"key=InvokedAfter,value={instant}", "key=Status,value=Failed"]
    assert list(read_filters(words)) == [("InvokedAfter", instant), ("Status", "Failed")]


@pytest.mark.parametrize(
    "word", ["InvokedAfter", "key=Region,value=x", "key=Status", "key=Status,value=a,b", "k=Status,value=a"]
)
def test_a_filter_that_is_none_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="InvalidFilterKey"):
        list(read_filters([word]))
