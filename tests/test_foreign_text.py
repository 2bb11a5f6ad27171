"""Strings from nodes and repositories, made to be obeyed, are only shown."""

import csv
import html.parser
import io
import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reconciler.foreign_text import Sink, fit, json_escaped
from tests.support.hostile_strings import hostile_strings

HOSTILE = [pytest.param(text, id=name) for name, text in hostile_strings().items()]


def _unbroken(text: str) -> str:
    """Undo what is done for the runners of builds alone."""
    return text.replace("\\x3a:", "::").replace("#\\x23", "##")


def is_seen(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] in "LMNPS"


@pytest.mark.parametrize("sink", list(Sink))
@pytest.mark.parametrize("text", HOSTILE)
def test_what_comes_out_is_one_visible_line(text: str, sink: Sink) -> None:
    shown = fit(text, sink)
    assert all(map(is_seen, shown))
    assert len(shown) < 6_000


@given(st.text() | st.binary(), st.sampled_from(list(Sink)))
def test_any_input_comes_out_as_one_visible_line(text: str | bytes, sink: Sink) -> None:
    assert all(map(is_seen, fit(text, sink)))


@pytest.mark.parametrize("text", HOSTILE)
def test_json_that_is_kept_hides_nothing_and_says_the_same(text: str) -> None:
    made = json_escaped(json.dumps({text: [text]}, ensure_ascii=False).encode("utf-8", "replace"))
    assert {char for char in made.decode() if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}} == set()
    assert json.loads(made) == json.loads(json.dumps({text: [text]}, ensure_ascii=False).encode("utf-8", "replace"))


@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_any_json_that_is_kept_says_the_same(text: str) -> None:
    made = json_escaped(json.dumps(text, ensure_ascii=False).encode())
    assert json.loads(made) == text
    assert {char for char in made.decode() if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}} == set()


def test_json_that_is_kept_keeps_letters_as_they_are() -> None:
    kept = '{\n  "Zürich 東京 नमस्ते 👍": 1\n}\n'.encode()
    assert json_escaped(kept) == kept


@pytest.mark.parametrize("sink", list(Sink))
def test_plain_words_stay_as_they_are(sink: Sink) -> None:
    assert fit("nginx 1.22.1-9 is older than 1.24", sink) == "nginx 1.22.1-9 is older than 1.24"


@pytest.mark.parametrize("sink", list(Sink))
def test_other_alphabets_stay_as_they_are(sink: Sink) -> None:
    assert fit("Zürich 東京 Київ नमस्ते", sink) == "Zürich 東京 Київ नमस्ते"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a\nb\tc\r", "a\\nb\\tc\\r", id="line breaks"),
        pytest.param("\x1b[31m", "\\x1b[31m", id="escape"),
        pytest.param("\u202e\U000e0041", "\\u202e\\U000e0041", id="invisible"),
        pytest.param(b"ok \xff\xfe", "ok \\xff\\xfe", id="bytes that are not UTF-8"),
        pytest.param("Zürich".encode(), "Zürich", id="bytes that are"),
    ],
)
def test_the_hidden_is_written_out(text: str | bytes, shown: str) -> None:
    assert fit(text, Sink.LOG) == shown


def test_what_is_cut_says_how_long_it_was() -> None:
    assert fit("x" * 600, Sink.LOG, limit=5) == "xxxxx ... (600 characters in all)"
    assert fit(b"x" * 600, Sink.LOG, limit=5) == "xxxxx ... (600 bytes in all)"
    assert fit("é" * 5, Sink.LOG, limit=5) == "é" * 5


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("around", ["{}", "- {}", "| {} |\n|---|\n| {} |", "**{}**", "before {} after"])
def test_markdown_shows_the_text_and_nothing_else(text: str, around: str) -> None:
    shown = fit(text, Sink.MARKDOWN, limit=100) or "nothing"
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(around.replace("{}", shown))
    inline = [child for token in tokens if token.type == "inline" for child in token.children or ()]
    assert {token.type for token in tokens} <= {
        *("inline", "paragraph_open", "paragraph_close", "bullet_list_open", "bullet_list_close", "list_item_open"),
        *("list_item_close", "table_open", "table_close", "thead_open", "thead_close", "tbody_open", "tbody_close"),
        *("tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close"),
    }
    assert {child.type for child in inline} <= {"text", "text_special", "strong_open", "strong_close"}
    if around == "{}":
        seen = "".join(child.content for child in inline).replace("\u200b", "")
        assert seen.strip() == _unbroken(fit(text or "nothing", Sink.LOG, limit=100)).strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_no_link_or_mention_is_left_for_github_to_find(text: str) -> None:
    shown = fit(text, Sink.MARKDOWN)
    assert "://" not in shown
    assert "www." not in shown.lower()
    assert "<" not in shown
    assert not any(sign + char in shown for sign in "@!" for char in "aeo1234")


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", HOSTILE)
def test_html_shows_the_text_in_a_page_and_in_an_attribute(text: str) -> None:
    shown, plain = fit(text, Sink.HTML), _unbroken(fit(text, Sink.LOG))
    page = _Page()
    page.feed(f"<p title=\"{shown}\" class='{shown}'>{shown}</p>")
    page.close()
    assert page.tags == [("p", [("title", plain), ("class", plain)])]
    assert page.text == plain


@pytest.mark.parametrize("text", HOSTILE)
def test_a_spreadsheet_computes_nothing(text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([fit(text, Sink.CSV)])
    (cell,) = next(csv.reader(io.StringIO(out.getvalue())))
    assert cell.lstrip(" ")[:1] not in {"=", "+", "-", "@", "\t", "\r", "\uff1d"}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_runner_finds_no_command_in_its_log(text: str) -> None:
    shown = fit(text, Sink.CI)
    assert "::" not in shown
    assert "##" not in shown
    assert "%0A" not in shown.replace("%25", "")


@pytest.mark.parametrize("sink", [Sink.TERMINAL, Sink.LOG])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_runner_finds_no_command_in_what_a_terminal_is_shown(text: str, sink: Sink) -> None:
    shown = fit(text, sink)
    assert RUNNERS.search(shown) is None


RUNNERS = re.compile(r"^\s*::[\w-]+[^:]*::|##(vso|\w*)\[")


@pytest.mark.parametrize("sink", [Sink.TERMINAL, Sink.LOG])
@pytest.mark.parametrize(
    "text",
    [
        "'[a-z ]+'",
        "[bold]x[/]",
        "[link=x]y",
        "a\\b \\[x]",
        "::1",
        "::",
        "::ffff:10.0.0.1",
        "a::b",
        "## x",
        "a#b ##",
        "C:\\",
    ],
)
def test_a_terminal_is_shown_what_stands_there(text: str, sink: Sink) -> None:
    assert fit(text, sink) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_forge_finds_nothing_to_do_in_a_commit(text: str) -> None:
    shown = fit(text, Sink.COMMIT)
    assert "://" not in shown
    assert re.search(r"(?<!\w)@\w|[#!]\d|GH-\d|\[(skip|no|ci|actions)\b|\*\*\*NO_CI", shown) is None


def test_a_commit_keeps_words_that_no_forge_acts_on() -> None:
    text = "getty@tty1.service: a#b, C# and F#, [x] array[skipped], 5!"
    assert fit(text, Sink.COMMIT) == text
