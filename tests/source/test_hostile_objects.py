"""Objects made to exhaust: refused within limits of time, memory and disk, and the clone works on afterwards."""

import hashlib
import os
import resource
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.ids import CommitId
from reconciler.source.address import parse_address
from reconciler.source.git_process import GitOptions
from reconciler.source.records import ReadLimits, Remote
from reconciler.source.repository import HEARTBEAT_REF, Repository
from tests.support.git_remote import GitRemote, make_remote
from tests.support.peak_memory import growth

MIB = 1024 * 1024
SMALL = GitOptions(
    quick=timedelta(seconds=60), network=timedelta(seconds=60), max_file_blocks=64 * 2048, max_memory=192 * 1024
)
"""64 MiB of disk a file and 192 MiB of memory: what is a bomb for these is one for the real limits, only sooner."""


@pytest.fixture
def remote(tmp_path: Path) -> GitRemote:
    made = make_remote(tmp_path / "fleet.git")
    made.commit({"state/x": b"1"})
    return made


@pytest.fixture
def repository(remote: GitRemote, tmp_path: Path) -> Iterator[Repository]:
    address = parse_address(str(remote.path), cwd=tmp_path)
    with Repository.open(address, state_dir=tmp_path / "daemon", options=SMALL) as opened:
        opened.fetch_state()
        yield opened


def works_on(repository: Repository, remote: GitRemote, good: str) -> None:
    """The branch is put right, and is read again; nothing big was left on the disk."""
    remote.git("update-ref", "refs/heads/main", good)
    again = remote.commit({"state/y": b"2"})
    repository.fetch_state()
    assert repository.resolve("main") == again
    assert dict(repository.read_files(CommitId(again)).files) == {"state/x": b"1", "state/y": b"2"}
    left = sum(path.stat().st_size for path in repository.folder.rglob("*") if path.is_file())
    assert left < 4 * MIB, sorted(repository.folder.rglob("*"))


def set_head(remote: GitRemote, tree: str) -> str:
    """Make main a commit of this tree."""
    made = remote.git("commit-tree", tree, "-p", "refs/heads/main", "-m", "Hostile")
    remote.git("update-ref", "refs/heads/main", made)
    return made


def tree(remote: GitRemote, entries: bytes) -> str:
    return remote.git("mktree", "-z", "--missing", stdin=entries)


def pack(objects: list[bytes]) -> bytes:
    body = b"PACK" + struct.pack(">II", 2, len(objects)) + b"".join(objects)
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def object_head(kind: int, size: int) -> bytes:
    """What stands before an object in a pack."""
    head, size = bytearray([kind << 4 | size & 15]), size >> 4
    while size:
        head[-1] |= 0x80
        head.append(size & 0x7F)
        size >>= 7
    return bytes(head)


def packed(kind: int, size: int, data: bytes, base: bytes = b"") -> bytes:
    """One object of a pack, as large as it says."""
    return object_head(kind, size) + base + zlib.compress(data)


def zeros(size: int) -> tuple[str, bytes]:
    """A blob of `size` zeros, a multiple of a mebibyte: its name, and itself compressed, without ever holding it."""
    one = bytes(MIB)
    name = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    compress = zlib.compressobj(9)
    first = compress.compress(one) + compress.flush(zlib.Z_FULL_FLUSH)
    again = compress.compress(one) + compress.flush(zlib.Z_FULL_FLUSH)
    for _ in range(size // MIB):
        name.update(one)
    last = b"\x03\x00" + struct.pack(">HH", size % 65521, 1)  # an empty block, and Adler-32 of nothing but zeros
    return name.hexdigest(), first + again * (size // MIB - 1) + last


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def test_a_blob_that_unpacks_to_more_than_the_disk_may_hold_is_read_past(
    repository: Repository, remote: GitRemote
) -> None:
    """Zeros compress a thousandfold: what crosses the line is small, and it is never held whole."""
    good = remote.tip()
    blob = remote.git("hash-object", "-w", "--stdin", stdin=bytes(96 * MIB))
    root = tree(remote, f"100644 blob {blob}\tbig\0".encode())
    head = set_head(remote, tree(remote, f"040000 tree {root}\tstate\0".encode()))
    repository.fetch_state()
    found = repository.read_files(CommitId(head))
    assert found.files == {}
    assert "larger than" in found.problems[0].message
    works_on(repository, remote, good)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_blob_of_ten_gibibytes_is_read_past(remote: GitRemote, tmp_path: Path) -> None:
    """Under the limits that hold outside of tests: 10 MB on the line and on the disk, and never in memory."""
    good, size = remote.tip(), 10 * 2**30
    name, stream = zeros(size)
    (tmp_path / "bomb.pack").write_bytes(pack([object_head(3, size) + stream]))
    with (tmp_path / "bomb.pack").open("rb") as bomb:
        subprocess.run(["git", "index-pack", "--stdin"], cwd=remote.path, stdin=bomb, check=True, capture_output=True)
    root = tree(remote, f"100644 blob {name}\tbig\0".encode())
    head = set_head(remote, tree(remote, f"040000 tree {root}\tstate\0".encode()))
    address = parse_address(str(remote.path), cwd=tmp_path)
    with Repository.open(address, state_dir=tmp_path / "daemon", options=GitOptions()) as repository:
        began = time.monotonic()
        with growth() as grown:
            repository.fetch_state()
            found = repository.read_files(CommitId(head))
        assert found.files == {}
        assert "larger than" in found.problems[0].message
        assert grown.kib < 50 * 1024
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(f"{time.monotonic() - began:.0f} s; we grew by {grown.kib} KiB, no git was larger than {children} KiB")  # noqa: T201 - a long run tells its figures
        remote.git("update-ref", "refs/heads/main", good)
        again = remote.commit({"state/y": b"2"})
        repository.fetch_state()
        assert dict(repository.read_files(CommitId(again)).files) == {"state/x": b"1", "state/y": b"2"}


def test_a_delta_that_asks_for_gigabytes_is_refused(repository: Repository, remote: GitRemote, tmp_path: Path) -> None:
    good = remote.tip()
    base = b"x" * 65536
    name = hashlib.sha1(b"blob 65536\0" + base, usedforsecurity=False).digest()
    copies = 2**30 // 65536
    delta = varint(len(base)) + varint(len(base) * copies) + b"\x80" * copies  # each copies 64 KiB from the start
    bomb = pack([packed(3, len(base), base), packed(7, len(delta), delta, base=name)])
    (tmp_path / "bomb.pack").write_bytes(bomb)
    assert len(bomb) < MIB
    remote.git("index-pack", "--stdin", stdin=bomb)
    whole = hashlib.sha1(b"blob %d\0" % (len(base) * copies), usedforsecurity=False)
    for _ in range(copies):
        whole.update(base)
    root = tree(remote, f"100644 blob {whole.hexdigest()}\tbig\0".encode())
    set_head(remote, tree(remote, f"040000 tree {root}\tstate\0".encode()))
    with pytest.raises(SourceError):
        repository.fetch_state()
    works_on(repository, remote, good)


def test_a_pack_larger_than_the_disk_may_hold_is_refused_and_cleared_away(
    repository: Repository, remote: GitRemote
) -> None:
    good = remote.tip()
    remote.commit({"state/noise": os.urandom(80 * MIB)})
    with pytest.raises(SourceError, match="cannot be fetched"):
        repository.fetch_state()
    works_on(repository, remote, good)


@pytest.mark.parametrize("entries", [200_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_a_folder_of_countless_files_is_refused(repository: Repository, remote: GitRemote, entries: int) -> None:
    good = remote.tip()
    blob = remote.git("rev-parse", "main:state/x")
    many = b"".join(f"100644 blob {blob}\tf{number:07}\0".encode() for number in range(entries))
    head = set_head(remote, tree(remote, f"040000 tree {tree(remote, many)}\tstate\0".encode()))
    repository.fetch_state()
    with growth() as grown, pytest.raises(SourceError, match=r"limit|more than"):
        repository.read_files(CommitId(head))
    assert grown.kib < 150 * 1024
    works_on(repository, remote, good)


def test_a_tree_that_names_itself_ten_times_over_is_refused(repository: Repository, remote: GitRemote) -> None:
    good = remote.tip()
    blob = remote.git("rev-parse", "main:state/x")
    level = tree(remote, b"".join(f"100644 blob {blob}\t{n}\0".encode() for n in range(10)))
    for _ in range(10):
        level = tree(remote, b"".join(f"040000 tree {level}\t{n}\0".encode() for n in range(10)))
    head = set_head(remote, tree(remote, f"040000 tree {level}\tstate\0".encode()))
    repository.fetch_state()
    with pytest.raises(SourceError, match="more than"):
        repository.read_files(CommitId(head))
    works_on(repository, remote, good)


def test_folders_ten_thousand_deep_end_in_words(repository: Repository, remote: GitRemote, tmp_path: Path) -> None:
    good = remote.tip()
    blob = remote.git("rev-parse", "main:state/x")
    below, objects, kind = bytes.fromhex(blob), [], b"100644 a"
    for _ in range(10_000):
        data = kind + b"\0" + below
        below, kind = hashlib.sha1(b"tree %d\0" % len(data) + data, usedforsecurity=False).digest(), b"40000 a"
        objects.append(packed(2, len(data), data))
    remote.git("index-pack", "--stdin", stdin=pack(objects))
    head = set_head(remote, tree(remote, f"040000 tree {below.hex()}\tstate\0".encode()))
    try:
        repository.fetch_state()
        found = repository.read_files(CommitId(head))
        assert len(found.files) == 1
    except SourceError:
        pass  # refused: as good
    works_on(repository, remote, good)


def test_a_remote_of_many_refs_is_not_followed(repository: Repository, remote: GitRemote) -> None:
    good = remote.tip()
    lines = "".join(f"{good} refs/heads/many/{number:06}\n" for number in range(60_000))
    (remote.path / "packed-refs").write_text("# pack-refs with: peeled fully-peeled sorted \n" + lines)
    with pytest.raises(SourceError, match="branches and tags"):
        repository.fetch_everything()
    repository.fetch_state()  # the one branch that counts is read among them
    assert repository.resolve("main") == good


def test_a_heartbeat_and_a_message_of_megabytes_are_not_read(repository: Repository, remote: GitRemote) -> None:
    blob = remote.git("hash-object", "-w", "--stdin", stdin=b" " * (65 * MIB))
    remote.git("update-ref", HEARTBEAT_REF, blob)
    place = Remote(name="home", address=repository.address)
    repository.fetch(place, (HEARTBEAT_REF,))
    with pytest.raises(SourceError, match="is the limit"):
        repository.read_blob(blob)
    head = remote.commit({"state/z": b"3"}, "A long story " * 200_000)
    repository.fetch_state()
    with pytest.raises(SourceError, match="is the limit"):
        repository.commits_between(None, CommitId(head))


def test_limits_of_reading_are_far_above_what_a_fleet_needs() -> None:
    limits = ReadLimits()
    assert limits.entries >= 100_000
    assert limits.listing_bytes >= 100 * limits.files


@pytest.mark.parametrize("name", ["..", ".git", ".GIT"])
def test_a_tree_with_names_that_leave_it_is_not_taken(repository: Repository, remote: GitRemote, name: str) -> None:
    blob = remote.git("rev-parse", "main:state/x")
    raw = f"100644 {name}\0".encode() + bytes.fromhex(blob)
    bad = remote.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)
    set_head(remote, bad)
    with pytest.raises(SourceError, match="cannot be fetched"):
        repository.fetch_state()
