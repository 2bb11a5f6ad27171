"""Which lines the files of a folder lost and gained, commit by commit, along the first parents. Objects alone are read."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from reconciler.errors import SourceError
from reconciler.ids import CommitId
from reconciler.source.git_process import GitProcess
from reconciler.source.records import MEBIBYTE

_MOST: Final = 512 * MEBIBYTE
_COMMIT: Final = re.compile(r"\0([0-9a-f]{40,64}) (\d{1,12})")
_FILE: Final = re.compile(r"diff --git a/(\S+) b/(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinesOf:
    """What one commit did to one file."""

    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChange:
    """One commit that touched the folder."""

    commit: CommitId
    committed: datetime
    before: datetime | None
    """When the last commit before it that touched one of the paths beside the folder was made; None: there is none."""
    files: Mapping[str, LinesOf] = field(default_factory=dict)


def line_changes(
    git: GitProcess, older: str | None, newer: str, folder: str, beside: tuple[str, ...]
) -> tuple[LineChange, ...]:
    """Give what `newer` has and `older` has not, oldest first. Raises SourceError where the history does not read."""
    if (git.folder / "shallow").exists():
        raise SourceError(f"{git.folder} holds a part of its history alone (a shallow clone)")
    asked = (
        "log",
        "--reverse",
        "--first-parent",
        "-m",
        "--patch",
        "--unified=0",
        "--text",
        "--no-renames",
        "--no-color",
    )
    told = ("--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", "--format=%x00%H %ct")
    without = () if older is None else (f"^{older}",)
    finished = git.run(*asked, *told, newer, *without, "--", folder, limit=git.options.network, most=_MOST)
    if finished.status != 0:
        raise SourceError(f"git log in {git.folder}: {finished.complaint}")
    if not finished.stdout:
        return ()
    times = _times(git, newer, (folder, *beside))
    return tuple(_changes(finished.stdout.decode("utf-8", "surrogateescape"), times))


def _times(git: GitProcess, newer: str, paths: tuple[str, ...]) -> Mapping[str, datetime | None]:
    """Give for each commit that touched one of the paths when the one before it was made."""
    listed = git.ask("rev-list", "--first-parent", "--reverse", "--timestamp", newer, "--", *paths).decode("ascii")
    before: dict[str, datetime | None] = {}
    last: datetime | None = None
    for line in listed.splitlines():
        seconds, _, commit = line.partition(" ")
        before[commit] = last
        last = datetime.fromtimestamp(int(seconds), UTC)
    return before


def _changes(text: str, times: Mapping[str, datetime | None]) -> Iterator[LineChange]:
    commit: tuple[str, str] | None = None
    files: dict[str, tuple[list[str], list[str]]] = {}
    lines: tuple[list[str], list[str]] | None = None
    in_hunk = False
    for line in text.split("\n"):
        start, file = _COMMIT.fullmatch(line), _FILE.fullmatch(line)
        if start is not None:
            if commit is not None:
                yield _change(commit, files, times)
            commit, files, lines, in_hunk = (start[1], start[2]), {}, None, False
        elif file is not None:
            lines, in_hunk = files.setdefault(file[2], ([], [])), False
        elif line.startswith("@@"):
            in_hunk = True
        elif in_hunk and lines is not None and line[:1] in {"-", "+"}:
            lines[line[0] == "+"].append(line[1:])
    if commit is not None:
        yield _change(commit, files, times)


def _change(
    commit: tuple[str, str], files: Mapping[str, tuple[list[str], list[str]]], times: Mapping[str, datetime | None]
) -> LineChange:
    name, seconds = commit
    return LineChange(
        commit=CommitId(name),
        committed=datetime.fromtimestamp(int(seconds), UTC),
        before=times.get(name),
        files={path: LinesOf(removed=tuple(removed), added=tuple(added)) for path, (removed, added) in files.items()},
    )
