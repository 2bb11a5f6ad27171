"""Questions -> the one program that asks a node everything: POSIX sh for dash, bash and busybox.

Takes what to ask and a nonce, gives a `Program` whose answer `frames.py` reads. What it costs on the node is processes, so
there are few: one `stat` for every fingerprint and every file, one `grep` for every small file, and a tool of its own only
for sections whose fingerprint is not the one the caller holds. It writes nothing on the node and asks for nothing twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache

from reconciler.inventory.fact import Fact
from reconciler.inventory.facts import FACTS
from reconciler.inventory.facts.checks import BATCH, CHECK_SECONDS
from reconciler.inventory.facts.files import askable
from reconciler.model.command import Limits, Program, Standing
from reconciler.model.node import Become, Node
from reconciler.model.questions import Questions
from reconciler.model.shell import quote

VERSION = "1"
"""Of what fingerprints mean: a cache of another version is dropped."""

# `say` keeps the names of the fingerprints it tells in H, for a program that stays (_STAY).
_SETUP = r"""
LC_ALL=C LANG=C; export LC_ALL LANG
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077
NL='
'
say() { c=$((c+1)); O="$O$N $1 $2 ${#3}$NL$3$NL"; case $1 in at.*) H="$H ${1#at.}"; esac; }
same() { U="$U $1"; }
flush() { printf %s "$O"; O=; }
first() { v=; [ -f "$1" ] && [ -r "$1" ] && IFS= read -r v <"$1"; }
"""

# IFS=$NL splits stat's answer at line feeds only; set -f keeps a `*` in a path from being expanded.
# An empty -wal is what rpm leaves behind when it only reads, so it tells nothing.
# /proc/self/ stands before each group of paths and ends the one before; its change time is the node's clock.
_HEAD = r"""
unset IFS; set +f
c=0 O= U= H=
%(unset)s
init= dpkg= rpm=
[ -d /run/systemd/system ] && init=systemd
[ -d /var/lib/dpkg ] && dpkg=dpkg
[ -d /var/lib/rpm ] && rpm=rpm
S=$(TZ=UTC0 stat -c '%(format)s' %(watch)s 2>&1)
set -f; IFS=$NL; g= G='%(groups)s '
for l in $S; do
  case $g$l in
  files*) at_files=$at_files$l$NL;;
  *' /proc/self/') at_self=$l g=${G%%%% *} G=${G#* };;
  *'stat: '*|*' 0 '*-wal) ;;
  *) eval "at_$g=\$at_$g\$l\$NL";;
  esac
done
unset IFS
set -- $at_self
uid=$5 now="$7 $8 ${9%%%%|*}" user=$USER
case $9 in *'|'*) user=${at_self#*|}; user=${user%%%%|*};; esac
set +f
case $uid in ''|*[!0-9]*) uid=$(id -u) user=$(id -un) now="epoch $(date +%%s)";; esac
[ -n "$user" ] || user=$(id -un)
[ "$user" = UNKNOWN ] && user=$uid
if [ "$uid" = 0 ]; then root=/var/lib/reconciler at=$at_rootrun; else root=$HOME/.local/state/reconciler at=$at_homerun; fi
case $at in
'') rootstate=absent;;
4?[02468ace][014589cd]' '*' '*' '*' '"$uid "*) rootstate=ok;;
*) rootstate="the run root $root is no folder of ours alone: it must belong to uid $uid, be no link, and be writable by nobody else";;
esac
first /proc/sys/kernel/random/boot_id; boot=$v
"""

_PLAIN = "%f %s %i %d %u %g %z %n"
_NAMED = "%f %s %i %d %u %g %z|%U|%G %n"
"""Names of owners only where files are asked for: stat looks each one up anew, which is most of its work."""

_READ = r"""
n=$# pre=
while [ "$n" -gt 0 ]; do
  k=${1%%:*} p=${1#*:}; shift; n=$((n-1))
  case $p in *[!A-Za-z0-9_./@=,+~-]*)
    case $pre in *"o $k ${p%/*}$NL"*) ;; *) pre="${pre}o $k ${p%/*}$NL";; esac; continue;;
  esac
  if [ -f "$p" ] && [ -r "$p" ]; then pre="$pre+ $k $p$NL"; set -- "$@" "$p"
  elif [ -e "$p" ] || [ -L "$p" ]; then pre="$pre? $k $p$NL"
  else pre="$pre- $k $p$NL"
  fi
done
t= e=1
[ $# -eq 0 ] || { t=$(grep -a -H -v '^ *[0-9]*: [0-9A-F]*:[0-9A-F]* [0-9A-F]*:[0-9A-F]* 0[1-689B]' "$@" 2>/dev/null); e=$?; }
if [ -z "$t" ]; then pre=${pre%?}; fi
say texts ok "grep $e$NL$pre$t"
"""

_TAIL = r"""
[ -z "$U" ] || say unchanged ok "$U"
O="$O$N end $c$NL"; flush
"""

# What was told is what is held from then on: the asker says with the next nonce that he took it all. It leaves with stdin.
_STAY = rb"""
cd /
while :; do
  ask </dev/null
  for H in $H; do eval "held_$H=\$at_$H"; done
  read -r N || exit
  case $N in ''|*[!0-9a-f]*) exit;; esac
done
"""

_NOTHING_HELD = f"\n{' '.join(f'held_{name}=-' for name in FACTS)}\n"

_SLOW = ("packages", "available", "restarts", "source_offers", "files", "checks")
"""Sections that take their time where they are computed: what is known before them is sent before them."""


def program(
    questions: Questions, *, node: Node, nonce: str, only: frozenset[str] | None = None, after: str | None = None
) -> Program:
    """Give the program for `questions`; with `only`, for these sections and nothing else.

    `after` is the nonce of the last answer, where everything it told is held, and nothing else is.

    Raises ValueError where a question holds a NUL, which no program can carry.
    """
    body = _body(replace(questions, held={}) if questions.held else questions, only)
    login = b"" if node.become is Become.SUDO else b"unset SUDO_USER SUDO_UID SUDO_GID\n"
    mine = "".join(f"held_{name}={quote(text)}\n" for name, text in questions.held.items() if name in FACTS)
    begin = f"{_NOTHING_HELD}N={quote(nonce)}\n{mine}{_SETUP}".encode() + login
    return Program(
        text=begin + body,
        become=node.become is Become.SUDO,
        limits=_limits(questions),
        standing=None if only is not None else Standing(begin=begin, body=body, stay=_STAY, nonce=nonce, after=after),
    )


@lru_cache(maxsize=1024)
def _body(questions: Questions, only: frozenset[str] | None) -> bytes:
    """Give all but what differs from request to request; nodes with the same questions share it."""
    facts = tuple(
        fact
        for fact in FACTS.values()
        if (only is None or fact.section in only) and (fact.reads(questions) or fact.script(questions))
    )
    head = _HEAD % {
        "format": _NAMED if questions.files else _PLAIN,
        "unset": " ".join(["at_self= at_rootrun= at_homerun=", *(f"at_{name}=" for name in FACTS)]),
        **_watch(questions, facts),
    }
    reads = [_guarded(fact, questions, fact.reads(questions)) for fact in facts if fact.reads(questions)]
    scripts = [_guarded(fact, questions, fact.script(questions)) for fact in facts if fact.script(questions)]
    return "".join((head, *_also(questions, facts), "set --\n", *reads, _READ, *scripts, _TAIL)).encode()


def _watch(questions: Questions, facts: Iterable[Fact]) -> Mapping[str, str]:
    """Give the words of stat and the names of their groups; the group `files`, whose order counts, is the last one."""
    groups = {
        "rootrun": "/var/lib/reconciler",
        "homerun": '"$HOME/.local/state/reconciler"',
        **{fact.section: fact.watch for fact in facts if fact.watch},
    }
    if any(fact.section == "files" for fact in facts):
        groups["files"] = " ".join(map(quote, askable(questions.files)))
    return {"groups": " ".join(groups), "watch": " ".join(f"/proc/self/ {words}" for words in groups.values())}


def _also(questions: Questions, facts: Iterable[Fact]) -> Iterable[str]:
    for fact in facts:
        if word := fact.also(questions):
            at = f"at_{fact.section}"
            yield f'[ -z "${at}" ] || {at}={word}$NL${at}\n' if fact.watch else f"{at}={word}\n"


def _guarded(fact: Fact, questions: Questions, text: str) -> str:
    """Answer `unchanged` where the fingerprint is the one that is held; else say the fingerprint, and compute."""
    name = fact.section
    if name in _SLOW and "\n" in text:  # one line is no work
        text = f"flush\n{text}"
    if fact.keeps and not fact.hourly(questions):
        return text + "\n"
    if not fact.watch and not fact.hourly(questions) and name != "files":
        return text + "\n"
    announce = "" if fact.keeps else f'[ -z "$at_{name}" ] || say at.{name} ok "$at_{name}"'
    return f'if [ "$at_{name}" = "$held_{name}" ]; then same {name}; else\n{announce}\n{text}\nfi\n'


def _limits(questions: Questions) -> Limits:
    """Leave time for checks: they run side by side, `BATCH` at a time, and a batch may hang as long as one check may."""
    batches = -(-len(questions.checks) // BATCH)
    more = timedelta(seconds=batches * CHECK_SECONDS)
    usual = Limits()
    return replace(usual, idle=usual.idle + more, total=usual.total + more)


def patience(questions: Questions) -> timedelta:
    """Give how long a pass waits for a node's answer: as long as one may be silent. Its own limit, total, is longer."""
    return _limits(questions).idle
