"""Where the repositories of a node with dnf or zypper lie: sh that fills in their addresses, for whoever asks. Text only.

dnf's own lists of mirrors are read as it has fetched them; nothing is started but rpm, where `$releasever` has to be known.
"""

from typing import Final

VARIABLES: Final = "/etc/dnf/vars/* /etc/yum/vars/* /usr/lib/os-release"
MIRRORS: Final = " ".join(
    f"/var/cache/{name}/*/{file}" for name in ("dnf", "libdnf5") for file in ("metalink.xml", "mirrorlist")
)
MOST_MIRRORS: Final = 3
"""Of a list of hundreds: what one of the first has not, the others hardly have."""

# V|NAME|VALUE, U|ID|ADDRESSES and F|ID (a list of mirrors follows, up to the next F) -> U|ID|ADDRESSES, filled in.
FILLED: Final = r"""
function filled(text,   k, name) {
  for (k = 0; k < 20 && match(text, /\$\{?[A-Za-z_][A-Za-z0-9_]*\}?/); k++) {
    name = substr(text, RSTART + 1, RLENGTH - 1); gsub(/[{}]/, "", name)
    if (!(name in value)) return ""
    text = substr(text, 1, RSTART - 1) value[name] substr(text, RSTART + RLENGTH)
  }
  return index(text, "$") ? "" : text
}
function out(id, text,   n, i, w, all) {
  n = split(text, w, " ")
  for (i = 1; i <= n; i++) if ((text = filled(w[i])) != "") all = all " " text
  if (all != "") print "U|" id "|" substr(all, 2)
}
/^V\|/ { split($0, f, "|"); value[f[2]] = f[3]; next }
/^U\|/ { split($0, f, "|"); out(f[2], f[3]); next }
/^F\|/ { at = substr($0, 3); seen = 0; next }
seen < MOST && /^[ \t]*https?:\/\/|<url[^>]*>https?:\/\// {
  text = $0; sub(/^.*<url[^>]*>/, "", text); sub(/^[ \t]+/, "", text); sub(/[<" \t\r].*$/, "", text)
  if (text ~ /[@?#|]/) next
  sub(/repodata\/repomd\.xml$/, "", text); seen++; out(at, text)
}
""".replace("MOST", str(MOST_MIRRORS))
"""awk text."""

SCRIPT: Final = r"""
  v=$(uname -m) z=
  case $v in i?86|athlon|geode) b=i386;; armv[67]*) b=armhfp;; *) b=$v;; esac
  case $rpm_urls in *'$releasever'*|*'${releasever'*)
    [ "$pm" = zypp ] || z=$(rpm -q --whatprovides 'system-release(releasever)' --qf '[%{PROVIDENAME} %{PROVIDEVERSION}\n]' 2>/dev/null </dev/null \
      | sed -n 's/^system-release(releasever) //p')
    [ -n "$z" ] || z=$(. /etc/os-release 2>/dev/null; echo "$VERSION_ID");;
  esac
  x=$(
    printf 'V|arch|%s\nV|basearch|%s\n' "$v" "$b"
    [ -z "$z" ] || printf 'V|releasever|%s\nV|releasever_major|%s\n' "$z" "${z%%.*}"
    [ "$pm" = zypp ] || for p in /etc/yum/vars/* /etc/dnf/vars/*; do
      if [ -f "$p" ] && [ -r "$p" ]; then IFS= read -r l <"$p"; printf 'V|%s|%s\n' "${p##*/}" "$l"; fi
    done
    printf '%s\n' "$rpm_urls"
    IFS=$NL; set -f
    for l in $rpm_index; do
      case $l in R*'|/'*) ;; *) continue;; esac
      p=${l##*'|'} l=${l#R?}
      for p in "$p/metalink.xml" "$p/mirrorlist"; do
        [ -f "$p" ] && [ -r "$p" ] && { printf 'F|%s\n' "${l%%'|'*}"; head -c 100000 "$p"; echo; }
      done
    done
  )
  x=$(printf '%s\n' "$x" | awk 'FILLED' 2>/dev/null)
  say addresses ok "repositories$NL$x"
""".replace("FILLED", FILLED)
"""Says section `addresses`; stands behind `rpm.repositories`."""
