"""What filling in one document, with those it runs, may still cost: text that is pasted, and time for its patterns.

Counted while the work is done, not afterwards: a text of a few bytes can paste another one as often as it likes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import thread_time

from reconciler.documents.error import RenderError

MOST_PASTED = 4 * 1024 * 1024
"""Characters: what all scripts together may have (1 MiB), handed through as many documents as may stand within each other."""
MATCHING_TIME = 0.5
"""Seconds for all patterns together: one such as `(a|a)*b` would hang the daemon, and a list may hold a thousand values."""


class TooLarge(RenderError):
    """All of it together is too large: no matter of the one step at which that shows."""


@dataclass(slots=True)
class Effort:
    """What is left; the same for a document and those it runs."""

    characters: int = MOST_PASTED
    seconds: float = MATCHING_TIME
    clock: Callable[[], float] = thread_time
    """Time that this thread works, so that a busy machine makes no pattern wrong."""

    def paste(self, text: str) -> str:
        """Count a text that is pasted. Raises TooLarge where there is no room for it."""
        self.count(len(text))
        return text

    def count(self, characters: int) -> None:
        """Count what is pasted. Raises TooLarge."""
        self.characters -= characters
        if self.characters < 0:
            raise TooLarge(
                f"what parameters paste into the document is too large: at most {MOST_PASTED} characters together"
            )

    @contextmanager
    def matching(self) -> Iterator[float]:
        """Give the seconds that are left for a pattern, never none, and take off what was used."""
        before = self.clock()
        try:
            yield max(self.seconds, 0.001)
        finally:
            self.seconds -= self.clock() - before
