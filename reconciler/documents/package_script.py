r"""The sh program of aws:configurePackage: SSM's steps of installing, updating and taking away, and back again; text only.

It finds in front of it

    verb name version      Install or Uninstall; the version that is wanted, empty where any is meant
    kind                   reinstall or update: how another version takes an installed one's place
    contents               checksums of the tars of that version, for whichever platform; one of them was sent along

ROOT/packages/NAME/state   one line: STATE VERSION CONTENT, and of an upgrade the VERSION CONTENT it came from
ROOT/packages/NAME/CONTENT the unpacked files of an installed version
ROOT/inventory/packages.json   all packages and their states, where every pass reads them as Custom:DistributorPackage

States are those of SSM's agent. Whatever ends it in the middle, the next run begins where the state says.
"""

from typing import Final

TEXT: Final = r"""
umask 077
run=${0%/steps/*}
root=${run%/runs/*}
home=$root/packages/$name
say() { printf '%s\n' "$1"; }
fail() {
    printf 'aws:configurePackage: %s\n' "$1" >&2
    tell
    exit 1
}
tell() { # the inventory of all packages: names and versions hold nothing that JSON would mind
    mkdir -p "$root/inventory" || return 0
    {
        printf '{"SchemaVersion":"1.0","TypeName":"Custom:DistributorPackage","Content":['
        comma=
        for told in "$root"/packages/*/state; do
            read -r s v c rest 2>/dev/null <"$told" || continue
            one=${told%/state}
            printf '%s\n{"Name":"%s","Version":"%s","State":"%s","Content":"%s"}' "$comma" "${one##*/}" "$v" "$s" "$c"
            comma=,
        done
        printf '\n]}\n'
    } >"$root/inventory/packages.json.tmp" && mv -f "$root/inventory/packages.json.tmp" "$root/inventory/packages.json"
}
note() { # STATE VERSION CONTENT [VERSION CONTENT]
    printf '%s\n' "$*" >"$home/state.tmp" && mv -f "$home/state.tmp" "$home/state" && sync "$home/state" 2>/dev/null ||
        [ -s "$home/state" ] || fail "cannot write $home/state on the node"
}
has() { # SCRIPT CONTENT
    [ -f "$home/$2/$1.sh" ]
}
call() { # SCRIPT CONTENT VERSION: gives the script's status; it asks for a reboot with 194, and is called again after it
    say "running $1.sh of $name $3"
    (
        cd "$home/$2" || exit 1
        umask 022
        BWS_ACTION_NAME=$1
        export BWS_ACTION_NAME
        exec sh "./$1.sh" </dev/null
    )
    status=$?
    if [ "$status" = 194 ]; then
        printf '' >"$home/rebooting"
        say "$1.sh asks for a reboot"
        exit 194
    fi
    [ "$status" = 0 ] || printf 'aws:configurePackage: %s.sh of %s %s ended with %s\n' "$1" "$name" "$3" "$status" >&2
    return "$status"
}
validate() { # CONTENT VERSION: without such a script it is fine
    has validate "$1" || return 0
    call validate "$1" "$2"
}
done_with() { # STATE VERSION CONTENT: nothing but that is left
    note "$1" "$2" "$3"
    for left in "$home"/*; do
        [ ! -d "$left" ] || [ "$left" = "$home/$3" ] || rm -rf "$left"
    done
    tell
}
rollback() { # what was there before comes back; the step has failed all the same
    if [ -z "$old" ]; then
        note Failed "$version" "$content"
        fail "$name $version could not be installed"
    fi
    note RollbackUninstall "$version" "$content" "$old_version" "$old"
    has uninstall "$content" && call uninstall "$content" "$version" || say "going on without it"
    note RollbackInstall "$version" "$content" "$old_version" "$old"
    if has install "$old" && call install "$old" "$old_version" && validate "$old" "$old_version"; then
        done_with Installed "$old_version" "$old"
        fail "$name $version could not be installed: rolled back to $old_version"
    fi
    note Failed "$version" "$content"
    fail "$name $version could not be installed, and rolling back to $old_version failed too"
}
finish() {
    done_with Installed "$version" "$content"
    say "$name $version: $1"
    exit 0
}
unpack() {
    [ ! -d "$home/$content" ] || return 0
    sent=$run/content/$content
    [ "$(sha256sum 2>/dev/null <"$sent")" = "$content  -" ] || fail 'what was sent to the node is not there any more, or changed'
    rm -rf "$home/$content.new"
    mkdir "$home/$content.new" && (umask 022 && tar -x -f - -C "$home/$content.new") <"$sent" &&
        mv "$home/$content.new" "$home/$content" || fail "the package could not be unpacked in $home on the node"
}
surroundings() {
    ID='' VERSION_ID=''
    [ ! -r /etc/os-release ] || . /etc/os-release
    BWS_PLATFORM_NAME=$ID BWS_PLATFORM_VERSION=$VERSION_ID BWS_PLATFORM_FAMILY='' BWS_PACKAGE_MANAGER=''
    for try in apt:debian dnf:rhel yum:rhel zypper:suse apk:alpine pacman:arch; do
        if command -v "${try%:*}" >/dev/null 2>&1; then
            BWS_PACKAGE_MANAGER=${try%:*} BWS_PLATFORM_FAMILY=${try#*:}
            break
        fi
    done
    BWS_ARCHITECTURE=$(uname -m)
    case $BWS_ARCHITECTURE in aarch64) BWS_ARCHITECTURE=arm64 ;; i?86) BWS_ARCHITECTURE=386 ;; esac
    BWS_INIT_SYSTEM=$(cat /proc/1/comm 2>/dev/null)
    BWS_INSTANCE_ID=$AWS_SSM_INSTANCE_ID BWS_REGION=$AWS_SSM_REGION_NAME
    BWS_INSTANCE_TYPE='' BWS_ACCOUNT_ID='' BWS_AVAILABILITY_ZONE=''
    export BWS_PLATFORM_NAME BWS_PLATFORM_VERSION BWS_PLATFORM_FAMILY BWS_PACKAGE_MANAGER BWS_ARCHITECTURE BWS_INIT_SYSTEM
    export BWS_INSTANCE_ID BWS_REGION BWS_INSTANCE_TYPE BWS_ACCOUNT_ID BWS_AVAILABILITY_ZONE
}

mkdir -p "$home" || fail "cannot write in $root/packages on the node"
surroundings
state=None at_version='' at='' old_version='' old=''
[ ! -s "$home/state" ] || read -r state at_version at old_version old rest <"$home/state" || :
again=
[ ! -e "$home/rebooting" ] || again=1
rm -f "$home/rebooting"

if [ "$verb" = Uninstall ]; then
    case $state in
    None | Uninstalled)
        say "$name is not installed"
        exit 0
        ;;
    esac
    if [ -n "$version" ] && [ "$version" != "$at_version" ]; then
        say "$name $version is not installed: $at_version is"
        exit 0
    fi
    version=$at_version content=$at
    has uninstall "$content" || fail "the files of $name $version are gone from $home: install it again first"
    note Uninstalling "$version" "$content"
    call uninstall "$content" "$version" || fail "$name $version could not be removed"
    done_with Uninstalled "$version" none
    say "$name $version: removed"
    exit 0
fi

content=
for each in $contents; do
    [ ! -f "$run/content/$each" ] || content=$each
done
[ -n "$content" ] || fail "$name $version has no file for $BWS_PLATFORM_NAME $BWS_PLATFORM_VERSION $BWS_ARCHITECTURE ($offers)"
unpack

same=
[ "$at_version" != "$version" ] || [ "$at" != "$content" ] || same=1
case $state:$same in
Installed:1)
    if validate "$content" "$version"; then
        say "$name $version: already installed"
        tell
        exit 0
    fi
    old='' old_version=''
    ;;
Installing:1 | Updating:1)
    # Something ended it in the middle. After a reboot that a script asked for, that script is called again.
    if [ -z "$again" ] && has validate "$content" && validate "$content" "$version"; then
        finish "installed"
    fi
    [ "$state" = Installing ] || kind=update
    ;;
Upgrading:1) ;;
RollbackUninstall:1 | RollbackInstall:1) rollback ;;
Failed:* | None:* | Uninstalled:*) old='' old_version='' ;;
*)
    # Another version is there, whole or in part.
    old_version=$at_version old=$at state=Installed
    has uninstall "$old" || old='' old_version=''
    ;;
esac

if [ -n "$old" ] && [ "$state" != Installing ]; then
    if [ "$kind" = update ] || [ "$state" = Updating ]; then
        # Nothing is run, so what was installed still is.
        has update "$content" || {
            [ "$state" = Updating ] || note Installed "$old_version" "$old"
            fail "$name $version has no update.sh: it cannot be updated in place"
        }
        note Updating "$version" "$content" "$old_version" "$old"
        call update "$content" "$version" && validate "$content" "$version" || rollback
        finish "updated from $old_version"
    fi
    note Upgrading "$version" "$content" "$old_version" "$old"
    call uninstall "$old" "$old_version" || say "going on without it"
fi
note Installing "$version" "$content" ${old:+"$old_version" "$old"}
call install "$content" "$version" && validate "$content" "$version" || rollback
finish "installed"
"""
