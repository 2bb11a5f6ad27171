"""The facts of one node as expectations look at them: a value, or `NotKnown` raised with the reason; pure.

An exception, because a look-up that is not known ends the judgement of one expectation wherever it stands.
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
_BEFORE: Final = b'\n"identity/'
_BEHIND: Final = b'\n"ports/'
"""Behind the last of them come services, sysctls, unknown and users; what a node does not tell of ports is looked up row by row."""
ALIKE: Final = frozenset({"checks", "custom", "files", "groups", "services", "sysctls", "users"})
"""Sections that lie in these two parts."""
_MOST_ALIKE: Final = 4096


def mark_of(section: str, key: str) -> bytes:
    """Give what the line of a row begins with in the committed form, and the end of the line before it."""
    return b"\n%s: " % orjson.dumps(f"{section}/{key}")


_FAMILY: Final = mark_of("os", "family")
_MACHINE: Final = mark_of("identity", "machine_id")
_ACKNOWLEDGED: Final = mark_of("identity", "acknowledged")


def is_committed_of(facts: Facts, machine_id: str | None) -> bool:
    """Whether these are committed facts of this very machine: they tell nothing else of who a node is."""
    if machine_id is None or not isinstance(facts.sections, CommittedSections) or facts.unreachable is not None:
        return False
    content = facts.sections.content
    start = content.find(_MACHINE)
    named = content.startswith(b"%s," % orjson.dumps(machine_id), start + len(_MACHINE))
    return start >= 0 and named and content.find(_ACKNOWLEDGED, 0, start) < 0


class Alike:
    """Numbers nodes by what they tell beside packages and themselves: fleets have few such texts, and judge each once."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[tuple[bytes, bytes], int] = {}

    def number(self, content: bytes) -> int:
        """Give the number of the sections before `identity` and behind `packages`, from 1; 0 where they are not found."""
        head, tail = content.find(_BEFORE), content.rfind(_BEHIND)
        if head < 0 or tail < head or len(self._numbers) >= _MOST_ALIKE:
            return 0
        return self._numbers.setdefault((content[:head], content[tail:]), len(self._numbers) + 1)


class View:
    """One node's facts; every section is taken out once."""

    __slots__ = ("_facts", "_sections", "alike", "committed_family", "content")

    alike: int
    """The number of everything but packages in the committed form, among the nodes that are alike in it; 0: not told."""

    content: bytes | None
    """The committed form, where the facts were read from one: a value is looked for in it, and nothing else is read."""

    committed_family: bytes | None
    """The family of the node's packages as it stands there."""

    def __init__(self, facts: Facts, alike: "Alike | None" = None) -> None:
        self._facts = facts
        self._sections: dict[str, Rows] = {}
        sections = facts.sections
        self.content = None
        if isinstance(sections, CommittedSections) and facts.unreachable is None:
            self.content = sections.content
        self.committed_family = self.raw(_FAMILY)
        self.alike = 0 if alike is None or self.content is None else alike.number(self.content)

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

    def raw(self, mark: bytes) -> bytes | None:
        """Give the text of the row that begins with `mark` in the committed form; None where there is none to be found."""
        content = self.content
        found = -1 if content is None else content.find(mark)
        if content is None or found < 0:
            return None
        start = found + len(mark)
        return content[start : content.find(b"\n", start)]

    def tells(self, lines: Mapping[bytes, tuple[bytes, ...]]) -> bool:
        """Whether the committed form has, for each mark and in this order, one of the lines given with it."""
        content = self.content or b""
        at = 0
        for mark, texts in lines.items():
            at = content.find(mark, at) + len(mark)
            if at < len(mark) or not content.startswith(texts, at):
                return False
        return True

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
