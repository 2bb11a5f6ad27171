"""What stands in the way of an install right now: who holds the package manager's locks, a shutdown to come, a disk with little room.

Read in every pass: from /proc/locks, from the one stat that all facts share, and by one process of its own. Room is told only where
there is little of it, and roughly: a number that moves with every log line would make each pass another one.
"""

import re
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, number
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
elif [ -n "$at_locks" ]; then x='unknown /proc/locks may not be read'
fi
for p in SHUTDOWN; do case $NL$at_locks in *" $p$NL"*) x="$x${NL}shutdown $p";; esac; done
IFS=$NL
for l in $(stat -f -c '%a %S %n' / /var /boot 2>/dev/null </dev/null); do
  IFS=' '; set -f; set -- $l; set +f
  case $1$2 in ''|*[!0-9]*) continue;; esac
  n=$(($1*$2/1024)) k=4194304 p=65536
  [ "$3" != /boot ] || k=102400 p=4096
  [ "$n" -ge "$k" ] || x="$x${NL}room $((n/p*p)) $3"
done
unset IFS
case $x in
unknown*) x=${x#unknown } x=${x%%"$NL"*}; say locks unknown "$x";;
*) say locks ok "locks$x";;
esac
"""

PID_FILES: Final = (
    "/run/zypp.pid",
    "/var/cache/dnf/metadata_lock.pid",
    "/var/cache/dnf/download_lock.pid",
    "/var/lib/dnf/rpmdb_lock.pid",
)
"""They hold the number of the process, and may outlast it; whoever runs under that number must be a package manager."""

SHUTDOWN: Final = ("/run/systemd/shutdown/scheduled", "/run/nologin")
"""They lie there while the node is about to go down."""

FILES: Final = (
    *PID_FILES,
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
    "/var/lib/dpkg/lock",
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
)
ROOM: Final = ("/", "/var", "/boot")
_LINE: Final = re.compile(r"(-?\d{1,10}) (/\S+) (.*)")


def parse(stdout: str, _: Asked) -> Rows:
    """Give LOCK FILE -> the process that holds it (none: nobody does), `shutdown`: the file that says so, `room`: folder -> KB, where it is little."""
    head, *lines = stdout.split("\n")
    if head != "locks":
        raise ValueError(f"not a list of locks: {head[:80]!r}")
    rows: dict[str, JsonValue] = {}
    room: dict[str, JsonValue] = {}
    for line in lines:
        kind, _space, rest = line.partition(" ")
        if kind == "shutdown" and rest in SHUTDOWN:
            rows["shutdown"] = rest
            continue
        free, _space, folder = rest.partition(" ")
        if kind == "room" and folder in ROOM:
            room[folder] = number(free)
            continue
        found = _LINE.fullmatch(line)
        if found is None or found.group(2) not in FILES:
            raise ValueError(f"not a lock of a package manager: {line[:80]!r}")
        rows[found.group(2)] = {"pid": int(found.group(1)), "process": found.group(3)[:100]}
    return {**rows, **({"room": room} if room else {})}


def _script(questions: Questions) -> str:
    if not questions.patches:
        return ""
    return _SCRIPT.replace("PID_FILES", " ".join(PID_FILES)).replace("SHUTDOWN", " ".join(SHUTDOWN))


FACT = Fact(section="locks", watch=" ".join((*FILES, *SHUTDOWN)), script=_script, parse=parse, keeps=True)
