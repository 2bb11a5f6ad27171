"""One measured figure: what was measured, its values, the budget it is held against; as a line of text or as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`values` are the single runs; median, least and most are what is printed."""

    name: str
    what: str
    values: tuple[float, ...]
    unit: str
    budget: float | None = None
    """None: printed for comparison, held against nothing."""
    at_least: bool = False
    """The budget is a floor (a ratio to another tool), not a ceiling."""
    note: str = ""

    @property
    def median(self) -> float:
        """The middle of the runs."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the budget holds; None: there is none."""
        if self.budget is None:
            return None
        return self.median >= self.budget if self.at_least else self.median <= self.budget

    def line(self) -> str:
        """Give it as one line for people."""
        spread = f" ({_short(min(self.values))} to {_short(max(self.values))})" if len(self.values) > 1 else ""
        parts = [f"{self.what}: {_short(self.median)} {self.unit}{spread}"]
        if self.budget is not None:
            share = self.median / self.budget
            bound = "at least " if self.at_least else ""
            parts.append(f"budget {bound}{_short(self.budget)} {self.unit}, {share:.2f}x of it")
            parts.append("met" if self.met else "NOT MET")
        if self.note:
            parts.append(self.note)
        return "; ".join(parts)

    def as_json(self) -> Mapping[str, object]:
        """Give it as a JSON value."""
        return {
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            "median": self.median,
            "values": list(self.values),
            "budget": self.budget,
            "at_least": self.at_least,
            "met": self.met,
            "note": self.note,
        }


def _short(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"
