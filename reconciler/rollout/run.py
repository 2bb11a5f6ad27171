"""Carries a plan's items out. Takes a plan, gives an Outcome for every item."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from reconciler.drift.definitions import Definition, Unrenderable
from reconciler.ids import AssociationName
from reconciler.model.command import Connect, Session
from reconciler.model.desired import DesiredState
from reconciler.model.outcome import Outcome, RunRecord
from reconciler.model.pause import Pauses
from reconciler.plan.plan import Plan, PlanItem
from reconciler.rollout.deciding import Confirm, Manner, Recheck, RollOut
from reconciler.rollout.events import SecondLook
from reconciler.rollout.flight import Delivery, Verdict
from reconciler.rollout.progress import Ramp
from reconciler.rollout.staging import Read, no_store


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needed:
    still_needed: bool | None = True
    reason: str = "nobody asked again"


def _always(_session: Session, _item: PlanItem) -> Verdict:
    return _Needed()


def _nobody(_outcome: Outcome) -> None:
    """Tell nobody."""


def _believe(_item: PlanItem, _outcome: Outcome) -> SecondLook:
    return SecondLook(confirmed=True, reason="it succeeded")


def roll_out(  # noqa: PLR0913  (all by keyword, and none of them is known to the others)
    plan: Plan,
    *,
    desired: DesiredState,
    definitions: Mapping[AssociationName, Definition | Unrenderable],
    connect: Connect,
    epoch: int,
    clock: Callable[[], datetime],
    patience: timedelta,
    stop: threading.Event,
    recheck: Recheck = _always,
    confirm: Confirm = _believe,
    on_outcome: Callable[[Outcome], None] = _nobody,
    going: Iterable[RunRecord] = (),
    target_counts: Mapping[AssociationName, int] | None = None,
    outputs: Path | None = None,
    pauses: Callable[[], Pauses] = Pauses,
    not_after: Callable[[], datetime | None] = lambda: None,
    ramp: Ramp = Ramp.EXPONENTIAL,
    workers: int = 32,
    delivery: Delivery | None = None,
    read: Read = no_store,
    rests_on_holds: Callable[[PlanItem], bool] = lambda _item: False,
    most_unreached: int | None = None,
) -> tuple[Outcome, ...]:
    """Carry out the plan's items; gives one outcome for each, in the plan's order.

    Runs are waited for as long as `patience` says. `going` are runs of earlier passes that go on: they keep their slots, and their nodes. Percentages are of `target_counts`;
    without them, of the plan's own items. Nothing is started after `not_after`, asked anew each time: our lease has ended. Scripts' whole output is kept below `outputs`; without it, its beginning in memory.
    What steps download comes from `read`. Where an item `rests_on_holds` alone, its start looks for hold files itself, and
    `recheck` is asked only where one lies there. With more than `most_unreached` nodes out of reach nothing further is started.
    """
    if not plan.items:
        return ()
    manner = Manner(
        epoch=epoch,
        not_after=not_after,
        ends=time.monotonic() + patience.total_seconds(),
        deliver_by=math.inf if delivery is None else time.monotonic() + (delivery.until - clock()).total_seconds(),
        clock=clock,
        stop=stop,
        recheck=recheck,
        confirm=confirm,
        on_outcome=on_outcome,
        going=tuple(record for record in going if not record.status.ended),
        target_counts=target_counts or {},
        tallies=plan.tallies,
        outputs=outputs,
        pauses=pauses,
        ramp=ramp,
        workers=workers,
        delivery=delivery,
        read=read,
        rests_on_holds=rests_on_holds,
        most_unreached=most_unreached,
    )
    outcomes = RollOut(plan.items, desired, definitions, connect, manner).run()
    return tuple(outcomes[item.node, item.association] for item in plan.items)
