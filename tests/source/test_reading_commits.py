"""A state repository is read from git objects at a commit, within limits, and later commits cost what they changed."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import SourceError, UsageError
from reconciler.ids import CommitId
from reconciler.source.address import parse_address
from reconciler.source.objects import Objects, _Joined
from reconciler.source.records import ReadLimits
from reconciler.source.repository import Repository
from tests.support.git_remote import GitRemote, make_remote


@pytest.fixture
def remote(tmp_path: Path) -> GitRemote:
    return make_remote(tmp_path / "fleet.git")


@pytest.fixture
def repository(remote: GitRemote, tmp_path: Path) -> Iterator[Repository]:
    with Repository.open(parse_address(str(remote.path), cwd=tmp_path), state_dir=tmp_path / "daemon") as opened:
        yield opened


def test_files_of_the_head_are_read(remote: GitRemote, repository: Repository) -> None:
    head = remote.commit({"state/nodes/a.yaml": b"Id: a\n", "documents/D.yaml": b"\xff\x00", "README.md": b"no"})
    seen = repository.fetch_state()
    assert seen.head_branch == repository.head_branch() == "main"
    assert repository.resolve("HEAD") == repository.resolve("main") == head
    snapshot = repository.read_files(repository.resolve("main"))
    assert snapshot.files == {"documents/D.yaml": b"\xff\x00", "state/nodes/a.yaml": b"Id: a\n"}
    assert snapshot.trees == repository.trees(snapshot.revision)
    assert set(snapshot.trees) == {"state", "documents"}
    assert snapshot.trees["state"] == remote.git("rev-parse", "main:state")
    assert snapshot.problems == ()


def test_named_branch_is_read_whatever_the_head(remote: GitRemote, repository: Repository) -> None:
    remote.commit({"state/x": b"1"})
    other = remote.commit({"state/x": b"2"}, branch="team/prod")
    repository.fetch_state("team/prod")
    assert repository.resolve("team/prod") == other


def test_branch_that_is_not_there_resolves_to_nothing(remote: GitRemote, repository: Repository) -> None:
    remote.commit({"state/x": b"1"})
    repository.fetch_state("nope")
    with pytest.raises(SourceError, match="no revision 'nope'"):
        repository.resolve("nope")


def test_branch_deleted_at_the_remote_is_gone_here_too(remote: GitRemote, repository: Repository) -> None:
    remote.commit({"state/x": b"1"}, branch="b")
    repository.fetch_state("b")
    remote.git("update-ref", "-d", "refs/heads/b")
    repository.fetch_state("b")
    with pytest.raises(SourceError):
        repository.resolve("b")


def test_revisions_of_a_pull_request_resolve_once_everything_is_fetched(
    remote: GitRemote, repository: Repository
) -> None:
    first = remote.commit({"state/x": b"1"})
    second = remote.commit({"state/x": b"2"})
    remote.git("tag", "v1", first)
    remote.git("update-ref", "refs/heads/pr", second)
    repository.fetch_everything()
    assert [repository.resolve(rev) for rev in ("main~1", "v1", "pr", "HEAD", first, second[:10])] == [
        *(first, first, second, second, first),
        second,
    ]
    with pytest.raises(UsageError):
        repository.resolve("main:state")


def test_empty_repository_has_no_head(remote: GitRemote, repository: Repository) -> None:
    assert repository.fetch_state().head is None
    with pytest.raises(SourceError):
        repository.resolve("HEAD")


def test_working_tree_counts_by_its_commits_only(tmp_path: Path) -> None:
    tree = make_remote(tmp_path / "clone", bare=False)
    tree.commit({"state/x": b"committed"})
    (tree.path / "state").mkdir()
    (tree.path / "state" / "x").write_text("edited")
    with Repository.open(parse_address("state", cwd=tree.path), state_dir=tmp_path / "daemon") as repository:
        assert repository.address.path == tree.path
        repository.fetch_state()
        assert repository.read_files(repository.resolve("HEAD")).files == {"state/x": b"committed"}


def test_detached_head_of_a_checkout_is_read(tmp_path: Path) -> None:
    tree = make_remote(tmp_path / "clone", bare=False)
    first = tree.commit({"state/x": b"1"})
    tree.commit({"state/x": b"2"})
    tree.git("checkout", "--quiet", "--detach", first)
    with Repository.open(parse_address(str(tree.path), cwd=tmp_path), state_dir=tmp_path / "daemon") as repository:
        assert repository.fetch_state().head_branch is None
        assert repository.resolve("HEAD") == first


def test_shallow_checkout_is_read(remote: GitRemote, tmp_path: Path) -> None:
    remote.commit({"state/x": b"1"})
    head = remote.commit({"state/x": b"2"})
    remote.git("clone", "--quiet", "--depth=1", f"file://{remote.path}", str(tmp_path / "shallow"))
    address = parse_address(str(tmp_path / "shallow"), cwd=tmp_path)
    with Repository.open(address, state_dir=tmp_path / "daemon") as repository:
        repository.fetch_state()
        assert repository.read_files(repository.resolve("HEAD")).files == {"state/x": b"2"}
        assert repository.resolve("HEAD") == head


@pytest.mark.parametrize("missing", ["nowhere", "empty"])
def test_folder_without_a_repository_is_named(tmp_path: Path, missing: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=missing):
        Repository.open(parse_address(missing, cwd=tmp_path), state_dir=tmp_path / "daemon")


def test_links_submodules_and_odd_places_are_refused_by_name(remote: GitRemote, repository: Repository) -> None:
    blob = remote.git("hash-object", "-w", "--stdin", stdin=b"/etc/passwd")
    commit = remote.commit({"other": b"1"}, branch="else")
    state = remote.git(
        "mktree",
        "-z",
        stdin=(
            f"120000 blob {blob}\tlink.yaml\x00160000 commit {commit}\tmodule\x00"
            f"100644 blob {blob}\tgood.yaml\x00100644 blob {blob}\t".encode()
            + b"caf\xe9.yaml\0"
        ),
    )
    top = remote.git("mktree", stdin=f"040000 tree {state}\tstate\n120000 blob {blob}\tdocuments\n".encode())
    head = remote.git("commit-tree", "-m", "odd", top)
    remote.git("update-ref", "refs/heads/main", head)
    repository.fetch_state()
    snapshot = repository.read_files(repository.resolve("main"))
    assert snapshot.files == {"state/good.yaml": b"/etc/passwd"}
    said = {problem.file: problem.message for problem in snapshot.problems}
    assert said == {
        "documents": "this is a symbolic link",
        "state/caf�.yaml": "the name of this file is not UTF-8",
        "state/link.yaml": "this is a symbolic link",
        "state/module": "this is a submodule",
    }


def test_file_over_the_limit_is_never_read(remote: GitRemote, repository: Repository) -> None:
    remote.commit({"state/big.yaml": b"x" * 1001, "state/small.yaml": b"x" * 1000})
    repository.fetch_state()
    snapshot = repository.read_files(repository.resolve("main"), limits=ReadLimits(file_bytes=1000))
    assert set(snapshot.files) == {"state/small.yaml"}
    assert [(p.file, p.value) for p in snapshot.problems] == [("state/big.yaml", "1001 bytes")]


@pytest.mark.parametrize("limits", [ReadLimits(files=2), ReadLimits(total_bytes=25)], ids=["files", "bytes"])
def test_too_much_in_all_is_one_problem_and_nothing_is_read(
    remote: GitRemote, repository: Repository, limits: ReadLimits
) -> None:
    remote.commit({f"state/{n}": b"0123456789" for n in range(3)})
    repository.fetch_state()
    snapshot = repository.read_files(repository.resolve("main"), limits=limits)
    assert snapshot.files == {}
    assert len(snapshot.problems) == 1


def test_tree_that_unfolds_to_billions_of_files_ends_with_an_error(
    remote: GitRemote, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.source.git_process.MAX_OUTPUT", 1_000_000)
    blob = remote.git("hash-object", "-w", "--stdin", stdin=b"lol")
    tree = remote.git("mktree", stdin="".join(f"100644 blob {blob}\t{n}\n" for n in range(10)).encode())
    for _ in range(9):
        tree = remote.git("mktree", stdin="".join(f"040000 tree {tree}\t{n}\n" for n in range(10)).encode())
    top = remote.git("mktree", stdin=f"040000 tree {tree}\tstate\n".encode())
    remote.git("update-ref", "refs/heads/main", remote.git("commit-tree", "-m", "bomb", top))
    repository.fetch_state()
    with pytest.raises(SourceError, match="more than"):
        repository.read_files(repository.resolve("main"))


def test_ten_thousand_files_are_read_and_a_later_commit_reads_what_it_changed(
    remote: GitRemote, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, bytes | None] = {f"state/nodes/{n:05}.yaml": f"Id: n{n}\n".encode() for n in range(10_000)}
    first = remote.commit(files)
    repository.fetch_state()
    before = repository.read_files(repository.resolve(first))
    assert dict(before.files) == files
    asked: list[str] = []
    read = Objects.read_blobs

    def counted(self: Objects, ids: list[str]) -> dict[str, bytes]:
        asked.extend(ids)
        return read(self, ids)

    monkeypatch.setattr(Objects, "read_blobs", counted)
    second = remote.commit({"state/nodes/00007.yaml": b"Id: seven\n", "state/nodes/00008.yaml": None})
    repository.fetch_state()
    after = repository.read_files(repository.resolve(second))
    assert len(asked) == 1
    assert after.files["state/nodes/00007.yaml"] == b"Id: seven\n"
    assert len(after.files) == 9_999
    assert {path for path in after.blobs if before.blobs[path] != after.blobs[path]} == {"state/nodes/00007.yaml"}


def test_branch_streams_in_the_order_of_paths(remote: GitRemote, repository: Repository) -> None:
    commit = remote.commit({"nodes/ab/x.json": b"1", "nodes/aa/y.json": b"2\n\n", "compliance.json": b"", "z": b"\x00"})
    repository.fetch_state()
    resolved = repository.resolve(commit)
    assert list(repository.stream(resolved)) == [
        ("compliance.json", b""),
        ("nodes/aa/y.json", b"2\n\n"),
        ("nodes/ab/x.json", b"1"),
        ("z", b"\x00"),
    ]
    assert next(repository.stream(resolved, ("nodes",))) == ("nodes/aa/y.json", b"2\n\n")
    assert repository.read_file(resolved, "compliance.json") == b""
    assert repository.read_file(resolved, "nodes") is None


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture
def there_before() -> set[str]:
    """Children of this process that are no matter of the test: nodes that others of this worker share."""
    return children()


@pytest.mark.parametrize("most", [pytest.param(0, id="nothing"), 1, 99_999, pytest.param(1 << 30, id="everything")])
def test_what_was_read_ahead_is_what_the_stream_gives(
    remote: GitRemote, repository: Repository, monkeypatch: pytest.MonkeyPatch, most: int, there_before: set[str]
) -> None:
    monkeypatch.setattr("reconciler.source.objects._AHEAD", most)
    files: dict[str, bytes | None] = {f"nodes/{n:02}": os.urandom(n * 5_000) for n in range(40)}
    files |= {"empty": b"", "lines": b"\n\n"}
    commit = remote.commit(files)
    repository.fetch_state()
    resolved = repository.resolve(commit)
    repository.read_ahead(resolved)
    assert dict(repository.stream(resolved)) == files
    assert dict(repository.stream(resolved)) == files, "and once more, with nothing read ahead"
    assert children() <= there_before


@given(data=st.data(), whole=st.binary(max_size=60).map(lambda text: text.replace(b"\x01", b"\n")))
def test_pieces_that_were_read_ahead_read_like_one_file(data: st.DataObject, whole: bytes) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)))))
    pieces = deque(whole[a:b] for a, b in pairwise([*cuts, cuts[-1] if cuts else 0]) if a < b)
    begin, end = (cuts[0], cuts[-1]) if cuts else (0, 0)
    joined, plain = _Joined(pieces, BytesIO(whole[end:])), BytesIO(whole[begin:])
    for is_line, size in data.draw(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=12)):
        assert (joined.readline if is_line else joined.read)(size) == (plain.readline if is_line else plain.read)(size)
    assert joined.read(100) == plain.read()


def test_what_was_read_ahead_in_vain_is_let_go(remote: GitRemote, tmp_path: Path, there_before: set[str]) -> None:
    repository = Repository.open(parse_address(str(remote.path), cwd=tmp_path), state_dir=tmp_path / "daemon")
    first = remote.commit({f"nodes/{n}": os.urandom(50_000) for n in range(40)})
    second = remote.commit({"other/0": b"new"})
    repository.fetch_state()
    repository.read_ahead(repository.resolve(first))
    assert dict(repository.stream(repository.resolve(second), ("other",))) == {"other/0": b"new"}
    repository.read_ahead(repository.resolve(first))
    repository.read_ahead(repository.resolve(first))
    repository.close()
    assert children() <= there_before
    assert [thread.name for thread in threading.enumerate() if thread.name == "read ahead"] == []


def test_a_commit_that_cannot_be_read_ahead_is_a_matter_of_whoever_asks(
    remote: GitRemote, repository: Repository
) -> None:
    commit = remote.commit({"nodes/0": b"there"})
    repository.fetch_state()
    gone = CommitId("1" * 40)
    repository.read_ahead(gone)
    with pytest.raises(SourceError, match="not a tree object"):
        next(repository.stream(gone))
    assert dict(repository.stream(repository.resolve(commit))) == {"nodes/0": b"there"}


def test_stream_left_early_leaves_no_process(remote: GitRemote, repository: Repository, there_before: set[str]) -> None:
    commit = remote.commit({f"nodes/{n}": os.urandom(50_000) for n in range(40)})
    repository.fetch_state()
    stream = repository.stream(repository.resolve(commit))
    next(stream)
    stream.close()
    assert children() <= there_before


def test_trailers_since_a_commit_are_found_by_their_messages(remote: GitRemote, repository: Repository) -> None:
    first = remote.commit({"state/x": b"1"}, "One")
    second = remote.commit({"state/x": b"2"}, "Two\n\nAllow-Shrink: motd\n")
    repository.fetch_state()
    between = repository.commits_between(repository.resolve(first), repository.resolve(second))
    assert [(commit.id, commit.message) for commit in between] == [(second, "Two\n\nAllow-Shrink: motd\n")]
    assert between[0].author == "Ann <ann@example.org>"
    assert between[0].parents == (first,)


def test_rewound_branch_is_seen_and_the_old_commit_stays_readable(remote: GitRemote, repository: Repository) -> None:
    first = remote.commit({"state/x": b"1"})
    second = remote.commit({"state/x": b"2"})
    repository.fetch_state()
    old = repository.resolve("main")
    remote.git("update-ref", "refs/heads/main", first)
    repository.fetch_state()
    new = repository.resolve("main")
    assert (old, new) == (second, first)
    assert not repository.is_ancestor(old, new)
    assert repository.is_ancestor(new, old)
    assert repository.read_files(old).files == {"state/x": b"2"}


def test_remote_that_is_away_is_an_error_and_what_was_fetched_stays(remote: GitRemote, repository: Repository) -> None:
    head = remote.commit({"state/x": b"1"})
    repository.fetch_state()
    away = remote.path.rename(remote.path.with_name("away"))
    with pytest.raises(SourceError, match=r"fleet\.git cannot be read"):
        repository.fetch_state()
    assert repository.resolve("main") == head
    away.rename(remote.path)
    assert repository.fetch_state().head == head


def test_reports_remote_is_taken_from_its_url_alone(tmp_path: Path) -> None:
    hub = make_remote(tmp_path / "hub.git")
    tree = make_remote(tmp_path / "clone", bare=False)
    tree.git("remote", "add", "origin", str(hub.path))
    tree.git("config", "remote.origin.pushurl", "ext::sh -c touch% x")
    tree.git("config", f"url.{tmp_path}/evil.insteadOf", str(hub.path))
    tree.git("config", "remote.bad.url", "ext::sh -c id")
    included = tmp_path / "included"
    included.write_text('[remote "other"]\n\turl = /x\n')
    tree.git("config", "include.path", str(included))
    with Repository.open(parse_address(str(tree.path), cwd=tmp_path), state_dir=tmp_path / "daemon") as repository:
        assert repository.remote_address("origin").path == hub.path
        with pytest.raises(SourceError, match="transport helper"):
            repository.remote_address("bad")
        with pytest.raises(SourceError, match="no remote 'other'"):
            repository.remote_address("other")


def test_remote_of_one_of_several_work_trees_is_found(tmp_path: Path) -> None:
    hub = make_remote(tmp_path / "hub.git")
    tree = make_remote(tmp_path / "clone", bare=False)
    head = tree.commit({"state/x": b"1"})
    tree.git("remote", "add", "origin", str(hub.path))
    tree.git("worktree", "add", "--quiet", str(tmp_path / "second"), "-b", "second", head)
    with Repository.open(parse_address("second", cwd=tmp_path), state_dir=tmp_path / "daemon") as repository:
        assert repository.remote_address("origin").path == hub.path
        assert repository.fetch_state().head_branch == "second"
