r"""The one grep's answer: many small files, told apart by the path before each line.

Takes the payload of frame `texts`, gives each section its share, and a share's files as lines. A share is made of

    + PATH   a regular file that was read         - PATH   there is none
    ? PATH   there is one that cannot be read     o DIR    an odd name in that folder, not repeated here
    PATH:TEXT   one line of a file that was read

and in the payload the first four carry the section's name between mark and path.
"""

import re
from collections.abc import Mapping

from reconciler.model.known import Known, Observed, Unknown

Files = Mapping[str, Observed[tuple[str, ...] | None]]
"""PATH -> its lines; Known(None) where there is no such file."""

_PREFACE = re.compile(r"([-+?o]) ([a-z]+) (/.*)")


def shares(payload: str) -> Mapping[str, str]:
    """Split the payload by section. Raises ValueError on a line that belongs to no file on the list."""
    status, _, rest = payload.partition("\n")
    if status not in ("grep 0", "grep 1", "grep 2"):
        raise ValueError(f"the small files could not be read: {status[:80]}")
    lines = rest.split("\n") if rest else []
    parts: dict[str, list[str]] = {}
    section_of: dict[str, str] = {}
    start = 0
    for line in lines:
        found = _PREFACE.fullmatch(line)
        if found is None:
            break
        mark, section, path = found.groups()
        parts.setdefault(section, []).append(f"{mark} {path}")
        if mark == "+":
            section_of[path] = section
        start += 1
    spoken = _assign(lines[start:], section_of, parts)
    if status == "grep 2":  # some file was not read to its end, and only silence tells which
        for path in section_of.keys() - spoken:
            share = parts[section_of[path]]
            share[share.index(f"+ {path}")] = f"? {path}"
    return {section: "\n".join(share) for section, share in parts.items()}


def _assign(lines: list[str], section_of: Mapping[str, str], parts: dict[str, list[str]]) -> set[str]:
    spoken: set[str] = set()
    for line in lines:
        path = line.partition(":")[0]
        if path not in section_of:
            raise ValueError(f"a line of no file that was asked for: {line[:80]!r}")
        spoken.add(path)
        parts[section_of[path]].append(line)
    return spoken


def files(share: str) -> Files:
    """Read one section's share. Raises ValueError on a line it does not understand."""
    found: dict[str, Observed[tuple[str, ...] | None]] = {}
    texts: dict[str, list[str]] = {}
    for line in share.split("\n") if share else ():
        match line[:2]:
            case "+ ":
                texts[line[2:]] = []
            case "- ":
                found[line[2:]] = Known(None)
            case "? ":
                found[line[2:]] = Unknown("it is no regular file, or may not be read")
            case "o ":
                found[line[2:] + "/"] = Unknown(
                    "there is a file with an odd name: only letters, digits and ._+@=,~- are read"
                )
            case _:
                path, colon, text = line.partition(":")
                if not colon or path not in texts:
                    raise ValueError(f"a line of no file that was asked for: {line[:80]!r}")
                texts[path].append(text)
    return {path: Known(tuple(lines)) for path, lines in texts.items()} | found


def lines_of(share: str, path: str) -> tuple[str, ...]:
    """Give the lines of a file that every node has. Raises ValueError where it was not read."""
    match files(share).get(path, Unknown("it was not answered")):
        case Known(None):
            raise ValueError(f"{path}: there is none")
        case Known(lines) if lines is not None:
            return lines
        case Unknown(why):
            raise ValueError(f"{path}: {why}")
    raise ValueError(f"{path}: it was not read")
