"""What a change would do: takes the plans of two commits over the same facts, gives what one runs and the other not; pure."""

from dataclasses import dataclass

from reconciler.ids import AssociationName, NodeId
from reconciler.plan.plan import LeftOut, Plan, PlanItem, Removal


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A run that both plans have, of something else or for another cause."""

    before: PlanItem
    after: PlanItem


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDifference:
    """What `head` does beyond `base`. False where it does nothing else."""

    base: Plan
    head: Plan
    added: tuple[PlanItem, ...] = ()
    gone: tuple[PlanItem, ...] = ()
    changed: tuple[Changed, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    """What head holds back and base did not."""
    removals: tuple[Removal, ...] = ()
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.gone or self.changed or self.left_out or self.removals)


def difference(base: Plan, head: Plan, notes: tuple[str, ...] = ()) -> PlanDifference:
    """Compare item by item: what would run decides, the words about it do not. `notes`: what else there is to say of the change."""
    before, after = _by_key(base), _by_key(head)
    common = [(before[key], after[key]) for key in after if key in before]
    known = {(left.node, left.association): left.reason for left in base.left_out}
    return PlanDifference(
        base=base,
        head=head,
        added=tuple(item for key, item in after.items() if key not in before),
        gone=tuple(item for key, item in before.items() if key not in after),
        changed=tuple(Changed(before=old, after=new) for old, new in common if _effect(old) != _effect(new)),
        left_out=tuple(left for left in head.left_out if known.get((left.node, left.association)) != left.reason),
        removals=tuple(removal for removal in head.removals if removal not in base.removals),
        notes=(*(note for note in head.notes if note not in base.notes), *notes),
    )


def _by_key(plan: Plan) -> dict[tuple[AssociationName, NodeId], PlanItem]:
    return {(item.association, item.node): item for item in plan.items}


def _effect(item: PlanItem) -> tuple[object, ...]:
    return item.definition, item.rendered, item.cause, item.canary, item.forced
