"""Kernel parameters that expectations name, read from /proc/sys."""

import re
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.texts import files
from reconciler.model.known import JsonValue, Known, Unknown
from reconciler.model.questions import Questions

KEY: Final = re.compile(r"[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_@:-]+)+")


def path_of(key: str) -> str | None:
    """Give the file of a key, as sysctl(8) reads it: where the first separator is a dot, dots and slashes change places."""
    if KEY.fullmatch(key) is None:
        return None
    first = next(sign for sign in key if sign in "./")
    return "/proc/sys/" + (key.translate(str.maketrans("./", "/.")) if first == "." else key)


def _reads(questions: Questions) -> str:
    paths = [path for path in map(path_of, questions.sysctls) if path and ":" not in path]
    return " ".join(['set -- "$@"', *(f"sysctls:{path}" for path in paths)])


def parse(stdout: str, asked: Asked) -> Rows:
    """Read each key's file; blanks and tabs between values become one blank."""
    found = files(stdout)
    rows: dict[str, JsonValue] = {}
    for key in asked.questions.sysctls:
        path = path_of(key)
        match Unknown("not the name of a kernel parameter") if path is None else found.get(path):
            case Known(None):
                rows[key] = None
            case Known(lines):
                rows[key] = "\n".join(" ".join(line.split()) for line in lines or ())
            case Unknown(why):
                rows[key] = {"unknown": why}
            case None:
                raise ValueError(f"{path} was not answered")
    return rows


FACT = Fact(section="sysctls", reads=_reads, parse=parse)
