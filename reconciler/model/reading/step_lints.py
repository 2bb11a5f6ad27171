"""Lints steps that will fail, or do nothing, for all that their document is accepted: as on SSM, where each is found out by running."""

from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Items, Scalar, Table, Value, is_null
from reconciler.model.token import TOKEN

KNOWN_ACTIONS: Final = frozenset(
    {
        *("aws:applications", "aws:cloudWatch", "aws:configureDaemon", "aws:configureDocker", "aws:configurePackage"),
        *("aws:domainJoin", "aws:downloadContent", "aws:psModule", "aws:refreshAssociation", "aws:runDockerAction"),
        *("aws:runDocument", "aws:runPowerShellScript", "aws:runShellScript", "aws:softwareInventory"),
        *("aws:updateAgent", "aws:updateSsmAgent", "reconciler:runPatchBaseline"),
    }
)
"""Every action that SSM's agent or this program knows: those that run, and those that are skipped on Linux."""
BESIDE_INPUTS: Final = ("maxAttempts", "onFailure", "timeoutSeconds", "onSuccess", "finallyStep")
"""At step level they do nothing in Command documents: most authors believe they do."""
_INSTEAD: Final[Mapping[tuple[str, str], str]] = {
    ("onFailure", "Abort"): "write onFailure: exit in inputs",
    ("onFailure", "Continue"): "remove it: the next step runs in any case",
}
"""What the words of runbooks are here."""
_SCRIPTS = frozenset({"aws:runShellScript", "aws:runPowerShellScript"})


def lint_steps(document: Table, mistakes: Mistakes) -> None:
    """Add a lint for each thing in a step that makes it fail or disappear."""
    for step in document.tables("mainSteps"):
        _lint_beside_inputs(step, mistakes)
        action = step.entries.get("action")
        if isinstance(action, Scalar):
            _lint_action(action, action.text, mistakes)
            _lint_inputs(action.text, (step.line, step.column), step.entries.get("inputs"), mistakes)
    plugins = document.table("runtimeConfig")
    for name, plugin in () if plugins is None else plugins.entries.items():
        if plugins is not None and isinstance(plugin, Table):
            _lint_action(plugins.places[name], name, mistakes)
            _lint_inputs(name, plugins.places[name], plugin.entries.get("properties"), mistakes)


def _lint_beside_inputs(step: Table, mistakes: Mistakes) -> None:
    for key in BESIDE_INPUTS:
        found = step.entries.get(key)
        if found is None or (isinstance(found, Scalar) and not found.text):
            continue
        remedy = _INSTEAD.get((key, step.scalar(key) or ""), f"move {key} into inputs")
        if key == "maxAttempts":  # in inputs it counts for nothing, either
            remedy = "remove it: no step is tried again"
        mistakes.lint(step.places[key], "ignored beside inputs", value=key, remedy=remedy)


def _lint_action(place: Scalar | tuple[int, int], action: str, mistakes: Mistakes) -> None:
    if action in KNOWN_ACTIONS:
        return
    same = next((known for known in sorted(KNOWN_ACTIONS) if known.lower() == action.lower()), None)
    guess = same or mistakes.guess(action, sorted(KNOWN_ACTIONS))
    remedy = f"did you mean {guess}?" if guess else "write one of those in the documentation"
    mistakes.lint(place, "there is no such action: the step will fail", value=action, remedy=remedy)


def _lint_inputs(action: str, place: tuple[int, int], inputs: Value | None, mistakes: Mistakes) -> None:
    if isinstance(inputs, Items) and not inputs.items:
        message = "an empty list: the step does nothing, and stands in no report"
        mistakes.lint(inputs, message, value="[]", remedy="give its inputs, or remove the step")
    for element in _elements(inputs, place):
        _lint_twins(element, mistakes)
        if action in _SCRIPTS:
            _lint_script(element, mistakes)


def _elements(inputs: Value | None, place: tuple[int, int]) -> Iterator[Table]:
    if isinstance(inputs, Table):
        yield inputs
    elif isinstance(inputs, Items):
        yield from (element for element in inputs.items if isinstance(element, Table))
    elif inputs is None or is_null(inputs):
        yield Table({}, {}, *place)


def _lint_twins(element: Table, mistakes: Mistakes) -> None:
    first: dict[str, str] = {}
    for key in element.entries:
        other = first.setdefault(key.lower(), key)
        if other != key:
            message = f"this key stands here as {other}, too: the last one counts"
            mistakes.lint(element.places[key], message, value=key, remedy="keep one of them")


def _lint_script(element: Table, mistakes: Mistakes) -> None:
    lines = next((value for key, value in reversed(element.entries.items()) if key.lower() == "runcommand"), None)
    if lines is None or is_null(lines):
        mistakes.lint(element, "runCommand is missing: the step will fail", value="", remedy="give a list of lines")
    elif isinstance(lines, Scalar) and not TOKEN.fullmatch(lines.text):
        mistakes.lint(lines, "runCommand is no list: the step will fail", remedy="write it as a list, with `- `")
