"""Automation runbooks (schema 0.3): validated for shape, so that a repository may hold them; nothing here runs one."""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

from reconciler.model.reading.mistakes import Mistakes, drawn
from reconciler.model.reading.schema import check
from reconciler.model.reading.values import Items, Scalar, Table, Value, resolve

SCHEMA_VERSION: Final = "0.3"
CHANGE_TEMPLATE: Final = ("templateInformation", "executableRunBooks", "emergencyChange", "autoApprovable")
"""Keys that a runbook of type Automation.ChangeTemplate has besides."""

ACTIONS: Final = frozenset(
    {
        "aws:approve",
        "aws:assertAwsResourceProperty",
        "aws:branch",
        "aws:changeInstanceState",
        "aws:copyImage",
        "aws:createImage",
        "aws:createStack",
        "aws:createTags",
        "aws:deleteImage",
        "aws:deleteStack",
        "aws:executeAutomation",
        "aws:executeAwsApi",
        "aws:executeScript",
        "aws:executeStateMachine",
        "aws:invokeLambdaFunction",
        "aws:invokeWebhook",
        "aws:loop",
        "aws:pause",
        "aws:runCommand",
        "aws:runInstances",
        "aws:sleep",
        "aws:updateVariable",
        "aws:waitForAwsResourceProperty",
    }
)
"""What the guide documents; live runbooks of AWS's own know a few more, so another one is a lint."""

_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_TARGET = "step:"


def check_runbook(value: Table, mistakes: Mistakes) -> None:
    """Say what is wrong with a runbook's shape: its parameters, its steps, where they lead, and circles among them."""
    kept = {key: item for key, item in value.entries.items() if key in {"schemaVersion", "parameters"}}
    check("document", value._replace(entries=kept), mistakes)  # they are defined as in documents
    steps = value.entries.get("mainSteps")
    if not isinstance(steps, Items) or not steps.items:
        where = value if steps is None else steps
        remedy = "write a list of steps, each with name, action and inputs"
        mistakes.error(where, "mainSteps is missing, or no list with steps in it", value="", remedy=remedy)
        return
    named: dict[str, Table] = {}
    for one in steps.items:
        _check_step(one, named, mistakes)
    if mistakes.found_errors:
        return
    order = [one.scalar("name") or "" for one in steps.items if isinstance(one, Table)]
    leads = {name: list(_leads(step, named, mistakes)) for name, step in named.items()}
    for name, following in pairwise(order):
        if not (_is_end(named[name]) or named[name].scalar("nextStep") or _always_branches(named[name])):
            leads[name].append(following)
    _say_circle(named, leads, mistakes)


def _check_step(value: Value, named: dict[str, Table], mistakes: Mistakes) -> None:
    if not isinstance(value, Table):
        remedy = "write {name: step, action: 'aws:sleep', inputs: {Duration: PT5M}}"
        mistakes.error(value, "not a mapping that describes a step", remedy=remedy)
        return
    name, action = value.scalar("name"), value.scalar("action")
    if name is None or not _NAME.fullmatch(name):
        remedy = "give 1 to 128 letters, digits, dots, - or _"
        mistakes.error(value.entries.get("name", value), "a step needs a name", value=name or "", remedy=remedy)
    elif name in named:
        message = f"two steps with one name, the first at line {named[name].line}"
        mistakes.error(value.entries["name"], message, remedy="rename one: others refer to it by name")
    else:
        named[name] = value
    if not action:
        mistakes.error(
            value.entries.get("action", value), "a step needs an action", value="", remedy="write action: 'aws:...'"
        )
    elif isinstance(found := value.entries["action"], Scalar) and not isinstance(resolve(found), str):
        mistakes.error(found, "an action is a text", remedy="write action: 'aws:...'")
    elif action not in ACTIONS:
        mistakes.lint(
            value.entries["action"], "no action the guide knows", remedy=mistakes.did_you_mean(action, ACTIONS)
        )
    inputs = value.entries.get("inputs")
    if inputs is not None and not isinstance(inputs, Table) and not (isinstance(inputs, Scalar) and not inputs.text):
        mistakes.error(inputs, "inputs is no mapping", remedy="write inputs: {...}")
    loop = value.table("inputs")
    if action == "aws:loop" and loop is not None:
        for inner in loop.tables("Steps"):
            _check_step(inner, named, mistakes)


def _leads(step: Table, named: Mapping[str, Table], mistakes: Mistakes) -> Iterator[str]:
    """Give the steps one may go to, and say where there is none of such a name."""
    for found in _targets(step):
        text = found.text.removeprefix(_TARGET)
        if text in named:
            yield text
        elif "{{" not in text:
            mistakes.error(found, "no step has this name", remedy=mistakes.did_you_mean(text, named))


def _targets(step: Table) -> Iterator[Scalar]:
    """Give every place of a step that names another one."""
    for key in ("nextStep", "onFailure", "onCancel"):
        found = step.entries.get(key)
        if isinstance(found, Scalar) and found.text and (key == "nextStep" or found.text.startswith(_TARGET)):
            yield found
    inputs = step.table("inputs")
    if step.scalar("action") == "aws:branch" and inputs is not None:
        named = [
            inputs.entries.get("Default"),
            *(choice.entries.get("NextStep") for choice in inputs.tables("Choices")),
        ]
        yield from (found for found in named if isinstance(found, Scalar) and found.text)


def _is_end(step: Table) -> bool:
    """Tell whether nothing follows a step; live runbooks write `isEnd: 'true'` as often as `true`."""
    return (step.scalar("isEnd") or "").lower() == "true"


def _always_branches(step: Table) -> bool:
    inputs = step.table("inputs")
    return step.scalar("action") == "aws:branch" and inputs is not None and "Default" in inputs.entries


def _say_circle(named: Mapping[str, Table], leads: Mapping[str, list[str]], mistakes: Mistakes) -> None:
    """Lint steps that lead back to themselves (live runbooks have some): repeating is what aws:loop is for."""
    done: set[str] = set()
    for begin in named:
        path: list[str] = []
        todo = [(begin, iter(leads[begin]))] if begin not in done else []
        while todo:
            name, following = todo[-1]
            if not path or path[-1] != name:
                path.append(name)
            step = next(following, None)
            if step is None:
                done.add(name)
                path.pop()
                todo.pop()
            elif step in path:
                circle = drawn(path[path.index(step) :])
                remedy = "end it, or use aws:loop"
                mistakes.lint(named[name], f"steps in a circle: {circle}", value=name, remedy=remedy)
                return
            elif step not in done:
                todo.append((step, iter(leads[step])))
