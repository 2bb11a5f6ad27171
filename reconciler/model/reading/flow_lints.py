"""Lints what decides whether a step runs, how long, and what follows: as on SSM, what does not read there has no effect, or fails it.

And `{{ name }}` that is nearly a parameter's name: SSM leaves it as it stands, and the script gets it so.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from reconciler.model.document import Parameter
from reconciler.model.reading.injection import around
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.script_lines import script_lines
from reconciler.model.reading.values import Items, Scalar, Table, Value
from reconciler.model.token import TOKEN

LEAST_TIMEOUT, MOST_TIMEOUT = 5, 172800
"""Seconds that a step may run. SSM: ValidateExecutionTimeout."""
_FLOW: Final[Mapping[str, tuple[str, ...]]] = {
    "onFailure": ("exit", "successAndExit"),
    "onSuccess": ("exit",),
    "finallyStep": ("true", "false"),
}
"""SSM: what stands in inputs to say what follows; names and values count with their case."""
_FOLDED: Final = {name.lower(): name for name in _FLOW}
_PLATFORM: Final = "platformType"
_PLATFORMS: Final = ("Linux", "Windows", "MacOS")
SECONDS: Final = re.compile(r"[+-]?\d{1,18}(\.\d*)?", re.ASCII)
_STORED: Final = re.compile(r"\{\{ *ssm(-secure)?:")
_PAIR: Final = 2


def lint_flow(document: Table, parameters: Mapping[str, Parameter], mistakes: Mistakes) -> None:
    """Add a lint for each of these that will not do what it says."""
    steps = document.tables("mainSteps")
    for step in steps:
        precondition = step.table("precondition")
        if precondition is not None and "StringEquals" in precondition.entries:
            _lint_equals(precondition.entries["StringEquals"], parameters, mistakes)
        _lint_inputs(step.entries.get("inputs"), mistakes, is_last=step is steps[-1])
    plugins = document.table("runtimeConfig")
    for plugin in () if plugins is None else plugins.entries.values():
        if isinstance(plugin, Table):
            _lint_inputs(plugin.entries.get("properties"), mistakes, is_last=True)
    _lint_names(document, parameters, mistakes)


def _lint_equals(arguments: Value, parameters: Collection[str], mistakes: Mistakes) -> None:
    written = arguments.items if isinstance(arguments, Items) else []
    pair = [each for each in written if isinstance(each, Scalar)]
    if len(pair) != _PAIR or len(written) != _PAIR or pair[0].text == pair[1].text:
        message = "StringEquals takes a list of exactly two different texts: the step will fail"
        mistakes.lint(arguments, message, value="", remedy=f"write [{_PLATFORM}, Linux], or a parameter and a value")
        return
    left, right = pair
    if any(_STORED.search(each.text) for each in pair):
        mistakes.lint(arguments, "a stored parameter cannot be compared: the step will fail", value="")
    elif _PLATFORM in (left.text, right.text):
        wanted = right if left.text == _PLATFORM else left
        if _names_in(wanted.text, parameters):
            mistakes.lint(wanted, f"{_PLATFORM} cannot be compared with a parameter: the step will fail")
        elif wanted.text.lower() not in {name.lower() for name in _PLATFORMS}:
            remedy = mistakes.did_you_mean(wanted.text, _PLATFORMS)
            mistakes.lint(wanted, "no node is of such a platform: the step is skipped everywhere", remedy=remedy)
    elif not _names_in(left.text, parameters) and not _names_in(right.text, parameters):
        message = "neither text holds a parameter of the document: the step will fail"
        mistakes.lint(
            arguments, message, value=f"{left.text}, {right.text}", remedy="write '{{ NAME }}' for one of them"
        )


def _names_in(text: str, parameters: Collection[str]) -> bool:
    return any(name in parameters for name in TOKEN.findall(text))


def _lint_inputs(inputs: Value | None, mistakes: Mistakes, *, is_last: bool) -> None:
    for element in _elements(inputs):
        for key, value in element.entries.items():
            if not isinstance(value, Scalar) or "{{" in value.text or not value.text:
                continue
            if key.lower() == "timeoutseconds":
                _lint_timeout(value, mistakes)
            elif key.lower() in _FOLDED:
                _lint_word(element.places[key], key, value, mistakes)
                if key == "finallyStep" and value.text == "true" and not is_last:
                    message = "finallyStep counts in the last step alone: here it has no effect"
                    mistakes.lint(element.places[key], message, value=key, remedy="move the step to the end")


def _elements(inputs: Value | None) -> Iterator[Table]:
    if isinstance(inputs, Table):
        yield inputs
    elif isinstance(inputs, Items):
        yield from (element for element in inputs.items if isinstance(element, Table))


def _lint_timeout(value: Scalar, mistakes: Mistakes) -> None:
    text = value.text.strip()
    if SECONDS.fullmatch(text) and LEAST_TIMEOUT <= int(float(text)) <= MOST_TIMEOUT:
        return
    message = f"no number of seconds from {LEAST_TIMEOUT} to {MOST_TIMEOUT}: 3600 counts instead"
    mistakes.lint(value, message, remedy="write the number that is meant")


def _lint_word(place: tuple[int, int], key: str, value: Scalar, mistakes: Mistakes) -> None:
    name = _FOLDED[key.lower()]
    if key != name:
        mistakes.lint(
            place, "this name counts with its case: it has no effect", value=key, remedy=f"did you mean {name}?"
        )
    elif value.text not in _FLOW[name]:
        message = f"{name} knows {' and '.join(_FLOW[name])}: this has no effect"
        mistakes.lint(value, message, remedy=mistakes.did_you_mean(value.text, _FLOW[name]))


def _lint_names(document: Table, parameters: Mapping[str, Parameter], mistakes: Mistakes) -> None:
    told: set[str] = set()
    for line in script_lines(document):
        for name in TOKEN.findall(line.written.text):
            if name in parameters or name in told:
                continue
            told.add(name)
            guess = mistakes.guess(name, parameters)
            if guess is not None:  # else it is nobody's business: templates of other programs look the same
                message = "no parameter of this name is declared: it stays as it stands"
                mistakes.lint(
                    line.written, message, value=around(line.written.text, name), remedy=f"did you mean {guess}?"
                )
