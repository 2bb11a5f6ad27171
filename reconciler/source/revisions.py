"""Which commit a name means, and how commits hang together; asked of our own clone alone."""

from collections.abc import Iterable, Iterator

from reconciler.errors import SourceError
from reconciler.ids import CommitId
from reconciler.source.address import OBJECT_ID, SHORT_ID, parse_revision
from reconciler.source.git_process import GitProcess
from reconciler.source.own_refs import OwnRefs
from reconciler.source.records import Remote
from reconciler.source.remotes import HEAD

_MAX_DESCENT = 10_000
_MAX_MEANT = 100


class Revisions:
    """Those of one clone; what an id means never changes, so it is asked once."""

    def __init__(self, git: GitProcess, refs: OwnRefs, state: Remote) -> None:
        self._git = git
        self._refs = refs
        self._state = state
        self._descent: set[tuple[str, str]] = set()
        self._meant: dict[str, str] = {}

    def head_branch(self) -> str | None:
        """Give the branch the remote's HEAD named when last fetched."""
        found = self._git.run("symbolic-ref", "--quiet", self._state.tracking("HEAD"))
        prefix = self._state.tracking("refs/heads/")
        name = found.stdout.decode("utf-8", "surrogateescape").strip()
        return name.removeprefix(prefix) if found.status == 0 and name.startswith(prefix) else None

    def resolve(self, rev: str) -> CommitId:
        """Give the commit a branch, tag, HEAD or id means, in what was last fetched; `~N` and `^N` go back from it."""
        revision = parse_revision(rev)
        for name in self._candidates(revision.name):
            found = self.id_of(f"{name}^{{commit}}{revision.steps}")
            if found is not None:
                return CommitId(found)
        raise SourceError(f"{self._state.address.shown} has no revision {rev!r}")

    def _candidates(self, name: str) -> Iterator[str]:
        if OBJECT_ID.match(name):
            yield name
            return
        if name == "HEAD":
            yield self._state.tracking(HEAD)
            return
        yield self._state.tracking(f"refs/heads/{name}")
        yield self._state.tracking(f"refs/tags/{name}")
        if name.startswith("refs/"):
            yield self._state.tracking(name)
        if SHORT_ID.match(name):
            yield name

    def id_of(self, name: str) -> str | None:
        """Give the id a name means; what an id means never changes, so it is asked once."""
        base, _, steps = name.partition("^")
        held = self._refs.get(base) or (base if OBJECT_ID.match(base) else None)
        if held is None:
            return self.ask_id(name)
        asked = f"{held}^{steps}"
        if asked not in self._meant:
            found = self.ask_id(asked)
            if found is None:
                return None
            self._meant = {asked: found, **dict(list(self._meant.items())[:_MAX_MEANT])}
        return self._meant[asked]

    def ask_id(self, name: str) -> str | None:
        """Ask git for the id of an object that a name or an id means."""
        answer = self._git.ask("cat-file", "--batch-check", stdin=name.encode("utf-8", "surrogateescape") + b"\n")
        parts = answer.decode("utf-8", "replace").split()
        return parts[0] if len(parts) == 3 and OBJECT_ID.match(parts[0]) else None  # noqa: PLR2004  id, kind, size

    def is_ancestor(self, older: CommitId, newer: CommitId) -> bool:
        """Tell whether `newer` descends from `older`, or is it. A commit we do not hold descends from nothing."""
        if older == newer or (older, newer) in self._descent:
            return True
        if self._git.run("merge-base", "--is-ancestor", older, newer).status != 0:
            return False
        self.note_made(newer, (older,))
        return True

    def note_made(self, commit: CommitId, ancestors: Iterable[CommitId]) -> None:
        """Remember that a commit descends from these: who made it knows, and who asked once."""
        if len(self._descent) >= _MAX_DESCENT:
            self._descent.clear()
        self._descent.update((ancestor, commit) for ancestor in ancestors)

    def count_between(self, older: CommitId | None, newer: CommitId) -> int:
        """Count the commits that `newer` has and `older` has not."""
        if older == newer:
            return 0
        return int(self._git.ask("rev-list", "--count", newer, *(() if older is None else (f"^{older}",))))

    def merge_base(self, one: CommitId, other: CommitId) -> CommitId | None:
        """Give the last commit both descend from; None: they have nothing in common."""
        found = self._git.run("merge-base", one, other).stdout.decode("ascii").strip()
        return CommitId(found) if OBJECT_ID.match(found) else None
