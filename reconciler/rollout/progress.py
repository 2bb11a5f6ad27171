"""MaxConcurrency and MaxErrors: THE arithmetic. Told what came of nodes, answers which come next, in total order; pure.

SSM's rules: a slot is free again when a node has ended; a roll-out stops at error number threshold + 1, and what is in
flight then is left alone; unreachable nodes are no errors, and stop it only where a caller asked for that. Ours: the first node of a document that was never applied goes
alone, and the rest follow once a second look has confirmed it.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import Self

from reconciler.ids import NodeId
from reconciler.plan.breakers import failures_in_words
from reconciler.plan.rates import errors_in_words, unreached_in_words


class Ramp(Enum):
    """How fast a roll-out comes up to its limit."""

    NONE = "none"
    EXPONENTIAL = "exponential"
    """Rounds of 1, 2, 4, 8 ... nodes; the next round begins when every node of this one has acknowledged its start."""


class Ending(Enum):
    """What came of a node, as far as the arithmetic cares."""

    SUCCESS = "success"
    ERROR = "error"
    """SSM: Failed and TimedOut."""
    NEITHER = "neither"
    """It never ran (unreachable, not needed, held), or was cancelled."""


class Canary(Enum):
    """Where the one node stands that goes first."""

    NONE = "none"
    WANTED = "wanted"
    OUT = "out"
    LOOKED_AT = "looked at"
    """It succeeded, and the second look is not back yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One association's way over its nodes."""

    limit: int
    threshold: int
    ramp: Ramp = Ramp.EXPONENTIAL
    waiting: tuple[NodeId, ...] = ()
    """Not started yet, in the order they will be."""
    in_flight: frozenset[NodeId] = frozenset()
    round: frozenset[NodeId] = frozenset()
    """Nodes of this round that have not acknowledged their start."""
    window: int = 1
    left: int = 1
    """How many more nodes this round may release."""
    errors: int = 0
    """Those of earlier passes on other nodes included, as for the two that follow."""
    failed: int = 0
    well: int = 0
    stop_after: int = 0
    """Failures after which it reaches no further node, unless it went well on as many; 0: no such limit."""
    most_unreached: int | None = None
    """How many nodes out of reach it goes on with; None: any number (SSM)."""
    unreached: frozenset[NodeId] = frozenset()
    """Nodes that could not be reached, and were not since; kept where there is such a limit."""
    canary: Canary = Canary.NONE
    stopped: str | None = None
    """Why nothing more is started."""

    def release(self, free: AbstractSet[NodeId]) -> tuple[Self, tuple[NodeId, ...]]:
        """Give the nodes to start now, of those that are `free` (a node runs one document at a time)."""
        room = self._room() if free else 0
        if room <= 0:
            return self, ()
        chosen = tuple(islice((node for node in self.waiting if node in free), room))
        if not chosen:
            return self, ()
        new = frozenset(chosen)
        return (
            replace(
                self,
                waiting=tuple(node for node in self.waiting if node not in new),
                in_flight=self.in_flight | new,
                round=self.round | new,
                left=self.left - len(chosen),
                canary=Canary.OUT if self.canary is Canary.WANTED else self.canary,
            ),
            chosen,
        )

    def _room(self) -> int:
        if self.stopped is not None or self.canary in (Canary.OUT, Canary.LOOKED_AT):
            return 0
        room = self.limit - len(self.in_flight)
        if self.canary is Canary.WANTED:
            return min(1, room)
        return room if self.ramp is Ramp.NONE else min(room, self.left)

    def acknowledged(self, node: NodeId) -> Self:
        """Note that `node` has started (or that it never will): the round may be complete."""
        rest = self.round - {node}
        if rest or self.left > 0 or self.round == rest:
            return replace(self, round=rest)
        return replace(self, round=rest, window=2 * self.window, left=2 * self.window)

    def out_of_reach(self, node: NodeId) -> Self:
        """Note that `node` could not be reached: where too many are, nothing more is started."""
        if self.most_unreached is None:
            return self
        new = replace(self, unreached=self.unreached | {node})
        if len(new.unreached) <= self.most_unreached:
            return new
        return new.refused(unreached_in_words(len(new.unreached), self.most_unreached))

    def in_reach(self, node: NodeId) -> Self:
        """Note that `node` was reached after all."""
        return replace(self, unreached=self.unreached - {node}) if node in self.unreached else self

    def ended(self, node: NodeId, ending: Ending) -> Self:
        """Note what came of `node`: its slot is free."""
        if node not in self.in_flight:
            return self
        new = replace(self.acknowledged(node), in_flight=self.in_flight - {node})
        if ending is Ending.ERROR:
            new = replace(new, errors=new.errors + 1, failed=new.failed + 1)
        if ending is Ending.SUCCESS:
            new = replace(new, well=new.well + 1)
        if new.canary is Canary.OUT:
            match ending:
                case Ending.SUCCESS:
                    new = replace(new, canary=Canary.LOOKED_AT)
                case Ending.ERROR:
                    new = replace(new, canary=Canary.NONE, stopped=f"the first node, {node}, failed")
                case Ending.NEITHER:
                    # Nothing was learnt from this one: the next node goes first.
                    new = replace(new, canary=Canary.WANTED)
        if ending is Ending.ERROR and new.stopped is None:
            new = replace(new, stopped=new.too_many())
        return new

    def too_many(self) -> str | None:
        """Say why the errors so far stop it, or None."""
        if self.errors > self.threshold:
            return errors_in_words(self.errors, self.threshold)
        if 0 < self.stop_after <= self.failed and self.failed > self.well:
            return failures_in_words(self.failed, self.well, self.stop_after)
        return None

    def confirmed(self) -> Self:
        """Let the rest go: the second look at the first node found what was wanted."""
        return replace(self, canary=Canary.NONE)

    def refused(self, reason: str) -> Self:
        """Start nothing more, for a reason that is not MaxErrors."""
        return self if self.stopped is not None else replace(self, canary=Canary.NONE, stopped=reason)
