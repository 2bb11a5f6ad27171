"""The rows of one section, shared by every node and pass that told the same, and written down once.

Takes parsed rows, gives a read-only mapping that keeps its committed lines; the parse of equal texts is done once.
"""

from collections.abc import Iterator, Mapping

import orjson

from reconciler.foreign_text import json_escaped
from reconciler.model.known import JsonValue


class Rows(Mapping[str, JsonValue]):
    """Rows by key; `lines(section)` are the lines of the committed form."""

    __slots__ = ("_lines", "_rows")

    def __init__(self, rows: Mapping[str, JsonValue]) -> None:
        self._rows = rows
        self._lines: tuple[str, frozenset[str], bytes] | None = None

    def __getitem__(self, key: str) -> JsonValue:
        return self._rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Rows({self._rows!r})"

    def __reduce__(self) -> tuple[type["Rows"], tuple[dict[str, JsonValue]]]:
        return Rows, (dict(self._rows),)

    def lines(self, section: str, left_out: frozenset[str]) -> bytes:
        r"""Give `"SECTION/KEY": VALUE` lines, sorted, joined by `,\n`, less the rows in `left_out`."""
        kept = self._lines
        if kept is not None and kept[0] == section and kept[1] == left_out:
            return kept[2]
        text = lines_of(section, self._rows, left_out)
        self._lines = (section, left_out, text)
        return text


def lines_of(section: str, rows: Mapping[str, JsonValue], left_out: frozenset[str] = frozenset()) -> bytes:
    """Write the rows of one section."""
    dumps = orjson.dumps
    return b",\n".join(
        sorted(
            json_escaped(
                b"%s: %s" % (dumps(f"{section}/{key}"), dumps(value, default=_plain, option=orjson.OPT_SORT_KEYS))
            )
            for key, value in rows.items()
            if key not in left_out
        )
    )


def _plain(value: object) -> object:
    """Let orjson write the mappings and sequences it does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"not a JSON value: {type(value).__name__}")
