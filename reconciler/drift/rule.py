"""An association made ready to be judged on many nodes: takes the desired state, gives one `Rule` each; pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.drift.definitions import Definition, Unrenderable, asked_of_patches
from reconciler.drift.expectations import Compiled
from reconciler.ids import AssociationName, Digest, NodeId
from reconciler.model.association import Association
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied
from reconciler.model.patch_request import PatchRequest
from reconciler.schedule.association import Due, NotDue, Past, due, jitter, parse_association_schedule
from reconciler.schedule.records import Expression, Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One association: what is applied, what holds, and when it is due."""

    association: Association
    definition: Definition | Unrenderable
    expect: Compiled | None
    expression: Expression | None
    patches: PatchRequest | None = None
    """What it asks of the node's patches; None: it is not about them."""

    @property
    def digest(self) -> Digest | None:
        """Give the definition's digest; None where nothing can be rendered."""
        return self.definition.digest if isinstance(self.definition, Definition) else None

    def due(
        self, node: NodeId, applied: Applied, now: datetime, *, drift_found: datetime | None = None
    ) -> Due | NotDue:
        """Ask the schedule; without one it is due at once."""
        if self.expression is None:
            return Due(since=now, reason="no schedule: at once")
        past = Past(
            definition_changed=applied.definition_since,
            first_matched=applied.first_matched,
            last_started=applied.started,
            last_completed=applied.ended,
            drift_found=drift_found,
        )
        rate = isinstance(self.expression, Rate)
        return due(
            self.expression,
            past,
            now=now,
            spread=jitter(node, self.association.name) if rate else timedelta(0),
        )


def rules(
    desired: DesiredState, definitions: Mapping[AssociationName, Definition | Unrenderable]
) -> Mapping[AssociationName, Rule]:
    """Give a rule for every association, sorted so that what one depends on comes before it."""
    return {name: rule(desired.associations[name], definitions[name]) for name in dependency_order(desired)}


def rule(association: Association, definition: Definition | Unrenderable) -> Rule:
    """Make one association ready."""
    expect = association.expect
    return Rule(
        association=association,
        definition=definition,
        expect=None if expect is None else Compiled(expect, check_as_root=association.check_as_root),
        expression=None if association.schedule is None else parse_association_schedule(association.schedule),
        patches=asked_of_patches(definition),
    )


def dependency_order(desired: DesiredState) -> tuple[AssociationName, ...]:
    """Sort associations by name, each after what it depends on (a valid desired state has no cycle)."""
    ordered: dict[AssociationName, None] = {}
    visiting: set[AssociationName] = set()

    def visit(name: AssociationName) -> None:
        if name in ordered or name in visiting or name not in desired.associations:
            return
        visiting.add(name)
        for needed in sorted(desired.associations[name].depends_on):
            visit(needed)
        ordered[name] = None

    for name in sorted(desired.associations):
        visit(name)
    return tuple(ordered)
