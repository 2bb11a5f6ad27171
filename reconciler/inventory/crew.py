"""As many threads as the nodes need: few where they answer at once, more where they let us wait, up to a limit.

Takes pieces of work; gives each with its result as soon as it is done. Threads that mostly wait for each other's turn cost
processor time and bring nothing; nodes that are slow, cold or silent hold nobody up, since more threads start then.
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
        self._most = min(most, self._todo.qsize())

    def results(self) -> Generator[tuple[W, R], None, None]:
        """Give every piece with its result; raises what doing it raised."""
        try:
            yield from self._results(self._todo.qsize())
        finally:
            while self._next() is not None:
                pass
            for thread in self._threads:
                thread.join()

    def _results(self, left: int) -> Iterator[tuple[W, R]]:
        self._grow()
        looked, since = time.monotonic(), 0
        while left:
            wait = looked + LOOK - time.monotonic()
            if wait <= 0:
                if since < len(self._threads):
                    self._grow()
                looked, since = time.monotonic(), 0
                continue
            try:
                piece, result = self._done.get(timeout=wait if len(self._threads) < self._most else None)
            except Empty:
                continue
            left, since = left - 1, since + 1
            yield piece, result.result()

    def _grow(self) -> None:
        for _ in range(min(FEW, self._most - len(self._threads), self._todo.qsize())):
            thread = Thread(target=self._work, name=f"collect_{len(self._threads)}")
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
