"""What the `Checks` of expectations say: each is POSIX sh of its own, without input, for ten seconds at most."""

import re
from collections.abc import Iterable
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, number
from reconciler.model.known import JsonValue
from reconciler.model.questions import Check, Questions
from reconciler.model.shell import quote

CHECK_SECONDS: Final = 10
BATCH: Final = 8
"""Checks that run side by side: a hanging one costs its batch ten seconds, not each of its neighbours."""

LONGEST: Final = 100_000
"""Bytes of all checks of one user: a word of a command line holds 131,072."""

# The first line proves that the change of user worked: only then do exit statuses come from the checks themselves.
# setsid gives each check a process group, so that the watchdog ends its children as well.
_RUNNER = r"""
echo began
if command -v setsid >/dev/null; then g=- s=setsid; else g= s=; fi
k= i=0
check() { $s sh -c "$2" >/dev/null 2>&1 </dev/null & k="$k $1:$!"; i=$((i+1)); [ "$i" -lt %(batch)d ] || settle; }
settle() {
  [ -n "$k" ] || return 0
  ( trap 'kill "$z" 2>/dev/null; exit 0' TERM
    sleep %(seconds)d & z=$!; wait "$z"
    for j in $k; do kill -9 "$g${j#*:}"; done ) >/dev/null 2>&1 </dev/null & w=$!
  for j in $k; do wait "${j#*:}"; echo "${j%%:*} $?"; done
  kill -TERM "$w"; wait "$w"
  k= i=0
} 2>/dev/null
%(checks)s
settle
"""

# Without a change of user the runner needs no sh of its own; the checks have theirs, and see no variable of the program.
# As root with a login user to go back to; the first way that works is taken.
_AS_USER = r"""
m=%(runner)s
case ${SUDO_UID:-$uid} in
"$uid") x=$(cd "${HOME:-/}" 2>/dev/null || cd /; eval "$m" </dev/null 2>/dev/null);;
*[!0-9]*) x=;;
*)
  u=$SUDO_USER h=/
  case $u in ''|-*|*[!A-Za-z0-9_.-]*) ;; *) eval "h=~$u";; esac
  case $h in /*) ;; *) h=/;; esac
  x=$(cd "$h" 2>/dev/null || cd /; HOME=$h USER=$u LOGNAME=$u; export HOME USER LOGNAME
    setpriv --reuid "$SUDO_UID" --regid "$SUDO_GID" --init-groups sh -c "$m" </dev/null 2>/dev/null)
  [ -n "$x" ] || x=$(cd /; runuser -u "$u" -- sh -c "$m" </dev/null 2>/dev/null)
  [ -n "$x" ] || x=$(cd /; su -s /bin/sh "$u" -c "$m" </dev/null 2>/dev/null);;
esac
if [ -n "$x" ]; then say checks.user ok "$x"; else say checks.user unknown 'none of setpriv, runuser and su could go back to the login user'; fi
"""

_AS_ROOT = r"""
m=%(runner)s
if [ "$uid" = 0 ]; then x=$(cd /; eval "$m" </dev/null 2>/dev/null); say checks.root ok "$x"
else say checks.root unknown 'CheckAs: become needs root, and the node has no Become'
fi
"""


def _script(questions: Questions) -> str:
    texts = []
    for as_root, template in ((False, _AS_USER), (True, _AS_ROOT)):
        numbered = [(place, check) for place, check in enumerate(questions.checks) if check.as_root is as_root]
        if not numbered:
            continue
        runner = _runner(numbered)
        if len(runner.encode()) > LONGEST:
            name = "root" if as_root else "user"
            texts.append(f"say checks.{name} unknown 'the checks together are longer than {LONGEST} bytes'")
        else:
            texts.append(template % {"runner": quote(runner)})
    return "\n".join([*texts, 'say checks ok ""'])


def _runner(checks: Iterable[tuple[int, Check]]) -> str:
    calls = "\n".join(f"check {place} {quote(check.script)}" for place, check in checks)
    return _RUNNER % {"batch": BATCH, "seconds": CHECK_SECONDS, "checks": calls}


def parse(stdout: str, asked: Asked) -> Rows:
    """Read `user` and `root` groups (see `join`): a line `began`, then `NUMBER STATUS` for each check."""
    rows: dict[str, JsonValue] = {}
    said = _groups(stdout)
    for place, check in enumerate(asked.questions.checks):
        status = said.get("root" if check.as_root else "user", f"unknown: {_SILENT}")
        if isinstance(status, str):
            rows[check.key] = {"unknown": status.removeprefix("unknown: ")}
        else:
            rows[check.key] = status.get(place, {"unknown": _SILENT})
    return rows


_SILENT: Final = "the check was not answered"


def join(user: str, root: str) -> str:
    """Give both frames' texts as one: `user` and `root`, each followed by its lines; empty where none was asked."""
    return "\n".join(f"== {name}\n{text}" for name, text in (("user", user), ("root", root)) if text)


def _groups(stdout: str) -> dict[str, dict[int, JsonValue] | str]:
    groups: dict[str, dict[int, JsonValue] | str] = {}
    for part in re.split(r"^== ", stdout, flags=re.MULTILINE)[1:]:
        name, *lines = part.rstrip("\n").split("\n")
        if lines and lines[0].startswith("unknown: "):
            groups[name] = "\n".join(lines)
            continue
        if not lines or lines[0] != "began":
            raise ValueError(f"the checks did not begin: {part[:80]!r}")
        statuses: dict[int, JsonValue] = {}
        for line in lines[1:]:
            which, _, status = line.partition(" ")
            statuses[number(which)] = number(status)
        groups[name] = statuses
    return groups


FACT = Fact(section="checks", script=_script, parse=parse)
