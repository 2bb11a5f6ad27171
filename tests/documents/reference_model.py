"""What a document's steps come to, by SSM's rules alone: tiny, and nothing of ours in it.

A document is a plain value as in its JSON; every script of it is one of `SCRIPTS` by its exit code. Rules: a failed step
does not stop the next; 168, 169 and the modifiers inside `inputs` do, but for a last finallyStep; 137 is TimedOut.
"""

from collections.abc import Mapping, Sequence
from typing import Any

PLATFORM = "linux"
ELSEWHERE = frozenset({"aws:psModule", "aws:applications"})
HERE = "aws:runShellScript"
RANK = ("Skipped", "Success", "Failed", "Cancelled", "TimedOut")
Result = tuple[str, int]


def expected(
    document: Mapping[str, Any], codes: Mapping[str, int], values: Mapping[str, str]
) -> tuple[list[Result], str]:
    """Give (status, exit code) of every script or step that is none, and the document's status.

    `codes`: the exit code of each line of `runCommand`.
    """
    results: list[Result] = []
    of_steps: list[str] = []
    is_over = False
    steps = document["mainSteps"]
    for number, step in enumerate(steps):
        inputs = step["inputs"]
        elements = inputs if isinstance(inputs, list) else [inputs]
        modifiers = elements[0] if len(elements) == 1 else {}
        is_finally = number == len(steps) - 1 and modifiers.get("finallyStep") in (True, "true")
        move = "skip" if is_over and not is_finally else _move(document["schemaVersion"], step, values)
        if move == "run":
            own = [_ended(codes[element["runCommand"][0]]) for element in elements]
        else:
            own = [("Skipped", 0) if move == "skip" else ("Failed", 1)] * len(elements)
        status = max((each for each, _ in own), key=RANK.index)
        code = next((each for _, each in own if each != 0), 0)
        if status == "Failed" and modifiers.get("onFailure") == "successAndExit":
            status, code = "Success", 168
            own = [(status, code)]
        failed_out = status == "Failed" and modifiers.get("onFailure") == "exit"
        went_out = status == "Success" and modifiers.get("onSuccess") == "exit"
        is_over = is_over or code in (168, 169) or failed_out or went_out
        results += own
        of_steps.append(status)
    for status in ("Failed", "TimedOut"):
        if status in of_steps:
            return results, status
    return results, "Success"


def _ended(code: int) -> Result:
    return {0: "Success", 168: "Success", 137: "TimedOut"}.get(code, "Failed"), code


def _move(schema: str, step: Mapping[str, Any], values: Mapping[str, str]) -> str:
    action, precondition = step["action"], step.get("precondition")
    if schema != "2.2":
        return "run" if action == HERE and precondition is None else "fail"
    holds = [_holds(operator, arguments, values) for operator, arguments in (precondition or {}).items()]
    if action in ELSEWHERE or False in holds:
        return "skip"
    return "run" if action == HERE and None not in holds else "fail"


def _holds(operator: str, arguments: Sequence[str], values: Mapping[str, str]) -> bool | None:
    """None: not recognised."""
    if operator != "StringEquals" or len(arguments) != 2 or arguments[0] == arguments[1]:
        return None
    if "platformType" in arguments:
        (other,) = (each for each in arguments if each != "platformType")
        return None if "{{" in other else other.lower() == PLATFORM
    filled = []
    for argument in arguments:
        text = argument
        for name, value in values.items():
            text = text.replace("{{ " + name + " }}", value)
        filled.append(text)
    return None if filled == list(arguments) else filled[0] == filled[1]
