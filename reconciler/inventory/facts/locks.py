"""Who holds the locks of the package manager right now: read in every pass from /proc/locks, without a process of its own."""

import re
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows
from reconciler.model.known import JsonValue
from reconciler.model.questions import Questions

_SCRIPT: Final = r"""
x=
if [ -n "$at_locks" ] && [ -r /proc/locks ]; then
  while read -r l; do
    case $l in *' -> '*) continue;; esac
    set -f; set -- $l; set +f
    [ $# -ge 6 ] || continue
    n=${6##*:} p=$5
    case $NL$at_locks in
    *" $n "*)
      set -f; IFS=$NL
      for t in $at_locks; do
        k=${t#* } k=${k#* }
        [ "${k%% *}" = "$n" ] || continue
        v=; IFS= read -r v 2>/dev/null <"/proc/$p/comm"
        x="$x$NL$p /${t#* /} $v"
      done
      unset IFS; set +f;;
    esac
  done </proc/locks
  for p in PID_FILES; do
    case $NL$at_locks in *" $p$NL"*) ;; *) continue;; esac
    first "$p"; n=$v v=
    case $n in ''|*[!0-9]*) continue;; esac
    IFS= read -r v 2>/dev/null <"/proc/$n/comm"
    case $v in dnf*|yum*|python*|platform-python*|microdnf|packagekitd|zypper|Zypp-main|y2base|ruby*) x="$x$NL$n $p $v";; esac
  done
  say locks ok "locks$x"
elif [ -n "$at_locks" ]; then say locks unknown '/proc/locks may not be read'
else say locks ok locks
fi
"""

PID_FILES: Final = (
    "/run/zypp.pid",
    "/var/cache/dnf/metadata_lock.pid",
    "/var/cache/dnf/download_lock.pid",
    "/var/lib/dnf/rpmdb_lock.pid",
)
"""They hold the number of the process, and may outlast it; whoever runs under that number must be a package manager."""

FILES: Final = (
    *PID_FILES,
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
_LINE: Final = re.compile(r"(-?\d{1,10}) (/\S+) (.*)")


def parse(stdout: str, _: Asked) -> Rows:
    """Give LOCK FILE -> the process that holds it; none: nobody does."""
    head, *lines = stdout.split("\n")
    if head != "locks":
        raise ValueError(f"not a list of locks: {head[:80]!r}")
    rows: dict[str, JsonValue] = {}
    for line in lines:
        found = _LINE.fullmatch(line)
        if found is None or found.group(2) not in FILES:
            raise ValueError(f"not a lock of a package manager: {line[:80]!r}")
        rows[found.group(2)] = {"pid": int(found.group(1)), "process": found.group(3)[:100]}
    return rows


def _script(questions: Questions) -> str:
    return _SCRIPT.replace("PID_FILES", " ".join(PID_FILES)) if questions.patches else ""


FACT = Fact(section="locks", watch=" ".join(FILES), script=_script, parse=parse, keeps=True)
