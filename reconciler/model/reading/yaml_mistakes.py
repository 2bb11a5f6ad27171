"""Why a text is no YAML: libyaml's error -> a problem in our words, where the mistake is and not where it was noticed."""

import re
from typing import Any, NamedTuple

from yaml import CSafeLoader, YAMLError
from yaml.events import ScalarEvent, StreamEndEvent

from reconciler.model.reading.mistakes import Mistakes, cut

_NOTICED_LATE = frozenset(
    {"found unexpected end of stream", "found unexpected document indicator", "could not find expected ':'"}
)
"""A quote that is never closed, and words that are no key, are noticed at the end; the mistake is where they begin."""
_COMMENT = re.compile("#.*")
_KEY = re.compile(r" *(- +)*[A-Za-z][\w.-]*:( |$)")
_GOES_ON = re.compile(r""" *(#|---|\.\.\.|-( |$)|[\[\]{}?&*!|>]|("[^"]*"|'[^']*'|[^\s#:"'][^\s:]*) *:( |$))""")
"""How a line begins that may follow a block of text; anything else has left the block by its indentation."""
_BLOCKS = frozenset("|>")
_LONGEST_REREAD = 262_144
"""Characters: a longer text is not read again to find a better place; four times what the longest document on SSM has."""
_NOT_QUOTED = "SecureString"
"""A file with this word in it may hold a secret in any line: where it is no YAML, nobody can tell which."""


class _Blame(NamedTuple):
    """A place before the one where libyaml noticed something, and what is wrong there."""

    line: int
    column: int
    problem: str
    remedy: str


def shown(met: str, text: str) -> str:
    """Give what was met in a text, as far as it may be told."""
    return "[not shown]" if met and _NOT_QUOTED in text else met


def explain_yaml(exc: YAMLError, text: str, mistakes: Mistakes) -> None:
    """Say in our words what libyaml says in its own."""
    problem = str(getattr(exc, "problem", None) or exc)
    marks = (getattr(exc, "problem_mark", None), getattr(exc, "context_mark", None))
    mark = (marks[1] if problem in _NOTICED_LATE else None) or marks[0] or marks[1]
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    lines = text.split("\n")
    blamed = None
    if mark is not None and len(text) <= _LONGEST_REREAD:
        texts = _texts(text)
        blamed = _forgotten_quote(texts, mark.index, text) or _left_block(texts, line, lines)
    if blamed is None and marks[1] is not None:
        blamed = _opened(problem, marks[1], line, lines)
    remedy = None
    if blamed is not None:
        line, column, problem, remedy = blamed
    met = lines[line - 1] if 0 < line <= len(lines) else ""
    value = shown(met.strip(), text)
    indent = met[: len(met) - len(met.lstrip())]
    if "\t" in indent or "'\\t'" in problem:
        column = indent.index("\t") + 1 if "\t" in indent else column
        mistakes.error((line, column), "a tab where YAML takes only blanks", value=value, remedy="indent with blanks")
        return
    mistakes.error((line, column), f"not YAML: {problem}", value=value, remedy=remedy or _hint(cut(met)))


def _texts(text: str) -> list[ScalarEvent]:
    """Give the blocks of text that could be read, and the last text of any kind. Reads a second time: only here somebody asks."""
    blocks: list[ScalarEvent] = []
    last: list[ScalarEvent] = []
    parser = CSafeLoader(text)
    try:
        while not isinstance(event := parser.get_event(), StreamEndEvent):
            if isinstance(event, ScalarEvent):
                last = [event]
                if event.style in _BLOCKS:
                    blocks.append(event)
    except YAMLError:
        pass
    finally:
        parser.dispose()
    return blocks + last


def _forgotten_quote(texts: list[ScalarEvent], at: int, text: str) -> _Blame | None:
    """Blame a quote that was opened and closed, lines below, right before what cannot be read.

    The next quoted text closes what was forgotten, however far away it is.
    """
    last = texts[-1] if texts else None
    if last is None or last.start_mark is None or last.end_mark is None or last.style not in {"'", '"'}:
        return None
    end = last.end_mark.index
    rest_of_line = text[end : end + 1].strip()
    # What touches the quote, like "#!/bin/sh", is taken for a comment there.
    is_next = end <= at and not _COMMENT.sub("", text[end:at]).strip()
    if not rest_of_line or not is_next or last.start_mark.line == last.end_mark.line:
        return None
    problem = f"a quote that is opened here closes at line {last.end_mark.line + 1}, in the middle of other text"
    return _Blame(last.start_mark.line + 1, last.start_mark.column + 1, problem, "close it, and check quotes within it")


def _left_block(texts: list[ScalarEvent], line: int, lines: list[str]) -> _Blame | None:
    """Blame the line that ended a block of text by its indentation, and is neither key nor list item."""
    for block in texts:
        if block.style not in _BLOCKS or block.end_mark is None:
            continue
        found = next((at for at in range(block.end_mark.line, min(line, len(lines))) if lines[at].strip()), None)
        if found is not None and not _GOES_ON.match(lines[found]) and "\t" not in lines[found][: _indent(lines[found])]:
            problem = "a line that left its block of text: it is indented less"
            return _Blame(found + 1, _indent(lines[found]) + 1, problem, "indent it like the lines above")
    return None


def _opened(problem: str, opening: Any, line: int, lines: list[str]) -> _Blame | None:
    """Blame a bracket or a quote that is opened where the context begins, and runs over what stands below it."""
    begin = opening.line
    if begin + 1 >= line or begin >= len(lines):
        return None
    told = None
    if problem.startswith("did not find expected ',' or") and (
        line > len(lines) or _indent(lines[line - 1]) <= _indent(lines[begin])
    ):
        told = f"a bracket that is opened here is not closed before line {line}"
    elif "escape character" in problem and any(map(_KEY.match, lines[begin + 1 : line])):
        told = f"a quote that is opened here runs over keys to line {line}, where a backslash means nothing"
    return (
        None if told is None else _Blame(begin + 1, opening.column + 1, told, "close it, and check brackets and quotes")
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _hint(met: str) -> str:
    if ": " in met and met.count(": ") > 1:
        return "put quotes around a text that holds a colon and a blank"
    return "check indentation, quotes and brackets from here upwards"
