"""Mistakes for people, programs, or annotations on a pull request."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from reconciler.cli.output import say, shown
from reconciler.foreign_text import Sink, fit
from reconciler.problem import Gravity, Problem


class ProblemFormat(StrEnum):
    """For people, programs, or annotations on a pull request."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"


def errors_among(problems: Iterable[Problem]) -> list[Problem]:
    """Leave the lints out."""
    return [problem for problem in problems if problem.gravity is Gravity.ERROR]


def problems_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Give problems as JSON values."""
    return [
        {
            "gravity": p.gravity.value,
            "file": p.file,
            "line": p.line,
            "column": p.column,
            "message": p.message,
            "value": p.value,
            "remedy": p.remedy,
        }
        for p in problems
    ]


def say_problems(problems: Sequence[Problem], output: ProblemFormat) -> None:
    """Write problems line by line, as text or as a forge's annotations."""
    for problem in problems:
        if output is ProblemFormat.TEXT:
            say(f"{problem.gravity.value}: {shown(str(problem), 1000)}")
        elif output is ProblemFormat.GITHUB:
            kind = "error" if problem.gravity is Gravity.ERROR else "warning"
            place = f"file={_property(problem.file)},line={max(problem.line, 1)},col={max(problem.column, 1)}"
            met = f" (met: {problem.value})" if problem.value else ""
            remedy = f"; {problem.remedy}" if problem.remedy else ""
            say(f"::{kind} {place}::{fit(f'{problem.message}{met}{remedy}', Sink.CI)}")


def _property(text: str) -> str:
    """Give one property of an annotation: a comma would begin the next one, and nothing of a file's name is a property."""
    return fit(text, Sink.CI).replace(":", "%3A").replace(",", "%2C")
