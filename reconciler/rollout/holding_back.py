"""What keeps an item that waits for its turn from being started at all, and why. Takes how things stand at one moment; pure."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciler.ids import AssociationName, NodeId
from reconciler.model.outcome import Hindrance
from reconciler.model.patch_order import RebootOption
from reconciler.model.pause import Pauses
from reconciler.plan.plan import PlanItem
from reconciler.rollout.progress import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why an item is not started, in words, and as the status of a command counts it."""

    reason: str
    hindrance: Hindrance


Judge = Callable[[PlanItem], Why | None]
"""None: nothing speaks against the item."""


def stopped(rollouts: Mapping[AssociationName, Rollout]) -> Judge | None:
    """Judge by the roll-outs that were stopped; None where none was."""
    reasons = {name: rollout.stopped for name, rollout in rollouts.items() if rollout.stopped is not None}
    if not reasons:
        return None

    def judge(item: PlanItem) -> Why | None:
        reason = reasons.get(item.association)
        return None if reason is None else Why(reason=reason, hindrance=Hindrance.ERRORS)

    return judge


def undelivered(is_cancelled: Callable[[NodeId], bool] | None, *, late: bool) -> Judge | None:
    """Judge a command's items by what somebody cancelled (None: nobody did anything), and by the deadline of its delivery.

    None where neither speaks against any: ten thousand that wait are then not asked about one by one, for each that ends.
    """
    if is_cancelled is None and not late:
        return None
    too_late = Why(reason="not started by its delivery deadline: it waited for its turn", hindrance=Hindrance.TIME)

    def judge(item: PlanItem) -> Why | None:
        if is_cancelled is not None and is_cancelled(item.node):
            return Why(reason="cancelled before it began", hindrance=Hindrance.CANCEL)
        return too_late if late else None

    return judge


def paused(pauses: Pauses, now: datetime) -> Judge | None:
    """Judge by what people paused; None where nothing is."""
    if pauses.unreadable is None and not pauses.standing(now):
        return None

    def judge(item: PlanItem) -> Why | None:
        reason = pauses.why(item.node, item.association, now)
        return None if reason is None else Why(reason=reason, hindrance=Hindrance.GATE)

    return judge


def unreturned(lost: Collection[NodeId]) -> Judge | None:
    """Let no further node be rebooted by a patch install while one has not come back from it; None where all have."""
    if not lost:
        return None
    names = ", ".join(sorted(lost)[:3])
    why = Why(
        reason=f"{names} did not come back from a reboot: no other node is rebooted until that is mended",
        hindrance=Hindrance.ERRORS,
    )

    def judge(item: PlanItem) -> Why | None:
        reboots = item.patches is not None and item.patches.reboot is RebootOption.REBOOT_IF_NEEDED
        return why if reboots else None

    return judge
