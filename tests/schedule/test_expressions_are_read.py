"""What is accepted, what is refused, and what the refusal tells the author."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from reconciler.schedule.association import association_lints, parse_association_schedule
from reconciler.schedule.error import ScheduleError
from reconciler.schedule.expression import parse
from reconciler.schedule.lints import lints
from reconciler.schedule.window import parse_window_schedule
from tests.support.cases import read_cases

CASES = Path(__file__).parent / "cases"
READERS = {"any": parse, "window": parse_window_schedule, "association": parse_association_schedule}


def cases(name: str) -> list[Any]:
    loaded = read_cases(CASES / f"{name}.yaml")
    return [pytest.param(case, id=f"{case['for']} {case['expression']!a}") for case in loaded]


@pytest.mark.parametrize("case", cases("refused"))
def test_a_refusal_names_the_rule_the_place_and_the_remedy(case: dict[str, Any]) -> None:
    text = case["expression"]
    with pytest.raises(ScheduleError) as refused:
        READERS[case["for"]](text)
    error = refused.value
    assert case["says"] in str(error)
    assert case.get("write", "") in error.remedy
    assert error.offset == case.get("at", error.offset)
    assert text[error.offset :].upper().startswith(error.value.upper())
    if case["for"] != "any":
        parse(text)  # it is the use that is refused, not the language


@pytest.mark.parametrize("case", cases("accepted"))
def test_an_expression_at_the_edge_of_a_rule_is_accepted(case: dict[str, Any]) -> None:
    expression = READERS[case["for"]](case["expression"])
    assert str(expression) == case["text"]
    assert parse(case["text"]) == expression


@pytest.mark.parametrize("case", [case for case in cases("refused") if "write" in case.values[0]])
def test_what_a_refusal_tells_to_write_is_accepted(case: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError) as refused:
        READERS[case["for"]](case["expression"])
    for word in ("cron(", "rate(", "at("):
        for rest in refused.value.remedy.split(word)[1:]:
            parse(word + rest[: rest.index(")") + 1])


def test_an_error_survives_the_way_between_processes() -> None:
    with pytest.raises(ScheduleError) as refused:
        parse("rate(1 hours)")
    copied = pickle.loads(pickle.dumps(refused.value))  # noqa: S301  our own bytes
    assert str(copied) == str(refused.value) == "1 goes with the singular (met: '1 hours'); write rate(1 hour)"


def test_what_a_message_quotes_is_short_and_without_control_characters() -> None:
    with pytest.raises(ScheduleError) as refused:
        parse("\x1b[2J" + "x" * 5000)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 200


@pytest.mark.parametrize(
    ("text", "doubts"),
    [
        pytest.param("cron(0 3 ? * L *)", ("every Saturday",), id="bare L"),
        pytest.param("cron(0 3 ? * 6L *)", ("write FRIL",), id="last by number"),
        pytest.param("cron(0 3 ? * 3#2 *)", ("write TUE#2",), id="nth by number"),
        pytest.param("cron(0 3 ? * 2-4,SAT *)", ("write MON-WED,SAT",), id="numbers among names"),
        pytest.param("cron(0 3 ? * MON/2 *)", ("not in SSM's published list",), id="a step"),
        pytest.param("cron(0 3 ? * 2/3 *)", ("write MON/3", "not in SSM's published list"), id="a step from a number"),
        pytest.param("cron(0 3 31 2,4,6,9,11 ? *)", ("never runs",), id="a date that no month has"),
        pytest.param("cron(0 3 29 2 ? 2100)", ("never runs",), id="no leap day in that year"),
        pytest.param("cron(0 3 ? * FRIL *)", (), id="last by name"),
        pytest.param("cron(0 3 29 2 ? *)", (), id="leap day"),
        pytest.param("rate(2 hours)", (), id="rate"),
    ],
)
def test_what_is_hardly_meant_is_doubted(text: str, doubts: tuple[str, ...]) -> None:
    found = lints(parse(text))
    assert len(found) == len(doubts)
    assert all(doubt in lint for doubt, lint in zip(doubts, found, strict=True))


def test_a_schedule_that_state_manager_would_not_take_is_doubted() -> None:
    found = association_lints(parse_association_schedule("cron(0 2 ? FEB SUN#5 2030-2040)"))
    assert [lint.split(":")[0] for lint in found if "not portable" in lint] == ["month FEB", "year 2030-2040"]
    assert association_lints(parse_association_schedule("cron(0 2 ? * SUN *)")) == ()
