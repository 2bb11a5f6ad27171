"""What was observed: `Known(value)` or `Unknown(why)`. Unknown is not empty, and nothing is applied on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T_co = TypeVar("T_co", covariant=True)

JsonValue: TypeAlias = "str | int | float | bool | Sequence[JsonValue] | Mapping[str, JsonValue] | None"


@dataclass(frozen=True, slots=True)
class Known(Generic[T_co]):
    """It was read. `Known(None)` means: it is known not to be there."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Unknown:
    """It could not be read, and why, in words for people (foreign text: render before printing)."""

    why: str


Observed: TypeAlias = Known[T_co] | Unknown
