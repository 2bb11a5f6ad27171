"""What files held before: the contents that paths had along the first parents of a commit, oldest first. Objects alone are read."""

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby

from reconciler.errors import SourceError
from reconciler.source.address import OBJECT_ID
from reconciler.source.git_process import GitProcess
from reconciler.source.objects import Objects
from reconciler.source.records import MEBIBYTE

MOST_CONTENTS = 1_000
"""Of one file. SSM: versions of a document."""
_MOST_LISTED = 64 * MEBIBYTE
_MOST_BYTES = MEBIBYTE
"""Of one content: what is larger is no document."""


def earlier_contents(
    git: GitProcess, commit: str, paths: Collection[str]
) -> Mapping[str, tuple[tuple[str, bytes], ...]]:
    """Give for each name of a file, without its ending, every content (path, bytes) it had, one after the other different, oldest first.

    `documents/A.yaml` and `documents/A.json` are one: both are the document A. One that was removed begins anew.
    Raises SourceError where the history does not read.
    """
    if (git.folder / "shallow").exists():
        raise SourceError(f"{git.folder} holds a part of its history alone (a shallow clone)")
    asked = ("log", "--reverse", "--first-parent", "-m", "--raw", "-z", "--no-renames", "--no-abbrev", "--no-color")
    told = ("--no-ext-diff", "--no-textconv", "--format=%H", commit, "--", *sorted(paths))
    finished = git.run(*asked, *told, limit=git.options.network, most=_MOST_LISTED)
    if finished.status != 0:
        raise SourceError(f"git log in {git.folder}: {finished.complaint}")
    histories: dict[str, list[tuple[str, str]]] = {}
    for _, changes in groupby(_changes(finished.stdout), key=lambda change: change[0]):
        _apply(list(changes), histories)
    wanted = {blob for history in histories.values() for _, blob in history[-MOST_CONTENTS:]}
    contents = _contents(git, wanted)
    return {
        # What is too large keeps its place: the numbers of the others do not hang on it.
        name: tuple((path, contents.get(blob, b"")) for path, blob in history)
        for name, history in histories.items()
        if len(history) <= MOST_CONTENTS
    }


def _apply(changes: list[tuple[str, str, str | None]], histories: dict[str, list[tuple[str, str]]]) -> None:
    """Take in the changes of one commit."""
    there = {_name(path): (path, blob) for _, path, blob in changes if blob is not None}
    for _, path, blob in changes:
        name = _name(path)
        if blob is None and name not in there:
            histories.pop(name, None)
    for name, content in there.items():
        history = histories.setdefault(name, [])
        if not history or history[-1][1] != content[1]:
            history.append(content)


def _changes(answer: bytes) -> Iterator[tuple[str, str, str | None]]:
    """Read `log --raw -z --format=%H`: (commit, path, new blob id or None)."""
    commit = ""
    fields = iter(answer.decode("utf-8", "surrogateescape").split("\0"))
    for field in fields:
        text = field.lstrip("\n")
        if not text.startswith(":"):
            commit = text
            continue
        parts = text.split()
        path = next(fields, None)
        if len(parts) != 5 or path is None or not OBJECT_ID.match(parts[3]):  # noqa: PLR2004  (modes, ids, letter)
            raise SourceError(f"git told a history in a way we do not know: {text[:120]!r}")
        plain = parts[1].startswith("100")  # a link or a submodule was no file
        yield commit, path, parts[3] if plain else None


def _contents(git: GitProcess, blobs: Collection[str]) -> dict[str, bytes]:
    ids = sorted(blobs)
    asked = "".join(f"{blob}\n" for blob in ids).encode()
    told = git.ask("cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=asked).decode("ascii", "replace")
    sizes = dict(line.split(" ", 1) for line in told.splitlines())
    small = [blob for blob in ids if sizes.get(blob, "").isdigit() and int(sizes[blob]) <= _MOST_BYTES]
    return Objects(git).read_blobs(small)


def _name(path: str) -> str:
    return path.rpartition("/")[2].rpartition(".")[0]
