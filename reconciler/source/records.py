"""What git's answers are made into: entries of a tree, refs of a remote, commits, results of a push. Records alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from reconciler.ids import CommitId
from reconciler.source.address import RepositoryAddress

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """What a commit may ask of our memory; the sizes stand in the trees, so nothing too big is ever read."""

    files: int = 60_000
    file_bytes: int = 8 * MEBIBYTE
    total_bytes: int = 512 * MEBIBYTE
    listing_bytes: int = 32 * MEBIBYTE
    """Of what git lists: a tree of one line may name a million files, or itself ten times over ten levels."""

    @property
    def entries(self) -> int:
        """Files, and as many folders as they may lie in."""
        return 3 * self.files


BRANCH_LIMITS = ReadLimits(
    files=200_000, file_bytes=64 * MEBIBYTE, total_bytes=8 * 1024 * MEBIBYTE, listing_bytes=128 * MEBIBYTE
)
"""For the compliance branch, which we wrote ourselves: two files a node, read as a stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One line of a tree."""

    mode: str
    kind: str
    """`blob`, `tree` or `commit` (a submodule)."""
    id: str
    size: int
    """0 for what is no blob."""
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRefs:
    """What a remote had at one moment."""

    head_branch: str | None = None
    """The branch its HEAD names; None: HEAD is detached or there is none."""
    head: str | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    """Full ref name -> object id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Author and committer of what we write."""

    name: str = "reconciler"
    email: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRecord:
    """One commit, without its files."""

    id: CommitId
    tree: str
    parents: tuple[CommitId, ...]
    author: str
    """`Name <address>`, foreign text."""
    committed: datetime
    message: str


class RefRule(Enum):
    """What an update of a ref on a remote may do."""

    FAST_FORWARD = "only forwards: never forced"
    COMPARE_AND_SWAP = "only from the value we saw"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefUpdate:
    """One ref to be moved on a remote."""

    ref: str
    new: str
    rule: RefRule
    expected: str | None = None
    """For COMPARE_AND_SWAP: the value we saw; None: the ref must not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefResult:
    """What a remote did with one update."""

    ref: str
    accepted: bool
    reason: str
    """The remote's own words where it refused; foreign text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest:
    """One commit to be made."""

    parents: tuple[CommitId, ...]
    changes: Mapping[str, bytes | None]
    """Path -> new content; None: the file goes away."""
    message: str
    person: Person
    when: datetime
    known_blobs: Mapping[str, str] = field(default_factory=dict)
    """Path -> id of a blob that is already in the clone, instead of content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A repository we read from and write to, under the name our clone keeps its refs by."""

    name: str
    """`state`, `home` or `further`: the part after `refs/remote/`."""
    address: RepositoryAddress

    def tracking(self, ref: str) -> str:
        """Name the ref of our clone that holds what this remote's `ref` was when last fetched."""
        return f"refs/remote/{self.name}/{ref.removeprefix('refs/')}"
