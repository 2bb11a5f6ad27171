r"""The sh programs that a node runs for a run, one for each call: text only, behind the functions of `node_text`.

Nothing here knows Python values; `node_programs` puts them in front.
"""

from typing import Final

RESUME: Final = r"""
own_root
open_door
check_epoch
enter_run
find_standing
resuming=
if [ "$standing" = rebooted ]; then
    at=${state#reboot }
    at=${at%% *}
    total=0
    [ ! -f reboots ] || read -r total <reboots
    # Who was about to resume it may have died with another reboot, or been killed.
    if [ -e "resumed.$total" ] && ! { read -r by start on <"resumed.$total" && [ "$on" = "$boot" ] && is_alive "$by" "$start"; }; then
        rm -f "resumed.$total"
    fi
    # Whoever makes this name decides: a runner that was begun before it was too late, and stood still, may still do.
    if [ "$expired" = 1 ] && make_first "resumed.$total" 'expired 0 0'; then
        printf 'the node came back from its reboot too late: the document is too old to go on\n' >>"steps/$at/err"
        put "steps/$at/exit" 'Failed 194' && put state "ended Failed 194 $epoch" || cannot_write
    else
        [ "$expired" = 0 ] || [ -s "resumed.$total" ] || cannot_write
        [ -e "resumed.$total" ] || spawn "$total"
        resuming=1
    fi
fi
close_door
await_end
report
"""

START: Final = r"""
own_root
known_epoch
[ "$epoch" -ge "$seen" ] || refuse fenced "$seen"
if [ "$epoch" -ne "$seen" ]; then
    open_door
    check_epoch
    close_door
fi
cd "$root/runs" || cannot_write
if [ "$unheld" = 1 ] && [ ! -e "$run/begun" ]; then
    for held in /etc/reconciler/hold /etc/reconciler/hold.d/*; do
        if [ -e "$held" ] || [ -L "$held" ]; then refuse held "$held"; fi
    done
fi
[ -n "${setsid:-}" ] || setsid=$(command -v setsid) || refuse unsafe "there is no setsid on the node: install util-linux"
spawned=
is_ours=
take_back() { # at once: another start may have found it, and its runner looks whether the run is still its own
    own_name
    rm -rf ".old.$run.$self"
    mv "$run" ".old.$run.$self" 2>/dev/null
    rm -rf ".old.$run.$self" "$run"
}
claim() { # the lock is held from before the folder is there until the runner lets go of it
    printf '' 2>/dev/null >>"$root/lock" || cannot_write
    exec 9>>"$root/lock"
    take 9 "$root/lock" "$patience" "$run/manifest"
    case $? in
    1)
        holder=
        read -r holder 2>/dev/null <"$root/holder" || :
        refuse busy "$holder"
        ;;
    2) return ;;
    esac
    if ! is_run "$run" && [ ! -L "$run" ] && { [ ! -e "$run" ] || [ -d "$run" ]; }; then
        # Whoever was making it was killed: this lock is ours.
        [ ! -d "$run" ] || rm -rf "$run"
        if [ "$staged" = 1 ]; then
            mkdir "$run" 2>/dev/null || cannot_write
            mv ".staged.$run" "$run/content" 2>/dev/null || { rmdir "$run"; refuse unstaged "what its steps download is not on the node"; }
        fi
        write_files "$run" || { take_back; cannot_write; }
        # A cancel marks and then looks, we write and then look: one of us sees the other.
        ! is_done || { take_back; refuse done "$run"; }
        if [ -n "${resident:-}" ]; then
            is_ours=1
            return
        fi
        locked=
        if [ -n "$mine" ]; then
            let_go "$root/lock"
        else
            locked=1
        fi
        spawn '' "$locked"
    else
        let_go "$root/lock"
    fi
}
! is_done || refuse done "$run"
while :; do
    is_run "$run" || [ -L "$run" ] || claim
    [ -n "$is_ours" ] || exec 9>&-
    [ -z "$spawned$is_ours" ] || break
    [ ! -L "$run" ] && { [ -d "$run" ] || [ ! -e "$run" ]; } || refuse unsafe "$root/runs/$run on the node is not a folder: remove it"
    have=
    read -r have 2>/dev/null <"$run/digest" || :
    # Looked at once more, now that it is there: whoever wrote it looks behind that, too, and whoever forgets it marks it first.
    ! is_done || refuse done "$run"
    if [ "$have" = "$digest" ]; then
        [ -e "$run/begun" ] || spawn ''
        break
    fi
    ! is_run "$run" || refuse differs "the node holds this run with another content"
    # It never began, and was removed between our looks.
done
# From here on nobody needs to listen: whoever waits lets go of us where it takes long, and the connection may be gone.
trap '' HUP PIPE
printf 'claimed\n'
enter_run
if [ -n "$is_ours" ]; then
    # The shell that stays was begun outside of any login's session, and forked this process off it: it is the runner.
    folder=$root/runs/$run
    is_told=1
    run_document '' 1
fi
await_end
report
"""

LOOK: Final = r"""
enter_run
await_end
report
"""

CANCEL: Final = r"""
find_run || { never_again; enter_run; }
printf '' >>cancel || cannot_write
if [ ! -e begun ]; then
    make_first begun 'discarded 0 0' && {
        standing=unbegun
        never_again
        remove_run
        exit 0
    }
fi
end_step() { # kill the running step's group, unless a package transaction has begun in it; sets busy
    busy=
    at=${state#step }
    at=${at%% *}
    read -r step_pid step_start 2>/dev/null <"steps/$at/pid" && is_alive "$step_pid" "$step_start" || return 0
    find_transaction "$step_pid"
    [ -n "$busy" ] || kill -9 "-$step_pid" 2>/dev/null
}
wait_and_end() { # for when nobody asks any more: ends the step once the transaction is over
    make_first ender ender || return 0 # one is enough
    (
        trap '' HUP
        while :; do
            find_standing
            case $standing in going | orphan) ;; *) break ;; esac
            end_step
            pause 0.05
        done
    ) </dev/null >/dev/null 2>&1 &
}
tries=0
while [ "$tries" -lt 50 ]; do
    find_standing
    case $standing in going | orphan) ;; *) break ;; esac
    end_step
    if [ -n "$busy" ]; then
        # Whoever asked hears of it soon, and asks again.
        put why "cancelling, waiting for $busy" || :
        wait_and_end
        tries=50
        pause 0.9
    fi
    tries=$((tries + 1))
    pause 0.1
done
case $standing in going | orphan) ;; *) rm -f why ;; esac
# Its runner was killed, or stopped, in the moment of beginning: without its folder it begins nothing any more.
[ "$standing" != unbegun ] || { never_again; remove_run; exit 0; }
case $standing:$state in ended:"ended NotStarted "* | killed: | killed:waiting* | down: | down:waiting*) never_again ;; esac
report
"""

DISCARD: Final = r"""
enter_run
[ -e begun ] || {
    make_first begun 'discarded 0 0' || [ -e begun ] || cannot_write
}
find_standing
case $standing:$state in
unbegun:* | ended:"ended NotStarted "* | killed: | killed:waiting* | down: | down:waiting*)
    never_again
    remove_run
    ;;
*) report ;;
esac
"""

ANNOUNCE: Final = r"""
[ -d "$root" ] || { printf 'end\n'; exit 0; }
own_root
open_door
check_epoch
durable "$root/epochs/$fleet" "$root/epochs"
close_door
printf 'end\n'
"""

LOCK: Final = r"""
[ -d "$root" ] && [ ! -L "$root" ] || { printf 'free\nend\n'; exit 0; }
held=free
holder=
if [ -f "$root/lock" ] && [ -w "$root/lock" ]; then
    exec 7>>"$root/lock"
    if take 7 "$root/lock" 0; then
        exec 7>&-
        let_go "$root/lock"
    else
        held=held
        read -r holder 2>/dev/null <"$root/holder" || :
    fi
fi
printf '%s %s\nend\n' "$held" "$holder"
"""

ACKNOWLEDGE: Final = r"""
own_root
own_folder "$root/markers"
open_door
[ -z "$epoch" ] || check_epoch
set_markers || cannot_write
held=0
[ ! -f "$root/acknowledged@$fleet" ] || read -r held <"$root/acknowledged@$fleet" || :
case $held in '' | *[!0-9]*) held=0 ;; esac
[ "$acknowledged" -le "$held" ] || put "$root/acknowledged@$fleet" "$acknowledged" || cannot_write
durable "$root/acknowledged@$fleet" "$root/markers" "$root"
cd "$root/runs" || cannot_write
for old in .old.*; do # one that goes on is about to be brought back
    [ ! -e "$old" ] || { read -r by start on 2>/dev/null <"$old/begun" && is_alive "$by" "$start"; } || rm -rf "$old"
done
# What was sent for runs that never began: a sender that still lives is done with it within the day.
set -- .staged.*
[ ! -d "$1" ] || find . -maxdepth 1 -name '.staged.*' -mtime +1 -exec rm -rf {} + 2>/dev/null
for run in $runs; do
    [ -d "$run" ] && [ ! -L "$run" ] || continue
    cd "$run" || continue
    find_standing
    cd ..
    case $standing in going | orphan | rebooted) continue ;; esac
    remove_known
done
turn_done
close_door
printf 'end\n'
"""

FORGET: Final = r"""
own_root
known_epoch
[ "$epoch" -ge "$seen" ] || refuse fenced "$seen"
cd "$root/runs" || cannot_write
for run in $runs; do
    [ -d "$run" ] && [ ! -L "$run" ] && cd "$run" || continue
    find_standing
    cd ..
    case $standing in going | orphan | rebooted) continue ;; esac
    remove_known
    case $run in
    0*) # now and then, and only where nobody else is at it
        printf '' 2>/dev/null >>"$root/door" && exec 8>>"$root/door" && take 8 "$root/door" 0 && turn_done && close_door
        ;;
    esac
done
printf 'end\n'
"""
