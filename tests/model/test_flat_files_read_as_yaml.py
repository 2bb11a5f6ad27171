"""Files of plain `Key: value` lines are read without a parser, and say exactly what the parser makes of them."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.fleet_model import FleetModel, Shape
from reconciler.model.reading.flat_yaml import read_flat
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.yaml_text import _parsed

PIECES = (
    *(
        "Id",
        "Tags",
        "Patch Group",
        "a",
        "web-01",
        "10.0.0.1",
        "fe80::1",
        "a:b",
        "::1",
        "1.10",
        "null",
        "true",
        "~",
        "/x",
    ),
    *(
        ": ",
        ":",
        "{",
        "}",
        ", ",
        ",",
        "'",
        '"',
        "''",
        "\\",
        " ",
        "  ",
        "\n",
        "\n\n",
        "---\n",
        "---",
        "...\n",
        "# note\n",
    ),
    *(
        " # note",
        "#",
        "- ",
        "-",
        "?",
        "&a ",
        "*a",
        "!!str ",
        "%TAG ! x\n",
        "|",
        ">",
        "@",
        "`",
        "=",
        "<<",
        "é",
        "\t",
        "[",
        "]",
    ),
    *("Id: web-01\n", "Address: 10.0.0.1\n", "Tags: {Role: web, Rack: '1'}\n", "Name: 'a # b'\n", 'Name: "a: b"\n'),
)


def both(text: str) -> None:
    """Where no parser is needed, the parser says the same, and has nothing to complain about."""
    flat = read_flat(text, most_values=1000, most_documents=100)
    if flat is None:
        return
    mistakes = Mistakes("a.yaml")
    before = mistakes.patience.values
    assert _parsed(text, mistakes, escaped_nul=False) == flat.documents
    assert not mistakes.problems
    assert before - mistakes.patience.values == flat.values


@settings(max_examples=1500)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("---\nId: a\n---\nId: b")
@example("Tags: {}\n")
@example("Tags: {a: b,}\n")
@example("Tags: {a: b, a: c}\n")
@example("Tags: {a: 'b', c: \"d\" }\n")
@example("Tags: {a: b:c}\n")
@example("Id: a\n# note\n\nUser: b c d\n")
@example("Id: a\n---\n")
@example("---\n---\nId: a\n")
@example("Id: a\nId: b\n")
@example("Address: fe80::1\nUser: a::\n")
@example("Id: a\n...\n")
@example("Id: a\r\nUser: b\n")
def test_what_needs_no_parser_reads_as_it_would(text: str) -> None:
    both(text)


@settings(max_examples=500)
@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20), st.sampled_from(["plain", "'", '"', "{}"])
)
def test_any_value_on_a_line_reads_as_it_would(text: str, how: str) -> None:
    value = {"plain": text, "{}": f"{{a: {text}, b: c}}"}.get(how, f"{how}{text}{how}")
    both(f"Key: {value}\nNext: 1\n")
    both(f"{text}: value\n")


def test_nodes_as_they_are_written_need_no_parser() -> None:
    files = FleetModel(Shape(nodes=300, packages=10, associations=4, profiles=5)).state_files()
    nodes = [data.decode() for path, data in files.items() if path.startswith("state/nodes/")]
    for text in [*nodes, "Id: a\nAddress: fe80::1\nTags: {Role: web, Patch Group: 'Web servers'}\n"]:
        flat = read_flat(text, most_values=10_000, most_documents=1000)
        assert flat is not None
        assert len(flat.documents) == len(re.findall("^Id:", text, re.MULTILINE))
        both(text)


@pytest.mark.parametrize(("values", "documents"), [(6, 2), (7, 1)])
def test_more_than_may_be_is_left_to_the_parser(values: int, documents: int) -> None:
    text = "Id: a\nTags: {a: b, c: d}\n---\nId: b\n"
    assert read_flat(text, most_values=7, most_documents=2) is not None
    assert read_flat(text, most_values=values, most_documents=documents) is None
