"""How many commands are under way at a time for clients of the daemon; one whose result is told gives its place back soon."""

from threading import Condition
from typing import Final

PATIENCE: Final = 10.0
"""Seconds a command waits for the place of one that was answered, and whose nodes are only cleaned up."""


class Places:
    """So many of them. Safe for several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._leaving = 0
        self._changed = Condition()

    def take(self) -> "Place | None":
        """Give a place, soon where one of those that have it was answered; None: all are under way."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self._most or not self._leaving, PATIENCE)
            if self._taken >= self._most:
                return None
            self._taken += 1
        return Place(self)

    def note(self, *, leaving: int, taken: int = 0) -> None:
        """Count; for `Place`."""
        with self._changed:
            self._leaving += leaving
            self._taken += taken
            self._changed.notify_all()


class Place:
    """That of one command."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._is_leaving = False

    def answered(self) -> None:
        """Note that its result is told."""
        self._is_leaving = True
        self._places.note(leaving=1)

    def leave(self) -> None:
        """Give it back."""
        self._places.note(leaving=-1 if self._is_leaving else 0, taken=-1)
