r"""The runner: the sh program that carries out one run on its node, detached from everything. Text only.

It reads `plan` and `steps/N/spec` in the run's folder. It ends with status 0 always, takes no input, and is the only writer
of `state`. Scripts are its children in process groups of their own, without the lock's descriptor.

Two ways lead to it: as a file of its own in the run's folder, or forked off by a shell that stays on the node (`resident`),
which has read it long before. Every process that it starts is one that a fleet pays for at every run: the shell does what
the shell can do.
"""

from typing import Final

RUNNER: Final = r"""
here_pipes() { # what 4 writes 3 reads, what 6 writes 5 reads: by no program where here-documents are pipes, and 1 where not
    exec 3<<X 5<<X

X

X
    [ -p /proc/self/fd/3 ] && [ -p /proc/self/fd/5 ] || return 1
    read -r rest <&3
    read -r rest <&5
    exec 4>/proc/self/fd/3 6>/proc/self/fd/5
}
end_in_time() { # the time of the step at $pid is over: ends it, also when nobody else is left; no package transaction under way
    is_alive "$pid" "$began" || exit 0
    find_transaction "$pid"
    printf '%s\n' "$busy" >"$step/timedout"
    while [ -n "$busy" ]; do
        put why "timed out, waiting for $busy" || :
        pause 0.2
        is_alive "$pid" "$began" || exit 0
        find_transaction "$pid"
    done
    until kill -9 "-$pid" 2>/dev/null; do # it has no group yet, or is over
        is_alive "$pid" "$began" || exit 0
        pause 0.2
    done
}
finish() { # told to whoever waits for it by no trap: a child of bash that is ended early runs those of its parent
    [ -z "${is_told:-}" ] || { cd "$folder" 2>/dev/null && report; }
    exit 0
}
run_document() { # RESUMED LOCKED: in the run's folder; how often it has asked for a reboot, and whether 9 is locked already
resumed=${1:-}
locked=${2:-}
. ./plan
own_name
start=$self_start
boot_id
if [ -n "$resumed" ]; then
    # Made by `ln`, with its content: whoever finds it judges by that.
    printf '%s %s %s\n' "$self" "$start" "$boot" >"begun.$self" || finish
    ln "begun.$self" "resumed.$resumed" 2>/dev/null || { rm -f "begun.$self"; finish; }
    exec 9>>"$root/lock"
    # Without the lock nothing changes: the run still waits to be resumed.
    take 9 "$root/lock" "$patience" || { rm -f "begun.$self" "resumed.$resumed"; finish; }
    mv -f "begun.$self" begun || finish
else
    # Whoever makes this name is the run: a second runner, and a manager that discards the run, come too late.
    make_first begun "$self $start $boot" || finish
fi

not_started() { # REASON: nothing of the document ran
    rm -f reserve
    put why "$1"
    # Where even this cannot be written, `state` stays as it is: nothing ran, and it says nothing else.
    tell state "ended NotStarted -1 $epoch"
    finish
}
tell() { # FILE LINE
    printf '%s\n' "$2" 2>/dev/null >>"$1"
}
if [ -z "$resumed" ] && [ -z "$locked" ]; then
    tell state "waiting $epoch $self $start" || not_started "no space left on the node"
    exec 9>>"$root/lock"
    take 9 "$root/lock" "$patience" || {
        holder=
        read -r holder 2>/dev/null <"$root/holder" || :
        not_started "another document is running on the node: $holder"
    }
fi
leave() {
    printf '' 2>/dev/null >"$root/holder"
    let_go "$root/lock"
    exec 9>&-
    finish
}
seen=0
[ ! -f "$root/epochs/$fleet" ] || read -r seen <"$root/epochs/$fleet" || :
if [ -z "$resumed" ] && [ "${seen:-0}" -gt "$epoch" ]; then
    let_go "$root/lock"
    not_started "a newer daemon leads (epoch $seen)"
fi
# Its end is known, or it was cancelled before it was there: what we have begun is what is left of it.
[ -n "$resumed" ] || ! is_done || leave
printf '%s\n' "$association $run" 2>/dev/null >"$root/holder"
# Results must be writable even when the script fills the disk.
[ -n "${reserve:-}" ] || reserve=$(printf '%32768s' '')
if [ -n "$resumed" ]; then
    printf %s "$reserve" 2>/dev/null >reserve || rm -f reserve
elif ! printf %s "$reserve" 2>/dev/null >reserve || ! tell state "started $epoch $self $start"; then
    let_go "$root/lock"
    not_started "no space left on the node"
fi
asked=$root/refresh/$fleet
if [ -z "$resumed" ] && [ -f "$asked" ]; then # whoever wished for this run has it now
    {
        # 1: nothing else is left of it; above that it was not read, or written, to its end.
        { grep -v -x -F -e "ask $association" -e "done $association" "$asked" || [ "$?" = 1 ]; } && {
            ! grep -q -x -F 'ask *' "$asked" || printf 'done %s\n' "$association"
        }
    } 2>/dev/null >"$asked.tmp" && mv -f "$asked.tmp" "$asked"
fi
read -r up_start rest </proc/uptime
# Before anything of it runs: after a power cut a run must not look like one that never began. Nothing of it runs without.
sync begun manifest state . .. >/dev/null 2>&1 || :
# Whoever took this run for one that never began has moved the folder away, and what lies there now may be another start of it.
read -r by rest 2>/dev/null <"$folder/begun" && [ "$by $rest" = "$self $start $boot" ] || leave

record() { # LINE INTO FILE, whatever it takes: without it nobody knows how it ended
    until note "$2" "$1"; do
        [ -e begun ] || leave # somebody removed its folder: nobody ever will
        printf '' >reserve
        pause 1
    done
}
note() { # FILE LINE: behind the others in `state`, in place of the one before in others
    case $1 in
    state) tell state "$2" || { printf '\n' 2>/dev/null >>state; return 1; } ;; # half a line may be there
    */exit) printf '%s\n' "$2" 2>/dev/null >"$1" ;;
    *) put "$1" "$2" ;;
    esac
}
make_pipes() { # as here_pipes does, or by files that go at once
    ! here_pipes || return 0
    mkfifo "$step/o" "$step/e" || return 1
    exec 4<>"$step/o" 6<>"$step/e"
    exec 3<"$step/o" 5<"$step/e"
    exec 4>"$step/o" 6>"$step/e"
    rm -f "$step/o" "$step/e"
}
swallow() { # FD FILE: the first $cap blocks are kept, the rest is read slowly and dropped, so that nobody dies
    (
        exec 3<&- 4>&- 5<&- 6>&- 9>&-
        # Beyond the limit the signal ends this cat, and not the script; head would hold small output back for long.
        ulimit -f "$cap"
        cat >>"$step/$2" && exit
        # Paced beyond the limit: `yes` for an hour must not take a processor from the node.
        while [ "$(head -c 1048576 | wc -c)" -gt 0 ]; do
            pause 0.05
        done
    ) <&"$1" >/dev/null 2>&1 &
}
is_reading() { # PID: of a child that was not waited for; one that was met while waiting for another is no process any more
    kill -0 "$1" 2>/dev/null && read -r stat_line 2>/dev/null <"/proc/$1/stat" || return 1
    case ${stat_line##*) } in Z* | X*) return 1 ;; esac
}
watch() { # ends the step at its time-out
    (
        exec 3<&- 4>&- 5<&- 6>&- 9>&-
        trap '' HUP
        earlier=$!
        trap '[ "$!" = "$earlier" ] || kill "$!"; exit 0' TERM
        sleep "$timeout" &
        wait "$!"
        end_in_time
    ) </dev/null >/dev/null 2>&1 &
    dog=$!
}
by_hand() { # runs $step/script; 1 where the shell must, and nothing of it ran
    ask run "$folder" "$step" "$timeout" "$((cap * 512))" "$account_home"
    case $? in 1) return 1 ;; 2) finish ;; esac
    pid=${said% *}
    began=${said#* }
    # A cancel that came while there was no process to kill yet.
    [ ! -e cancel ] || kill -9 "-$pid" 2>/dev/null
    # Where it was killed nobody knows how the step ended: as if we were killed ourselves. Its time is counted anew.
    hear || { watch; finish; }
    code=$said
}
become_known() { # in the child that becomes the step: who it is stands there before anything of it runs, or nothing does
    by=$self
    self=
    own_name
    known="$self $self_start"
    { printf '%s\n' "$known" >"$step/pid"; } 2>/dev/null || { printf '' >reserve; printf '%s\n' "$known" >"$step/pid"; } 2>/dev/null || {
        printf 'its process cannot be noted in its run folder on the node: it was not begun\n' >&2
        exit 1
    }
    # Whoever found our runner dead, and nobody here, has said that nothing of it goes on.
    is_alive "$by" "$start" || exit 1
}
execute() { # runs $step/script; sets code and status
    [ ! -e "$step/timedout" ] || rm -f "$step/timedout"
    if [ -n "${hand:-}" ] && by_hand; then
        judge
        return
    fi
    # Its pipes have the numbers of those that lead to the hand.
    hand=
    make_pipes || { code=1; status=Failed; return; }
    swallow 3 out
    reads_out=$!
    swallow 5 err
    reads_err=$!
    if [ -n "${resident:-}" ]; then
        # This shell has no environment but PATH and what is unset here: two programs fewer.
        (
            exec </dev/null >&4 2>&6 3<&- 4>&- 5<&- 6>&- 9>&-
            become_known
            trap - HUP PIPE
            set +u
            unset LC_ALL
            HOME=$account_home
            set -- "$folder/$step" "$setsid"
            . "$1/launch"
        ) &
    else
        (
            exec </dev/null >&4 2>&6 3<&- 4>&- 5<&- 6>&- 9>&-
            become_known
            exec setsid env -i PATH="$PATH" sh "$folder/$step/launch"
        ) &
    fi
    pid=$!
    exec 3<&- 4>&- 5<&- 6>&-
    began=0
    if read -r stat_line 2>/dev/null <"/proc/$pid/stat"; then
        set -- ${stat_line#*) } # it is named like this shell, or setsid
        began=${20}
    fi
    watch
    # A cancel that came while there was no process to kill yet.
    [ ! -e cancel ] || kill -9 "-$pid" 2>/dev/null
    wait "$pid"
    code=$?
    kill "$dog" 2>/dev/null
    wait "$dog" 2>/dev/null
    # The run ends with its process: a child that keeps the output open gets a second, and goes on alone after that.
    naps=0
    while is_reading "$reads_out" || is_reading "$reads_err"; do
        [ "$naps" -lt 60 ] || break
        naps=$((naps + 1))
        [ "$naps" -le 10 ] || pause 0.02
    done
    judge
}
judge() {
    if [ -e "$step/timedout" ]; then
        waited=
        read -r waited 2>/dev/null <"$step/timedout"
        [ ! -e why ] || rm -f why
        [ -z "$waited" ] || printf 'timed out after %s s, and ended once %s was done\n' "$timeout" "$waited" >>"$step/err"
    fi
    if [ -e "$step/timedout" ] && [ ! -e cancel ]; then
        # Whatever it ended with while it was let finish: its time was over.
        status=TimedOut
        return
    fi
    case $code in
    0) status=Success ;;
    137)
        if [ -e cancel ]; then
            status=Cancelled
        else
            status=TimedOut
        fi
        ;;
    168)
        status=Success
        : >"$step/err"
        printf 'the script ended with 168: a success, and the steps after it are skipped\n' >>"$step/out"
        ;;
    194)
        if [ "$depth" = 1 ]; then
            go_down
        else
            status=Failed
            printf 'the script ended with 194: a document that another one runs cannot ask for a reboot\n' >>"$step/err"
        fi
        ;;
    *)
        status=Failed
        printf 'failed to run commands: exit status %s\n' "$code" >>"$step/err"
        ;;
    esac
}
go_down() { # the script asks for a reboot: this comes back only where the node does not go down
    status=Failed
    tries=0
    [ ! -f "$step/reboots" ] || read -r tries <"$step/reboots"
    if [ -e cancel ]; then
        status=Cancelled
        return
    fi
    if [ "$tries" -ge "$most_reboots" ]; then
        printf 'the script asked for a reboot once more after %s of them: no more are granted\n' "$tries" >>"$step/err"
        return
    fi
    total=0
    [ ! -f reboots ] || read -r total <reboots
    record "$((tries + 1))" "$step/reboots"
    record "$((total + 1))" reboots
    read -r up rest </proc/uptime
    record "reboot $number $epoch ${up%%.*}" state
    rm -f reserve "$root/holder"
    durable state reboots begun plan digest steps/*/* .
    said=$(shutdown -r now 2>&1 9>&-) || said=$(reboot 2>&1 9>&-) || {
        printf 'the script ended with 194, and the node cannot be rebooted: %s\n' "$said" >>"$step/err"
        return
    }
    naps=0
    while [ "$naps" -lt "$reboot_patience" ]; do
        naps=$((naps + 1))
        pause 1
    done
    printf 'the node was told to reboot, and did not within %s s\n' "$reboot_patience" >>"$step/err"
}
rank() { # STATUS: of several elements of one step the highest counts
    case $1 in Skipped) rank=0 ;; Success) rank=1 ;; Failed) rank=6 ;; Cancelled) rank=7 ;; *) rank=8 ;; esac
}
merge() { # STATUS STATUS: sets merged to the one that counts
    rank "$1"
    before=$rank
    rank "$2"
    merged=$1
    [ "$rank" -le "$before" ] || merged=$2
}
end_level() { # LEVEL: the step at that level is over: do its modifiers demand the end of its document?
    eval "ended=\$status_$1 with=\$code_$1 failing=\$on_failure_$1 succeeding=\$on_success_$1 of=\$of_$1"
    if [ "$ended" = Failed ] && [ "$failing" = successAndExit ]; then
        ended=Success
        with=168
        [ "$1" != "$innermost" ] || record "Success 168" "$step/exit"
    fi
    case $with in 168 | 169) eval "demanded$of=\$with" ;; esac
    case $ended:$failing:$succeeding in
    Failed:exit:* | Success:*:exit) eval "demanded$of=modifier" ;;
    esac
    if [ "$1" != 1 ]; then
        # For the step that ran this document its own codes, 168 and 169 too, are no more than well or badly.
        up=$(($1 - 1))
        eval "merge \"\$status_$up\" $ended; status_$up=\$merged"
        case $ended in Failed | TimedOut | Cancelled) eval "code_$up=1" ;; esac
        return
    fi
    case $ended in
    Failed) failed=1 ;;
    TimedOut) timed_out=1 ;;
    Cancelled) cancelled=1 ;;
    esac
    case $ended in
    Failed | TimedOut | Cancelled) [ "$first_code" != 0 ] || first_code=$with ;;
    esac
    if [ "$ended" != Success ] && [ "$ended" != Skipped ] && [ "$first_code" = 0 ]; then
        first_code=1
    fi
}
end_levels() { # KEEP: end the steps below that many levels, the innermost first
    while [ "$deep" -gt "$1" ]; do
        end_level "$deep"
        deep=$((deep - 1))
    done
}
enter_levels() { # the next step's spec is read: end what it is not part of any more, begin what it is part of now
    keep=0
    while [ "$keep" -lt "$deep" ] && [ "$keep" -lt "$depth" ]; do
        level=$((keep + 1))
        eval "same=\$of_$level/\$group_$level next_one=\$in_$level/\$at_$level"
        [ "$same" = "$next_one" ] || break
        keep=$level
    done
    end_levels "$keep"
    while [ "$deep" -lt "$depth" ]; do
        deep=$((deep + 1))
        eval "of_$deep=\$in_$deep group_$deep=\$at_$deep status_$deep=Skipped code_$deep=0"
        eval "on_failure_$deep=\$failing_$deep on_success_$deep=\$succeeding_$deep"
    done
}
is_over() { # did a step before this one demand the end of its document, or of one that this is in?
    level=0
    while [ "$level" -lt "$depth" ]; do
        level=$((level + 1))
        eval "of=\$in_$level last=\$finally_$level"
        eval "asked=\${demanded$of:-}"
        [ -z "$asked" ] || [ "$last" = 1 ] || return 0
    done
    return 1
}

failed=
timed_out=
cancelled=
first_code=0
deep=0
number=0
step=steps/0
while [ "$number" -lt "$count" ]; do
    number=$((number + 1))
    next=steps/$number
    . "./$next/spec"
    enter_levels
    innermost=$depth
    step=$next
    if [ -n "$resumed" ] && [ -s "$step/exit" ]; then
        # It ended before the reboot: its result counts, and nothing of it runs again.
        read -r status code <"$step/exit"
    elif [ -e cancel ]; then
        status=Cancelled
        code=1
    elif is_over; then
        status=Skipped
        code=0
        printf 'skipped: an earlier step demanded the end\n' >"$step/out"
    elif [ -n "$skip" ]; then
        status=Skipped
        code=0
        printf '%s\n' "$skip" >"$step/out"
    elif [ -n "$fail" ]; then
        status=Failed
        code=1
        printf '%s\n' "$fail" >"$step/err"
    else
        record "step $number $epoch" state
        execute
    fi
    record "$status $code" "$step/exit"
    eval "merge \"\$status_$deep\" $status; status_$deep=\$merged"
    eval "[ \"\$code_$deep\" != 0 ] || code_$deep=\$code"
done
end_levels 0

status=Success
[ -z "$cancelled" ] || status=Cancelled
[ -z "$timed_out" ] || status=TimedOut
[ -z "$failed" ] || status=Failed
read -r up rest </proc/uptime
printf '' >reserve
[ -n "$resumed" ] || printf '%s\n' "$((${up%%.*} - ${up_start%%.*}))" 2>/dev/null >took
record "ended $status $first_code $epoch" state
leave
}
"""

RUNNER_FILE: Final = r"""
folder=${0%/*}
root=${folder%/runs/*}
cd "$folder" || exit 0
run_document "$@"
"""
"""Behind it, in a file of its own in the run's folder."""
