"""A program that stays on the node while its connection is kept: a pass that finds nothing new costs a line each way.

Takes a connection's channel and a Standing program; gives its answers. It is begun as loader.py begins any other, complete or
not at all, and ends with its stdin, so with the connection at the latest. Only programs that look and change nothing may
stay: one whose answer broke off is asked again, from the beginning.
"""

import time
from datetime import timedelta
from typing import Final

from reconciler.model.command import Answer, Limits, Standing
from reconciler.transport.exchange import Exchange
from reconciler.transport.loader import CUT_STATUS, posix_cksum
from reconciler.transport.wire import LOST

RENEWED: Final = timedelta(hours=1)
"""A rule that sudo lost, or a group that the user left, must not live on in a shell that was begun under it."""

# As in loader.py, for the same shells: no quote, backslash, exclamation mark or line break may stand in here. `head` takes so
# many bytes from the pipe and not one more; what is missing or changed shows in the checksum.
_LOADER = (
    "LC_ALL=C; export LC_ALL; p=$(head -c {length}); "
    'c=$(PATH=/dev/null printf %s "$p" | cksum); '
    'if [ "$c" = "{checksum} {length}" ]; then echo {nonce}; c=; eval "$p"; else exit {cut}; fi'
)


def standing_command(text: bytes, nonce: str, *, sudo: bool) -> str:
    """Give the exec command that begins it."""
    script = _LOADER.format(nonce=nonce, checksum=posix_cksum(text), length=len(text), cut=CUT_STATUS)
    become = "env LC_ALL=C sudo -n " if sudo else ""
    return f"{become}sh -c '{script}'"


class Broken(Exception):
    """It is not there any more, or did not begin; no error, since whoever asks goes another way."""


class Silent(Broken):
    """It says nothing: a firewall may have forgotten the connection, or the node is slow, and then it had better not stay."""


class StandingProgram:
    """One that was begun on a channel of its own; ask it again, or let it go."""

    def __init__(self, exchange: Exchange, standing: Standing, *, sudo: bool) -> None:
        self._exchange = exchange
        self._body = standing.body
        self._sudo = sudo
        self._begun = time.monotonic()
        self._last = ""

    @classmethod
    def begin(cls, exchange: Exchange, standing: Standing, nonce: str, *, sudo: bool) -> "StandingProgram":
        """Send it; its first answer is on its way then. Raises Broken."""
        text = standing.text.rstrip(b"\n")  # a command substitution drops them
        exchange.request(standing_command(text, nonce, sudo=sudo))
        _say(exchange, text)
        return cls(exchange, standing, sudo=sudo)

    def goes_on_with(self, standing: Standing, *, sudo: bool) -> bool:
        """Say whether its next answer is the one wanted: the same questions, after the very answer that the asker holds."""
        is_fresh = time.monotonic() - self._begun < RENEWED.total_seconds()
        return is_fresh and (self._last, self._sudo) == (standing.after, sudo) and self._body == standing.body

    def ask(self, nonce: str, limits: Limits, first: timedelta) -> Answer:
        """Ask once more. Raises Broken where it has ended, Silent after the time `first` without a byte, and NodeError at a limit."""
        self._last = ""
        self._exchange = self._exchange.again(limits)
        _say(self._exchange, f"{nonce}\n".encode())
        if not self._exchange.has_begun(first):
            self._exchange.close()
            raise Silent
        return self.answer(nonce)

    def answer(self, nonce: str) -> Answer:
        """Wait for a whole answer."""
        mark = f"{nonce} end ".encode()
        taken = bytearray()
        for chunk in self._exchange.chunks():
            taken += chunk
            if taken.endswith(b"\n") and taken.startswith(mark, taken.rfind(b"\n", 0, -1) + 1):
                self._last = nonce
                return Answer(stdout=bytes(taken), stderr=self._exchange.stderr, exit_status=0)
        raise Broken

    def let_go(self) -> None:
        """End its stdin, and with it the program; wait a moment until the node has closed the channel."""
        self._exchange.end()


def _say(exchange: Exchange, text: bytes) -> None:
    try:
        exchange.say(text)
    except LOST as error:
        raise Broken from error
