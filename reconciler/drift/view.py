"""The facts of one node as expectations look at them: a value, or `NotKnown` raised with the reason; pure.

An exception, because a look-up that is not known ends the judgement of one expectation wherever it stands. Committed
facts that much is asked of are read as a whole once (60 us), which is cheaper than thirty searches for a row.
"""

from collections.abc import Mapping
from typing import Final

import orjson

from reconciler.inventory.canonical import CommittedSections
from reconciler.inventory.observed import Facts
from reconciler.model.known import JsonValue, Known, Unknown

Rows = Mapping[str, JsonValue]


class NotKnown(Exception):
    """What an expectation rests on could not be read; the argument says why."""


class _Missing:
    """A row that was never asked for, told from one that is known to be absent (null)."""


_MISSING: Final = _Missing()
_MANY: Final = 12
"""Look-ups from which on reading the whole file pays."""


class View:
    """One node's facts; every section is taken out once."""

    __slots__ = ("_facts", "_sections", "flat")

    flat: Mapping[str, JsonValue] | None
    """`SECTION/KEY` -> value, where the facts were read as a whole."""

    def __init__(self, facts: Facts, lookups: int = 0) -> None:
        self._facts = facts
        self._sections: dict[str, Rows] = {}
        self.flat = _flat(facts) if lookups >= _MANY else None

    def rows(self, section: str) -> Rows:
        """Give a whole section."""
        try:
            return self._sections[section]
        except KeyError:
            pass
        rows = self._gathered(section) or self._found(section)
        self._sections[section] = rows
        return rows

    def _gathered(self, section: str) -> Rows:
        if self.flat is None:
            return {}
        prefix = f"{section}/"
        start = len(prefix)
        return {key[start:]: value for key, value in self.flat.items() if key.startswith(prefix)}

    def _found(self, section: str) -> Rows:
        match self._facts.section(section):
            case Unknown(why=why):
                raise NotKnown(f"{section}: {why}")
            case Known(rows):
                return rows

    def row(self, section: str, key: str) -> JsonValue:
        """Give a row of a section that lists everything there is: None where it has no such row."""
        value = None if self.flat is None else self.flat.get(f"{section}/{key}")
        if value is None:
            value = self.rows(section).get(key)
        if type(value) is dict and "unknown" in value:
            raise NotKnown(f"{section} {key}: {value['unknown']}")
        return value

    def asked(self, section: str, key: str) -> JsonValue:
        """Give a row of a section that holds only what was asked for: a missing one is not known."""
        value: JsonValue | _Missing = self.rows(section).get(key, _MISSING)
        if isinstance(value, _Missing):
            raise NotKnown(f"{section} {key}: it was not asked for yet")
        if type(value) is dict and "unknown" in value:
            raise NotKnown(f"{section} {key}: {value['unknown']}")
        return value

    @property
    def family(self) -> str:
        """The family of the node's packages: debian, rpm, suse or other."""
        return str(self.row("os", "family"))


def _flat(facts: Facts) -> Mapping[str, JsonValue] | None:
    """Read a committed file as a whole; one with a garbled row is left to be searched, row by row."""
    sections = facts.sections
    if not isinstance(sections, CommittedSections) or facts.unreachable is not None:
        return None
    try:
        value = orjson.loads(sections.content)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def fields_of(value: JsonValue, subject: str) -> Mapping[str, JsonValue]:
    """Give a row's fields; a row of another shape is not known, never empty."""
    if not isinstance(value, Mapping):
        raise NotKnown(f"{subject}: the row is not a set of fields: {value!r}")
    return value


def texts_of(value: JsonValue, subject: str) -> tuple[str, ...]:
    """Give a list of texts."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise NotKnown(f"{subject}: the row is not a list of texts: {value!r}")
    return tuple(str(each) for each in value)
