r"""The node's answer as frames: bytes in, (status, text) by section out. Understands no section's content.

A frame is `NONCE SECTION STATUS LENGTH\n`, LENGTH bytes and a line feed; the last one is `NONCE end COUNT\n`. Frame
`unchanged` names the sections that have no frame of their own, since their fingerprint is the one that was held. The nonce is
new for every request, so nothing else the node prints can pass for a frame. A frame counts only if it is whole and followed
by the end or by the next one; what is cut, odd or doubled is missing, with a reason, and never shorter than it was.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

MAX_BYTES = 8 * 1024 * 1024
"""Of one section: a node with 20,000 packages says 1 MB."""

MAX_LINES = 200_000
"""Of one section: parsers take a microsecond a line."""


_HEAD: Final = re.compile(rb"(?:end (\d{1,6})|([a-z._]{1,40}) (ok|unchanged|unknown) (\d{1,9}))\n")


class Status(Enum):
    """What the node says about a section."""

    OK = "ok"
    UNCHANGED = "unchanged"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Frame:
    """One section as it came."""

    status: Status
    text: str


_STATUSES: Final = {status.value.encode(): status for status in Status}

_SAME: Final = "unchanged"

_UNCHANGED: Final = Frame(Status.UNCHANGED, "")

_NAME: Final = re.compile(r"[a-z._]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Every whole frame, and what was wrong with the rest."""

    frames: Mapping[str, Frame] = field(default_factory=dict)
    problem: str | None = None
    """Why a section may be missing; None: the answer is complete."""


def read_frames(data: bytes, nonce: str) -> Answered:
    """Read an answer; never raises, whatever the bytes are."""
    mark = nonce.encode() + b" "
    position = data.find(mark)
    if position < 0:
        return Answered(problem="the answer holds no section" if data else "the answer is empty")
    frames: dict[str, Frame] = {}
    doubled: set[str] = set()
    problems: list[str] = []
    count = 0
    ended = False
    while position >= 0 and not ended:
        found = _HEAD.match(data, position + len(mark))  # every position is one where the mark was found
        if found is None:
            problems.append("the answer is cut or garbled")
            position = _next(data, mark, position + len(mark))
            continue
        if found.group(1) is not None:
            ended = True
            if int(found.group(1)) != count:
                problems.append(f"{count} of {int(found.group(1))} sections arrived whole")
            continue
        name, stop = found.group(2).decode(), found.end() + int(found.group(4))
        problem = _trouble(data, mark, found.end(), stop)
        if problem is not None:
            problems.append(f"section {name} {problem}")
            position = _next(data, mark, found.end())
            continue
        count += 1
        if name in frames:
            doubled.add(name)
        text = data[found.end() : stop].decode("utf-8", "backslashreplace")
        frames[name] = Frame(_STATUSES[found.group(3)], text)
        position = stop + 1 if data.startswith(mark, stop + 1) else -1
    if not ended:
        problems.append("the answer is cut: its end is missing")
    _name_unchanged(frames, doubled)
    if doubled:
        problems.append(f"sections came twice: {', '.join(sorted(doubled))}")
    whole = {name: frame for name, frame in frames.items() if name not in doubled}
    return Answered(frames=whole, problem="; ".join(dict.fromkeys(problems)) or None)


def _name_unchanged(frames: dict[str, Frame], doubled: set[str]) -> None:
    """Put a frame in place for each section that frame `unchanged` names; one that has a frame of its own came twice."""
    named = frames.pop(_SAME, None)
    if named is None or _SAME in doubled or named.status is not Status.OK:
        return
    for name in named.text.split():
        if _NAME.fullmatch(name) is None:
            continue
        if name in frames:
            doubled.add(name)
        frames[name] = _UNCHANGED


def _trouble(data: bytes, mark: bytes, start: int, stop: int) -> str | None:
    """Say what is wrong with a payload, or None; a whole one is followed by a line feed and a frame, or by nothing at all."""
    if stop - start > MAX_BYTES:
        return f"is longer than {MAX_BYTES} bytes"
    if stop + 1 > len(data):
        return "is cut"
    if data[stop : stop + 1] != b"\n" or (stop + 1 < len(data) and not _continues(data, mark, stop + 1)):
        return "is garbled: its length does not hold"
    if data.count(b"\n", start, stop) > MAX_LINES:
        return f"has more than {MAX_LINES} lines"
    return None


def _continues(data: bytes, mark: bytes, position: int) -> bool:
    """Whether a frame starts here, or would but for a cut."""
    return mark.startswith(data[position : position + len(mark)])


def _next(data: bytes, mark: bytes, position: int) -> int:
    found = data.find(b"\n" + mark, position)
    return -1 if found < 0 else found + 1
