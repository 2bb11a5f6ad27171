"""A shell that stays on the node while its connection is kept, and runs one program after another: a line each way for each.

Takes a connection's channel, a library and programs; gives what each printed. Every text comes as a quoted word, twice, as in
quick_loader.py, and runs only if the word was closed, has its length, and both copies are equal. A program runs in a process
forked off for it, with nothing on stdin. Its greeting comes before its first command: where the shell ended without one,
nothing of it ran; where anything broke off behind it, only the node knows, and nobody sends it again from here.
"""

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Final

from reconciler.errors import AnswerGarbled, NodeError, NodeTimeout, NodeUnreachable
from reconciler.ids import NodeId
from reconciler.model.command import Limits, Resident
from reconciler.model.shell import quote
from reconciler.transport.exchange import Exchange
from reconciler.transport.loader import CUT_STATUS, new_nonce
from reconciler.transport.node_errors import node_errors
from reconciler.transport.wire import LOST

RENEWED: Final = timedelta(hours=1)
"""A rule that sudo lost, or a group that the user left, must not live on in a shell that was begun under it."""

# As in loader.py, for the same shells: no quote, backslash, exclamation mark or line break may stand in here.
# - Nothing of the login's environment but its home: what runs is started from here.
# - Where systemd is PID 1, what root's login starts belongs to its session, which may be ended with it: a unit does not.
#   Units ignore PIPE unless told not to, and no shell takes that back: scripts would hear of it by errors.
# - With IFS empty no word is split, with -f none is a pattern.
_HEAD: Final = (
    "set -f; IFS=; set -- env -i HOME=$HOME PATH=$PATH sh; "
    "if [ -d /run/systemd/system ] && [ $(id -u) = 0 ]; then "
    "set -- systemd-run --quiet --pipe --collect --unit=reconciler-{name} -p KillMode=process -p OOMPolicy=continue -p IgnoreSIGPIPE=no $@; fi; exec $@"
)

_FORKED: Final = '(exec </dev/null; eval "$p")'
_HERE: Final = 'eval "$p"'


def resident_command(name: str, *, sudo: bool) -> str:
    """Give the exec command that begins it; `name` tells its unit from others."""
    become = "env LC_ALL=C sudo -n " if sudo else ""
    return f"{become}sh -c '{_HEAD.format(name=name)}'"


def told(text: bytes, nonce: str, *, forked: bool) -> bytes:
    """Give what to say on its stdin to have a text run."""
    word = quote(text.decode("latin-1"))
    return (
        f"LC_ALL=C\np={word}\nq={word}\n"
        f'if [ ${{#p}} -eq {len(text)} ] && [ "$p" = "$q" ]; then q=; echo {nonce}; {_FORKED if forked else _HERE}; '
        f"echo {nonce} end; p=; else exit {CUT_STATUS}; fi\n"
    ).encode("latin-1")


class Answering:
    """Takes an answer out of what the shell prints; keeps back what may be the beginning of its end."""

    def __init__(self, nonce: str) -> None:
        self._greeting = f"{nonce}\n".encode()
        self._mark = f"{nonce} end\n".encode()
        self._kept = b""
        self.is_greeted = False
        self.has_ended = False

    def take(self, chunk: bytes) -> bytes:
        """Give what of it the program printed."""
        self._kept += chunk
        if not self.is_greeted:
            _, found, rest = self._kept.partition(self._greeting)
            if not found:
                return b""
            self.is_greeted, self._kept = True, rest
        printed, found, _ = self._kept.partition(self._mark)
        if found:
            self.has_ended, self._kept = True, b""
            return printed
        end = self._may_begin(printed)
        self._kept = printed[end:]
        return printed[:end]

    def _may_begin(self, printed: bytes) -> int:
        """Say from where on it may be the beginning of its end."""
        at = printed.find(self._mark[:1], max(0, len(printed) - len(self._mark) + 1))
        while at >= 0:
            if self._mark.startswith(printed[at:]):
                return at
            at = printed.find(self._mark[:1], at + 1)
        return len(printed)


class Deaf(Exception):
    """It is not there, or not any more, and ran nothing of what it was told; no error, since whoever asks goes another way."""


class ResidentShell:
    """One that was begun on a channel of its own; tell it one program at a time, or let it go."""

    def __init__(self, node: NodeId, exchange: Exchange, library: bytes) -> None:
        self._node = node
        self._exchange = exchange
        self._library = library
        self._begun = time.monotonic()
        self._is_free = True

    @classmethod
    def begin(cls, node: NodeId, exchange: Exchange, resident: Resident, *, sudo: bool) -> "ResidentShell":
        """Begin it, and wait until it has read the library. Raises Deaf."""
        answering = Answering(nonce := new_nonce())
        try:
            exchange.request(resident_command(nonce[:16], sudo=sudo))
            exchange.say(told(resident.library, nonce, forked=False))
            for chunk in exchange.chunks():
                answering.take(chunk)
                if answering.has_ended:
                    return cls(node, exchange, resident.library)
        except (NodeError, *LOST) as error:
            raise Deaf from error
        raise Deaf

    def goes_on_with(self, resident: Resident) -> bool:
        """Say whether it may be told this program."""
        is_fresh = time.monotonic() - self._begun < RENEWED.total_seconds()
        return self._is_free and is_fresh and self._library == resident.library

    def tell(self, resident: Resident, limits: Limits, first: timedelta) -> Iterator[bytes]:
        """Have a program run; gives what it prints as it comes. Raises Deaf, and NodeError where only the node knows."""
        nonce, self._is_free = new_nonce(), False
        answering = Answering(nonce)
        self._exchange = self._exchange.again(limits)
        try:
            self._exchange.say(told(resident.call, nonce, forked=True))
        except LOST as error:
            self._check_connection()
            raise Deaf from error  # it is cut, at best
        if not self._exchange.has_begun(first):
            raise NodeTimeout(self._node, f"the node sent nothing for {first.total_seconds():g} s")
        chunks = self._exchange.chunks()
        printed = b""
        for chunk in chunks:
            printed = answering.take(chunk)
            if answering.is_greeted:
                break
        else:
            self._check_connection()
            raise Deaf
        return self._rest(answering, printed, chunks, resident.patience, limits)

    def _check_connection(self) -> None:
        """Raise where the connection was lost, and not the shell alone: then nobody knows how far it came."""
        with suppress(AnswerGarbled):  # a signal ended the shell
            self._exchange.exit_status()

    def _rest(
        self,
        answering: Answering,
        printed: bytes,
        chunks: Iterator[bytes],
        patience: timedelta | None,
        limits: Limits,
    ) -> Iterator[bytes]:
        is_hurried = was_hurried = False
        while True:
            if printed:
                yield printed
            if answering.has_ended:
                self._is_free = True
                return
            if printed and patience is not None and not was_hurried:
                is_hurried = was_hurried = True
                self._exchange.limit(replace(limits, idle=patience, total=patience))
            try:
                with node_errors(self._node, "waiting for the answer"):
                    chunk = next(chunks, None)
                if chunk is None:
                    self._exchange.exit_status()
                    raise NodeUnreachable(self._node, "the shell on the node ended in the middle of the answer")
                printed = answering.take(chunk)
                if is_hurried:  # what has begun to come is waited for
                    is_hurried = False
                    self._exchange.limit(limits)
            except NodeTimeout:
                if not is_hurried:
                    raise
                self.let_go()  # it goes on alone; what is asked of it next is asked another way
                return

    @property
    def is_free(self) -> bool:
        """Whether it can be told another program."""
        return self._is_free

    def let_go(self) -> None:
        """End its stdin, and with it the shell, once its program has ended; where that is now, wait until it has."""
        if self._is_free:
            self._exchange.end()
        else:
            self._exchange.close()
        self._is_free = False
