"""Keeps scripts' output on the manager: STATE_DIR/runs/RUN/N/{stdout,stderr}, whole; nothing of it goes into git.

What is already kept is where the next look goes on from, also after a restart.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from reconciler.ids import RunId
from reconciler.rollout.node_programs import OUTPUT_CAP
from reconciler.rollout.sight import Piece

NAMES: Final = {"out": "stdout", "err": "stderr"}
LIMITS: Final = {"out": 24_000, "err": 8_000}
"""SSM's limits on what a result carries."""
SUFFIX: Final = b"--output truncated--"
COMBINED_LIMIT: Final = 2_500
"""SSM's limit on the field that holds both of a step."""
ERROR_TITLE: Final = b"\n----------ERROR-------\n"
OUTPUT_CUT: Final = b"\n---Output truncated---"
ERROR_CUT: Final = b"\n---Error truncated----"
MOST_KEPT = OUTPUT_CAP + 64 * 1024
"""The node's own cap and the lines it adds; a node that sends more is not believed."""
MOST_OF_RUN = 256 * 1024 * 1024
"""Kept of all steps of a run together; a node that goes on naming steps must not fill the manager's disk."""


class OutputKeeper:
    """The output of runs, in a folder, or in memory where there is none. Used by one thread per run at a time."""

    def __init__(self, folder: Path | None, on_piece: Callable[[RunId, Piece], None] | None = None) -> None:
        """Keep output below `folder`; `on_piece` hears of what is new, from the thread that met it."""
        self._folder = folder
        self._on_piece = on_piece
        self._memory: dict[tuple[RunId, int, str], bytearray] = {}
        self._unkept: dict[RunId, str] = {}

    def unkept(self, run: RunId) -> str:
        """Say why output of a run could not be kept when it last came; empty where all that came is here."""
        return self._unkept.get(run, "")

    def held(self, run: RunId) -> Mapping[tuple[int, str], int]:
        """Give how many bytes are kept of each step's output."""
        if self._folder is None:
            return {(step, kind): len(kept) for (of, step, kind), kept in list(self._memory.items()) if of == run}
        held: dict[tuple[int, str], int] = {}
        if not os.path.isdir(f"{self._folder}/{run}"):  # noqa: PTH112  (a start asks for every node: half the work)
            return held
        for kind, name in NAMES.items():
            for path in (self._folder / run).glob(f"*/{name}"):
                if path.parent.name.isdecimal():
                    held[int(path.parent.name), kind] = path.stat().st_size
        return held

    def keep(self, run: RunId, pieces: Iterable[Piece]) -> bool:
        """Append what a node sent. ValueError where it does not go on from what is kept.

        False: it is of no use to ask for the rest now. The run has its share, or this host's disk takes nothing: `unkept`
        says so, and the next look asks again from where the file ends.
        """
        pieces = tuple(pieces)
        if not pieces:
            return True
        held = dict(self.held(run))
        total = sum(held.values())
        for piece in pieces:
            total += len(piece.content)
            if total > MOST_OF_RUN:
                return False
            size = held.get((piece.step, piece.kind), 0)
            if piece.offset != size or piece.step < 1:
                raise ValueError(f"output of step {piece.step} from byte {piece.offset}, {size} bytes are here")
            size += len(piece.content)
            if size > MOST_KEPT:
                raise ValueError(f"step {piece.step} sends more output than a node keeps")
            try:
                self._append(run, piece)
            except OSError as exc:
                self._unkept[run] = exc.strerror or str(exc)
                return False
            held[piece.step, piece.kind] = size
            if self._on_piece is not None:
                self._on_piece(run, piece)
        self._unkept.pop(run, None)
        return True

    def _append(self, run: RunId, piece: Piece) -> None:
        if self._folder is None:
            self._memory.setdefault((run, piece.step, piece.kind), bytearray()).extend(piece.content)
            return
        path = self._folder / run / str(piece.step) / NAMES[piece.kind]
        for folder in (self._folder, self._folder / run, path.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        with path.open("ab", buffering=0) as file:
            written = 0
            try:
                while written < len(piece.content):
                    written += file.write(piece.content[written:])
            except OSError:
                # A piece is here whole or not at all: whoever follows the run has not heard of it either.
                with suppress(OSError):
                    file.truncate(piece.offset)
                raise

    def head(self, run: RunId, step: int, kind: str) -> bytes:
        """Give what a result carries: the first bytes, within SSM's limit, whole characters, marked where cut."""
        limit = LIMITS[kind]
        if self._folder is None:
            return truncated(bytes(self._memory.get((run, step, kind), b"")[: limit + 1]), limit)
        try:
            with open(f"{self._folder}/{run}/{step}/{NAMES[kind]}", "rb") as file:  # noqa: PTH123  (as above)
                return truncated(file.read(limit + 1), limit)
        except FileNotFoundError:
            return b""


def forget_before(folder: Path, instant: datetime) -> None:
    """Remove the kept output of runs that got none since `instant`; SSM keeps that of commands for 14 days."""
    if not folder.is_dir():
        return
    for run in folder.iterdir():
        with suppress(OSError):  # what cannot be looked at stays
            newest = max((path.stat().st_mtime for path in run.rglob("*")), default=run.stat().st_mtime)
            if newest < instant.timestamp():
                shutil.rmtree(run, ignore_errors=True)


def truncated(output: bytes, limit: int, suffix: bytes = SUFFIX) -> bytes:
    """Cut at a character boundary and mark what has `limit` bytes or more (SSM: reaching it already cuts)."""
    if len(output) < limit:
        return output
    room = limit - len(suffix)
    cut = room
    # Step back over continuation bytes, at most the three that UTF-8 has.
    while cut > room - 4 and cut > 0 and output[cut] & 0xC0 == 0x80:  # noqa: PLR2004  (10xxxxxx)
        cut -= 1
    return output[:cut] + suffix


def combined(stdout: bytes, stderr: bytes) -> bytes:
    """Give both in SSM's one short field: where they do not fit, the longer is cut, or each to half where both are long."""
    title = ERROR_TITLE if stderr else b""
    room = COMBINED_LIMIT - len(title)
    if len(stdout) + len(stderr) >= room:
        half = room // 2
        if len(stdout) > half and len(stderr) > half:
            stdout = truncated(stdout, half, OUTPUT_CUT)
            stderr = truncated(stderr, half, ERROR_CUT)
        elif len(stdout) >= len(stderr):
            stdout = truncated(stdout, room - len(stderr), OUTPUT_CUT)
        else:
            stderr = truncated(stderr, room - len(stdout), ERROR_CUT)
    return stdout + title + stderr
