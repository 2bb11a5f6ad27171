"""The clone of our own survives kill -9, and shares nothing with the repository it is of."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.errors import CommitError, SourceError
from reconciler.source.address import parse_address
from reconciler.source.git_process import GitOptions
from reconciler.source.records import Remote
from reconciler.source.repository import Repository
from tests.support.git_remote import GitRemote, make_remote


@pytest.fixture
def remote(tmp_path: Path) -> GitRemote:
    made = make_remote(tmp_path / "fleet.git")
    made.commit({"state/x": b"1"})
    return made


def opened(remote: GitRemote, options: GitOptions | None = None) -> Repository:
    address = parse_address(str(remote.path), cwd=remote.path)
    return Repository.open(address, state_dir=remote.path.parent / "daemon", options=options)


STALE = ("packed-refs.lock", "HEAD.lock", "config.lock", "refs/queue/compliance.lock", "objects/pack/tmp_pack_x")
STALE_TOO = ("refs/remote/state/heads/main.lock", "gc.pid", "objects/pack/pack-1.keep")


def test_locks_of_a_killed_git_are_removed_from_our_clone_only(remote: GitRemote) -> None:
    with opened(remote) as repository:
        repository.fetch_state()
        folder = repository.folder
    theirs = remote.path / "refs" / "heads" / "main.lock"
    theirs.touch()
    for name in (*STALE, *STALE_TOO):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    with opened(remote) as repository:
        assert [name for name in (*STALE, *STALE_TOO) if (folder / name).exists()] == []
        tip = repository.fetch_state().head
        assert tip is not None
        repository.update_refs({"refs/queue/compliance": (None, tip)})
    assert theirs.exists()


def test_lock_left_while_we_run_is_removed_when_it_is_in_the_way(remote: GitRemote) -> None:
    with opened(remote) as repository:
        tip = repository.fetch_state().head
        assert tip is not None
        (repository.folder / "refs" / "queue").mkdir()
        (repository.folder / "refs" / "queue" / "compliance.lock").touch()
        repository.update_refs({"refs/queue/compliance": (None, tip)})
        assert repository.ref("refs/queue/compliance") == tip


def test_lock_stays_while_another_of_ours_uses_the_clone(remote: GitRemote) -> None:
    with opened(remote) as repository, opened(remote):
        tip = repository.fetch_state().head
        assert tip is not None
        (repository.folder / "refs" / "queue").mkdir()
        lock = repository.folder / "refs" / "queue" / "compliance.lock"
        lock.touch()
        with pytest.raises(CommitError, match=r"compliance\.lock"):
            repository.update_refs({"refs/queue/compliance": (None, tip)})
        assert lock.exists()


ORPHAN = """
import os, sys
from pathlib import Path
from reconciler.source.address import parse_address
from reconciler.source.records import Remote
from reconciler.source.repository import Repository

repository = Repository.open(parse_address(sys.argv[1], cwd=Path("/")), state_dir=Path(sys.argv[2]))
with repository._git.stream("cat-file", "--batch", stdin=b"x" * 100_000_000) as answer:
    print("up", flush=True)
    sys.stdin.read()
"""


def test_git_that_outlives_its_killed_parent_keeps_its_locks(remote: GitRemote, tmp_path: Path) -> None:
    """The parent dies; what it started holds the shared lock until it ends too."""
    holder = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(remote.path), str(tmp_path / "daemon")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"up\n"
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGSTOP)
    holder.kill()
    holder.communicate()
    with opened(remote) as repository:
        lock = repository.folder / "packed-refs.lock"
        lock.touch()
    with opened(remote):
        assert lock.exists()
    os.kill(int(children[0]), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while lock.exists() and time.monotonic() < deadline:
        opened(remote).close()
    assert not lock.exists()


def test_half_made_clone_is_finished(remote: GitRemote, tmp_path: Path) -> None:
    with opened(remote) as repository:
        folder = repository.folder
    (folder / "HEAD").unlink()
    with opened(remote) as repository:
        assert repository.fetch_state().head_branch == "main"


def test_clones_of_two_addresses_are_two_folders(tmp_path: Path) -> None:
    folders = set()
    for name in ("a.git", "b.git"):
        with opened(make_remote(tmp_path / name)) as repository:
            folders.add(repository.folder)
            assert repository.folder.stat().st_mode & 0o777 == 0o700
    assert len(folders) == 2


def test_state_folder_may_be_named_from_the_current_folder(
    remote: GitRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Repository.open(parse_address("fleet.git", cwd=tmp_path), state_dir=Path("here")) as repository:
        assert repository.fetch_state().head == remote.tip()
    assert (tmp_path / "here" / "repositories").is_dir()


def test_state_folder_that_cannot_be_used_is_named(remote: GitRemote, tmp_path: Path) -> None:
    (tmp_path / "daemon").write_text("a file")
    with pytest.raises(SourceError, match="state folder"):
        opened(remote)


def test_git_that_hangs_is_ended_with_all_it_started(
    remote: GitRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 600\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    with opened(remote, GitOptions(network=timedelta(seconds=1))) as repository:
        far = Remote(name="far", address=parse_address("git@example.invalid:x", cwd=tmp_path))
        with pytest.raises(SourceError, match="longer than 1 s"):
            repository.look(far, ())
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_fetched_file_cannot_grow_beyond_the_limit(remote: GitRemote) -> None:
    remote.commit({"state/big": os.urandom(3_000_000)})
    with (
        opened(remote, GitOptions(max_file_blocks=2000)) as repository,
        pytest.raises(SourceError, match="cannot be fetched"),
    ):
        repository.fetch_state()


def test_commit_that_nobody_names_any_more_is_fetched_by_its_id(remote: GitRemote) -> None:
    lost = remote.commit({"state/x": b"2"})
    remote.git("update-ref", "refs/heads/main", remote.git("rev-parse", "main~1"))
    with opened(remote) as repository:
        repository.fetch_state()
        assert repository.has_commit(lost)
        assert not repository.has_commit("d" * 40)


def test_many_objects_are_packed_when_tidied(remote: GitRemote) -> None:
    with opened(remote) as repository:
        repository.fetch_state()
        repository.tidy()
        assert repository.resolve("main") == remote.tip()
