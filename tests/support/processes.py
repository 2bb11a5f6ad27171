"""Processes of this machine as they are seen in /proc, where each may end while it is looked at."""

from contextlib import suppress
from pathlib import Path


def has_ended(pid: int) -> bool:
    """Tell whether a process is gone, or only waits for its parent to hear of its end."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in {"Z", "X"}


def command_lines() -> tuple[bytes, ...]:
    """Give the command lines of all processes there are."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(path.read_bytes())
    return tuple(found)
