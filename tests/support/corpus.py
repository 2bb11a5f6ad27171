"""`python -m tests.support.corpus DIR`: validates a folder of files that other people wrote, and prints a table.

DIR is one that an extraction left, with `index.json` naming each file's kind and what is expected of it (`live`: the
service gave it out, `accept`: published as working, `template`, `doubtful`, `reject`), or any folder of documents.
Besides documents and runbooks these are associations, baselines, windows and calendars, each as far as one file tells:
what it names elsewhere is not looked at. Command documents are
filled in as well, with what their rules allow; where that cannot be guessed (a pattern, a stored parameter), it says so. Calls that register a target or a task of a window, or change what is there, are
no whole and stand as `window-part` and `association-part`. Exit status 1 where a live file is refused, or more than two in a hundred published ones.
Nothing is run or fetched.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.cli.output import shown
from reconciler.daemon.documents import judge_document, judge_documents
from reconciler.documents.compact_json import as_text
from reconciler.documents.content import NotFetched
from reconciler.documents.error import RenderError
from reconciler.documents.render import RUNBOOK, render
from reconciler.model.document import Document
from reconciler.model.reading.associations import read_association
from reconciler.model.reading.baselines import read_baseline
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.policies import read_calendar, read_window
from reconciler.model.reading.values import Scalar, Table, Value
from reconciler.model.reading.yaml_text import read_yaml
from reconciler.problem import Gravity, Problem

PARTS = ("window-part", "association-part")
HELD = ("command", "automation", "baseline", "window", "calendar")
"""Kinds of which too few must not be refused. Associations of runbooks are refused: runbooks do not run here."""
_SAMPLES: Mapping[str, str] = {"Boolean": "true", "Integer": "1", "StringMap": "{}", "MapList": "[{}]"}
LEAST_ACCEPTED: Mapping[str, float] = {"live": 1.0, "accept": 0.98}
"""Of what the service gave out, and of what was published as working."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one file."""

    accepted: bool
    problems: tuple[Problem, ...]
    not_rendered: str | None = None
    """Why a Command document could not be filled in with its defaults, or with what its rules allow."""


def judged(folder: Path) -> Iterator[tuple[str, str, Judged]]:
    """Give (kind, what is expected, judgement) of every file."""
    index = folder / "index.json"
    if not index.is_file():
        for found in judge_documents([folder]):
            yield "document", "unknown", _of_document(found.document, found.problems)
        return
    for entry in json.loads(index.read_text(encoding="utf-8")):
        file = folder / entry["file"]
        kind = entry["kind"]
        if kind in ("command", "automation"):
            document = judge_document(file)
            yield kind, entry["expect"], _of_document(document.document, document.problems)
        else:
            kind, found = _judge(kind, entry["file"], file.read_bytes())
            yield kind, entry["expect"], found


def _of_document(document: Document | None, problems: tuple[Problem, ...]) -> Judged:
    """Judge a document, and fill it in: whatever is raised then but a refusal in words ends the program."""
    why = None
    if document is not None and document.schema_version != RUNBOOK:
        given = {
            name: [
                as_text(parameter.allowed_values[0]) if parameter.allowed_values else _SAMPLES.get(parameter.type, "x")
            ]
            for name, parameter in document.parameters.items()
            if parameter.required
        }
        try:
            render(document, given, stored={}, contents=NotFetched())
        except RenderError as exc:
            why = str(exc)
    return Judged(accepted=document is not None, problems=problems, not_rendered=why)


def _judge(kind: str, name: str, data: bytes) -> tuple[str, Judged]:
    mistakes = Mistakes(name)
    read: object = None
    if kind == "calendar":
        read = read_calendar(data, "calendar", mistakes)
    else:
        is_json = data.lstrip()[:1] in {b"{", b"["}
        values = (read_json if is_json else read_yaml)(data, mistakes)
        if values and not mistakes.found_errors:
            kind, read = _read(kind, values[0], mistakes)
    return kind, Judged(accepted=read is not None and not mistakes.found_errors, problems=tuple(mistakes.problems))


def _read(kind: str, value: Value, mistakes: Mistakes) -> tuple[str, object]:
    if kind == "association":
        is_whole = isinstance(value, Table) and "Name" in value.entries
        return kind if is_whole else "association-part", read_association(_named(value), None, mistakes)
    if kind == "baseline":
        return kind, read_baseline(value, mistakes, require_reasons=False)
    is_whole = isinstance(value, Table) and {"Name", "Schedule", "Duration", "Cutoff"} <= set(value.entries)
    return (kind if is_whole else "window-part"), read_window(value, mistakes)


def _named(value: Value) -> Value:
    """Give an association a name, as an import does: on AWS it may go without."""
    if not isinstance(value, Table) or "AssociationName" in value.entries:
        return value
    name = Scalar(text="imported", line=value.line, column=value.column, plain=False)
    return value._replace(
        entries={**value.entries, "AssociationName": name},
        places={**value.places, "AssociationName": (value.line, value.column)},
    )


def main(folder: Path) -> int:
    """Print what was refused and the table; give the exit status."""
    all_of: Counter[tuple[str, str]] = Counter()
    accepted: Counter[tuple[str, str]] = Counter()
    for kind, expected, found in judged(folder):
        all_of[kind, expected] += 1
        accepted[kind, expected] += found.accepted
        if found.not_rendered is not None:
            sys.stdout.write(f"not rendered ({expected}): {shown(found.not_rendered, 400)}\n")
        if not found.accepted and kind not in PARTS:
            first = next(problem for problem in found.problems if problem.gravity is Gravity.ERROR)
            sys.stdout.write(f"refused ({expected}): {shown(str(first), 400)}\n")
    sys.stdout.write(f"{'kind':12} {'expected':10} {'accepted':>8} {'of':>5}\n")
    for (kind, expected), count in sorted(all_of.items()):
        sys.stdout.write(f"{kind:12} {expected:10} {accepted[kind, expected]:8} {count:5}\n")
    for (kind, expected), count in all_of.items():
        if kind in HELD and accepted[kind, expected] < LEAST_ACCEPTED.get(expected, 0.0) * count:
            sys.stdout.write(f"too few {expected} files of kind {kind} are accepted\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
