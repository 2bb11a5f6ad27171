"""Installed packages as patches are judged by them: with source, state, hold, mark and time; asked where a baseline applies."""

import re
from datetime import UTC, datetime
from typing import Final

from reconciler.inventory.apt import by_row, check_arch, check_name, check_version
from reconciler.inventory.fact import Asked, Fact, Rows, number
from reconciler.inventory.rpm import installed as rpm
from reconciler.model.patch import Installed, InstallState
from reconciler.model.patch_lines import installed_line
from reconciler.model.questions import Questions

# A mark stands at the native architecture for packages of every one. The time is that of the package's list of files.
_SCRIPT: Final = r"""
if [ "$pm" != apt ]; then
RPM
elif ! command -v dpkg-query >/dev/null; then say installed unknown 'dpkg is not installed: the patches of other package managers cannot be read yet'
else
  x=$({
    [ ! -f /var/lib/apt/extended_states ] || cat /var/lib/apt/extended_states 2>/dev/null </dev/null || echo 'unreadable	marks'
    echo; echo dpkg
    dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\t${db-fsys:Last-Modified}\n' 2>/dev/null </dev/null
    printf 'end\t%s\n' "$?"
  } | awk -F '\t' '
    !listed && /^unreadable\t/ { print; next }
    !listed && /^Package: / { name = substr($0, 10) }
    !listed && /^Architecture: / { arch = substr($0, 15) }
    !listed && /^Auto-Installed: 1/ { auto[name, arch] = auto[name] = 1 }
    !listed && /^dpkg$/ { listed = 1; next }
    !listed { next }
    $1 == "end" { print; next }
    { print $1 "\t" $2 "\t" $3 "\t" $4 "\t" ($5 == $2 ? "" : $5) "\t" ($6 == $3 ? "" : $6) "\t" $7 "\t" ((($2, $4) in auto) || ($4 == "all" && $2 in auto) ? 1 : "") }
  ')
  say installed ok "$x"
fi
""".replace("RPM", rpm.SCRIPT)

_STATUS: Final = re.compile(r"[uihrp][ncHUFWti][ R]?")
_COLUMNS: Final = 8
_SECONDS: Final = 11
"""Digits of a time: up to the year 5138."""


def parse(stdout: str, _: Asked) -> Rows:
    """Read a line a package; removed ones whose configuration is left are not installed."""
    if stdout.startswith("rpm\n"):
        return rpm.read_installed_rpm(stdout)
    *lines, end = stdout.split("\n")
    if end != "end\t0":
        raise ValueError(f"dpkg-query did not list everything: {end[:80]!r}")
    if lines and lines[0].startswith("unreadable\t"):
        raise ValueError("the marks of packages (extended_states) may not be read")
    if not lines:
        raise ValueError("dpkg lists no package at all")
    found = (_row(line) for line in lines)
    return dict(by_row((row.id, installed_line(row)) for row in found if row is not None))


def _row(line: str) -> Installed | None:
    fields = line.split("\t")
    if len(fields) != _COLUMNS or _STATUS.fullmatch(fields[0]) is None:
        raise ValueError(f"not a line of dpkg-query: {line[:80]!r}")
    status, name, version, arch, source, source_version, time, auto = fields
    if status[1] in "nc":
        return None
    if len(time) > _SECONDS:
        raise ValueError(f"not a time: {line[:80]!r}")
    whole = status[1] == "i" and not status.endswith("R")
    return Installed(
        name=check_name(name),
        arch=check_arch(arch),
        version=check_version(version),
        source=check_name(source) if source else "",
        source_version=check_version(source_version) if source_version else "",
        hold=status[0] == "h",
        auto=auto == "1",
        installed_at=datetime.fromtimestamp(number(time), UTC) if time else None,
        state=InstallState.INSTALLED if whole else InstallState.BROKEN,
    )


def _script(questions: Questions) -> str:
    return _SCRIPT if questions.patches else ""


FACT = Fact(
    section="installed",
    watch=(
        "/var/lib/dpkg/status /var/lib/dpkg/updates/. /var/lib/dpkg/arch /var/lib/apt/extended_states"
        f" {rpm.DATABASE} {rpm.LOCKS} {rpm.MARKS} /etc/dnf/dnf.conf /var/lib/dnf/history.sqlite"
    ),
    script=_script,
    parse=parse,
)
