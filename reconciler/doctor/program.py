r"""What the doctor asks a node: two sh programs that only read, one as the login user, one as the user that runs documents.

Every line of an answer is a word and what belongs to it. Nothing is written on the node: whether a folder can be written is asked
of the kernel, and whether a lock is held is seen from who has it open.
"""

from datetime import timedelta
from typing import Final

from reconciler.model.command import Limits, Program

NEEDED: Final = (
    "cat",
    "chmod",
    "cksum",
    "date",
    "df",
    "grep",
    "head",
    "id",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "readlink",
    "rm",
)
"""Beyond sh itself, by the programs for facts and runs."""
MORE_NEEDED: Final = ("setsid", "sleep", "sort", "stat", "tail", "uname")
WANTED: Final = ("flock", "sync", "timeout")
"""Used where they are there; without them there are slower ways."""

LIMITS: Final = Limits(idle=timedelta(seconds=30), total=timedelta(seconds=60), answer_bytes=512 * 1024)

_HEAD: Final = r"""
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
say() { printf '%s %s\n' "$1" "$2"; }
nearest() { # PATH: the folder itself, or the first above it that is there
    near=$1
    while [ ! -e "$near" ] && [ ! -L "$near" ] && [ "$near" != / ]; do
        near=${near%/*}
        near=${near:-/}
    done
}
space() { # PATH
    nearest "$1"
    say space "$1 $(df -Pk "$near" 2>/dev/null | tail -n 1)"
    say inodes "$1 $(df -Pi "$near" 2>/dev/null | tail -n 1)"
}
uid=$(id -u)
"""

_LOGIN: Final = r"""
say clock "$(date +%s)"
say uid "$uid"
say user "$(id -un)"
say shell "${SHELL:-}"
say sh "$(readlink -f /bin/sh 2>/dev/null || echo /bin/sh)"
for tool in {needed}; do command -v "$tool" >/dev/null 2>&1 || say missing "$tool"; done
for tool in {wanted}; do command -v "$tool" >/dev/null 2>&1 || say unavailable "$tool"; done
case {become}$uid in
sudo* | none0) root=/var/lib/reconciler ;;
*) root=$HOME/.local/state/reconciler ;;
esac
space "$root"
space /tmp
say end login
"""

_RUN: Final = r"""
say uid "$uid"
if [ "$uid" = 0 ]; then root=/var/lib/reconciler; else root=$HOME/.local/state/reconciler; fi
say root "$root"
nearest "$root"
say near "$near"
say entry "$(ls -ldn "$near" 2>/dev/null)"
if [ -w "$near" ]; then say writable yes; else say writable no; fi
mount=$(df -P "$near" 2>/dev/null | tail -n 1)
mount=${mount##* }
while read -r device point type options rest; do
    [ "$point" = "$mount" ] && found=$options
done </proc/mounts
say options "${found:-}"
if [ "$uid" = 0 ] && [ -n "${SUDO_USER:-}" ]; then
    sudo -n -l -U "$SUDO_USER" 2>/dev/null | head -n 200 | while IFS= read -r line; do say sudoers "$line"; done
fi
manager=
for tool in apt-get dnf yum zypper apk pacman; do
    if command -v "$tool" >/dev/null 2>&1; then manager=$tool; break; fi
done
say manager "$manager"
if command -v dpkg-query >/dev/null 2>&1; then
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' 2>/dev/null | grep -v '^.[nci] ' | head -n 20 |
        while read -r state package; do say broken "$package"; done
    for update in /var/lib/dpkg/updates/[0-9]*; do
        [ ! -e "$update" ] || { say interrupted dpkg; break; }
    done
fi
if [ "$uid" = 0 ]; then
    ls -l /proc/[0-9]*/fd 2>/dev/null | while read -r line; do
        case $line in
        /proc/*:) process=${line#/proc/} process=${process%%/*} ;;
        *' -> '/var/lib/dpkg/lock* | *' -> '/var/lib/apt/lists/lock | *' -> '*/rpm/.rpm.lock | *' -> '/run/zypp.pid | \
            *' -> '/var/lib/dnf/*lock* | *' -> '/lib/apk/db/lock | *' -> '/var/lib/pacman/db.lck)
            name=
            read -r name 2>/dev/null <"/proc/$process/comm"
            say holder "$process $name ${line##* -> }"
            ;;
        esac
    done
    if command -v sshd >/dev/null 2>&1; then
        sshd -T 2>/dev/null | grep -E '^(maxsessions|maxstartups|forcecommand|allowtcpforwarding) ' |
            while read -r key value; do say sshd "$key $value"; done
    fi
fi
say end run
"""


def login_program(*, become: bool) -> Program:
    """Ask about shell, tools, clock and disk, as the login user."""
    text = _HEAD + (
        _LOGIN.replace("{needed}", " ".join((*NEEDED, *MORE_NEEDED)))
        .replace("{wanted}", " ".join(WANTED))
        .replace("{become}", "sudo" if become else "none")
    )
    return Program(text=text.encode(), limits=LIMITS)


def run_program(*, become: bool) -> Program:
    """Ask about run folder, sudo's rules, packages and sshd, as whoever runs documents."""
    return Program(text=(_HEAD + _RUN).encode(), become=become, limits=LIMITS)
