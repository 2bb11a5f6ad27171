"""How far this process grows while something runs: its own peak, begun anew, whatever ran in it before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Growth:
    """What was found when the block has ended."""

    kib: int = 0


@contextmanager
def growth() -> Iterator[Growth]:
    """Measure the peak within the block, less what was resident at its beginning.

    Not getrusage's: that peak is the one ever reached, and begins with that of the process that started this one.
    """
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident("VmRSS")
    found = Growth()
    yield found
    found.kib = resident("VmHWM") - before


def resident(name: str) -> int:
    """Give a line of the kernel's own status of this process, in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition(f"{name}:")[2].split()[0])
