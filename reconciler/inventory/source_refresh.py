"""Fetches the repositories that a baseline names into a folder of ours on the node: sh for the program that refreshes lists.

The node's own configuration and lists are neither read nor changed by it, and signatures count as they do for the node's own: no key
is taken for trusted that was not before. What came of it is left in the folder, for facts `sources` and `source_offers`:

    ID/index     first a line that changes with what the repository says, then what `apt.INDEX` or `rpm.repositories.SCRIPT` gave
    ID/files     the lists behind it
    ID/tried     fetched TIME (when it last came whole), tried TIME, problem WORDS (of the last try, where it failed)
    ID/lists     apt's lists; ID/cache: those of dnf or zypper

The configuration itself, which may hold a password, lies there for as long as a fetch takes.
"""

from collections.abc import Iterable
from typing import Final

from reconciler.inventory.apt import INDEX, LISTS
from reconciler.inventory.rpm.repositories import SCRIPT as RPM_INDEX
from reconciler.model.questions import WantedSource
from reconciler.model.shell import quote

FOLDER: Final = "/var/lib/reconciler/sources"

UNUSED_DAYS: Final = 14
"""After so many days without a try a source is taken away: no baseline names it any more, whichever fleet's it was."""

# Hooks of the node's own updates (APT::Update) are not for these: what they do with lists, they do with those of the node.
_FUNCTIONS: Final = r"""
fetch_source() {
  here=FOLDER/$1 y=
  ( umask 077; mkdir -p "$here/repos" "$here/none" "$here/lists/partial" "$here/cache" ) 2>/dev/null || { y="cannot write in $here on the node"; return 1; }
  case $pm in
  apt)
    ( umask 077; source_of "$1" >"$here/repos/sources.list" && printf '#clear APT::Update::%s;\n' Pre-Invoke Post-Invoke Post-Invoke-Success \
      >"$here/repos/apt.conf" ) 2>/dev/null || { y="cannot write in $here on the node"; return 1; }
    o="-o Dir::Etc::SourceList=$here/repos/sources.list -o Dir::Etc::SourceParts=$here/none -o Dir::State::Lists=$here/lists"
    o="$o -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root -o Acquire::Languages=none"
    x=$(apt-get -c "$here/repos/apt.conf" $o -q -o APT::Update::Error-Mode=any -o Dpkg::Use-Pty=0 update 2>&1 </dev/null 9>&-); e=$?
    # Older versions of apt call a partial failure a success.
    case $NL$x in *"${NL}Err:"*|*'Some index files failed'*) [ "$e" != 0 ] || e=100;; esac;;
  *)
    ( umask 077; source_of "$1" >"$here/repos/sources.repo" ) 2>/dev/null || { y="cannot write in $here on the node"; return 1; }
    if [ "$pm" = zypp ]; then
      x=$(ZYPP_LOCK_TIMEOUT=$W zypper --non-interactive --reposd-dir "$here/repos" --cache-dir "$here/cache" refresh 2>&1 </dev/null 9>&-); e=$?
    else
      if command -v dnf5 >/dev/null; then o="--setopt=system_cachedir=$here/cache"; else o=; fi
      # It reads repositories from here as well, whatever folder it is told to look into.
      for l in $(sed -n 's/^\[\([A-Za-z0-9._:+~-]*\)\].*/\1/p' /etc/dnf/dnf.conf 2>/dev/null); do
        [ "$l" = main ] || grep -q -F "[$l]" "$here/repos/sources.repo" || o="$o --disablerepo=$l"
      done
      x=$(dnf --assumeno --setopt="reposdir=$here/repos" --setopt="cachedir=$here/cache" $o --setopt='*.skip_if_unavailable=0' \
        --refresh makecache 2>&1 </dev/null 9>&-); e=$?
    fi;;
  esac
  [ "$e" = 0 ] || y=$(printf '%s\n' "$x" | awk '
    { gsub(/\/\/[^\/@ ]*@/, "//"); gsub(/[^ -~]/, " ") }
    /^(E:|Error:|  - |\[[^]|]*\||Could not|Problem|System management|[a-z]+ already locked)/ && said == "" { said = $0; sub(/^  - /, "", said) }
    /[^ ]/ { last = $0 }
    END { print substr(said != "" ? said : last, 1, 300) }')
  [ "$e" = 0 ] || [ -n "$y" ] || y="its package manager ended with exit status $e and gave no reason"
}
look_at_source() {
  apt_index= apt_lists= apt_urls= of=$here L=$here/lists/
  if [ "$pm" = apt ]; then
  set -- "$here/repos/sources.list"
APT
  i=$(printf '%s\n' "$apt_index" | sed "s|^$here/lists/|LISTS/|") p=$apt_lists
  else
RPM
  i=$rpm_index p=$rpm_files
  fi
  of=
  case $i in
  indexes*|repositories*) ;;
  *) y=${y:-${i#unknown }}; return;;
  esac
  # Lists come with the checksums that these files state, and change with them.
  x=$(cat "$here"/lists/*Release "$here"/cache/*/repodata/repomd.xml "$here"/cache/raw/*/repodata/repomd.xml 2>/dev/null | cksum)
  x="$x$NL$i"
  if [ "$(cat "$here/index" 2>/dev/null)" != "$x" ]; then
    printf '%s\n' "$p" >"$here/files.new" && mv "$here/files.new" "$here/files" && printf '%s\n' "$x" >"$here/index.new" && mv "$here/index.new" "$here/index" \
      || y=${y:-"cannot write in $here on the node"}
  fi
}
refresh_source() {
  fetch_source "$1" && look_at_source
  rm -rf "$here/repos"
  x=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  if [ -z "$y" ]; then i="fetched $x"
  else i=$(grep '^fetched ' "$here/tried" 2>/dev/null)
  fi
  printf '%s\n' "$i" "tried $x" "${y:+problem $y}" | grep . >"$here/tried.new" && mv "$here/tried.new" "$here/tried"
}
"""

_ALL: Final = r"""
if [ "$(id -u)" = 0 ]; then
  d=FOLDER
  if [ -d "$d" ]; then find "$d" -mindepth 1 -maxdepth 1 -type d -mtime +DAYS -exec rm -rf {} + 2>/dev/null </dev/null; fi
EACH
fi
"""

# The folders must be root's alone: whoever else could put a link there would have root write where it leads. Of two fleets that
# refresh one node the second waits; no program of the package manager may keep the lock when it stays.
_EACH: Final = r"""
  ours() { for d; do [ -e "$d" ] || ( umask 077; mkdir "$d" ); case $(stat -c '%f %u' "$d") in 4?[02468ace][014589cd]' 0') ;; *) return 1;; esac; done; }
  if ours /var/lib/reconciler FOLDER 2>/dev/null; then
    exec 9>FOLDER/lock
    flock -w 600 9
    trap 'for source in NAMES; do rm -rf "FOLDER/$source/repos"; done' EXIT
    trap 'exit 1' HUP INT TERM
    for source in NAMES; do refresh_source "$source"; done
  fi
"""


def script(sources: Iterable[WantedSource]) -> str:
    """Give sh text that fetches these, and takes away what nobody asks for any more; $pm, $W and $NL are set."""
    wanted = {source.id: source.configuration for source in sorted(sources)}
    text = _ALL.replace("DAYS", str(UNUSED_DAYS))
    if not wanted:
        return text.replace("EACH", "").replace("FOLDER", FOLDER)
    cases = "".join(f"{quote(one)}) printf '%s\\n' {quote(what.strip())};;\n" for one, what in wanted.items())
    functions = _FUNCTIONS.replace("LISTS/", f"{LISTS}/")
    functions = functions.replace("\nAPT\n", f"\n{INDEX}\n").replace("\nRPM\n", f"\n{RPM_INDEX}\n")
    text = text.replace("EACH", _EACH.replace("NAMES", " ".join(wanted)))  # words of sh as they are
    return f"source_of() {{\ncase $1 in\n{cases}esac\n}}\n{(functions + text).replace('FOLDER', FOLDER)}"
