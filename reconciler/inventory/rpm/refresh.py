"""Refreshes the lists of a node with dnf or zypper: sh for the node, and the reader of what came of it.

Nothing is installed, and no key is taken for trusted that was not before. Repositories that are away hold nobody up: each is told by
its id, with the reason.
"""

import re
from collections.abc import Mapping
from typing import Final

from reconciler.inventory.rpm.grammar import REPOSITORY
from reconciler.inventory.rpm.repositories import SCRIPT as REPOSITORIES

# $W: how many seconds a lock is waited for. dnf ends with 200, zypper with 7, where another one holds it.
SCRIPT: Final = (
    REPOSITORIES
    + r"""
case $rpm_index in
unknown*) s=unknown x=${rpm_index#unknown };;
*)
  r=
  IFS=$NL; set -f
  for l in $rpm_index; do case $l in R'|'*) l=${l#R?}; r="$r${l%%'|'*}$NL";; esac; done
  unset IFS; set +f
  k=0
  if [ "$pm" = dnf ]; then
    while :; do
      x=$(dnf --assumeno --setopt='*.skip_if_unavailable=1' --setopt=exit_on_lock=1 --refresh makecache 2>&1 </dev/null); e=$?
      [ "$e" = 200 ] && [ "$k" -lt "$W" ] || break
      k=$((k+2)); sleep 2
    done
    x="dnf status $e$NL$r--$NL$x"
  else
    v=
    IFS=$NL; set -f
    for l in $r; do
      x=$(ZYPP_LOCK_TIMEOUT=$W zypper --non-interactive refresh -- "$l" 2>&1 </dev/null); e=$?
      v="$v${NL}repo $e $l$NL$x"
      [ "$e" != 7 ] || break
    done
    unset IFS; set +f
    x="zypp$NL$r--$v"
  fi;;
esac
"""
)

_LONGEST: Final = 300
_FAILED: Final = re.compile(r"(?:Error: )?Failed to download metadata for repo '([^']+)'(?:: (.*))?")
_IGNORED: Final = re.compile(r"Ignoring repositories: (.*)")
_LOCKED: Final = re.compile(
    r"(.* already locked by \d+)|(System management is locked by .*)|(.*Failed to obtain .*lock.*)"
)
_APPLICATION: Final = re.compile(r"\s*The application with PID \d+ is: (\S.*)")
_USERINFO: Final = re.compile(r"//[^/@\s]*@")
_ZYPPER_LOCKED: Final = "7"


def read_refresh(text: str) -> tuple[Mapping[str, str | None], str | None]:
    """Give REPOSITORY -> None, or why it was not refreshed; and what belongs to none. Raises ValueError on what is no such answer."""
    head, *lines = text.split("\n")
    if "--" not in lines or (head != "zypp" and not head.startswith("dnf status ")):
        raise ValueError(f"no status: {head[:80]!r}")
    at = lines.index("--")
    wanted, said = lines[:at], lines[at + 1 :]
    if any(REPOSITORY.fullmatch(one) is None for one in wanted):
        raise ValueError("not the name of a repository")
    if head == "zypp":
        return _zypper(wanted, said)
    return _dnf(wanted, said, head.removeprefix("dnf status "))


def _dnf(wanted: list[str], said: list[str], status: str) -> tuple[Mapping[str, str | None], str | None]:
    archives: dict[str, str | None] = dict.fromkeys(wanted)
    problem = None
    for line in said:
        failed, ignored = _FAILED.fullmatch(line), _IGNORED.fullmatch(line)
        if failed is not None and failed.group(1) in archives:
            archives[failed.group(1)] = _plain(failed.group(2) or "its metadata could not be downloaded")
        elif ignored is not None:
            for name in re.split(r",\s*", ignored.group(1)):
                if name in archives:
                    archives[name] = archives[name] or "its metadata could not be downloaded"
        elif problem is None and _LOCKED.fullmatch(line):
            problem = _plain(line)
        elif problem is not None and (application := _APPLICATION.fullmatch(line)):
            problem = f"{problem} ({_plain(application.group(1))})"
    if status != "0" and problem is None and not any(archives.values()):
        last = next((line for line in reversed(said) if line.strip()), "it said nothing")
        problem = f"dnf makecache ended with exit status {status[:10]}: {_plain(last)}"
    return _unless_known(archives, problem)


def _zypper(wanted: list[str], said: list[str]) -> tuple[Mapping[str, str | None], str | None]:
    archives: dict[str, str | None] = dict.fromkeys(wanted, "it was not asked")
    problem, name, status = None, "", ""
    for line in said:
        word, _, rest = line.partition(" ")
        asked, _, whose = rest.partition(" ")
        if word == "repo" and whose in archives and asked.isdigit():
            name, status = whose, asked
            archives[name] = None if status == "0" else ""
        elif name and status == _ZYPPER_LOCKED and _LOCKED.fullmatch(line):
            problem = _plain(line)
        elif name and status != "0" and line.strip() and not archives[name]:
            archives[name] = _plain(line)
    for name, reason in archives.items():
        archives[name] = f"zypper gave no reason (exit status {status})" if reason == "" else reason
    return _unless_known(archives, problem)


def _unless_known(
    archives: Mapping[str, str | None], problem: str | None
) -> tuple[Mapping[str, str | None], str | None]:
    """Nothing was refreshed where something stood in the way of all."""
    return ({} if problem is not None else dict(sorted(archives.items()))), problem


def _plain(text: str) -> str:
    """Leave out a login of an address: it may be a password."""
    return _USERINFO.sub("//", text.strip())[:_LONGEST]
