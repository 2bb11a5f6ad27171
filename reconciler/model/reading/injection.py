"""Lints parameters that a caller could write shell into: text pasted into a script without a rule for what it may hold."""

from collections.abc import Mapping

from reconciler.model.document import Parameter
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.script_lines import script_lines
from reconciler.model.reading.values import Table
from reconciler.model.token import TOKEN

_FREE = frozenset({"String", "StringList", "StringMap", "MapList"})
_RULE = "give it an allowedPattern or allowedValues"


def lint_injections(document: Table, parameters: Mapping[str, Parameter], mistakes: Mistakes) -> None:
    """Add one lint for each parameter that is pasted into a line of shell unchecked."""
    told: set[str] = set()
    for line in script_lines(document):
        if TOKEN.fullmatch(line.written.text):
            continue  # the whole command is the parameter: that is what the document is for
        for name in TOKEN.findall(line.written.text):
            parameter = parameters.get(name)
            if parameter is None or name in told or not _is_free(parameter):
                continue
            told.add(name)
            remedy = _RULE
            # SSM: ENV_VAR is for Strings alone, and came with schema 2.2.
            if parameter.type == "String" and line.variable and document.scalar("schemaVersion") == "2.2":
                remedy = f"{_RULE}, or interpolationType: ENV_VAR and write {line.variable.format(name)} in the script"
            message = f"parameter {name} is pasted into the script as it is: whoever gives it can write shell"
            mistakes.lint(line.written, message, value=around(line.written.text, name), remedy=remedy)


def _is_free(parameter: Parameter) -> bool:
    ruled = parameter.allowed_pattern is not None or parameter.allowed_values is not None
    return parameter.type in _FREE and not ruled


def around(text: str, name: str) -> str:
    """Give the line of a script in which a parameter stands."""
    return next((line.strip() for line in text.splitlines() if name in line), text)
