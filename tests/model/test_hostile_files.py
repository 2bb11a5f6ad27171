"""Files made to hurt: a clear error, never a traceback, a crash, a hang or a gigabyte."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.read_state import read_state
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes, Patience
from reconciler.model.reading.yaml_text import read_yaml
from tests.model.reading import ASSOCIATION, DOCUMENT, FILES, NODE, errors
from tests.support.peak_memory import growth

MEGABYTE = 1024 * 1024
LAUGHS = b"a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 60)
)
DEEP_ALIASES = b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [*a%d]\n" % (i, i, i - 1) for i in range(1, 2000))
HOSTILE = [
    pytest.param(b"[" * 100_000, "64 levels", id="100,000 brackets"),
    pytest.param(b"a: " + b"{b: " * 20_000, "64 levels", id="20,000 braces"),
    pytest.param(b"- " * 100_000, "64 levels", id="100,000 dashes"),
    pytest.param(b"? " * 100_000, "levels|no plain text", id="100,000 question marks"),
    pytest.param(b"".join(b"%sa:\n" % (b" " * i) for i in range(400)), "64 levels", id="a stair"),
    pytest.param(LAUGHS, "too many values", id="a billion laughs"),
    pytest.param(DEEP_ALIASES, "64 levels", id="a tower of aliases"),
    pytest.param(b"Id: a\n" * 150_000, "twice", id="150,000 doubled keys"),
    pytest.param(b"x" * (50 * MEGABYTE), "52428800 bytes, more than 1048576", id="50 MB"),
    pytest.param(b"[" + b"a," * 500_000 + b"]", "too many values", id="500,000 values"),
    pytest.param(b"--- a\n" * 170_000, "too many|20000", id="170,000 documents"),
    pytest.param(b"%TAG !a! b\n" * 90_000, "TAG", id="90,000 directives"),
    pytest.param(b"".join(b"%%TAG !%d! b\n" % i for i in range(50_000)) + b"--- a\n", "TAG", id="directives all different"),
    pytest.param(b"a: &x\n" * 1000 + b"b: *y\n", "", id="anchors and no end"),
    pytest.param(b'"' + b"\\u0041" * 100_000 + b'"', "mapping", id="100,000 escapes"),
    pytest.param(b"\t" * MEGABYTE, "tab|YAML", id="a megabyte of tabs"),
    pytest.param(b"#" * MEGABYTE, "", id="a megabyte of comment"),
    pytest.param(b"a: |\n" + b"\n" * 1_000_000, "", id="a megabyte of lines"),
    pytest.param(b"a: >\n" + b" x\n" * 300_000, "", id="a megabyte of folded text"),
    pytest.param(b"a" * MEGABYTE, "mapping", id="a word of a megabyte"),
    pytest.param(b"a" * 1025 + b": b", "", id="a key of 1025 characters"),
    pytest.param(b"\x00" * 1000, "NUL", id="NULs"),
    pytest.param(b"\xfe\xff" + b"\x00a" * 100, "UTF-16", id="UTF-16"),
    pytest.param("Id: \ud800".encode("utf-8", "surrogatepass"), "not UTF-8", id="half a surrogate pair"),
    pytest.param(b'Id: "\\ud800"', "", id="half a surrogate pair, escaped"),
    pytest.param(b"\xed\xa0\x80", "not UTF-8", id="CESU"),
    pytest.param(b"Id: " + b"9" * 10_000, "node id", id="a number of 10,000 digits"),
    pytest.param(b"Id: a\nAddress: b\nPort: " + b"9" * 10_000, "whole number", id="a port of 10,000 digits"),
    pytest.param(b"Id: a\nAddress: " + b"a." * 200_000, "Address|host name", id="an address of 400,000 characters"),
    pytest.param(b"Id: a\nAddress: b\n" + b"".join(b"k%d: 1\n" % i for i in range(60_000)), "unknown key", id="60,000 unknown keys"),
    pytest.param(b"Id: a\nAddress: b\nTags: {Role:" + b"- " * 100_000 + b"}", "this must be text", id="a tag of 200,000 characters"),
]  # fmt: skip


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    """How far the whole process grows, libyaml's memory included."""
    with growth() as grown:
        yield
    assert grown.kib < megabytes * 1024


@pytest.mark.parametrize(("data", "words"), HOSTILE)
@pytest.mark.parametrize(
    "file",
    ["state/nodes/x.yaml", "documents/Xyz.json"],
)
def test_a_file_made_to_hurt_is_refused(file: str, data: bytes, words: str) -> None:
    with at_most(300):
        _, problems = read_state({file: data})
    told = "\n".join(map(str, problems))
    assert len(problems) <= 1001
    assert all(len(str(problem)) < 5000 for problem in problems)
    if file.endswith("yaml"):
        assert any(word in told for word in words.split("|"))
    elif not data.startswith(b"#"):
        assert "documents/Xyz.json:" in told


def test_many_files_that_are_each_in_order_have_a_limit_together() -> None:
    patience = Patience(values=1000)
    dense = b"Tags: {" + b",".join(b"k%d: 1" % i for i in range(300)) + b"}\n"
    found = []
    for file in ("a", "b", "c", "d"):
        mistakes = Mistakes(file, patience)
        assert bool(read_yaml(dense, mistakes)) == (file != "d")
        found += mistakes.problems
    assert [problem.file for problem in found] == ["d"]
    assert "all files together come to too many values" in found[0].message


def test_more_text_than_anybody_reviews_is_refused_unread() -> None:
    (problem,) = errors({f"state/nodes/{i}.yaml": b"\t" * MEGABYTE for i in range(65)})
    assert "67108864 bytes" in problem.message


def test_after_a_bomb_the_other_files_are_still_read() -> None:
    found = errors(FILES | {"state/nodes/a.yaml": LAUGHS})
    assert {problem.file for problem in found} == {"state/nodes/a.yaml"}


def test_ten_thousand_mistakes_of_one_kind_end() -> None:
    nodes = "---\n".join(f"Id: n{i}\nAddress: h{i}\nGateway: gone{i}\nProt: 3\n" for i in range(300))
    found = errors({f"state/nodes/{i}.yaml": nodes.replace("Id: n", f"Id: f{i}n") for i in range(20)})
    assert len(found) == 20 * 600


pieces = st.sampled_from(
    [
        "Id", "Address", ": ", "\n", " ", "  ", "- ", "[", "]", "{", "}", ",", "&a ", "*a", "!!str ", "---\n", "...\n", "'",
        '"', "|\n", ">-\n", "# x\n", "? ", "<<", "~", "null", "true", "1.10", "0777", "1:30", "\t", "\ufeff", "\x85", "\u2028",
        "é", "%TAG ", "schemaVersion", "2.2", "mainSteps", "parameters", "Expect", "Files", "Name", "Targets", "Key", "\\",
    ]
)  # fmt: skip
texts = st.lists(pieces, max_size=60).map("".join).map(str.encode)
anything = st.one_of(st.binary(max_size=400), texts)
paths = st.sampled_from(
    [
        "state/fleet.yaml", "state/known_hosts", "state/nodes/a.yaml", "state/groups/a.yaml", "state/associations/a.yaml",
        "state/windows/a.yaml", "state/calendars/a.ics", "state/parameters/a/b.yaml", "documents/Abc.yaml",
        "documents/Abc.json", "documents/Def/1.yaml", "documents/Ghi/one.yaml", "documents/Ghi/02.json", "documents/a.yaml",
        "documents/Def/1.json", "documents/Def/default", "baselines/a.yaml", "state/x",
    ]
)  # fmt: skip


@given(files=st.dictionaries(paths, anything, max_size=4))
@settings(max_examples=200)
def test_no_bytes_raise_anything(files: Mapping[str, bytes]) -> None:
    desired, problems = read_state(files, bundled=files)
    assert all(problem.message and problem.file for problem in problems)
    assert (desired is None) == any(problem.gravity.value == "error" for problem in problems)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file of some kind, with a piece cut out, doubled or replaced."""
    text = draw(st.sampled_from([NODE, DOCUMENT, ASSOCIATION + "Expect: {Files: [{Path: /a, Mode: '0644'}]}\n"]))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 12)))
    return (text[:start] + draw(st.one_of(st.just(""), pieces, st.text(max_size=4))) + text[end:]).encode(
        "utf-8", "replace"
    )


@given(path=paths, data=damaged())
@settings(max_examples=150)
def test_damaged_files_raise_nothing(path: str, data: bytes) -> None:
    read_state({path: data, "documents/Motd.yaml": DOCUMENT.encode()})


@given(data=anything)
@settings(max_examples=150)
def test_what_is_not_read_is_said(data: bytes) -> None:
    for read in (read_yaml, read_json):
        mistakes = Mistakes("f")
        values = read(data, mistakes)
        assert values or mistakes.problems or read is read_yaml
