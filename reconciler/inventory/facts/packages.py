"""Installed packages, of dpkg or of rpm, whichever the distribution lives by."""

import re
import sys
from collections.abc import Iterable
from typing import Final

from reconciler.inventory.fact import Asked, Fact, Rows, always
from reconciler.model.known import JsonValue

_SCRIPT = r"""
f=
for p in /etc/os-release /usr/lib/os-release; do
  [ -f "$p" ] && [ -r "$p" ] || continue
  while IFS= read -r l || [ -n "$l" ]; do case $l in ID=*|ID_LIKE=*) f="$f $l";; esac; done <"$p"
  break
done
m=
case $f in
*debian*|*ubuntu*) command -v dpkg-query >/dev/null && m=dpkg;;
*rhel*|*fedora*|*suse*|*centos*|*rocky*|*almalinux*|*ID=ol*|*'ID="ol"'*|*sles*|*amzn*|*azurelinux*) command -v rpm >/dev/null && m=rpm;;
esac
if [ -z "$m" ]; then
  if [ -f /var/lib/dpkg/status ] && command -v dpkg-query >/dev/null; then m=dpkg; elif command -v rpm >/dev/null; then m=rpm; fi
fi
case $m in
dpkg) set -- dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\n';;
rpm) set -- rpm -qa --qf '%{NAME}\t%{EPOCH}\t%{VERSION}-%{RELEASE}\t%{ARCH}\n';;
*) set --;;
esac
if [ $# -eq 0 ]; then say packages unknown 'neither dpkg nor rpm is installed: no other package manager is supported yet'
elif p=$("$@" 2>/dev/null </dev/null); then say packages ok "$m$NL$p"
else e=$?; p=$("$@" 2>&1 >/dev/null </dev/null); say packages unknown "$1: exit status $e: $p"
fi
"""

_WATCH = (
    "/etc/os-release /usr/lib/os-release ${dpkg:+/var/lib/dpkg/status /var/lib/dpkg/updates/. /var/lib/dpkg/arch}"
    " ${rpm:+/var/lib/rpm/rpmdb.sqlite /var/lib/rpm/rpmdb.sqlite-wal /var/lib/rpm/Packages /var/lib/rpm/Packages.db}"
)

_STATUS: Final = re.compile(r"[uihrp][ncHUFWti][ R]?")
"""What is wanted, what is (i: installed; W, t: installed, a trigger is still to run), and whether it needs reinstalling."""


def parse(stdout: str, _: Asked) -> Rows:
    """Read what dpkg-query or rpm printed; removed packages whose configuration is left are not installed."""
    manager, _line_feed, listed = stdout.partition("\n")
    lines = listed.split("\n") if listed else []
    if not lines:
        raise ValueError(f"{manager} lists no package at all")
    if manager == "dpkg":
        return _by_name(_dpkg(lines))
    if manager == "rpm":
        return _by_name(_rpm(lines))
    raise ValueError(f"not a package manager: {manager[:40]!r}")


def _dpkg(lines: list[str]) -> Iterable[tuple[str, str]]:
    rows: list[tuple[str, str, str]] = []
    for line in lines:
        try:
            status, name, version, arch = line.split("\t")
        except ValueError:
            raise ValueError(f"not a line of dpkg-query: {line[:80]!r}") from None
        if _STATUS.fullmatch(status) is None:
            raise ValueError(f"not a status of dpkg-query: {line[:80]!r}")
        if status[1] in "iWt":
            rows.append((name, version, arch))
    native = next((arch for name, _, arch in rows if name == "dpkg"), None)
    for name, version, arch in rows:
        foreign = native is not None and arch not in (native, "all")
        yield (f"{name}:{arch}" if foreign else name), f"{version} {arch}"


def _rpm(lines: list[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        try:
            name, epoch, release, arch = line.split("\t")
        except ValueError:
            raise ValueError(f"not a line of rpm -qa: {line[:80]!r}") from None
        if name == "gpg-pubkey":
            continue
        if epoch not in ("(none)", "") and not epoch.isdigit():
            raise ValueError(f"not an epoch of rpm -qa: {line[:80]!r}")
        prefix = f"{epoch}:" if epoch.isdigit() and epoch != "0" else ""
        yield name, f"{prefix}{release} {arch}"


def _by_name(pairs: Iterable[tuple[str, str]]) -> Rows:
    """Nodes are alike: names and versions are kept once in this process."""
    rows: dict[str, JsonValue] = {}
    several: dict[str, list[str]] = {}
    for name, value in pairs:
        key, text = sys.intern(name), sys.intern(value)
        if key in several:
            several[key].append(text)
        elif key in rows:
            several[key] = [str(rows[key]), text]
        else:
            rows[key] = text
    # Sorted once: a node may well name one package 200,000 times.
    rows.update((key, sorted(texts)) for key, texts in several.items())
    return rows


FACT = Fact(section="packages", watch=_WATCH, script=always(_SCRIPT), parse=parse)
