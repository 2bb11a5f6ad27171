"""YAML's surprises: text is what the author wrote, and only null, true, false and plain decimal numbers are anything else."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.known import JsonValue
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Items, Scalar, Table, as_written, plain_json
from reconciler.model.reading.yaml_text import read_yaml
from tests.model.reading import ASSOCIATION, DOCUMENT, FILES, reads


def only(text: str) -> JsonValue:
    mistakes = Mistakes("f")
    (value,) = read_yaml(text.encode(), mistakes)
    assert not mistakes.problems
    return plain_json(value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("Yes", "Yes"), ("True", True),
        ("TRUE", True), ("FALSE", False), ("TrUe", "TrUe"), ("true", True), ("false", False), ("null", None), ("Null", None), ("~", "~"), ("''", ""),
        ("0777", "0777"), ("0o777", "0o777"), ("0x1F", "0x1F"), ("0b1", "0b1"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("2001-01-01", "2001-01-01"), ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00Z"), (".inf", ".inf"), (".nan", ".nan"),
        ("-.inf", "-.inf"), ("1e3", "1e3"), ("+1", "+1"), (".5", ".5"), ("5.", "5."), ("-0", 0), ("0", 0), ("-12", -12),
        ("1.5", 1.5), ("'1'", "1"), ('"true"', "true"), ("!!str true", "true"), ("! 12", "12"), ("=", "="),
        ("999999999999999999", 999999999999999999), ("9999999999999999999", "9999999999999999999"), ("1.2.3", "1.2.3"),
    ],
)  # fmt: skip
def test_a_scalar_means_what_it_says(text: str, meant: JsonValue) -> None:
    found = only(f"key: {text}\n")
    assert found == {"key": meant}
    assert isinstance(found, dict)
    assert type(found["key"]) is type(meant)


def test_keys_are_text() -> None:
    assert only("{true: 1, 12: 2, null: 3, 0777: 4, '': 5}") == {"true": 1, "12": 2, "null": 3, "0777": 4, "": 5}


def test_nothing_means_null() -> None:
    assert only("a:\nb: ''\n") == {"a": None, "b": ""}


def test_text_fields_keep_the_characters() -> None:
    state = reads(
        FILES
        | {
            "state/nodes/web.yaml": "Id: 0017\nAddress: 10.0.0.1\nTags: {Version: 1.10, On: yes, Octal: 0644, Date: 2001-01-01, T: true}\n",
            "state/associations/motd.yaml": ASSOCIATION.replace("[hello]", "[1.10], words: [a]").replace(
                "[web]", "[yes, 1.10, true]"
            )
            + "Expect:\n  Packages: [{Name: nginx, Version: 1.10}]\n  Files: [{Path: /a, Mode: 0644, Content: 1.10}]\n"
            + "  Sysctls: {net.ipv4.ip_forward: 0}\n  Checks: [true]\nMaxErrors: 1\nMaxConcurrency: 10\n",
        }
    )
    (node,) = state.nodes.values()
    assert node.id == "0017"
    assert node.tags == {"Version": "1.10", "On": "yes", "Octal": "0644", "Date": "2001-01-01", "T": "true"}
    (association,) = state.associations.values()
    assert association.targets[0].values == ("yes", "1.10", "true")
    assert association.parameters == {"text": ["1.10"], "words": ["a"]}
    assert (association.max_errors, association.max_concurrency) == ("1", "10")
    assert association.expect is not None
    (package,), (file,) = association.expect.packages, association.expect.files
    assert (package.operator, package.version) == ("=", "1.10")
    assert (file.mode, file.content) == ("0644", "1.10")
    assert association.expect.sysctls == {"net.ipv4.ip_forward": "0"}
    assert association.expect.checks == ("true",)


def test_commands_of_a_document_are_text() -> None:
    steps = DOCUMENT.replace("'echo {{ text }}'", "true, exit 0, 12, 1.10")
    (step,) = reads(FILES | {"documents/Motd.yaml": steps}).documents["Motd"].versions["1"].steps  # type: ignore[index]  # a NewType
    assert step.inputs == {"runCommand": ["true", "exit 0", "12", "1.10"]}


def test_places_count_from_one() -> None:
    mistakes = Mistakes("f")
    (value,) = read_yaml(
        "# x\n\nkey:\n  - é b\n  - 'c': {d: |\n      e\n      }\n".encode().replace(b" |\n      e\n      ", b" e"),
        mistakes,
    )
    assert isinstance(value, Table)
    items = value.entries["key"]
    assert isinstance(items, Items)
    first, second = items.items
    assert isinstance(second, Table)
    assert value.places["key"] == (3, 1)
    assert (first.line, first.column) == (4, 5)
    assert second.places["c"] == (5, 5)
    inner = second.entries["c"]
    assert isinstance(inner, Table)
    assert inner.entries["d"] == Scalar("e", True, 5, 14)


def test_an_alias_is_the_value_it_names() -> None:
    assert only("a: &x [1, {b: c}]\nd: *x\ne: [*x]\n") == {
        "a": [1, {"b": "c"}],
        "d": [1, {"b": "c"}],
        "e": [[1, {"b": "c"}]],
    }


def test_anchors_end_with_their_document() -> None:
    mistakes = Mistakes("f")
    assert read_yaml(b"a: &x 1\n---\nb: *x\n", mistakes) == []
    assert [(p.line, p.column) for p in mistakes.problems] == [(3, 4)]


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


def trees(leaves: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.recursive(
        leaves,
        lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
        max_leaves=12,
    )


surprises = st.sampled_from(
    ["yes", "~", "1:30", "0777", "1.10", "null", "true", "<<", "=", "- a", "a: b", "#", "", " ", "2001-01-01"]
)
text_trees = trees(st.one_of(words, surprises))
json_values = trees(st.one_of(st.none(), st.booleans(), st.integers(-(10**15), 10**15), words))


@given(value=json_values, ascii_only=st.booleans(), indent=st.sampled_from([None, 2, "\t"]))
@settings(max_examples=150)
def test_json_reads_back_as_python_reads_it(value: object, ascii_only: bool, indent: int | str | None) -> None:  # noqa: FBT001  # drawn
    mistakes = Mistakes("f")
    (found,) = read_json(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode(), mistakes)
    assert not mistakes.problems
    assert plain_json(found) == value


@given(value=text_trees, style=st.sampled_from([None, '"', "'", "|", ">"]), flow=st.sampled_from([None, True, False]))
@settings(max_examples=200)
def test_yaml_text_reads_back_as_it_was_written(value: object, style: str | None, flow: bool | None) -> None:  # noqa: FBT001  # drawn
    """Whatever PyYAML writes unquoted by the rules of 1.1 is text by ours, too."""
    text = yaml.safe_dump(value, default_style=style, default_flow_style=flow, allow_unicode=False)
    mistakes = Mistakes("f")
    (found,) = read_yaml(text.encode(), mistakes)
    assert not mistakes.problems
    assert plain_json(found) == value


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        pytest.param('{"a": 1,}', (1, 9), "double quotes", id="a trailing comma"),
        pytest.param("[1, 2,]", (1, 7), "no trailing comma", id="a trailing comma in a list"),
        pytest.param("// note\n{}", (1, 1), "no comment", id="a comment"),
        pytest.param("{'a': 1}", (1, 2), "double quotes", id="single quotes"),
        pytest.param('{"a": yes}', (1, 7), "no value", id="a bare word"),
        pytest.param('{"a": 012}', (1, 7), "no value", id="an octal number"),
        pytest.param('{"a": NaN}', (1, 7), "no value", id="NaN"),
        pytest.param('{"a" 1}', (1, 6), "colon", id="no colon"),
        pytest.param('{"a": 1 "b": 2}', (1, 9), "comma", id="no comma"),
        pytest.param('{"a":\n  "b', (2, 3), "unterminated", id="no end of a text"),
        pytest.param('{"a": "\\x"}', (1, 8), "escape", id="an odd escape"),
        pytest.param("{} {}", (1, 4), "after the end", id="two values"),
        pytest.param('{"a": 1', (1, 8), "comma or }", id="no end"),
        pytest.param('{"a": "\\u0000"}', (1, 7), "NUL", id="an escaped NUL"),
        pytest.param('{"a": "\\ud800"}', (1, 7), "surrogate", id="half a character"),
        pytest.param('{"a": 1, "a": 2}', (1, 10), "twice", id="a doubled key"),
    ],
)  # fmt: skip
def test_json_that_is_none_is_refused_where_it_goes_wrong(text: str, place: tuple[int, int], words: str) -> None:
    mistakes = Mistakes("f")
    read_json(text.encode(), mistakes)
    assert [(problem.line, problem.column) for problem in mistakes.problems] == [place]
    assert words in str(mistakes.problems[0])


def test_sloppy_json_that_the_service_takes_is_taken() -> None:
    text = '{\r\n\t"a": "tab\there",\n\t"b": "line\nend \x01 \x7f \u2019 \u00a0",\t"c": 1e2, "d": -1.50}'
    mistakes = Mistakes("f")
    (found,) = read_json(text.encode(), mistakes)
    assert not mistakes.problems
    assert plain_json(found) == {"a": "tab\there", "b": "line\nend \x01 \x7f \u2019 \u00a0", "c": 100, "d": -1.5}
    assert plain_json(found, as_written) == {
        "a": "tab\there",
        "b": "line\nend \x01 \x7f \u2019 \u00a0",
        "c": "100",
        "d": "-1.50",
    }
