"""What can be saved of a clone of our own that broke: which refs it named, and the objects that still read.

A disk that was full, a machine that lost power and a bad sector all leave a repository that git refuses. Whether ours is
one is asked of git about our folder alone, so that a remote's fault is never taken for ours.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from reconciler.errors import SourceError
from reconciler.source.address import OBJECT_ID, RepositoryAddress, Scheme, why_not_a_ref
from reconciler.source.clone import SCRATCH, close_clone, open_clone
from reconciler.source.git_process import Finished, GitProcess, other_side

_FETCHED = "refs/remote/"
"""What the remotes hold: asked of them anew, and not taken from what broke."""
_MOST_BYTES = 64 * 1024 * 1024
_MOST_REFS = 10_000
_MOST_COMMITS = 50
"""How far back from an unreadable tip we look for a commit that reads: each costs a process."""
_MOST_WORDS = 300
_BETWEEN = " / "
_NOT_THE_CLONES = (b"out of memory", b"annot allocate memory", b"Permission denied", b"Too many open files")
"""What a healthy clone is told by a machine in trouble: nothing is made anew for that."""


def what_is_broken(git: GitProcess) -> str | None:
    """Say in git's words what does not hold together in our clone; None: nothing, or git gave no answer in time.

    The second look reads every object: a blob that was cut off is there, for the first one.
    """
    for thorough in (False, True):
        look = "--full" if thorough else "--connectivity-only"
        try:
            finished = git.run(
                "fsck", look, "--no-dangling", "--no-progress", "--no-reflogs", limit=git.options.network
            )
        except SourceError:
            return None
        if finished.status < 0 or any(words in finished.stderr for words in _NOT_THE_CLONES):
            return None
        if finished.status != 0:
            return _words(finished)
    return None


def is_still_broken(git: GitProcess, why: str) -> bool:
    """Whether git says once more something of what it said."""
    again = what_is_broken(git)
    said = (line for line in why.split(_BETWEEN) if not line.startswith("notice:"))
    return again is not None and any(line in again for line in said)


def _words(finished: Finished) -> str:
    lines = (finished.stderr + b"\n" + finished.stdout).decode("utf-8", "replace").splitlines()
    said = _BETWEEN.join(line.strip() for line in lines if line.strip())
    return said[:_MOST_WORDS] or f"git fsck ended with status {finished.status}"


def named_refs(folder: Path) -> Mapping[str, str]:
    """Give the refs that were ours alone (queue, published, accepted, a branch of reports at home), as far as they read."""
    found = dict(_packed(folder))
    for place, _, names in os.walk(folder / "refs"):
        for name in names:
            path = Path(place, name)
            value = _read(path, 4096).strip()
            if OBJECT_ID.match(value):
                found[path.relative_to(folder).as_posix()] = value
    ours = {
        name: value
        for name, value in found.items()
        if name.startswith("refs/") and not name.startswith((_FETCHED, SCRATCH)) and why_not_a_ref(name) is None
    }
    return dict(sorted(ours.items())[:_MOST_REFS])


def named_branches(folder: Path) -> tuple[str, ...]:
    """Give the branches that we followed at remotes, whatever our refs of them hold now."""
    names = {name for name, _ in _packed(folder)}
    names |= {
        Path(place, name).relative_to(folder).as_posix()
        for place, _, files in os.walk(folder / "refs" / "remote")
        for name in files
    }
    followed = (name.split("/", 3)[3] for name in names if name.startswith(_FETCHED) and name.count("/") > 2)  # noqa: PLR2004  refs, remote, which
    branches = {f"refs/{name}" for name in followed if name.startswith("heads/")}
    return tuple(sorted(name for name in branches if why_not_a_ref(name) is None)[:_MOST_REFS])


def _packed(folder: Path) -> Iterator[tuple[str, str]]:
    for line in _read(folder / "packed-refs", _MOST_BYTES).splitlines():
        value, _, name = line.partition(" ")
        if OBJECT_ID.match(value):
            yield name, value


def _read(path: Path, most: int) -> str:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(opened, "rb") as file:
            return file.read(most).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


class Wreck:
    """The objects of a broken clone, seen through a repository that has neither its refs nor its settings nor its indexes."""

    def __init__(self, folder: Path, seen_at: Path, git: GitProcess) -> None:
        """Make the view at `seen_at`, which is ours to remove; packs whose index broke get a new one."""
        shutil.rmtree(seen_at, ignore_errors=True)
        address = RepositoryAddress(scheme=Scheme.LOCAL, text=str(seen_at), shown=str(seen_at), path=seen_at)
        self._address = address
        self._into = git
        self._git = open_clone(seen_at, address, git.options)
        objects = folder / "objects"
        (seen_at / "objects" / "info").mkdir(exist_ok=True)
        # What the remote gave anew comes first: a commit that waits is whole with it where what it stands upon is not.
        sources = (git.folder / "objects", *((objects,) if objects.is_dir() else ()))
        (seen_at / "objects" / "info" / "alternates").write_text("".join(f"{path.absolute()}\n" for path in sources))
        packs = seen_at / "objects" / "pack"
        packs.mkdir(exist_ok=True)
        for pack in sorted((objects / "pack").glob("pack-*.pack")):
            self._index_anew(pack, packs / pack.name)

    def _index_anew(self, pack: Path, here: Path) -> None:
        try:
            os.link(pack, here)
            finished = self._git.run("index-pack", str(here), limit=self._git.options.network)
        except (OSError, SourceError):
            here.unlink(missing_ok=True)
            return
        if finished.status != 0:
            here.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the view and remove it; the broken clone stays as it is."""
        close_clone(self._git)
        shutil.rmtree(self._git.folder, ignore_errors=True)

    def bring(self, ref: str, tip: str) -> str | None:
        """Fetch what a ref named, or the newest commit before it that reads whole; gives what the ref holds then."""
        return next((found for found in self._candidates(tip) if self._brought(ref, found)), None)

    def _candidates(self, tip: str) -> Iterator[str]:
        yield tip
        with suppress(SourceError):
            listed = self._git.run("rev-list", "--first-parent", f"--max-count={_MOST_COMMITS}", tip).stdout
            yield from listed.decode("ascii", "replace").split()[1:]

    def _brought(self, ref: str, found: str) -> bool:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules")
        where = self._address
        asked = ("fetch", *options, *other_side(where, "upload-pack"), "--end-of-options", where.shown)
        try:
            finished = self._into.run(*asked, f"+{found}:{ref}", limit=self._into.options.network)
        except SourceError:
            return False
        return finished.status == 0


def move_into_place(fresh: Path, folder: Path) -> Path:
    """Set a finished clone where the broken one was; that one is kept beside it, the last of them alone."""
    kept = folder.with_name(f"{folder.name}.broken")
    shutil.rmtree(kept, ignore_errors=True)
    try:
        folder.rename(kept)
        kept.chmod(0o700)
        fresh.rename(folder)
    except OSError as exc:
        raise SourceError(f"a broken clone could not be replaced: {exc}") from exc
    return kept
