"""One thing that was looked at on the way to a node, and what came of it."""

from dataclasses import dataclass
from enum import Enum

ORDER = (
    "name",
    "tcp",
    "host key",
    "login",
    "login shell",
    "tools",
    "clock",
    "disk",
    "sudo",
    "run folder",
    "packages",
    "sshd",
)
"""Every check, in the order in which they rest on each other."""


class State(Enum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"
    """It works, and something about it should be known."""
    TROUBLE = "trouble"
    UNKNOWN = "unknown"
    """It could not be looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A verdict with its grounds. Words may hold what a node said: whoever prints them renders them."""

    name: str
    state: State
    words: str
    remedy: str = ""

    @property
    def is_left(self) -> bool:
        """Whether somebody has to do something about it."""
        return self.state in {State.TROUBLE, State.UNKNOWN}


def ok(name: str, words: str) -> Check:
    """Give a check that found nothing."""
    return Check(name=name, state=State.OK, words=words)


def warning(name: str, words: str, remedy: str) -> Check:
    """Give a check that found something to know."""
    return Check(name=name, state=State.WARNING, words=words, remedy=remedy)


def trouble(name: str, words: str, remedy: str) -> Check:
    """Give a check that found why things fail."""
    return Check(name=name, state=State.TROUBLE, words=words, remedy=remedy)


def unknown(name: str, words: str, remedy: str = "") -> Check:
    """Give a check that could not be made."""
    return Check(name=name, state=State.UNKNOWN, words=words, remedy=remedy)


def not_looked_at(done: tuple[Check, ...]) -> tuple[Check, ...]:
    """Give the checks that are missing, each with the one they rest on."""
    seen = {check.name for check in done}
    failed = next((check.name for check in done if check.is_left), "an earlier check")
    return tuple(unknown(name, f"not looked at because {failed} failed") for name in ORDER if name not in seen)
