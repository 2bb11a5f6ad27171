"""What this process committed to the branch itself: then nobody asks git which files of it changed, or what they are now.

Takes what `ReportsBranch.write` made, gives what lies between two commits. Another process' commits are in none of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from threading import Lock
from typing import Final

from reconciler.commit.turn import Turn
from reconciler.ids import CommitId

MOST_KEPT: Final = 256
"""Commits: a daemon that sends a command a second makes a pass every few minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWrite:
    """One commit of ours."""

    parent: CommitId | None
    paths: frozenset[str]
    """Files that it changed, and no others."""
    when: datetime
    """In whole seconds, as git keeps it."""

    def is_below(self, folder: str) -> bool:
        """Whether it changed files of this folder alone."""
        return all(path.startswith(f"{folder}/") for path in self.paths)


class OwnWrites:
    """Of one process, for all its handles of one clone. Safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.turn = Turn()
        """Who commits has it: of several handles one goes after the other. Other processes are met by what the refs hold."""
        self._made: dict[CommitId, OwnWrite] = {}
        self._files: tuple[CommitId, Mapping[str, str]] | None = None

    def note(self, made: CommitId, write: OwnWrite, files: Mapping[str, str]) -> None:
        """Remember a commit, and path -> blob id of all its files."""
        with self._lock:
            for oldest in tuple(islice(self._made, max(0, len(self._made) - MOST_KEPT + 1))):
                del self._made[oldest]
            self._made[made] = write
            self._files = made, files

    def since(self, older: CommitId | None, newer: CommitId) -> tuple[OwnWrite, ...] | None:
        """Give the commits from `newer` back to `older`, which is none of them; None where not all of them are ours.

        `older` None: back to the first of the branch.
        """
        found: list[OwnWrite] = []
        at: CommitId | None = newer
        with self._lock:
            while at != older:
                write = None if at is None else self._made.get(at)
                if write is None:
                    return None
                found.append(write)
                at = write.parent
        return tuple(found)

    def files_at(self, commit: CommitId) -> Mapping[str, str] | None:
        """Give path -> blob id of a commit's files, if it is the last that was noted."""
        known = self._files
        return known[1] if known is not None and known[0] == commit else None

    def keep_files(self, commit: CommitId, files: Mapping[str, str]) -> None:
        """Remember the files of a commit that git listed."""
        self._files = commit, files
