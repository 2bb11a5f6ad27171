r"""What the sh programs about runs share on a node: text only, functions of sh. `call_text` has the programs, `runner_text` the runner.

POSIX sh (dash, bash, busybox ash) with the tools of coreutils or busybox, `setsid`, and `flock` where there is one.

ROOT/runs/RUN/            the claim, once it has a manifest, which is written last, or a `begun`: made while ROOT/lock is held
    manifest, digest      what was asked for; a start with another digest is refused
    plan, steps/N/{spec,launch,script}; runner, where it runs from a file
    content/SHA256                what its steps download, sent beforehand into ROOT/runs/.staged.RUN
    begun                 made where there is none (O_EXCL), so only one process ever gets it: that one is the run (or discarded it)
    state                 its last whole line counts: lines are appended
    steps/N/{out,err,exit,pid,timedout}
    cancel                somebody wants it ended
ROOT/done/RUN, ROOT/done.before/RUN
                      never starts (again): its end is known elsewhere, or it was cancelled before its start came
ROOT/markers/FLEET@ASSOCIATION, ROOT/acknowledged@FLEET
                      what was last applied, and how many runs are known to be reported: of this fleet alone
ROOT/epochs/FLEET         the highest epoch of this fleet's leaders that was ever heard of here
ROOT/refresh/FLEET        associations that a step asked to be run: "ask NAME" (`*`: all), "done NAME" since
ROOT/door                 held while a number in ROOT is raised; ROOT/lock: by a start that claims, and its runner until the end
"""

from typing import Final

PRELUDE: Final = r"""
set -u
umask 077
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
# Of ours, and not of a login's surroundings.
self= mine= hand= resident= rooted= setsid= reserve= is_told=
refuse() { # KIND REASON
    printf 'refused %s %s\n' "$1" "$2"
    exit 0
}
put() { # FILE LINE: replaced at once or not at all
    printf '%s\n' "$2" >"$1.tmp" 2>/dev/null && mv -f "$1.tmp" "$1" 2>/dev/null
}
is_alive() { # PID STARTTIME: the same process, and not a zombie
    read -r stat_line 2>/dev/null <"/proc/$1/stat" || return 1
    wanted_start=$2
    set -- ${stat_line##*) }
    case $1 in Z | X) return 1 ;; esac
    [ "${20}" = "$wanted_start" ]
}
boot_id() {
    boot=unknown
    read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id || :
}
durable() { # FILE...: on disk before we go on; a sick disk costs ten seconds, not the run
    timeout 10 sync "$@" >/dev/null 2>&1 || :
}
own_name() { # sets self and self_start: `$$` is another process in a shell that was forked off, which sets self to nothing first
    [ -z "${self:-}" ] || return 0
    read -r stat_line </proc/self/stat
    self=${stat_line%% *}
    set -- ${stat_line#*) } # our own name has no bracket: this is much less work than to look for the last one
    self_start=${20}
}
make_first() { # FILE LINE: whoever makes the file is the only one; no process is started for it
    set -C
    printf '%s\n' "$2" 2>/dev/null >"$1"
    made=$?
    set +C
    return "$made"
}
read_state() { # sets state: the last line that is whole
    state=
    [ -f state ] || return 0
    while read -r line; do
        [ -z "$line" ] || state=$line
    done <state
}
is_done() { # needs root and run
    [ -e "$root/done/$run" ] || [ -e "$root/done.before/$run" ]
}
pause() {
    sleep "$1" 2>/dev/null || sleep 1
}
take() { # FD FILE TENTHS [NAME]: lock FILE on FD; 1 where it is still held after that time, 2 where NAME is written before
    tenths=$3
    unless=${4:-}
    if command -v flock >/dev/null 2>&1; then
        until flock -n "$1"; do
            [ -z "$unless" ] || [ ! -s "$unless" ] || return 2
            [ "$tenths" -gt 0 ] || return 1
            tenths=$((tenths - 1))
            pause 0.1
        done
        return 0
    fi
    until take_link "$2.d"; do
        [ -z "$unless" ] || [ ! -s "$unless" ] || return 2
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        pause 0.1
    done
}
take_link() { # LINK: that says who made it, there from one moment to the next, with its holder's name, or not at all
    boot_id
    own_name
    mine="$self $self_start $boot"
    place=$1
    until ln -s "$mine" "$place" 2>/dev/null; do
        if ! held=$(readlink "$place" 2>/dev/null); then
            place=$1 # somebody has let go of it, or taken a dead one's place
            continue
        fi
        set -- "$1" $held
        [ "${4:-}" != "$boot" ] || ! is_alive "$2" "$3" || return 1
        # Who died with it is followed by whoever makes this name first, and by nobody else.
        place=$place.$2.$3
    done
    [ "$place" != "$1" ] || return 0
    at=$1
    while [ "$at" != "$place" ]; do
        set -- "$1" $(readlink "$at" 2>/dev/null)
        at=$at.${2:-}.${3:-}
        # Others may have followed the dead one, and gone, before we made our name.
        case $place. in "$at".*) ;; *) rm -f "$place"; return 1 ;; esac
    done
    mv -f "$place" "$1" 2>/dev/null || { rm -f "$place"; return 1; }
}
let_go() { # FILE: where it was taken by a link, of ours alone
    [ ! -L "$1.d" ] || [ "$(readlink "$1.d")" != "$mine" ] || rm -f "$1.d"
}
"""
"""Functions that programs and runner share. They touch nothing when read."""

ROOT: Final = r"""
me=$(id -u)
if [ "$me" = 0 ]; then
    root=/var/lib/reconciler
else
    case ${HOME:-} in
    /*) root=$HOME/.local/state/reconciler ;;
    *) refuse unsafe "HOME is not set for the login user: it must name its home folder" ;;
    esac
fi
cannot_write() {
    at=$root
    until [ -d "$at" ]; do
        at=${at%/*}
        [ -n "$at" ] || at=/
    done
    space=$(df -P "$at" 2>/dev/null | tail -n 1)
    set -- $space
    case ${5:-} in
    100% | 99%) refuse full "no space left on the node: $root is on a file system that is ${5} full; free some" ;;
    esac
    # What the system says, which also knows of quotas, inodes and modes.
    said=$(mkdir "$at/.writable.$$" 2>&1) && rmdir "$at/.writable.$$"
    case $said in
    *ead-only*) refuse unsafe "cannot write in $root on the node: its file system is mounted read-only; remount it" ;;
    *o\ space* | *uota*) refuse full "no space left on the node for $root (blocks, inodes or quota): free some" ;;
    *) refuse unsafe "cannot write in $root on the node${said:+: ${said##*: }}" ;;
    esac
}
own_folder() { # PATH: a folder of our own that nobody else can write; links are not followed
    [ -d "$1" ] || [ -L "$1" ] || mkdir "$1" 2>/dev/null || [ -d "$1" ] || cannot_write
    if [ -L "$1" ] || [ ! -d "$1" ]; then
        refuse unsafe "$1 on the node is a link or a file, not a folder: remove it"
    fi
    set -- "$1" $(ls -ldn "$1")
    [ "$4" = "$me" ] || refuse unsafe "$1 on the node belongs to uid $4, not to uid $me: remove it or give it back"
    case $2 in
    d????-??-?*) ;;
    *) refuse unsafe "$1 on the node can be written by others (mode $2): chmod 700 $1" ;;
    esac
}
own_root() {
    # Looked at already, in the shell that stays: who could change whose it is since owns it.
    [ -z "${rooted:-}" ] || [ -L "$root" ] || [ -L "$root/runs" ] || [ ! -d "$root/runs" ] || return 0
    [ "$me" = 0 ] || mkdir -p "$HOME/.local/state" 2>/dev/null
    own_folder "$root"
    own_folder "$root/runs"
}
known_epoch() {
    seen=0
    [ ! -f "$root/epochs/$fleet" ] || read -r seen <"$root/epochs/$fleet" || :
    case $seen in
    '' | *[!0-9]*) refuse unsafe "$root/epochs/$fleet on the node does not hold a number: remove it once only one daemon runs" ;;
    esac
}
check_epoch() { # of this fleet: another one that manages this node as well has leaders of its own
    known_epoch
    [ "$epoch" -ge "$seen" ] || refuse fenced "$seen"
    [ "$epoch" -ne "$seen" ] || return 0
    own_folder "$root/epochs"
    put "$root/epochs/$fleet" "$epoch" || cannot_write
}
open_door() {
    printf '' 2>/dev/null >>"$root/door" || cannot_write
    exec 8>>"$root/door"
    take 8 "$root/door" 100 || refuse busy "another start"
}
close_door() {
    exec 8>&-
    let_go "$root/door"
}
"""
"""Where the run root is, and what must hold before anything is written in it."""

REPORT: Final = r"""
find_standing() { # needs the run's folder as current folder; sets state and standing
    read_state
    case $state in "ended "*) standing=ended; return ;; esac
    waits=0
    until read -r run_pid run_start run_boot 2>/dev/null <begun; do
        # Between making it and writing it there is a moment; who was killed in it has begun nothing.
        if [ ! -e begun ] || [ "$waits" -ge 20 ]; then
            standing=unbegun
            return
        fi
        waits=$((waits + 1))
        pause 0.05
    done
    boot_id
    if [ "$run_pid" = discarded ]; then
        standing=unbegun
    elif [ "$run_boot" != "$boot" ]; then
        standing=down
        case $state in "reboot "*) standing=rebooted ;; esac
    elif is_alive "$run_pid" "$run_start"; then
        standing=going
    else
        # It may have written its last line between our two looks.
        read_state
        case $state in "ended "*) standing=ended; return ;; esac
        standing=killed
        case $state in
        "reboot "*)
            total=0
            [ ! -f reboots ] || read -r total <reboots
            if read -r resumer 2>/dev/null <"resumed.$total" && [ "$resumer" = "$run_pid $run_start $run_boot" ]; then
                standing=rebooted # it was killed behind its reboot, before any step went on
            else
                # The shutdown itself may have ended the runner: on the way down for a while.
                read -r up rest </proc/uptime
                [ "${up%%.*}" -ge "$((${state##* } + reboot_patience))" ] || standing=going
            fi
            ;;
        "step "*)
            at=${state#step }
            at=${at%% *}
            if read -r step_pid step_start 2>/dev/null <"steps/$at/pid" && is_alive "$step_pid" "$step_start"; then
                standing=orphan
            fi
            ;;
        esac
    fi
}
send_new() { # STEP KIND: what the manager does not hold yet, as far as this answer has room
    file=steps/$1/$2
    [ -s "$file" ] || return 0
    if [ -n "${hand:-}" ] && ask size "$file"; then
        size=$said
    else
        size=$(wc -c <"$file")
        size=$((size))
    fi
    offset_of "$1" "$2"
    [ "$size" -gt "$offset" ] || return 0
    count=$((size - offset))
    if [ "$count" -gt "$room" ]; then
        count=$room
        tell_line more
        [ "$count" -gt 0 ] || return 0
    fi
    room=$((room - count))
    tell_line "data $1 $2 $offset $count"
    printf %s "$told"
    told=
    if [ "$offset" = 0 ]; then
        head -c "$count" "$file"
    else
        tail -c +$((offset + 1)) "$file" 2>/dev/null | head -c "$count"
    fi
    printf '\n'
}
tell_line() { # LINE: many of them leave in one write, and wake whoever reads them once
    told="$told$1
"
}
report() {
    find_standing
    # What looked as if it never began may be the rest of one whose end is known.
    [ "$standing" != unbegun ] || is_run . || { printf 'absent\nend\n'; return; }
    told=
    tell_line "state $state"
    tell_line "standing $standing"
    why=
    [ ! -f why ] || read -r why <why || :
    [ -z "$why" ] || tell_line "why $why"
    took=
    [ ! -f took ] || read -r took <took || :
    [ -z "$took" ] || tell_line "took $took"
    for step in steps/*; do
        step=${step#steps/}
        result=
        [ ! -f "steps/$step/exit" ] || read -r result <"steps/$step/exit" || result=
        tell_line "step $step $result"
        send_new "$step" out
        send_new "$step" err
    done
    tell_line end
    printf %s "$told"
}
await_end() { # until the run has ended, or `wait` seconds
    read -r up rest </proc/uptime
    until_up=$((${up%%.*} + wait))
    nap=0.02
    while :; do
        find_standing
        case $standing in going | orphan | unbegun) ;; rebooted) [ -n "${resuming:-}" ] || return ;; *) return ;; esac
        read -r up rest </proc/uptime
        [ "${up%%.*}" -lt "$until_up" ] || return 0
        pause "$nap"
        case $nap in 0.02) nap=0.05 ;; 0.05) nap=0.1 ;; esac
    done
}
is_run() { # FOLDER: and not one that is being made, or removed
    [ -s "$1/manifest" ] || [ -e "$1/begun" ]
}
find_run() {
    [ ! -L "$root" ] && [ ! -L "$root/runs" ] && [ ! -L "$root/runs/$run" ] && cd "$root/runs/$run" 2>/dev/null && is_run .
}
enter_run() {
    find_run || { printf 'absent\nend\n'; exit 0; }
}
has_other() { # FOLDER: begun by another process than the one of the folder that was looked at
    read -r by rest 2>/dev/null <"$1/begun" && [ "$by" != discarded ] && [ "$by $rest" != "$judged" ]
}
remove_run() { # never half: a folder without its `begun` would look like one that may still be started
    # Of the folder that was looked at, whatever its name leads to by now: others may have removed it, and a start made it anew.
    judged=
    [ "$standing" = unbegun ] || read -r judged 2>/dev/null <begun || :
    cd "$root/runs" || exit 0
    own_name
    old=.old.$run.$self
    rm -rf "$old"
    if ! has_other "$run" && mv "$run" "$old" 2>/dev/null; then
        # A runner that stood still for long in making its `begun` may have written it behind our last look: it looks for the
        # folder after that, and we for its name after the move, so that one of us sees the other.
        has_other "$old" && [ ! -e "$run" ] && mv "$old" "$run" || rm -rf "$old"
    fi
    if is_run "$run" && cd "$run"; then
        report
    else
        printf 'absent\nend\n'
    fi
}
mark_done() { # before anybody is told that it is not there: a start of it may still be on its way to us
    printf '' 2>/dev/null >"$root/done/$run" && return
    mkdir "$root/done" 2>/dev/null
    printf '' 2>/dev/null >"$root/done/$run"
}
never_again() { # an association's run that never began keeps its number, and a later pass starts it
    [ "$for_good" = 1 ] || return 0
    own_root
    mark_done || cannot_write
}
turn_done() { # needs the door: the last thousand marks stay, and those of the thousand before
    set -- "$root"/done/*
    [ "$#" -lt 1000 ] || { rm -rf "$root/done.before" && mv "$root/done" "$root/done.before"; }
}
remove_known() { # what it came to is known, and nobody starts it again: cut anywhere, the rest has ended, or is no run
    # On a full disk its files make room for the mark; without one it stays, and is settled again.
    mark_done || { rm -rf "$run/steps"; mark_done; } || return 0
    rm -rf "$run"/[!ms]* "$run/steps" "$run/manifest" "$run"
}
"""
"""How a run is told: lines, and after each `data` line as many bytes as it says."""

TRANSACTION: Final = r"""
find_transaction() { # SESSION: a package transaction that has begun among its processes; sets busy to what to say of it
    wanted=$1
    busy=
    lockers=
    for lock in /var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock; do
        [ -f "$lock" ] || continue
        inode=$(ls -i "$lock")
        lockers="$lockers $(grep " WRITE .*:${inode%% *} " /proc/locks)"
    done
    for process in /proc/[0-9]*; do
        read -r stat_line 2>/dev/null <"$process/stat" || continue
        name=${stat_line#*(}
        name=${name%)*}
        number=${process#/proc/}
        set -- ${stat_line##*) }
        [ "$1" != Z ] && { [ "$3" = "$wanted" ] || [ "$4" = "$wanted" ]; } || continue
        case $name in
        dpkg | rpm) ;;
        apt | apt-get | aptitude | unattended-upgr) # it opens this log for as long as it has dpkg at work
            case $(ls -l "$process/fd" 2>/dev/null) in */apt/term.log*) ;; *) continue ;; esac
            ;;
        *) case $lockers in *" WRITE $number "*) ;; *) continue ;; esac ;;
        esac
        booted=$(grep '^btime ' /proc/stat)
        since=$(date -u -d "@$((${booted#btime } + ${20} / 100))" +%H:%M:%SZ 2>/dev/null)
        busy="$name (pid $number, since $since)"
        return
    done
}
"""
"""Whether a package manager is at work among the processes of a step: that one must never be killed."""

SPAWN: Final = r"""
spawn() { # RESUMED [LOCKED]: the run must outlive this connection, on every init
    runner=$root/runs/$run/runner
    spawned=1
    if [ -n "${resident:-}" ]; then
        # The shell that stays was begun outside of any login's session: what it forks off stays as well.
        (
            trap '' HUP
            exec </dev/null >/dev/null 2>&1 8>&- 4>&- 5<&-
            # It is asked by one process at a time, and programs come after this one.
            hand=
            self=
            folder=$root/runs/$run
            cd "$folder" || exit 0
            run_document "$@"
        ) &
        return
    fi
    if [ ! -s "$runner" ]; then # claimed by a shell that stays, which has none: whole or not at all, whoever else writes it
        printf %s "$runner_text" "$runner_start" 2>/dev/null >"$runner.$$" && mv -f "$runner.$$" "$runner" || {
            rm -f "$runner.$$"
            is_run "$root/runs/$run" || return 0 # it never began, and was removed
            cannot_write
        }
    fi
    if [ "$me" = 0 ] && [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
        # Without OOMPolicy one greedy script would take its runner along; older systemd does not know the word.
        # What a unit ignores its scripts ignore, and no shell takes that back.
        let_go "$root/lock"
        exec 9>&-
        own_name
        set -- "$1"
        for policies in 'OOMPolicy=continue -p IgnoreSIGPIPE=no' IgnoreSIGPIPE=no KillMode=process; do
            systemd-run --quiet --unit="reconciler-$short-$self" -p KillMode=process -p $policies \
                sh "$runner" "$@" </dev/null >/dev/null 2>&1 8>&- && return
        done
    fi
    setsid sh "$runner" "$@" </dev/null >/dev/null 2>&1 8>&- &
}
"""
"""How a runner is started, detached from everything."""

ACCOUNT_HOME: Final = r"""
account_home=$(me=$(id -u); grep "^[^:]*:[^:]*:$me:" /etc/passwd 2>/dev/null | head -n 1)
# The local file first: a directory service that does not answer must not hold a script up.
[ -n "$account_home" ] || account_home=$(getent passwd "$(id -u)" 2>/dev/null)
account_home=${account_home%:*}
account_home=${account_home##*:}
account_home=${account_home:-/}
"""
"""What a login sets from the user's entry: scripts of package managers, git and language tools stop without it."""

STAY: Final = rf"""
eval "$runner_text"
resident=1
setsid=$(command -v setsid)
reserve=$(printf '%32768s' '')
# Looked up once: what is forked off from here need not search for them.
hash mv cat sleep 2>/dev/null || :
rooted=
[ "$(own_root; echo well)" != well ] || rooted=1
{ACCOUNT_HOME}
"""
"""Behind the library, in a shell that stays: what is looked up once there, and by each program anywhere else."""
