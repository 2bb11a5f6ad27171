"""Custom inventory: JSON files that people, programs or steps of `aws:softwareInventory` leave on the node, in SSM's format."""

import re
from collections.abc import Mapping
from typing import Final

import orjson

from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.inventory.texts import files
from reconciler.model.known import JsonValue, Known, Unknown
from reconciler.model.questions import Questions

FOLDERS: Final = ("/etc/reconciler/inventory.d/*.json", "/var/lib/amazon/ssm/*/inventory/custom/*.json")
MOST_FILES: Final = 20
OURS: Final = "/reconciler/inventory/"
"""In the paths of what a step of `aws:softwareInventory` left: it counts for itself."""
MOST_ENTRIES: Final = 10_000
MOST_ATTRIBUTES: Final = 50
LONGEST_NAME: Final = 64
LONGEST_VALUE: Final = 4096

_VERSION = re.compile(r"[0-9]{1,6}\.[0-9]{1,6}")
_TYPE = re.compile(r"Custom:.{1,93}")
_OUR_TYPE = "AWS:File"


def _reads(questions: Questions) -> str:
    if not questions.custom:
        return ""
    mine = (
        '[ "$rootstate" != ok ] || for p in "$root"/inventory/*.json; do [ -e "$p" ] && set -- "$@" "custom:$p"; done'
    )
    return f'for p in {" ".join(FOLDERS)}; do [ -e "$p" ] && set -- "$@" "custom:$p"; done\n{mine}'


def parse(stdout: str, _: Asked) -> Rows:
    """Read every file by itself: one that is wrong is an unknown row under its path and takes nothing else with it."""
    found = files(stdout)
    others = sum(OURS not in path for path in found)
    if others > MOST_FILES or len(found) > 2 * MOST_FILES + 1:
        raise ValueError(f"{others} custom inventory files: at most {MOST_FILES} are allowed, so none is read")
    rows: dict[str, JsonValue] = {}
    for path, lines in sorted(found.items()):
        match lines:
            case Known(None):
                continue
            case Unknown(why):
                rows[f"Custom:{path}"] = {"unknown": why}
            case Known(text):
                try:
                    name, entries = item("\n".join(text or ()), ours=OURS in path)
                except ValueError as error:
                    rows[f"Custom:{path}"] = {"unknown": f"{path}: {error}"}
                    continue
                if name not in rows:  # of two files of one type the first counts, as in SSM
                    rows[name] = entries
    return rows


def item(text: str, *, ours: bool = False) -> tuple[str, JsonValue]:
    """Read one file: its type, and its entries; `ours` may list files as well. Raises ValueError saying what is wrong."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  (foreign text is wrong, not the caller)
    name = value.get("TypeName")
    if not isinstance(name, str) or (_TYPE.fullmatch(name) is None and not (ours and name == _OUR_TYPE)):
        raise ValueError("TypeName must begin with Custom: and have at most 100 characters")
    version = value.get("SchemaVersion")
    if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
        raise ValueError('SchemaVersion must be text such as "1.0"')
    content = value.get("Content")
    entries = [content] if isinstance(content, dict) else content
    if not isinstance(entries, list) or len(entries) > MOST_ENTRIES:
        raise ValueError(f"Content must be an object or a list of at most {MOST_ENTRIES}")
    for entry in entries:
        _check_entry(entry)
    spellings = {key for entry in entries for key in entry}
    if len({key.lower() for key in spellings}) < len(spellings):
        raise ValueError("two attributes differ only in case")
    return name, entries


def _check_entry(entry: object) -> None:
    if not isinstance(entry, Mapping) or len(entry) > MOST_ATTRIBUTES:
        raise ValueError(f"an entry must be an object of at most {MOST_ATTRIBUTES} attributes")
    for key, value in entry.items():
        if not 1 <= len(key) <= LONGEST_NAME:
            raise ValueError(f"an attribute's name must have 1 to {LONGEST_NAME} characters")
        if not isinstance(value, str) or len(value) > LONGEST_VALUE:
            raise ValueError(f"the value of {key} must be text of at most {LONGEST_VALUE} characters")


FACT = Fact(section="custom", reads=_reads, parse=parse)
