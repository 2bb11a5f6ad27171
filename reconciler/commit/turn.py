"""Several threads that do the same one after the other, in the order in which they came. Knows nothing of what they do."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Turn:
    """Of one process. A `Lock` goes to whoever is quickest: who lets go of it between two tries has it again at once."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._line: list[object] = []
        self._last: object = None

    @property
    def waiting(self) -> int:
        """How many wait for theirs."""
        return max(0, len(self._line) - 1)

    @contextmanager
    def of(self, who: object) -> Iterator[bool]:
        """Wait for a turn, and have it until the end of the block; gives whether `who` had the last one, too."""
        mine = object()
        try:
            with self._changed:
                self._line.append(mine)
                self._changed.wait_for(lambda: self._line[0] is mine)
                again, self._last = self._last is who, who
            yield again
        finally:
            with self._changed:
                if mine in self._line:
                    self._line.remove(mine)
                self._changed.notify_all()
