"""Every fact's parser on the answers of several distributions: `cases/SECTION/NAME.yaml`, stdout and what is expected."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.inventory.fact import Asked
from reconciler.inventory.facts import FACTS
from reconciler.model.questions import Check, Questions
from tests.support.cases import read_cases

CASES = Path(__file__).parent / "cases"


def cases() -> list[Any]:
    paths = sorted(CASES.glob("*/*.yaml"))
    return [pytest.param(path, id=f"{path.parent.name}: {path.stem}") for path in paths]


def questions(asked: Mapping[str, Any]) -> Questions:
    fields: dict[str, Any] = {name: tuple(value) for name, value in asked.items()}
    if "checks" in fields:
        fields["checks"] = tuple(Check(**check) for check in fields["checks"])
    return Questions(**fields)


@pytest.mark.parametrize("path", cases())
def test_an_answer_is_read_or_refused_with_a_reason(path: Path) -> None:
    case = read_cases(path)
    asked = Asked(
        questions=questions(case.get("questions", {})),
        rows=case.get("rows", {}),
        fingerprint=case.get("fingerprint", ""),
    )

    def parse() -> Mapping[str, Any]:
        return FACTS[path.parent.name].parse(case["stdout"], asked)

    if "error" in case:
        with pytest.raises(ValueError, match=case["error"].replace("[", r"\[")):
            parse()
    else:
        assert parse() == case["expect"]


def test_every_fact_is_one_file_one_line_in_the_table_and_one_folder_of_cases() -> None:
    folder = Path(__file__).parent.parent.parent / "reconciler" / "inventory" / "facts"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    modules = {fact.parse.__module__.rpartition(".")[2] for fact in FACTS.values()}
    assert modules == files
    assert {path.name for path in CASES.iterdir()} == set(FACTS)
