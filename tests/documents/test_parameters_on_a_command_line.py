"""`--parameters`, as people write it for the AWS CLI."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies

from reconciler.documents.error import RenderError
from reconciler.documents.given import given_parameters, shorthand
from tests.support.cases import read_cases

CASES = read_cases(Path(__file__).parent / "cases/given.yaml")


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_shorthand_and_json_give_lists_of_text(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(RenderError, match=case["error"]):
            given_parameters(case["words"])
    else:
        read = given_parameters(case["words"])
        assert {name: list(values) for name, values in read.items()} == case["expect"]


NAMES = strategies.text("abcXYZ019", min_size=1, max_size=8)
VALUES = strategies.lists(strategies.text(min_size=0, max_size=20), max_size=4)


@given(wanted=strategies.dictionaries(NAMES, VALUES, max_size=4))
def test_json_comes_back_as_it_was_given(wanted: dict[str, list[str]]) -> None:
    read = given_parameters([json.dumps(wanted)])
    assert {name: list(values) for name, values in read.items()} == wanted


@given(wanted=strategies.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_quoted_shorthand_comes_back_as_it_was_given(wanted: dict[str, list[str]]) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    word = ",".join(f"{name}=[{','.join(map(quoted, values))}]" for name, values in wanted.items())
    assert {name: list(values) for name, values in given_parameters([word]).items()} == wanted


@given(text=strategies.text(max_size=60))
def test_whatever_is_given_is_read_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(RenderError):
        given_parameters([text])


def test_a_megabyte_of_values_and_of_names_is_read() -> None:
    """Each value looks behind its comma no further than to the end of what may be a name."""
    listed = shorthand("a=" + '"b", ' * 150_000 + "c", "--parameters")
    assert listed == {"a": ("b",) * 150_000 + ("c",)}
    named = shorthand(",".join(f"k{number}=v" for number in range(100_000)), "--parameters")
    assert len(named) == 100_000
