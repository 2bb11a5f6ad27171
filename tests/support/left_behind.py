"""What a test may have left running on this machine: read from /proc, nothing is ended."""

import os
from pathlib import Path

_PYTHONS_OWN = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")
"""Python starts them once and keeps them until it ends."""


def child_processes() -> dict[int, str]:
    """Give this process' running children: their ids and what they are. Ended but not yet waited for is not running.

    What commands of all tests are forked from stays until the end.
    """
    found = {}
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            ids = task.read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in map(int, ids):
            title = _title(child)
            if title is not None and "-m tests.support.warm_program" not in title:
                found[child] = title
    return found


def _title(process: int) -> str | None:
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return None
    if not command or any(own in command for own in _PYTHONS_OWN):
        return None
    return os.fsdecode(command.replace(b"\0", b" ").strip())


def mounts_below(directory: Path) -> tuple[str, ...]:
    """Give the mount points below a directory, as this process sees them."""
    rows = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = (row.split()[4] for row in rows)
    return tuple(point for point in points if Path(point).is_relative_to(directory))


def processes_mentioning(text: str) -> tuple[int, ...]:
    """Give all processes with this text in their command line or their mounts."""
    wanted = text.encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "cmdline").read_bytes() + (process / "mountinfo").read_bytes()
        except OSError:
            continue
        if wanted in seen:
            found.append(int(process.name))
    return tuple(found)
