"""The inputs that every action with a script has, and how SSM's agent reads them; pure.

Takes interpolated inputs with lower-case keys; raises InputError where the step fails on SSM.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from reconciler.documents.compact_json import as_text
from reconciler.documents.error import InputError
from reconciler.model.known import JsonValue
from reconciler.model.reading.flow_lints import LEAST_TIMEOUT, MOST_TIMEOUT, SECONDS

DEFAULT_TIMEOUT = timedelta(hours=1)
"""SSM's agent takes anything that is no number of seconds in its range for an hour, without a word."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptInputs:
    """What a script is, and what it runs in."""

    lines: tuple[str, ...]
    timeout: timedelta = DEFAULT_TIMEOUT
    working_directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read a step's inputs."""
        return cls(
            lines=_lines(inputs.get("runcommand")),
            timeout=read_timeout(inputs.get("timeoutseconds")),
            working_directory=read_working_directory(inputs.get("workingdirectory")),
            environment=_environment(inputs.get("environment")),
        )

    @property
    def script(self) -> bytes:
        """The file that runs: one script of all elements."""
        return ("\n".join(self.lines) + "\n").encode()


def _lines(value: JsonValue) -> tuple[str, ...]:
    if value is None:
        raise InputError("the input runCommand is missing: give a list of lines")
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError("Invalid format in plugin properties: runCommand must be a list (write it as one, with `- `)")
    if any(isinstance(entry, Sequence) and not isinstance(entry, str) for entry in value):
        raise InputError(
            "Invalid format in plugin properties: runCommand holds a list within the list (write one list)"
        )
    # SSM: the agent's decoder makes an empty text of null; `- ` with nothing behind it is one in YAML.
    lines = ["" if entry is None else as_text(entry) for entry in value]
    if any("\0" in line for line in lines):
        raise InputError("a script cannot hold a NUL character: remove it from runCommand")
    return tuple(lines)


def read_timeout(value: JsonValue) -> timedelta:
    """Read `timeoutSeconds`; what is no number of seconds in the range is an hour. SSM: ValidateExecutionTimeout."""
    if isinstance(value, str) and SECONDS.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return DEFAULT_TIMEOUT
    seconds = int(value)
    return timedelta(seconds=seconds) if LEAST_TIMEOUT <= seconds <= MOST_TIMEOUT else DEFAULT_TIMEOUT


def read_working_directory(value: JsonValue) -> str:
    """Read `workingDirectory`, empty where it is missing."""
    text = "" if value is None else as_text(value)
    if "\0" in text:
        raise InputError("workingDirectory cannot hold a NUL character")
    return text


def _environment(value: JsonValue) -> Mapping[str, str]:
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise InputError("the input environment must be a map of names and values")
    environment = {name: as_text(entry) for name, entry in value.items()}
    for name, entry in environment.items():
        if not _NAME.fullmatch(name) or "\0" in entry:
            raise InputError(f"the input environment has a name or value that no shell takes: {name!r}")
    return environment
