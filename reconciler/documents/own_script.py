"""What a step comes to that is no script of its author's: a script that we write, for the node's `sh`; pure.

An action that inherits `OwnScript` reads its inputs, and gives `text`. Values of documents stand in it quoted, never bare.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Protocol, Self

from reconciler.documents.compact_json import as_text
from reconciler.documents.error import InputError
from reconciler.documents.script_inputs import DEFAULT_TIMEOUT
from reconciler.model.known import JsonValue


class Scripted(Protocol):
    """An action whose step is one script on the node."""

    name: ClassVar[str]
    file: ClassVar[str]
    alternatives: ClassVar[tuple[str, ...]]

    @property
    def script(self) -> bytes:
        """The file that runs."""
        ...

    @property
    def interpreter(self) -> tuple[str, ...]:
        """Who runs it."""
        ...

    @property
    def timeout(self) -> timedelta:
        """How long it may run."""
        ...

    @property
    def working_directory(self) -> str:
        """Where it runs; empty: where downloads are, else `/`."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What it finds in its environment beside what every step does."""
        ...

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read interpolated inputs with lower-case keys; raises InputError where the step fails on SSM."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnScript:
    """One script of ours."""

    file: ClassVar[str] = "script"
    alternatives: ClassVar[tuple[str, ...]] = ()
    interpreter: ClassVar[tuple[str, ...]] = ("sh",)
    timeout: timedelta = DEFAULT_TIMEOUT
    working_directory: str = ""

    @property
    def environment(self) -> Mapping[str, str]:
        """Nothing more."""
        return {}

    @property
    def text(self) -> str:
        """The script, as sh text that ends with a line feed."""
        raise NotImplementedError

    @property
    def script(self) -> bytes:
        """The file that runs."""
        return self.text.encode("utf-8", "surrogatepass")


def text_input(inputs: Mapping[str, JsonValue], name: str) -> str:
    """Give an input that is one text (or a number), empty where it is missing; InputError for anything else."""
    value = inputs.get(name.lower())
    if value is None:
        return ""
    if isinstance(value, Mapping | list | tuple):
        raise InputError(f"the input {name} must be a text, not {as_text(value)[:80]}")
    text = as_text(value)
    if "\0" in text:
        raise InputError(f"the input {name} holds a NUL character: remove it")
    return text


def one_of(inputs: Mapping[str, JsonValue], name: str, known: tuple[str, ...]) -> str:
    """Give an input that must be one of these words, as they are written."""
    text = text_input(inputs, name)
    if text not in known:
        raise InputError(f"the input {name} must be one of {', '.join(known)}, not {text[:80]!r}")
    return text
