"""Refs of a repository on this machine, read from its files: gitrepository-layout(5). Starts no process and writes nothing.

Takes a repository; gives what git would say, or None wherever anything is unusual (reftable, a symbolic ref, a link): then git
is asked. Each question to git costs 5 ms, and a pass with nothing to do asks eight.
"""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from reconciler.source.address import OBJECT_ID, why_not_a_ref
from reconciler.source.local import git_folder
from reconciler.source.records import RemoteRefs

_LONGEST = 4096
"""Bytes of a ref's file; the longest name is shorter."""
_PACKED_LONGEST = 64 * 1024 * 1024


def remote_refs(repository: Path, refs: Sequence[str]) -> RemoteRefs | None:
    """Give HEAD and those of `refs` that a repository has; one of several work trees has a HEAD of its own, so git is asked."""
    if any(name.endswith("*") for name in refs) or (repository / ".git").is_file():
        return None
    folder = git_folder(repository)
    try:
        branch = (_small(folder / "HEAD") or "").removeprefix("ref: ")
        if not branch.startswith("refs/heads/") or any(why_not_a_ref(name) for name in (branch, *refs)):
            return None
        # Loose ones first, as git does it: what is being packed meanwhile is then found at least once.
        loose = {name: _value(folder / name) for name in (branch, *refs)}
        packed = _packed(folder)
    except (OSError, ValueError):
        return None
    found = {name: value or packed.get(name) for name, value in loose.items()}
    head = found[branch]
    return RemoteRefs(
        head_branch=None if head is None else branch.removeprefix("refs/heads/"),
        head=head,
        ids={name: value for name in refs if (value := found[name]) is not None},
    )


def all_refs(folder: Path) -> dict[str, str] | None:
    """Give every ref and its id; a symbolic one has the id of what it names."""
    try:
        texts = {name: _small(folder / name) for name in _loose(folder / "refs", "refs")}
        found = dict(_packed(folder))
        symbolic = {name: text for name, text in texts.items() if text is not None and text.startswith("ref: ")}
        found |= {name: _id(text) for name, text in texts.items() if text is not None and name not in symbolic}
    except (OSError, ValueError):
        return None
    named = {name: found.get(text.removeprefix("ref: ")) for name, text in symbolic.items()}
    return found | {name: value for name, value in named.items() if value is not None}


def _loose(folder: Path, name: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise ValueError(f"{entry.path} is a link")
            if entry.is_dir():
                yield from _loose(Path(entry.path), f"{name}/{entry.name}")
            elif not entry.name.endswith(".lock"):
                yield f"{name}/{entry.name}"


def _packed(folder: Path) -> Mapping[str, str]:
    if (folder / "reftable").exists():
        raise ValueError("refs are in another form")
    text = _small(folder / "packed-refs", longest=_PACKED_LONGEST)
    lines = (line for line in (text or "").split("\n") if line and line[0] not in "#^")
    return {name: _id(value) for value, _, name in (line.partition(" ") for line in lines)}


def _value(path: Path) -> str | None:
    text = _small(path)
    return None if text is None else _id(text)


def _id(text: str) -> str:
    if OBJECT_ID.match(text) is None:
        raise ValueError(f"not an object id: {text[:80]!r}")
    return text


def _small(path: Path, *, longest: int = _LONGEST) -> str | None:
    """Read a file; None: there is none, or a folder of further refs."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        seen = os.fstat(opened)
        if stat.S_ISDIR(seen.st_mode):
            return None
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > longest:
            raise ValueError(f"{path} is no file of at most {longest} bytes")
        text = os.read(opened, seen.st_size)
    finally:
        os.close(opened)
    if len(text) != seen.st_size:
        raise ValueError(f"{path} was cut")
    return text.decode("utf-8", "surrogateescape").rstrip("\n")
