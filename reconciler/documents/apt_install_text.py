r"""The sh program of a patch step on Debian and Ubuntu: exact versions, simulated first, never killed in the middle; text only.

It finds in front of it

    reboot                     RebootIfNeeded or NoReboot
    any pending repair kernels lock_wait, seconds    0 or 1, but for the last: see `patch_script`
    never                      names of packages that may come along in no case
    pins                       a function that prints lines "w|c NAME ARCH VERSION CHECKSUM ROW", checked by dpkg's grammar

and says in the end, for each pin, one line that `patching.install_result` reads:

    patch: failed ROW VERSION CAUSE: WORDS
    patch: installed ROW VERSION
    patch: already ROW VERSION

What apt and maintainer scripts print goes into `apt.log` of the step, and only its end is shown where something failed: what
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
running_services() {
    [ -d /run/systemd/system ] || return 0
    systemctl list-units --type=service --state="$1" --plain --no-legend --no-pager 2>/dev/null |
        while read -r unit rest; do printf '%s\n' "$unit"; done | sort
}
check_bootable() { # the newest kernel must have what it boots with
    newest=
    for image in /boot/vmlinuz-*; do
        [ -f "$image" ] || continue
        [ -z "$newest" ] || dpkg_is_newer "${image#/boot/vmlinuz-}" "$newest" || continue
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
        show_log
    fi
    grep -v '^patch: failed ' "$step/results"
    sed -n 's/^patch: failed /failed: /p' "$step/results" >&2
    [ ! -f "$step/findings" ] || cat "$step/findings"
    if [ "$failed" = 1 ] && ! grep '^patch: failed ' "$step/results" | grep -q -v ' dependency: '; then
        failed=2
    fi
}
decide_reboot() { # SSM: after an install that brought something, or where one before it still waits for a reboot
    [ "$reboot" = RebootIfNeeded ] || return 0
    grep -q '^patch: installed ' "$step/results" || [ "$pending" = 1 ] || return 0
    not_bootable=
    if ! check_bootable; then
        say "not rebooted: $not_bootable"
        printf 'not rebooted: no-boot-entry: %s\n' "$not_bootable" >&2
        printf 'patch: unbooted no-boot-entry: %s\n' "$not_bootable" >>"$step/results"
        return 1
    fi
    running_services running >"$step/services"
    cat /proc/sys/kernel/random/boot_id >"$step/rebooting"
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
"""
"""What every family of packages shares."""

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
"""What an install begins with."""

APT: Final = r"""
DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical DEBCONF_ADMIN_EMAIL='' UCF_FORCE_CONFFOLD=1
APT_LISTCHANGES_FRONTEND=none APT_LISTBUGS_FRONTEND=none NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l
LC_ALL=C.UTF-8 PAGER=cat TERM=dumb
export DEBIAN_FRONTEND DEBIAN_PRIORITY DEBCONF_ADMIN_EMAIL UCF_FORCE_CONFFOLD APT_LISTCHANGES_FRONTEND APT_LISTBUGS_FRONTEND
export NEEDRESTART_SUSPEND NEEDRESTART_MODE LC_ALL PAGER TERM
exec </dev/null

dpkg_is_newer() { dpkg --compare-versions "$1" gt "$2"; }
apt() { # ARGUMENTS: apt-get that asks nothing, and takes its candidates from the pins alone
    LC_ALL=C apt-get -q -y -o Dir::Etc::Preferences="$step/preferences" -o Dir::Etc::PreferencesParts="$step/none" \
        -o APT::Install-Recommends=false -o APT::Install-Suggests=false -o APT::Get::AutomaticRemove=false \
        -o APT::Get::Upgrade-By-Source-Package=false -o DPkg::Lock::Timeout=60 -o Dpkg::Use-Pty=0 -o Dpkg::Progress-Fancy=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Acquire::Retries=2 \
        -o APT::Get::Show-Versions=false "$@"
}
version_of() { # NAME ARCH: sets have (empty: not installed) and whole
    have=
    whole=
    found=$(dpkg-query -W -f '${db:Status-Status} ${Architecture} ${Version}\n' "$1" 2>/dev/null) || return 0
    while read -r status arch version; do
        case $status in installed | unpacked | half-configured | half-installed | triggers-*) ;; *) continue ;; esac
        case $2 in "$arch" | all) ;; *) [ "$arch" = all ] || continue ;; esac
        have=$version
        case $status in installed) whole=1 ;; triggers-*) whole=1 ;; esac
    done <<END
$found
END
}
words_of() { # FILE OF PIN LINES: sets words to what apt-get install is to be told
    words=
    while read -r kind name arch version checksum row; do
        case $arch in all) words="$words $name=$version" ;; *) words="$words $name:$arch=$version" ;; esac
    done <"$1"
}
simulate() { # FILE OF PIN LINES: sets why, empty where every change is approved, and leaves the changes in $step/changes
    why=
    words_of "$1"
    if ! apt -s -o Debug::NoLocking=1 install $words >"$step/simulated" 2>&1; then
        why=$(unmet <"$step/simulated")
        return 1
    fi
    awk -v any="$any" -v never=" $never " '
        FNR == NR { pinned[$2, $4] = 1; next }
        $1 == "Remv" { print "it would remove " $2; next }
        $1 != "Inst" { next }
        {
            name = $2
            sub(/:.*/, "", name)
            at = 3
            old = ""
            if ($3 ~ /^\[/) { old = $3; at = 4 }
            new = substr($at, 2)
            sub(/\)$/, "", new)
            if (index(never, " " name " ")) print "it needs " name " " new ", which is rejected"
            else if (!((name, new) in pinned) && !any) print "it needs " name " " new ", which is not approved"
        }
    ' "$step/pins" "$step/simulated" >"$step/offending"
    grep -q '^The following packages will be DOWNGRADED' "$step/simulated" && printf 'it would downgrade packages\n' >>"$step/offending"
    if [ -s "$step/offending" ]; then
        why=$(head -n 5 "$step/offending" | tr '\n' ';' | sed 's/;$//; s/;/; /g')
        return 1
    fi
}
unmet() { # of what apt said the lines that say why
    awk '
        /^The following packages have unmet dependencies/ { in_it = 1; next }
        in_it && /^ / { sub(/^ +/, ""); gsub(/  +/, " "); print; next }
        { in_it = 0 }
        /^E: / { print substr($0, 4) }
    ' | head -n 4 | tr '\n' ';' | sed 's/;$//; s/;/; /g' | cut -c1-400
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
        tell_failed "$row" "$version" "dependency: ${why:-apt does not say why}" >>"$step/results"
        return
    fi
    head -n "$(($2 / 2))" "$1" >"$1.a"
    tail -n "+$(($2 / 2 + 1))" "$1" >"$1.b"
    choose "$1.a"
    choose "$1.b"
}
fail_all() { # FILE OF PIN LINES, CAUSE: WORDS
    while read -r kind name arch version checksum row; do
        tell_failed "$row" "$version" "$2"
    done <"$1" >>"$step/results"
}
forget_auto() { # marks that an install before this one left behind: naming a package makes apt take it for chosen by hand
    [ -s "$own/auto" ] || return 0
    xargs apt-mark auto <"$own/auto" >>"$log" 2>&1 && rm -f "$own/auto"
}
"""
"""Functions for apt."""

APT_INSTALL: Final = r"""
locks='/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/cache/apt/archives/lock'
wait_for_locks $locks
check_shutdown

# --- what is not whole
audit=$(dpkg --audit 2>&1; ls /var/lib/dpkg/updates 2>/dev/null)
if [ -n "$audit" ]; then
    broken=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk '$1 !~ /^.[inc]$/ { print $2 }' | sort -u)
    if [ "$repair" = 1 ] || { [ -s "$own/unfinished" ] && [ -z "$(printf '%s\n' "$broken" | comm -23 - "$own/unfinished")" ]; }; then
        say "finishing what was interrupted: $(printf '%s ' $broken)"
        dpkg --force-confdef --force-confold --configure -a >>"$log" 2>&1
        audit=$(dpkg --audit 2>&1; ls /var/lib/dpkg/updates 2>/dev/null)
    fi
    if [ -n "$audit" ]; then
        show_log
        stop dpkg-interrupted "dpkg was interrupted, or left packages unfinished: $(printf '%s ' $broken)(dpkg --configure -a)"
    fi
    rm -f "$own/unfinished"
fi
forget_auto

# --- what is there already
mkdir -p "$step/none"
: >"$step/wanted"
held=" $(apt-mark showhold 2>/dev/null | tr '\n' ' ') "
size=0
while read -r kind name arch version checksum row; do
    [ "$kind" = w ] || continue
    version_wanted=$version arch_wanted=$arch
    version_of "$name" "$arch"
    if [ -z "$have" ]; then
        tell_failed "$row" "$version_wanted" "gone: it is not installed any more"
    elif [ "$have" = "$version_wanted" ] && [ -n "$whole" ]; then
        printf 'patch: already %s %s\n' "$row" "$version_wanted"
    elif dpkg_is_newer "$have" "$version_wanted"; then
        printf 'patch: already %s %s\n' "$row" "$have"
    else
        case $held in
        *" $name "* | *" $name:$arch_wanted "*)
            tell_failed "$row" "$version_wanted" "held: it is held on the node itself (apt-mark showhold)"
            continue
            ;;
        esac
        printf '%s %s %s %s %s %s\n' "$kind" "$name" "$arch_wanted" "$version_wanted" "$checksum" "$row" >>"$step/wanted"
    fi
done <"$step/pins" >"$step/results"
{
    while read -r kind name arch version checksum row; do
        printf 'Package: %s\nPin: version %s\nPin-Priority: 995\n\n' "$name" "$version"
    done <"$step/pins"
} >"$step/preferences"

# --- simulate
: >"$step/good"
[ ! -s "$step/wanted" ] || choose "$step/wanted"

# --- download, a phase of its own: while it goes on nothing has begun, and it may be killed
cached() { # NAME ARCH VERSION: sets file to where apt keeps it
    version_part=$3
    case $3 in *:*) version_part=${3%%:*}%3a${3#*:} ;; esac
    file=/var/cache/apt/archives/$1_${version_part}_$2.deb
}
if [ -s "$step/good" ]; then
    # Of a file that lies there apt compares the size and nothing else.
    while read -r kind name arch version checksum row; do
        cached "$name" "$arch" "$version"
        case $checksum in sha256:*) ;; *) continue ;; esac
        [ ! -f "$file" ] || [ "$(sha256sum <"$file")" = "${checksum#sha256:}  -" ] || rm -f "$file"
    done <"$step/pins"
    words_of "$step/good"
    apt --print-uris install $words >"$step/uris" 2>>"$log"
    needed=$(awk '/^\047/ { if ($1 !~ /^\047(file|copy):/) size += $3 } END { printf "%d", size / 1024 }' "$step/uris")
    unpacked=$(awk '/^\047/ { size += $3 } END { printf "%d", size / 1024 }' "$step/uris")
    need_room /var "$((needed + unpacked + 8192))"
    need_room / "$((unpacked * 3 + 8192))"
    ! grep -q '^w linux-image' "$step/good" || ! [ -d /boot ] || need_room /boot 102400
fi
if [ -s "$step/good" ]; then
    say "downloading $(wc -l <"$step/good") patches, $needed KB"
    words_of "$step/good"
    if ! apt --download-only install $words >"$step/downloaded" 2>&1; then
        cat "$step/downloaded" >>"$log"
        case $(cat "$step/downloaded") in
        *o\ space\ left* | *enough\ free\ space*) cause=disk-full ;;
        *) cause=download ;;
        esac
        said=$(sed -n 's/^E: //p' "$step/downloaded" | head -n 2 | cut -c1-300 | tr '\n' ' ')
        fail_all "$step/good" "$cause: $said"
        : >"$step/good"
    fi
fi
if [ -s "$step/good" ]; then # its index may know other sums than the one that was approved
    awk '
        function plain(text, at, found) {
            found = ""
            while ((at = match(text, /%[0-9a-fA-F][0-9a-fA-F]/)) > 0) {
                found = found substr(text, 1, at - 1) sprintf("%c", 16 * digit(substr(text, at + 1, 1)) + digit(substr(text, at + 2, 1)))
                text = substr(text, at + 3)
            }
            return found text
        }
        function digit(one) { return index("0123456789abcdef", tolower(one)) - 1 }
        /^\047(file|copy):/ { sub(/^\047(file|copy):(\/\/)?/, "", $1); sub(/\047$/, "", $1); print $2, plain($1) }
    ' "$step/uris" >"$step/local"
    while read -r kind name arch version checksum row; do
        case $checksum in sha256:*) ;; *) continue ;; esac
        cached "$name" "$arch" "$version"
        [ -f "$file" ] || file=$(sed -n "s|^${file##*/} ||p" "$step/local")
        [ -n "$file" ] && [ "$(sha256sum 2>/dev/null <"$file")" != "${checksum#sha256:}  -" ] || continue
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
if [ -s "$step/good" ]; then
    wait_for_locks $locks
    check_shutdown
    # Once more, on what is there now: somebody else may have had the lock meanwhile.
    if ! simulate "$step/good"; then
        fail_all "$step/good" "dependency: the node changed meanwhile: $why"
        : >"$step/good"
    fi
fi
left_whole() { # NAMES into $own/unfinished that a later install may finish by itself: what is not whole after ours
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk '$1 !~ /^.[inc]$/ { print $2 }' | sort -u >"$own/unfinished"
    [ -s "$own/unfinished" ] || rm -f "$own/unfinished"
}
transact() { # installs $step/good in one transaction; puts into $step/rest what another one had to suffer for
    awk '$1 == "Inst" { sub(/:.*/, "", $2); print $2 }' "$step/simulated" | sort -u >"$own/unfinished"
    sync "$own/auto" "$own/unfinished" 2>/dev/null
    words_of "$step/good"
    apt install $words >"$step/installed" 2>&1
    ended=$?
    # dpkg leaves what it has unpacked as it is when another package fails.
    [ "$ended" = 0 ] || grep -q 'received signal\|exited unexpectedly' "$step/installed" ||
        dpkg --force-confdef --force-confold --configure --pending >>"$step/installed" 2>&1
    cat "$step/installed" >>"$log"
    : >"$step/rest"
    while read -r kind name arch version checksum row; do
        version_wanted=$version arch_wanted=$arch
        version_of "$name" "$arch"
        if [ "$have" = "$version_wanted" ] && [ -n "$whole" ]; then
            printf 'patch: installed %s %s\n' "$row" "$version_wanted"
            continue
        fi
        why=$(why_not "$name" "$step/installed")
        if [ -n "$why" ]; then
            tell_failed "$row" "$version_wanted" "$why"
        else
            printf '%s %s %s %s %s %s\n' "$kind" "$name" "$arch_wanted" "$version_wanted" "$checksum" "$row" >>"$step/rest"
        fi
    done <"$step/good" >>"$step/results"
}
if [ -s "$step/good" ]; then
    # Naming a package makes apt take it for chosen by hand: until the marks are put back they stand in a file that outlives us.
    apt-mark showauto | sort >"$step/auto"
    while read -r kind name arch version checksum row; do
        printf '%s\n%s:%s\n' "$name" "$name" "$arch"
    done <"$step/good" | sort -u | comm -12 - "$step/auto" >"$own/auto"
fi
rounds=0
while [ -s "$step/good" ]; do
    rounds=$((rounds + 1))
    before=$(wc -l <"$step/good")
    say "installing $((before)) patches"
    transact
    mv "$step/rest" "$step/good"
    [ -s "$step/good" ] || break
    if [ "$rounds" -ge 5 ] || [ "$(wc -l <"$step/good")" = "$before" ] || ! simulate "$step/good"; then
        said=$(sed -n 's/^E: //p' "$step/installed" | head -n 1 | cut -c1-200)
        fail_all "$step/good" "transaction: apt-get ended with $ended: $said"
        break
    fi
done
if [ "$rounds" -gt 0 ]; then
    forget_auto
    left_whole
    while read -r kind name arch version checksum row; do
        cached "$name" "$arch" "$version"
        rm -f "$file"
    done <"$step/pins"
fi
decide_reboot
unbooted=$?
finish
[ "$unbooted" = 0 ] || [ "$failed" != 0 ] || failed=1
exit "$failed"
"""
"""An install with apt."""

APT_CAUSES: Final = r"""
why_not() { # NAME FILE: of what dpkg said the cause for one package
    awk -v name="$1" '
        { plain = $0 }
        /Sub-process .*dpkg received signal|dpkg .*was killed|Sub-process \/usr\/bin\/dpkg exited unexpectedly/ { killed = plain }
        /No space left on device/ { full = plain }
        /^dpkg: error processing (package|archive) / {
            who = $5
            sub(/:.*/, "", who)
            count = split(who, piece, "/")
            who = piece[count]
            sub(/_.*/, "", who)
            mine = who == name
            next
        }
        mine && /^ / { sub(/^ +/, ""); said = said ? said : $0 }
        mine { mine = 0 }
        /^dpkg: dependency problems prevent configuration of / {
            who = $NF
            sub(/:.*/, "", who)
            depends = who == name
            next
        }
        depends && /^ / { sub(/^ +/, ""); because = because ? because : $0 }
        !/^ / { depends = 0 }
        END {
            if (full) print "disk-full: " full
            else if (killed) print "dpkg-killed: " killed
            else if (because) print "dependency: " because
            else if (said ~ /script|subprocess/) print "maintainer-script: " said
            else if (said) print "dpkg: " said
        }
    ' "$2" | cut -c1-300
}
"""
"""What the words of dpkg mean."""
