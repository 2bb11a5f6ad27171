r"""What a patch step does with apt and dpkg: the functions that `patch_frame_text` asks for; text only."""

from typing import Final

APT: Final = r"""
DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical DEBCONF_ADMIN_EMAIL='' UCF_FORCE_CONFFOLD=1
APT_LISTCHANGES_FRONTEND=none APT_LISTBUGS_FRONTEND=none NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l
LC_ALL=C.UTF-8 PAGER=cat TERM=dumb
export DEBIAN_FRONTEND DEBIAN_PRIORITY DEBCONF_ADMIN_EMAIL UCF_FORCE_CONFFOLD APT_LISTCHANGES_FRONTEND APT_LISTBUGS_FRONTEND
export NEEDRESTART_SUSPEND NEEDRESTART_MODE LC_ALL PAGER TERM
exec </dev/null
locks='/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/cache/apt/archives/lock'
holds='apt-mark showhold'
ending=deb

is_signed() { :; } # no .deb is: its checksum stood in an index that was
only=
use_sources() {
    only="-o Dir::Etc::SourceList=$step/sources.list -o Dir::Etc::SourceParts=$step/none -o Dir::State::Lists=$step/lists"
    only="$only -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root"
    mkdir -p "$step/lists/partial"
    apt -o APT::Update::Error-Mode=any update
}
dpkg() { /usr/bin/dpkg "$@"; } # busybox has one of its own, which some of its shells prefer
is_newer() { dpkg --compare-versions "$1" gt "$2"; }
apt() { # ARGUMENTS: apt-get that asks nothing, and takes its candidates from the pins alone
    LC_ALL=C apt-get $only -q -y -o Dir::Etc::Preferences="$step/preferences" -o Dir::Etc::PreferencesParts="$step/none" \
        -o APT::Install-Recommends=false -o APT::Install-Suggests=false -o APT::Get::AutomaticRemove=false \
        -o APT::Get::Upgrade-By-Source-Package=false -o DPkg::Lock::Timeout=60 -o Dpkg::Use-Pty=0 -o Dpkg::Progress-Fancy=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Acquire::Retries=2 \
        -o APT::Get::Show-Versions=false "$@"
}
version_of() { # NAME ARCH: sets have (empty: not installed) and whole
    have=
    whole=
    found=$(dpkg-query -W -f '${db:Status-Status} ${Architecture} ${Version}\n' "$1" 2>/dev/null) || return 0
    while read -r is arch_here version_here; do
        case $is in installed | unpacked | half-configured | half-installed | triggers-*) ;; *) continue ;; esac
        case $2 in "$arch_here" | all) ;; *) [ "$arch_here" = all ] || continue ;; esac
        have=$version_here
        case $is in installed | triggers-*) whole=1 ;; esac
    done <<END
$found
END
}
words_of() { # FILE OF PIN LINES: sets words to what apt-get install is to be told
    words=
    while read -r kind name arch version checksum row; do
        ! is_kept "$checksum" || { words="$words $sent"; continue; }
        case $arch in all) words="$words $name=$version" ;; *) words="$words $name:$arch=$version" ;; esac
    done <"$1"
    words="$words $along"
}
try() { # FILE OF PIN LINES: sets why, empty where every change is approved, and leaves the changes in $step/changes
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
check_whole() {
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
    restore_marks
}
prepare() {
    mkdir -p "$step/none"
    held=" $(apt-mark showhold 2>/dev/null | tr '\n' ' ') "
    while read -r kind name arch version checksum row; do
        printf 'Package: %s\nPin: version %s\nPin-Priority: 995\n\n' "$name" "$version"
    done <"$step/pins" >"$step/preferences"
}
standing_of() { # NAME ARCH VERSION
    version_of "$1" "$2"
    standing=wanted
    if [ -z "$have" ]; then
        standing=gone
    elif [ "$have" = "$3" ]; then
        [ -z "$whole" ] || standing=already
    elif is_newer "$have" "$3"; then
        standing=already
    else
        case $held in *" $1 "* | *" $1:$2 "*) standing=held ;; esac
    fi
}
cached() { # NAME ARCH VERSION
    file=$3
    case $3 in *:*) file=${3%%:*}%3a${3#*:} ;; esac
    file=/var/cache/apt/archives/$1_${file}_$2.deb
}
in_place() { # after `cached`: apt takes files of this machine from where they are
    file=$(sed -n "s|^${file##*/} ||p" "$step/local")
}
measure() {
    words_of "$step/good"
    apt --print-uris install $words >"$step/uris" 2>>"$log"
    needed=$(awk '/^\047/ { if ($1 !~ /^\047(file|copy):/) size += $3 } END { printf "%d", size / 1024 }' "$step/uris")
    unpacked=$(awk '/^\047/ { size += $3 } END { printf "%d", size / 1024 }' "$step/uris")
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
}
download() {
    words_of "$step/good"
    apt --download-only install $words
}
said_of() { # FILE
    sed -n 's/^E: //p' "$1" | head -n 2 | cut -c1-300 | tr '\n' ' '
}
remember_marks() { # naming a package makes apt take it for chosen by hand: the marks stand in a file that outlives us
    apt-mark showauto | sort >"$step/auto"
    while read -r kind name arch version checksum row; do
        printf '%s\n%s:%s\n' "$name" "$name" "$arch"
    done <"$step/good" | sort -u | comm -12 - "$step/auto" >"$own/auto"
    note_along
}
restore_marks() {
    [ ! -s "$own/along" ] || while read -r one; do
        ! dpkg-query -W "$one" >/dev/null 2>&1 || apt-mark auto "$one" >>"$log" 2>&1
    done <"$own/along"
    rm -f "$own/along"
    [ -s "$own/auto" ] || return 0
    xargs apt-mark auto <"$own/auto" >>"$log" 2>&1 && rm -f "$own/auto"
}
note_unfinished() { # what is not whole after our own transaction a later install may finish by itself
    dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' | awk '$1 !~ /^.[inc]$/ { print $2 }' | sort -u >"$own/unfinished"
    [ -s "$own/unfinished" ] || rm -f "$own/unfinished"
}
install_good() {
    awk '$1 == "Inst" { sub(/:.*/, "", $2); print $2 }' "$step/simulated" | sort -u >"$own/unfinished"
    sync "$own/auto" "$own/unfinished" 2>/dev/null
    words_of "$step/good"
    apt install $words
    ended=$?
    # dpkg leaves what it has unpacked as it is when another package fails.
    [ "$ended" = 0 ] || grep -q 'received signal\|exited unexpectedly' "$step/installed" ||
        dpkg --force-confdef --force-confold --configure --pending
}
look_at_kernels() { # the running one, the newest and one more stay; `remove`: the others go, with what belongs to them alone
    running=$(uname -r)
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'linux-image-[0-9]*' 2>/dev/null |
        sed -n 's/^installed linux-image-\(unsigned-\)\{0,1\}//p' | sort -u -V -r >"$step/kernels"
    old=$(grep -v -x -F "$running" "$step/kernels" | tail -n +"$(($(head -n 1 "$step/kernels" | grep -c -v -x -F "$running") + 2))")
    [ -n "$old" ] || return 0
    printf 'patch: kernels %s\n' "$(printf 'linux-image-%s ' $old)" >>"$step/findings"
    [ "$kernels" = 1 ] && ! grep -q '^patch: failed ' "$step/results" || return 0
    words=
    for one in $old; do
        for name in linux-image-$one linux-image-unsigned-$one linux-modules-$one linux-modules-extra-$one linux-headers-$one; do
            ! dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -q -x installed || words="$words $name"
        done
    done
    apt -s -o Debug::NoLocking=1 remove $words >"$step/simulated" 2>&1 || return 0
    others=$(awk '$1 == "Inst" { print $2 } $1 == "Remv" { sub(/:.*/, "", $2); print $2 }' "$step/simulated" | grep -v -x -F "$(printf '%s\n' $words)")
    if [ -n "$others" ]; then
        printf 'old kernels stay: their removal would change %s\n' "$(printf '%s ' $others)" >>"$step/findings"
        return 0
    fi
    say "removing$words"
    apt remove $words >>"$log" 2>&1 || printf 'old kernels stay: apt-get failed\n' >>"$step/findings"
}
"""
