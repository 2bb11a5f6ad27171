"""YAML that needs no parser: lines of `Key: value` in letters that mean nothing else -> the very values the parser gives.

Ten thousand nodes are written so, and libyaml's events for them take a second. One line that is anything more than that,
or anything wrong, and nothing is given: the whole text is the parser's then, and so is every message about it.
"""

import re
from typing import NamedTuple

from reconciler.model.reading.values import Scalar, Table, Value

_FIRST, _LATER = "[A-Za-z0-9._/]", "[A-Za-z0-9._/@+-]"
_WORDS = rf"{_FIRST}{_LATER}*(?: {_FIRST}{_LATER}*)*"
_WITH_COLONS = rf"{_FIRST}(?:{_LATER}|:(?=[A-Za-z0-9:]))*"
"""An IPv6 address; in `{...}` a colon may mean more."""
_QUOTED = r"""'(?P<single>[ !-&(-~]*)'|"(?P<double>[ !#-\[\]-~]*)\""""
_KEY = "(?P<key>[A-Za-z][A-Za-z0-9_]{0,99}(?: [A-Za-z0-9_]{1,99}){0,3}): "
_LINE = re.compile(
    rf"(?:{_KEY}(?:(?P<plain>{_WORDS}|{_WITH_COLONS})|{_QUOTED}|\{{(?P<inner>[ !-z|~]*)\}})|(?P<next>---)|(?:\#[ -~]*)?)(?:\n|\Z)"
)
_ENTRY = re.compile(rf" ?{_KEY}(?:(?P<plain>{_WORDS})|{_QUOTED})(?:,(?=.)|\Z)")


class Flat(NamedTuple):
    """What a text holds, and how many values that are."""

    documents: list[Value]
    values: int


def read_flat(text: str, *, most_values: int, most_documents: int) -> Flat | None:
    """Give the mappings a text consists of; None where only the parser can tell, or where there are more."""
    documents = _tables(text)
    if not documents or len(documents) > most_documents:
        return None
    count = sum(1 + sum(map(_size, table.entries.values())) for table in documents)
    return Flat([*documents], count) if count <= most_values else None


def _size(value: Value) -> int:
    return 1 + len(value.entries) if type(value) is Table else 1


def _tables(text: str) -> list[Table] | None:
    tables: list[Table] = []
    table: Table | None = None
    opened = False  # by `---`, and nothing came yet
    end = number = 0
    for number, found in enumerate(iter(_LINE.scanner(text).match, None), 1):  # type: ignore[attr-defined]  # typeshed lacks it
        kind = found.lastgroup
        start, end = found.span()
        if kind == "next":
            if opened:
                return None
            table, opened = None, True
        elif kind is not None:
            if table is None:
                table, opened = Table({}, {}, number, 1), False
                tables.append(table)
            key, value = found["key"], _value(found, number, start - 1)
            if value is None or key in table.entries:
                return None
            table.entries[key] = value
            table.places[key] = (number, 1)
    return None if opened or end < len(text) else tables


def _value(found: "re.Match[str]", line: int, before: int) -> Value | None:
    kind = found.lastgroup or ""
    column = found.start(kind) - before
    if kind == "inner":
        return _inner(found["inner"], line, column)
    plain = kind == "plain"
    return Scalar(found[kind], plain, line, column if plain else column - 1)


def _inner(text: str, line: int, column: int) -> Table | None:
    """Read what stands between braces, the first character of it at `column`."""
    table = Table({}, {}, line, column - 1)
    end = 0
    for found in iter(_ENTRY.scanner(text).match, None):  # type: ignore[attr-defined]
        end = found.end()
        key, value = found["key"], _value(found, line, -column)
        if value is None or key in table.entries:
            return None
        table.entries[key] = value
        table.places[key] = (line, column + found.start("key"))
    return table if end == len(text) else None
