r"""aws:softwareInventory: what its inputs name, left on the node where every pass's own inventory reads it; pure.

Packages, interfaces, services and the kernel are in every inventory anyway, so the step only says so. What it adds are the
files that `files` looks for (as type AWS:File) and a folder of custom inventory: it writes both, in SSM's format, beside the
runs, in place of what an earlier step left there. A type fails alone; SSM's agent drops all of them for one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from reconciler.documents.error import InputError
from reconciler.documents.own_script import OwnScript, text_input
from reconciler.model.known import JsonValue
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import plain_json
from reconciler.model.shell import quote

MOST_FILES = 500
"""SSM: of all filters together; an error there, here the first ones by path are kept, and the last says so."""
MOST_FOLDERS = 5000
"""SSM: DirScanLimit unless a filter says another."""
MOST_FILTERS = 50
MOST_CUSTOM = 20
"""SSM: files of custom inventory."""

_HERE: Mapping[str, str] = {
    "applications": "AWS:Application is section packages of the inventory",
    "awsComponents": "AWS:AWSComponent is among the packages",
    "networkConfig": "AWS:Network is section interfaces",
    "services": "AWS:Service is section services",
    "instanceDetailedInformation": "AWS:InstanceDetailedInformation is sections os and kernel",
}
"""What every pass collects, whatever these say."""

_NOT_HERE = ("billingInfo", "windowsRoles", "windowsUpdates", "windowsRegistry")

_PATH = re.compile(r"/[^\x00-\x1f]{0,1000}|\$(?:\w+|\{\w+\})[^\x00-\x1f]{0,1000}", re.ASCII)
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
_PATTERN = re.compile(r"[^\x00-\x1f/]{1,250}")

_HEAD = """\
umask 077
LC_ALL=C TZ=UTC0
export LC_ALL TZ
run=${0%/steps/*}
into=${run%/runs/*}/inventory
mkdir -p "$into" || exit 1
bad=0
"""

_CUSTOM = r"""
rm -f "$into"/custom-*.json
count=0
for file in "$folder"/*.json; do
    [ -f "$file" ] || continue
    count=$((count + 1))
    [ "$count" -le "$most_custom" ] || continue
    cp "$file" "$into/custom-$count.json" || bad=1
done
if [ "$count" -gt "$most_custom" ]; then
    rm -f "$into"/custom-*.json
    printf 'custom inventory: %s files in %s, at most %s are taken: none is\n' "$count" "$folder" "$most_custom" >&2
    bad=1
else
    printf 'custom inventory: %s files of %s\n' "$count" "$folder"
fi
"""

# A name with control characters has no place in a line; quotes and backslashes are escaped for JSON.
_FILES = r"""
found=$into/.found.$$
: >"$found" || exit 1
scan() { # PATH RECURSIVE LIMIT find's own words for the names
    at=$1 deep=$2 limit=$3
    shift 3
    [ -d "$at" ] || return 0
    depth='-maxdepth 1'
    if [ "$deep" = 1 ]; then
        depth=
        folders=$(find "$at" -type d 2>/dev/null | head -n "$((limit + 1))" | wc -l)
        if [ "$((folders))" -gt "$limit" ]; then
            printf 'files: %s holds more than %s folders (DirScanLimit): left out\n' "$at" "$limit" >&2
            bad=1
            return 0
        fi
    fi
    find "$at" $depth \( -type f -o -type l \) \( "$@" \) ! -path '*[[:cntrl:]]*' \
        -exec stat -L -c '%F|%s|%y|%n' {} + 2>/dev/null >>"$found"
}
"""

_WRITE = r"""
sed -e '/^regular /!d' -e 's/[\\"]/\\&/g' "$found" | sort -u -t '|' -k 4 |
    awk -F '|' -v most="$most_files" '
    {
        total++
        if (total > most) next
        name = substr($0, length($1 $2 $3) + 4)
        at = match(name, /[^\/]*$/)
        last = sprintf("{\"Name\":\"%s\",\"InstalledDir\":\"%s\",\"Size\":\"%s\",\"ModificationTime\":\"%sT%sZ\"",
            substr(name, at), (at > 2 ? substr(name, 1, at - 2) : "/"), $2, substr($3, 1, 10), substr($3, 12, 8))
        if (held != "") print held "},"
        held = last
    }
    BEGIN { print "{\"SchemaVersion\":\"1.0\",\"TypeName\":\"AWS:File\",\"Content\":[" }
    END {
        if (total > most) held = held sprintf(",\"Truncated\":\"%d of %d\"", most, total)
        if (held != "") print held "}"
        print "]}"
        printf "%d", total >"'"$found.total"'"
    }' >"$into/files.json.tmp" && mv -f "$into/files.json.tmp" "$into/files.json" || exit 1
read -r total <"$found.total" || :
rm -f "$found" "$found.total"
printf 'files: %s\n' "$total"
[ "$total" -le "$most_files" ] || printf 'files: only the first %s by path are kept\n' "$most_files" >&2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFilter:
    """One entry of `files`."""

    path: str
    """Absolute, or beginning with a variable of the environment."""
    patterns: tuple[str, ...]
    recursive: bool
    folders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftwareInventory(OwnScript):
    """What to say about the inventory, and what to add to it."""

    name: ClassVar[str] = "aws:softwareInventory"
    enabled: tuple[str, ...] = ()
    custom: bool = False
    folder: str = ""
    files: tuple[FileFilter, ...] = ()

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read a step's inputs; whatever is not `Enabled` is disabled, as on SSM."""
        folder = text_input(inputs, "customInventoryDirectory")
        if folder and _PATH.fullmatch(folder) is None:
            raise InputError(f"customInventoryDirectory {folder[:80]!r} is no absolute path of one line")
        return cls(
            enabled=tuple(name for name in (*_HERE, *_NOT_HERE) if _is_asked(inputs, name)),
            custom=_is_asked(inputs, "customInventory"),
            folder=folder,
            files=_filters(text_input(inputs, "files")),
        )

    @property
    def text(self) -> str:
        """The script."""
        said = [_HERE.get(name, f"{name}: not on Linux, skipped") for name in self.enabled]
        parts = [_HEAD, *(f"printf '%s\\n' {quote(words)}\n" for words in said)]
        if self.custom and self.folder:
            parts.append(f"folder={_expanded(self.folder)} most_custom={MOST_CUSTOM}\n{_CUSTOM}")
        else:
            parts.append('rm -f "$into"/custom-*.json\n')
            parts.append("printf 'custom inventory: every pass reads it\\n'\n" if self.custom else "")
        if self.files:
            scans = "".join(_scan(each) for each in self.files)
            parts.append(f"most_files={MOST_FILES}\n{_FILES}{scans}{_WRITE}")
        else:
            parts.append('rm -f "$into/files.json"\n')
        return "".join((*parts, 'exit "$bad"\n'))


def _is_asked(inputs: Mapping[str, JsonValue], name: str) -> bool:
    text = text_input(inputs, name)
    return bool(text) if name == "windowsRegistry" else text == "Enabled"


def _filters(text: str) -> tuple[FileFilter, ...]:
    """Read `files`: JSON in a text. SSM's agent fails where it is none."""
    if not text:
        return ()
    mistakes = Mistakes("files")
    read = read_json(text.encode("utf-8", "surrogatepass"), mistakes)
    entries = plain_json(read[0]) if read else None
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        why = f": {mistakes.problems[0].message}" if mistakes.problems else ""
        raise InputError(f"the input files must be the JSON text of a list of filters{why}")
    if len(entries) > MOST_FILTERS:
        raise InputError(f"the input files has {len(entries)} filters: at most {MOST_FILTERS} are taken")
    return tuple(map(_filter, entries))


def _filter(entry: JsonValue) -> FileFilter:
    if not isinstance(entry, Mapping):
        raise InputError('each filter of files must be an object such as {"Path": "/etc", "Pattern": ["*.conf"]}')
    lower = {name.lower(): value for name, value in entry.items()}
    path, patterns = lower.get("path"), lower.get("pattern")
    if not isinstance(path, str) or _PATH.fullmatch(path) is None:
        raise InputError(f"files: Path must be an absolute path of one line, not {str(path)[:80]!r}")
    if isinstance(patterns, str):
        patterns = [patterns]
    if not isinstance(patterns, Sequence) or not patterns:
        raise InputError(f"files: {path[:80]!r} has no Pattern: give a list of patterns of file names")
    texts = tuple(pattern for pattern in patterns if isinstance(pattern, str) and _PATTERN.fullmatch(pattern))
    if len(texts) != len(patterns):
        raise InputError(f"files: a Pattern of {path[:80]!r} is no pattern of a file name of one line")
    limit = lower.get("dirscanlimit") or MOST_FOLDERS
    if not isinstance(limit, int) or isinstance(limit, bool) or not 0 < limit <= MOST_FOLDERS:
        raise InputError(f"files: DirScanLimit of {path[:80]!r} must be a number from 1 to {MOST_FOLDERS}")
    return FileFilter(path=path, patterns=texts, recursive=lower.get("recursive") is True, folders=limit)


def _scan(wanted: FileFilter) -> str:
    names = " -o ".join(f"-name {quote(pattern)}" for pattern in wanted.patterns)
    return f"scan {_expanded(wanted.path)} {int(wanted.recursive)} {wanted.folders} {names}\n"


def _expanded(path: str) -> str:
    """Give a path as one sh word in which variables of the environment are values; SSM expands them as well."""
    parts, at = [], 0
    for found in _VARIABLE.finditer(path):
        parts += [quote(path[at : found.start()]), f'"${{{found[1] or found[2]}-}}"']
        at = found.end()
    return "".join((*parts, quote(path[at:])))
