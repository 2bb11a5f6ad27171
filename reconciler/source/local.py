"""Finds a local repository from a folder in it, and reads the one setting we take from it: the URL of a remote."""

import os
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from reconciler.errors import SourceError, UsageError
from reconciler.source.address import RepositoryAddress, Scheme, parse_address, remote_name
from reconciler.source.file_history import earlier_contents
from reconciler.source.git_process import GitProcess

_MAX_POINTER = 4096


def locate(address: RepositoryAddress) -> RepositoryAddress:
    """Give the repository that a local address lies in; an address elsewhere is given back as it is.

    Going up stops with an error at a repository that neither we nor the folder's owner own: a folder above ours
    (`/tmp/.git`) may be anybody's.
    """
    if address.path is None:
        return address
    if not address.path.is_dir():
        raise SourceError(f"{address.shown} is no folder; give the path of a git repository")
    for folder in (address.path, *address.path.parents):
        if _is_repository(folder):
            if folder != address.path and not _owner_may_decide(folder, address.path):
                raise SourceError(f"{folder} is a repository of another user above {address.path}; name it explicitly")
            return RepositoryAddress(scheme=Scheme.LOCAL, text=str(folder), shown=str(folder), path=folder)
    raise SourceError(f"{address.shown} is no git repository, and lies in none; make one with `reconciler init`")


def git_folder(path: Path) -> Path:
    """Give the folder that holds `config` and `refs`: of a bare repository, a work tree, or one of several work trees."""
    inside = path / ".git"
    if inside.is_dir():
        return inside
    if not inside.is_file():
        return path
    pointed = path / _pointer(inside, "gitdir: ")
    common = pointed / "commondir"
    return pointed / _pointer(common, "") if common.is_file() else pointed


def earlier_in_checkout(folder: Path, paths: Collection[str]) -> Mapping[str, tuple[tuple[str, bytes], ...]]:
    """Give every content that files of a checkout had up to its HEAD. Raises SourceError where it has no whole history."""
    if not (folder / ".git").exists():
        raise SourceError(f"{folder} is no checkout")
    return earlier_contents(GitProcess(folder=git_folder(folder)), "HEAD", paths)


def remote_address(git: GitProcess, repository: RepositoryAddress, name: str) -> RepositoryAddress:
    """Give where `remote.NAME.url` of a local repository points; no other setting of it is read, and none included."""
    checked = remote_name(name)
    if repository.path is None:
        if checked == "origin":
            return repository
        raise SourceError(f"Reports.Remote is {checked!r}, but {repository.shown} has only itself: write `origin`")
    config = git_folder(repository.path) / "config"
    found = git.run("config", "--file", str(config), "--no-includes", "-z", "--get-all", f"remote.{checked}.url")
    urls = [url for url in found.stdout.decode("utf-8", "replace").split("\0") if url]
    if not urls:
        raise SourceError(f"{repository.shown} has no remote {checked!r}; `git remote add {checked} URL`")
    try:
        address = parse_address(urls[0], cwd=repository.path)
    except UsageError as exc:
        raise SourceError(f"remote {checked!r} of {repository.shown}: {exc}") from exc
    return locate(address)


STALE_AFTER = 15.0
"""Seconds. Git holds the lock of one ref for milliseconds; a machine that lost power, or ran out of memory, for ever."""


def clear_stale_ref_locks(repository: RepositoryAddress, refs: Iterable[str]) -> None:
    """Remove the locks a killed push of ours left on `refs` of a local repository: refs that only we write."""
    if repository.path is None:
        return
    for ref in refs:
        lock = git_folder(repository.path) / f"{ref}.lock"
        with suppress(OSError):
            if time.time() - lock.lstat().st_mtime > STALE_AFTER:
                lock.unlink()


def _is_repository(folder: Path) -> bool:
    inside = folder / ".git"
    return inside.is_file() or _is_git_folder(inside) or _is_git_folder(folder)


def _is_git_folder(folder: Path) -> bool:
    return (folder / "HEAD").exists() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _owner_may_decide(found: Path, asked: Path) -> bool:
    return found.stat().st_uid in {os.geteuid(), asked.stat().st_uid}


def _pointer(file: Path, prefix: str) -> str:
    with file.open("rb") as opened:
        text = opened.read(_MAX_POINTER).decode("utf-8", "surrogateescape").rstrip("\n")
    if not text.startswith(prefix) or "\0" in text:
        raise SourceError(f"{file} does not say where its repository is")
    return text.removeprefix(prefix)
