"""What the threads of a roll-out tell the one that decides; records, and nothing else."""

from dataclasses import dataclass

from reconciler.model.outcome import Outcome
from reconciler.plan.plan import PlanItem
from reconciler.rollout.flight import Flight


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondLook:
    """Whether the first node of a new document shows what was wanted, and why (not)."""

    confirmed: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A node took the run: nothing undoes its start."""

    item: PlanItem


@dataclass(frozen=True, slots=True, kw_only=True)
class Delayed:
    """A node is away or busy, and is waited for."""

    item: PlanItem
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelling:
    """A cancel waits for what must not be killed."""

    item: PlanItem
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """An exchange with a node is over."""

    flight: Flight
    outcome: Outcome | None
    """None: the run goes on, or is out of sight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The canary was looked at again."""

    item: PlanItem
    second_look: SecondLook


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A worker raised what is no NodeError: a bug, which ends the pass (the runs survive it)."""

    error: BaseException


Event = Claimed | Delayed | Cancelling | Advanced | Looked | Broken
