"""Finds the lines of a document's scripts: what lints of scripts look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reconciler.model.reading.values import Items, Scalar, Table, Value

_POWERSHELL: Final = "aws:runpowershellscript"
SCRIPTS: Final = frozenset({"aws:runshellscript", _POWERSHELL})
"""Actions that run lines, in lower case."""
_DOCUMENT = "aws:rundocument"
_LINES = ("runcommand", "commands")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLine:
    """A text that ends up in a script."""

    written: Scalar
    in_list: bool
    """It is an element of a list of lines, not the whole input."""
    is_line: bool = True
    """False: a text that is read as JSON or YAML before it becomes lines."""
    variable: str | None = None
    """How its language writes the variable SSM_name; None: the script is another document's, which is not given ours."""


def script_lines(document: Table) -> Iterator[ScriptLine]:
    """Give the lines of every script of a document, and what it hands on as parameters to one that it runs."""
    for step in document.tables("mainSteps"):
        yield from _lines_of_action(step.scalar("action") or "", step.entries.get("inputs"))
    plugins = document.table("runtimeConfig")
    for name, plugin in () if plugins is None else plugins.entries.items():
        if isinstance(plugin, Table):
            yield from _lines_of_action(name, plugin.entries.get("properties"))


def _lines_of_action(action: str, inputs: Value | None) -> Iterator[ScriptLine]:
    if action.lower() in SCRIPTS:
        yield from _lines_of(inputs, "$env:SSM_{}" if action.lower() == _POWERSHELL else '"$SSM_{}"')
    elif action.lower() == _DOCUMENT:
        for given in _all_of(inputs, "documentparameters"):
            # A text is read as JSON or YAML once it is filled in: who writes into it can write commands, too.
            if isinstance(given, Scalar):
                yield ScriptLine(written=given, in_list=False, is_line=False)
            else:
                yield from _lines_of(given)


def _lines_of(inputs: Value | None, variable: str | None = None) -> Iterator[ScriptLine]:
    for key in _LINES:
        for value in _all_of(inputs, key):
            for written in _scalars(value):
                yield ScriptLine(written=written, in_list=isinstance(value, Items), variable=variable)


def _all_of(inputs: Value | None, wanted: str) -> Iterator[Value]:
    """Give what stands under a key, in whatever case, in the inputs or in each element of a list of them."""
    if isinstance(inputs, Items):
        for element in inputs.items:
            yield from _all_of(element, wanted)
    elif isinstance(inputs, Table):
        yield from (value for key, value in inputs.entries.items() if key.lower() == wanted)


def _scalars(value: Value) -> Iterator[Scalar]:
    if isinstance(value, Scalar):
        yield value
    elif isinstance(value, Items):
        for item in value.items:
            yield from _scalars(item)
