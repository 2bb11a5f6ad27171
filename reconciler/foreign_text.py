r"""The one function that makes strings from nodes and repositories fit for a sink.

Takes whatever a node or a repository said; gives a short string of one line that the sink shows and does not obey: control
characters, escape sequences, bidirectional overrides and invisible characters become visible (`\n`, `\x1b`, `\u202e`), and what
the sink itself would interpret is neutralised. It never raises on any input, and does not shorten names to make them nice.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Mapping
from enum import Enum


class Sink(Enum):
    """Where a string goes."""

    TERMINAL = "terminal"
    """A terminal, or a pipe that may end in a build's log. Print it as it is: no markup is escaped (Rich's is not)."""
    LOG = "log"
    MARKDOWN = "markdown"
    """Running text, a list item or a table cell; not inside a code span, where nothing can be escaped."""
    HTML = "html"
    """Text, or an attribute's value in quotes."""
    CSV = "csv"
    """One cell; quoting it is the writer's business."""
    CI = "ci"
    """A line of a build's log, or the message of an annotation."""
    COMMIT = "commit"
    """A line of a commit's message, which forges read for mentions, issues to close and builds to skip."""


LIMIT = 500
"""Characters: more is no message any more."""


def fit(text: str | bytes, sink: Sink, *, limit: int = LIMIT) -> str:
    """Give `text` as one harmless line for `sink`; of more than `limit` characters the rest is counted, not shown."""
    if isinstance(text, bytes):
        shown = text[: 4 * limit].decode("utf-8", "backslashreplace")
        is_cut, unit = len(shown) > limit or len(text) > 4 * limit, "bytes"
    else:
        shown, is_cut, unit = text, len(text) > limit, "characters"
    more = f" ... ({len(text)} {unit} in all)" if is_cut else ""
    return _NEUTRALISE[sink](_visible(shown[:limit])) + more


def json_escaped(text: bytes) -> bytes:
    """Give JSON in which nothing is obeyed or hidden where it is looked at: the same value, in JSON's own escapes.

    What an escape stands for is a fixed list, and no table of the Python that runs this: the same value, the same bytes.
    """
    if text.isascii() and b"\x7f" not in text:
        return text
    return _UNSEEN.sub(lambda match: _json_escape(match[0]), text.decode()).encode()


_UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""DEL and C1, bidirectional and other formats, variation selectors and tags, letters that show nothing."""


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _visible(text: str) -> str:
    """Write every character that is not plainly seen as an escape."""
    if _PLAIN.fullmatch(text):
        return text
    text = _NOT_PLAIN.sub(lambda match: _escape(match[0]) if _is_hidden(match[0]) else match[0], text)
    return _PILES.sub(lambda match: match[1] + "".join(map(_escape, match[2])), text)


_PLAIN = re.compile(r"[\x20-\x7e]*")
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]")

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"}
"""Controls, formats (bidirectional and zero-width among them), surrogates, private and unassigned ones, and odd spaces."""

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that show nothing."""

_VARIATIONS = re.compile("[\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Variation selectors carry bits that nobody sees."""

_PILES = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3})"
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+)"
)
"""More combining marks on one letter than any language has: they paint over the lines around them."""


def _is_hidden(char: str) -> bool:
    return unicodedata.category(char) in _HIDDEN or char in _BLANK or _VARIATIONS.match(char) is not None


_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    if code <= 0xFF:  # noqa: PLR2004  (what two hexadecimal digits hold)
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  (and four)


def _for_terminal(text: str) -> str:
    """Break what a build's runner takes for a command in any program's output, as our commands' often is."""
    return _RUNNERS.sub(lambda match: f"{match[1]}\\x3a:" if match[2] else "#\\x23", text)


_RUNNERS = re.compile(r"^(\s*)(::)(?=[\w-]*[g-z])|##(?=\w*\[)", re.IGNORECASE)
"""GitHub's `::error::` at the beginning of a line (with a letter that no IPv6 address has), `##[error]`, `##vso[`, `##teamcity[`."""


def _for_markdown(text: str) -> str:
    """Escape what Markdown reads, and cut what GitHub and GitLab turn into links: addresses, mentions, references."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"[\\`*_{}\[\]|~$]", r"\\\g<0>", text)
    text = re.sub(r"^( *)(?:([#+=-])|(\d+)([.)]))", _not_a_block, text)
    text = re.sub(r"[@#!](?=\S)", "\\g<0>&#8203;", text)  # GitHub's mentions and issues, GitLab's merge requests
    text = re.sub(r"(?i)\b(GH)-(?=\d)", r"\1&#8203;-", text)
    text = re.sub(r"(?i)(www)\.", r"\1&#46;", text).replace("://", "&#58;//")
    text = re.sub(r"^( *)::", r"\1&#58;:", text)  # a page that is printed in a build's log
    return "&#32;" + text[1:] if text.startswith(" ") else text  # four spaces would be a block of code


def _not_a_block(match: re.Match[str]) -> str:
    """Escape what would start a heading, a rule or a list at the beginning of a line."""
    space, sign, number, stop = match.groups()
    return f"{space}\\{sign}" if sign else f"{space}{number}\\{stop}"


def _for_html(text: str) -> str:
    return html.escape(text, quote=True)


def _for_csv(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would compute."""
    return "'" + text if text.lstrip(" '\"")[:1] in _FORMULA else text


_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20\u2212")


def _for_ci(text: str) -> str:
    """Escape what GitHub's, GitLab's and Azure's runners take for a command in a line of output."""
    return text.replace("%", "%25").replace("::", ":%3A").replace("##", "#%23")


def _for_commit(text: str) -> str:
    """Part, by a space, what a forge acts on in a commit's message: `@team`, `closes #1`, `[skip ci]`; nothing can be escaped there."""
    text = _for_terminal(text)  # `git log` in a build
    return _FORGES.sub(r"\g<0> ", text).replace("://", ": //").replace("***", "* * *")


_FORGES = re.compile(r"(?<!\w)@(?=\w)|[#!](?=\d)|\bGH-(?=\d)|\[(?=[\w -]*\bskip\b|[\w -]*\bno[ -]ci\b)", re.IGNORECASE)


_NEUTRALISE: Mapping[Sink, Callable[[str], str]] = {
    Sink.TERMINAL: _for_terminal,
    Sink.LOG: _for_terminal,
    Sink.MARKDOWN: _for_markdown,
    Sink.HTML: _for_html,
    Sink.CSV: _for_csv,
    Sink.CI: _for_ci,
    Sink.COMMIT: _for_commit,
}
