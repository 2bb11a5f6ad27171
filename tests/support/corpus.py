"""`python -m tests.support.corpus DIR`: validates a folder of documents and baselines of other people, and prints a table.

DIR is one that an extraction left, with `index.json` naming each file's kind and what is expected of it (`live`: the
service gave it out, `accept`: published as working, `template`, `doubtful`, `reject`), or any folder of documents.
Exit status 1 where a live document is refused, or more than two in a hundred published ones. Nothing is run or fetched.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from reconciler.cli.output import shown
from reconciler.daemon.documents import judge_document, judge_documents
from reconciler.model.read_state import read_state
from reconciler.problem import Gravity, Problem

DOCUMENTS = ("command", "automation")
LEAST_ACCEPTED = 0.98
"""Of what was published as working."""


def judged(folder: Path) -> Iterator[tuple[str, str, tuple[Problem, ...]]]:
    """Give (kind, what is expected, what is wrong) of every document and baseline."""
    index = folder / "index.json"
    if not index.is_file():
        yield from (("document", "unknown", _errors(found.problems)) for found in judge_documents([folder]))
        return
    for entry in json.loads(index.read_text()):
        if entry["kind"] in DOCUMENTS:
            yield entry["kind"], entry["expect"], _errors(judge_document(folder / entry["file"]).problems)
        elif entry["kind"] == "baseline":
            _, problems = read_state({"baselines/it.yaml": (folder / entry["file"]).read_bytes()})
            told = tuple(replace(problem, file=entry["file"]) for problem in problems)
            yield entry["kind"], entry["expect"], _errors(told)


def _errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.gravity is Gravity.ERROR)


def main(folder: Path) -> int:
    """Print what was refused and the table; give the exit status."""
    all_of: Counter[tuple[str, str]] = Counter()
    accepted: Counter[tuple[str, str]] = Counter()
    for kind, expected, found in judged(folder):
        all_of[kind, expected] += 1
        accepted[kind, expected] += not found
        if found:
            sys.stdout.write(f"refused ({expected}): {shown(str(found[0]), 400)}\n")
    sys.stdout.write(f"{'kind':12} {'expected':10} {'accepted':>8} {'of':>5}\n")
    for (kind, expected), count in sorted(all_of.items()):
        sys.stdout.write(f"{kind:12} {expected:10} {accepted[kind, expected]:8} {count:5}\n")
    for (kind, expected), count in all_of.items():
        least = {"live": 1.0, "accept": LEAST_ACCEPTED}.get(expected, 0.0)
        if accepted[kind, expected] < least * count:
            sys.stdout.write(f"too few {expected} of kind {kind} are accepted\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
