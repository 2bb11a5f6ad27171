"""`python -m tests.support.corpus DIR`: validates a folder of documents that other people wrote, and prints a table.

DIR is one that an extraction left, with `index.json` naming each file's kind and what is expected of it (`live`: the
service gave it out, `accept`: published as working, `template`, `doubtful`, `reject`), or any folder of documents.
Exit status 1 where a live document is refused, or more than two in a hundred published ones. Nothing is run or fetched.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from reconciler.cli.output import shown
from reconciler.daemon.documents import Judged, judge_document, judge_documents
from reconciler.problem import Gravity

KINDS = ("command", "automation")
LEAST_ACCEPTED = 0.98
"""Of what was published as working."""


def judged(folder: Path) -> Iterator[tuple[str, str, Judged]]:
    """Give (kind, what is expected, judgement) of every document."""
    index = folder / "index.json"
    if not index.is_file():
        yield from (("document", "unknown", found) for found in judge_documents([folder]))
        return
    for entry in json.loads(index.read_text()):
        if entry["kind"] in KINDS:
            yield entry["kind"], entry["expect"], judge_document(folder / entry["file"])


def main(folder: Path) -> int:
    """Print what was refused and the table; give the exit status."""
    all_of: Counter[tuple[str, str]] = Counter()
    accepted: Counter[tuple[str, str]] = Counter()
    for kind, expected, found in judged(folder):
        all_of[kind, expected] += 1
        accepted[kind, expected] += found.document is not None
        if found.document is None:
            first = next(problem for problem in found.problems if problem.gravity is Gravity.ERROR)
            sys.stdout.write(f"refused ({expected}): {shown(str(first), 400)}\n")
    sys.stdout.write(f"{'kind':12} {'expected':10} {'accepted':>8} {'of':>5}\n")
    for (kind, expected), count in sorted(all_of.items()):
        sys.stdout.write(f"{kind:12} {expected:10} {accepted[kind, expected]:8} {count:5}\n")
    for (kind, expected), count in all_of.items():
        least = {"live": 1.0, "accept": LEAST_ACCEPTED}.get(expected, 0.0)
        if accepted[kind, expected] < least * count:
            sys.stdout.write(f"too few {expected} documents of kind {kind} are accepted\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
