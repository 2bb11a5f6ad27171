"""One git repository as we use it: a bare clone of our own, what its remotes hold, and what we write to them.

Takes addresses, ref names and ids; gives records and bytes. No work tree is ever made, and nothing the repository
holds is executed: see `git_process.py`.
"""

import shutil
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from reconciler.errors import CommitError, SourceError
from reconciler.ids import CommitId
from reconciler.source.address import OBJECT_ID, SHORT_ID, RepositoryAddress, branch_name, parse_revision
from reconciler.source.clone import (
    SCRATCH,
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
from reconciler.source.git_process import Finished, GitOptions, GitProcess, other_side
from reconciler.source.git_text import import_stream, read_changes, read_push_result, read_remote_refs
from reconciler.source.line_history import LineChange, line_changes
from reconciler.source.local import clear_stale_ref_locks, locate, remote_address
from reconciler.source.objects import DEFAULT_LIMITS, Objects
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
from reconciler.source.ref_files import all_refs, remote_refs
from reconciler.source.salvage import Wreck, move_into_place, named_branches, named_refs, what_is_broken
from reconciler.source.signature import Signature, check_signature, signature_kind, signed
from reconciler.source.snapshot import STATE_ROOTS, Snapshot
from reconciler.source.trust import Trust

HEARTBEAT_REF = "refs/reconciler/heartbeat"
LEASE_REF = "refs/reconciler/lease"
_HEAD = "HEAD-commit"
_REPAIRED = "reconciler.repaired"
_MAX_REFS_A_CALL = 500
_MAX_REFS = 50_000
"""Each that we follow is a file of ours; who asks for branches and tags means to review them."""
_MAX_REFS_BYTES = 32 * 1024 * 1024
_MAX_DESCENT = 10_000
_MAX_MEANT = 100
_NO_ID = "0" * 40


class Repository:
    """Open with `Repository.open(...)`, close when done; or use it in a `with`."""

    def __init__(self, git: GitProcess, address: RepositoryAddress) -> None:
        self._work_with(git)
        self.address = address
        self.state = Remote(name="state", address=address)
        """Where the state branch is read."""

    def _work_with(self, git: GitProcess) -> None:
        self._git = git
        self._objects = Objects(git)
        self._refs: dict[str, str] | None = None
        """What our refs hold, read once a fetch: each question to git costs 5 ms, and a pass asks forty times."""
        self._scratch: list[str] = []
        self._head: str | None = None
        self._descent: set[tuple[str, str]] = set()
        self._meant: dict[str, str] = {}

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
        self._refs = None
        self.update_refs({name: (None, value) for name, value in held.items() if value is not None}, checked=False)
        return tuple(_what_became(name, named[name], value) for name, value in held.items() if value != named[name])

    def _saved(self, wreck: Wreck, name: str, value: str) -> str | None:
        if self._ask_id(value) is not None:
            return value
        found = wreck.bring(name, value)
        return value if found != value and self.has_commit(value) else found

    # Remotes

    def remote_address(self, name: str) -> RepositoryAddress:
        """Give where `Reports.Remote: NAME` points, from `remote.NAME.url` of a local repository alone."""
        return remote_address(self._git, self.address, name)

    def look(self, remote: Remote, refs: Sequence[str]) -> RemoteRefs:
        """Ask a remote which of `refs` (full names; a trailing `*` is allowed) it has, without fetching."""
        where = remote.address
        found = None if where.path is None else remote_refs(where.path, refs)
        if found is not None:
            return found
        asked = (
            "ls-remote",
            "--symref",
            *other_side(where, "upload-pack"),
            "--end-of-options",
            where.shown,
            "HEAD",
            *refs,
        )
        finished = self._git.run(*asked, limit=self._git.options.network, login=where.login, most=_MAX_REFS_BYTES)
        if finished.status != 0:
            raise SourceError(f"{where.shown} cannot be read: {_without(where, finished.complaint)}")
        if finished.stdout.count(b"\n") > _MAX_REFS:
            raise SourceError(f"{where.shown} has more than {_MAX_REFS} branches and tags; remove some")
        found = read_remote_refs(finished.stdout)
        return RemoteRefs(
            head_branch=found.head_branch,
            head=found.head,
            ids={ref: value for ref, value in found.ids.items() if _asked_for(ref, refs)},
        )

    def fetch(self, remote: Remote, refs: Sequence[str]) -> RemoteRefs:
        """Bring our tracking refs of `remote` to what it has: moved, added, and removed where it has them no more.

        HEAD's commit comes along. Where nothing changed, one question is all that is asked.
        """
        seen = self.look(remote, refs)
        self._refs = None
        known = self.refs(remote.tracking("refs/"))
        wanted = {remote.tracking(ref): (ref, value) for ref, value in seen.ids.items()}
        if seen.head is not None and remote.name == self.state.name:
            wanted[remote.tracking(_HEAD)] = ("HEAD", seen.head)
            if seen.head_branch is not None:
                branch = f"refs/heads/{branch_name(seen.head_branch)}"
                wanted[remote.tracking(branch)] = (branch, seen.head)
        prefix = remote.tracking("refs/")
        gone = {
            name: value
            for name, value in known.items()
            if name not in wanted and (name == prefix + _HEAD or _asked_for("refs/" + name.removeprefix(prefix), refs))
        }
        if gone:
            self.update_refs({name: (value, None) for name, value in gone.items()})
        moved = [f"+{ref}:{name}" for name, (ref, value) in wanted.items() if known.get(name) != value]
        for start in range(0, len(moved), _MAX_REFS_A_CALL):
            self._fetch(remote.address, moved[start : start + _MAX_REFS_A_CALL])
        if moved:
            self._refs = None
        if remote.name == self.state.name:
            self._remember_head(seen)
        return seen

    def _fetch(self, where: RepositoryAddress, refspecs: Sequence[str]) -> None:
        options = [
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-show-forced-updates",
        ]
        options += ["--update-shallow"] if where.is_local else []
        asked = ("fetch", *options, *other_side(where, "upload-pack"), "--end-of-options", where.shown, *refspecs)
        finished = self._fetched(where, asked)
        if finished.status != 0 and any(name.endswith(".lock") for name in clear_stale_locks(self._git)):
            finished = self._fetched(where, asked)
        if finished.status != 0:
            clear_stale_locks(self._git)
            raise SourceError(f"{where.shown} cannot be fetched: {_without(where, finished.complaint)}")

    def _fetched(self, where: RepositoryAddress, asked: Sequence[str]) -> Finished:
        """Run one fetch; a git that was ended leaves the pack it was writing, gigabytes each time: it is removed."""
        try:
            return self._git.run(*asked, limit=self._git.options.network, login=where.login)
        except SourceError:
            clear_stale_locks(self._git)
            raise

    def fetch_state(self, branch: str | None = None) -> RemoteRefs:
        """Fetch the state branch (None: the remote's HEAD)."""
        return self.fetch(self.state, () if branch is None else (f"refs/heads/{branch_name(branch)}",))

    def fetch_everything(self) -> RemoteRefs:
        """Fetch all branches and tags: for `plan --base REV --head REV`."""
        return self.fetch(self.state, ("refs/heads/*", "refs/tags/*"))

    def has_commit(self, commit: str) -> bool:
        """Tell whether the clone holds this commit; asks the remote for it where not."""
        if self._id_of(f"{commit}^{{commit}}") is not None:
            return True
        try:
            self._fetch(self.address, [commit])
        except SourceError:
            return False
        return self._id_of(f"{commit}^{{commit}}") is not None

    def _remember_head(self, seen: RemoteRefs) -> None:
        head = self.state.tracking("HEAD")
        if seen.head_branch is not None and seen.head_branch != self._head:
            self._head = seen.head_branch
            self._git.ask("symbolic-ref", head, self.state.tracking(f"refs/heads/{branch_name(seen.head_branch)}"))

    def push(self, remote: Remote, updates: Sequence[RefUpdate]) -> tuple[RefResult, ...]:
        """Move refs of a remote, each by its own rule; what it refused is in the results, only no answer is an error."""
        where = remote.address
        leases = [
            f"--force-with-lease={update.ref}:{update.expected or ''}"
            for update in updates
            if update.rule is RefRule.COMPARE_AND_SWAP
        ]
        specs = [f"{update.new}:{update.ref}" for update in updates]
        options = ("--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no", *leases)
        asked = ("push", *options, *other_side(where, "receive-pack"), "--end-of-options", where.shown, *specs)
        finished = self._git.run(*asked, limit=self._git.options.network, login=where.login)
        complaint = _without(where, finished.complaint)
        if finished.status != 0 and not finished.stdout.startswith(b"To "):
            raise CommitError(f"{where.shown} cannot be pushed to: {complaint}")
        results = read_push_result(finished.stdout, updates, complaint)
        clear_stale_ref_locks(where, (result.ref for result in results if not result.accepted))
        self.update_refs(
            {
                remote.tracking(update.ref): (None, update.new)
                for update, result in zip(updates, results, strict=True)
                if result.accepted
            },
            checked=False,
        )
        return results

    def could_push(self, remote: Remote, ref: str, person: Person, when: datetime) -> bool:
        """Tell whether a remote would let us move `ref` on, as far as it says before anything is pushed; nothing is.

        A commit that adds nothing is made upon the ref's tip in our clone, and `push --dry-run` asked for it. The server
        checks who may push at all; its hooks and rules for single branches are not asked.
        """
        where = remote.address
        tip = self.look(remote, (ref,)).ids.get(ref)
        if tip is None or not self.has_commit(tip):
            return False
        request = WriteRequest(
            parents=(CommitId(tip),), changes={}, message="Asked, never pushed", person=person, when=when
        )
        made = self.write_commit(request)
        options = (
            "--dry-run",
            "--porcelain",
            "--no-verify",
            "--no-signed",
            "--no-follow-tags",
            "--recurse-submodules=no",
        )
        asked = ("push", *options, *other_side(where, "receive-pack"), "--end-of-options", where.shown, f"{made}:{ref}")
        finished = self._git.run(*asked, limit=self._git.options.network, login=where.login)
        update = RefUpdate(ref=ref, new=made, rule=RefRule.FAST_FORWARD)
        return finished.status == 0 and read_push_result(finished.stdout, (update,), "")[0].accepted

    # Our own refs

    def refs(self, prefix: str) -> Mapping[str, str]:
        """Give our clone's refs whose names start with `prefix`, with their ids, as of the last fetch or change of ours."""
        if self._refs is None:
            self._refs = all_refs(self._git.folder)
        if self._refs is None:
            finished = self._git.run("for-each-ref", "--format=%(refname) %(objectname)")
            if (
                finished.status != 0 or b"ignoring" in finished.stderr
            ):  # a ref that does not read is not one that is gone
                raise SourceError(f"refs of {self.folder} cannot be read: {finished.complaint}")
            lines = finished.stdout.decode("utf-8", "surrogateescape").splitlines()
            self._refs = {name: value for name, _, value in (line.partition(" ") for line in lines)}
        return {name: value for name, value in self._refs.items() if name.startswith(prefix)}

    def ref(self, name: str) -> str | None:
        """Give the id one ref of our clone holds."""
        if self._refs is None:
            self.refs("refs/")
        return None if self._refs is None else self._refs.get(name)

    def update_refs(self, changes: Mapping[str, tuple[str | None, str | None]], *, checked: bool = True) -> None:
        """Move refs of our clone, all or none: name -> (what it holds now, what it shall hold; None: no such ref).

        With `checked=False` what they hold now does not matter.
        """
        if not checked:
            changes = {name: change for name, change in changes.items() if self.ref(name) != change[1]}
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
            raise CommitError(f"refs of {self.folder} could not be moved: {finished.complaint}")
        self._scratch.clear()
        if self._refs is not None:
            held = {name: value for name, value in self._refs.items() if name not in changes}
            self._refs = held | {name: new for name, (_, new) in changes.items() if new is not None}

    # Reading

    def head_branch(self) -> str | None:
        """Give the branch the remote's HEAD named when last fetched."""
        found = self._git.run("symbolic-ref", "--quiet", self.state.tracking("HEAD"))
        prefix = self.state.tracking("refs/heads/")
        name = found.stdout.decode("utf-8", "surrogateescape").strip()
        return name.removeprefix(prefix) if found.status == 0 and name.startswith(prefix) else None

    def resolve(self, rev: str) -> CommitId:
        """Give the commit a branch, tag, HEAD or id means, in what was last fetched; `~N` and `^N` go back from it."""
        revision = parse_revision(rev)
        for name in self._candidates(revision.name):
            found = self._id_of(f"{name}^{{commit}}{revision.steps}")
            if found is not None:
                return CommitId(found)
        raise SourceError(f"{self.address.shown} has no revision {rev!r}")

    def _candidates(self, name: str) -> Iterator[str]:
        if OBJECT_ID.match(name):
            yield name
            return
        if name == "HEAD":
            yield self.state.tracking(_HEAD)
            return
        yield self.state.tracking(f"refs/heads/{name}")
        yield self.state.tracking(f"refs/tags/{name}")
        if name.startswith("refs/"):
            yield self.state.tracking(name)
        if SHORT_ID.match(name):
            yield name

    def _id_of(self, name: str) -> str | None:
        """Give the id a name means; what an id means never changes, so it is asked once."""
        base, _, steps = name.partition("^")
        held = self.ref(base) or (base if OBJECT_ID.match(base) else None)
        if held is None:
            return self._ask_id(name)
        asked = f"{held}^{steps}"
        if asked not in self._meant:
            found = self._ask_id(asked)
            if found is None:
                return None
            self._meant = {asked: found, **dict(list(self._meant.items())[:_MAX_MEANT])}
        return self._meant[asked]

    def _ask_id(self, name: str) -> str | None:
        answer = self._git.ask("cat-file", "--batch-check", stdin=name.encode("utf-8", "surrogateescape") + b"\n")
        parts = answer.decode("utf-8", "replace").split()
        return parts[0] if len(parts) == 3 and OBJECT_ID.match(parts[0]) else None  # noqa: PLR2004  id, kind, size

    def is_ancestor(self, older: CommitId, newer: CommitId) -> bool:
        """Tell whether `newer` descends from `older`, or is it. A commit we do not hold descends from nothing."""
        if older == newer or (older, newer) in self._descent:
            return True
        if self._git.run("merge-base", "--is-ancestor", older, newer).status != 0:
            return False
        if len(self._descent) >= _MAX_DESCENT:
            self._descent.clear()
        self._descent.add((older, newer))
        return True

    def commits_between(self, older: CommitId | None, newer: CommitId, limit: int = 10_000) -> tuple[CommitRecord, ...]:
        """Give the commits that `newer` has and `older` has not, oldest first: their messages carry the trailers."""
        without = () if older is None else (f"^{older}",)
        listed = self._git.ask("rev-list", "--reverse", "--topo-order", f"--max-count={limit}", newer, *without)
        return self._objects.commit_records(listed.decode("ascii").split())

    def count_between(self, older: CommitId | None, newer: CommitId) -> int:
        """Count the commits that `newer` has and `older` has not."""
        if older == newer:
            return 0
        return int(self._git.ask("rev-list", "--count", newer, *(() if older is None else (f"^{older}",))))

    def earlier_contents(self, commit: CommitId, paths: Collection[str]) -> Mapping[str, tuple[tuple[str, bytes], ...]]:
        """Give every content that files had up to `commit`, oldest first; see `file_history`."""
        return earlier_contents(self._git, commit, paths)

    def line_changes(
        self, older: CommitId | None, newer: CommitId, folder: str, beside: tuple[str, ...] = ()
    ) -> tuple[LineChange, ...]:
        """Give what each commit since `older` did to the lines of a folder's files; see `line_history`."""
        return line_changes(self._git, older, newer, folder, beside)

    def merge_base(self, one: CommitId, other: CommitId) -> CommitId | None:
        """Give the last commit both descend from; None: they have nothing in common."""
        found = self._git.run("merge-base", one, other).stdout.decode("ascii").strip()
        return CommitId(found) if OBJECT_ID.match(found) else None

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

    def write_commit(self, request: WriteRequest) -> CommitId:
        """Make a commit in our clone; only a scratch ref names it, which the next `update_refs` removes."""
        scratch = f"{SCRATCH}{uuid4().hex}"
        self._scratch.append(scratch)
        stream = import_stream(scratch, request)
        answer = self._git.ask("fast-import", "--quiet", "--done", "--date-format=raw", "--cat-blob-fd=1", stdin=stream)
        made = answer.decode("ascii", "replace").strip()
        if not OBJECT_ID.match(made):
            raise CommitError(f"git made a commit and did not say which: {made[:120]!r}")
        key = self._git.options.signing_key
        return CommitId(made) if key is None else self._signed(CommitId(made), key)

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


def _ref_command(name: str, old: str | None, new: str | None, *, checked: bool) -> str:
    if not checked:
        return f"update {name}\0{new}\0\0" if new is not None else f"delete {name}\0\0"
    if new is None:
        return f"delete {name}\0{old or ''}\0"
    return f"update {name}\0{new}\0{old or _NO_ID}\0"


def _what_became(name: str, before: str, now: str | None) -> str:
    return f"{name} was at {before}, which could not be read, and {'is gone' if now is None else f'is at {now}'}"


def _asked_for(ref: str, asked: Sequence[str]) -> bool:
    return any(ref == name or (name.endswith("*") and ref.startswith(name[:-1])) for name in asked)


def _without(address: RepositoryAddress, complaint: str) -> str:
    return complaint.replace(address.text, address.shown)
