"""The thread that decides while a roll-out goes on: slots, canaries, and the pass's end; worker threads talk to nodes.

It starts nothing that the plan does not name, asks `recheck` on the node just before each start, and when a pass ends it leaves:
runs go on alone, a later pass settles them.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reconciler.drift.definitions import Definition, Unrenderable
from reconciler.ids import AssociationName, NodeId
from reconciler.model.command import Connect, Session
from reconciler.model.desired import DesiredState
from reconciler.model.outcome import Disposition, Hindrance, Outcome, RunRecord
from reconciler.model.pause import Pauses
from reconciler.plan.plan import PlanItem, Tally
from reconciler.plan.rates import error_threshold, in_flight_limit
from reconciler.rollout.events import Advanced, Broken, Cancelling, Claimed, Delayed, Event, Looked, SecondLook
from reconciler.rollout.flight import Delivery, Flight, Tools, Verdict, advance, left_alone, outcome_of
from reconciler.rollout.holding_back import Judge, paused, stopped, undelivered, unreturned
from reconciler.rollout.node_programs import MOST_REBOOTS, Order
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from reconciler.rollout.progress import Canary, Ending, Ramp, Rollout
from reconciler.rollout.staging import Read
from reconciler.rollout.waiting import Waiting

WAIT = 3
"""Seconds that one exchange waits on the node for the end: short documents are done in one, and a stop is never far."""

TICK = 0.2
"""Seconds between looks at `stop` and the clock while nothing is reported."""

CROWDED = 2.0
"""Seconds before a run is looked at again where there are more of them than threads."""

RETURN_PATIENCE = 300.0
"""Seconds that a node may be away for a reboot before no other one is rebooted: servers with much memory take minutes."""

BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before a lost node is tried again."""


Recheck = Callable[[Session, PlanItem], Verdict]
Confirm = Callable[[PlanItem, Outcome], SecondLook]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a roll-out goes about it, beyond what the plan and the desired state say."""

    epoch: int
    not_after: Callable[[], datetime | None]
    ends: float
    """Until when runs are waited for, by the monotonic clock: who sets the wall clock makes no pass wait longer."""
    deliver_by: float
    """The same of what is not started yet."""
    clock: Callable[[], datetime]
    stop: threading.Event
    recheck: Recheck
    pauses: Callable[[], Pauses]
    confirm: Confirm
    on_outcome: Callable[[Outcome], None]
    going: tuple[RunRecord, ...]
    target_counts: Mapping[AssociationName, int]
    tallies: Mapping[AssociationName, Tally]
    outputs: Path | None
    ramp: Ramp
    workers: int
    delivery: Delivery | None
    read: Read
    rests_on_holds: Callable[[PlanItem], bool]
    most_unreached: int | None


class RollOut:
    """The state of one call; everything here belongs to the deciding thread, but for the event queue."""

    def __init__(
        self,
        items: tuple[PlanItem, ...],
        desired: DesiredState,
        definitions: Mapping[AssociationName, Definition | Unrenderable],
        connect: Connect,
        manner: Manner,
    ) -> None:
        self._items = items
        self._desired = desired
        self._definitions = definitions
        self._manner = manner
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._outcomes: dict[tuple[NodeId, AssociationName], Outcome] = {}
        self._waiting = Waiting(items, busy={record.node for record in manner.going})
        self._rollouts = {
            name: _new_rollout(name, items, desired, manner) for name in dict.fromkeys(i.association for i in items)
        }
        self._flights: dict[NodeId, Flight] = {}
        self._unreturned: set[NodeId] = set()
        self._at_work = 0
        """Jobs that worker threads have."""
        self._tools = Tools(
            connect=connect,
            runs=NodeRuns(OutputKeeper(manner.outputs, None if manner.delivery is None else manner.delivery.on_piece)),
            recheck=manner.recheck,
            paused=self._paused,
            clock=manner.clock,
            on_claimed=lambda item: self._events.put(Claimed(item=item)),
            on_delayed=lambda item, why: self._events.put(Delayed(item=item, why=why)),
            on_cancelling=lambda item, why: self._events.put(Cancelling(item=item, why=why)),
            delivery=manner.delivery,
            deliver_by=manner.deliver_by,
            read=manner.read,
            rests_on_holds=manner.rests_on_holds,
        )

    def run(self) -> Mapping[tuple[NodeId, AssociationName], Outcome]:
        """Decide, until nothing is left to wait for."""
        workers = max(1, min(self._manner.workers, len(self._items)))
        with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="rollout") as pool:
            self._pool = pool
            while True:
                leaving = self._leaving()
                if leaving is None:
                    self._hold_back()
                    self._release()
                    self._look_at_due()
                if self._at_work == 0 and (leaving is not None or not self._flights):
                    break
                self._take_events()
            self._leave(leaving)
        return self._outcomes

    def _leaving(self) -> str | None:
        """Say why nothing more is started or waited for."""
        if self._manner.stop.is_set():
            return "the daemon is shutting down" if self._manner.delivery is None else "interrupted"
        if time.monotonic() >= self._manner.ends:
            return "the pass does not wait longer"
        return self._overtaken()

    def _overtaken(self) -> str | None:
        """Say that our lease ended while we were not looking: this process was stopped, or the machine slept."""
        end = self._manner.not_after()
        if end is None or self._manner.clock() < end:
            return None
        return f"our lease ended at {end.isoformat(timespec='seconds')}: somebody else may lead by now"

    def _release(self) -> None:
        """Start what may start now: for each association in plan order, nodes whose next item it is."""
        for name in self._rollouts:
            self._rollouts[name], chosen = self._rollouts[name].release(self._waiting.ready(name))
            for node in chosen:
                item = self._waiting.take(node)
                definition = self._definitions.get(name)
                if not isinstance(definition, Definition) or definition.digest != item.definition:
                    self._land(item, self._held(item, "its document is no longer what was planned"))
                    continue
                try:
                    order = self._order(item, definition)
                except ValueError as error:  # what its node calls packages is none by their grammar
                    self._land(item, self._held(item, f"nothing is installed: {error}"))
                    continue
                flight = Flight(item=item, node=self._desired.nodes[node], order=order)
                self._flights[node] = flight
                self._submit(flight)

    def _order(self, item: PlanItem, definition: Definition) -> Order:
        return Order(
            run=item.run,
            fleet=self._desired.fleet.id,
            node=item.node,
            association=item.association,
            definition=item.definition,
            executions=item.executions,
            cause=item.cause,
            epoch=self._manner.epoch,
            started=self._manner.clock(),
            rendered=definition.rendered.with_order(item.patches),
            most_reboots=MOST_REBOOTS if self._manner.delivery is None else self._manner.delivery.most_reboots,
        )

    def _submit(self, flight: Flight) -> None:
        flight.due = float("inf")
        # With more runs than threads nobody may sit and wait for one.
        remaining = int(self._manner.ends - time.monotonic())
        wait = max(0, min(WAIT, remaining)) if len(self._flights) <= self._manner.workers else 0

        def work() -> None:
            try:
                self._events.put(Advanced(flight=flight, outcome=advance(flight, self._tools, wait)))
            except BaseException as error:  # noqa: BLE001  (it is raised again by the deciding thread)
                self._events.put(Broken(error=error))

        self._at_work += 1
        self._pool.submit(work)

    def _look_at_due(self) -> None:
        now = time.monotonic()
        for flight in list(self._flights.values()):
            if flight.due <= now:
                self._submit(flight)

    def _take_events(self) -> None:
        """Wait a moment for the next event, then take all there are."""
        timeout = TICK
        if self._flights:
            next_due = min(flight.due for flight in self._flights.values())
            timeout = max(0.0, min(TICK, next_due - time.monotonic()))
        try:
            event = self._events.get(timeout=timeout)
            while True:
                self._take(event)
                event = self._events.get_nowait()
        except queue.Empty:
            return

    def _take(self, event: Event) -> None:
        match event:
            case Claimed() | Delayed() | Cancelling():
                self._hear(event)
            case Advanced(flight=flight, outcome=outcome):
                self._at_work -= 1
                if outcome is None:
                    flight.due = time.monotonic() + self._delay(flight)
                else:
                    del self._flights[flight.item.node]
                    if (
                        outcome.disposition is Disposition.RUNNING
                        and flight.may_reboot
                        and flight.lost_since is not None
                    ):
                        self._unreturned.add(flight.item.node)
                    self._land(flight.item, outcome)
            case Looked(item=item, second_look=look):
                self._at_work -= 1
                rollout = self._rollouts[item.association]
                self._rollouts[item.association] = (
                    rollout.confirmed()
                    if look.confirmed
                    else rollout.refused(f"the first node, {item.node}, does not show what was wanted: {look.reason}")
                )
            case Broken(error=error):
                raise error

    def _hear(self, event: Claimed | Delayed | Cancelling) -> None:
        """Note a word from a worker, and pass it on to whoever follows a command."""
        item, delivery = event.item, self._manner.delivery
        if not isinstance(event, Cancelling):
            # A node that is away must not keep the others from their turn either: the round does not wait for it.
            rollout = self._rollouts[item.association].acknowledged(item.node)
            flight = self._flights.get(item.node)
            away = isinstance(event, Delayed) and flight is not None and flight.lost_since is not None
            self._rollouts[item.association] = rollout.out_of_reach(item.node) if away else rollout.in_reach(item.node)
        if delivery is None:
            return
        match event:
            case Claimed():
                delivery.on_started(item.node)
            case Delayed(why=why):
                delivery.on_delayed(item.node, why)
            case Cancelling(why=why):
                delivery.on_cancelling(item.node, why)

    def _delay(self, flight: Flight) -> float:
        if flight.failures:
            return BACKOFF[min(flight.failures, len(BACKOFF)) - 1]
        return 0.0 if len(self._flights) <= self._manner.workers else CROWDED

    def _land(self, item: PlanItem, outcome: Outcome) -> None:
        """Note an item's outcome, and free its node and its slot."""
        self._outcomes[item.node, item.association] = outcome
        self._manner.on_outcome(outcome)
        if outcome.disposition is not Disposition.RUNNING:
            self._waiting.give_back(item.node)
            rollout = self._rollouts[item.association].ended(item.node, _ending(outcome))
            if outcome.disposition is Disposition.UNREACHABLE:
                rollout = rollout.out_of_reach(item.node)
            self._rollouts[item.association] = rollout
            if rollout.canary is Canary.LOOKED_AT:
                self._confirm(item, outcome)

    def _confirm(self, item: PlanItem, outcome: Outcome) -> None:
        if not self._rollouts[item.association].waiting:
            return

        def work() -> None:
            try:
                self._events.put(Looked(item=item, second_look=self._manner.confirm(item, outcome)))
            except BaseException as error:  # noqa: BLE001  (it is raised again by the deciding thread)
                self._events.put(Broken(error=error))

        self._at_work += 1
        self._pool.submit(work)

    def _hold_back(self) -> None:
        """Take out what will not be started, so that the nodes' next items can come; runs that are going on go on."""
        manner, delivery = self._manner, self._manner.delivery
        now = manner.clock()
        away = self._unreturned | {node for node, flight in self._flights.items() if _stays_away(flight)}
        every = (
            stopped(self._rollouts),
            None if delivery is None else self._undelivered(delivery),
            paused(manner.pauses(), now),
            unreturned(away),
        )
        judges = [judge for judge in every if judge is not None]
        dropped = bool(judges)
        while dropped:
            dropped = False
            for name in self._rollouts:
                for node in sorted(self._waiting.ready(name)):
                    item = self._waiting.next_of(node)
                    why = next((why for judge in judges if (why := judge(item)) is not None), None)
                    if why is not None:
                        self._land(self._waiting.take(node), self._held(item, why.reason, why.hindrance))
                        dropped = True

    def _undelivered(self, delivery: Delivery) -> Judge | None:
        cancelled = delivery.cancelled if delivery.is_any_cancelled() else None
        return undelivered(cancelled, late=time.monotonic() >= self._manner.deliver_by)

    def _paused(self, item: PlanItem) -> str | None:
        """Ask once more, right before a start; from any thread."""
        return self._overtaken() or self._manner.pauses().why(item.node, item.association, self._manner.clock())

    def _leave(self, leaving: str | None) -> None:
        """Let go of what goes on, and hold back the rest."""
        why = leaving or "runs that still go on take its place"
        for flight in list(self._flights.values()):
            self._land(flight.item, left_alone(flight, self._tools, flight.problem or why))
        for item in self._waiting.rest():
            rollout = self._rollouts[item.association]
            hindrance = Hindrance.CANCEL if rollout.stopped is None else Hindrance.ERRORS
            self._land(item, self._held(item, rollout.stopped or why, hindrance))

    def _held(self, item: PlanItem, reason: str, hindrance: Hindrance | None = None) -> Outcome:
        return outcome_of(item, Disposition.HELD_BACK, reason, self._manner.clock(), hindrance=hindrance)


def _stays_away(flight: Flight) -> bool:
    """Whether a node that may have gone down for its run is away for longer than a reboot takes."""
    return (
        flight.may_reboot and flight.lost_since is not None and time.monotonic() - flight.lost_since > RETURN_PATIENCE
    )


def _new_rollout(name: AssociationName, items: tuple[PlanItem, ...], desired: DesiredState, manner: Manner) -> Rollout:
    association = desired.associations[name]
    own = sorted(
        (item for item in items if item.association == name),
        key=lambda item: (not item.canary, item.order, item.node),
    )
    targets = max(manner.target_counts.get(name, 0), len(own))
    tally = manner.tallies.get(name, Tally())
    return Rollout(
        limit=in_flight_limit(association.max_concurrency, targets),
        threshold=error_threshold(association.max_errors, targets),
        errors=tally.errors,
        failed=tally.failed,
        well=tally.well,
        stop_after=desired.fleet.stop_after_failures,
        ramp=manner.ramp,
        waiting=tuple(item.node for item in own),
        in_flight=frozenset(record.node for record in manner.going if record.association == name),
        most_unreached=manner.most_unreached,
        canary=Canary.WANTED if any(item.canary for item in own) else Canary.NONE,
    )


def _ending(outcome: Outcome) -> Ending:
    if outcome.disposition is not Disposition.RAN or outcome.record is None:
        return Ending.NEITHER
    if outcome.record.status.counts_as_error:
        return Ending.ERROR
    return Ending.SUCCESS if outcome.record.status.value == "Success" else Ending.NEITHER
