"""Follows the ledger along the compliance branch: what counts of it is what its history leaves, not what its files say now."""

from contextlib import closing
from typing import Final

from reconciler.commit.branch import read_branch
from reconciler.compliance.paths import LEDGERS
from reconciler.compliance.read import Branch, read_branch_files
from reconciler.ids import CommitId
from reconciler.patching.ledger import Ledger
from reconciler.patching.ledger_history import LedgerChange
from reconciler.source.line_history import LineChange
from reconciler.source.repository import Repository

_REPORTS: Final = ("README.md", "compliance.json", "inventory", "nodes")
"""What a report touches: a pass dates nothing before the report ahead of its own, but may be overtaken by a command's record."""
_FOLLOWED: Final = "refs/followed/ledger"
"""In our own clone: the last commit whose files hold the very ledger that counts; a new process goes on from there."""


class LedgerFollower:
    """Remembers how far it came: what follows is read commit by commit, and nothing twice."""

    def __init__(self, repository: Repository, known: tuple[CommitId | None, Ledger] | None = None) -> None:
        self._repository = repository
        self._known = known

    @property
    def known(self) -> tuple[CommitId | None, Ledger] | None:
        """How far it came, and what counts there; None: it has not begun."""
        return self._known

    def followed(self, read: Branch, tip: CommitId) -> Branch:
        """Give the branch with the ledger that counts. Raises SourceError where its history does not read."""
        commit, ledger = self._known or self._last()
        if commit is not None and not self._repository.is_ancestor(commit, tip):
            commit, ledger = None, Ledger()  # another history, by a person's word
        changes = self._repository.line_changes(commit, tip, LEDGERS, _REPORTS)
        found = read.following(ledger, map(_change, changes))
        self._known = (tip, found.ledger)
        if not found.ledger_differs:
            self._repository.update_refs({_FOLLOWED: (None, tip)}, checked=False)
        return found

    def _last(self) -> tuple[CommitId | None, Ledger]:
        last = self._repository.ref(_FOLLOWED)
        if last is None:
            return None, Ledger()
        commit = CommitId(last)
        with closing(read_branch(self._repository, commit, (LEDGERS,))) as files:
            return commit, read_branch_files(files, commit).ledger


def _change(change: LineChange) -> LedgerChange:
    return LedgerChange(
        known_at=change.before,
        removed={path: lines.removed for path, lines in change.files.items()},
        added={path: lines.added for path, lines in change.files.items()},
    )
