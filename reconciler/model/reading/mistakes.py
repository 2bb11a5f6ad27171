"""Collects what is wrong in one file: readers go on after a mistake, so that all of them are reported at once."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TypeAlias

from reconciler.model.reading.values import Items, Scalar, Table, Value
from reconciler.problem import Gravity, Problem

LONGEST_VALUE = 80
"""Characters of a met value in a message."""

Place: TypeAlias = "Value | tuple[int, int]"


class Mistakes:
    """The problems of one file, in the order they were found."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def error(self, place: Place, message: str, *, value: str | None = None, remedy: str = "") -> None:
        """Add a mistake that keeps the commit from being accepted."""
        self._add(Gravity.ERROR, place, message, value, remedy)

    def lint(self, place: Place, message: str, *, value: str | None = None, remedy: str = "") -> None:
        """Add a doubt that keeps nothing from happening."""
        self._add(Gravity.LINT, place, message, value, remedy)

    @property
    def found_errors(self) -> bool:
        """Whether anything but lints was found."""
        return any(problem.gravity is Gravity.ERROR for problem in self.problems)

    def _add(self, gravity: Gravity, place: Place, message: str, value: str | None, remedy: str) -> None:
        if value is None:
            value = place.text if isinstance(place, Scalar) else ""
        line, column = (place.line, place.column) if isinstance(place, (Scalar, Items, Table)) else place
        self.problems.append(
            Problem(
                file=self.file,
                line=line,
                column=column,
                message=message,
                value=cut(value),
                remedy=remedy,
                gravity=gravity,
            )
        )


def cut(text: str) -> str:
    """Shorten what a message quotes, and keep it on one line."""
    first = text if "\n" not in text else text[: text.index("\n")] + "..."
    return first if len(first) <= LONGEST_VALUE else first[: LONGEST_VALUE - 3] + "..."


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Guess what a misspelt word was meant to be."""
    folded = {name.lower(): name for name in known}
    if word.lower() in folded:
        return folded[word.lower()]
    close = get_close_matches(word.lower()[:100], folded, n=1, cutoff=0.7)
    return folded[close[0]] if close else None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Give a remedy that names the nearest known word, or all of them."""
    guess = nearest(word, known)
    if guess is not None:
        return f"did you mean {guess}?"
    shown = sorted(known)
    few = 12
    return f"known are {', '.join(shown)}" if 0 < len(shown) <= few else ""
