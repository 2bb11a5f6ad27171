r"""The committed form of facts: one JSON object, one row a line, sorted; the same facts give the same bytes.

    {
    "packages/nginx": "1.22.1-9 amd64",
    "services/nginx": {"active":"active","enabled":"enabled","sub":"running"},
    "unknown/ports": "why a section could not be read",
    "unknown/*": "why the node did not answer: everything above is what it last said"
    }

A section that is known and has no rows is `"empty/SECTION": true`. Volatile sections and rows are left out. Reading is lazy:
a file is looked into where it is asked, and nothing is kept of it but its bytes.
"""

from bisect import bisect_left
from collections.abc import ItemsView, Iterator, Mapping

import orjson

from reconciler.ids import NodeId
from reconciler.inventory.observed import SECTIONS, VOLATILE, VOLATILE_ROWS, Facts
from reconciler.inventory.rows import Rows, lines_of
from reconciler.model.known import JsonValue, Known, Observed, Unknown

_LEFT_OUT = {
    section: frozenset(row for where, row in VOLATILE_ROWS if where == section)
    for section in {where for where, _ in VOLATILE_ROWS}
}
_NOTHING: frozenset[str] = frozenset()
_START, _END = b"{\n", b"\n}\n"


def canonical(facts: Facts) -> bytes:
    """Give the bytes of `inventory/ab/ID.json`."""
    sections = facts.sections
    if isinstance(sections, CommittedSections) and sections.unreachable == facts.unreachable:
        return sections.content
    chunks = [chunk for name in sorted(set(sections) - VOLATILE) if (chunk := _chunk(name, sections[name]))]
    if facts.unreachable is not None:
        chunks.append(lines_of("unknown", {"*": facts.unreachable}))
    # A section's lines are sorted and begin with its name: only the few lines of `empty` and `unknown` are to be put in place.
    chunks.sort(key=lambda chunk: chunk.split(b"\n", 1)[0])
    return _START + b",\n".join(chunks) + _END if chunks else b"{\n}\n"


def _chunk(name: str, section: Observed[Mapping[str, JsonValue]]) -> bytes:
    match section:
        case Unknown(why):
            return lines_of("unknown", {name: why})
        case Known(rows):
            left_out = _LEFT_OUT.get(name, _NOTHING)
            if isinstance(rows, Rows | CommittedRows):
                lines = rows.lines(name, left_out)
            else:
                lines = lines_of(name, rows, left_out)
            return lines or lines_of("empty", {name: True})


def read_canonical(node: NodeId, content: bytes) -> Facts:
    """Read what `canonical` wrote. Raises ValueError on bytes that cannot be it; a garbled row is found when it is asked for."""
    if content != b"{\n}\n" and not (content.startswith(b'{\n"') and content.endswith(_END)):
        raise ValueError("not a list of facts: it must begin with { and end with } on lines of their own")
    sections = CommittedSections(content)
    return Facts(node=node, sections=sections, unreachable=sections.unreachable)


class CommittedSections(Mapping[str, Observed[Mapping[str, JsonValue]]]):
    """The sections of one file, found in its bytes when they are asked for."""

    __slots__ = ("content", "unreachable")

    def __init__(self, content: bytes) -> None:
        self.content = content
        why = _value(content, b'"unknown/*": ')
        self.unreachable = None if why is None else str(why)

    def __getitem__(self, name: str) -> Observed[Mapping[str, JsonValue]]:
        prefix = b'"%s/' % name.encode()
        start = _line(self.content, prefix)
        if start >= 0:
            return Known(CommittedRows(self.content, name, start))
        why = _value(self.content, b'"unknown/%s": ' % name.encode())
        if why is not None:
            return Unknown(str(why))
        if _line(self.content, b'"empty/%s": ' % name.encode()) >= 0:
            return Known({})
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in SECTIONS if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        raw = name.encode()
        marks = (b'"%s/' % raw, b'"unknown/%s": ' % raw, b'"empty/%s": ' % raw)
        return any(_line(self.content, mark) >= 0 for mark in marks)


class CommittedRows(Mapping[str, JsonValue]):
    """The rows of one section, read from the file's bytes one by one."""

    __slots__ = ("_content", "_section", "_start")

    def __init__(self, content: bytes, section: str, start: int) -> None:
        self._content = content
        self._section = section
        self._start = start

    def __getitem__(self, key: str) -> JsonValue:
        mark = b"\n%s: " % orjson.dumps(f"{self._section}/{key}")
        found = self._content.find(mark, self._start - 1)
        if found < 0:
            raise KeyError(key)
        return _decode(self._content, found + len(mark))

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def items(self) -> ItemsView[str, JsonValue]:
        """Give keys and values in one go: a JSON parser is quicker over all rows than over one at a time."""
        return self._all().items()

    def lines(self, section: str, left_out: frozenset[str]) -> bytes:
        """Give the section's lines as they stand: what is left out was left out when they were written."""
        if section != self._section:
            return lines_of(section, self._all(), left_out)
        lines = self._content[self._start : -len(_END)].split(b"\n")
        # The first line that sorts behind every `"SECTION/...`: 0 is the character after the slash.
        end = bisect_left(lines, b'"%s0' % self._section.encode())
        return b"\n".join(lines[:end]).removesuffix(b",")

    def _all(self) -> dict[str, JsonValue]:
        try:
            rows: dict[str, JsonValue] = orjson.loads(b"{%s}" % self.lines(self._section, _NOTHING))
        except orjson.JSONDecodeError as error:
            raise ValueError(f"section {self._section} is garbled in the committed inventory: {error}") from error
        return {key[len(self._section) + 1 :]: value for key, value in rows.items()}


def _line(content: bytes, prefix: bytes) -> int:
    """Give where the first line with this prefix begins, or -1."""
    found = content.find(b"\n" + prefix)
    return -1 if found < 0 else found + 1


def _value(content: bytes, mark: bytes) -> JsonValue:
    start = _line(content, mark)
    return None if start < 0 else _decode(content, start + len(mark))


def _decode(content: bytes, start: int) -> JsonValue:
    raw = content[start : content.index(b"\n", start)].removesuffix(b",")
    try:
        value: JsonValue = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {"unknown": "the row is garbled in the committed inventory"}
    return value
