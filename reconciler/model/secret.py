"""A value without printable form."""

from typing import Any, NoReturn


class Secret:
    """Holds a string that no repr, str, format, pickle, JSON or comparison by accident gives away."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Give the value, for the one place that sends it on stdin."""
        return self._value

    def __repr__(self) -> str:
        return "[secret]"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "[secret]"

    def __eq__(self, other: object) -> bool:
        """Two secrets are equal by value; a secret never equals a plain string."""
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be pickled: a pickle is a file somewhere."""
        raise TypeError("a secret does not leave this process")
