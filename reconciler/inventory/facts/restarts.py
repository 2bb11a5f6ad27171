"""Services that still run what was deleted: an upgrade replaced a program or library that they hold in memory."""

from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, nothing
from reconciler.inventory.facts.services import CHURN
from reconciler.inventory.rpm.installed import DATABASE
from reconciler.model.known import JsonValue
from reconciler.model.questions import Questions
from reconciler.model.shell import quote

MOST: Final = 500
"""Processes that are told of: whoever has more of them restarts the node."""

# One grep over every process, which leaves each file at the first hit. What a file of /proc says is read without a process more.
_SCRIPT: Final = r"""
if [ "$uid" != 0 ]; then say restarts unknown 'only root may see which files a process holds: the node has no Become'
else
  x= n=0
  t=$(grep -a -o -H -m 1 -E ' ..x. [^ ]* [^ ]* [0-9]* +/(usr|lib|lib32|lib64|bin|sbin|opt)/[^ ]* \(deleted\)$' /proc/[0-9]*/maps 2>/dev/null </dev/null)
  set -f; IFS=$NL
  for l in $t; do
    n=$((n+1)); [ "$n" -le MOST ] || break
    p=${l%%/maps:*} f=/${l#*' /'}
    u=
    while IFS= read -r k; do case $k in 0::/*|1:name=systemd:/*) u=${k#*:/}; break;; esac; done 2>/dev/null <"$p/cgroup"
    k=; IFS= read -r k 2>/dev/null <"$p/comm"
    x="$x$NL$u|$k|${f%' (deleted)'}"
  done
  unset IFS; set +f
  say restarts ok "restarts$x"
fi
""".replace("MOST", str(MOST))

LOGINS: Final = "login sessions"

_OURS: Final = "reconciler: "
"""What processes of our own shells are named like: no service, and gone with their connection."""


def parse(stdout: str, _: Asked) -> Rows:
    """Give UNIT (without systemd: the process's name) -> a deleted file that it holds, the first by name."""
    head, *lines = stdout.split("\n")
    if head != "restarts":
        raise ValueError(f"not a list of processes: {head[:80]!r}")
    rows: dict[str, JsonValue] = {}
    for line in lines:
        group, found, rest = line.partition("|")
        process, second, file = rest.partition("|")
        if not found or not second or not file.startswith("/"):
            raise ValueError(f"not a process and a file: {line[:80]!r}")
        name = _unit(group) or (LOGINS if process.startswith(_OURS) else process[:100]) or "?"
        known = rows.get(name)
        rows[name] = file[:300] if not isinstance(known, str) else min(known, file[:300])
    return rows


def _unit(group: str) -> str | None:
    """`system.slice/ssh.service` -> ssh; logins and our own runs come and go, and are told as one."""
    unit = next((part for part in group.split("/") if part.endswith((".service", ".scope"))), None)
    if unit is None:
        return None
    name = unit.removesuffix(".service")
    return LOGINS if unit.endswith(".scope") or CHURN.fullmatch(name) else name[:200]


def _script(questions: Questions) -> str:
    return _SCRIPT if questions.patches else ""


def _also(questions: Questions) -> str:
    return f'{quote("boot ")}"$boot"' if questions.patches else nothing(questions)


FACT = Fact(
    section="restarts",
    watch=f"/var/lib/dpkg/status {DATABASE}",
    also=_also,
    hourly=lambda questions: questions.patches,
    script=_script,
    parse=parse,
)
