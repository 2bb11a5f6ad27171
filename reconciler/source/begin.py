"""Begins a repository that people work in: files on disk and the same files as the first commit. Reads no user's settings."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from reconciler.errors import SourceError, UsageError
from reconciler.ids import CommitId
from reconciler.source.address import parse_address
from reconciler.source.git_process import GitProcess
from reconciler.source.records import Person, WriteRequest
from reconciler.source.repository import Repository


def begin_repository(
    folder: Path, files: Mapping[str, bytes], *, message: str, person: Person, when: datetime
) -> CommitId:
    """Make `folder` (missing or empty) a repository with branch main and one commit. Raises UsageError where it is neither."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there and not empty; name a folder that is missing or empty")
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        (folder / ".git").mkdir(parents=True)  # git is started in it
    except OSError as exc:
        raise SourceError(f"{folder} cannot be written: {exc.strerror}") from exc
    git = GitProcess(folder=folder / ".git", environment={"GIT_WORK_TREE": str(folder.absolute())})
    git.ask("init", "--quiet", "--template=", "--initial-branch=main")
    made = Repository(git, parse_address(str(folder), cwd=Path.cwd())).write_commit(
        WriteRequest(parents=(), changes=dict(files), message=message, person=person, when=when)
    )
    scratch = git.ask("for-each-ref", "--format=%(refname)", "refs/writing/").decode().split()
    git.ask("update-ref", "refs/heads/main", made)
    for name in scratch:
        git.ask("update-ref", "-d", name)
    git.ask("read-tree", "refs/heads/main")
    return made
