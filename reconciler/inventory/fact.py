"""What a fact is made of: sh text for the node, and a pure parser for what it printed. Runs and decides nothing.

The sh text runs inside the node's program (`program.py` says in which order) and may use

    say SECTION STATUS TEXT   answer one frame; STATUS is ok or unknown, TEXT of an unknown one is the reason
    flush                     send what was said so far, before something that takes its time
    first FILE                put the first line of a small file into $v, empty where it cannot be read
    $NL $uid $user            a line feed; who the program runs as
    $boot $init $now          the boot id; systemd or nothing; the node's clock
    $root $rootstate          the run root, and ok, absent or the reason why it is refused
    $at_SECTION               the fingerprint of the section's watched paths
    "$@"                      in `reads`: the list of SECTION:FILE that one grep reads for all facts
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.model.known import JsonValue
from reconciler.model.questions import Questions

Rows = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the program asked for, and what the caller held while asking."""

    questions: Questions = field(default_factory=Questions)
    rows: Rows = field(default_factory=dict)
    """The same section as it was last read, for the parts the node left out."""
    fingerprint: str = ""
    """The fingerprint that belongs to `rows`; empty: nothing is held."""


MOST: Final = 2**53
"""The largest number that every reader of JSON takes."""


def number(text: str) -> int:
    """Read decimal digits. Raises ValueError on anything else, and on more than a committed fact can hold."""
    if not (text.isascii() and text.isdigit() and len(text) < 17 and int(text) <= MOST):  # noqa: PLR2004  (2**53 has 16 digits)
        raise ValueError(f"not a number: {text[:40]!r}")
    return int(text)


def nothing(_: Questions) -> str:
    """Give no sh text: the fact has no such part."""
    return ""


def never(_: Questions) -> bool:
    """Say no: the section is read in every pass, unless its fingerprint is the one that is held."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One section: how the node is asked, and how its answer is read."""

    section: str
    parse: Callable[[str, Asked], Rows]
    """Raises ValueError on a line it does not understand: unknown is not absent."""
    frame: str = ""
    """The section whose answer this one is read from as well; empty: it has its own."""
    watch: str = ""
    """sh words (globs allowed), the paths whose stat lines are the fingerprint; with the same one nothing is computed."""
    also: Callable[[Questions], str] = nothing
    """One sh word that belongs to the fingerprint as well."""
    hourly: Callable[[Questions], bool] = never
    """Whether the section may be held for an hour, since no expectation rests on it and nothing tells that it changed."""
    reads: Callable[[Questions], str] = nothing
    """sh text that puts files on the list of the one grep; the answer comes in the form of `texts.py`."""
    script: Callable[[Questions], str] = nothing
    """sh text that says the section itself."""
    keeps: bool = False
    """The script itself compares `$at_SECTION` with `$held_SECTION`, says frame `at.SECTION`, and leaves out only a part."""


def always(text: str) -> Callable[[Questions], str]:
    """Give sh text that does not depend on the questions."""

    def same(_: Questions) -> str:
        return text

    return same
