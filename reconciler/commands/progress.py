"""What the sender of a command knows of it while it is under way: each node's invocation, as far as it came; no I/O.

SSM: an invocation goes from Pending or Delayed to InProgress, from there to Cancelling or an end, and never back. What comes late
from another thread changes nothing that is further on.
"""

from collections.abc import Iterable
from dataclasses import replace
from threading import Lock
from typing import Any, Final

import orjson

from reconciler.commands.record import CommandRecord, Invocation, invocation_json, read_invocation
from reconciler.commands.statuses import Detail
from reconciler.ids import NodeId

VERSION: Final = 1
_WAY: Final = (Detail.PENDING, Detail.DELAYED, Detail.IN_PROGRESS, Detail.CANCELLING)


class Progress:
    """Of one command. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[NodeId, Invocation] = {}
        self._is_new = False

    def note(self, news: Invocation) -> None:
        """Take in how an invocation stands."""
        with self._lock:
            before = self._known.get(news.node)
            after = news if before is None else _further(before, news)
            if after != before:
                self._known[news.node] = after
                self._is_new = True

    def take(self) -> tuple[Invocation, ...] | None:
        """Give all that is known, where something is new since this was asked last; else None."""
        with self._lock:
            if not self._is_new:
                return None
            self._is_new = False
            return tuple(self._known.values())


def _further(before: Invocation, news: Invocation) -> Invocation:
    if before.detail.ended or news.detail.ended:
        return before if before.detail.ended else news
    if _WAY.index(news.detail) >= _WAY.index(before.detail):
        # A word alone (it is being cancelled) says nothing of the steps: those that were seen stay.
        return replace(news, started=before.started, steps=before.steps) if news.started is None else news
    return replace(before, started=news.started, steps=news.steps) if news.started is not None else before


def encode_progress(record: CommandRecord, invocations: Iterable[Invocation]) -> bytes:
    """Give the bytes of its file."""
    return orjson.dumps({"Version": VERSION, "Invocations": [invocation_json(record, each) for each in invocations]})


def decode_progress(content: bytes) -> tuple[Invocation, ...]:
    """Read them again. Raises ValueError, KeyError or TypeError for what is none of this version."""
    value: Any = orjson.loads(content)
    if not isinstance(value, dict) or value.get("Version") != VERSION:
        raise ValueError("it is no progress of this version")
    return tuple(map(read_invocation, value["Invocations"]))
