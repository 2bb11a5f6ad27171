"""What a YAML or JSON text says, with the line and column of every key and value; what a scalar means is asked for later.

Scalars keep the text as written: a text field reads `1.10`, `yes` and `0777` as those very characters.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from reconciler.model.known import JsonValue

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?")
"""Plain decimal numbers; no octals, sexagesimals, exponents, `+` or `.5`: those are text. Longer ones are text, too."""
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
NULLS = frozenset({"", "null", "Null", "NULL"})
_WORDS: Mapping[str, bool | None] = dict.fromkeys(NULLS) | {
    word: truth for name, truth in (("true", True), ("false", False)) for word in (name, name.title(), name.upper())
}
"""YAML 1.2 and SSM's own reader take three spellings of each; `yes`, `on` and `~` are text here."""


class Scalar(NamedTuple):
    """One scalar as written. Tuples, not dataclasses: 10,000 nodes have 150,000 of them, made in a third of the time."""

    text: str
    plain: bool
    """Not quoted and no block: may mean null, a boolean or a number."""
    line: int
    column: int


class Items(NamedTuple):
    """A list."""

    items: list["Value"]
    line: int
    column: int


class Table(NamedTuple):
    """A mapping: keys are text as written, each with its place."""

    entries: dict[str, "Value"]
    places: dict[str, tuple[int, int]]
    """Where each key stands."""
    line: int
    column: int

    def scalar(self, key: str) -> str | None:
        """Give the text of a scalar entry; None where it is missing, null, or no scalar."""
        found = self.entries.get(key)
        if type(found) is not Scalar:  # asked twenty times a node, and no subclass exists
            return None
        text = found.text
        return None if found.plain and text in NULLS else text

    def texts(self, key: str) -> list[Scalar]:
        """Give the scalars of a list entry; a single scalar counts as a list of one."""
        found = self.entries.get(key)
        if isinstance(found, Items):
            return [item for item in found.items if isinstance(item, Scalar)]
        return [found] if isinstance(found, Scalar) and not is_null(found) else []

    def table(self, key: str) -> "Table | None":
        """Give a mapping entry; None where it is missing or something else."""
        found = self.entries.get(key)
        return found if isinstance(found, Table) else None

    def tables(self, key: str) -> "list[Table]":
        """Give the mappings of a list entry."""
        found = self.entries.get(key)
        return [item for item in found.items if isinstance(item, Table)] if isinstance(found, Items) else []

    def flag(self, key: str) -> bool:
        """Whether an entry is `true`."""
        found = self.entries.get(key)
        return isinstance(found, Scalar) and resolve(found) is True

    def integer(self, key: str) -> int | None:
        """Give an entry's whole number, plain or quoted."""
        text = self.scalar(key)
        return int(text) if text is not None and re.fullmatch(r"-?[0-9]{1,18}", text) else None


Value: TypeAlias = Scalar | Items | Table


def resolve(scalar: Scalar) -> str | int | float | bool | None:
    """Give what a scalar means: null, true, false and plain decimal numbers; all else is text."""
    text = scalar.text
    if not scalar.plain:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


def is_null(value: Value) -> bool:
    """Whether a value is null, or nothing at all."""
    return isinstance(value, Scalar) and value.plain and value.text in NULLS


def plain_json(value: Value, scalar: Callable[[Scalar], JsonValue] = resolve) -> JsonValue:
    """Give a value without its places; `scalar` decides what scalars become."""
    if isinstance(value, Scalar):
        return scalar(value)
    if isinstance(value, Items):
        return [plain_json(item, scalar) for item in value.items]
    return {key: plain_json(item, scalar) for key, item in value.entries.items()}


def as_written(scalar: Scalar) -> JsonValue:
    """Give the characters of a scalar; None for null."""
    return None if is_null(scalar) else scalar.text


def is_json_number(text: str) -> bool:
    """Whether JSON would take this as a number."""
    return _JSON_NUMBER.fullmatch(text) is not None
