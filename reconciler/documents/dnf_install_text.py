r"""What a patch step does with dnf: the functions that `patch_frame_text` asks for; text only.

Of what the repositories offer dnf is shown the pins and nothing else, so that its solver cannot bring anything that is not
approved: what a patch needs beyond that dnf names itself.
"""

from typing import Final

RPM: Final = r"""
LC_ALL=C.UTF-8 PAGER=cat TERM=dumb
export LC_ALL PAGER TERM
cd /
exec </dev/null
ending=rpm

asks_for_signatures() { # whether an enabled repository does, or none is enabled that could do without
    set -- /etc/dnf/dnf.conf /etc/dnf/libdnf5.conf.d/*.conf /etc/zypp/zypp.conf \
        /etc/yum.repos.d/*.repo /etc/dnf/repos.override.d/*.repo /etc/zypp/repos.d/*.repo
    [ -z "$sources" ] || set -- "$step/sources.list"
    for one; do
        shift
        [ ! -f "$one" ] || set -- "$@" "$one"
    done
    [ $# -gt 0 ] || return 0
    awk '
        function yes(text) { return tolower(text) ~ /^(1|yes|true|on|enabled)$/ }
        function over() { if (id != "" && id != "main" && enabled) { some = 1; if (check) asks = 1 } }
        BEGIN { usual = 1 }
        FNR == 1 { over(); id = "" }
        { sub(/\r$/, "") }
        /^\[/ { over(); id = substr($0, 2); sub(/\].*/, "", id); enabled = 1; check = usual; next }
        /^[ \t]*[#;]/ { next }
        i = index($0, "=") {
            key = tolower(substr($0, 1, i - 1))
            gsub(/[ \t]/, "", key)
            value = substr($0, i + 1)
            gsub(/[ \t]/, "", value)
            if (key == "enabled") enabled = yes(value)
            else if (key ~ /^(pkg_)?gpgcheck$/ && id == "main") usual = yes(value)
            else if (key ~ /^(pkg_)?gpgcheck$/) check = yes(value)
        }
        END { over(); exit some && !asks }
    ' "$@"
}
is_signed() { # FILE
    [ "$signatures" = 1 ] || return 0
    why='the file that was sent is not signed by a key that rpm knows on the node'
    checked=$(rpm --checksig "$1" 2>/dev/null) || return 1
    case $checked in *' signatures OK' | *' pgp '*' OK' | *' gpg OK') why= ;; *) return 1 ;; esac
}
is_newer() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | tail -n 1)" = "$1" ]; }
whole_version() { # VERSION: sets evr, with an epoch, and vr, without
    case $1 in *:*) evr=$1 vr=${1#*:} ;; *) evr=0:$1 vr=$1 ;; esac
}
standing_of() { # NAME ARCH VERSION
    whole_version "$3"
    have=
    standing=gone
    found=$(rpm -q --qf '%{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\n' "$1" 2>/dev/null) || return 0
    while read -r version_here arch_here; do
        [ "$arch_here" = "$2" ] || [ "$arch_here" = noarch ] || [ "$2" = noarch ] || continue
        [ "$standing" = already ] || standing=wanted
        here=${version_here#0:}
        [ "$version_here" != "$evr" ] || { standing=already have=$3; }
    done <<END
$found
END
    case $standing in
    already) ! is_double "$1.$2" || standing=wanted ;;
    wanted)
        if evr_is_newer "$here" "$3"; then standing=already have=$here
        elif is_locked "$1"; then standing=held
        fi
        ;;
    esac
}
evr_is_newer() { # EVR OTHER: part by part, which old versions of rpm compare no other way
    case $1$2 in *[!A-Za-z0-9._+~^:-]*) return 1 ;; esac
    left_epoch=0 right_epoch=0 left=${1#*:} right=${2#*:}
    case $1 in *:*) left_epoch=${1%%:*} ;; esac
    case $2 in *:*) right_epoch=${2%%:*} ;; esac
    [ "$(rpm --eval "%{lua: local c = rpm.vercmp('$left_epoch', '$right_epoch');
        if c == 0 then c = rpm.vercmp('${left%%-*}', '${right%%-*}') end;
        if c == 0 then c = rpm.vercmp('${left#*-}', '${right#*-}') end; print(c)}")" = 1 ]
}
is_double() { # ROW: two versions of it are installed, though one alone can be whole
    case $1 in kernel* | kmod-* | *-kmp-* | gpg-pubkey*) return 1 ;; esac
    [ "$(rpm -q "$1" 2>/dev/null | wc -l)" -gt 1 ]
}
doubles() {
    rpm -qa --qf '%{NAME}.%{ARCH}\n' | sort | uniq -d | while read -r one; do
        ! is_double "$one" || printf '%s\n' "$one"
    done
}
finish_doubles() { # takes away the older of two versions that a broken transaction left: its files are the newer one's by now
    for row in $again; do
        newest=
        for one in $(rpm -q --qf '%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n' "$row"); do
            if [ -z "$newest" ] || evr_is_newer "$one" "$newest"; then newest=$one; fi
        done
        for one in $(rpm -q --qf '%{NAME}-%{EPOCHNUM}:%{VERSION}-%{RELEASE}.%{ARCH}\n' "$row"); do
            [ "$one" = "${row%.*}-$newest.${row##*.}" ] || rpm -e --nodeps "$one" >>"$log" 2>&1
        done
    done
    again=$(doubles)
}
check_whole() {
    rpm -qa --qf '' >/dev/null 2>&1 || stop rpm-interrupted 'the database of rpm cannot be read: rpm --rebuilddb'
    again=$(doubles)
    if [ -n "$again" ]; then
        if [ "$repair" = 1 ] || { [ -s "$own/unfinished" ] && [ -z "$(printf '%s\n' "$again" | comm -23 - "$own/unfinished")" ]; }; then
            say "finishing what was interrupted: $(printf '%s ' $again)"
            finish_doubles
        fi
        if [ -n "$again" ]; then
            show_log
            stop rpm-interrupted "a transaction was interrupted, and left two versions of a package: $(printf '%s ' $again)(dnf check, zypper verify)"
        fi
    fi
    rm -f "$own/unfinished"
    restore_marks
}
look_at_kernels() { :; } # dnf and zypper bound them by settings of their own
note_unfinished() {
    doubles >"$own/unfinished"
    [ -s "$own/unfinished" ] || rm -f "$own/unfinished"
}
begin_unfinished() { # what a later install may finish by itself: companions, too
    while read -r kind name arch version checksum row; do printf '%s.%s\n' "$name" "$arch"; done <"$step/pins" | sort -u >"$own/unfinished"
    sync "$own/unfinished" 2>/dev/null
}
tell_scripts() { # what is installed all the same, though a script of it failed
    sed -n 's/^ *[wW]arning: \(%[a-z]*([^)]*) scriptlet failed.*\)/\1/p' "$step/installed" | sort -u >>"$step/findings"
}
in_place() { # after `cached`: files of this machine are taken from where they are
    file=$(sed -n "s|^file:/*\(/.*/$base\)\$|\1|p" "$step/places" | head -n 1)
}
why_not() { # NAME FILE
    first_cause "$@" | head -n 1
}
first_cause() {
    awk -v name="$1" '
        / scriptlet in rpm package / && !/\(non-critical\)/ {
            who = $NF
            kind = $3
            if (index(who, name "-") == 1 || who == name) said = "maintainer-script: its " kind " script failed"
        }
        /^ *[eE]rror: %[a-z]*\(/ {
            rest = $0
            sub(/^[^(]*\(/, "", rest)
            if (index(rest, name "-") == 1 && !said) said = "maintainer-script: " $0
        }
        /more space needed on|No space left on device|nsufficient space/ { if (!full) full = $0 }
        /GPG check FAILED|[Ss]ignature verification failed|is not signed/ { if (!sign) sign = $0 }
        END {
            if (full) print "disk-full: " full
            else if (said) print said
            else if (sign) print "signature: " sign
        }
    ' "$2" | cut -c1-300
    [ "${ended:-0}" -le 128 ] || printf 'rpm-killed: the package manager was killed by signal %s\n' "$((ended - 128))"
}
"""
"""What dnf and zypper share."""

DNF: Final = r"""
locks='/var/cache/dnf/metadata_lock.pid /var/cache/dnf/download_lock.pid /var/lib/dnf/rpmdb_lock.pid /var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock'
holds='dnf versionlock list'
dnf=dnf
command -v dnf >/dev/null 2>&1 || dnf=dnf5

is_locked() { # NAME: whether the plugin that would keep it is there or not
    [ -r /etc/dnf/plugins/versionlock.list ] || return 1
    while read -r lock rest; do
        case $lock in '' | '#'*) continue ;; esac
        lock=${lock#!}
        case $1 in $lock) return 0 ;; esac
        case $lock in *-*-*) lock=${lock%-*-*} ;; *) continue ;; esac
        case $1 in $lock) return 0 ;; esac
    done </etc/dnf/plugins/versionlock.list
    return 1
}
remember_marks() { note_along; } # an upgrade by dnf leaves the others as they are
restore_marks() {
    [ ! -s "$own/along" ] || while read -r one; do
        rpm -q "$one" >/dev/null 2>&1 || continue
        run_dnf -q mark dependency "$one" >>"$log" 2>&1 || run_dnf -q mark remove "$one" >>"$log" 2>&1
    done <"$own/along"
    rm -f "$own/along"
}
prepare() {
    includes=
    excludes=
    signatures=1
    asks_for_signatures || signatures=0
    : >"$step/findings"
    if [ "$any" = 0 ]; then
        while read -r kind name arch version checksum row; do
            whole_version "$version"
            includes="$includes${includes:+,}$name-$evr.$arch"
        done <"$step/pins"
    fi
    for name in $never; do excludes="$excludes${excludes:+,}$name"; done
}
only=
use_sources() {
    cp "$step/sources.list" "$step/repos/sources.repo"
    only="--setopt=reposdir=$step/repos --setopt=cachedir=$step/cache"
    [ "$dnf" = dnf ] || only="$only --setopt=system_cachedir=$step/cache"
    # It reads repositories from here as well, whatever folder it is told to look into.
    for one in $(sed -n 's/^\[\([A-Za-z0-9._:+~-]*\)\].*/\1/p' /etc/dnf/dnf.conf 2>/dev/null); do
        [ "$one" = main ] || grep -q -F "[$one]" "$step/repos/sources.repo" || only="$only --disablerepo=$one"
    done
    run_dnf -q makecache
}
run_dnf() { # ARGUMENTS: dnf that asks nothing, keeps to the lists it has, and sees nothing but the pins
    LC_ALL=C $dnf $only --setopt='*.metadata_expire=never' --setopt=install_weak_deps=0 --setopt=best=1 \
        --setopt=clean_requirements_on_remove=0 --setopt=installonly_limit=0 --setopt=keepcache=0 --setopt=exit_on_lock=0 --setopt='*.skip_if_unavailable=0' \
        "--setopt=localpkg_gpgcheck=$signatures" ${includes:+"--setopt=*.includepkgs=$includes"} ${excludes:+"--setopt=*.excludepkgs=$excludes"} "$@"
}
words_of() { # FILE OF PIN LINES
    words=
    while read -r kind name arch version checksum row; do
        ! is_kept "$checksum" || { words="$words $sent"; continue; }
        whole_version "$version"
        words="$words $name-$evr.$arch"
    done <"$1"
}
try() {
    why=
    words_of "$1"
    run_dnf --assumeno "$(verb)" $words $along >"$step/simulated" 2>&1
    if ! grep -q '^Operation aborted' "$step/simulated"; then
        why=$(unmet <"$step/simulated")
        return 1
    fi
    awk '
        FNR == NR { ours[$2] = 1; next }
        /^ +replacing / {
            name = $2
            sub(/\.[^.]*$/, "", name)
            if (!(name in ours) && !($2 in ours)) print "it would remove " $2
        }
        /^ ?(Remove|Removing:|Downgrade|Downgrading:) +[0-9]+ [Pp]ackage/ { print "it would " tolower(substr($1, 1, 6)) " packages" }
    ' "$step/pins" "$step/simulated" >"$step/offending"
    if [ -s "$step/offending" ]; then
        why=$(head -n 5 "$step/offending" | tr '\n' ';' | sed 's/;$//; s/;/; /g')
        return 1
    fi
}
verb() { # what is new dnf does not upgrade
    if [ -n "$along" ]; then echo install; else echo upgrade; fi
}
unmet() {
    sed -n 's/ is filtered out by exclude filtering/ is not approved/; /^ *Problem/p; /^  - /p; /^Error: ./p; /^No match for argument/p; /^Nothing to do/p' |
        sed 's/^ *//' | grep -v 'cannot install the best update' | head -n 5 | tr '\n' ';' | sed 's/;$//; s/;/; /g' | cut -c1-400
}
cached() { # NAME ARCH VERSION
    whole_version "$3"
    base=$1-$vr.$2.rpm
    file=
    for found in /var/cache/dnf/*/packages/"$base" /var/cache/libdnf5/*/packages/"$base" "$step"/cache/*/packages/"$base"; do
        [ ! -f "$found" ] || file=$found
    done
}
measure() {
    needed=$(awk '
        /^ *Total (download )?size(:| of inbound packages is) / {
            at = match($0, /[0-9.]+ *[kKMG]?/)
            size = substr($0, at, RLENGTH) + 0
            unit = substr($0, at, RLENGTH)
            sub(/[0-9.]+ */, "", unit)
            if (unit == "M") size *= 1024
            if (unit == "G") size *= 1048576
            if (unit == "") size /= 1024
        }
        END { printf "%d", size + 1 }
    ' "$step/simulated")
    unpacked=$needed
    while read -r kind name arch version checksum row; do
        is_kept "$checksum" || printf '%s %s %s %s %s %s\n' "$kind" "$name" "$arch" "$version" "$checksum" "$row"
    done <"$step/pins" >"$step/offered"
    words_of "$step/offered"
    : >"$step/places"
    [ -z "$words" ] || run_dnf -q repoquery --location $words >"$step/places" 2>>"$log"
}
download() {
    words_of "$step/good"
    run_dnf -y --downloadonly "$(verb)" $words $along
}
said_of() { # FILE
    sed -n 's/^Error: *//p; s/^\[FAILED\] *//p; s/^  - //p; s/^error: //p' "$1" | grep . | head -n 2 | cut -c1-300 | tr '\n' ' '
}
install_good() {
    begin_unfinished
    words_of "$step/good"
    run_dnf -y "$(verb)" $words $along
    ended=$?
    tell_scripts
}
"""
