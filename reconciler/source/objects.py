"""Reads commits, trees and blobs of our clone: ids in, records and bytes out. Only objects, never a work tree.

One git lists, one git reads, whatever the number of files; what did not change since the last read is not read again.
"""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from threading import Event, Thread
from typing import IO

from reconciler.errors import SourceError
from reconciler.ids import CommitId
from reconciler.source.cut import Cut
from reconciler.source.git_process import GitProcess
from reconciler.source.git_text import read_batch, read_commit, read_tree_listing
from reconciler.source.records import BRANCH_LIMITS, MEBIBYTE, CommitRecord, ReadLimits, TreeEntry
from reconciler.source.snapshot import STATE_ROOTS, Snapshot, sort_out

DEFAULT_LIMITS = ReadLimits()
_COMMIT = MEBIBYTE
"""Bytes of a commit's object: a message and a signature; thousands of them are read at once."""
_AHEAD = 512 * MEBIBYTE
"""Bytes that are read before anybody asks for them; they are let go of as they are taken."""
_SMALL = 7
"""Leases and heartbeats of all places."""


class Objects:
    """The objects of one clone; remembers the blobs of its last snapshot."""

    def __init__(self, git: GitProcess) -> None:
        self._git = git
        self._last = Snapshot(revision=CommitId(""))
        self._small: dict[str, bytes] = {}
        self._ahead: _ReadAhead | None = None

    def close(self) -> None:
        """End what was begun and nobody asked for."""
        if self._ahead is not None:
            self._ahead.end()
            self._ahead = None

    def listing(
        self, commit: str, paths: Sequence[str] = (), limits: ReadLimits = BRANCH_LIMITS
    ) -> tuple[TreeEntry, ...]:
        """List everything below `paths` (all: none given), trees included, with sizes."""
        asked = ("ls-tree", "-r", "-t", "-z", "--long", "--full-tree", commit, "--", *paths)
        finished = self._git.run(*asked, most=limits.listing_bytes)
        if finished.status != 0:
            raise SourceError(f"git ls-tree in {self._git.folder}: {finished.complaint}")
        found = finished.stdout.count(b"\0")
        if found > limits.entries:
            raise SourceError(f"commit {commit} holds {found} files and folders; {limits.entries} is the limit")
        return tuple(read_tree_listing(finished.stdout))

    def trees(self, commit: str, roots: tuple[str, ...] = STATE_ROOTS) -> Mapping[str, str]:
        """Give the tree id of each root that is a folder at `commit`."""
        answer = self._git.ask("ls-tree", "-z", "--long", "--full-tree", commit, "--", *roots)
        return {entry.path: entry.id for entry in read_tree_listing(answer) if entry.kind == "tree"}

    def read_files(
        self, commit: CommitId, roots: tuple[str, ...] = STATE_ROOTS, limits: ReadLimits = DEFAULT_LIMITS
    ) -> Snapshot:
        """Read every file below the roots; what cannot be read is among the snapshot's problems."""
        trees, wanted, problems = sort_out(self.listing(commit, roots, limits), roots, limits)
        known = {blob: self._last.files[path] for path, blob in self._last.blobs.items()}
        missing = sorted({entry.id for entry in wanted} - known.keys())
        known |= self.read_blobs(missing)
        snapshot = Snapshot(
            revision=commit,
            trees=trees,
            files={entry.path: known[entry.id] for entry in wanted},
            blobs={entry.path: entry.id for entry in wanted},
            problems=tuple(sorted(problems)),
        )
        self._last = snapshot
        return snapshot

    def read_blobs(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Read blobs by id. The caller has seen their sizes."""
        wanted = tuple(ids)
        return dict(zip(wanted, self._batch(wanted), strict=True))

    def read_small(self, blob: str) -> bytes:
        """Read one blob that is asked for again and again: an id always means the same content."""
        if blob not in self._small:
            self.remember(blob, self.read_blobs((blob,))[blob])
        return self._small[blob]

    def remember(self, blob: str, content: bytes) -> None:
        """Keep a small blob: the heartbeat we wrote is what the next pass finds."""
        self._small = {blob: content} | dict(list(self._small.items())[:_SMALL])

    def stream(
        self, commit: str, roots: tuple[str, ...] = (), limits: ReadLimits = BRANCH_LIMITS
    ) -> Generator[tuple[str, bytes], None, None]:
        """Give (path, content) of every file below the roots (all: none given) in the order of paths, one at a time."""
        ahead, self._ahead = self._ahead, None
        with ExitStack() as until:
            begun = None
            if ahead is not None:
                until.callback(ahead.end)
                begun = ahead.taken() if ahead.commit == commit and not roots else None
            wanted = self.files(commit, roots, limits) if begun is None else begun[0]
            answer = until.enter_context(self.answer(wanted)) if begun is None else begun[1]
            bodies = read_batch(answer, (entry.id for entry in wanted), BRANCH_LIMITS.file_bytes)
            yield from zip((entry.path for entry in wanted), bodies, strict=True)

    def read_ahead(self, commit: str) -> None:
        """Begin to read what `stream` will be asked for soon: git unpacks it while we do something else."""
        if self._ahead is None or self._ahead.commit != commit:
            self.close()
            self._ahead = _ReadAhead(commit, self._git)

    def files(self, commit: str, roots: tuple[str, ...] = (), limits: ReadLimits = BRANCH_LIMITS) -> list[TreeEntry]:
        """List the files below the roots (all: none given). Raises SourceError where one cannot be read."""
        _, wanted, problems = sort_out(self.listing(commit, roots, limits), roots, limits)
        if problems:
            raise SourceError(f"commit {commit} cannot be read whole: {problems[0]}")
        return wanted

    def answer(self, wanted: Sequence[TreeEntry]) -> AbstractContextManager[IO[bytes]]:
        """Start a git that gives the blobs in this order, for `read_batch`."""
        asked = "".join(f"{entry.id}\n" for entry in wanted).encode()
        return self._git.stream("cat-file", "--batch", "--buffer", stdin=asked, limit=self._git.options.network)

    def read_file(self, commit: str, path: str, limits: ReadLimits = BRANCH_LIMITS) -> bytes | None:
        """Read one file; None: it is not there."""
        _, wanted, problems = sort_out(self.listing(commit, (path,)), (), limits)
        if problems:
            raise SourceError(f"commit {commit}: {problems[0]}")
        return next((self.read_blobs((entry.id,))[entry.id] for entry in wanted if entry.path == path), None)

    def commit_record(self, commit: str) -> CommitRecord:
        """Read one commit."""
        return self.commit_records((commit,))[0]

    def commit_body(self, commit: str) -> bytes:
        """Give one commit's object as it is."""
        (body,) = self._batch((commit,), _COMMIT)
        return body

    def commit_records(self, commits: Sequence[str]) -> tuple[CommitRecord, ...]:
        """Read commits, in the order given."""
        return tuple(
            read_commit(commit, body) for commit, body in zip(commits, self._batch(commits, _COMMIT), strict=True)
        )

    def _batch(self, ids: Sequence[str], most: int = BRANCH_LIMITS.file_bytes) -> Iterator[bytes]:
        if not ids:
            return
        asked = "".join(f"{object_id}\n" for object_id in ids).encode()
        with self._git.stream(
            "cat-file", "--batch", "--buffer", stdin=asked, limit=self._git.options.network
        ) as answer:
            yield from read_batch(answer, ids, most)


class _ReadAhead:
    """Every file of one commit: a thread takes what git gives, up to a limit; whoever asks takes the rest from git itself."""

    def __init__(self, commit: str, git: GitProcess) -> None:
        self.commit = commit
        self._cut = Cut()
        self._objects = Objects(replace(git, cut=self._cut))
        self._until = ExitStack()
        self._is_wanted = Event()
        self._got: deque[bytes] = deque()
        self._files: Sequence[TreeEntry] = ()
        self._rest: IO[bytes] | None = None
        self._thread = Thread(target=self._read, name="read ahead", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self._files = self._objects.files(self.commit)
            rest = self._until.enter_context(self._objects.answer(self._files))
            room = _AHEAD
            while not self._is_wanted.is_set() and room > 0:
                chunk = os.read(rest.fileno(), MEBIBYTE)
                if not chunk:
                    break
                self._got.append(chunk)
                room -= len(chunk)
            self._rest = rest
        except (SourceError, OSError):
            return  # whoever asks reads for himself, and meets it

    def taken(self) -> "tuple[Sequence[TreeEntry], _Joined] | None":
        """Give the files, and the blobs in their order, until `end`; None: they could not be read."""
        self._is_wanted.set()
        self._thread.join()
        if self._rest is None:
            return None
        return self._files, _Joined(self._got, self._rest)

    def end(self) -> None:
        """End it, asked for or not."""
        self._is_wanted.set()
        self._cut.cut()
        self._thread.join()
        self._until.close()


class _Joined:
    """What was read, piece by piece, and behind it what is still to be read."""

    def __init__(self, got: deque[bytes], rest: IO[bytes]) -> None:
        self._got = got
        self._at = 0  # in the first piece
        self._rest = rest

    def readline(self, most: int) -> bytes:
        line = b""
        while self._got and len(line) < most and not line.endswith(b"\n"):
            first = self._got[0]
            last = min(len(first), self._at + most - len(line))
            line += self.read((first.find(b"\n", self._at, last) + 1 or last) - self._at)
        return line if len(line) == most or line.endswith(b"\n") else line + self._rest.readline(most - len(line))

    def read(self, size: int) -> bytes:
        parts = []
        while size and self._got:
            first = self._got[0]
            part = first[self._at : self._at + size]
            parts.append(part)
            size -= len(part)
            self._at += len(part)
            if self._at == len(first):
                self._got.popleft()
                self._at = 0
        if size:
            parts.append(self._rest.read(size))
        return parts[0] if len(parts) == 1 else b"".join(parts)
