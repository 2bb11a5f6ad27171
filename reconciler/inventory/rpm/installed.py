"""Installed packages of a node with rpm, with holds and marks: sh for the node, and the reader."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Final

from reconciler.inventory.apt import by_row
from reconciler.inventory.fact import Rows, number
from reconciler.inventory.rpm.grammar import check_arch, check_name, check_version, source_of
from reconciler.inventory.rpm.offers import names_any, spellings
from reconciler.model.patch import Installed, InstallState
from reconciler.model.patch_lines import installed_line

DATABASE: Final = " ".join(
    f"{folder}/{name}"
    for folder in ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
    for name in ("rpmdb.sqlite", "rpmdb.sqlite-wal", "Packages", "Packages.db")
)
LOCKS: Final = (
    "/etc/dnf/plugins/versionlock.list /etc/yum/pluginconf.d/versionlock.list /etc/dnf/versionlock.toml /etc/zypp/locks"
)
MARKS: Final = "/var/lib/zypp/AutoInstalled /usr/lib/sysimage/libdnf5/packages.toml"

# dnf 4 keeps why a package was installed in a database; where dnf 4 is, so is Python.
_REASONS: Final = r"""
import sqlite3
rows = sqlite3.connect("file:/var/lib/dnf/history.sqlite?mode=ro", uri=True).execute(
    "SELECT r.name, r.arch, t.reason FROM trans_item t JOIN rpm r ON r.item_id = t.item_id ORDER BY t.id")
last = {(name, arch): reason for name, arch, reason in rows}
for (name, arch), reason in sorted(last.items()):
    if reason in (1, 4): print("auto", name, arch)
"""

SCRIPT: Final = (
    r"""
case $rpm_index in
unknown*) say installed unknown "${rpm_index#unknown }";;
*)
  if x=$(rpm -qa --qf '%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\t%{SOURCERPM}\t%{INSTALLTIME}\n' 2>/dev/null </dev/null); then
    set --
    for p in LOCKS MARKS; do [ -f "$p" ] && set -- "$@" "$p"; done
    v=
    [ $# -eq 0 ] || v=$(grep -a -H -v -e '^[ 	]*#' -e '^[ 	]*$' "$@" 2>&1 </dev/null)
    if [ -f /var/lib/dnf/history.sqlite ] && [ ! -f /usr/lib/sysimage/libdnf5/packages.toml ]; then
      for p in /usr/libexec/platform-python /usr/bin/python3; do
        [ -x "$p" ] || continue
        t=$("$p" -I -S -c 'REASONS' 2>/dev/null </dev/null) && v="$v$NL$t" || v="$v${NL}auto ?"
        break
      done
    fi
    say installed ok "rpm$NL$x$NL--${NL}main $rpm_main$NL$v"
  else say installed unknown 'rpm could not list what is installed'
  fi;;
esac
""".replace("LOCKS", LOCKS)
    .replace("MARKS", MARKS)
    .replace("REASONS", _REASONS)
)

_COLUMNS: Final = 5
_SECONDS: Final = 11
_SEVERAL: Final = re.compile(r"(?:kernel|kmod-|gpg-pubkey|.*-kmp-).*")
"""Packages of which several versions may be installed side by side."""


def read_installed_rpm(stdout: str) -> Rows:
    """Read a line a package, then what holds and marks them. Raises ValueError on an odd line."""
    listed, found, rest = stdout.partition("\n--\n")
    if not found:
        raise ValueError("the list of installed packages is cut")
    rows = [row for line in listed.split("\n")[1:] if (row := _fields(line))[0] != "gpg-pubkey"]
    if not rows:
        raise ValueError("rpm lists no package at all")
    main, *settings = rest.split("\n")
    patterns, automatic = _settings(settings)
    excluded = tuple(filter(None, main.removeprefix("main ").replace(",", " ").split()))
    counts = Counter((name, arch) for name, _, arch, _, _ in rows)
    made = (
        _installed(
            row, patterns, excluded, automatic, doubled=counts[row[0], row[2]] > 1 and not _SEVERAL.fullmatch(row[0])
        )
        for row in rows
    )
    return dict(by_row((row.id, installed_line(row)) for row in made))


def _fields(line: str) -> list[str]:
    fields = line.split("\t")
    if len(fields) != _COLUMNS:
        raise ValueError(f"not a line of rpm -qa: {line[:80]!r}")
    return fields


def _installed(
    row: Sequence[str], locks: Sequence[str], excluded: Sequence[str], automatic: frozenset[str], *, doubled: bool
) -> Installed:
    name, version, arch, source, time = row
    check_name(name)
    check_arch(arch)
    version = check_version(version)
    if len(time) > _SECONDS:
        raise ValueError(f"not a time: {time[:80]!r}")
    source, source_version = source_of(source, name, version)
    names = spellings(name, version, arch)
    held = names_any(excluded, names) or any(_locks(lock, name, names) for lock in locks)
    return Installed(
        name=name,
        arch=arch,
        version=version,
        source=source,
        source_version=source_version,
        hold=held,
        auto=name in automatic or f"{name}.{arch}" in automatic,
        installed_at=datetime.fromtimestamp(number(time), UTC) if time else None,
        state=InstallState.BROKEN if doubled else InstallState.INSTALLED,
    )


def _locks(lock: str, name: str, names: Sequence[str]) -> bool:
    """Whether a lock is about a package, whatever version it pins: dnf's lists hold `NAME-[EPOCH:]VERSION-RELEASE.ARCH`."""
    if names_any((lock,), names):
        return True
    head, dash, _ = lock.rpartition("-")
    head, second, _ = head.rpartition("-")
    return bool(dash and second) and fnmatchcase(name, head.rpartition(":")[2])


def _settings(lines: Iterable[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Give the patterns of locks, and what was installed as a dependency. Raises ValueError on what may not be read."""
    locks: list[str] = []
    automatic: set[str] = set()
    package = ""
    for line in filter(None, lines):
        if line == "auto ?" or "grep:" in line:
            raise ValueError(f"holds and marks may not be read: {line[:100]!r}")
        if line.startswith("auto "):
            automatic.add(".".join(line.split()[1:3]))
            continue
        path, colon, said = line.partition(":")
        if not colon or not path.startswith("/"):
            raise ValueError(f"not a line about holds or marks: {line[:80]!r}")
        if path.endswith("AutoInstalled"):
            automatic.add(said.strip())
        elif path.endswith("packages.toml"):
            head = re.match(r'"?([A-Za-z0-9_.+-]+)"?\s*=', said)
            package = head.group(1) if head else package
            if re.search(r'reason\s*=\s*"?(Dependency|Weak Dependency)', said):
                automatic.add(package)
        elif path.endswith(".list"):
            locks.append(said.strip().removeprefix("!"))
        else:
            locks.extend(_of_stanza(said))
    return tuple(filter(None, locks)), frozenset(automatic)


def _of_stanza(said: str) -> Iterable[str]:
    """Give the name a line of zypper's locks or of dnf 5's versionlock.toml holds, where it is the line with the name."""
    zypper = re.match(r"\s*solvable_name\s*:\s*(\S+)", said)
    toml = re.search(r"\bname\s*=\s*[\"']([^\"']+)[\"']", said)
    return [found.group(1) for found in (zypper, toml) if found is not None]
