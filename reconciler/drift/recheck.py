"""Does a plan item still hold, on the node, now: asks only what its association rests on, and for hold files.

The last question before acting. I/O over the session it is given; starts nothing. Raises NodeError where the node does
not answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from reconciler.drift.definitions import Definition, Unrenderable
from reconciler.drift.expectations import unmet
from reconciler.drift.gates import held
from reconciler.drift.questions import questions_of
from reconciler.drift.text import differences_text
from reconciler.ids import Digest
from reconciler.inventory.collect import ask
from reconciler.inventory.observed import Facts
from reconciler.model.association import Association, Expectations
from reconciler.model.command import Session
from reconciler.model.known import Known, Unknown
from reconciler.model.node import Node


class Item(Protocol):
    """What is looked at of a plan item."""

    @property
    def definition(self) -> Digest:
        """What was planned."""
        ...

    @property
    def forced(self) -> bool:
        """Whether somebody asked for it by hand."""
        ...

    @property
    def opaque(self) -> bool:
        """Whether it was planned without a difference to remove."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """Whether the item is still needed, and why (not). None: it must not run now, or that could not be told."""

    still_needed: bool | None
    reason: str


def recheck(
    session: Session, association: Association, definition: Definition | Unrenderable, item: Item, node: Node
) -> Recheck:
    """Ask the node once more, just before acting."""
    if isinstance(definition, Unrenderable) or definition.digest != item.definition:
        return Recheck(still_needed=None, reason="the association's definition is not the one that was planned")
    only = frozenset({"holds", *sections_of(association.expect)})
    facts = ask(session, node, questions_of((association,)), only=only).facts
    return judge_again(association, item, facts, datetime.now(UTC))


def judge_again(association: Association, item: Item, facts: Facts, now: datetime) -> Recheck:
    """Decide on fresh facts. Holds bind everything; what holds by now is left alone, unless it was asked for by hand."""
    match held(facts, now):
        case Unknown(why=why):
            return Recheck(still_needed=None, reason=why)
        case Known(value=gate) if gate is not None:
            return Recheck(still_needed=None, reason=gate.reason)
    if item.forced:
        return Recheck(still_needed=True, reason="asked for by apply or aws:refreshAssociation")
    if association.expect is None:
        return Recheck(still_needed=True, reason="it expects nothing that could hold already")
    return _by_expectations(association, association.expect, facts, opaque=item.opaque)


def _by_expectations(association: Association, expect: Expectations, facts: Facts, *, opaque: bool) -> Recheck:
    verdict = unmet(expect, facts, check_as_root=association.check_as_root)
    if verdict.holds is None:
        return Recheck(still_needed=None, reason="; ".join(verdict.unknown))
    if not verdict.holds:
        return Recheck(still_needed=True, reason=differences_text(verdict.differences))
    if association.run_on_change and opaque:
        return Recheck(still_needed=True, reason="RunOnChange, although every expectation holds")
    return Recheck(still_needed=False, reason="every expectation holds by now")


def sections_of(expect: Expectations | None) -> frozenset[str]:
    """Give the sections of facts that expectations rest on."""
    return frozenset() if expect is None else frozenset(_sections(expect))


def _sections(expect: Expectations) -> Iterator[str]:
    if expect.packages:
        yield from ("packages", "os")
    if expect.users or expect.groups:
        yield from ("users", "groups")
    if expect.inventory:
        yield "custom"
    for name in ("files", "services", "sysctls", "mounts", "ports", "kernel", "checks"):
        if getattr(expect, name):
            yield name
