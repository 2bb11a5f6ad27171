r"""What a patch step does with zypper, beside what it shares with dnf: the functions that `patch_frame_text` asks for; text only.

zypper prefers the newest version of whatever a patch needs. Where that is not the approved one, the approved one is asked for as
well, and the simulation is made again; its XML says everything that it would do.
"""

from typing import Final

ZYPPER: Final = r"""
locks='/run/zypp.pid /var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock'
holds='zypper locks'

is_locked() { # NAME
    [ -r /etc/zypp/locks ] || return 1
    while read -r key lock rest; do
        [ "$key" = solvable_name: ] || continue
        case $1 in $lock) return 0 ;; esac
    done </etc/zypp/locks
    return 1
}
prepare() {
    signatures=1 unsigned=
    asks_for_signatures || signatures=0
    [ -z "$kept" ] || [ "$signatures" = 1 ] || unsigned=--allow-unsigned-rpm
    : >"$step/findings"
    : >"$step/places"
}
only=
use_sources() {
    cp "$step/sources.list" "$step/repos/sources.repo"
    only="--reposd-dir $step/repos --cache-dir $step/cache"
    LC_ALL=C zypper --non-interactive $only refresh
}
run_zypper() { # ARGUMENTS: zypper that asks nothing, and keeps to the lists it has
    LC_ALL=C zypper $only --non-interactive --no-refresh "$@"
}
words_of() { # FILE OF PIN LINES
    words=
    while read -r kind name arch version checksum row; do
        ! is_kept "$checksum" || { words="$words $sent"; continue; }
        words="$words $name.$arch=${version#0:}"
    done <"$1"
}
try() { # sets words, with what else of the pins must be asked for
    words_of "$1"
    words="$words $along"
    tries=0
    while :; do
        tries=$((tries + 1))
        why=
        run_zypper --xmlout install $unsigned --no-recommends --auto-agree-with-licenses --dry-run $words >"$step/simulated" 2>&1
        if ! grep -q '^<install-summary ' "$step/simulated"; then
            why=$(said_of "$step/simulated")
            return 1
        fi
        awk -v any="$any" -v never=" $never " '
            function value(text, name) {
                if (!match(text, " " name "=\"[^\"]*\"")) return ""
                return substr(text, RSTART + length(name) + 3, RLENGTH - length(name) - 4)
            }
            FNR == NR { version = $4; sub(/^0:/, "", version); pinned[$2, version] = 1; mine[$2] = $2 "." $3 "=" version; next }
            /^<to-[a-z-]*>/ { what = $0; sub(/^<to-/, "", what); sub(/>.*/, "", what); next }
            /^<\/to-/ { what = ""; next }
            /^<solvable / && what {
                name = value($0, "name")
                new = value($0, "edition")
                sub(/^0:/, "", new)
                if (value($0, "type") != "package") next
                if (what != "install" && what != "upgrade") print "- it would " what " " name
                else if (index(never, " " name " ")) print "- it needs " name " " new ", which is rejected"
                else if (!((name, new) in pinned) && !any) print (name in mine ? mine[name] : "-") " it needs " name " " new ", which is not approved"
            }
        ' "$step/pins" "$step/simulated" >"$step/offending"
        [ -s "$step/offending" ] || return 0
        more=$(sed -n 's/^\([^-][^ ]*\) .*/\1/p' "$step/offending" | tr '\n' ' ')
        why=$(sed 's/^[^ ]* //' "$step/offending" | head -n 5 | tr '\n' ';' | sed 's/;$//; s/;/; /g')
        [ -n "$more" ] && [ "$tries" -lt 5 ] || return 1
        words="$words $more"
    done
}
cached() { # NAME ARCH VERSION
    whole_version "$3"
    base=$1-$vr.$2.rpm
    file=$(find /var/cache/zypp/packages "$step/cache" -name "$base" 2>/dev/null | head -n 1)
}
measure() {
    bytes=$(sed -n 's/^<install-summary download-size="\([0-9]*\)".*/\1/p' "$step/simulated")
    needed=$((${bytes:-0} / 1024 + 1))
    unpacked=$needed
}
download() {
    simulate "$step/good" && run_zypper install $unsigned --no-recommends --auto-agree-with-licenses --download-only $words
}
said_of() { # FILE
    sed -n 's/&apos;/'"'"'/g; s/&lt;/</g; s/&gt;/>/g; s/<[a-z/][^<>]*>//g; /[Pp]roblem: /p; /^ *nothing provides/p; /requires /p; /^[Ee]rror/p; /rror:/p; /not found/p' "$1" |
        grep . | sort -u | head -n 3 | cut -c1-300 | tr '\n' ' '
}
remember_marks() { # naming a package makes zypper take it for chosen by hand
    [ ! -f /var/lib/zypp/AutoInstalled ] || while read -r kind name rest; do
        ! grep -q -x -F "$name" /var/lib/zypp/AutoInstalled || printf '%s\n' "$name"
    done <"$step/good" >"$own/auto"
    note_along
}
restore_marks() {
    [ ! -s "$own/along" ] || while read -r one; do
        ! rpm -q "$one" >/dev/null 2>&1 || printf '%s\n' "$one"
    done <"$own/along" >>"$own/auto"
    rm -f "$own/along"
    [ -s "$own/auto" ] || return 0
    while read -r name; do
        grep -q -x -F "$name" /var/lib/zypp/AutoInstalled || printf '%s\n' "$name" >>/var/lib/zypp/AutoInstalled
    done <"$own/auto"
    rm -f "$own/auto"
}
install_good() {
    begin_unfinished
    run_zypper install $unsigned --no-recommends --auto-agree-with-licenses $words
    ended=$?
    tell_scripts
}
"""
