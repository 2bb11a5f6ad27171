"""Which associations a step of `aws:refreshAssociation` asked for on a node; takes facts, gives names; pure.

A wish stands until a run of the association begins, and the run itself ticks it off: so it is never lost, and never carried
out twice. An association whose own document asks for refreshes is not to be had this way: two of them would run for ever.
"""

from collections.abc import Mapping

from reconciler.drift.definitions import Definition, Unrenderable
from reconciler.ids import AssociationName
from reconciler.inventory.observed import Facts
from reconciler.model.known import JsonValue, Known

ACTION = "aws:refreshAssociation"


def wishes_on(facts: Facts) -> Mapping[str, JsonValue]:
    """Give the wishes that a node holds; what it does not tell is none, since nothing rests on it."""
    match facts.section("refresh"):
        case Known(rows):
            return rows
        case _:
            return {}


def is_asked_for(
    name: AssociationName, wishes: Mapping[str, JsonValue], definition: Definition | Unrenderable | None
) -> bool:
    """Tell whether a run of `name` was wished for, by the rows of section `refresh`."""
    wished = wishes.get(name, wishes.get("*"))
    if wished != "ask" or not isinstance(definition, Definition):
        return False
    return not any(step.action == ACTION for step in definition.rendered.steps)
