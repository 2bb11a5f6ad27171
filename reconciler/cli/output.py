"""How results reach people and programs: text on stdout for people, one versioned JSON document for programs."""

import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TextIO

import orjson

from reconciler.errors import ReconcilerError
from reconciler.foreign_text import Sink, fit


class Format(StrEnum):
    """For people or for programs."""

    TEXT = "text"
    JSON = "json"


def say(text: str = "", *, error: bool = False) -> None:
    """Write one line of our own words (foreign parts already rendered)."""
    write(sys.stderr if error else sys.stdout, text + "\n")


def write(stream: TextIO, text: str) -> None:
    """Write and flush. Raises ReconcilerError where there is no room for it; a closed pipe is the program's business."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as exc:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or the interpreter tries once more at its end
        raise ReconcilerError(f"the output cannot be written: {exc.strerror}") from exc


def shown(text: str, limit: int = 500) -> str:
    """Render a foreign string for a terminal."""
    return fit(text, Sink.TERMINAL, limit=limit)


def say_json(value: Mapping[str, Any]) -> None:
    """Write one JSON document; `version` comes first by being the reader's first question."""
    whole = {"version": 1, **value}
    try:
        content = orjson.dumps(whole, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:  # the name of a file may be any bytes: those that are no text are written as escapes
        content = orjson.dumps(_text_alone(whole), option=orjson.OPT_INDENT_2)
    say_document(content + b"\n")


def _text_alone(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {_text_alone(key): _text_alone(each) for key, each in value.items()}
        case list() | tuple():
            return [_text_alone(each) for each in value]
        case _:
            return value


def say_document(content: bytes) -> None:
    """Write JSON that is made already. What a terminal would obey or hide is written as JSON's own escape: the same value."""
    text = content.decode()
    plain = text.isascii() and "\x7f" not in text and "##" not in text
    write(sys.stdout, text if plain else _NOT_PLAIN.sub(_json_escape, text))


_NOT_PLAIN = re.compile(r"[^\n\x20-\x7e]|(?<=#)#(?=\w*\[)")
"""What a terminal would obey or hide, and what a build's runner takes for a command anywhere in a line: `##vso[`."""


def _json_escape(match: re.Match[str]) -> str:
    char = match[0]
    if (
        char != "#"
        and unicodedata.category(char)[0] in "LNSP"
        and (sys.stdout.encoding or "").lower() in {"utf-8", "utf8"}
    ):
        return char
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def say_page(text: str) -> None:
    """Write a page of several lines that somebody else wrote: each line as it is, but for what a terminal would obey."""
    for line in text.splitlines():
        say(fit(line, Sink.LOG, limit=10_000))


def colour(text: str, code: str) -> str:
    """Colour our own word, on a terminal only; NO_COLOR is honoured."""
    return f"\x1b[{code}m{text}\x1b[0m" if takes_colour(sys.stdout) else text


def takes_colour(stream: TextIO) -> bool:
    """Whether somebody looks at this stream who wants colour: NO_COLOR and TERM=dumb say no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


STATE_COLOURS = {
    "InSync": "32",
    "COMPLIANT": "32",
    "Pending": "36",
    "Waiting": "36",
    "Drifted": "33",
    "Unknown": "35",
    "UNKNOWN": "35",
    "Failed": "31",
    "NON_COMPLIANT": "31",
}


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out rows in columns; cells are rendered for the terminal, state words coloured on one."""
    cells = [[shown(cell, 160) for cell in row] for row in rows]
    widths = [max([len(header), *(len(row[i]) for row in cells)]) for i, header in enumerate(headers)]
    out = ["  ".join(header.ljust(width) for header, width in zip(headers, widths, strict=True)).rstrip()]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        coloured = [
            colour(text, STATE_COLOURS[cell]) if cell in STATE_COLOURS else text
            for cell, text in zip(row, padded, strict=True)
        ]
        out.append("  ".join(coloured).rstrip())
    return "\n".join(out)
