"""Collects what is wrong in one file: readers go on after a mistake, so that all of them are reported at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.model.reading.spelling import nearest
from reconciler.model.reading.values import Items, Scalar, Table, Value
from reconciler.problem import Gravity, Problem

LONGEST_VALUE = 80
"""Characters of a met value in a message."""

MOST_PROBLEMS = 1000
"""In one file: nobody reads more, and a hostile file has a hundred thousand."""
_LONGEST_CIRCLE = 20

Place: TypeAlias = "Value | tuple[int, int]"


@dataclass(slots=True)
class Patience:
    """What one reading of a repository may spend, over all its files: the rest is told in fewer words, or refused."""

    guesses: int = 500
    explanations: int = 5000
    values: int = 2_000_000
    """Values at 150 bytes each; 10,000 nodes have 120,000."""

    def take_guess(self) -> bool:
        """Whether one more guess may be made."""
        self.guesses -= 1
        return self.guesses >= 0

    def take_explanation(self) -> bool:
        """Whether one more value may be explained at length."""
        self.explanations -= 1
        return self.explanations >= 0


class Mistakes:
    """The problems of one file, in the order they were found."""

    def __init__(self, file: str, patience: Patience | None = None) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.patience = patience if patience is not None else Patience()

    def error(self, place: Place, message: str, *, value: str | None = None, remedy: str = "") -> None:
        """Add a mistake that keeps the commit from being accepted."""
        self._add(Gravity.ERROR, place, message, value, remedy)

    def lint(self, place: Place, message: str, *, value: str | None = None, remedy: str = "") -> None:
        """Add a doubt that keeps nothing from happening."""
        self._add(Gravity.LINT, place, message, value, remedy)

    @property
    def are_many(self) -> bool:
        """Whether so many were found that no further one is told."""
        return len(self.problems) > MOST_PROBLEMS

    @property
    def found_errors(self) -> bool:
        """Whether anything but lints was found."""
        return any(problem.gravity is Gravity.ERROR for problem in self.problems)

    def guess(self, word: str, known: Collection[str]) -> str | None:
        """Give what a misspelt word was most likely meant to be."""
        return nearest(word, known) if self.patience.take_guess() else None

    def did_you_mean(self, word: str, known: Collection[str]) -> str:
        """Give a remedy that names the nearest known word, or all of them where they are few."""
        guess = self.guess(word, known)
        if guess is not None:
            return f"did you mean {guess}?"
        few = 16
        return f"known: {', '.join(map(cut, sorted(known)))}" if 0 < len(known) <= few else ""

    def _add(self, gravity: Gravity, place: Place, message: str, value: str | None, remedy: str) -> None:
        if len(self.problems) >= MOST_PROBLEMS:
            self._add_last()
            return
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

    def _add_last(self) -> None:
        if len(self.problems) == MOST_PROBLEMS:
            message = f"more than {MOST_PROBLEMS} mistakes in this file: the others are not told"
            self.problems.append(Problem(file=self.file, message=message, remedy="mend these first"))


def cut(text: str) -> str:
    """Shorten what a message quotes, and keep it on one line."""
    first = text if "\n" not in text else text[: text.index("\n")] + "..."
    return first if len(first) <= LONGEST_VALUE else first[: LONGEST_VALUE - 3] + "..."


def drawn(circle: Sequence[str]) -> str:
    """Show names that lead to each other, and the last of them to the first."""
    shown = [*circle[:_LONGEST_CIRCLE], *(["..."] if len(circle) > _LONGEST_CIRCLE else []), circle[0]]
    return " -> ".join(map(cut, shown))
