"""The fetches that are under way: a pass goes on without one that lets it wait, and what it brings counts in the next.

Takes sources and what looks at one; gives what each came to. Servers share no threads: one that says nothing keeps nobody
from the others.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Condition, Thread, current_thread
from typing import Final

from reconciler.documents.content import Content, Source, Unavailable
from reconciler.source.cut import Cut

OF_A_SERVER: Final = 4
"""Fetches from one server at a time."""

MOST: Final = 48
"""Fetches at a time: each is a thread, and a git of its own where the source is a repository."""

PATIENCE: Final = 30.0
"""Seconds that a pass waits for all that it fetches: as long as for a node that is silent."""

SECOND_CHANCE: Final = 3.0
"""Seconds that a pass which has all the rest waits for sources that let the last one wait."""

LEAVE: Final = 2.0
"""Seconds that threads have to end once what they wait for was cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What looking at a source gave."""

    found: Content | Unavailable
    problem: str = ""
    """Why `found` is what it was when last seen, and not what it is now; foreign text."""

    @property
    def is_answer(self) -> bool:
        """Whether the server gave what was asked for."""
        return isinstance(self.found, Content) and not self.problem


Look = Callable[[Source], Looked]


class Fetches:
    """Those of one host's process. For one thread."""

    def __init__(self) -> None:
        self.cut = Cut()
        """Ends what they wait for."""
        self._change = Condition()
        self._waiting: dict[str, deque[tuple[Source, Look]]] = defaultdict(deque)
        self._busy: Counter[str] = Counter()
        self._threads: set[Thread] = set()
        self._under_way: set[Source] = set()
        self._looked: dict[Source, Future[Looked]] = {}
        self._slow: set[Source] = set()
        self._is_closed = False

    def begin(self, sources: Iterable[tuple[str, Source]], look: Look) -> None:
        """Look at these, each with the server it is of; not once more at one that is still being looked at."""
        with self._change:
            for server, source in sources:
                if source not in self._under_way and not self._is_closed:
                    self._under_way.add(source)
                    self._looked.pop(source, None)
                    self._waiting[server].append((source, look))
            self._start()

    def late(self, sources: Iterable[Source]) -> Mapping[Source, Looked]:
        """Give what came after whoever asked had gone on, each once; of failures nothing, for asking again may help."""
        with self._change:
            came = self._given(sources)
        return {source: looked for source, looked in came.items() if looked.is_answer}

    def still_asked(self, sources: Iterable[Source]) -> frozenset[Source]:
        """Give those that were asked before, and have not answered."""
        with self._change:
            return frozenset(source for source in sources if source in self._under_way)

    def take(self, sources: Iterable[Source], *, until: float | None = None) -> Mapping[Source, Looked]:
        """Wait for what was begun, and give what came.

        `until`, on the monotonic clock, is when to go on without the rest: it goes on by itself. Sources that let the last
        one wait get a moment more than the others took. None: everything is waited for.
        """
        wanted = set(sources)
        with self._change:
            quick = wanted - self._slow if until is not None else wanted
            self._wait(quick, until)
            if until is not None and wanted - quick:
                self._wait(wanted - quick, min(until, time.monotonic() + SECOND_CHANCE))
            came = self._given(wanted)
            self._slow = (self._slow - came.keys()) | (wanted - came.keys())
        return came

    def close(self) -> None:
        """Cut what is under way, and begin nothing more; safe to call twice."""
        with self._change:
            self._is_closed = True
            self._under_way -= {source for waiting in self._waiting.values() for source, _ in waiting}
            self._waiting.clear()
            self._change.notify_all()
            threads = tuple(self._threads)
        self.cut.cut()
        until = time.monotonic() + LEAVE
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _given(self, sources: Iterable[Source]) -> dict[Source, Looked]:
        """Hand out what came of these; raises what looking at one raised. The condition is held."""
        return {source: self._looked.pop(source).result() for source in sources if source in self._looked}

    def _wait(self, sources: set[Source], until: float | None) -> None:
        while sources & self._under_way:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            self._change.wait(left)

    def _start(self) -> None:
        """Begin what may be begun, one of each server in turn. The condition is held."""
        while len(self._threads) < MOST:
            free = [server for server in self._waiting if self._busy[server] < OF_A_SERVER]
            if not free:
                return
            for server in free[: MOST - len(self._threads)]:
                source, look = self._waiting[server].popleft()
                if not self._waiting[server]:
                    del self._waiting[server]
                self._busy[server] += 1
                # A daemon thread: one that waits for a silent server must not keep a process that is done.
                thread = Thread(target=self._fetch, args=(server, source, look), name="fetch", daemon=True)
                self._threads.add(thread)
                thread.start()

    def _fetch(self, server: str, source: Source, look: Look) -> None:
        looked: Future[Looked] = Future()
        try:
            looked.set_result(look(source))
        except BaseException as error:  # noqa: BLE001  (raised where what came is handed out)
            looked.set_exception(error)
        with self._change:
            self._looked[source] = looked
            self._under_way.discard(source)
            self._busy[server] -= 1
            self._threads.discard(current_thread())
            self._start()
            self._change.notify_all()
