"""YAML text -> values with places, from libyaml's events alone: takes what 1.2 means by a scalar, gives no tags or types.

The composer is never called: it recurses, and 100,000 `[` end the process. Nesting, aliases, documents and the number of
values are counted while the events come, so that nothing big is ever built. An alias shares its value; what it would
hold written out is counted all the same, for whoever walks the value later.
"""

from dataclasses import dataclass, field
from typing import Any, cast

from yaml import CSafeLoader, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from reconciler.model.reading.mistakes import Mistakes, cut
from reconciler.model.reading.text import decode
from reconciler.model.reading.values import Items, Scalar, Table, Value

DEEPEST = 64
"""Levels of nesting: documents on AWS have fewer than 15."""
MOST_VALUES = 250_000
"""Values in one file, those behind aliases counted each time: 10 times what a megabyte of real text holds."""
MOST_DOCUMENTS = 20_000
_MOST_TAG_DIRECTIVES = 16
"""Libyaml compares each with all before it: a megabyte of them takes minutes."""
_STR = "tag:yaml.org,2002:str"
_TAGS = {
    ScalarEvent: {None, "!", _STR},
    SequenceStartEvent: {None, "!", "tag:yaml.org,2002:seq"},
    MappingStartEvent: {None, "!", "tag:yaml.org,2002:map"},
}


class _Refused(Exception):
    """The text cannot be read any further."""

    def __init__(self, line: int, column: int, message: str, value: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.place = (line, column)
        self.message = message
        self.value = value
        self.remedy = remedy


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    value: Items | Table
    anchor: str | None
    before: int
    """Values counted when it began."""
    key: Scalar | None = None
    height: int = 0
    """Levels below it."""


@dataclass(slots=True)
class _Anchored:
    value: Value
    size: int
    height: int


@dataclass(slots=True)
class _Building:
    """The documents of one text, as far as the events have come."""

    mistakes: Mistakes
    documents: list[Value] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    count: int = 0


def read_yaml(data: bytes, mistakes: Mistakes) -> list[Value]:
    """Give the documents of a YAML file; none after a mistake that makes the rest unreadable."""
    text = decode(data, mistakes)
    if text is None:
        return []
    if text.count("%TAG") > _MOST_TAG_DIRECTIVES:
        mistakes.error((1, 1), "too many %TAG directives", remedy="write the file without tags")
        return []
    building = _Building(mistakes)
    try:
        _follow(CSafeLoader(text), building)
    except _Refused as exc:
        mistakes.error(exc.place, exc.message, value=exc.value, remedy=exc.remedy)
        return []
    except YAMLError as exc:
        _explain(exc, text, mistakes)
        return []
    finally:
        mistakes.patience.values -= building.count
    return building.documents


def _follow(parser: CSafeLoader, building: _Building) -> None:
    """Take the events one by one, the most frequent kind first. They are Any: their types leave marks optional, C never does."""
    next_event = parser.get_event
    try:
        while True:
            event = next_event()
            kind = type(event)
            if kind is ScalarEvent:
                _scalar(event, building)
            elif kind is MappingStartEvent or kind is SequenceStartEvent:
                _open(event, building)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                _close(building)
            elif kind is AliasEvent:
                _alias(event, building)
            elif kind is DocumentEndEvent:
                building.anchors.clear()
            elif kind is StreamEndEvent:
                return
    finally:
        parser.dispose()


def _scalar(event: Any, building: _Building) -> None:
    mark = event.start_mark
    tag = event.tag
    if tag is not None and tag not in _TAGS[ScalarEvent]:
        raise _Refused(mark.line + 1, mark.column + 1, "a YAML tag", tag, "write the value itself; tags are not read")
    text = event.value
    scalar = Scalar(text, event.implicit[0] and tag is None, mark.line + 1, mark.column + 1)
    if "\0" in text:
        raise _Refused(scalar.line, scalar.column, "a NUL in a text", remedy="remove it")
    stack = building.stack
    if stack:
        top = stack[-1]
        if top.key is None and type(top.value) is Table:
            _key(scalar, top, building)
            return
    _count(building, 1, scalar)
    if event.anchor is not None:
        building.anchors[event.anchor] = _Anchored(scalar, 1, 0)
    _put(scalar, building)


def _key(scalar: Scalar, top: _Open, building: _Building) -> None:
    """Take a mapping's next key; a doubled one is reported with both places, and the first one stays."""
    places = cast("Table", top.value).places
    if scalar.text == "<<" and scalar.plain:
        raise _Refused(scalar.line, scalar.column, "a merge key", "<<", "write the keys out; merging is not read")
    if scalar.text in places:
        line, column = places[scalar.text]
        building.mistakes.error(
            scalar,
            f"the key stands twice in this mapping, first at line {line}, column {column}",
            remedy="keep one of them",
        )
    else:
        places[scalar.text] = (scalar.line, scalar.column)
    top.key = scalar


def _open(event: Any, building: _Building) -> None:
    line, column = event.start_mark.line + 1, event.start_mark.column + 1
    if event.tag is not None and event.tag not in _TAGS[type(event)]:
        raise _Refused(line, column, "a YAML tag", event.tag, "write the value itself; tags are not read")
    if len(building.stack) >= DEEPEST:
        raise _Refused(line, column, f"more than {DEEPEST} levels of nesting", remedy="nothing here needs as many")
    value: Items | Table = Table({}, {}, line, column) if type(event) is MappingStartEvent else Items([], line, column)
    _no_key(building, line, column)
    building.stack.append(_Open(value, event.anchor, building.count))
    _count(building, 1, value)


def _close(building: _Building) -> None:
    done = building.stack.pop()
    if building.stack:
        building.stack[-1].height = max(building.stack[-1].height, done.height + 1)
    if done.anchor is not None:
        building.anchors[done.anchor] = _Anchored(done.value, building.count - done.before, done.height + 1)
    _put(done.value, building)


def _alias(event: Any, building: _Building) -> None:
    line, column = event.start_mark.line + 1, event.start_mark.column + 1
    anchored = building.anchors.get(event.anchor)
    if anchored is None:
        within = any(one.anchor == event.anchor for one in building.stack)
        message = "an alias inside the very value it names" if within else "an alias without its anchor"
        raise _Refused(line, column, message, f"*{event.anchor}", "write the value out")
    _no_key(building, line, column)
    if len(building.stack) + anchored.height > DEEPEST:
        raise _Refused(line, column, f"more than {DEEPEST} levels of nesting", f"*{event.anchor}", "write it flatter")
    if building.stack:
        building.stack[-1].height = max(building.stack[-1].height, anchored.height)
    _count(building, anchored.size, Scalar(f"*{event.anchor}", plain=True, line=line, column=column))
    _put(anchored.value, building)


def _no_key(building: _Building, line: int, column: int) -> None:
    """Refuse what is no scalar where a key is due."""
    if building.stack and building.stack[-1].key is None and isinstance(building.stack[-1].value, Table):
        raise _Refused(
            line, column, "a key that is no plain text", remedy="put quotes around a key that begins with [, {, * or &"
        )


def _count(building: _Building, more: int, at: Value) -> None:
    building.count += more
    if building.count > MOST_VALUES or building.count > building.mistakes.patience.values:
        met = at.text if isinstance(at, Scalar) else ""
        remedy = "write it without aliases, or split the file"
        raise _Refused(at.line, at.column, f"the file comes to more than {MOST_VALUES} values", met, remedy)


def _put(value: Value, building: _Building) -> None:
    """Hand a finished value to what holds it."""
    if not building.stack:
        if len(building.documents) >= MOST_DOCUMENTS:
            raise _Refused(value.line, value.column, f"more than {MOST_DOCUMENTS} YAML documents in one file")
        building.documents.append(value)
        return
    top = building.stack[-1]
    holder = top.value
    if isinstance(holder, Items):
        holder.items.append(value)
    elif top.key is not None:
        holder.entries.setdefault(top.key.text, value)
        top.key = None


def _explain(exc: YAMLError, text: str, mistakes: Mistakes) -> None:
    """Say in our words what libyaml says in its own."""
    mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    problem = str(getattr(exc, "problem", None) or exc)
    lines = text.split("\n")
    met = lines[line - 1] if 0 < line <= len(lines) else ""
    indent = met[: len(met) - len(met.lstrip())]
    if "\t" in indent or "'\\t'" in problem:
        column = indent.index("\t") + 1 if "\t" in indent else column
        mistakes.error((line, column), "a tab where YAML takes only blanks", value=met, remedy="indent with blanks")
        return
    mistakes.error((line, column), f"not YAML: {problem}", value=met.strip(), remedy=_hint(cut(met)))


def _hint(met: str) -> str:
    if ": " in met and met.count(": ") > 1:
        return "put quotes around a text that holds a colon and a blank"
    return "check indentation, quotes and brackets from here upwards"
