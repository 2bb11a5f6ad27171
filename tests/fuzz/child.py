"""The child process: feeds one parser with inputs until its time is over, or until one input is a fault.

The input at hand lies in a file that outlives the process, so that a signal, a hang and an exhausted memory leave their
input as well. Coverage guides the choice: by atheris where it is installed, else by the lines that a sample of inputs reaches.
"""

import argparse
import json
import mmap
import os
import random
import resource
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.mutation import GROWN, LONGEST, Mutator
from tests.fuzz.target import ROOT, Target

MOST_SECONDS = 2.0
"""Of CPU time for one input: the machine's other work is not the parser's fault."""
MOST_MEGABYTES = 200
"""That the process may grow by over all inputs."""
HEAD = 16
_ROOM = 300
"""Megabytes of address space beyond what the process has: a runaway ends with MemoryError instead of ending the machine."""
_CORPUS = 4000
_SAMPLE = 8
"""One input in so many is looked at line by line, which takes about ten times as long."""
_QUICK = 0.1
"""Seconds: what takes longer is not looked at line by line."""


class Fault(Exception):
    """An input that is not answered as it should be."""


class Runner:
    """Runs inputs one by one and keeps the figures."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        with (folder / "input").open("w+b") as file:
            file.truncate(HEAD + GROWN)
            self._shown = mmap.mmap(file.fileno(), HEAD + GROWN)
        self._before = _peak()
        self.inputs = 0
        self.outcomes: set[str] = set()
        self.slowest = 0.0
        self.took = 0.0
        self.lines = 0
        self.engine = ""

    def run(self, data: bytes) -> bool:
        """Run one input; gives whether its outcome is a new one. Ends the process at a fault."""
        data = data[:GROWN]
        self._show(data)
        began = time.process_time()
        try:
            said = self._target.probe(data)
        except BaseException as error:  # noqa: BLE001  whatever is no refusal of ours is what is looked for
            self.end(f"{type(error).__name__}: {error}"[:2000], _where(error))
        self.took = time.process_time() - began
        self.slowest = max(self.slowest, self.took)
        if self.took > MOST_SECONDS:
            self.end(f"{self.took:.1f} s of CPU time", "time")
        if self.grown > MOST_MEGABYTES:
            self.end(f"{self.grown} MB more than before the first input", "memory")
        is_new = said not in self.outcomes
        self.outcomes.add(said)
        return is_new

    @property
    def grown(self) -> int:
        """Megabytes that the process has grown by at its peak."""
        return (_peak() - self._before) // 1024

    def end(self, fault: str = "", where: str = "") -> None:
        """Write the figures and end at once: atheris would go on, or print."""
        figures = {
            "engine": self.engine,
            "inputs": self.inputs,
            "outcomes": len(self.outcomes),
            "lines": self.lines,
            "slowest": self.slowest,
            "megabytes": self.grown,
            "fault": fault,
            "where": where,
        }
        (self._folder / "figures.json").write_text(json.dumps(figures))
        os._exit(1 if fault else 0)

    def _show(self, data: bytes) -> None:
        self.inputs += 1
        self._shown[:HEAD] = self.inputs.to_bytes(8, "big") + len(data).to_bytes(8, "big")
        self._shown[HEAD : HEAD + len(data)] = data


def _peak() -> int:
    # Not ru_maxrss: it begins with the peak of the process that started this one, which may be the larger.
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("VmHWM:")[2].split()[0])


def _where(error: BaseException) -> str:
    """Name the last place of ours in the traceback: faults are told apart by it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/reconciler/" in frame.filename] or frames
    return f"{type(error).__name__} {Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}"


class Lines:
    """Which lines of ours inputs reach."""

    def __init__(self) -> None:
        self.seen: set[tuple[CodeType, int]] = set()

    def reached(self, run: Callable[[], object]) -> int:
        """Run something; gives the number of lines that nothing had reached before."""
        before = len(self.seen)
        sys.settrace(self._enter)
        try:
            run()
        finally:
            sys.settrace(None)
        return len(self.seen) - before

    def _enter(self, frame: FrameType, _event: str, _value: Any) -> Callable[..., Any] | None:
        return self._line if "/reconciler/" in frame.f_code.co_filename else None

    def _line(self, frame: FrameType, event: str, _value: Any) -> Callable[..., Any]:
        if event == "line":
            self.seen.add((frame.f_code, frame.f_lineno))
        return self._line


def by_ourselves(runner: Runner, target: Target, seconds: float, seed: int) -> None:
    """Change what reached something new; the same seed gives the same inputs."""
    runner.engine = "own"
    chance = random.Random(seed)
    mutator, lines = Mutator(target.words, chance), Lines()
    seeds = target.seeds()
    for data in seeds:
        runner.run(data)
    corpus = [data for data in seeds if len(data) < LONGEST]
    for data in corpus:
        lines.reached(lambda data=data: target.probe(data))  # type: ignore[misc]  # bound to this turn's value
    until = time.process_time() + seconds
    while time.process_time() < until:
        data = mutator.change(chance.choice(corpus), chance.choice(corpus))
        is_new = runner.run(data)
        if chance.randrange(_SAMPLE) == 0 and runner.took < _QUICK:
            is_new = lines.reached(lambda data=data: target.probe(data)) > 0 or is_new  # type: ignore[misc]
        if is_new and len(data) < LONGEST and len(corpus) < _CORPUS:
            corpus.append(data)
        runner.lines = len(lines.seen)
    runner.end()


def by_atheris(runner: Runner, target: Target, seconds: float, seed: int, folder: Path) -> None:
    """Let libFuzzer choose, with our changes among its own."""
    import atheris  # noqa: PLC0415  installed only where somebody fuzzes for long

    runner.engine = f"atheris {atheris.__version__}" if hasattr(atheris, "__version__") else "atheris"
    chance = random.Random(seed)
    mutator = Mutator(target.words, chance)
    seeds = [data for data in target.seeds() if len(data) < LONGEST]
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds):
        (corpus / f"{number:04}").write_bytes(data)
    until = time.process_time() + seconds

    def test_one(data: bytes) -> None:
        if time.process_time() > until:
            runner.end()
        runner.run(data)

    def change(data: bytes, longest: int, number: int) -> bytes:
        chance.seed(number)
        if chance.random() < 0.25:
            return bytes(atheris.Mutate(data, longest))
        return mutator.change(data, chance.choice(seeds))[:longest]

    limits = [
        "-rss_limit_mb=4096",
        "-timeout=600",
        f"-max_len={GROWN}",
        "-len_control=50",
        f"-seed={seed}",
        "-print_final_stats=0",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", str(corpus)], test_one, custom_mutator=change)
    atheris.Fuzz()


def _load(name: str, *, with_atheris: bool) -> Target:
    if with_atheris:
        import atheris  # noqa: PLC0415

        with atheris.instrument_imports(include=["reconciler"]):
            from tests.fuzz.targets import TARGETS  # noqa: PLC0415
    else:
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415
    if name in TARGETS:
        return TARGETS[name]
    from tests.fuzz.planted import PLANTED  # noqa: PLC0415

    return PLANTED[name]


def main() -> None:
    """Fuzz one target, or replay one input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("own", "atheris"), default="own")
    parser.add_argument("--replay", type=Path, nargs="*")
    given = parser.parse_args()
    os.chdir(ROOT)
    target = _load(given.target, with_atheris=given.engine == "atheris")
    for data in target.seeds():
        target.probe(data)  # caches are filled: what they hold is not the first input's fault
    runner = Runner(target, given.folder)
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (_ROOM << 20), resource.RLIM_INFINITY))
    if given.replay is not None:
        for path in given.replay:
            runner.run(path.read_bytes())
        runner.end()
    elif given.engine == "atheris":
        by_atheris(runner, target, given.seconds, given.seed, given.folder)
    else:
        by_ourselves(runner, target, given.seconds, given.seed)


if __name__ == "__main__":
    main()
