"""The files that expectations name: kind, owner, mode, size and checksum, never content."""

import re
from collections.abc import Mapping
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, number
from reconciler.model.known import JsonValue
from reconciler.model.questions import Questions

LARGEST: Final = 256 * 1024 * 1024
"""Bytes: a larger file is not hashed, which would take seconds and hold up everything else."""

KINDS: Final = {"8": "file", "4": "dir", "a": "symlink", "1": "fifo", "2": "char", "6": "block", "c": "socket"}

# stat gave one line a path, in the order asked; what it could not read is a line that begins with `stat:`.
# Positional parameters are rotated: of each path in turn, those to hash go to the end.
_SCRIPT = r"""
set -f; IFS=$NL; set -- %(paths)s
for l in $at_files; do
  p=$1; shift
  case $NL$held_files in *"$NL$l$NL"*) continue;; esac
  case $l in 8*) z=${l#* }; [ "${z%%%% *}" -le %(largest)d ] && set -- "$@" "$p";; esac
done
unset IFS; set +f
h=; [ $# -eq 0 ] || h=$(sha256sum "$@" 2>&1 </dev/null)
say files ok "$at_files--$NL$h"
"""

_STAT = re.compile(
    r"([0-9a-f]{4}) (\d+) \d+ \d+ (\d+) (\d+) \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [-+]\d{4}\|(.*)\|(.*)", re.DOTALL
)
_HASH = re.compile(r"[0-9a-f]{64}")
_GONE = ("No such file or directory", "Not a directory")


def askable(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Give the paths that can be asked for: absolute, of one line."""
    return tuple(path for path in paths if path.startswith("/") and "\n" not in path and "\0" not in path)


def _script(questions: Questions) -> str:
    paths = askable(questions.files)
    if not paths:
        return "say files ok --"
    return _SCRIPT % {"paths": " ".join(map(_quoted, paths)), "largest": LARGEST}


def _quoted(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def parse(stdout: str, asked: Asked) -> Rows:
    """Read a line of stat for each path asked, in order, and the checksums of those that differ from what is held."""
    paths = askable(asked.questions.files)
    listed, found, hashed = ("\n" + stdout).partition("\n--")
    lines = [line for line in listed.split("\n") if line]
    if not found or len(lines) != len(paths):
        raise ValueError(f"stat answered {len(lines)} of {len(paths)} files")
    sums, troubles = _sums(hashed)
    held = set(asked.fingerprint.split("\n")) if asked.fingerprint else set()
    rows: dict[str, JsonValue] = {
        path: {"unknown": "not an absolute path of one line"} for path in asked.questions.files if path not in paths
    }
    for path, line in zip(paths, lines, strict=True):
        if line.startswith("stat: "):
            rows[path] = None if line.endswith(_GONE) else {"unknown": line[:200]}
            continue
        known = asked.rows.get(path) if line in held else None
        checksum = known.get("sha256") if isinstance(known, Mapping) else sums.get(path)
        rows[path] = _row(path, line, checksum, troubles)
    return rows


def _row(path: str, line: str, checksum: JsonValue, troubles: tuple[str, ...]) -> JsonValue:
    found = _STAT.fullmatch(line.removesuffix(f" {path}")) if line.endswith(f" {path}") else None
    if found is None:
        raise ValueError(f"not stat's line about {path}: {line[:80]!r}")
    bits, size, uid, gid, owner, group = found.groups()
    row: dict[str, JsonValue] = {
        "kind": KINDS.get(bits[0], "other"),
        "mode": f"{int(bits, 16) & 0o7777:04o}",
        "owner": uid if owner == "UNKNOWN" else owner,
        "group": gid if group == "UNKNOWN" else group,
    }
    if row["kind"] != "file":
        return row
    if checksum is None:
        if number(size) > LARGEST:
            return {"unknown": f"the file is larger than {LARGEST} bytes: it is not read"}
        why = next((trouble for trouble in troubles if path in trouble), "no checksum came")
        return {"unknown": f"its content could not be read: {why[:160]}"}
    return {**row, "size": number(size), "sha256": checksum}


def _sums(text: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
    sums: dict[str, str] = {}
    troubles: list[str] = []
    for line in filter(None, text.split("\n")):
        escaped = line.startswith("\\")  # GNU's sign for a backslash in the name
        checksum, _, path = line.removeprefix("\\").partition("  ")
        if _HASH.fullmatch(checksum):
            sums[path.replace("\\\\", "\\") if escaped else path] = checksum
        else:
            troubles.append(line)
    return sums, tuple(troubles)


FACT = Fact(section="files", script=_script, parse=parse)
