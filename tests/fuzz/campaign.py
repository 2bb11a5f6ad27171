"""The parent: starts children, watches them, and keeps the inputs that are faults. Gives the figures of all of them together."""

import hashlib
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.child import HEAD, MOST_SECONDS
from tests.fuzz.target import ROOT

CASES = Path(__file__).parent / "cases"
_SLACK = 1.0
"""Seconds of CPU time: a child that notices by itself says more than one that is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One input that was not answered as it should be."""

    what: str
    where: str
    data: bytes


@dataclass(slots=True, kw_only=True)
class Figures:
    """What came of one target."""

    target: str
    engine: str = ""
    cpu: float = 0.0
    """Seconds that the children had: on a busy machine less than what went by."""
    inputs: int = 0
    outcomes: int = 0
    lines: int = 0
    slowest: float = 0.0
    megabytes: int = 0
    faults: list[Fault] = field(default_factory=list)

    def __str__(self) -> str:
        """One line, as docs/reliability.md quotes it."""
        lines = f", {self.lines} lines of ours reached" if self.lines else ""
        return (
            f"{self.target} ({self.engine}): {self.cpu:.0f} s of CPU time, {self.inputs} inputs, {self.outcomes} distinct outcomes{lines}, slowest "
            f"{self.slowest:.2f} s CPU, grew by {self.megabytes} MB, {len(self.faults)} faults"
        )


def engine() -> str:
    """Name the engine of long runs: atheris where it is installed."""
    return "atheris" if importlib.util.find_spec("atheris") else "own"


def fuzz(target: str, *, seconds: float, seed: int = 1, engine: str = "own", most_faults: int = 10) -> Figures:
    """Fuzz one target for so many seconds of CPU time; after a fault it goes on with another seed."""
    figures = Figures(target=target)
    faults = -1
    while faults < len(figures.faults) < most_faults and figures.cpu < seconds:
        faults = len(figures.faults)
        left = str(seconds - figures.cpu)
        _one_child(figures, ("--seconds", left, "--seed", str(seed), "--engine", engine))
        seed += 1000
    return figures


def replay(target: str, paths: Iterable[Path]) -> Figures:
    """Run kept inputs."""
    figures = Figures(target=target)
    _one_child(figures, ("--replay", *map(str, paths)))
    return figures


def store(fault: Fault, target: str) -> Path:
    """Keep a fault's input among the cases that the ordinary tests replay."""
    path = CASES / target / hashlib.sha256(fault.data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fault.data)
    return path


def _one_child(figures: Figures, arguments: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "tests.fuzz.child", figures.target, name, *arguments]
        with (
            (folder / "said").open("w+b") as said,
            subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said) as child,
        ):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            hung = _watch(child, folder / "input")
            figures.cpu += resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        _gather(figures, folder, child.returncode, hung=hung)


def _watch(child: subprocess.Popen[bytes], shown: Path) -> bool:
    """Wait for the end of a child; one that stays with an input for too long is ended, whatever it hangs in."""
    at, since = b"", 0.0
    while True:
        try:
            child.wait(0.1)
        except subprocess.TimeoutExpired:
            pass
        else:
            return False
        now = _cpu(child.pid)
        head = shown.read_bytes()[:8] if shown.exists() else b""
        if head != at:
            at, since = head, now
        elif at.strip(b"\0") and now - since > MOST_SECONDS + _SLACK:
            child.kill()
            return True


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100


def _gather(figures: Figures, folder: Path, status: int, *, hung: bool) -> None:
    shown = folder / "input"
    content = shown.read_bytes() if shown.exists() else b""
    data = content[HEAD : HEAD + int.from_bytes(content[8:HEAD], "big")]
    told = folder / "figures.json"
    if told.exists():
        said = json.loads(told.read_text(encoding="utf-8"))
        figures.engine = said["engine"]
        figures.inputs += said["inputs"]
        figures.outcomes = max(figures.outcomes, said["outcomes"])
        figures.lines = max(figures.lines, said["lines"])
        figures.slowest = max(figures.slowest, said["slowest"])
        figures.megabytes = max(figures.megabytes, said["megabytes"])
        if said["fault"]:
            figures.faults.append(Fault(what=said["fault"], where=said["where"], data=data))
    elif hung:
        figures.faults.append(
            Fault(what=f"more than {MOST_SECONDS} s of CPU time, and no end", where="time", data=data)
        )
    else:
        words = (folder / "said").read_text(encoding="utf-8", errors="replace")[-2000:]
        figures.faults.append(Fault(what=f"the process ended with {status}: {words}", where="signal", data=data))
