"""YAML text -> values with places, from libyaml's events alone: takes what 1.2 means by a scalar, gives no tags or types.

The composer is never called: it recurses, and 100,000 `[` end the process. Nesting, aliases, documents and the number of
values are counted while the events come, so that nothing big is ever built. An alias shares its value; what it would
hold written out is counted all the same, for whoever walks the value later.
"""

from dataclasses import dataclass, field
from typing import Any

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

from reconciler.model.reading.flat_yaml import read_flat
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.text import decode
from reconciler.model.reading.values import Items, Scalar, Table, Value
from reconciler.model.reading.yaml_mistakes import explain_yaml, shown

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
    """A list or mapping whose end has not come yet; a list has `items`, a mapping `entries` and `places`."""

    value: Items | Table
    anchor: str | None
    before: int
    """Values counted when it began."""
    items: list[Value] | None
    entries: dict[str, Value]
    places: dict[str, tuple[int, int]]
    key: str | None = None
    """The key whose value comes next."""
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
    limit: int
    """How many values there may be."""
    escaped_nul: bool
    documents: list[Value] = field(default_factory=list)
    stack: list[_Open] = field(default_factory=list)
    top: _Open | None = None
    """The innermost of the stack."""
    anchors: dict[str, _Anchored] = field(default_factory=dict)
    count: int = 0


def read_yaml(data: bytes, mistakes: Mistakes, *, escaped_nul: bool = False) -> list[Value]:
    """Give the documents of a YAML file; none after a mistake that makes the rest unreadable.

    A NUL that is written as an escape is refused, unless the caller looks after it: no program can be given one.
    """
    text = decode(data, mistakes)
    if text is None:
        return []
    if text.count("%TAG") > _MOST_TAG_DIRECTIVES:
        mistakes.error((1, 1), "too many %TAG directives", remedy="write the file without tags")
        return []
    flat = read_flat(text, most_values=min(MOST_VALUES, mistakes.patience.values), most_documents=MOST_DOCUMENTS)
    if flat is not None:
        mistakes.patience.values -= flat.values
        return flat.documents
    return _parsed(text, mistakes, escaped_nul=escaped_nul)


def _parsed(text: str, mistakes: Mistakes, *, escaped_nul: bool) -> list[Value]:
    building = _Building(mistakes, min(MOST_VALUES, mistakes.patience.values), escaped_nul)
    try:
        _follow(CSafeLoader(text), building)
    except _Refused as exc:
        mistakes.error(exc.place, exc.message, value=shown(exc.value, text), remedy=exc.remedy)
        return []
    except YAMLError as exc:
        explain_yaml(exc, text, mistakes)
        return []
    finally:
        mistakes.patience.values -= min(building.count, building.limit)
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
    """Take one scalar: a key, an entry or a whole document. Written flat, since 10,000 nodes come here 200,000 times."""
    text, mark, plain = event.value, event.start_mark, event.implicit[0]
    line, column = mark.line + 1, mark.column + 1
    if event.tag is not None:
        _check_tag(event, line, column)
        plain = False
    if "\0" in text and not building.escaped_nul:
        raise _Refused(line, column, "a NUL in a text", remedy="remove it")
    top = building.top
    if top is not None and top.items is None and top.key is None:
        top.key = text
        if text in top.places or text == "<<":
            _refuse_key(Scalar(text, plain, line, column), top, building)
        else:
            top.places[text] = (line, column)
        return
    scalar = Scalar(text, plain, line, column)
    building.count += 1
    if building.count > building.limit:
        raise _too_many(building, scalar)
    if event.anchor is not None:
        building.anchors[event.anchor] = _Anchored(scalar, 1, 0)
    _put(scalar, building)


def _check_tag(event: Any, line: int, column: int) -> None:
    if event.tag not in _TAGS[type(event)]:
        remedy = "write the value itself; tags are not read"
        raise _Refused(line, column, "a YAML tag", event.tag, remedy)


def _refuse_key(key: Scalar, top: _Open, building: _Building) -> None:
    """Report a doubled key with both its places, and keep the first one; a merge key ends the reading."""
    if key.text == "<<" and key.plain:
        raise _Refused(key.line, key.column, "a merge key", "<<", "write the keys out; merging is not read")
    line, column = top.places.setdefault(key.text, (key.line, key.column))
    if (line, column) != (key.line, key.column):
        message = f"the key stands twice in this mapping, first at line {line}, column {column}"
        building.mistakes.error(key, message, remedy="keep one of them")
        if building.mistakes.are_many:
            raise _Refused(key.line, key.column, "too many keys that stand twice")


def _open(event: Any, building: _Building) -> None:
    line, column = event.start_mark.line + 1, event.start_mark.column + 1
    _check_tag(event, line, column)
    if len(building.stack) >= DEEPEST:
        raise _Refused(line, column, f"more than {DEEPEST} levels of nesting", remedy="nothing here needs as many")
    _no_key(building, line, column)
    if type(event) is MappingStartEvent:
        table = Table({}, {}, line, column)
        top = _Open(table, event.anchor, building.count, None, table.entries, table.places)
    else:
        items = Items([], line, column)
        top = _Open(items, event.anchor, building.count, items.items, {}, {})
    building.stack.append(top)
    building.top = top
    building.count += 1
    if building.count > building.limit:
        raise _too_many(building, top.value)


def _close(building: _Building) -> None:
    done = building.stack.pop()
    top = building.top = building.stack[-1] if building.stack else None
    if top is not None:
        top.height = max(top.height, done.height + 1)
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
    if building.top is not None:
        building.top.height = max(building.top.height, anchored.height)
    building.count += anchored.size
    if building.count > building.limit:
        raise _too_many(building, Scalar(f"*{event.anchor}", plain=True, line=line, column=column))
    _put(anchored.value, building)


def _no_key(building: _Building, line: int, column: int) -> None:
    """Refuse what is no scalar where a key is due."""
    top = building.top
    if top is not None and top.items is None and top.key is None:
        remedy = "put quotes around a key that begins with [, {, * or &"
        raise _Refused(line, column, "a key that is no plain text", remedy=remedy)


def _too_many(building: _Building, at: Value) -> _Refused:
    met = at.text if isinstance(at, Scalar) else ""
    where = "the file comes" if building.limit == MOST_VALUES else "all files together come"
    remedy = "write it without aliases, or split it" if met.startswith("*") else "split it"
    return _Refused(at.line, at.column, f"{where} to too many values: {building.limit} is the limit", met, remedy)


def _put(value: Value, building: _Building) -> None:
    """Hand a finished value to what holds it."""
    top = building.top
    if top is None:
        if len(building.documents) >= MOST_DOCUMENTS:
            raise _Refused(value.line, value.column, f"more than {MOST_DOCUMENTS} YAML documents in one file")
        building.documents.append(value)
    elif top.items is not None:
        top.items.append(value)
    elif top.key is not None:
        top.entries.setdefault(top.key, value)
        top.key = None
