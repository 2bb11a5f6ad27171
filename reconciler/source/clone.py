"""Makes and opens the bare clone of our own below the state folder, and clears what a killed git left in it.

It never touches the repository the clone is of. Whoever uses the clone, each git of ours included, holds a shared lock
on one file in it; whoever gets that lock alone knows that no git of ours lives, and that every lock file is stale.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from reconciler.errors import SourceError
from reconciler.source.address import RepositoryAddress
from reconciler.source.git_process import OWN_SETTINGS, OWN_SETTINGS_TEXT, GitOptions, GitProcess
from reconciler.source.ref_files import all_refs

_USERS = "reconciler.users"
_ADDRESS = "reconciler.address"
SCRATCH = "refs/writing/"
"""Refs that exist only while a commit is being made."""


def clone_folder(state_dir: Path, address: RepositoryAddress) -> Path:
    """Name the folder of the clone of one address."""
    return state_dir / "repositories" / f"{hashlib.sha256(address.text.encode()).hexdigest()[:32]}.git"


def fresh_folder(folder: Path) -> Path:
    """Name the folder where a clone is made that shall take the place of a broken one."""
    return folder.with_name(f"{folder.name}.new")


def open_clone(folder: Path, address: RepositoryAddress, options: GitOptions) -> GitProcess:
    """Open the clone, empty where it is new; the lock it holds ends with `close_clone`."""
    git, users = _entered(folder, address, options)
    try:
        _make_usable(git, users)
    except BaseException:
        os.close(users)
        raise
    return git


def enter_broken(folder: Path, address: RepositoryAddress, options: GitOptions) -> GitProcess:
    """Open a clone that `open_clone` could not, as it is: to ask what is wrong with it. Also ends with `close_clone`."""
    git, users = _entered(folder, address, options)
    fcntl.flock(users, fcntl.LOCK_SH)
    return git


def take_alone(git: GitProcess) -> bool:
    """Keep everybody else out of the clone; False: another process of ours uses it. Ends with `close_clone`."""
    if git.users is None or not _alone(git.users):
        if git.users is not None:
            fcntl.flock(git.users, fcntl.LOCK_SH)  # a failed change of the lock loses the one we had
        return False
    return True


def _entered(folder: Path, address: RepositoryAddress, options: GitOptions) -> tuple[GitProcess, int]:
    try:
        if not folder.exists() and fresh_folder(folder).is_dir():
            fresh_folder(folder).rename(folder)  # whoever moved the broken one away was killed before this
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / OWN_SETTINGS).write_text(OWN_SETTINGS_TEXT)
        (folder / _ADDRESS).write_text(f"{address.shown}\n")  # for whoever wonders what this folder is
        users = os.open(folder / _USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise SourceError(f"the state folder cannot be used: {exc}") from exc
    return GitProcess(folder=folder, options=options, users=users), users


def close_clone(git: GitProcess) -> None:
    """Let go of the clone."""
    if git.users is not None:
        os.close(git.users)


def lock_files(folder: Path) -> tuple[str, ...]:
    """Give the names of the lock files below a folder."""
    return tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*.lock")))


def clear_stale_locks(git: GitProcess) -> tuple[str, ...]:
    """Remove lock files if no other user of the clone lives; give their names."""
    if git.users is None:
        return ()
    try:
        return tuple(_remove_leftovers(git.folder)) if _alone(git.users) else ()
    finally:
        fcntl.flock(git.users, fcntl.LOCK_SH)  # a failed change of the lock loses the one we had


def _make_usable(git: GitProcess, users: int) -> None:
    alone = _alone(users)
    if alone:
        tuple(_remove_leftovers(git.folder))
    if not (git.folder / "HEAD").is_file() or not (git.folder / "refs").is_dir():
        git.ask("init", "--quiet", "--bare", "--template=", "--initial-branch=main")
    if alone:
        _delete_scratch(git)
    fcntl.flock(users, fcntl.LOCK_SH)


def _alone(users: int) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_leftovers(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for name in names:
            if (
                name.endswith((".lock", ".keep"))
                or name.startswith(("tmp_pack_", "tmp_obj_", "tmp_idx_"))
                or name == "gc.pid"
            ):
                leftover = Path(place, name)
                leftover.unlink(missing_ok=True)
                yield str(leftover.relative_to(folder))


def _delete_scratch(git: GitProcess) -> None:
    refs = all_refs(git.folder) if (git.folder / "objects").is_dir() else None
    if refs is None or any(name.startswith(SCRATCH) for name in refs):  # where something is broken, git is to say so
        found = git.ask("for-each-ref", "--format=delete %(refname)", SCRATCH)
        git.ask("update-ref", "--stdin", stdin=found)
