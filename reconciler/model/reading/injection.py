"""Lints parameters that a caller could write shell into: text pasted into a script without a rule for what it may hold."""

from collections.abc import Iterator, Mapping

from reconciler.model.document import Parameter
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Items, Scalar, Table, Value
from reconciler.model.token import TOKEN

_SCRIPTS = frozenset({"aws:runshellscript", "aws:runpowershellscript"})
_DOCUMENT = "aws:rundocument"
_LINES = ("runcommand", "commands")
_FREE = frozenset({"String", "StringList", "StringMap", "MapList"})
_REMEDY = (
    'give it an allowedPattern or allowedValues, or interpolationType: ENV_VAR and write "$SSM_{name}" in the script'
)


def lint_injections(document: Table, parameters: Mapping[str, Parameter], mistakes: Mistakes) -> None:
    """Add one lint for each parameter that is pasted into a line of shell unchecked."""
    told: set[str] = set()
    for line in _lines(document):
        if TOKEN.fullmatch(line.text):
            continue  # the whole command is the parameter: that is what the document is for
        for name in TOKEN.findall(line.text):
            parameter = parameters.get(name)
            if parameter is None or name in told or not _is_free(parameter):
                continue
            told.add(name)
            message = f"parameter {name} is pasted into the script as it is: whoever gives it can write shell"
            mistakes.lint(line, message, value=_around(line.text, name), remedy=_REMEDY.format(name=name))


def _is_free(parameter: Parameter) -> bool:
    ruled = parameter.allowed_pattern is not None or parameter.allowed_values is not None
    return parameter.type in _FREE and not ruled


def _lines(document: Table) -> Iterator[Scalar]:
    """Give the lines of every script of a document."""
    for step in document.tables("mainSteps"):
        yield from _lines_of_action(step.scalar("action") or "", step.entries.get("inputs"))
    plugins = document.table("runtimeConfig")
    for name, plugin in () if plugins is None else plugins.entries.items():
        if isinstance(plugin, Table):
            yield from _lines_of_action(name, plugin.entries.get("properties"))


def _lines_of_action(action: str, inputs: Value | None) -> Iterator[Scalar]:
    if action.lower() in _SCRIPTS:
        yield from _lines_of(inputs)
    elif action.lower() == _DOCUMENT:
        for given in _all_of(inputs, "documentparameters"):
            # A text is read as JSON or YAML once it is filled in: who writes into it can write commands, too.
            yield from [given] if isinstance(given, Scalar) else _lines_of(given)


def _lines_of(inputs: Value | None) -> Iterator[Scalar]:
    for key in _LINES:
        for value in _all_of(inputs, key):
            yield from _scalars(value)


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


def _around(text: str, name: str) -> str:
    """Give the line of a script in which a parameter stands."""
    return next((line.strip() for line in text.splitlines() if name in line), text)
