"""As many threads as the nodes need: few where they answer at once, more where they let us wait, up to a limit.

Takes pieces of work; gives each with its result as soon as it is done. Threads that mostly wait for each other's turn cost
processor time and bring nothing; nodes that are slow, cold or silent hold nobody up, since more threads start then. Who has
enough leaves, and takes the rest later.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, Generic, TypeVar

FEW: Final = 6
"""Threads to begin with, and how many more start at a time."""

LOOK: Final = 0.1
"""Seconds: where fewer pieces are done in them than threads are at work, the threads mostly wait."""

STUCK: Final = 1.0
"""Seconds in which nothing at all is done: every thread waits for a silent node, and more start than else would."""

RESERVE: Final = 4
"""How many times as many threads there may be then: they cost memory and no processor time, and others may be behind them."""

W = TypeVar("W")
R = TypeVar("R")


class Crew(Generic[W, R]):
    """Does pieces of work, in the order given. Leaving its `results` early leaves what nobody began, and no thread."""

    def __init__(self, work: Iterable[W], do: Callable[[W], R], *, most: int) -> None:
        self._todo: SimpleQueue[W] = SimpleQueue()
        self._done: SimpleQueue[tuple[W, Future[R]]] = SimpleQueue()
        self._threads: list[Thread] = []
        self._do = do
        for piece in work:
            self._todo.put(piece)
        self._left = self._todo.qsize()
        self._most = min(most, self._left)
        self._reserve = min(RESERVE * most, self._left)

    def results(self, *, enough: Callable[[], bool] | None = None) -> Generator[tuple[W, R], None, None]:
        """Give every piece with its result; raises what doing it raised.

        Where `enough`, asked while nothing comes, says so, it ends early; the rest goes on: see `late` and `end`.
        """
        goes_on = False
        try:
            goes_on = yield from self._results(enough)
        finally:
            if not goes_on:
                self.end()

    def late(self) -> Iterator[tuple[W, R]]:
        """Give what was done since, without waiting for anything; raises what doing it raised."""
        while self._left:
            try:
                piece, result = self._done.get_nowait()
            except Empty:
                return
            self._left -= 1
            yield piece, result.result()

    @property
    def is_done(self) -> bool:
        """Whether every result was given."""
        return not self._left

    def end(self, *, within: float | None = None) -> None:
        """Begin nothing more, and wait for the threads, `within` seconds for all of them at most."""
        until = None if within is None else time.monotonic() + within
        while self._next() is not None:
            pass
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))

    def _results(self, enough: Callable[[], bool] | None) -> Generator[tuple[W, R], None, bool]:
        self._grow(self._most)
        looked, since = time.monotonic(), 0
        last = looked
        while self._left:
            wait = looked + LOOK - time.monotonic()
            if wait <= 0:
                if since < len(self._threads):
                    self._grow(self._most if time.monotonic() - last < STUCK else self._reserve)
                looked, since = time.monotonic(), 0
                if enough is not None and enough():
                    return True
                continue
            try:
                piece, result = self._done.get(timeout=wait)
            except Empty:
                continue
            self._left, since, last = self._left - 1, since + 1, time.monotonic()
            yield piece, result.result()
        return False

    def _grow(self, most: int) -> None:
        for _ in range(min(FEW, most - len(self._threads), self._todo.qsize())):
            # A daemon thread: one that waits for a silent node must not keep a process that is done.
            thread = Thread(target=self._work, name=f"collect_{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while (piece := self._next()) is not None:
            result: Future[R] = Future()
            try:
                result.set_result(self._do(piece))
            except BaseException as error:  # noqa: BLE001  (raised where the results are read)
                result.set_exception(error)
            self._done.put((piece, result))

    def _next(self) -> W | None:
        try:
            return self._todo.get_nowait()
        except Empty:
            return None
