"""Package versions on offer: those not older than what is installed, and of new packages that an upgrade would bring along.

One awk reads the lists that apt holds (it takes a few tenths of a second for Debian's 63,000 packages), in paragraphs, and looks
into those alone whose name is installed. What is not cheap to know (Recommends, conflicts) is left to the simulation on the node.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from reconciler.inventory.apt import (
    LISTS,
    SOURCES,
    WORD,
    by_row,
    check_arch,
    check_name,
    check_version,
    read_targets,
    unchanged_releases,
)
from reconciler.inventory.fact import Asked, Fact, Rows, number
from reconciler.inventory.rpm import lists, offers
from reconciler.inventory.rpm import repositories as rpm
from reconciler.inventory.rpm.installed import DATABASE
from reconciler.model.patch import Family, Index, Patch
from reconciler.model.patch_lines import patch_line
from reconciler.model.questions import Questions

T = TypeVar("T")

ROUNDS: Final = 3
"""The lists are read again for packages that upgrades would bring along, and once more for what these need."""

# o() weighs a character as dpkg does: ~ before the end, letters before everything else.
ORDER: Final = r"""
BEGIN { for (i = 33; i < 127; i++) ord[sprintf("%c", i)] = i }
function o(c) { return c == "~" ? -1 : c == "" ? 0 : c ~ /[0-9]/ ? 0 : c ~ /[A-Za-z]/ ? ord[c] : ord[c] + 256 }
function part(a, b,   x, y, n, m) {
  while (a != "" || b != "") {
    while ((a != "" && a !~ /^[0-9]/) || (b != "" && b !~ /^[0-9]/)) {
      x = o(substr(a, 1, 1)); y = o(substr(b, 1, 1))
      if (x != y) return x < y ? -1 : 1
      a = substr(a, 2); b = substr(b, 2)
    }
    sub(/^0+/, "", a); sub(/^0+/, "", b)
    match(a, /^[0-9]*/); n = RLENGTH; match(b, /^[0-9]*/); m = RLENGTH
    if (n != m) return n < m ? -1 : 1
    x = substr(a, 1, n) ""; y = substr(b, 1, m) ""
    if (("d" x) != ("d" y)) return ("d" x) < ("d" y) ? -1 : 1
    a = substr(a, n + 1); b = substr(b, m + 1)
  }
  return 0
}
function compare(a, b,   i, x, y, r) {
  x = y = 0
  if (i = index(a, ":")) { x = substr(a, 1, i - 1); a = substr(a, i + 1) }
  if (i = index(b, ":")) { y = substr(b, 1, i - 1); b = substr(b, i + 1) }
  if (x + 0 != y + 0) return x + 0 < y + 0 ? -1 : 1
  x = y = ""
  if (match(a, /-[^-]*$/)) { x = substr(a, RSTART + 1); a = substr(a, 1, RSTART - 1) }
  if (match(b, /-[^-]*$/)) { y = substr(b, RSTART + 1); b = substr(b, 1, RSTART - 1) }
  return (r = part(a, b)) ? r : part(x, y)
}
"""
"""awk functions; `compare` orders two versions as dpkg does."""

# The first record is dpkg's list; `NONCE index N` begins a list, so that no repository can pass for another one.
_AWK: Final = r"""
function needs(text,   n, i, m, j, group, one, met) {
  gsub(/\([^)]*\)|\[[^]]*\]|[ \t]/, "", text); gsub(/:[a-z0-9-]+/, "", text)
  n = split(text, group, ",")
  for (i = 1; i <= n; i++) {
    m = split(group[i], one, "|"); met = 0
    for (j = 1; j <= m; j++) if (one[j] in have) met = 1
    if (!met) for (j = 1; j <= m; j++) if (!(one[j] in new) && one[j] ~ /^[a-z0-9][a-z0-9+.-]+$/) more[one[j]] = 1
  }
}
BEGIN { RS = ""; FS = "\n" }
NR == 1 {
  for (i = 1; i <= NF; i++) {
    n = split($i, f, "\t")
    if (f[1] ~ /^new /) { name = substr(f[1], 5); new[name] = want[name] = again = 1; continue }
    if (f[5] == "not-installed" || f[5] == "config-files") continue
    have[f[2]] = 1
    if (f[2] == "dpkg") native = f[4]
    archs[f[2]] = archs[f[2]] " " f[4]
    version[f[2], f[4]] = f[3]
    m = split(f[6], given, ",")
    for (j = 1; j <= m; j++) { gsub(/\([^)]*\)|[ \t]/, "", given[j]); if (given[j] != "") have[given[j]] = 1 }
  }
  if (!again) for (name in archs) want[name] = 1
  next
}
index($0, mark) == 1 { split($0, f, " "); if (f[2] == "bad") bad = bad " " f[3]; else at = f[3]; next }
{
  i = index($0, "\n")
  if (substr($0, 1, 9) == "Package: ") name = substr($0, 10, i ? i - 10 : length($0))
  else if (match($0, /\nPackage: [^\n]*/)) name = substr($0, RSTART + 10, RLENGTH - 10)
  else { bad = bad " " at; next }
  if (!(name in want)) next
  v = arch = source = section = priority = sum = size = file = phased = depends = ""
  for (i = 1; i <= NF; i++) {
    if (!(j = index($i, ": ")) || $i ~ /^[ \t]/) continue
    key = substr($i, 1, j - 1); value = substr($i, j + 2)
    if (key == "Version") v = value
    else if (key == "Architecture") arch = value
    else if (key == "Source") source = value
    else if (key == "Section") section = value
    else if (key == "Priority") priority = value
    else if (key == "SHA256") sum = value
    else if (key == "Size") size = value
    else if (key == "Filename") file = value
    else if (key == "Phased-Update-Percentage") phased = value
    else if (key == "Depends" || key == "Pre-Depends") depends = depends value ","
  }
  newer = 0
  if (name in new) { if (arch != native && arch != "all") next; newer = 1 }
  else {
    n = split(archs[name], f, " "); seen = 0
    for (i = 1; i <= n; i++) {
      if (f[i] != arch && !((f[i] == native || f[i] == "all") && (arch == native || arch == "all"))) continue
      old = version[name, f[i]]
      r = v == old ? 0 : compare(v, old)
      if (r >= 0) seen = 1
      if (r > 0) newer = 1
    }
    if (!seen) next
  }
  if (newer && depends != "") needs(depends)
  s = source == "" ? name : source; sub(/ .*/, "", s); p = substr(s, 1, 3) == "lib" ? substr(s, 1, 4) : substr(s, 1, 1)
  w = v; sub(/^[^:]*:/, "", w); tail = p "/" s "/" name "_" w "_" arch ".deb"
  if (length(file) > length(tail) && substr(file, length(file) - length(tail)) == "/" tail) file = substr(file, 1, length(file) - length(tail))
  line = name "\t" arch "\t" v "\t" source "\t" section "\t" priority "\t" sum "\t" size "\t" file "\t" phased
  if (line in where) { if ((where[line] ",") !~ ("(^|,)" at ",")) where[line] = where[line] "," at }
  else { where[line] = at; lines[++count] = line }
}
END {
  printf "more"; for (name in more) printf " %s", name; printf "\n"
  if (bad != "") print "bad" bad
  for (i = 1; i <= count; i++) print lines[i] "\t" where[lines[i]]
  print "end " count + 0
}
"""

# The lists in turn, each behind its mark; cat-file takes every compression apt knows, and tells by its status where one is cut,
# but for gzip's.
OFFERS: Final = (
    r"""
if [ "$pm" != apt ]; then
RPM
offers=$rpm_offers
else
apt_offers=
case $apt_index in
indexes*)
  if ! x=$(dpkg-query -W -f 'has\t${Package}\t${Version}\t${Architecture}\t${db:Status-Status}\t${Provides}\n' 2>/dev/null </dev/null)
  then apt_offers='unknown dpkg-query could not list what is installed'
  elif ! command -v awk >/dev/null; then apt_offers='unknown awk is not installed'
  else
    k=ROUNDS w= v=
    while [ "$k" -gt 0 ]; do
      k=$((k-1))
      p=$({
        printf '%s\n%s' "$x" "$w"
        n=0; set -f; IFS=$NL
        for f in $apt_lists; do
          printf '\n\n%s index %s\n\n' "$N" "$n"
          case $f in
          *Packages) cat "$f" 2>/dev/null </dev/null;;
          *.gz) gzip -d -c "$f" 2>/dev/null </dev/null;;
          *) /usr/lib/apt/apt-helper cat-file "$f" 2>/dev/null </dev/null;;
          esac || printf '\n\n%s bad %s\n\n' "$N" "$n"
          n=$((n+1))
        done
      } | awk -v mark="$N " 'AWK')
      v="$v$NL$p"
      p=${p%%"$NL"*} f=
      set -f
      for l in ${p#more}; do f=1; w="${w}new $l$NL"; done
      set +f
      [ -n "$f" ] || break
    done
    apt_offers="$apt_index$NL--$v"
  fi;;
*) apt_offers=$apt_index;;
esac
offers=$apt_offers
fi
""".replace("ROUNDS", str(ROUNDS))
    .replace("AWK", ORDER + _AWK)
    .replace("RPM", lists.SCRIPT)
)
"""Sets $offers to what the lists in $apt_index or $rpm_index offer, or to `unknown WHY`."""

_SCRIPT: Final = f"""{OFFERS}
case $offers in
repositories*|indexes*) say available ok "$offers";;
*) say available unknown "${{offers#unknown }}";;
esac
"""

_SUM: Final = re.compile(r"[0-9a-f]{64}")
_SOURCE: Final = re.compile(r"(\S+)(?: \((\S+)\))?")
_PATH: Final = re.compile(r"(?:\./)?(?!(?:.*/)?\.\./)[A-Za-z0-9][^\x00-\x20\x7f\\]{0,500}")
"""Below the repository, never above it."""
_COLUMNS: Final = 11


def parse(stdout: str, _: Asked) -> Rows:
    """Read the indexes, then what each round found. A list that could not be read to its end makes it all unknown."""
    return dict(by_row((patch.id, patch_line(patch)) for patch in read_offers(stdout)))


def read_offers(stdout: str) -> Iterable[Patch]:
    """Give every version on offer, once. Raises ValueError where one line is odd, or a list could not be read to its end."""
    if stdout.startswith("repositories "):
        return offers.read_offers(stdout)
    listed, found, rest = stdout.partition("\n--\n")
    if not found:
        raise ValueError("the versions on offer are missing")
    targets = [target for target in read_targets(listed) if target.state != "-"]
    unread = ", ".join(target.key for target in targets if target.state == "?")
    if unread:
        raise ValueError(f"lists of packages may not be read: {unread}")
    indexes = [target.index for target in targets]
    patches: dict[tuple[str, str, str, str], Patch] = {}
    lines = offered = 0
    word = ""
    for line in rest.split("\n"):
        word = line.partition(" ")[0]
        if word == "more":
            lines = 0
        elif word == "bad":
            names = ", ".join(_at(targets, n).key for n in line.split()[1:])
            raise ValueError(f"a list of packages could not be read to its end: {names}")
        elif word == "end":
            if number(line.removeprefix("end ")) != lines:
                raise ValueError(f"{lines} of {line.removeprefix('end ')[:20]} versions on offer arrived")
            offered += 1
        else:
            lines += 1
            patch = _patch(line, indexes)
            key = (patch.name, patch.arch, patch.version, patch.checksum)
            patches[key] = _merged(patches[key], patch) if key in patches else patch
    if not offered or (lines and word != "end"):
        raise ValueError("the versions on offer are cut")
    return patches.values()


def _at(things: Sequence[T], place: str) -> T:
    """Give one by its number. Raises ValueError where there is none."""
    if number(place) >= len(things):
        raise ValueError(f"there is no list {place}")
    return things[number(place)]


def _patch(line: str, indexes: list[Index]) -> Patch:
    """Read `NAME ARCH VERSION SOURCE SECTION PRIORITY SHA256 SIZE FILENAME PHASED INDEXES`, divided by tabs."""
    fields = line.split("\t")
    if len(fields) != _COLUMNS:
        raise ValueError(f"not a version on offer: {line[:80]!r}")
    name, arch, version, source, section, priority, checksum, size, path, phased, where = fields
    check_name(name)
    check_arch(arch)
    check_version(version)
    if checksum and _SUM.fullmatch(checksum) is None:
        raise ValueError(f"{name}: not a SHA-256: {checksum[:80]!r}")
    if any(word and WORD.fullmatch(word) is None for word in (section, priority)):
        raise ValueError(f"{name}: neither section nor priority: {section[:40]!r}, {priority[:40]!r}")
    source, source_version = _source(source, name, version)
    if path and _PATH.fullmatch(path) is None:
        raise ValueError(f"{name}: not the place of a file: {path[:80]!r}")
    return Patch(
        family=Family.APT,
        name=name,
        arch=arch,
        version=version,
        source=source,
        source_version=source_version,
        section=section,
        priority=priority,
        checksum=f"sha256:{checksum}" if checksum else "",
        size=number(size) if size else None,
        filename=_filename(path, source or name, name, version, arch),
        phased=number(phased) if phased else None,
        indexes=tuple(dict.fromkeys(_at(indexes, n) for n in where.split(","))),
    )


def _source(text: str, name: str, version: str) -> tuple[str, str]:
    """Give the source package and its version, empty where they are the package's own."""
    if not text:
        return "", ""
    found = _SOURCE.fullmatch(text)
    if found is None:
        raise ValueError(f"{name}: not a source package: {text[:80]!r}")
    source, source_version = check_name(found.group(1)), found.group(2) or version
    return ("" if source == name else source), ("" if source_version == version else check_version(source_version))


def _filename(path: str, source: str, name: str, version: str, arch: str) -> str:
    """Put back what the node leaves out: the usual place below a pool."""
    if not path.endswith("/"):
        return path
    prefix = source[:4] if source.startswith("lib") else source[:1]
    return f"{path}{prefix}/{source}/{name}_{version.partition(':')[2] or version}_{arch}.deb"


def _merged(one: Patch, other: Patch) -> Patch:
    """One file in several indexes: the first one's section and priority count."""
    return replace(one, indexes=tuple(dict.fromkeys((*one.indexes, *other.indexes))))


def _script(questions: Questions) -> str:
    return _SCRIPT if questions.patches else ""


FACT = Fact(
    section="available",
    watch=(
        f"{SOURCES} {LISTS}/*Packages* /var/lib/dpkg/status /var/lib/dpkg/updates/. /var/lib/dpkg/arch"
        f" {rpm.CONFIGURATION} {rpm.LISTS} /etc/dnf/modules.d/*.module {DATABASE}"
    ),
    also=unchanged_releases,
    script=_script,
    parse=parse,
)
