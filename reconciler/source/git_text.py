"""Git's formats, read and written: bytes to records and back. Pure; what is not understood is a `SourceError`."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from reconciler.errors import SourceError
from reconciler.ids import CommitId
from reconciler.source.address import why_not_a_ref
from reconciler.source.records import CommitRecord, RefResult, RefUpdate, RemoteRefs, TreeEntry, WriteRequest


def read_tree_listing(answer: bytes) -> Iterator[TreeEntry]:
    """Read `ls-tree -z --long`."""
    for line in answer.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        head, tab, path = line.partition("\t")
        parts = head.split()
        if not tab or len(parts) != 4:  # noqa: PLR2004  mode, kind, id, size
            raise SourceError(f"git listed a tree in a way we do not know: {line[:120]!r}")
        mode, kind, object_id, size = parts
        yield TreeEntry(mode=mode, kind=kind, id=object_id, size=int(size) if size.isdigit() else 0, path=path)


def read_changes(answer: bytes) -> dict[str, str | None]:
    """Read `diff-tree -r -z --raw --no-renames`: path -> new blob id; None: the file is gone."""
    fields = answer.split(b"\0")[:-1]
    changes: dict[str, str | None] = {}
    for head, path in zip(fields[0::2], fields[1::2], strict=True):
        parts = head.decode("ascii", "replace").split()
        if len(parts) != 5 or not parts[0].startswith(":"):  # noqa: PLR2004  modes, ids, letter
            raise SourceError(f"git listed changes in a way we do not know: {head[:120]!r}")
        changes[path.decode("utf-8", "surrogateescape")] = None if parts[4] == "D" else parts[3]
    return changes


def read_remote_refs(answer: bytes) -> RemoteRefs:
    """Read `ls-remote --symref`."""
    head_branch = head = None
    ids: dict[str, str] = {}
    for line in answer.decode("utf-8", "surrogateescape").splitlines():
        value, tab, ref = line.partition("\t")
        if not tab:
            raise SourceError(f"the remote listed its refs in a way we do not know: {line[:120]!r}")
        if value.startswith("ref: "):
            name = value.removeprefix("ref: refs/heads/")
            if ref == "HEAD" and name != value and why_not_a_ref(name) is None:
                head_branch = name
        elif ref == "HEAD":
            head = value
        elif why_not_a_ref(ref) is None:
            ids[ref] = value
    return RemoteRefs(head_branch=head_branch, head=head, ids=ids)


class Readable(Protocol):
    """What answers are read from."""

    def readline(self, most: int, /) -> bytes:
        """Give the next line, or so much of it."""
        ...

    def read(self, size: int, /) -> bytes:
        """Give so many bytes, fewer at the end."""
        ...


def read_batch(stream: Readable, wanted: Iterable[str], most: int) -> Iterator[bytes]:
    """Read `cat-file --batch`, which answers in the order it was asked; nothing of more than `most` bytes is read."""
    for object_id in wanted:
        header = stream.readline(512)
        parts = header.split()
        if len(parts) != 3:  # noqa: PLR2004  id, kind, size
            raise SourceError(f"object {object_id} could not be read from the clone: {header[:120]!r}")
        size = int(parts[2])
        if size > most:
            raise SourceError(f"object {object_id} has {size} bytes; {most} is the limit")
        body = stream.read(size)
        if len(body) != size or stream.read(1) != b"\n":
            raise SourceError(f"object {object_id} was cut: {len(body)} of {size} bytes")
        yield body


_PERSON_LINE = re.compile(r"(?P<who>.*) (?P<at>-?[0-9]{1,15}) (?P<sign>[+-])(?P<hours>[0-9]{2})(?P<minutes>[0-9]{2})\Z")


def blob_id(content: bytes, *, like: str) -> str:
    """Work out the id git gives a blob, by the hash that made the id `like`."""
    make = hashlib.sha256 if len(like) == 64 else hashlib.sha1  # noqa: PLR2004  hexadecimal digits of SHA-256
    return make(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def read_commit(object_id: str, body: bytes) -> CommitRecord:
    """Read a commit object."""
    head, _, message = body.decode("utf-8", "replace").partition("\n\n")
    lines = [line.partition(" ") for line in head.split("\n") if not line.startswith(" ")]
    author = next((rest for key, _, rest in lines if key == "author"), "")
    committer = next((rest for key, _, rest in lines if key == "committer"), "")
    match = _PERSON_LINE.match(author)
    return CommitRecord(
        id=CommitId(object_id),
        tree=next((rest for key, _, rest in lines if key == "tree"), ""),
        parents=tuple(CommitId(rest) for key, _, rest in lines if key == "parent"),
        author=match["who"] if match else author,
        committed=_instant(committer),
        message=message,
    )


def _instant(person: str) -> datetime:
    match = _PERSON_LINE.match(person)
    if match is None:
        return datetime.fromtimestamp(0, UTC)
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=int(match["at"]))
    except OverflowError:
        return datetime.fromtimestamp(0, UTC)


def read_push_result(answer: bytes, updates: Sequence[RefUpdate], complaint: str) -> tuple[RefResult, ...]:
    """Read `push --porcelain`: what came of each update; one that is not named was not accepted."""
    said: dict[str, tuple[bool, str]] = {}
    for line in answer.decode("utf-8", "replace").splitlines():
        fields = line.split("\t")
        if len(fields) == 3 and len(fields[0]) == 1:  # noqa: PLR2004  flag, from:to, summary
            said[fields[1].rpartition(":")[2]] = (fields[0] != "!", fields[2])
    return tuple(
        RefResult(ref=update.ref, accepted=accepted, reason="" if accepted else f"{summary}; {complaint}")
        for update in updates
        for accepted, summary in [said.get(update.ref, (False, "the remote did not answer for this ref"))]
    )


def import_stream(ref: str, request: WriteRequest) -> Iterator[bytes]:
    """Write the one commit of `request` in the language of `fast-import`, piece by piece; it prints the commit's id."""
    who = f"{request.person.name} <{request.person.email}> {int(request.when.timestamp())} +0000".encode()
    message = request.message.encode("utf-8", "replace")
    yield f"feature done\ncommit {ref}\nmark :1\n".encode()
    yield b"author %s\ncommitter %s\ndata %d\n%s\n" % (who, who, len(message), message)
    for number, parent in enumerate(request.parents):
        yield (b"merge %s\n" if number else b"from %s\n") % parent.encode()
    for path, content in sorted(request.changes.items()):
        if content is None:
            yield b"D %s\n" % _quoted(path)
        else:
            yield b"M 100644 inline %s\ndata %d\n" % (_quoted(path), len(content))
            yield content
            yield b"\n"
    for path, blob in sorted(request.known_blobs.items()):
        yield b"M 100644 %s %s\n" % (blob.encode(), _quoted(path))
    yield b"get-mark :1\ndone\n"


def _quoted(path: str) -> bytes:
    r"""Quote as C does: git reads \" \\ and octal back."""
    plain = path.encode("utf-8", "surrogateescape")
    return b'"' + b"".join(_quoted_byte(byte) for byte in plain) + b'"'


def _quoted_byte(byte: int) -> bytes:
    if byte in b'"\\' or not 0x20 <= byte < 0x7F:  # noqa: PLR2004  printable ASCII
        return b"\\%03o" % byte
    return bytes([byte])


_TRAILER = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9-]{0,60}): *(?P<value>.*)\Z")


def trailers(message: str) -> tuple[tuple[str, str], ...]:
    """Give the `Key: value` lines of a message's last paragraph, if all its lines are such; keys as written."""
    paragraphs = [part for part in re.split(r"\n\s*\n", message.strip()) if part]
    if len(paragraphs) < 2:  # noqa: PLR2004  a subject alone holds no trailers
        return ()
    matches = [_TRAILER.match(line.strip()) for line in paragraphs[-1].splitlines()]
    if not all(matches):
        return ()
    return tuple((match["key"], match["value"].strip()) for match in matches if match)
