"""One git repository as we use it: a bare clone of our own, what its remotes hold, and what we write to them.

Takes addresses, ref names and ids; gives records and bytes. No work tree is ever made, and nothing the repository
holds is executed: see `git_process.py`.
"""

import shutil
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler.errors import CommitError, SourceError
from reconciler.ids import CommitId
from reconciler.source.address import OBJECT_ID, RepositoryAddress, branch_name
from reconciler.source.clone import (
    clear_stale_locks,
    clone_folder,
    close_clone,
    enter_broken,
    fresh_folder,
    lock_files,
    open_clone,
    take_alone,
)
from reconciler.source.file_history import earlier_contents
from reconciler.source.git_process import GitOptions, GitProcess
from reconciler.source.git_text import import_stream, read_changes
from reconciler.source.line_history import LineChange, line_changes
from reconciler.source.local import locate, remote_address
from reconciler.source.objects import DEFAULT_LIMITS, Objects
from reconciler.source.own_refs import OwnRefs
from reconciler.source.records import (
    CommitRecord,
    Person,
    ReadLimits,
    RefResult,
    RefRule,
    RefUpdate,
    Remote,
    RemoteRefs,
    WriteRequest,
)
from reconciler.source.remotes import Remotes
from reconciler.source.revisions import Revisions
from reconciler.source.salvage import (
    Wreck,
    is_still_broken,
    move_into_place,
    named_branches,
    named_refs,
    what_is_broken,
)
from reconciler.source.signature import check_signature, signature_kind, signed
from reconciler.source.signature_tools import Signature
from reconciler.source.snapshot import STATE_ROOTS, Snapshot
from reconciler.source.trust import Trust

HEARTBEAT_REF = "refs/reconciler/heartbeat"
LEASE_REF = "refs/reconciler/lease"
_REPAIRED = "reconciler.repaired"


class Repository:
    """Open with `Repository.open(...)`, close when done; or use it in a `with`."""

    def __init__(self, git: GitProcess, address: RepositoryAddress) -> None:
        self.address = address
        self.state = Remote(name="state", address=address)
        """Where the state branch is read."""
        self._work_with(git)

    def _work_with(self, git: GitProcess) -> None:
        self._git = git
        self._objects = Objects(git)
        self._refs = OwnRefs(git)
        self._remotes = Remotes(git, self._refs, self.state)
        self._revisions = Revisions(git, self._refs, self.state)

    @classmethod
    def open(cls, address: RepositoryAddress, *, state_dir: Path, options: GitOptions | None = None) -> Self:
        """Open our clone of `address` below `state_dir`, made where there is none yet, and anew where git refuses it.

        Nothing is fetched but to make a broken one anew.
        """
        found, options = locate(address), options or GitOptions()
        folder = clone_folder(state_dir, found)
        try:
            return cls(open_clone(folder, found, options), found)
        except SourceError as exc:
            trouble = exc
        opened = cls(enter_broken(folder, found, options), found)
        try:
            repaired = opened.repair()
        except BaseException:
            opened.close()
            raise
        if repaired is None:
            opened.close()
            raise trouble
        return opened

    def close(self) -> None:
        """Let go of the clone."""
        self._objects.close()
        with suppress(SourceError):
            self._refs.sweep()
        close_clone(self._git)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The bare clone."""
        return self._git.folder

    def lock_files(self) -> tuple[str, ...]:
        """Give the names of lock files that lie in our clone."""
        return lock_files(self.folder)

    def clear_locks(self) -> tuple[str, ...]:
        """Remove lock files that a killed git left; give their names. None where another process of ours uses the clone."""
        return clear_stale_locks(self._git)

    def repair(self) -> str | None:
        """Make our clone anew if it is broken; gives what was wrong and what became of it. None: it is sound.

        Raises SourceError where it is broken and cannot be replaced now. The remotes are not judged: only our folder is.
        """
        why = what_is_broken(self._git)
        if why is None:
            return None
        if not take_alone(self._git):
            if not is_still_broken(self._git, why):
                return None  # others write to it: what came after git had listed the objects was missing to it
            raise SourceError(f"{self._broken(why)}; another process uses it: it is made anew once that one has ended")
        folder, fresh = self.folder, fresh_folder(self.folder)
        shutil.rmtree(fresh, ignore_errors=True)
        made = Repository(open_clone(fresh, self.address, self._git.options), self.address)
        try:
            changed = made._take_over(folder)
            aside = move_into_place(fresh, folder)
        except BaseException:
            made.close()
            raise
        self.close()
        self._work_with(replace(made._git, folder=folder))
        lost = f"; {'; '.join(changed)}" if changed else ", with all that it had alone"
        note = f"{self._broken(why)}; it was made anew{lost}; the old one is kept as {aside}"
        with suppress(OSError):  # it is for a process after this one alone
            (folder / _REPAIRED).write_text(note)
        return note

    def _broken(self, why: str) -> str:
        return f"our clone {self.folder} of {self.address.shown} was broken ({why})"

    def told_repair(self) -> str | None:
        """Give what the last repair came to, until `forget_repair`: the process that made it may not have told anybody."""
        try:
            return (self.folder / _REPAIRED).read_text()
        except OSError:
            return None

    def forget_repair(self) -> None:
        """Say that it was told."""
        (self.folder / _REPAIRED).unlink(missing_ok=True)

    def _take_over(self, broken: Path) -> tuple[str, ...]:
        """Bring what a broken clone had alone into this fresh one; gives in words what could not be.

        The remote comes first: what it has need not be readable in the broken one.
        """
        with suppress(SourceError):
            self.fetch_state()
        with suppress(SourceError):
            self.fetch(self.state, named_branches(broken))
        wreck = Wreck(broken, self.folder.with_suffix(".view"), self._git)
        try:
            named = named_refs(broken)
            held = {name: self._saved(wreck, name, value) for name, value in named.items()}
        finally:
            wreck.close()
        self._refs.look_again()
        self.update_refs({name: (None, value) for name, value in held.items() if value is not None}, checked=False)
        return tuple(_what_became(name, named[name], value) for name, value in held.items() if value != named[name])

    def _saved(self, wreck: Wreck, name: str, value: str) -> str | None:
        if self._revisions.ask_id(value) is not None:
            return value
        found = wreck.bring(name, value)
        return value if found != value and self.has_commit(value) else found

    # Remotes

    def remote_address(self, name: str) -> RepositoryAddress:
        """Give where `Reports.Remote: NAME` points, from `remote.NAME.url` of a local repository alone."""
        return remote_address(self._git, self.address, name)

    def look(self, remote: Remote, refs: Sequence[str]) -> RemoteRefs:
        """Ask a remote which of `refs` (full names; a trailing `*` is allowed) it has, without fetching."""
        return self._remotes.look(remote, refs)

    def fetch(self, remote: Remote, refs: Sequence[str]) -> RemoteRefs:
        """Bring our tracking refs of `remote` to what it has: moved, added, and removed where it has them no more."""
        return self._remotes.fetch(remote, refs)

    def fetch_state(self, branch: str | None = None) -> RemoteRefs:
        """Fetch the state branch (None: the remote's HEAD)."""
        return self.fetch(self.state, () if branch is None else (f"refs/heads/{branch_name(branch)}",))

    def fetch_everything(self) -> RemoteRefs:
        """Fetch all branches and tags: for `plan --base REV --head REV`."""
        return self.fetch(self.state, ("refs/heads/*", "refs/tags/*"))

    def has_commit(self, commit: str) -> bool:
        """Tell whether the clone holds this commit; asks the remote for it where not."""
        if self._revisions.id_of(f"{commit}^{{commit}}") is not None:
            return True
        try:
            self._remotes.bring(self.address, [commit])
        except SourceError:
            return False
        return self._revisions.id_of(f"{commit}^{{commit}}") is not None

    def push(
        self, remote: Remote, updates: Sequence[RefUpdate], also: Mapping[str, str] | None = None
    ) -> tuple[RefResult, ...]:
        """Move refs of a remote, each by its own rule; what it refused is in the results, only no answer is an error.

        `also`: its ref -> one of ours that shall hold what it took, beside the tracking ref.
        """
        return self._remotes.push(remote, updates, also)

    def could_push(self, remote: Remote, ref: str, person: Person, when: datetime) -> bool:
        """Tell whether a remote would let us move `ref` on, as far as it says before anything is pushed; nothing is.

        A commit that adds nothing is made upon the ref's tip in our clone, and `push --dry-run` asked for it. The server
        checks who may push at all; its hooks and rules for single branches are not asked.
        """
        tip = self.look(remote, (ref,)).ids.get(ref)
        if tip is None or not self.has_commit(tip):
            return False
        request = WriteRequest(
            parents=(CommitId(tip),), changes={}, message="Asked, never pushed", person=person, when=when
        )
        made = self.write_commit(request)
        return self._remotes.would_take(remote, RefUpdate(ref=ref, new=made, rule=RefRule.FAST_FORWARD))

    # Our own refs

    def refs(self, prefix: str) -> Mapping[str, str]:
        """Give our clone's refs whose names start with `prefix`, with their ids, as of the last fetch or change of ours."""
        return self._refs.below(prefix)

    def ref(self, name: str) -> str | None:
        """Give the id one ref of our clone holds."""
        return self._refs.get(name)

    def forget_refs(self) -> None:
        """Read the refs of our clone anew when next asked for one: another handle may have moved them."""
        self._refs.look_again()

    def update_refs(self, changes: Mapping[str, tuple[str | None, str | None]], *, checked: bool = True) -> None:
        """Move refs of our clone, all or none: name -> (what it holds now, what it shall hold; None: no such ref).

        With `checked=False` what they hold now does not matter.
        """
        self._refs.update(changes, checked=checked)

    # Reading

    def head_branch(self) -> str | None:
        """Give the branch the remote's HEAD named when last fetched."""
        return self._revisions.head_branch()

    def resolve(self, rev: str) -> CommitId:
        """Give the commit a branch, tag, HEAD or id means, in what was last fetched; `~N` and `^N` go back from it."""
        return self._revisions.resolve(rev)

    def is_ancestor(self, older: CommitId, newer: CommitId) -> bool:
        """Tell whether `newer` descends from `older`, or is it. A commit we do not hold descends from nothing."""
        return self._revisions.is_ancestor(older, newer)

    def count_between(self, older: CommitId | None, newer: CommitId) -> int:
        """Count the commits that `newer` has and `older` has not."""
        return self._revisions.count_between(older, newer)

    def merge_base(self, one: CommitId, other: CommitId) -> CommitId | None:
        """Give the last commit both descend from; None: they have nothing in common."""
        return self._revisions.merge_base(one, other)

    def commits_between(self, older: CommitId | None, newer: CommitId, limit: int = 10_000) -> tuple[CommitRecord, ...]:
        """Give the commits that `newer` has and `older` has not, oldest first: their messages carry the trailers."""
        without = () if older is None else (f"^{older}",)
        listed = self._git.ask("rev-list", "--reverse", "--topo-order", f"--max-count={limit}", newer, *without)
        return self._objects.commit_records(listed.decode("ascii").split())

    def earlier_contents(self, commit: CommitId, paths: Collection[str]) -> Mapping[str, tuple[tuple[str, bytes], ...]]:
        """Give every content that files had up to `commit`, oldest first; see `file_history`."""
        return earlier_contents(self._git, commit, paths)

    def line_changes(
        self, older: CommitId | None, newer: CommitId, folder: str, beside: tuple[str, ...] = ()
    ) -> tuple[LineChange, ...]:
        """Give what each commit since `older` did to the lines of a folder's files; see `line_history`."""
        return line_changes(self._git, older, newer, folder, beside)

    def changes_between(self, older: CommitId | None, newer: CommitId) -> Mapping[str, str | None]:
        """Give path -> blob id of what `newer` changed against `older` (None: everything); None: it removed the file."""
        if older is None:
            return dict(self.blob_ids(newer))
        return read_changes(
            self._git.ask("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", older, newer)
        )

    def commit_record(self, commit: CommitId) -> CommitRecord:
        """Read one commit: author, instant, message, parents."""
        return self._objects.commit_record(commit)

    def trees(self, commit: CommitId, roots: tuple[str, ...] = STATE_ROOTS) -> Mapping[str, str]:
        """Give the tree ids of `state`, `documents`, `baselines` at a commit; an absent folder has no entry."""
        return self._objects.trees(commit, roots)

    def read_files(
        self, commit: CommitId, roots: tuple[str, ...] = STATE_ROOTS, limits: ReadLimits = DEFAULT_LIMITS
    ) -> Snapshot:
        """Read every file below `roots`; a later commit costs only what changed since the last call."""
        return self._objects.read_files(commit, roots, limits)

    def stream(self, commit: CommitId, roots: tuple[str, ...] = ()) -> Generator[tuple[str, bytes], None, None]:
        """Give (path, content) of every file below `roots` (all: none given), one at a time, by path."""
        return self._objects.stream(commit, roots)

    def read_ahead(self, commit: CommitId) -> None:
        """Begin to read what `stream` will be asked for soon."""
        self._objects.read_ahead(commit)

    def end_reading_ahead(self) -> None:
        """Let go of what was begun: nobody will ask for it."""
        self._objects.close()

    def read_file(self, commit: CommitId, path: str) -> bytes | None:
        """Read one file; None: it is not there."""
        return self._objects.read_file(commit, path)

    def read_blob(self, blob: str) -> bytes:
        """Read one blob of our own making (lease, heartbeat)."""
        return self._objects.read_small(blob)

    def blob_ids(self, commit: CommitId) -> Mapping[str, str]:
        """Give path -> blob id of every file of a commit."""
        return {entry.path: entry.id for entry in self._objects.listing(commit) if entry.kind == "blob"}

    # Writing

    def write_blob(self, content: bytes) -> str:
        """Put a blob into our clone; give its id."""
        blob = self._git.ask("hash-object", "-w", "--no-filters", "--stdin", stdin=content).decode("ascii").strip()
        self._objects.remember(blob, content)
        return blob

    def commit_to(self, ref: str, request: WriteRequest) -> CommitId:
        """Make a commit in our clone, and move a ref of ours on to it. Raises CommitError where that moved meanwhile.

        What the ref held must be the commit's parent, or there must be no such ref.
        """
        held = self._refs.get(ref)
        if self._git.options.signing_key is not None or held not in (None, *request.parents[:1]):
            made = self.write_commit(request)
        else:
            # git moves it itself, and leaves it alone where it holds anything by then that this commit does not descend from.
            made, is_moved = self._imported(ref, request)
            self._revisions.note_made(made, request.parents)
            if is_moved:
                self._refs.note(ref, made)
                return made
        self._refs.update({ref: (held, made)})
        return made

    def _imported(self, ref: str, request: WriteRequest) -> tuple[CommitId, bool]:
        """Give the commit that git made, and whether it moved the ref to it."""
        asked = ("fast-import", "--quiet", "--done", "--date-format=raw", "--cat-blob-fd=1")
        finished = self._git.run(*asked, stdin=import_stream(ref, request))
        # 1: all was written, and a ref was left alone. Anything else broke off, whatever was said before.
        if finished.status not in (0, 1):
            raise SourceError(f"git fast-import in {self.folder}: {finished.complaint}")
        made = finished.stdout.decode("ascii", "replace").strip()
        if not OBJECT_ID.match(made):
            raise CommitError(f"git made a commit and did not say which: {made[:120]!r}")
        return CommitId(made), finished.status == 0

    def write_commit(self, request: WriteRequest) -> CommitId:
        """Make a commit in our clone; only a scratch ref names it, which the next `update_refs` removes."""
        made, is_named = self._imported(self._refs.scratch(), request)
        if not is_named:
            raise SourceError(f"git fast-import in {self.folder} made {made} and could not name it")
        key = self._git.options.signing_key
        commit = made if key is None else self._signed(made, key)
        self._revisions.note_made(commit, request.parents)
        return commit

    def _signed(self, commit: CommitId, key: Path) -> CommitId:
        """Make the same commit again, with our signature; what it holds stays named by the scratch ref of the first."""
        body = signed(self._objects.commit_body(commit), key)
        made = self._git.ask("hash-object", "-t", "commit", "-w", "--stdin", stdin=body).decode("ascii").strip()
        return CommitId(made)

    # Signatures

    def signature(self, commit: CommitId, trust: Trust) -> Signature:
        """Judge whether a commit is signed by somebody who counts."""
        return check_signature(self._git, commit, self._objects.commit_body(commit), trust)

    def is_signed(self, commit: CommitId) -> bool:
        """Tell whether a commit bears a signature, whoever's."""
        return signature_kind(self._objects.commit_body(commit)) is not None

    def tidy(self) -> None:
        """Pack what piled up, if it is much: for an idle moment, at most a few minutes."""
        settings = ("-c", "gc.auto=6700", "-c", "gc.autoDetach=false", "-c", "gc.pruneExpire=2.days.ago")
        self._git.ask(*settings, "gc", "--auto", "--quiet", limit=self._git.options.network)


def _what_became(name: str, before: str, now: str | None) -> str:
    return f"{name} was at {before}, which could not be read, and {'is gone' if now is None else f'is at {now}'}"
