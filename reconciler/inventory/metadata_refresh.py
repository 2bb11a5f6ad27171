"""Refreshes a node's lists of packages: a step of its own before it is asked, where the baseline's policy wants it.

Takes an open session, gives what each archive answered; a part that failed is told of that archive, and is no success. Whether a
refresh is due is decided from facts (`is_due`), and the one command it runs is the package manager's own: nothing is installed, and no archive is
trusted anew (a changed suite or label stays an error).
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from reconciler.inventory import source_refresh
from reconciler.inventory.frames import Status, read_frames
from reconciler.inventory.rpm import refresh as rpm_refresh
from reconciler.inventory.rpm.repositories import FAMILY
from reconciler.model.baseline import Refresh
from reconciler.model.command import Limits, Program, Session
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.node import Become, Node
from reconciler.model.questions import WantedSource
from reconciler.model.shell import quote

LOCK_WAIT: Final = timedelta(minutes=2)
"""As long as another apt usually takes for its own update; who holds the lock is told when it is over."""

_LIMITS: Final = Limits(idle=timedelta(minutes=10), total=timedelta(minutes=12))
"""apt's own time-outs are shorter (30 s a connection), and it says nothing until it is done."""

_FOR_A_SOURCE: Final = timedelta(minutes=5)
"""What each repository of a baseline may take beside that."""

# Older versions of apt do not know Error-Mode and call a partial failure a success: the lines of its answer are read as well.
_SCRIPT: Final = r"""
LC_ALL=C LANG=C; export LC_ALL LANG
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
NL='
'
s=ok
FAMILY
if [ "$(id -u)" != 0 ]; then s=unknown x='only root may refresh the lists: the node has no Become'
elif [ "$pm" != apt ]; then
RPM
elif ! command -v apt-get >/dev/null; then s=unknown x='apt is not installed: other package managers cannot be refreshed yet'
else
  k=0
  while :; do
    x=$(apt-get -q -o APT::Update::Error-Mode=any -o Dpkg::Use-Pty=0 update 2>&1 </dev/null); e=$?
    case $x in *'Could not get lock'*) [ "$k" -lt "$W" ] || break; k=$((k+2)); sleep 2;; *) break;; esac
  done
  x="status $e$NL$x"
fi
printf '%s refresh %s %s\n%s\n' "$N" "$s" "${#x}" "$x"
""".replace("RPM", rpm_refresh.SCRIPT).replace("FAMILY", FAMILY)

_END: Final = r"""
printf '%s end 1\n' "$N"
"""

_ITEM: Final = re.compile(r"(Hit|Get|Ign|Err):\d+ (\S+) (\S+)(?: (.*))?")
_FAULT: Final = re.compile(r"([EW]): (.*)")
_USERINFO: Final = re.compile(r"//[^/@\s]*@")
_LONGEST: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What an update of the lists came to: `URL SUITE` (rpm: the repository's id) -> None, or why it failed."""

    archives: Mapping[str, str | None] = field(default_factory=dict)
    problem: str | None = None
    """What belongs to no archive: a lock, its holder, a full disk; None: nothing."""

    @property
    def is_whole(self) -> bool:
        """Whether every archive was refreshed."""
        return self.problem is None and not any(self.archives.values())

    def rows(self) -> Mapping[str, JsonValue]:
        """Give it as rows of section `refreshed`: `*` is the problem of none."""
        return {"*": self.problem, **self.archives}


def is_due(policy: Refresh, metadata: Observed[Mapping[str, JsonValue]], *, now: datetime, longest: timedelta) -> bool:
    """Say whether lists are to be refreshed before a scan at `now`; `metadata` is the section as it was last read.

    What is not known counts as old: a refresh is the way to know.
    """
    if policy is not Refresh.MAX_AGE:
        return policy is Refresh.BEFORE_SCAN
    if isinstance(metadata, Unknown):
        return True
    times = [_time(row) for row in metadata.value.values()]
    return len(times) < 2 or any(time is None or now - time > longest for time in times)  # noqa: PLR2004  ("*" and one archive)


def _time(row: JsonValue) -> datetime | None:
    """Give when a list came, or when an update was last tried, whichever the row tells."""
    told = row.get("fetched", row.get("tried")) if isinstance(row, Mapping) else None
    try:
        return datetime.fromisoformat(told) if isinstance(told, str) else None
    except ValueError:
        return None


def refresh(
    session: Session, node: Node, *, wait: timedelta = LOCK_WAIT, sources: Sequence[WantedSource] = ()
) -> Observed[Refreshed]:
    """Refresh one node's lists; Unknown where that could not be tried. Raises NodeError.

    `sources`: what else is fetched there, beside the node's own; what came of them the node tells when it is asked.
    """
    nonce = secrets.token_hex(16)
    begin = f"N={quote(nonce)} W={int(wait.total_seconds())}\n"
    more = _FOR_A_SOURCE * len(sources)
    program = Program(
        text=(begin + _SCRIPT + source_refresh.script(sources) + _END).encode(),
        become=node.become is Become.SUDO,
        limits=replace(_LIMITS, idle=_LIMITS.idle + more, total=_LIMITS.total + more),
    )
    answer = read_frames(session.run(program).stdout, nonce)
    frame = answer.frames.get("refresh")
    if frame is None:
        return Unknown(answer.problem or "the node did not say what came of refreshing its lists")
    if frame.status is not Status.OK:
        return Unknown(frame.text[:_LONGEST])
    try:
        return Known(read_update(frame.text))
    except ValueError as error:
        return Unknown(f"its answer is not understood: {error}")


def read_update(text: str) -> Refreshed:
    """Read what came of it: apt's begins with `status N`. Raises ValueError where the status is missing."""
    if text.startswith(("dnf ", "zypp\n")):
        archives, problem = rpm_refresh.read_refresh(text)
        return Refreshed(archives=archives, problem=problem)
    return _read_apt(text)


def _read_apt(text: str) -> Refreshed:
    head, *lines = text.split("\n")
    status = head.removeprefix("status ")
    if not head.startswith("status ") or not (status.isascii() and status.isdigit()):
        raise ValueError(f"no status: {head[:80]!r}")
    archives: dict[str, str | None] = {}
    faults: list[tuple[str, str]] = []
    failing = ""
    for line in lines:
        item, fault = _ITEM.fullmatch(line), _FAULT.fullmatch(line)
        if item is not None:
            kind, url, suite, what = item.groups()
            name = _archive(_plain(url), suite, what or "", archives)
            failing = name if kind == "Err" else ""
            if kind == "Err":
                archives[name] = archives.get(name) or "its server gave no reason"
            elif kind != "Ign":
                archives.setdefault(name, None)
        elif fault is not None:
            failing = ""
            faults.append((fault.group(1), _plain(fault.group(2))))
        elif failing and line.startswith("  "):
            archives[failing] = _plain(line.strip())[:_LONGEST]
    rest = [said for kind, said in faults if not _of_archive(said, archives) and (kind == "E" or status != "0")]
    problem = "; ".join(dict.fromkeys(rest))[: 2 * _LONGEST] or None
    if status != "0" and problem is None and not any(archives.values()):
        problem = f"apt-get update ended with exit status {status}"
    return Refreshed(archives=dict(sorted(archives.items())), problem=problem)


def _archive(url: str, suite: str, what: str, archives: Mapping[str, str | None]) -> str:
    """Give `URL SUITE`: lists are told with their component behind the suite, and a suite may hold a slash, too."""
    if what.startswith(("InRelease", "Release")) or suite.endswith("/"):
        return f"{url} {suite}"
    known = (name for name in archives if f"{url} {suite}".startswith(f"{name}/"))
    return next(known, f"{url} {suite.partition('/')[0]}")


def _of_archive(said: str, archives: dict[str, str | None]) -> bool:
    """Put a fault down to the archive it names; whether there is one."""
    for name, reason in archives.items():
        url, _, suite = name.rpartition(" ")
        at = url.rstrip("/")
        if f"{at}/dists/{suite}/" in said or f"{at} {suite} " in said or f"{at}/ {suite} " in said:
            archives[name] = reason or said[:_LONGEST]
            return True
    return said.startswith("Some index files failed to download")


def _plain(text: str) -> str:
    """Leave out a login of an address: it may be a password."""
    return _USERINFO.sub("//", text)
