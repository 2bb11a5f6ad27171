"""Parameters as the AWS CLI takes them, shorthand or JSON -> SSM's wire form: names to lists of strings; pure.

commands="yum update -y"            commands=["echo a, b",id],workingDirectory=/srv
{"commands": ["echo a"], "executionTimeout": "60"}
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

from reconciler.documents.compact_json import as_text
from reconciler.documents.error import RenderError
from reconciler.model.known import JsonValue

Given = Mapping[str, tuple[str, ...]]


def given_parameters(arguments: Sequence[str]) -> Given:
    """Read the words of `--parameters`. Raises RenderError that says where the text stops making sense."""
    given: dict[str, tuple[str, ...]] = {}
    for argument in arguments:
        text = argument.strip()
        read = _from_json(text) if text.startswith("{") else _Shorthand(text).read()
        for name, values in read.items():
            if name in given:
                raise RenderError(f"--parameters: {name} is given twice: give it once, with all its values")
            given[name] = values
    return given


def _from_json(text: str) -> Given:
    try:
        value = strict_json(text)
    except (ValueError, RecursionError) as exc:
        raise RenderError(f"--parameters: this begins like JSON and is none ({exc})") from exc
    if not isinstance(value, Mapping):
        raise RenderError('--parameters: write one JSON object, as {"NAME": ["VALUE"]}')
    return {name: _values(name, found) for name, found in value.items()}


def strict_json(text: str) -> JsonValue:
    """Read JSON from a command line. Raises ValueError, also for a name that stands twice: json lets the last one win."""
    value: JsonValue = json.loads(text, object_pairs_hook=_each_once)
    return value


def _each_once(pairs: list[tuple[str, JsonValue]]) -> JsonValue:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:80]!r} is given twice in one object")
    return found


def _values(name: str, value: JsonValue) -> tuple[str, ...]:
    """Give a JSON value as a list of strings; what is not text becomes compact JSON. SSM: a value is text, never null."""
    found = value if isinstance(value, list) else [value]
    if any(one is None for one in found):
        raise RenderError(f"--parameters: {name} is null: give a value, or leave the name out for its default")
    return tuple(as_text(one) for one in found)


def shorthand(text: str, option: str) -> Given:
    """Read the AWS CLI's shorthand, as `Key=tag:Role,Values=web,db`. Raises RenderError that names `option`."""
    return _Shorthand(text, option).read()


_NAME = re.compile(r"\s*[A-Za-z0-9]+=")


class _Shorthand:
    """Reads `name=value,name=[a,"b c"]`; a value that holds no `=` goes on the list before it, as in the AWS CLI."""

    def __init__(self, text: str, option: str = "--parameters") -> None:
        self._text = text
        self._option = option
        self._at = 0

    def read(self) -> Given:
        found: dict[str, tuple[str, ...]] = {}
        while self._at < len(self._text):
            name = self._name()
            if name in found:
                self._wrong(f"{name} is given twice")
            found[name] = self._list()
        return found

    def _name(self) -> str:
        begin = self._at
        end = self._text.find("=", begin)
        name = self._text[begin : max(end, begin)].strip()
        if not name.isalnum() or not name.isascii():
            self._wrong("here stands no NAME=")
        self._at = end + 1
        return name

    def _list(self) -> tuple[str, ...]:
        if self._next() == "[":
            self._at += 1
            values = [] if self._next() == "]" else self._comma_separated("]")
            if self._next() != "]":
                self._wrong("this list has no ]")
            self._at += 1
            self._end_of_value()
            return tuple(values)
        values = [self._value(",")]
        while self._at < len(self._text) and self._goes_on():
            self._at += 1
            values.append(self._value(","))
        self._end_of_value()
        return tuple(values)

    def _comma_separated(self, end: str) -> list[str]:
        values = [self._value(f",{end}")]
        while self._next() == ",":
            self._at += 1
            values.append(self._value(f",{end}"))
        return values

    def _goes_on(self) -> bool:
        """Whether the next value belongs to the same name: no NAME= stands behind the comma."""
        if self._text[self._at] != ",":
            return False
        return _NAME.match(self._text, self._at + 1) is None

    def _end_of_value(self) -> None:
        rest = self._next()
        if rest == ",":
            self._at += 1
            behind = self._at
            if not self._next():
                self._at = behind
                self._wrong("nothing follows this comma")
        elif rest:
            self._wrong("a comma is missing")

    def _value(self, ends: str) -> str:
        quote = self._next()
        if quote in {'"', "'"}:
            return self._quoted(quote)
        begin = self._at
        while self._at < len(self._text) and self._text[self._at] not in ends:
            self._at += 1
        return self._text[begin : self._at].strip()

    def _quoted(self, quote: str) -> str:
        begin = self._at
        self._at += 1
        out: list[str] = []
        while self._at < len(self._text):
            char = self._text[self._at]
            following = self._text[self._at + 1 : self._at + 2]
            if char == "\\" and following in {quote, "\\"}:
                out.append(following)
                self._at += 2
                continue
            self._at += 1
            if char == quote:
                return "".join(out)
            out.append(char)
        self._at = begin
        return self._wrong("this quote is not closed")

    def _next(self) -> str:
        """Give the next character that is no blank, and move to it; empty at the end."""
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _wrong(self, why: str) -> NoReturn:
        around = self._text[max(0, self._at - 20) : self._at + 20]
        raise RenderError(
            f"{self._option}, at character {self._at + 1}, near {around!r}: {why}; "
            "write NAME=VALUE,NAME=[VALUE,VALUE], or JSON"
        )
