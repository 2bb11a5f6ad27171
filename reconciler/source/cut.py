"""Ends from another thread whatever waits for somebody who says nothing: a connection, a git."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class Cut:
    """What is being waited for, and how each of it is ended. From any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ends: list[Callable[[], None]] = []
        self._is_over = False

    @contextmanager
    def watching(self, end: Callable[[], None]) -> Iterator[None]:
        """End what is waited for inside the block by `end`, should it come to that; at once where it already did."""
        with self._lock:
            self._ends.append(end)
            is_over = self._is_over
        if is_over:
            end()
        try:
            yield
        finally:
            with self._lock:
                self._ends.remove(end)

    def cut(self) -> None:
        """End all that waits, and all that begins to."""
        with self._lock:
            self._is_over = True
            # Inside the lock: what has ended by itself meanwhile is not ended once more.
            for end in self._ends:
                end()
