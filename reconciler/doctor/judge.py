"""What a node's answers to the doctor mean: text in, checks out. Every threshold stands here with its unit."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.doctor.check import Check, State, ok, trouble, unknown, warning
from reconciler.model.node import Become, Node

SKEW_KNOWN = timedelta(seconds=30)
"""Beyond it a clock is told of; below it may be the way of the answer."""
SKEW_HARMFUL = timedelta(minutes=5)
"""Beyond it signatures, certificates and time stamps of package lists begin to fail."""
LITTLE, NOTHING = 200 * 1024, 10 * 1024
"""Kilobytes free: a few package upgrades, and one run's output."""
FEW_INODES, NO_INODES = 2000, 100

Answer = Mapping[str, list[str]]


def read_answer(stdout: bytes, last: str) -> Answer | None:
    """Give an answer's lines by their first word; None where its end is missing: a cut answer proves nothing."""
    found: dict[str, list[str]] = {}
    for line in stdout.decode("utf-8", "replace").splitlines():
        word, _, rest = line.partition(" ")
        found.setdefault(word, []).append(rest.strip())
    return found if found.get("end") == [last] else None


def _one(answer: Answer, word: str) -> str:
    return answer.get(word, [""])[0]


def shell_check(answer: Answer) -> Check:
    """Say which shells answered."""
    shell, sh = _one(answer, "shell") or "unknown", _one(answer, "sh")
    return ok("login shell", f"{shell} of user {_one(answer, 'user')} runs commands; sh is {sh}")


def tools_check(answer: Answer) -> Check:
    """Say what our programs would miss."""
    missing, absent = answer.get("missing", []), answer.get("unavailable", [])
    if missing:
        return trouble("tools", f"missing: {', '.join(missing)}", "install coreutils, grep and util-linux, or busybox")
    if absent:
        return warning(
            "tools", f"not there: {', '.join(absent)}; slower ways are taken", "install coreutils and util-linux"
        )
    return ok("tools", "everything that programs need is there")


def clock_check(answer: Answer, asked: datetime, answered: datetime) -> Check:
    """Hold the node's clock against ours, between question and answer."""
    text = _one(answer, "clock")
    if not re.fullmatch(r"[0-9]{1,12}", text):
        return unknown("clock", f"the node's date said {text!r}")
    shown = int(text)
    early, late = asked.timestamp() - shown, shown - answered.timestamp()
    off = timedelta(seconds=max(early, late, 0.0))
    way = "behind" if early > late else "ahead of"
    remedy = "set the clock, and let chrony or systemd-timesyncd keep it"
    if off > SKEW_HARMFUL:
        return trouble("clock", f"{_rounded(off)} {way} this host's", remedy)
    if off > SKEW_KNOWN:
        return warning("clock", f"{_rounded(off)} {way} this host's", remedy)
    return ok("clock", "agrees with this host's")


def _rounded(off: timedelta) -> str:
    seconds = round(off.total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{round(seconds / 60)} min"  # noqa: PLR2004  (two minutes)


def disk_check(answer: Answer) -> Check:
    """Say where space or inodes run out, the worst place first."""
    found = [_space(line) for line in answer.get("space", [])] + [_inodes(line) for line in answer.get("inodes", [])]
    known = [check for check in found if check is not None]
    if not known:
        return unknown("disk", "df did not say how much is free")
    order = (State.TROUBLE, State.UNKNOWN, State.WARNING, State.OK)
    worst = min(known, key=lambda check: order.index(check.state))
    if worst.state is State.OK:
        return ok("disk", "; ".join(check.words for check in known))
    return worst


_DF = re.compile(
    r"(?P<path>\S+) .*?\s(?P<all>[0-9]{1,18})\s+(?P<used>[0-9]{1,18})\s+(?P<free>[0-9]{1,18})\s+(?P<share>[0-9]+%|-)\s+(?P<on>/.*)"
)


def _space(line: str) -> Check | None:
    found = _DF.fullmatch(line)
    if found is None:
        return unknown("disk", f"df did not say how much is free for {line.partition(' ')[0]}")
    free = int(found["free"])
    words = f"{found['path']}: {free // 1024} MB free on {found['on']}"
    remedy = f"free space on {found['on']}: journals, old kernels, package caches"
    if free < NOTHING:
        return trouble("disk", words, remedy)
    return warning("disk", words, remedy) if free < LITTLE else ok("disk", words)


def _inodes(line: str) -> Check | None:
    found = _DF.fullmatch(line)
    if found is None or int(found["all"]) == 0:
        return None  # busybox' df, or a file system without a number of them
    free = int(found["free"])
    words = f"{found['path']}: {free} inodes free on {found['on']}"
    remedy = f"remove small files on {found['on']}: sessions, mail queues, caches"
    if free < NO_INODES:
        return trouble("disk", words, remedy)
    return warning("disk", words, remedy) if free < FEW_INODES else None


def sudo_check(node: Node, answer: Answer) -> Check:
    """Say what sudo does beyond letting us in."""
    user = node.user or "USER"
    if _records_input(answer.get("sudoers", [])):
        return trouble(
            "sudo",
            "it works, and log_input records what programs read: parameters and secrets among it",
            f"add `Defaults:{user} !log_input` to the node's sudoers",
        )
    if node.become is Become.SUDO:
        return ok("sudo", "works without a password and without a terminal, and records no input")
    return ok("sudo", "not asked for: Become is none, documents run as the login user")


def _records_input(lines: list[str]) -> bool:
    """Read `sudo -l`: the last of several Defaults counts, and a rule's own tag wins over them."""
    words = [word for line in lines for word in re.split(r"[,\s]+", line) if word]
    recording = False
    for word in words:
        if word in {"log_input", "log_stdin", "LOG_INPUT:"}:
            recording = True
        elif word in {"!log_input", "!log_stdin", "NOLOG_INPUT:"}:
            recording = False
    return recording


_MODE = re.compile(r"(?P<kind>.)(?P<mode>.{9})\S*\s+[0-9]+\s+(?P<owner>[0-9]+)\s.*")


def run_folder_check(answer: Answer) -> Check:
    """Hold the run folder against what a run demands of it."""
    root, near, uid = _one(answer, "root"), _one(answer, "near"), _one(answer, "uid")
    entry = _MODE.fullmatch(_one(answer, "entry"))
    options = _one(answer, "options").split(",")
    if "ro" in options:
        remedy = "mount it writable, and find out why it is not: a damaged disk is remounted read-only"
        return trouble("run folder", f"{root}: its file system is mounted read-only", remedy)
    if entry is None:
        return unknown("run folder", f"{near} could not be looked at")
    if near == root and (wrong := _not_ours(entry, root, uid)):
        return wrong
    if _one(answer, "writable") != "yes":
        return trouble("run folder", f"{near} cannot be written by uid {uid}", f"let uid {uid} write in {near}")
    notes = " on a noexec file system, which is fine" if "noexec" in options else ""
    return ok("run folder", f"{root} {'is in order' if near == root else 'can be made'}{notes}")


def _not_ours(entry: re.Match[str], root: str, uid: str) -> Check | None:
    if entry["kind"] != "d":
        return trouble("run folder", f"{root} is a link or a file, not a folder", f"remove {root}")
    if entry["owner"] != uid:
        return trouble("run folder", f"{root} belongs to uid {entry['owner']}, not to uid {uid}", f"remove {root}")
    if entry["mode"][4] == "w" or entry["mode"][7] == "w":
        return trouble("run folder", f"{root} can be written by others ({entry['mode']})", f"chmod 700 {root}")
    return None


def packages_check(answer: Answer) -> Check:
    """Say which package manager there is, and what keeps it from working."""
    manager = _one(answer, "manager")
    if not manager:
        return warning("packages", "no package manager is known here", "packages and patches stay Unknown on this node")
    if answer.get("interrupted"):
        return trouble("packages", "dpkg was interrupted", "run `dpkg --configure -a` on the node")
    if broken := answer.get("broken"):
        names = ", ".join(broken[:5]) + (" and more" if len(broken) > 5 else "")  # noqa: PLR2004  (as many as are shown)
        return trouble("packages", f"half-installed: {names}", "run `dpkg --configure -a` and `apt-get -f install`")
    if holders := answer.get("holder"):
        process, _, rest = holders[0].partition(" ")
        name, _, lock = rest.rpartition(" ")
        words = f"{manager}; {lock} is held by {name or 'a process'} (pid {process})"
        return warning("packages", words, "wait for it to end; nothing is installed while it holds the lock")
    if _one(answer, "uid") != "0":
        return ok("packages", f"{manager}; who holds its lock only root can see")
    return ok("packages", f"{manager}, nobody holds its lock, nothing is half-installed")


_FEW_SESSIONS = 2


def sshd_check(answer: Answer) -> Check:
    """Say which limits of sshd we would meet."""
    said = dict(line.split(" ", 1) for line in answer.get("sshd", []) if " " in line)
    if not said:
        return ok("sshd", "a session was opened; its settings only root can read")
    sessions = said.get("maxsessions", "")
    command = said.get("forcecommand", "none")
    if command != "none":
        return warning("sshd", f"ForceCommand {command}", "programs run only where that command lets them")
    if re.fullmatch(r"[0-9]{1,9}", sessions) and int(sessions) < _FEW_SESSIONS:
        return warning("sshd", f"MaxSessions {sessions}: one program at a time", "set MaxSessions 2 or more")
    return ok("sshd", ", ".join(f"{key} {value}" for key, value in sorted(said.items())))
