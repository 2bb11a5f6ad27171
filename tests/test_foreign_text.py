"""Strings from nodes and repositories, made to be obeyed, are only shown."""

import csv
import html.parser
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from reconciler.foreign_text import Sink, fit

HOSTILE = [
    pytest.param("\x1b[2J\x1b[31mall is well", id="ansi clears the screen"),
    pytest.param("\x1b]0;title\x07", id="osc sets the title"),
    pytest.param("\x1b]52;c;ZXZpbA==\x07", id="osc writes the clipboard"),
    pytest.param("\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\", id="osc link"),
    pytest.param("\x9b31mred", id="c1 control"),
    pytest.param("a\rb\nc\x0bd\x0ce\x85f\u2028g\u2029h", id="every kind of line break"),
    pytest.param("admin\u202egnp.exe", id="bidirectional override"),
    pytest.param("\u2066x\u2069\u200e\u200f\u061c", id="bidirectional isolates"),
    pytest.param("pass\u200bword\u200c\u200d\ufeff\u2060\u00ad", id="zero width"),
    pytest.param("a\U000e0041\U000e0042", id="tag characters"),
    pytest.param("a\u3164\uffa0\u2800\u115fb", id="blank letters"),
    pytest.param("Z\u0301\u0302\u0303\u0304\u0305\u0306", id="a pile of marks"),
    pytest.param("\ud800 lone", id="lone surrogate"),
    pytest.param("\x00\x07\x08\x7f", id="nul, bell, backspace, delete"),
    pytest.param("[click](http://evil.example) ![i](http://evil.example/x.png)", id="markdown link"),
    pytest.param("<script>alert(1)</script><img src=x onerror=alert(1)>", id="html"),
    pytest.param("\"><svg onload=alert(1)> ' onmouseover='x", id="html attribute"),
    pytest.param("<!-- hidden --> &lt;b&gt; &#60;", id="html comment and entities"),
    pytest.param("``` sh\nrm -rf /\n```", id="code fence"),
    pytest.param("`a` ``b`` ~~~c", id="backticks"),
    pytest.param("a | b | c\n|---|---|", id="table"),
    pytest.param("@everyone @org/team ping me@evil.example", id="mentions"),
    pytest.param("closes #1, owner/repo#2, GH-3, !4", id="references"),
    pytest.param("see http://evil.example or www.evil.example", id="bare links"),
    pytest.param("# heading", id="heading"),
    pytest.param("- item", id="list"),
    pytest.param("1. item", id="numbered list"),
    pytest.param("===", id="underline"),
    pytest.param("    indented code", id="indented"),
    pytest.param("**bold** _it_ ~~gone~~ $x^2$ \\[y\\]", id="emphasis"),
    pytest.param("[bold red]x[/] [/nope] [link=http://evil.example]y", id="rich markup"),
    pytest.param("ends with a backslash\\", id="backslash at the end"),
    pytest.param("\\[red]", id="escaped markup"),
    pytest.param("=HYPERLINK(1)", id="formula"),
    pytest.param("  +1+cmd|' /C calc'!A0", id="formula after spaces"),
    pytest.param("@SUM(A1)", id="formula with at"),
    pytest.param("\uff1dcmd", id="wide formula"),
    pytest.param("::error file=x::boo%0A::add-mask::y", id="github command"),
    pytest.param("##[error]x ##vso[task.setvariable]y", id="azure command"),
    pytest.param("{{ secrets }} {% raw %}", id="template"),
    pytest.param("$(reboot); `reboot`", id="shell"),
    pytest.param("x" * 100_000, id="very long"),
]


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
    shown = fit(text, Sink.MARKDOWN, limit=100)
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
        assert seen == fit(text, Sink.LOG, limit=100)


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
    shown, plain = fit(text, Sink.HTML), fit(text, Sink.LOG)
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


@pytest.mark.parametrize("text", HOSTILE)
def test_rich_shows_it_word_for_word_even_with_markup_on(text: str) -> None:
    console = Console(file=io.StringIO(), width=10_000, color_system="truecolor", force_terminal=True, highlight=False)
    console.print(f"[bold]{fit(text, Sink.TERMINAL)}[/bold]", emoji=False)
    out = console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above
    assert out == f"\x1b[1m{fit(text, Sink.LOG)}\x1b[0m\n"
