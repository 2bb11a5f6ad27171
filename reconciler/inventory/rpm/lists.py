"""Reads the lists of packages that dnf or zypper hold: sh and awk for the node; `offers` reads what they tell.

The lists are read as the package manager holds them (primary, updateinfo, modules): grep keeps a tenth of their lines, and awk
looks into those alone whose package is installed, and into notices that name one of the versions it tells.
"""

from typing import Final

ROUNDS: Final = 3
"""The lists are read again for new packages that upgrades would bring along by name, and once more for what these need."""

ORDER: Final = r"""
function segments(a, b,   n, m, x, y) {
  while (1) {
    sub(/^[^A-Za-z0-9~^]+/, "", a); sub(/^[^A-Za-z0-9~^]+/, "", b)
    x = substr(a, 1, 1); y = substr(b, 1, 1)
    if (x == "~" || y == "~") {
      if (x != y) return x == "~" ? -1 : 1
      a = substr(a, 2); b = substr(b, 2); continue
    }
    if (x == "" || y == "") return x == y ? 0 : x == "" ? -1 : 1
    if (x == "^" || y == "^") {
      if (x != y) return x == "^" ? -1 : 1
      a = substr(a, 2); b = substr(b, 2); continue
    }
    if (x ~ /[0-9]/) {
      if (y !~ /[0-9]/) return 1
      sub(/^0+/, "", a); sub(/^0+/, "", b)
      match(a, /^[0-9]*/); n = RLENGTH; match(b, /^[0-9]*/); m = RLENGTH
      if (n != m) return n < m ? -1 : 1
    } else {
      if (y ~ /[0-9]/) return -1
      match(a, /^[A-Za-z]*/); n = RLENGTH; match(b, /^[A-Za-z]*/); m = RLENGTH
    }
    x = substr(a, 1, n); y = substr(b, 1, m)
    if (("d" x) != ("d" y)) return ("d" x) < ("d" y) ? -1 : 1
    a = substr(a, n + 1); b = substr(b, m + 1)
  }
}
function compare(a, b,   i, x, y, r) {
  x = y = 0
  if (i = index(a, ":")) { x = substr(a, 1, i - 1); a = substr(a, i + 1) }
  if (i = index(b, ":")) { y = substr(b, 1, i - 1); b = substr(b, i + 1) }
  if (x + 0 != y + 0) return x + 0 < y + 0 ? -1 : 1
  x = y = ""
  if (i = index(a, "-")) { x = substr(a, i + 1); a = substr(a, 1, i - 1) }
  if (i = index(b, "-")) { y = substr(b, i + 1); b = substr(b, 1, i - 1) }
  return (r = segments(a, b)) ? r : segments(x, y)
}
"""
"""awk functions; `compare` orders two whole versions as rpm does."""

# Lines that begin with the nonce are ours: `has NAME EVR ARCH`, `mod NAME STREAM STATE`, `yaml LINE`, `file NUMBER KIND`, `bad NUMBER KIND`.
_AWK: Final = r"""
function text(line) { sub(/^[^>]*>/, "", line); sub(/<.*/, "", line); return line }
function of(line, key,   i) {
  if (!(i = index(line, " " key "=\""))) return ""
  line = substr(line, i + length(key) + 3); return substr(line, 1, index(line, "\"") - 1)
}
function unquoted(line) { sub(/^[^:]*:[ \t]*/, "", line); gsub(/["\047 \t\r]/, "", line); return line }
function module_is_over() {
  if (kind == "modulemd-defaults") preset[module] = stream
  kind = module = stream = listing = ""
}
function package_is_over(   r, i, n, a, line, seen, tail) {
  known[name] = 1
  if (name == "" || !(name in archs)) return
  newer = name "-" evr "." arch
  if (newer in of_module) { if (!(newer in active)) { hidden++; return } }
  else if ((name in shadows) && !(at in hotfix)) { hidden++; return }
  n = split(archs[name], a, " "); seen = 0
  for (i = 1; i <= n; i++) {
    if (a[i] != arch && a[i] != "noarch" && arch != "noarch") continue
    r = version[name, a[i]]
    if (r == "") seen = 2
    else if (evr == r) seen = seen ? seen : 1
    else if (compare(evr, r) > 0) seen = 2
  }
  if (!seen) return
  if (seen == 2) for (i = 1; i <= needed; i++) if (!(need[i] in archs)) more[need[i]] = 1
  tail = evr; sub(/^[^:]*:/, "", tail)
  if (source == name "-" tail ".src.rpm") source = ""
  tail = name "-" tail "." arch ".rpm"; n = length(href) - length(tail)
  if (n >= 0 && substr(href, n + 1) == tail) href = substr(href, 1, n) "*"
  line = name "\t" arch "\t" evr "\t" source "\t" sum "\t" size "\t" href "\t" built "\t" (newer in of_module ? active[newer] : "")
  if (line in where) { if (("," where[line] ",") !~ ("," at ",")) where[line] = where[line] "," at }
  else { where[line] = at; lines[++count] = line }
  if (!(newer in told)) told[newer] = count - 1
}
function notice_is_over(   i, out) {
  if (id == "" || !named) return
  out = at "\t" id "\t" type "\t" severity "\t" issued "\t" updated "\t" title "\t" references "\t" reboot
  for (i = 1; i <= named; i++) out = out "\t" naming[i]
  notices[++noticed] = out
}
index($0, mark) == 1 {
  $0 = substr($0, length(mark) + 1); split($0, f, " ")
  if (f[1] == "new") { archs[f[2]] = f[3]; version[f[2], f[3]] = "" }
  else if (f[1] == "has") {
    e = f[3]; sub(/^0:/, "", e)
    if (!((f[2], f[4]) in version)) { archs[f[2]] = archs[f[2]] " " f[4]; version[f[2], f[4]] = e }
    else if (compare(e, version[f[2], f[4]]) > 0) version[f[2], f[4]] = e
  }
  else if (f[1] == "hotfix") hotfix[f[2]] = 1
  else if (f[1] == "mod") state[f[2]] = f[4] " " f[3]
  else if (f[1] == "bad") bad = bad " " f[2]
  else if (f[1] == "yaml") {
    $0 = substr($0, 6)
    if (/^---/) module_is_over()
    else if (/^document:/) kind = unquoted($0)
    else if (/^  module:/) module = unquoted($0)
    else if (/^  name:/) module = unquoted($0)
    else if (/^  stream:/) stream = unquoted($0)
    else if (/^  artifacts:/) listing = 1
    else if (/^    rpms:/ && listing) listing = 2
    else if (/^    - / && listing == 2) {
      e = substr($0, 7); gsub(/["\047 \t\r]/, "", e)
      if (match(e, /-[0-9]+:[^-]*-[^-]*$/)) {
        n = substr(e, 1, RSTART - 1); e = substr(e, RSTART + 1); sub(/^0:/, "", e)
        items[++listed] = n "\t" n "-" e "\t" module ":" stream
      }
    }
    else if (/^  ? ? ?[^ ]/) listing = listing == 2 && /^    / ? 1 : 0
  }
  else if (f[1] == "file") {
    if (mode == "primary") { package_is_over(); if (expected != packages) bad = bad " " at }
    if (mode == "updateinfo" && (open_updates || !closed)) bad = bad " " at
    at = f[2]; mode = f[3]; name = id = ""; expected = "?"; packages = open_updates = closed = 0
    if (mode == "updateinfo") expected = 0
    if (!settled && mode == "primary") {
      settled = 1; module_is_over()
      for (i = 1; i <= listed; i++) {
        split(items[i], f, "\t"); split(f[3], e2, ":")
        of_module[f[2]] = 1
        if (state[e2[1]] == "enabled " e2[2] || (!(e2[1] in state) && preset[e2[1]] == e2[2])) { active[f[2]] = f[3]; shadows[f[1]] = 1 }
      }
    }
  }
  next
}
mode == "primary" {
  if (substr($0, 7, 10) == "<rpm:entry") {
    if (needing && (e = of($0, "name")) ~ /^[A-Za-z0-9_][A-Za-z0-9._+-]*$/) need[++needed] = e
    next
  }
  if (/<name>/) { package_is_over(); packages++; name = text($0); arch = evr = sum = size = href = built = source = ""; needed = needing = 0; next }
  if (/<metadata /) { expected = of($0, "packages") + 0; next }
  if (!(name in archs)) next
  if (/<arch>/) arch = text($0)
  else if (/<version /) { evr = of($0, "ver") "-" of($0, "rel"); if (of($0, "epoch") + 0) evr = of($0, "epoch") ":" evr }
  else if (/<checksum /) sum = of($0, "type") ":" text($0)
  else if (/<time /) built = of($0, "build")
  else if (/<size /) size = of($0, "package")
  else if (/<location /) href = of($0, "href")
  else if (/<rpm:sourcerpm>/) source = text($0)
  else if (/<rpm:requires>/) needing = 1
  else if (/<\/rpm:requires>/) needing = 0
  next
}
mode == "updateinfo" {
  if (/<update /) { open_updates++; type = of($0, "type"); id = severity = issued = updated = title = references = reboot = ""; named = 0 }
  else if (/<package /) {
    e = of($0, "version") "-" of($0, "release"); if (of($0, "epoch") + 0) e = of($0, "epoch") ":" e
    e = of($0, "name") "-" e "." of($0, "arch")
    if (e in told) naming[++named] = told[e]
  }
  else if (/<id>/) id = text($0)
  else if (/<title>/) { title = substr(text($0), 1, 200); gsub(/\t/, " ", title) }
  else if (/<severity>/) severity = text($0)
  else if (/<issued /) issued = of($0, "date")
  else if (/<updated /) updated = of($0, "date")
  else if (/<reference /) { e = of($0, "type"); if (e == "cve" || e == "bugzilla") references = references (references == "" ? "" : " ") of($0, "id") }
  else if (/<\/updates>|<updates\/>/) closed = 1
  else if (/<\/update>/) { notice_is_over(); open_updates--; id = "" }
  if (/<reboot_suggested/ && !/>[Ff]alse</) reboot = "reboot"
}
END {
  if (mode == "primary") { package_is_over(); if (expected != packages) bad = bad " " at }
  if (mode == "updateinfo" && (open_updates || !closed)) bad = bad " " at
  printf "more"; for (e in more) if (e in known) printf " %s", e; printf "\n"
  if (bad != "") print "bad" bad
  for (i = 1; i <= count; i++) print lines[i] "\t" where[lines[i]]
  print "end " count + 0 " " hidden + 0
  for (i = 1; i <= noticed; i++) print notices[i]
  print "end " noticed + 0
}
"""

# zstd need not be installed where rpm reads what it packs: rpm does it then, by its Python or (from 4.17 on) by itself.
# A list in one line, as some programs write it, is broken at its tags first; grep then keeps what awk looks at.
SCRIPT: Final = r"""
rpm_offers=
by_rpm() {
  for p in /usr/libexec/platform-python /usr/bin/python3; do
    [ -x "$p" ] && "$p" -I -c 'import rpm' && {
      "$p" -I -c 'import os, rpm, sys
file = rpm.fd(sys.argv[1], "r", "zstdio")
while True:
    part = file.read(1 << 20)
    if not part: break
    os.write(1, part)' "$1"
      return
    }
  done
  rpm --eval "%{lua: local f = rpm.open('$1', 'r.zstdio') while true do local s = f:read(1048576) if not s or s == '' then break end io.write(s) end}"
}
unpacked() {
  case $1 in
  *.gz) gzip -d -c "$1";;
  *.xz) xz -d -c "$1";;
  *.zst) if command -v zstd >/dev/null; then zstd -q -d -c "$1"; else by_rpm "$1"; fi;;
  *.bz2) bzip2 -d -c "$1";;
  *) cat "$1";;
  esac 2>/dev/null </dev/null
}
lists() {
  printf '%s\n' "$x"
  IFS=$NL; set -f
  for l in $rpm_files; do
    i=${l%% *} l=${l#* } k=${l%% *} p=${l#* }
    [ "$k" = "$1" ] || continue
    if [ "$k" = modules ]; then
      unpacked "$p" | grep -a -E '^(---|document:|  ? ?[a-z]|    [a-z-])' | sed "s/^/$N yaml /"
      echo "$N yaml ---"
      continue
    fi
    printf '\n%s file %s %s\n' "$N" "$i" "$k"
    v=$(unpacked "$p" | head -c 3000)
    case $v in
    *'<package type="rpm">'"$NL"*|*'packages="0"'*|*'<id>'*"$NL"*) unpacked "$p";;
    '') false;;
    *) unpacked "$p" | sed 's/>[ \t]*</>\n</g';;
    esac || printf '\n%s bad %s %s\n' "$N" "$i" "$k"
  done
  unset IFS; set +f
}
case $rpm_index in
repositories*)
  i=0 v= m=
  IFS=$NL; set -f
  for l in $rpm_index; do
    case $l in R*'|1|/'*) v="$v$NL$N hotfix $i";; esac
    case $l in R*'|/'*) i=$((i+1));; esac
  done
  unset IFS; set +f
  for p in /etc/dnf/modules.d/*.module; do [ -r "$p" ] && m=1; done
  a=$(uname -m)
  [ -z "$m" ] || v="$v$NL$(awk -F = -v mark="$N mod" '
    function out() { if (name != "") print mark, name, stream == "" ? "-" : stream, state }
    { gsub(/[ \t\r]/, "") }
    /^\[/ { out(); name = substr($0, 2); sub(/\].*/, "", name); stream = state = "" }
    $1 == "stream" { stream = $2 }
    $1 == "state" { state = $2 }
    END { out() }' /etc/dnf/modules.d/*.module 2>/dev/null </dev/null)"
  if x=$(rpm -qa --qf "$N has %{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\n" 2>/dev/null </dev/null); then
    x="$x$v"
    k=ROUNDS
    while [ "$k" -gt 0 ]; do
      k=$((k-1))
      p=$({ lists modules; x=; lists primary; lists updateinfo; } | grep -a -F -e "$N " -e '<name>' -e '<metadata ' -e '<arch>' \
        -e '<version ' -e '<checksum ' -e '<time ' -e '<size ' -e '<location ' -e '<rpm:sourcerpm>' -e 'rpm:requires>' -e '<rpm:entry ' \
        -e '<update ' -e '</update>' -e '</updates>' -e '<updates/>' -e '<package ' -e '<id>' -e '<title>' -e '<severity>' \
        -e '<issued ' -e '<updated ' -e '<reference ' -e '<reboot_suggested' | awk -v mark="$N " 'AWK')
      l=${p%%"$NL"*} p=${p#*"$NL"} f=
      set -f
      for l in ${l#more}; do f=1; x="$x$NL$N new $l $a"; done
      set +f
      [ -n "$f" ] || break
    done
    rpm_offers="$rpm_index$NL--$NL$p"
  else rpm_offers="unknown rpm could not list what is installed"
  fi;;
*) rpm_offers=$rpm_index;;
esac
""".replace("AWK", ORDER + _AWK).replace("ROUNDS", str(ROUNDS))
