"""Our own clone breaks: it is noticed, made anew with what it had alone, and a broken remote is never taken for it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.ids import CommitId
from reconciler.source.address import parse_address
from reconciler.source.records import Person, WriteRequest
from reconciler.source.repository import Repository
from tests.source.builders import NOON
from tests.support.git_remote import GitRemote, make_remote

QUEUE = "refs/queue/compliance"
PUBLISHED = "refs/published/home/compliance"
ACCEPTED = "refs/accepted/state"


@pytest.fixture
def remote(tmp_path: Path) -> GitRemote:
    made = make_remote(tmp_path / "fleet.git")
    made.commit({f"state/{number}": os.urandom(200) for number in range(150)})  # so many come as a pack
    made.commit({"state/x": b"2"})
    return made


def opened(remote: GitRemote) -> Repository:
    return Repository.open(parse_address(str(remote.path), cwd=remote.path), state_dir=remote.path.parent / "daemon")


def with_a_queue(remote: GitRemote, commits: int = 2) -> tuple[Path, list[CommitId]]:
    """Make the clone, with what it has alone: commits that wait, oldest first."""
    with opened(remote) as repository:
        head = repository.fetch_state().head
        assert head is not None
        made: list[CommitId] = []
        for number in range(commits):
            request = WriteRequest(
                parents=tuple(made[-1:]),
                changes={f"nodes/{number}": f"report {number}".encode()},
                message=f"Report {number}",
                person=Person(email="r@example.org"),
                when=NOON,
            )
            made.append(repository.write_commit(request))
        repository.update_refs({QUEUE: (None, made[-1]), ACCEPTED: (None, head), PUBLISHED: (None, made[0])})
        assert repository.repair() is None, "a sound clone is left alone"
        return repository.folder, made


def loose(folder: Path, name: str) -> Path:
    return folder / "objects" / name[:2] / name[2:]


def overwrite(path: Path, content: bytes) -> None:
    path.touch()
    path.chmod(0o600)
    path.write_bytes(content)


def ref_is_garbage(folder: Path) -> None:
    overwrite(folder / "refs/remote/state/heads/main", b"\0\0garbage")


def ref_is_empty(folder: Path) -> None:
    overwrite(folder / "refs/remote/state/HEAD-commit", b"")


def packed_refs_are_garbage(folder: Path) -> None:
    overwrite(folder / "packed-refs", b"\x89PNG not refs at all\n")


def objects_of_the_remote_are_cut(folder: Path) -> None:
    for pack in (folder / "objects/pack").glob("*.pack"):
        overwrite(pack, pack.read_bytes()[: pack.stat().st_size // 2])


def index_of_the_pack_is_broken(folder: Path) -> None:
    for index in (folder / "objects/pack").glob("*.idx"):
        overwrite(index, b"x" * 40)


def index_of_the_pack_is_gone(folder: Path) -> None:
    for index in (folder / "objects/pack").glob("*.idx"):
        index.unlink()


def head_is_garbage(folder: Path) -> None:
    overwrite(folder / "HEAD", b"\xff\xfe")


def settings_are_garbage(folder: Path) -> None:
    overwrite(folder / "config", b"[core\n")


def a_published_object_is_missing(folder: Path) -> None:
    for pack in (folder / "objects/pack").iterdir():
        pack.unlink()


@pytest.mark.parametrize(
    "damage",
    [
        ref_is_garbage,
        ref_is_empty,
        packed_refs_are_garbage,
        objects_of_the_remote_are_cut,
        index_of_the_pack_is_broken,
        index_of_the_pack_is_gone,
        head_is_garbage,
        settings_are_garbage,
        a_published_object_is_missing,
    ],
)
def test_what_breaks_is_made_anew_with_what_waited(remote: GitRemote, damage: Callable[[Path], None]) -> None:
    folder, made = with_a_queue(remote)
    assert list((folder / "objects/pack").glob("*.pack"))
    damage(folder)
    with opened(remote) as repository:
        told = repository.repair() or repository.told_repair()
        assert told is not None
        assert "was broken" in told
        assert "with all that it had alone" in told
        assert repository.folder == folder
        assert repository.ref(QUEUE) == made[-1]
        assert repository.ref(PUBLISHED) == made[0]
        assert repository.ref(ACCEPTED) == remote.tip()
        assert repository.fetch_state().head == remote.tip()
        assert [record.message for record in repository.commits_between(None, made[-1])] == ["Report 0", "Report 1"]
        assert repository.repair() is None
        repository.forget_repair()
    aside = folder.with_name(folder.name + ".broken")
    assert aside.stat().st_mode & 0o777 == 0o700
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, aside.name]
    with opened(remote) as repository:
        assert repository.told_repair() is None
        assert repository.repair() is None


def test_a_waiting_report_that_was_cut_costs_itself_alone(remote: GitRemote) -> None:
    folder, made = with_a_queue(remote, commits=3)
    blob = remote_blob(remote, b"report 2")
    overwrite(loose(folder, blob), loose(folder, blob).read_bytes()[:5])
    with opened(remote) as repository:
        told = repository.repair()
        assert told is not None
        assert f"{QUEUE} was at {made[2]}, which could not be read, and is at {made[1]}" in told
        assert repository.ref(QUEUE) == made[1]
        assert repository.read_file(made[1], "nodes/1") == b"report 1"


def test_what_waits_upon_a_published_commit_needs_only_the_remotes_copy(remote: GitRemote) -> None:
    with opened(remote) as repository:
        published = remote.commit({"README.md": b"one"}, branch="compliance")
        repository.fetch_state("compliance")
        request = WriteRequest(
            parents=(CommitId(published),),
            changes={"README.md": b"two"},
            message="Two",
            person=Person(email="r@example.org"),
            when=NOON,
        )
        made = repository.write_commit(request)
        repository.update_refs({QUEUE: (None, made), PUBLISHED: (None, published)})
        a_published_object_is_missing(repository.folder)
        told = repository.repair()
        assert told is not None
        assert "with all that it had alone" in told
        assert repository.ref(QUEUE) == made
        assert repository.is_ancestor(CommitId(published), made)


def remote_blob(remote: GitRemote, content: bytes) -> str:
    return remote.git("hash-object", "--stdin", stdin=content)


def test_refs_whose_objects_are_all_gone_are_said_to_be_gone(remote: GitRemote) -> None:
    folder, made = with_a_queue(remote)
    (folder / "objects").rename(folder / "lost")
    with opened(remote) as repository:
        told = repository.told_repair()
        assert told is not None
        assert f"{QUEUE} was at {made[1]}, which could not be read, and is gone" in told
        assert repository.ref(ACCEPTED) == remote.tip(), "the remote has that one"


def test_a_ref_that_does_not_read_is_not_one_that_is_gone(remote: GitRemote) -> None:
    folder, _ = with_a_queue(remote)
    overwrite(folder / PUBLISHED, b"garbage")
    with opened(remote) as repository, pytest.raises(SourceError, match="cannot be read"):
        repository.ref(PUBLISHED)


def test_a_broken_remote_is_not_a_broken_clone(remote: GitRemote) -> None:
    folder, made = with_a_queue(remote)
    for path in (remote.path / "objects").rglob("*"):
        if path.is_file():
            overwrite(path, b"nonsense")
    remote_head = remote.path / "refs/heads/main"
    overwrite(remote_head, b"d" * 40 + b"\n")
    with opened(remote) as repository:
        with pytest.raises(SourceError, match="cannot be fetched"):
            repository.fetch_state()
        assert repository.repair() is None
        assert repository.ref(QUEUE) == made[-1]
    assert not folder.with_name(folder.name + ".broken").exists()


def test_a_clone_breaks_while_the_remote_is_away(remote: GitRemote) -> None:
    folder, made = with_a_queue(remote)
    ref_is_garbage(folder)
    with opened(remote) as repository:
        for name in ("HEAD", "refs", "objects"):
            (remote.path / name).rename(remote.path / f"{name}-away")
        assert repository.repair() is not None
        assert repository.ref(QUEUE) == made[-1]
        assert repository.ref(ACCEPTED) is not None


def test_a_clone_that_another_of_ours_uses_is_left_until_that_ends(remote: GitRemote) -> None:
    folder, made = with_a_queue(remote)
    with opened(remote) as repository:
        with opened(remote):
            ref_is_garbage(folder)
            with pytest.raises(SourceError, match="another process uses it"):
                repository.repair()
        assert repository.repair() is not None
        assert repository.ref(QUEUE) == made[-1]


def test_what_git_missed_while_another_of_ours_wrote_it_is_not_broken(
    remote: GitRemote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git lists the objects, another handle makes one and a ref of it, and git reads the refs."""
    with_a_queue(remote)
    said = "notice: HEAD points to an unborn branch (main) / missing commit 8fa2da786b75177df7897610790d417c2d8d1c92"
    with opened(remote), opened(remote) as other:
        monkeypatch.setattr("reconciler.source.repository.what_is_broken", lambda _: said)
        assert other.repair() is None


def test_killed_while_it_was_made_anew(remote: GitRemote) -> None:
    """Killed before the broken one was moved away, and after it."""
    folder, made = with_a_queue(remote)
    fresh, aside = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".broken")
    fresh.mkdir()
    (fresh / "HEAD").write_bytes(b"half")
    ref_is_garbage(folder)
    with opened(remote) as repository:
        assert repository.repair() is not None
    folder.rename(fresh)
    aside_before = sorted(path.name for path in aside.iterdir())
    with opened(remote) as repository:
        assert repository.ref(QUEUE) == made[-1]
        assert repository.told_repair() is not None
    assert sorted(path.name for path in aside.iterdir()) == aside_before


def test_a_blob_that_was_cut_is_noticed(remote: GitRemote) -> None:
    """It is there, and git's quick look does not read it."""
    folder, made = with_a_queue(remote)
    blob = loose(folder, remote_blob(remote, b"report 0"))
    overwrite(blob, blob.read_bytes()[:5])
    with opened(remote) as repository:
        with pytest.raises(SourceError):
            repository.read_file(made[0], "nodes/0")
        assert repository.repair() is not None


def test_a_clone_that_vanished_is_our_own_error_with_its_folder(remote: GitRemote) -> None:
    with opened(remote) as repository:
        shutil.rmtree(repository.folder)
        with pytest.raises(SourceError, match=f"cannot be started in {repository.folder}"):
            repository.fetch_state()
