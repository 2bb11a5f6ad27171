"""A person's "not now": what is paused, by whom, why and until when; kept by the management host, never in git."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.ids import AssociationName, NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Of everything; of one node, one association, or one association on one node."""

    who: str
    since: datetime
    node: NodeId | None = None
    association: AssociationName | None = None
    reason: str = ""
    """Foreign text."""
    until: datetime | None = None

    @property
    def subject(self) -> tuple[NodeId | None, AssociationName | None]:
        """What is paused; a second pause of the same takes the place of the first."""
        return self.node, self.association

    @property
    def of(self) -> str:
        """What is paused, in words."""
        if self.node is None and self.association is None:
            return "everything"
        on = f" on node {self.node}" if self.association is not None else f"node {self.node}"
        what = "" if self.association is None else f"association {self.association}"
        return f"{what}{on}" if self.node is not None else what

    @property
    def words(self) -> str:
        """Why nothing is started."""
        why = f": {self.reason}" if self.reason else ""
        until = "" if self.until is None else f" until {self.until.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"
        return f"paused by {self.who}{why}{until}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """Every pause that was ever asked for and not ended; those whose `until` has passed bind nothing."""

    all: tuple[Pause, ...] = ()
    unreadable: str | None = None
    """Why they cannot be read: then everything is paused, for nobody knows what was."""

    def standing(self, now: datetime) -> tuple[Pause, ...]:
        """Give those that bind now, the widest first."""
        there = (pause for pause in self.all if pause.until is None or pause.until > now)
        return tuple(sorted(there, key=lambda pause: (pause.association or "", pause.node or "")))

    def binding(self, node: NodeId, association: AssociationName, now: datetime) -> tuple[Pause, ...]:
        """Give those that bind one association on one node now."""
        return tuple(
            pause
            for pause in self.standing(now)
            if pause.node in (None, node) and pause.association in (None, association)
        )

    def why(self, node: NodeId, association: AssociationName, now: datetime) -> str | None:
        """Say why nothing of this association may be started on this node now; None: it may."""
        if self.unreadable is not None:
            return self.unreadable
        return "; ".join(pause.words for pause in self.binding(node, association, now)) or None

    def until(self, node: NodeId, association: AssociationName, now: datetime) -> datetime | None:
        """Give when the last of those that bind it ends; None: nobody knows."""
        ends = [pause.until for pause in self.binding(node, association, now)]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) and self.unreadable is None else None

    def in_words(self, now: datetime) -> Iterator[str]:
        """Say what is paused, a line each."""
        if self.unreadable is not None:
            yield f"everything: {self.unreadable}"
        yield from (f"{pause.of}: {pause.words}" for pause in self.standing(now))
