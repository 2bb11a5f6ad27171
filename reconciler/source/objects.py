"""Reads commits, trees and blobs of our clone: ids in, records and bytes out. Only objects, never a work tree.

One git lists, one git reads, whatever the number of files; what did not change since the last read is not read again.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

from reconciler.errors import SourceError
from reconciler.ids import CommitId
from reconciler.source.git_process import GitProcess
from reconciler.source.git_text import read_batch, read_commit, read_tree_listing
from reconciler.source.records import BRANCH_LIMITS, MEBIBYTE, CommitRecord, ReadLimits, TreeEntry
from reconciler.source.snapshot import STATE_ROOTS, Snapshot, sort_out

DEFAULT_LIMITS = ReadLimits()
_COMMIT = MEBIBYTE
"""Bytes of a commit's object: a message and a signature; thousands of them are read at once."""
_SMALL = 7
"""Leases and heartbeats of all places."""


class Objects:
    """The objects of one clone; remembers the blobs of its last snapshot."""

    def __init__(self, git: GitProcess) -> None:
        self._git = git
        self._last = Snapshot(revision=CommitId(""))
        self._small: dict[str, bytes] = {}

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
        _, wanted, problems = sort_out(self.listing(commit, roots, limits), roots, limits)
        if problems:
            raise SourceError(f"commit {commit} cannot be read whole: {problems[0]}")
        yield from zip((entry.path for entry in wanted), self._batch(tuple(entry.id for entry in wanted)), strict=True)

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
