"""How soon a cancel takes effect: in looks and exchanges, not by a clock.

Between two exchanges with a node lies what the first one waits there, and until the second one asks the file of the cancel
again; the second one ends the run, whatever it does. `BUDGET` is what that may add up to.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest

from reconciler.daemon.cancelling import LOOK_AGAIN
from reconciler.drift.finding import Cause
from reconciler.model.command import Connect, Session
from reconciler.model.history import RunStatus
from reconciler.model.node import Node
from reconciler.model.outcome import Disposition
from reconciler.plan.plan import PlanItem
from reconciler.rollout.deciding import BACKOFF, CROWDED, TICK, WAIT
from reconciler.rollout.flight import Delivery, Flight, Tools, advance
from reconciler.rollout.node_programs import Order
from reconciler.rollout.node_run import NodeRuns
from reconciler.rollout.output import OutputKeeper
from tests.rollout.a_node import NODE, STARTED, WAYS, HomeNode, HomeSession, a_step, an_order, wait_for, wait_for_death
from tests.support.waiting import wait_until

BUDGET = 15.0
"""Seconds from a cancel to the exchange that ends the run."""


def test_waits_before_the_exchange_that_ends_it_fit_the_budget() -> None:
    followed = WAIT + LOOK_AGAIN + TICK
    crowded = CROWDED + LOOK_AGAIN + TICK
    lost = max(BACKOFF) + LOOK_AGAIN + TICK
    assert max(followed, crowded, lost) < BUDGET / 2, "the rest is for the exchanges themselves"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Asked again, it is still wanted."""

    still_needed: bool | None = True
    reason: str = ""


def a_command(order: Order, connect: Connect, is_cancelled: Callable[[], bool]) -> tuple[Flight, Tools]:
    """Give a command's way to its node, before it was begun."""
    tools = Tools(
        connect=connect,
        runs=NodeRuns(OutputKeeper(None)),
        recheck=lambda _session, _item: Needed(),
        paused=lambda _item: None,
        clock=lambda: STARTED,
        on_claimed=lambda _item: None,
        delivery=Delivery(
            until=STARTED + timedelta(hours=1),
            cancelled=lambda _node: is_cancelled(),
            on_started=lambda _node: None,
            on_delayed=lambda _node, _why: None,
        ),
    )
    item = PlanItem(
        node=NODE,
        association=order.association,
        document="Doc:1",
        definition=order.definition,
        rendered=order.rendered.digest,
        run=order.run,
        executions=1,
        cause=Cause.PENDING,
        reason="sent",
        opaque=True,
        order=0,
        forced=True,
    )
    return Flight(item=item, node=Node(id=NODE, address="10.0.0.1"), order=order), tools


@pytest.mark.parametrize("node", [WAYS[0], WAYS[-1]], indirect=True, ids=["sh", "sh that stays"])
def test_the_next_exchange_ends_what_runs_and_nothing_of_it_goes_on(node: HomeNode) -> None:
    began, sent, asked = node.home / "began", 0, False
    order = an_order(a_step(f"touch {began}; sleep 300\n"), a_step(f"echo second >>{node.log}\n", finally_step=True))

    @contextmanager
    def connect(_node: Node) -> Iterator[Session]:
        nonlocal sent
        sent += 1
        yield HomeSession(node)

    flight, tools = a_command(order, connect, lambda: asked)
    assert advance(flight, tools, 0) is None
    wait_for(began)
    assert advance(flight, tools, 0) is None, "it runs, and nobody asked for its end"
    before, asked = sent, True
    outcome = advance(flight, tools, 0)
    assert sent == before + 1
    assert outcome is not None
    assert outcome.disposition is Disposition.RAN
    assert outcome.record is not None
    assert outcome.record.status is RunStatus.CANCELLED
    assert [f"{step.status} {step.exit_code}" for step in outcome.record.steps] == ["Cancelled 137", "Cancelled 1"]
    assert node.bodies() == []


def test_a_run_that_waits_for_its_reboot_hears_of_it_when_the_node_is_back(starting: HomeNode) -> None:
    asked = False
    order = an_order(a_step(f"echo ran >>{starting.log}; until [ -e {starting.home}/release ]; do sleep 0.05; done\n"))
    flight, tools = a_command(order, starting.connect, lambda: asked)
    assert advance(flight, tools, 0) is None
    wait_for(starting.log)
    folder = starting.root / "runs" / order.run
    runner, step = (int((folder / name).read_text().split()[0]) for name in ("begun", "steps/1/pid"))
    for pid in (runner, step):
        os.kill(pid, signal.SIGKILL)
        wait_for_death(pid)
    for name, text in {"begun": "1 1 00000000-another-boot\n", "state": "reboot 1 1 99999999\n"}.items():
        (folder / name).write_text(text)
    asked = True
    outcome = None

    def is_over() -> bool:
        nonlocal outcome
        outcome = advance(flight, tools, 0)
        return outcome is not None

    wait_until(is_over, "its outcome is known")
    assert outcome is not None
    assert outcome.record is not None
    assert outcome.record.status is RunStatus.CANCELLED
    assert starting.bodies() == ["ran"]
