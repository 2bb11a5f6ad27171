"""What one commit holds, as bytes: no file is parsed here, and nothing is written to a disk."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.ids import CommitId
from reconciler.model.reading.packages import READ
from reconciler.problem import Problem
from reconciler.source.records import ReadLimits, TreeEntry

STATE_ROOTS = ("state", "documents", "baselines", "packages")
_PACKAGES = "packages/"
"""Of what lies below, only text that says something is read: zips are taken out one by one, by whoever needs them."""
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*").fullmatch
"""Paths that nothing can be wrong with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The files of a commit below the folders asked for."""

    revision: CommitId
    trees: Mapping[str, str] = field(default_factory=dict)
    """Folder -> tree id; a folder that is not there has no entry."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Path -> content, by path."""
    blobs: Mapping[str, str] = field(default_factory=dict)
    """Path -> blob id: the same id is the same content, in any commit."""
    problems: tuple[Problem, ...] = ()
    """What was not read, and why: links, submodules, files beyond the limits."""


def sort_out(
    entries: tuple[TreeEntry, ...], roots: tuple[str, ...], limits: ReadLimits
) -> tuple[dict[str, str], list[TreeEntry], list[Problem]]:
    """Divide a listing into the trees of the roots, the files to be read, and what is refused."""
    trees: dict[str, str] = {}
    wanted: list[TreeEntry] = []
    problems: list[Problem] = []
    total = 0
    for entry in entries:
        if entry.kind == "tree":
            if entry.path in roots:
                trees[entry.path] = entry.id
            continue
        if is_left_alone(entry.path, roots):
            continue
        refusal = _refusal(entry, roots, limits)
        if refusal is None:
            total += entry.size
            wanted.append(entry)
        else:
            problems.append(refusal)
    if len(wanted) > limits.files or total > limits.total_bytes:
        problems.append(_too_much(roots, len(wanted), total, limits))
        wanted = []
    return trees, wanted, problems


def name_problem(path: str) -> Problem | None:
    """Refuse a file whose name is not UTF-8, in a commit and in a checkout alike."""
    shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return (
        None if shown == path else Problem(file=shown, message="the name of this file is not UTF-8", remedy="rename it")
    )


def is_left_alone(path: str, roots: tuple[str, ...] = STATE_ROOTS) -> bool:
    """Tell whether a file is none that a state repository is read from: what a package consists of, whatever it is."""
    if _PACKAGES[:-1] not in roots or not path.startswith(_PACKAGES):
        return False
    return READ.fullmatch(path) is None


def _refusal(entry: TreeEntry, roots: tuple[str, ...], limits: ReadLimits) -> Problem | None:
    if entry.mode == "100644" and entry.size <= limits.file_bytes and entry.path not in roots and _PLAIN(entry.path):
        return None  # one of ten thousand
    misnamed = name_problem(entry.path)
    if misnamed is not None:
        return misnamed
    outside = {"", ".", "..", ".git"} & set(entry.path.split("/"))
    refusals = {
        ("this path leaves its folder", "rename it"): bool(outside),
        ("this is a symbolic link", "put the file itself here; links are never followed"): entry.mode == "120000",
        ("this is a submodule", "put the files themselves here"): entry.kind == "commit",
        ("this is a file, and should be a folder", "rename it"): entry.path in roots,
        (f"this file is larger than {limits.file_bytes} bytes", "split it"): entry.size > limits.file_bytes,
    }
    for (message, remedy), applies in refusals.items():
        if applies:
            value = f"{entry.size} bytes" if entry.size > limits.file_bytes else ""
            return Problem(file=entry.path, message=message, value=value, remedy=remedy)
    return None


def _too_much(roots: tuple[str, ...], files: int, total: int, limits: ReadLimits) -> Problem:
    return Problem(
        file=roots[0],
        message=f"the commit holds more than {limits.files} files or {limits.total_bytes} bytes; none was read",
        value=f"{files} files, {total} bytes",
        remedy="divide the fleet over several repositories",
    )
