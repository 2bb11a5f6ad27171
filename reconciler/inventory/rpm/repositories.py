"""The repositories of a node with dnf or zypper: sh that lists them with the metadata they hold, and the reader of that list.

Nothing of a package manager is started (dnf takes half a second): its configuration is read, and the repomd.xml of what it has
fetched. Of addresses only the scheme is told here: they may hold passwords. `addresses` tells more where it is asked to.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from reconciler.inventory.rpm.grammar import check_repository
from reconciler.model.patch import Index

CONFIGURATION: Final = (
    "/etc/dnf/dnf.conf /etc/dnf/libdnf5.conf.d/*.conf /etc/yum.repos.d/*.repo /etc/dnf/repos.override.d/*.repo"
    " /etc/zypp/zypp.conf /etc/zypp/repos.d/*.repo"
)
CACHES: Final = "/var/cache/dnf /var/cache/libdnf5 /var/cache/zypp/raw"
MARKS: Final = "/var/cache/dnf/*/repodata/*primary.xml* /var/cache/libdnf5/*/repodata/*primary.xml* /var/cache/zypp/raw/*/repodata/repomd.xml"
"""Files whose time of change moves when a list was found to be current: dnf touches the list itself, zypper repomd.xml."""
LISTS: Final = (
    "/var/cache/dnf/*/repodata/repomd.xml /var/cache/libdnf5/*/repodata/repomd.xml"
    " /var/cache/zypp/raw/*/repodata/*primary.xml* /var/cache/zypp/raw/*/repodata/*updateinfo.xml*"
)
"""Files that change with what the repositories offer, and do not where a refresh found nothing new."""

FAMILY: Final = r"""
pm= f= of=
for p in /etc/os-release /usr/lib/os-release; do
  [ -f "$p" ] && [ -r "$p" ] || continue
  while IFS= read -r l || [ -n "$l" ]; do case $l in ID=*|ID_LIKE=*) f="$f $l";; esac; done <"$p"
  break
done
case $f in
*debian*|*ubuntu*) pm=apt;;
*suse*|*sles*) pm=zypp;;
*rhel*|*fedora*|*centos*|*rocky*|*almalinux*|*ID=ol*|*'ID="ol"'*|*amzn*|*azurelinux*) pm=dnf;;
*) pm=apt;;
esac
"""
"""Sets $pm: apt, dnf or zypp, by the distribution and not by which programs happen to be there; $of to nothing."""

# C|NAME|VALUE is a setting that we cannot follow; X|PATTERNS of [main]; R|ID|repo_gpgcheck|sslverify|SCHEMES|exclude|include|hotfixes;
# U|ID|ADDRESSES, without logins, for whoever asks for them.
_CONFIGURED: Final = r"""
function words(text,   n, i, w, out) {
  n = split(text, w, /[ \t,]+/)
  for (i = 1; i <= n; i++) if (match(tolower(w[i]), /^[a-z0-9]+:/)) out = out (out == "" ? "" : ",") substr(tolower(w[i]), 1, RLENGTH - 1)
  return out
}
function urls(text,   n, i, j, w, rest, out) {
  n = split(text, w, /[ \t,]+/)
  for (i = 1; i <= n; i++) {
    if (w[i] !~ /^https?:\/\/[^?#|]+$/) continue
    j = index(w[i], "://") + 2; rest = substr(w[i], j + 1)
    while (match(rest, /^[^\/]*@/)) rest = substr(rest, RLENGTH + 1)
    out = out " " substr(w[i], 1, j) rest
  }
  return out
}
function said(id, key, other) { return (id, key) in value ? value[id, key] : other }
function plain(text) { gsub(/[|\t]/, " ", text); return text }
function yes(text) { return tolower(text) ~ /^(1|yes|true|on|enabled)$/ ? 1 : 0 }
FNR == 1 { id = key = "" }
{ sub(/\r$/, "") }
/^[ \t]*[#;]/ || /^[ \t]*$/ { next }
/^\[/ { id = substr($0, 2); sub(/\].*/, "", id); key = ""; if (!(id in seen) && (of == "" || index(FILENAME, of "/") == 1)) { seen[id] = 1; ids[++n] = id }; next }
/^[ \t]/ { if (key != "") { sub(/^[ \t]+/, ""); value[id, key] = value[id, key] " " $0 }; next }
i = index($0, "=") {
  key = tolower(substr($0, 1, i - 1)); gsub(/[ \t]/, "", key); sub(/^exclude$/, "excludepkgs", key)
  text = substr($0, i + 1); sub(/^[ \t]+/, "", text); sub(/[ \t]+$/, "", text); value[id, key] = text
}
END {
  m = split("cachedir reposdir metadatadir", w, " ")
  for (i = 1; i <= m; i++) if (said("main", w[i], "") != "") print "C|" w[i] "|" plain(value["main", w[i]])
  print "X|" plain(said("main", "excludepkgs", ""))
  for (i = 1; i <= n; i++) {
    id = ids[i]
    if (id == "main" || !yes(said(id, "enabled", "1"))) continue
    check = said(id, "repo_gpgcheck", zypp ? said(id, "gpgcheck", said("main", "gpgcheck", "1")) : said("main", "repo_gpgcheck", "0"))
    print "R|" plain(id) "|" yes(check) "|" yes(said(id, "sslverify", said("main", "sslverify", "1"))) "|" \
      words(said(id, "metalink", "") " " said(id, "mirrorlist", "") " " said(id, "baseurl", "")) "|" \
      plain(said(id, "excludepkgs", "")) "|" plain(said(id, "includepkgs", "")) "|" yes(said(id, "module_hotfixes", "0"))
    print "U|" plain(id) "|" urls(said(id, "baseurl", ""))
  }
}
"""

# One line for each repomd.xml in turn: PRIMARY|UPDATEINFO|MODULES|NEWEST TIMESTAMP, file names without their folder.
_REPOMD: Final = r"""
BEGIN { RS = "<" }
function out() { if (files++) print (whole ? "" : "cut") "|" name["primary"] "|" name["updateinfo"] "|" name["modules"] "|" newest; newest = whole = ""; split("", name) }
FNR == 1 { out() }
{ i = match($0, /[ >\/\n]/); tag = i ? substr($0, 1, i - 1) : $0 }
tag == "data" { type = ""; if (match($0, /type="[a-z_]+"/)) type = substr($0, RSTART + 6, RLENGTH - 7) }
tag == "location" && match($0, /href="[^"]*"/) {
  text = substr($0, RSTART + 6, RLENGTH - 7); sub(/.*\//, "", text)
  name[type] = text ~ /^[A-Za-z0-9][A-Za-z0-9._+-]*$/ ? text : "?"
}
tag == "timestamp" { text = substr($0, 11); sub(/[^0-9].*/, "", text); if (text + 0 > newest + 0) newest = text }
index($0, "/repomd>") == 1 { whole = 1 }
END { out() }
"""

# $of: a folder with `repos` and `cache` that stand in the place of the node's own; empty: its own. What dnf.conf names is no part of it.
# $rpm_index is the list, $rpm_files are `NUMBER KIND PATH` behind it, $rpm_main what [main] excludes.
SCRIPT: Final = r"""
rpm_index= rpm_files= rpm_main=
if [ "$pm" = dnf ]; then
  set -- /etc/dnf/dnf.conf /etc/dnf/libdnf5.conf.d/*.conf
  [ -n "$of" ] || set -- "$@" /etc/yum.repos.d/*.repo /etc/dnf/repos.override.d/*.repo
  if command -v dnf5 >/dev/null; then b=/var/cache/libdnf5
  elif command -v dnf >/dev/null; then b=/var/cache/dnf
  elif command -v yum >/dev/null; then b= rpm_index='unknown yum is here without dnf, and its lists are not read: install dnf beside it (yum install dnf)'
  else b= rpm_index='unknown neither dnf nor dnf5 is installed: install one of them'
  fi
else
  set -- /etc/zypp/zypp.conf; b=/var/cache/zypp/raw
  [ -n "$of" ] || set -- "$@" /etc/zypp/repos.d/*.repo
  command -v zypper >/dev/null || rpm_index='unknown zypper is not installed'
fi
if [ -n "$of" ]; then
  set -- "$@" "$of/repos/sources.repo"; b=$of/cache
  [ "$pm" = dnf ] || b=$b/raw
fi
n=$#
while [ "$n" -gt 0 ]; do p=$1; shift; n=$((n-1)); [ -f "$p" ] && [ -r "$p" ] && set -- "$@" "$p"; done
if [ -n "$rpm_index" ]; then :
elif ! command -v awk >/dev/null; then rpm_index='unknown awk is not installed'
elif [ $# -eq 0 ]; then rpm_index='unknown no file of the package manager may be read'
elif x=$(awk -v zypp="${pm#dnf}" -v of="$of" 'CONFIGURED' "$@" 2>&1 </dev/null); then
  rpm_index="repositories $pm"
  k=0; set --
  IFS=$NL; set -f
  for l in $x; do
    case $l in
    C*) [ -z "$of" ] || continue; rpm_index="unknown a setting that is not followed yet: $l"; break;;
    X*) rpm_main=${l#X?}; continue;;
    U*) rpm_urls="$rpm_urls$NL$l"; continue;;
    esac
    i=${l#R?} d=; i=${i%%'|'*}
    case $pm$i in
    *[!A-Za-z0-9._:/@+~-]*) ;;
    zypp*) IFS=/; v=; for p in ${i}; do v="${v:+${v}_}$p"; done; IFS=$NL; [ -f "$b/$v/repodata/repomd.xml" ] && d=$b/$v;;
    dnf*)
      set +f
      for p in "$b/$i"-????????????????; do
        case ${p##*-} in *[!0-9a-f]*) continue;; esac
        [ -f "$p/repodata/repomd.xml" ] || continue
        if [ -z "$d" ] || [ "$p/repodata/repomd.xml" -nt "$d/repodata/repomd.xml" ]; then d=$p; fi
      done
      set -f;;
    esac
    rpm_index="$rpm_index$NL$l|$d"
    if [ -n "$d" ]; then
      if [ -r "$d/repodata/repomd.xml" ]; then set -- "$@" "$d/repodata/repomd.xml"; else rpm_index="unknown $d may not be read"; break; fi
    fi
  done
  unset IFS; set +f
  case $rpm_index in
  unknown*) ;;
  *) if [ $# -gt 0 ]; then
    x=$(awk 'REPOMD' "$@" 2>/dev/null </dev/null)
    IFS=$NL
    for l in $x; do
      d=${1%/repomd.xml}; shift
      rpm_index="$rpm_index${NL}D|$l|${d%/repodata}"
      l=${l#*'|'}
      for v in primary updateinfo modules; do
        p=${l%%'|'*} l=${l#*'|'}
        [ -z "$p" ] || rpm_files="$rpm_files$k $v $d/$p$NL"
      done
      k=$((k+1))
    done
    unset IFS
  fi;;
  esac
else rpm_index="unknown the configuration of repositories could not be read: $x"
fi
""".replace("CONFIGURED", _CONFIGURED).replace("REPOMD", _REPOMD)

_COLUMNS: Final = 9
_SAFE: Final = {"https", "file", "dir", "cd", "dvd", "hd", "iso"}
"""Schemes where nobody on the way can change what is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository that the node's configuration names and enables."""

    id: str
    trusted: bool
    """Whether its metadata is signed and verified, or comes over TLS or from the machine itself."""
    excludes: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()
    """Empty: everything."""
    hotfixes: bool = False
    """dnf: its packages are not hidden by modules."""
    folder: str = ""
    """Where its metadata lies on the node; empty: it was never fetched."""
    primary: str = ""
    updateinfo: str = ""
    """File names; empty: it publishes none."""
    modules: str = ""
    published: datetime | None = None
    """UTC: the newest time that its repomd.xml states."""

    @property
    def index(self) -> Index:
        """Give the record that patches name it by."""
        return Index(repository=self.id, trusted=self.trusted)


def read_repositories(text: str) -> tuple[str, tuple[Repository, ...]]:
    """Read the list: `dnf` or `zypp`, and repositories in order. Raises ValueError on the node's own `unknown`, and on odd lines."""
    head, *lines = text.split("\n")
    manager = head.removeprefix("repositories ")
    if head == manager or manager not in ("dnf", "zypp"):
        raise ValueError(head.removeprefix("unknown ")[:300] or "the node's repositories were not told")
    held: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("D|"):
            fields = line.split("|")
            if len(fields) != 7:  # noqa: PLR2004  (D, whole or cut, three files, a time, a folder)
                raise ValueError(f"not a line about metadata: {line[:80]!r}")
            held[fields[6]] = fields[1:6]
    return manager, tuple(_repository(line, held) for line in lines if not line.startswith("D|"))


def _repository(line: str, held: dict[str, list[str]]) -> Repository:
    fields = line.split("|")
    if len(fields) != _COLUMNS or fields[0] != "R":
        raise ValueError(f"not a line about a repository: {line[:80]!r}")
    _, identity, signed, verified, schemes, excludes, includes, hotfixes, folder = fields
    check_repository(identity)
    whole, primary, updateinfo, modules, time = held.get(folder, ["", "", "", "", ""]) if folder else [""] * 5
    if whole or "?" in (primary, updateinfo, modules):
        raise ValueError(f"{identity}: its repomd.xml is cut or odd")
    found = set(filter(None, schemes.split(",")))
    return Repository(
        id=identity,
        trusted=signed == "1" or (bool(found) and found <= _SAFE and verified == "1"),
        excludes=_patterns(excludes),
        includes=_patterns(includes),
        hotfixes=hotfixes == "1",
        folder=folder if primary else "",
        primary=primary,
        updateinfo=updateinfo,
        modules=modules,
        published=_time(time),
    )


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.replace(",", " ").split()))


def _time(text: str) -> datetime | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):  # noqa: PLR2004  (up to the year 5138)
        raise ValueError(f"not a time: {text[:40]!r}")
    return datetime.fromtimestamp(int(text), UTC)
