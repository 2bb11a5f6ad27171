"""`allowedPattern` means what it means to Java, within bounds; what cannot be had the same is refused in words."""

import resource

import pytest

from reconciler.documents.effort import Effort
from reconciler.documents.error import RenderError
from reconciler.documents.parameters import parameter_values
from reconciler.documents.patterns import matches_whole
from reconciler.model.document import Parameter
from tests.documents.test_documents_as_they_are_written import read


def matches(pattern: str, value: str) -> bool:
    return matches_whole(pattern, value, Effort())


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        (r"\d+", ["12"], ["\u0661", "\u0967"]),
        (r"\D", ["\u0661"], ["1"]),
        (r"\w+", ["aZ_9"], ["\u00e9", "-"]),
        (r"\W", ["\u00e9"], ["a"]),
        (r"\s", ["\t", "\x0b"], ["\u00a0", "\u2003"]),
        (r"[\w-.]+", ["a-b.c"], ["\u00e9", "a b"]),
        (r"\p{Punct}+", list("$+<=>^`|~!-]["), ["a", "\u00a7"]),
        (r"\P{Punct}", ["a"], ["$"]),
        (r"\p{Alnum}+", ["a1"], ["\u00e9"]),
        (r"[\p{Alpha}&&[^b]]", ["a"], ["b", "\u00e9"]),
        (r"\pL\p{Lu}\p{IsAlphabetic}", ["\u00e9\u00c9a"], ["1AA"]),
        (r"[[a-c]x]", ["a", "x"], ["d", "[", "ax]"]),
        (r"[^[a-c]x]", ["d"], ["a", "x"]),
        (r"[a-z&&[def]]", ["d"], ["a"]),
        (r"[]a]", ["]", "a"], ["b"]),
        (r"[a-]", ["-", "a"], ["b"]),
        (r"[a&b]", ["&"], ["c"]),
        (r"[!--z]", ["!", "-", "z"], ["a"]),
        (r"\x{41}\x42\u0043\0104", ["ABCD"], ["x{41}BCD"]),
        (r"\cA", ["\x01"], ["cA", "A"]),
        (r"\Qa.b\E+", ["a.bbb"], ["axb"]),
        (r"[\Q^]\E]+", ["^]"], ["Q"]),
        (r"\h\R", [" \r\n", "\u00a0\n"], ["a\n"]),
        (r".", ["\u00e9"], ["\n", "\r", "\u2028"]),
        (r"(?s).", ["\n"], []),
        (r"(?i)ab[x-z]", ["AbZ"], ["ac"]),
        (r"(?i)k\u00e9", ["K\u00e9"], ["\u212a\u00e9", "k\u00c9"]),
        (r"(?i:a)b", ["Ab"], ["AB"]),
        (r"a((?i)b|c)d", ["aBd", "aCd"], ["aCD"]),
        (r"(^$)|(a|b)\2", ["", "aa"], ["ab"]),
        (r"(?<one>a|b)\k<one>", ["bb"], ["ab"]),
        (r"a++b", ["aab"], ["b"]),
        (r"a{2}", ["aa"], ["a{2}"]),
        (r"(?!b)[a-z]+(?<=c)", ["abc"], ["bc"]),
        ("[\0-\x7f]", ["a", "\0"], ["\u00e9"]),
        (r"a|", ["", "a"], ["|"]),
        (r"#\ \-", ["# -"], []),
    ],
)
def test_patterns_mean_what_they_mean_to_java(pattern: str, yes: list[str], no: list[str]) -> None:
    assert [value for value in yes if not matches(pattern, value)] == []
    assert [value for value in no if matches(pattern, value)] == []


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("a(b", "not closed"),
        ("ab)", "character 3"),
        ("[ab", "a class is not closed (character 1)"),
        ("*a", "repeats nothing"),
        ("a**", "repeats nothing"),
        ("a{x}", "no repetition"),
        ("a{3,1}", "from more to less"),
        ("[b-a]", "from a later character"),
        (r"\y", r"\y means nothing here"),
        ("a\\", "means nothing here"),
        (r"\x{110000}", "no number of a character"),
    ],
)
def test_what_is_no_pattern_is_refused_with_its_place(pattern: str, words: str) -> None:
    with pytest.raises(RenderError, match="is not a regular expression we can read") as refused:
        matches(pattern, "a")
    assert words in str(refused.value)
    document, (said,) = read(
        f"schemaVersion: '2.2'\nparameters:\n  p:\n    type: String\n    allowedPattern: '{pattern}'\n{STEPS}"
    )
    assert document is None
    assert "Doc.yaml:5:21: allowedPattern is no regular expression" in said
    assert words in said
    assert "(character " in said


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"\p{Klingon}", r"the class \p{Klingon} cannot be had here"),
        (r"\N{DIGIT ONE}", "means nothing here"),
        (r"\X", "means nothing here"),
        (r"\b{g}", "means nothing here"),
        ("(?m)^a$", "(?i) and (?s) are"),
        ("(?x) a", "(?i) and (?s) are"),
        ("(?P<a>b)", "(?i) and (?s) are"),
        ("(?#a)", "(?i) and (?s) are"),
        (r"\1(a)", "no group 1"),
        (r"\ud83d", "half of a character"),
        ("[a&&]", "&& without"),
        ("(" * 200 + ")" * 200, "more than 100 groups"),
        ("[" * 200 + "a" + "]" * 200, "more than 100 classes"),
    ],
)
def test_what_cannot_be_had_the_same_is_refused_with_its_place(pattern: str, words: str) -> None:
    with pytest.raises(RenderError, match="is not a regular expression we can read") as refused:
        matches(pattern, "a")
    assert words in str(refused.value)
    assert "(character " in str(refused.value)
    document, (said,) = read(
        f"schemaVersion: '2.2'\nparameters: {{p: {{type: String, allowedPattern: '{pattern}'}}}}\n{STEPS}"
    )
    assert document is not None
    assert words in said


STEPS = "mainSteps: [{name: a, action: 'aws:runShellScript', inputs: {runCommand: [id]}}]\n"


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:(?:x{1000}){1000}){1000}",
        "(?:(?:x{300}){300}){20}",
        "((x{0,9}){999}){999}",
        "(?:(?:(?:x{999}y)+z){999}){9,}",
        "(?:ab|cd){60000}",
        "x{999999999}",
    ],
)
def test_a_pattern_that_would_fill_the_memory_is_refused_where_it_stands(pattern: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    document, (said,) = read(
        f"schemaVersion: '2.2'\nparameters:\n  p:\n    type: String\n    allowedPattern: '{pattern}'\n{STEPS}"
    )
    assert document is None
    assert said.startswith("error: Doc.yaml:5:21: ") or "Doc.yaml:5:21: " in said
    assert "come to more than 100000 characters" in said
    with pytest.raises(RenderError, match="come to more than 100000 characters"):
        matches(pattern, "x")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("[a-z]{0,262144}", "a" * 1000),
        (r"(?:[a-z]{1,255}\.){0,1000}[a-z]{1,63}", "a.b.c"),
        ("(?:x{300}){300}", "x" * 90_000),
        ("(a{1,1000},?){0,1000}", "a,a"),
    ],
)
def test_long_repetitions_that_cost_nothing_are_taken(pattern: str, value: str) -> None:
    assert matches(pattern, value)


def test_all_values_of_a_document_share_the_time_of_its_patterns() -> None:
    ticks = iter(range(1000))
    effort = Effort(clock=lambda: next(ticks) * 0.1)  # every value takes a tenth of a second
    kind = Parameter(name="p", type="StringList", required=True, allowed_pattern="(a|aa)+")
    with pytest.raises(RenderError, match=r"takes longer than 0.5 s, with those before it"):
        parameter_values({"p": kind}, {"p": ["a"] * 5 + ["a" * 60 + "!"]}, {}, effort)
    assert effort.seconds < 0


@pytest.mark.parametrize("rule", ["allowedPattern: ''", "allowedValues: []", "allowedPattern: '', allowedValues: []"])
def test_an_empty_rule_is_none(rule: str) -> None:
    document, said = read(f"schemaVersion: '2.2'\nparameters: {{p: {{type: String, {rule}}}}}\n{STEPS}")
    assert document is not None, said
    assert parameter_values(document.parameters, {"p": ["anything"]}, {}) == {"p": "anything"}
