"""The refs of our own clone: what they hold, and moving them all or none. Knows no remote."""

from collections.abc import Mapping
from uuid import uuid4

from reconciler.errors import CommitError, SourceError
from reconciler.source.clone import SCRATCH, clear_stale_locks
from reconciler.source.git_process import GitProcess
from reconciler.source.ref_files import all_refs

_NO_ID = "0" * 40


class OwnRefs:
    """Those of one clone, read once until somebody says that they may have moved."""

    def __init__(self, git: GitProcess) -> None:
        self._git = git
        self._refs: dict[str, str] | None = None
        """What they hold, read once a fetch: each question to git costs 5 ms, and a pass asks forty times."""
        self._scratch: list[str] = []

    def look_again(self) -> None:
        """Forget what they held: a git of ours, or another process, may have moved them."""
        self._refs = None

    def scratch(self) -> str:
        """Give a new name for a ref that the next `update` removes."""
        self._scratch.append(f"{SCRATCH}{uuid4().hex}")
        return self._scratch[-1]

    def sweep(self) -> None:
        """Remove the scratch refs that no `update` has: what they named is named otherwise, or was made in vain."""
        if self._scratch:
            commands = "".join(_ref_command(name, None, None, checked=False) for name in self._scratch)
            self._git.run("update-ref", "--no-deref", "--stdin", "-z", stdin=commands.encode("ascii"))
            self._scratch.clear()

    def below(self, prefix: str) -> Mapping[str, str]:
        """Give our clone's refs whose names start with `prefix`, with their ids, as of the last fetch or change of ours."""
        if self._refs is None:
            self._refs = all_refs(self._git.folder)
        if self._refs is None:
            finished = self._git.run("for-each-ref", "--format=%(refname) %(objectname)")
            if (
                finished.status != 0 or b"ignoring" in finished.stderr
            ):  # a ref that does not read is not one that is gone
                raise SourceError(f"refs of {self._git.folder} cannot be read: {finished.complaint}")
            lines = finished.stdout.decode("utf-8", "surrogateescape").splitlines()
            self._refs = {name: value for name, _, value in (line.partition(" ") for line in lines)}
        return {name: value for name, value in self._refs.items() if name.startswith(prefix)}

    def get(self, name: str) -> str | None:
        """Give the id one ref of our clone holds."""
        if self._refs is None:
            self.below("refs/")
        return None if self._refs is None else self._refs.get(name)

    def note(self, name: str, value: str) -> None:
        """Know that a git of ours moved one of them."""
        if self._refs is not None:
            self._refs = {**self._refs, name: value}

    def update(self, changes: Mapping[str, tuple[str | None, str | None]], *, checked: bool = True) -> None:
        """Move refs of our clone, all or none: name -> (what it holds now, what it shall hold; None: no such ref).

        With `checked=False` what they hold now does not matter.
        """
        if not checked:
            changes = {name: change for name, change in changes.items() if self.get(name) != change[1]}
        if not changes:
            return
        commands = [_ref_command(name, old, new, checked=checked) for name, (old, new) in changes.items()]
        commands += [_ref_command(name, None, None, checked=False) for name in self._scratch]
        stdin = "".join(commands).encode("utf-8", "surrogateescape")
        finished = self._git.run("update-ref", "--no-deref", "--stdin", "-z", stdin=stdin)
        if finished.status != 0 and clear_stale_locks(self._git):
            finished = self._git.run("update-ref", "--no-deref", "--stdin", "-z", stdin=stdin)
        if finished.status != 0:
            self._refs = None
            raise CommitError(f"refs of {self._git.folder} could not be moved: {finished.complaint}")
        self._scratch.clear()
        if self._refs is not None:
            held = {name: value for name, value in self._refs.items() if name not in changes}
            self._refs = held | {name: new for name, (_, new) in changes.items() if new is not None}


def _ref_command(name: str, old: str | None, new: str | None, *, checked: bool) -> str:
    if not checked:
        return f"update {name}\0{new}\0\0" if new is not None else f"delete {name}\0\0"
    if new is None:
        return f"delete {name}\0{old or ''}\0"
    return f"update {name}\0{new}\0{old or _NO_ID}\0"
