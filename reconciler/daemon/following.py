"""One client that follows its command: told what happens, and the result, by a thread of its own.

Who does not take what it is told is left behind; the command goes on.
"""

import base64
import queue
import threading
from collections.abc import Mapping
from typing import Any

from reconciler.commands.statuses import Detail
from reconciler.daemon.command_wire import Gone, Line
from reconciler.daemon.under_way import Place
from reconciler.ids import NodeId

PIECE = 32 * 1024
"""Bytes of output in one event."""

MOST_PIECES = 600
"""Of output that waits for a slow client: 26 MB."""

MOST_WAITING = 20_000
"""Events that wait for a slow client: a command on 10,000 nodes tells two of each before anybody has to be quick."""


class Following:
    """Tells one client what happens, from a thread of its own: who does not take it is left behind."""

    def __init__(self, line: Line, patience: float) -> None:
        """Follow on this line; `patience` is how many seconds a client may take for one event before it counts as gone."""
        self._line = line
        self._patience = patience
        self._place: Place | None = None
        self._events: queue.Queue[Mapping[str, Any] | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name="command-events")
        self._is_gone = False

    def begin(self, place: Place) -> None:
        """Write from now on; the command has this place until the end."""
        self._place = place
        self._thread.start()

    def tell(self, node: NodeId, detail: Detail, words: str) -> None:
        """Note a change of an invocation; never waits."""
        self._put({"event": "told", "node": node, "detail": detail.value, "words": words})

    def output(self, step: str, kind: str, content: bytes) -> None:
        """Tell what a step wrote, in pieces that a line takes."""
        for at in range(0, len(content), PIECE):
            if self._events.qsize() > MOST_PIECES:
                self._leave()
            text = base64.b64encode(content[at : at + PIECE]).decode("ascii")
            self._put({"event": "output", "step": step, "kind": kind, "content": text})

    def ended(self, step: str, status: str, exit_code: int) -> None:
        """Tell that a step has ended."""
        self._put({"event": "step", "step": step, "status": status, "exit": exit_code})

    def answer(self, event: Mapping[str, Any]) -> None:
        """Tell what came of the command, behind all that happened; waits for room, and not until it is told."""
        if self._place is not None:
            self._place.answered()
        self._put_last(event)

    def _put(self, event: Mapping[str, Any]) -> None:
        if self._is_gone:
            return
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self._leave()

    def _leave(self) -> None:
        self._is_gone = True
        self._line.close()

    def end(self) -> None:
        """Wait for what is still to be written, which has an end: a line that is not taken ends it."""
        if self._place is None:
            return
        self._place.leave()
        self._put_last(None)
        self._thread.join()

    def _put_last(self, event: Mapping[str, Any] | None) -> None:
        while True:
            try:
                return self._events.put(event, timeout=0.1)
            except queue.Full:
                if not self._thread.is_alive():
                    return None

    def _write(self) -> None:
        while (event := self._events.get()) is not None:
            if self._is_gone:
                continue
            try:
                self._line.write(event, self._patience)
            except Gone:
                self._is_gone = True
