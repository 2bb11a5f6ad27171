r"""The runner: the sh program that carries out one run on its node, detached from everything. Text only.

It lies in the run's folder and reads `plan` and `steps/N/spec` there. It ends with status 0 always, takes no input, and is
the only writer of `state`. Scripts are its children in process groups of their own, without the lock's descriptor.
"""

from typing import Final

RUNNER: Final = r"""
# RESUMED: how often the run has asked for a reboot, where it goes on after one.
resumed=${1:-}
folder=${0%/*}
root=${folder%/runs/*}
cd "$folder" || exit 0
. ./plan
read -r stat_line </proc/$$/stat
set -- ${stat_line##*) }
start=${20}
boot_id
printf '%s %s %s\n' $$ "$start" "$boot" >"begun.$$" || exit 0
if [ -n "$resumed" ]; then
    ln "begun.$$" "resumed.$resumed" 2>/dev/null || { rm -f "begun.$$"; exit 0; }
    exec 9>>"$root/lock"
    # Without the lock nothing changes: the run still waits to be resumed.
    take 9 "$root/lock" "$patience" || { rm -f "begun.$$" "resumed.$resumed"; exit 0; }
    mv -f "begun.$$" begun || exit 0
else
    # Whoever makes this name is the run: a second runner, and a manager that discards the run, come too late.
    ln "begun.$$" begun 2>/dev/null || { rm -f "begun.$$"; exit 0; }
    rm -f "begun.$$"
fi

not_started() { # REASON: nothing of the document ran
    rm -f reserve
    put why "$1"
    # Where even this cannot be written, `state` stays as it is: nothing ran, and it says nothing else.
    put state "ended NotStarted -1 $epoch"
    exit 0
}
if [ -z "$resumed" ]; then
    put state "waiting $epoch $$ $start" || not_started "no space left on the node"
    exec 9>>"$root/lock"
    take 9 "$root/lock" "$patience" || {
        holder=
        read -r holder 2>/dev/null <"$root/holder" || :
        not_started "another document is running on the node: $holder"
    }
fi
leave() {
    rm -f "$root/holder"
    let_go "$root/lock"
    exit 0
}
seen=0
[ ! -f "$root/epochs/$fleet" ] || read -r seen <"$root/epochs/$fleet" || :
if [ -z "$resumed" ] && [ "${seen:-0}" -gt "$epoch" ]; then
    let_go "$root/lock"
    not_started "a newer daemon leads (epoch $seen)"
fi
put "$root/holder" "$association $run"
# Results must be writable even when the script fills the disk.
if [ -n "$resumed" ]; then
    printf '%32768s' '' >reserve || rm -f reserve
elif ! printf '%32768s' '' >reserve || ! put state "started $epoch $$ $start"; then
    let_go "$root/lock"
    not_started "no space left on the node"
fi
asked=$root/refresh/$fleet
if [ -z "$resumed" ] && [ -f "$asked" ]; then # whoever wished for this run has it now
    {
        grep -v -x -F -e "ask $association" -e "done $association" "$asked"
        ! grep -q -x -F 'ask *' "$asked" || printf 'done %s\n' "$association"
    } 2>/dev/null >"$asked.tmp" && mv -f "$asked.tmp" "$asked"
fi
read -r up_start rest </proc/uptime
durable begun state . ..

record() { # LINE INTO FILE, whatever it takes: without it nobody knows how it ended
    until put "$2" "$1"; do
        rm -f reserve
        pause 1
    done
}
swallow() { # FIFO FILE: the first $cap blocks are kept, the rest is read slowly and dropped, so that nobody dies
    (
        exec 9>&-
        {
            # Beyond the limit the signal ends this cat, and not the script; head would hold small output back for long.
            (
                ulimit -f "$cap"
                exec cat >>"$step/$2"
            )
            # Paced beyond the limit: `yes` for an hour must not take a processor from the node.
            while [ "$(head -c 1048576 | wc -c)" -gt 0 ]; do
                pause 0.05
            done
            touch "$step/$2.end"
        } <"$step/$1"
    ) >/dev/null 2>&1 &
}
execute() { # runs $step/script; sets code and status
    rm -f "$step/o" "$step/e" "$step/out.end" "$step/err.end" "$step/timedout"
    mkfifo "$step/o" "$step/e" || { code=1; status=Failed; return; }
    swallow o out
    swallow e err
    setsid env -i PATH="$PATH" sh "$folder/$step/launch" </dev/null >"$step/o" 2>"$step/e" 9>&- &
    pid=$!
    began=0
    if read -r stat_line 2>/dev/null <"/proc/$pid/stat"; then
        set -- ${stat_line##*) }
        began=${20}
    fi
    put "$step/pid" "$pid $began"
    # Its own session, so that it fires when nobody else is left, and so that we can end its sleep as well.
    setsid sh -c '
        sleep "$1"
        read -r line <"/proc/$2/stat" || exit 0
        set -- "$1" "$2" "$3" "$4" ${line##*) }
        [ "${24}" = "$3" ] || exit 0
        printf "" >"$4/timedout"
        kill -9 "-$2"
    ' watchdog "$timeout" "$pid" "$began" "$folder/$step" </dev/null >/dev/null 2>&1 9>&- &
    dog=$!
    # A cancel that came while there was no process to kill yet.
    [ ! -e cancel ] || kill -9 "-$pid" 2>/dev/null
    wait "$pid"
    code=$?
    kill -9 "-$dog" 2>/dev/null
    kill -9 "$dog" 2>/dev/null
    # The run ends with its process: a child that keeps the output open gets a second, and goes on alone after that.
    naps=0
    until [ -e "$step/out.end" ] && [ -e "$step/err.end" ]; do
        [ "$naps" -lt 50 ] || break
        naps=$((naps + 1))
        pause 0.02
    done
    rm -f "$step/o" "$step/e"
    judge
}
judge() {
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
    durable state reboots steps/*/* .
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
    if [ -n "$resumed" ] && [ -f "$step/exit" ]; then
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
rm -f reserve
[ -n "$resumed" ] || put took "$((${up%%.*} - ${up_start%%.*}))"
record "ended $status $first_code $epoch" state
durable state steps/*/exit .
leave
"""
