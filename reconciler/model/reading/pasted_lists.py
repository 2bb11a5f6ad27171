"""Lints lists in scripts that do not become what their authors mean: lines, or words of a line; takes read values, gives lints."""

from collections.abc import Mapping

from reconciler.model.document import Parameter
from reconciler.model.reading.injection import around
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.script_lines import ScriptLine, script_lines
from reconciler.model.reading.values import Table
from reconciler.model.token import TOKEN


def lint_pasted_lists(document: Table, parameters: Mapping[str, Parameter], mistakes: Mistakes) -> None:
    """Add one lint for each StringList and each of the two ways to place it wrongly."""
    told: set[tuple[str, str]] = set()
    for line in script_lines(document):
        for name in dict.fromkeys(TOKEN.findall(line.written.text)):
            parameter = parameters.get(name)
            if parameter is None or parameter.type != "StringList":
                continue
            found = _judge(line, name)
            if found is not None and (name, found[0]) not in told:
                told.add((name, found[0]))
                mistakes.lint(line.written, found[0], value=around(line.written.text, name), remedy=found[1])


def _judge(line: ScriptLine, name: str) -> tuple[str, str] | None:
    """Give what is wrong with a list in this place, and the remedy."""
    if TOKEN.fullmatch(line.written.text):
        if not line.in_list:
            return None
        message = f"parameter {name} is a list within the list: here its elements are lines, on SSM the step fails"
        return message, f"write runCommand: '{{{{ {name} }}}}', in a step of its own where there are other lines"
    if not line.is_line:
        return None
    message = f'parameter {name} is a list: as on SSM, its JSON text is pasted here (["a","b"]), not its words'
    return message, "make it a String where the script wants words"
