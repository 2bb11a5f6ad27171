"""What the facts about apt share: how the list of a node's indexes is read (`facts/repositories` asks for it), dpkg's grammar. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from reconciler.model.patch import Index
from reconciler.model.questions import Questions

LISTS: Final = "/var/lib/apt/lists"

SOURCES: Final = "/etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources"
CONFIGURATION: Final = "/etc/apt/apt.conf /etc/apt/apt.conf.d/*"
RELEASES: Final = f"{LISTS}/*Release {LISTS}/*Release.gpg"

INDEX: Final = r"""
if ! command -v apt-get >/dev/null; then apt_index='unknown apt is not installed: the patches of other package managers cannot be read yet'
elif x=$(apt-get indextargets $o -o Dir::State::lists=/nonexistent/ -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= --no-release-info \
  --format 'T|$(REPO_URI)|$(FILENAME)|$(COMPONENT)|$(ARCHITECTURE)|$(RELEASE)|$(SOURCESENTRY)' 'Created-By: Packages' 2>&1 </dev/null); then
  apt_index=indexes
  set -f; IFS=$NL
  for l in $x; do
    case $l in 'T|'*'|/nonexistent/'*) ;; *) continue;; esac
    f=${l##*'|/nonexistent/'} e=-
    p=$L${f%%'|'*}
    for z in '' .lz4 .xz .gz .zst .bz2 .lzma; do
      [ -f "$p$z" ] || continue
      e=?; [ -r "$p$z" ] && e=+ apt_lists="$apt_lists$p$z$NL"
      break
    done
    apt_index="$apt_index${NL}T|$e|$f"
    l=${l%%'|/nonexistent/'*} l=${l#'T|'} p=${l#*://}; z=${p%%/*}
    case $l in *[?#'|']*) ;; http://*|https://*) apt_urls="$apt_urls${NL}A|$f|${l%%://*}://${z##*@}${p#"$z"}";; esac
  done
  unset IFS; set +f
  for p in "$L"*Release.gpg; do [ -f "$p" ] && apt_index="$apt_index${NL}G|${p##*/}"; done
  x=$(grep -a -H -E '^(Origin|Label|Suite|Codename|Date|Valid-Until):' "$L"*Release 2>/dev/null </dev/null)
  apt_index="$apt_index$NL$x"
  n=$#
  while [ "$n" -gt 0 ]; do p=$1; shift; n=$((n-1)); [ -f "$p" ] && set -- "$@" "$p"; done
  if [ $# -gt 0 ] && grep -q -i trusted "$@" 2>/dev/null </dev/null; then
    x=$(awk 'FNR == 1 { n = 0; b = 1 }
      FILENAME ~ /\.sources$/ {
        if ($0 ~ /^[ \t]*$/) { b = 1; next }
        if ($0 ~ /^#/) next
        if (b) { n++; b = 0 }
        if (tolower($1) == "trusted:") print "O|" FILENAME ":" n "|" tolower($2)
        next
      }
      /^[ \t]*deb[ \t]*\[/ && match($0, /[[ \t]trusted=[a-zA-Z]+/) { print "O|" FILENAME ":" FNR "|" tolower(substr($0, RSTART + 9, RLENGTH - 9)) }
    ' "$@" 2>/dev/null </dev/null)
    apt_index="$apt_index$NL$x"
  fi
else apt_index="unknown apt-get indextargets: exit status $?: $x"
fi
"""
"""sh: sets $apt_index to the list that `read_targets` reads, $apt_lists to the files behind it in the same order, $apt_urls.

$L is the folder of the lists, with a slash behind it; $o are options for apt; "$@" are files that name repositories, or may be none.
"""

NAME: Final = re.compile(r"[a-z0-9][a-z0-9+.-]{0,98}")
"""Debian policy 5.6.1, and apt's limit; a dash in front would be an option."""
ARCH: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
VERSION: Final = re.compile(r"(?:[0-9]{1,10}:)?[0-9A-Za-z][0-9A-Za-z.+~:-]{0,249}")
"""Debian policy 5.6.12; dpkg takes letters in front, too."""
WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,63}")
"""A section or priority."""

_YES: Final = ("yes", "true", "with", "on", "enable", "1")
_NO: Final = ("no", "false", "without", "off", "disable", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What one Release file says of itself; `name` is how apt names its lists (`deb.files.test_debian_dists_bookworm_`)."""

    name: str
    file: str
    fields: Mapping[str, str] = field(default_factory=dict)
    signed: bool = False
    """Whether apt verified it: it keeps an InRelease, or a Release.gpg beside a Release, only then."""

    def date(self, name: str) -> datetime | None:
        """Give a date (UTC). Raises ValueError on one that is none."""
        text = self.fields.get(name)
        if text is None:
            return None
        try:
            found = parsedate_to_datetime(text.replace("UTC", "+0000"))
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, TypeError, LookupError, OverflowError):
            raise ValueError(f"{self.name}: not a date: {text[:80]!r}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One list of packages that the node's sources name."""

    key: str
    """`SITE SUITE/COMPONENT ARCH`, as people speak of it."""
    state: str
    """`+` it is there, `?` it may not be read, `-` it was never fetched."""
    arch: str
    index: Index
    release: Release | None


# Of the Release files that `metadata` watches, all but the time of change: an update that finds nothing new moves that alone.
_UNCHANGED: Final = '$(set -f; IFS=$NL; for l in $at_metadata; do IFS=\' \'; set -- $l; printf \'%s %s %s %s\\n\' "$2" "$3" "$4" "${l##* }"; done)'


def unchanged_releases(questions: Questions) -> str:
    """Give the sh word by which lists belong to the Release files they came with: that size, that inode."""
    return _UNCHANGED if questions.patches else ""


def read_targets(text: str) -> tuple[Target, ...]:
    """Read what `repositories` listed. Raises ValueError on a line it does not understand, and on the node's own `unknown`."""
    head, *lines = text.split("\n")
    if head != "indexes":
        raise ValueError(head.removeprefix("unknown ")[:300] or "the node's indexes were not told")
    wanted: list[list[str]] = []
    options: dict[str, str] = {}
    fields: dict[str, dict[str, str]] = {}
    signatures: set[str] = set()
    for line in lines:
        kind, _, rest = line.partition("|")
        if not line:
            continue
        if line.startswith(f"{LISTS}/"):
            file, name, value = _release_field(line)
            fields.setdefault(file, {}).setdefault(name, value)
        elif kind == "T":
            wanted.append(_fields(rest, 6))
        elif kind == "G":
            signatures.add(rest)
        elif kind == "O":
            entry, value = _fields(rest, 2)
            options[entry] = value
        else:
            raise ValueError(f"not a line about an index: {line[:80]!r}")
    releases = _releases(fields, signatures)
    return tuple(_target(one, releases, options) for one in wanted)


def _fields(text: str, count: int) -> list[str]:
    fields = text.split("|")
    if len(fields) != count:
        raise ValueError(f"{len(fields)} fields instead of {count}: {text[:80]!r}")
    return fields


def _release_field(line: str) -> tuple[str, str, str]:
    path, colon, rest = line.partition("Release:")
    name, second, value = rest.partition(":")
    if not colon or not second:
        raise ValueError(f"not a line of a Release file: {line[:80]!r}")
    return f"{path.removeprefix(f'{LISTS}/')}Release", name, value.strip()[:200]


def _releases(fields: Mapping[str, Mapping[str, str]], signatures: set[str]) -> Mapping[str, Release]:
    releases: dict[str, Release] = {}
    for file in sorted(fields, key=lambda one: one.endswith("InRelease")):  # it counts where both lie there
        signed = file.endswith("InRelease") or f"{file}.gpg" in signatures
        name = file.removesuffix("Release").removesuffix("In")
        releases[name] = Release(name=name, file=file, fields=fields[file], signed=signed)
    return releases


def _target(one: list[str], releases: Mapping[str, Release], options: Mapping[str, str]) -> Target:
    # An archive without components leaves apt's placeholders as they are.
    state, file, component, arch, suite, entry = ("" if word.startswith("$(") else word for word in one)
    if state not in ("+", "-", "?") or not file:
        raise ValueError(f"not an index: {'|'.join(one)[:80]!r}")
    name = max((name for name in releases if file.startswith(name)), key=len, default=None)
    release = None if name is None else releases[name]
    said = {} if release is None else release.fields
    option = options.get(entry, "")
    trusted = option in _YES or (option not in _NO and release is not None and release.signed)
    index = Index(
        repository=_site(file),
        origin=said.get("Origin", ""),
        label=said.get("Label", ""),
        suite=said.get("Suite", ""),
        codename=said.get("Codename", ""),
        component=component,
        trusted=trusted,
    )
    key = index_key(file, suite, component, arch)
    return Target(key=key, state=state, arch=arch, index=index, release=release)


def _site(file: str) -> str:
    return file.partition("_")[0] or "file:"


def index_key(file: str, suite: str, component: str, arch: str) -> str:
    """Give `SITE SUITE/COMPONENT ARCH`, as people speak of an index; `file` is apt's name of its list."""
    return f"{_site(file)} {suite}/{component} {arch}".rstrip()


def check_name(text: str) -> str:
    """Give a package's name. Raises ValueError on what dpkg would not take for one."""
    if NAME.fullmatch(text) is None:
        raise ValueError(f"not a package name: {text[:80]!r}")
    return text


def check_arch(text: str) -> str:
    """Give an architecture. Raises ValueError on what is none."""
    if ARCH.fullmatch(text) is None:
        raise ValueError(f"not an architecture: {text[:80]!r}")
    return text


def check_version(text: str) -> str:
    """Give a version. Raises ValueError on what dpkg would not take for one."""
    if VERSION.fullmatch(text) is None:
        raise ValueError(f"not a Debian version: {text[:80]!r}")
    return text


def by_row(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Gather lines by their row, each row's sorted and without doubles."""
    rows: dict[str, set[str]] = {}
    for key, line in pairs:
        rows.setdefault(key, set()).add(line)
    return {key: sorted(lines) for key, lines in rows.items()}
