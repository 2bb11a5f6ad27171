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

from reconciler.foreign_text import json_escaped
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


def say_the_same(old: Facts, new: Facts) -> bool:
    """Whether what is committed of two facts is one and the same: a node that told nothing new holds the same sections.

    Equal ones that are not the same are left to the bytes to tell: comparing them costs as much.
    """
    if old is new:
        return True
    if old.unreachable != new.unreachable or isinstance(old.sections, CommittedSections):
        return False
    names = new.sections.keys() - VOLATILE
    return old.sections.keys() - VOLATILE == names and all(old.sections[n] is new.sections[n] for n in names)


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


class _Lines:
    """The lines of the file that was looked into last: the stages go node by node, and ask of each many times.

    A list for each file at hand would be a gigabyte for 10,000 nodes; one split costs less than two searches from the start.
    """

    def __init__(self) -> None:
        self._last: tuple[bytes, list[bytes]] = (b"", [])

    def of(self, content: bytes) -> list[bytes]:
        """Give the lines between the braces, in order, each with its comma."""
        last, lines = self._last
        if last is not content:
            lines = content[len(_START) : -len(_END)].split(b"\n")
            ordered = sorted(lines)  # at no cost where they are in order, as they are unless somebody edited the file
            if ordered != lines:
                lines = [line.removesuffix(b",") + b"," for line in ordered]
            self._last = content, lines
        return lines


_LINES = _Lines()


class CommittedSections(Mapping[str, Observed[Mapping[str, JsonValue]]]):
    """The sections of one file, found in its bytes when they are asked for."""

    __slots__ = ("content", "unreachable")

    def __init__(self, content: bytes) -> None:
        self.content = content
        mark = b'\n"unknown/*": '
        start = content.find(mark)
        end = content.find(b"\n", start + len(mark))
        self.unreachable = None if start < 0 else str(_decode(content[start + len(mark) : end]))

    def __getitem__(self, name: str) -> Observed[Mapping[str, JsonValue]]:
        raw = name.encode()
        if _first(self.content, b'"%s/' % raw) is not None:
            return Known(CommittedRows(self.content, name))
        line = _first(self.content, mark := b'"unknown/%s": ' % raw)
        if line is not None:
            return Unknown(str(_decode(line[len(mark) :])))
        if _first(self.content, b'"empty/%s": ' % raw) is not None:
            return Known({})
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in SECTIONS if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class CommittedRows(Mapping[str, JsonValue]):
    """The rows of one section, read from the file's bytes one by one."""

    __slots__ = ("_content", "_section")

    def __init__(self, content: bytes, section: str) -> None:
        self._content = content
        self._section = section

    def __getitem__(self, key: str) -> JsonValue:
        mark = b"%s: " % json_escaped(orjson.dumps(f"{self._section}/{key}"))
        line = _first(self._content, mark)
        if line is None:
            raise KeyError(key)
        return _decode(line[len(mark) :])

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
        lines = _LINES.of(self._content)
        raw = self._section.encode()
        # Behind every `"SECTION/...` sorts `"SECTION0`: 0 is the character after the slash.
        mine = lines[bisect_left(lines, b'"%s/' % raw) : bisect_left(lines, b'"%s0' % raw)]
        return b"\n".join(mine).removesuffix(b",")

    def _all(self) -> dict[str, JsonValue]:
        text = self.lines(self._section, _NOTHING)
        try:
            rows: dict[str, JsonValue] = orjson.loads(b"{%s}" % text)
        except orjson.JSONDecodeError:
            rows = dict(_row(line) for line in text.split(b"\n"))
        return {key[len(self._section) + 1 :]: value for key, value in rows.items()}


def _first(content: bytes, prefix: bytes) -> bytes | None:
    """Give the first line with this prefix."""
    lines = _LINES.of(content)
    at = bisect_left(lines, prefix)
    return lines[at] if at < len(lines) and lines[at].startswith(prefix) else None


def _row(line: bytes) -> tuple[str, JsonValue]:
    """Read one line of a section that is no JSON as a whole: the rows that are, count."""
    key, _, value = line.partition(b'": ')
    return key.decode("utf-8", "backslashreplace").removeprefix('"'), _decode(value)


def _decode(raw: bytes) -> JsonValue:
    try:
        value: JsonValue = orjson.loads(raw.removesuffix(b","))
    except orjson.JSONDecodeError:
        return {"unknown": "the row is garbled in the committed inventory"}
    return value
