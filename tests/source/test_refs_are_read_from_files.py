"""Refs read from a repository's own files are what git says they are; anything unusual is left to git."""

import subprocess
from pathlib import Path

import pytest

from reconciler.source.git_text import read_remote_refs
from reconciler.source.ref_files import all_refs, remote_refs

ASKED = ("refs/heads/compliance", "refs/heads/feature/a", "refs/reconciler/lease", "refs/heads/none")


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", str(folder), *settings, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "one")
    for name in (*ASKED[:2], "refs/heads/packed", "refs/tags/plain"):
        git(tmp_path, "update-ref", name, "HEAD")
    git(tmp_path, "tag", "--annotate", "--message", "x", "told")
    return tmp_path


def told_by_git(folder: Path) -> dict[str, str]:
    listed = git(folder, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return {name: value for name, _, value in (line.partition(" ") for line in listed)}


def check(repository: Path) -> None:
    assert all_refs(repository / ".git") == told_by_git(repository)
    there = read_remote_refs(git(repository, "ls-remote", "--symref", str(repository), "HEAD", *ASKED).encode())
    assert remote_refs(repository, ASKED) == there


def test_loose_and_packed_refs(repository: Path) -> None:
    check(repository)
    git(repository, "pack-refs", "--all")
    check(repository)
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "two")
    git(repository, "update-ref", "refs/heads/compliance", "HEAD")
    git(repository, "update-ref", "-d", "refs/heads/feature/a")
    check(repository)


def test_symbolic_refs_of_our_own(repository: Path) -> None:
    git(repository, "symbolic-ref", "refs/remotes/state/HEAD", "refs/heads/compliance")
    git(repository, "symbolic-ref", "refs/remotes/state/gone", "refs/heads/none")
    assert all_refs(repository / ".git") == told_by_git(repository)


def test_an_empty_repository(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    check(tmp_path)


def test_a_bare_repository(repository: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--mirror", str(repository), str(bare))
    assert all_refs(bare) == told_by_git(bare)
    found = remote_refs(bare, ASKED)
    assert found is not None
    assert found.head_branch == "main"


def test_what_is_unusual_is_left_to_git(repository: Path, tmp_path: Path) -> None:
    assert remote_refs(repository, ("refs/heads/*",)) is None
    git(repository, "worktree", "add", "--quiet", str(tmp_path / "other"), "packed")
    assert remote_refs(tmp_path / "other", ASKED) is None
    link = repository / ".git/refs/heads/compliance"
    link.unlink()
    link.symlink_to("main")
    assert remote_refs(repository, ASKED) is None
    assert all_refs(repository / ".git") is None
    link.unlink()
    link.write_text("no id\n")
    assert remote_refs(repository, ASKED) is None
    git(repository, "checkout", "--quiet", "--detach", "main")
    assert remote_refs(repository, ASKED[1:]) is None


@pytest.mark.parametrize("name", ["refs/heads/../../../secret", "refs/heads/a.lock", "-x"])
def test_a_head_that_names_no_branch_is_left_to_git(repository: Path, name: str) -> None:
    (repository / ".git/HEAD").write_text(f"ref: {name}\n")
    assert remote_refs(repository, ()) is None
