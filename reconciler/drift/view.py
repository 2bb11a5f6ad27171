"""The facts of one node as expectations look at them: a value, or `NotKnown` raised with the reason; pure.

An exception, because a look-up that is not known ends the judgement of one expectation wherever it stands.
"""

from collections.abc import Mapping
from typing import Final

from reconciler.inventory.observed import Facts
from reconciler.model.known import JsonValue, Known, Unknown

Rows = Mapping[str, JsonValue]


class NotKnown(Exception):
    """What an expectation rests on could not be read; the argument says why."""


class _Missing:
    """A row that was never asked for, told from one that is known to be absent (null)."""


_MISSING: Final = _Missing()


class View:
    """One node's facts; every section is taken out once."""

    __slots__ = ("_facts", "_sections")

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._sections: dict[str, Rows] = {}

    def rows(self, section: str) -> Rows:
        """Give a whole section."""
        try:
            return self._sections[section]
        except KeyError:
            pass
        match self._facts.section(section):
            case Unknown(why=why):
                raise NotKnown(f"{section}: {why}")
            case Known(rows):
                self._sections[section] = rows
                return rows

    def row(self, section: str, key: str) -> JsonValue:
        """Give a row of a section that lists everything there is: None where it has no such row."""
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
