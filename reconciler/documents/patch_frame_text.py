r"""The sh program of a patch step: what is the same for every package manager; text only.

It finds in front of it

    reboot                     RebootIfNeeded or NoReboot
    any pending repair kernels lock_wait, seconds    0 or 1, but for the last: see `patch_script`
    never                      names of packages that may come along in no case
    sources                    repositories in the place of the node's own, as the package manager reads them; empty: its own
    kept                       checksums of files that were sent along: the archive does not have them any more
    pins                       a function that prints lines "w|c NAME ARCH VERSION CHECKSUM ROW", checked by their family's grammar

and says in the end, for each pin, one line that `patching.install_report` reads:

    patch: failed ROW VERSION CAUSE: WORDS
    patch: installed ROW VERSION
    patch: already ROW VERSION

A family gives it these functions; `FILE` holds lines of pins:

    use_sources                lets the package manager see $sources alone, in folders of the step; 1 where they did not answer
    prepare; check_whole       settings; stops where something is unfinished
    standing_of NAME ARCH VERSION     sets have, and standing to gone, already, held or wanted
    try FILE                   simulates, with $along; 1, and why, where a change is not approved
    measure; download          sets needed and unpacked (KB); brings the files of $step/good
    cached, in_place NAME ARCH VERSION     set file to where the package manager keeps it, or takes it from
    install_good               the transaction with $step/good; sets ended
    why_not NAME FILE          prints `CAUSE: WORDS` for one package, by what the package manager said
    ending, is_signed FILE     what names of its files end with; 1, and why, where a file that was sent is not signed as it must be
    remember_marks, restore_marks, note_unfinished, look_at_kernels, said_of FILE, is_newer VERSION VERSION

What package managers and their scripts print goes into the step's `apt.log`, and only its end is shown where something failed: what
matters must fit into the first kilobytes of the output. Nothing here has a time limit once a transaction has begun.
"""

from typing import Final

FRAME: Final = r"""
step=${0%/*}
run=${0%/steps/*}
root=${run%/runs/*}
own=$root/patching
log=$step/apt.log
say() { printf '%s\n' "$1"; }
tell_failed() { # ROW VERSION CAUSE: WORDS
    printf 'patch: failed %s %s %s\n' "$1" "$2" "$3"
}
stop() { # CAUSE WORDS: nothing was installed
    printf 'patching stopped: %s: %s\n' "$1" "$2" >&2
    while read -r kind name arch version checksum row; do
        [ "$kind" != w ] || tell_failed "$row" "$version" "$1: $2"
    done <"$step/pins"
    exit 1
}
show_log() { # the end of what the package manager said
    [ ! -s "$log" ] || { printf 'the last lines of the log:\n'; tail -n 20 "$log" | cut -c1-300; } >&2
}
holder_of() { # FILE...: sets holder to who has a lock on one of them
    holder=
    for file; do
        [ -e "$file" ] || continue
        case $file in
        *.pid) # the number of a process that may be gone
            pid=
            read -r pid 2>/dev/null <"$file" || :
            command=
            case $pid in '' | *[!0-9]*) continue ;; esac
            read -r command 2>/dev/null <"/proc/$pid/comm" || continue
            case $command in dnf* | yum* | python* | platform-python* | packagekitd | zypper | Zypp-main | y2base | ruby*) ;; *) continue ;; esac
            holder="$command (pid $pid) holds $file"
            return
            ;;
        esac
        inode=$(ls -i "$file")
        inode=${inode%% *}
        while read -r number kind how access pid place rest; do
            case $kind in -'>') continue ;; esac
            [ "${place##*:}" = "$inode" ] || continue
            command=
            read -r command 2>/dev/null <"/proc/$pid/comm" || :
            holder="${command:-a process} (pid $pid) holds $file"
            return
        done </proc/locks
    done
}
wait_for_locks() { # FILE...: until nobody has them
    waited=0
    said=
    while :; do
        holder_of "$@"
        [ -n "$holder" ] || return 0
        [ "$holder" = "$said" ] || say "waiting: $holder"
        said=$holder
        [ "$waited" -lt "$lock_wait" ] || stop lock-held "$holder since $waited s"
        waited=$((waited + 1))
        sleep 1
    done
}
free_kb() { # FOLDER: sets free
    set -- $(df -Pk "$1" 2>/dev/null | tail -n 1)
    free=${4:-}
    case $free in '' | *[!0-9]*) free=999999999 ;; esac
}
need_room() { # FOLDER KB
    [ -d "$1" ] || return 0
    free_kb "$1"
    [ "$free" -ge "$2" ] || stop disk-full "$1 has $free KB free, and $2 KB are needed"
}
check_shutdown() {
    if [ -e /run/systemd/shutdown/scheduled ]; then
        stop shutdown-pending "somebody has scheduled a shutdown of the node: shutdown -c calls it off"
    fi
    [ ! -e /run/nologin ] || stop shutdown-pending "the node is going down, or not up yet (/run/nologin)"
}
forget_sources() { # nothing of them stays on the node, and they may hold a password
    rm -rf "$step/sources.list" "$step/repos" "$step/lists" "$step/cache"
}
running_services() {
    [ -d /run/systemd/system ] || return 0
    systemctl list-units --type=service --state="$1" --plain --no-legend --no-pager 2>/dev/null |
        while read -r unit rest; do printf '%s\n' "$unit"; done | sort
}
check_bootable() { # the newest kernel must have what it boots with
    newest=
    for image in /boot/vmlinuz-*; do
        [ -f "$image" ] || continue
        [ -z "$newest" ] || is_newer "${image#/boot/vmlinuz-}" "$newest" || continue
        newest=${image#/boot/vmlinuz-}
    done
    [ -n "$newest" ] || return 0
    if [ ! -s "/boot/initrd.img-$newest" ] && [ ! -s "/boot/initramfs-$newest.img" ] && [ ! -s "/boot/initrd-$newest" ]; then
        not_bootable="the newest kernel, $newest, has no initrd in /boot"
        return 1
    fi
    for menu in /boot/grub/grub.cfg /boot/grub2/grub.cfg; do
        [ ! -f "$menu" ] || grep -q -F "vmlinuz-$newest" "$menu" /boot/loader/entries/*.conf 2>/dev/null || {
            not_bootable="the newest kernel, $newest, has no entry in $menu"
            return 1
        }
    done
}
finish() { # results are in $step/results: say them, the failed ones first; reboot where that is wanted
    failed=0
    if grep -q '^patch: failed ' "$step/results"; then
        failed=1
        grep '^patch: failed ' "$step/results"
        sed -n 's/^patch: failed /failed: /p' "$step/results" >&2
        show_log
    fi
    grep -v '^patch: failed ' "$step/results"
    [ ! -f "$step/findings" ] || cat "$step/findings"
    if [ "$failed" = 1 ] && ! grep '^patch: failed ' "$step/results" | grep -q -v ' dependency: '; then
        failed=2
    fi
}
decide_reboot() { # SSM: after an install that brought something, or where one before it still waits for a reboot
    if [ "$reboot" != RebootIfNeeded ]; then # a later step of the document may do it
        ! grep -q '^patch: installed ' "$step/results" || : >"$run/patched"
        return 0
    fi
    grep -q '^patch: installed ' "$step/results" || [ "$pending" = 1 ] || [ -e "$run/patched" ] || return 0
    not_bootable=
    if ! check_bootable; then
        say "not rebooted: $not_bootable"
        printf 'not rebooted: no-boot-entry: %s\n' "$not_bootable" >&2
        printf 'patch: unbooted no-boot-entry: %s\n' "$not_bootable" >>"$step/results"
        return 1
    fi
    running_services running >"$step/services"
    cat /proc/sys/kernel/random/boot_id >"$step/rebooting"
    rm -f "$run/patched"
    say "rebooting"
    exit 194
}
after_reboot() {
    was=
    read -r was <"$step/rebooting"
    read -r is </proc/sys/kernel/random/boot_id
    [ "$was" != "$is" ] || { printf 'not rebooted: the boot id is still %s\n' "$is" >&2; exit 1; }
    printf 'patch: rebooted %s\n' "$is" >>"$step/results"
    broken=
    if [ -s "$step/services" ]; then
        naps=0
        while [ "$naps" -lt 60 ]; do
            case $(systemctl is-system-running 2>/dev/null) in initializing | starting) ;; *) break ;; esac
            naps=$((naps + 1))
            sleep 1
        done
        broken=$(running_services failed | comm -12 "$step/services" - | tr '\n' ' ')
    fi
    finish
    if [ -n "$broken" ]; then
        printf 'patch: services %s\n' "$broken"
        printf 'service-failed: it ran before the reboot and does not now: %s\n' "$broken" >&2
        failed=1
    fi
    exit "$failed"
}
choose() { # FILE OF PIN LINES: puts those that can be installed into $step/good, and tells of the others; halves what does not go
    cat "$step/good" "$1" >"$1.with"
    if simulate "$1.with"; then
        cat "$1" >>"$step/good"
        return
    fi
    set -- "$1" "$(wc -l <"$1")"
    if [ "$(($2))" -le 1 ]; then
        read -r kind name arch version checksum row <"$1"
        tell_failed "$row" "$version" "dependency: ${why:-the package manager does not say why}" >>"$step/results"
        return
    fi
    head -n "$(($2 / 2))" "$1" >"$1.a"
    tail -n "+$(($2 / 2 + 1))" "$1" >"$1.b"
    choose "$1.a"
    choose "$1.b"
}
sum_is() { # FILE CHECKSUM
    case $2 in
    sha256:*) [ "$(sha256sum 2>/dev/null <"$1")" = "${2#*:}  -" ] ;;
    sha512:*) [ "$(sha512sum 2>/dev/null <"$1")" = "${2#*:}  -" ] ;;
    sha1:* | sha:*) [ "$(sha1sum 2>/dev/null <"$1")" = "${2#*:}  -" ] ;;
    *) return 0 ;;
    esac
}
is_kept() { # CHECKSUM: sets sent to the name that the package manager takes it by
    sent=$step/kept/${1#*:}.$ending
    case " $kept " in *" $1 "*) ;; *) return 1 ;; esac
}
bring_kept() { # of what was sent along, what is whole and signed as it must be gets a name that package managers take
    : >"$step/unkept"
    for sum in $kept; do
        is_kept "$sum"
        from=$run/content/${sum#*:}
        why='the file that was sent is not there any more, or was changed'
        mkdir -p "$step/kept" && [ -f "$from" ] && sum_is "$from" "$sum" && { ln -f "$from" "$sent" 2>/dev/null || cp "$from" "$sent"; } || {
            printf '%s checksum: %s\n' "$sum" "$why" >>"$step/unkept"
            continue
        }
        is_signed "$sent" || printf '%s signature: %s\n' "$sum" "$why" >>"$step/unkept"
    done
}
bring_along() { # sets along to new packages that were sent, for where the package manager finds none of what a patch needs
    along=
    while read -r kind name arch version checksum row; do
        [ "$kind" = c ] && is_kept "$checksum" && ! grep -q "^$checksum " "$step/unkept" || continue
        along="$along $sent"
    done <"$step/pins"
}
simulate() { # FILE OF PIN LINES: with what was sent along where it does not go without; sets why
    try "$1" && return
    [ -z "$along" ] || return 1
    bring_along
    [ -n "$along" ] || return 1
    alone=$why
    try "$1" && return
    along= why=$alone
    return 1
}
note_along() { # what comes along was chosen by nobody: its name stands in a file that outlives us
    : >"$own/along"
    [ -z "$along" ] || while read -r kind name arch version checksum row; do
        [ "$kind" != c ] || ! is_kept "$checksum" || printf '%s\n' "$name"
    done <"$step/pins" >"$own/along"
}
note_brought() { # until the node is booted, what comes now waits for that: section `reboot` of the inventory tells it
    read -r is </proc/sys/kernel/random/boot_id
    mine=$own/installed.$is
    for one in "$own"/installed.*; do
        [ "$one" = "$mine" ] || rm -f "$one"
    done
    {
        [ ! -f "$mine" ] || cat "$mine"
        while read -r kind name arch version checksum row; do
            printf '%s %s\n' "$row" "$version"
        done <"$step/good"
        while read -r kind name arch version checksum row; do
            [ "$kind" != c ] || printf '%s %s\n' "$row" "$version"
        done <"$step/pins"
    } | sort -u >"$mine.new" && mv "$mine.new" "$mine"
}
fail_all() { # FILE OF PIN LINES, CAUSE: WORDS
    while read -r kind name arch version checksum row; do
        tell_failed "$row" "$version" "$2"
    done <"$1" >>"$step/results"
}
"""
"""Functions."""

BEGIN: Final = r"""
pins 2>/dev/null >"$step/pins" || {
    printf 'patching stopped: disk-full: cannot write in %s on the node\n' "$step" >&2
    exit 1
}
[ ! -f "$step/rebooting" ] || after_reboot
[ "$(id -u)" = 0 ] || stop not-root 'packages are installed by root only: set Become for the node'
umask 077
mkdir -p "$own" || stop disk-full "cannot write in $own on the node"
umask 022
: >"$step/results" && : >"$log" || stop disk-full "cannot write in $step on the node"
"""
"""What every step begins with; the family's functions come after it."""

INSTALL: Final = r"""
needed=0
unpacked=0
along=
if [ -n "$sources" ]; then
    trap forget_sources EXIT
    mkdir -p "$step/none" "$step/repos"
    (umask 077; printf '%s\n' "$sources" >"$step/sources.list")
fi
prepare
if [ -n "$sources" ] && ! use_sources >"$step/sources" 2>&1; then
    cat "$step/sources" >>"$log"
    show_log
    stop download "a source of the baseline did not answer: $(said_of "$step/sources")"
fi
wait_for_locks $locks
check_shutdown
check_whole
bring_kept

# --- what is there already
: >"$step/wanted"
while read -r kind name arch version checksum row; do
    [ "$kind" = w ] || continue
    standing_of "$name" "$arch" "$version"
    case $standing in
    gone) tell_failed "$row" "$version" "gone: it is not installed any more" ;;
    already) printf 'patch: already %s %s\n' "$row" "$have" ;;
    held) tell_failed "$row" "$version" "held: it is held on the node itself ($holds)" ;;
    *)
        why=$(sed -n "s/^$checksum //p" "$step/unkept")
        [ -z "$why" ] || { tell_failed "$row" "$version" "$why"; continue; }
        printf '%s %s %s %s %s %s\n' "$kind" "$name" "$arch" "$version" "$checksum" "$row" >>"$step/wanted" ;;
    esac
done <"$step/pins" >"$step/results"

# --- simulate
: >"$step/good"
[ ! -s "$step/wanted" ] || choose "$step/wanted"

# --- download, a phase of its own: while it goes on nothing has begun, and it may be killed
if [ -s "$step/good" ]; then
    # Of a file that lies in its cache already a package manager may compare the size and nothing else.
    while read -r kind name arch version checksum row; do
        cached "$name" "$arch" "$version"
        [ ! -f "$file" ] || sum_is "$file" "$checksum" || rm -f "$file"
    done <"$step/pins"
    measure
    need_room /var "$((needed + unpacked + 8192))"
    need_room / "$((unpacked * 3 + 8192))"
    ! grep -q '^w \(linux-image\|kernel\)' "$step/good" || need_room /boot 102400
fi
if [ -s "$step/good" ]; then
    say "downloading $(($(wc -l <"$step/good"))) patches, $needed KB"
    if ! download >"$step/downloaded" 2>&1; then
        cat "$step/downloaded" >>"$log"
        case $(cat "$step/downloaded") in
        *o\ space\ left* | *enough\ free\ space*) cause=disk-full ;;
        *) cause=download ;;
        esac
        fail_all "$step/good" "$cause: $(said_of "$step/downloaded")"
        : >"$step/good"
    fi
fi
if [ -s "$step/good" ]; then # its index may know other sums than the one that was approved
    while read -r kind name arch version checksum row; do
        cached "$name" "$arch" "$version"
        [ -f "$file" ] || in_place "$name" "$arch" "$version"
        [ -n "$file" ] && [ -f "$file" ] && ! sum_is "$file" "$checksum" || continue
        printf '%s %s %s %s %s %s\n' "$kind" "$name" "$arch" "$version" "$checksum" "$row" >"$step/bad"
        # A companion that is another file may be needed by any of them.
        [ "$kind" = w ] || cp "$step/good" "$step/bad"
        while read -r k n a v c r; do
            grep -q -x -F "$k $n $a $v $c $r" "$step/good" || continue
            tell_failed "$r" "$v" "checksum: ${file##*/} is on offer with other content than what was approved" >>"$step/results"
            grep -v -x -F "$k $n $a $v $c $r" "$step/good" >"$step/good.new"
            mv "$step/good.new" "$step/good"
        done <"$step/bad"
    done <"$step/pins"
    mv "$step/good" "$step/wanted"
    : >"$step/good"
    [ ! -s "$step/wanted" ] || choose "$step/wanted"
fi

# --- install: from here on nothing ends it
transact() { # installs $step/good in one transaction; puts into $step/rest what another one had to suffer for
    install_good >"$step/installed" 2>&1
    cat "$step/installed" >>"$log"
    : >"$step/rest"
    while read -r kind name arch version checksum row; do
        standing_of "$name" "$arch" "$version"
        if [ "$standing" = already ]; then
            printf 'patch: installed %s %s\n' "$row" "$version"
            continue
        fi
        why=$(why_not "$name" "$step/installed")
        if [ -n "$why" ]; then
            tell_failed "$row" "$version" "$why"
        else
            printf '%s %s %s %s %s %s\n' "$kind" "$name" "$arch" "$version" "$checksum" "$row" >>"$step/rest"
        fi
    done <"$step/good" >>"$step/results"
}
if [ -s "$step/good" ]; then
    wait_for_locks $locks
    check_shutdown
    # Once more, on what is there now: somebody else may have had the lock meanwhile.
    if ! simulate "$step/good"; then
        fail_all "$step/good" "dependency: the node changed meanwhile: $why"
        : >"$step/good"
    fi
fi
[ ! -s "$step/good" ] || { remember_marks; note_brought; }
rounds=0
while [ -s "$step/good" ]; do
    rounds=$((rounds + 1))
    before=$(wc -l <"$step/good")
    say "installing $((before)) patches"
    transact
    mv "$step/rest" "$step/good"
    [ -s "$step/good" ] || break
    if [ "$rounds" -ge 5 ] || [ "$(wc -l <"$step/good")" = "$before" ] || ! simulate "$step/good"; then
        fail_all "$step/good" "transaction: it ended with status $ended: $(said_of "$step/installed")"
        break
    fi
done
if [ "$rounds" -gt 0 ]; then
    restore_marks
    note_unfinished
    while read -r kind name arch version checksum row; do
        cached "$name" "$arch" "$version"
        [ -z "$file" ] || rm -f "$file"
    done <"$step/pins"
fi
look_at_kernels
decide_reboot
unbooted=$?
finish
[ "$unbooted" = 0 ] || [ "$failed" != 0 ] || failed=1
exit "$failed"
"""
"""The way of an install."""
