"""How every stage talks to a node: a program goes in on stdin, its output comes back; nothing else crosses."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from reconciler.ids import NodeId
from reconciler.model.node import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on one exchange; passing one of them is a NodeError, never a shorter answer."""

    idle: timedelta = timedelta(seconds=30)
    """No byte for this long: NodeTimeout."""
    total: timedelta = timedelta(seconds=120)
    """A node that sends one byte every 5 s must not hold a pass."""
    answer_bytes: int = 16 * 1024 * 1024
    """A Debian node with 3,000 packages answers 300 KB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A program that only looks, in a form that may stay on the node: begun once, it answers each nonce it reads from stdin.

    Its answer ends with the line `NONCE end COUNT`. What it told is what it takes for held in the next answer.
    """

    begin: bytes = field(repr=False)
    """What differs from node to node and from request to request: run when it begins, and never again."""
    body: bytes = field(repr=False)
    """What one answer takes; programs with an equal body differ in nothing that lasts."""
    stay: bytes = field(repr=False)
    """What calls the body, function `ask`, again and again."""
    nonce: str
    after: str | None = None
    """The nonce of the answer that the asker goes by: only where that was the last one, the next nonce is enough."""

    @property
    def text(self) -> bytes:
        """The whole of it, first question included."""
        return b"%sask() {\n%s\n}\n%s" % (self.begin, self.body, self.stay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A program as a shell is told it that stays on the node while the connection is kept, and that has read a library.

    It runs in a process of its own there, once. An answer that broke off is not asked for again: who knows what it did?
    """

    library: bytes = field(repr=False)
    """Functions, and what is looked up once."""
    call: bytes = field(repr=False)
    begins: bool = False
    """Whether a shell is begun for it where none stays yet: one program alone is cheaper without."""
    patience: timedelta | None = None
    """How long to wait behind the first words of the answer; then the program goes on alone, and what it said is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """POSIX sh text that the loader checks (length, checksum) and then runs with stdin closed."""

    text: bytes = field(repr=False)
    become: bool = False
    """Run as root by the node's `Become`; with Become none it runs as the login user."""
    limits: Limits = Limits()
    standing: Standing | None = None
    """The same in a form that may stay; a session that cannot keep it runs `text`, which gives the same answer."""
    resident: Resident | None = None
    """The same for a shell that stays; a session that keeps none runs `text`, which does the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a program printed after the loader's greeting, and how it ended."""

    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    exit_status: int


class Session(Protocol):
    """An open connection to one node. Raises NodeError only; safe for one thread at a time."""

    @property
    def node(self) -> NodeId:
        """Which node this talks to."""
        ...

    @property
    def host_key(self) -> str | None:
        """`TYPE BASE64` of the key the node showed; None on the local transport."""
        ...

    def run(self, program: Program) -> Answer:
        """Run one program to its end: one round trip."""
        ...

    def stream(self, program: Program) -> Iterator[bytes]:
        """Run one program and yield its stdout as it comes; ends with the program."""
        ...


Connect = Callable[[Node], AbstractContextManager[Session]]
"""Open (or take from the pool) a session; leaving the context gives it back."""
