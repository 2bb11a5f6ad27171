"""What a node tells about one run: its report, read strictly. Takes bytes, gives records; pure.

A node is not trusted: anything odd is a ValueError, and the edge makes an AnswerGarbled of it.
"""

import re
from dataclasses import dataclass, field
from enum import Enum

KINDS = ("out", "err")
MOST_STEPS = 10_000
MOST_SECONDS = 10**9
MOST_BYTES = 10**9
_DIGITS = re.compile(r"\d{1,10}", re.ASCII)
_RESULT = re.compile(r"(Success|Failed|TimedOut|Cancelled|Skipped) (\d{1,3})", re.ASCII)
_ENDED = re.compile(r"ended (Success|Failed|TimedOut|Cancelled|NotStarted) (-?\d{1,3}) (\d{1,18})", re.ASCII)
_AT_STEP = re.compile(r"(?:step (\d{1,5}) \d{1,18}|reboot (\d{1,5}) \d{1,18} \d{1,12})", re.ASCII)


class Standing(Enum):
    """Where a run stands."""

    ABSENT = "absent"
    """There is no such folder."""
    UNBEGUN = "unbegun"
    """Claimed, and its runner never began: nothing ran."""
    GOING = "going"
    ORPHAN = "orphan"
    """Its runner is dead, the script of its current step goes on."""
    ENDED = "ended"
    KILLED = "killed"
    """Its runner is dead, and so is everything of it."""
    DOWN = "down"
    """The node has been booted since it began."""
    REBOOTED = "rebooted"
    """The node has been booted since, as a script asked for: it goes on once it is resumed."""

    @property
    def goes_on(self) -> bool:
        """Whether more will come, by itself or once it is resumed."""
        return self in (Standing.GOING, Standing.ORPHAN, Standing.REBOOTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The node's own reason for not starting."""

    kind: str
    """busy, differs, fenced, full, held, unsafe, unstaged."""
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Output of one step from `offset` on."""

    step: int
    kind: str
    offset: int
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSight:
    """One step's result; `status` is empty while there is none."""

    number: int
    status: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One report."""

    standing: Standing
    status: str = ""
    """Success, Failed, TimedOut, Cancelled, NotStarted; empty while it has not ended."""
    exit_code: int | None = None
    at_step: int = 0
    rebooting: bool = False
    """Whether that step asked for a reboot, and has not been resumed."""
    body_may_have_run: bool = False
    why: str = ""
    took: int | None = None
    steps: tuple[StepSight, ...] = ()
    pieces: tuple[Piece, ...] = ()
    more: bool = False
    """Whether output was left for the next look."""

    @property
    def nothing_ran(self) -> bool:
        """Whether it is certain that no step began, and that none will."""
        if self.standing in (Standing.ABSENT, Standing.UNBEGUN) or self.status == "NotStarted":
            return True
        return self.standing in (Standing.KILLED, Standing.DOWN) and not self.body_may_have_run


def read_report(answer: bytes) -> Sight | Refusal:
    """Read what START, LOOK, CANCEL and DISCARD print; ValueError where it is anything else."""
    reader = _Reader(answer)
    line = reader.line()
    if line.startswith("refused "):
        kind, _, words = line.removeprefix("refused ").partition(" ")
        return Refusal(kind=kind, words=words[:500])
    if line == "claimed":
        line = reader.line()
    if line == "absent":
        return Sight(standing=Standing.ABSENT)
    return _read_run(reader, line)


def _read_run(reader: "_Reader", first: str) -> Sight:
    if not first.startswith("state"):
        raise ValueError(f"expected the state, got {first[:80]!r}")
    state = first.removeprefix("state").strip()
    standing = Standing(_after(reader.line(), "standing "))
    why, took, more = "", None, False
    steps: list[StepSight] = []
    pieces: list[Piece] = []
    while (line := reader.line()) != "end":
        word, _, rest = line.partition(" ")
        match word:
            case "why":
                why = rest[:500]
            case "took":
                took = _number(rest, MOST_SECONDS)
            case "step":
                steps.append(_read_step(rest, len(steps)))
            case "more":
                more = True
            case "data":
                pieces.append(_read_piece(reader, rest))
            case _:
                raise ValueError(f"unknown line {line[:80]!r}")
    ended = _ENDED.fullmatch(state)
    if (standing is Standing.ENDED) != (ended is not None):
        raise ValueError(f"state {state[:80]!r} does not go with {standing.value}")
    at_step = _AT_STEP.fullmatch(state)
    return Sight(
        standing=standing,
        status=ended[1] if ended else "",
        exit_code=int(ended[2]) if ended else None,
        at_step=int(at_step[1] or at_step[2]) if at_step else 0,
        rebooting=state.startswith("reboot "),
        body_may_have_run=bool(state) and not state.startswith("waiting "),
        why=why,
        took=took,
        steps=tuple(sorted(steps, key=lambda step: step.number)),
        pieces=tuple(pieces),
        more=more,
    )


def _after(line: str, start: str) -> str:
    if not line.startswith(start):
        raise ValueError(f"expected {start!r}, got {line[:80]!r}")
    return line.removeprefix(start)


def _read_step(rest: str, so_far: int) -> StepSight:
    number, _, result = rest.partition(" ")
    if so_far >= MOST_STEPS:
        raise ValueError("more steps than any document has")
    if not result:
        return StepSight(number=_number(number, MOST_STEPS))
    match = _RESULT.fullmatch(result)
    if match is None:
        raise ValueError(f"step result {result[:80]!r}")
    return StepSight(number=_number(number, MOST_STEPS), status=match[1], exit_code=int(match[2]))


def _read_piece(reader: "_Reader", rest: str) -> Piece:
    number, kind, offset, size = rest.split(" ")
    if kind not in KINDS:
        raise ValueError(f"output of kind {kind[:20]!r}")
    return Piece(
        step=_number(number, MOST_STEPS),
        kind=kind,
        offset=_number(offset, MOST_BYTES),
        content=reader.block(_number(size, MOST_BYTES)),
    )


def _number(text: str, most: int) -> int:
    """Read a number that makes sense: these become names of files, and go into sums."""
    if not _DIGITS.fullmatch(text) or int(text) > most:
        raise ValueError(f"the number {text[:20]!r}")
    return int(text)


class _Reader:
    """Lines and counted blocks of one answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._at = 0

    def line(self) -> str:
        end = self._answer.find(b"\n", self._at)
        if end < 0:
            raise ValueError("the answer ends in the middle")
        line = self._answer[self._at : end]
        self._at = end + 1
        return line.decode("utf-8", "replace")

    def block(self, size: int) -> bytes:
        end = self._at + size
        if size < 0 or self._answer[end : end + 1] != b"\n":
            raise ValueError("a block of output is cut")
        block = self._answer[self._at : end]
        self._at = end + 1
        return block
