"""Whether a step runs, is skipped or fails, with the reason. Takes support, schema and precondition; pure.

What went before (a step that demanded an exit) is decided on the node, by the run itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from reconciler.documents.compact_json import as_text
from reconciler.documents.effort import Effort
from reconciler.documents.interpolation import interpolate, parameter_names
from reconciler.model.known import JsonValue

PLATFORM = "linux"
"""Every node is one."""

_STORE = re.compile(r"\{\{ *ssm(-secure)?:")


class Support(Enum):
    """What is known about a step's action."""

    UNKNOWN = "unknown"
    NOT_HERE = "not on Linux"
    HERE = "here"


class Move(Enum):
    """What to do with a step."""

    RUN = "run"
    SKIP = "skip"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with a step, and why."""

    move: Move
    reason: str


class _Truth(Enum):
    """What a precondition says: false wins over unrecognised, unrecognised over true."""

    TRUE = "true"
    FALSE = "false"
    UNRECOGNISED = "unrecognised"


def decide(
    *,
    action: str,
    support: Support,
    schema_version: str,
    precondition: Mapping[str, JsonValue] | None,
    values: Mapping[str, JsonValue],
    effort: Effort | None = None,
) -> Decision:
    """Decide about one step by the first rule that holds (SSM's agent, in its order)."""
    if schema_version != "2.2":
        return _decide_old_schema(action, support, schema_version, precondition)
    if support is Support.NOT_HERE:
        return Decision(move=Move.SKIP, reason=f"{action} is not for {PLATFORM}")
    truth, why = _evaluate(precondition, values, Effort() if effort is None else effort)
    if truth is _Truth.FALSE:
        return Decision(move=Move.SKIP, reason=why)
    if support is Support.UNKNOWN:
        return Decision(move=Move.FAIL, reason=f"there is no action {action}: correct its name")
    if truth is _Truth.UNRECOGNISED:
        return Decision(move=Move.FAIL, reason=why)
    return Decision(move=Move.RUN, reason=why)


def _decide_old_schema(
    action: str, support: Support, schema_version: str, precondition: Mapping[str, JsonValue] | None
) -> Decision:
    if precondition is not None:
        return Decision(
            move=Move.FAIL, reason=f"schema {schema_version} has no preconditions: write schemaVersion '2.2'"
        )
    match support:
        case Support.UNKNOWN:
            return Decision(move=Move.FAIL, reason=f"there is no action {action}: correct its name")
        case Support.NOT_HERE:
            return Decision(move=Move.FAIL, reason=f"{action} is not for {PLATFORM}")
        case Support.HERE:
            return Decision(move=Move.RUN, reason="nothing stands against it")


def _evaluate(
    precondition: Mapping[str, JsonValue] | None, values: Mapping[str, JsonValue], effort: Effort
) -> tuple[_Truth, str]:
    if precondition is None:
        return _Truth.TRUE, "it has no precondition"
    parts = [_evaluate_one(operator, arguments, values, effort) for operator, arguments in sorted(precondition.items())]
    for truth in (_Truth.FALSE, _Truth.UNRECOGNISED):
        for found, why in parts:
            if found is truth:
                return truth, why
    return _Truth.TRUE, "its precondition holds"


def _evaluate_one(
    operator: str, arguments: JsonValue, values: Mapping[str, JsonValue], effort: Effort
) -> tuple[_Truth, str]:
    if operator != "StringEquals":
        return _Truth.UNRECOGNISED, f"unrecognised precondition: there is no operator {operator}, only StringEquals"
    pair = _pair(arguments)
    if pair is None:
        return (
            _Truth.UNRECOGNISED,
            "unrecognised precondition: StringEquals takes a list of exactly two different texts",
        )
    left, right = pair
    if _STORE.search(left) or _STORE.search(right):
        return _Truth.UNRECOGNISED, "unrecognised precondition: stored parameters cannot be compared"
    if "platformType" in pair:
        return _evaluate_platform(right if left == "platformType" else left, values)
    return _evaluate_parameters(left, right, values, effort)


def _pair(arguments: JsonValue) -> tuple[str, str] | None:
    if isinstance(arguments, str) or not isinstance(arguments, Sequence) or len(arguments) != 2:  # noqa: PLR2004  (a pair)
        return None
    left, right = arguments
    if not isinstance(left, str) or not isinstance(right, str) or left == right:
        return None
    return left, right


def _evaluate_platform(wanted: str, values: Mapping[str, JsonValue]) -> tuple[_Truth, str]:
    if parameter_names(wanted, values):
        return _Truth.UNRECOGNISED, "unrecognised precondition: platformType cannot be compared with a parameter"
    if wanted.lower() == PLATFORM:
        return _Truth.TRUE, f"platformType is {PLATFORM}"
    return _Truth.FALSE, f"its precondition asks for platform {wanted}, this is {PLATFORM}"


def _evaluate_parameters(left: str, right: str, values: Mapping[str, JsonValue], effort: Effort) -> tuple[_Truth, str]:
    new_left, new_right = interpolate(left, values, effort), interpolate(right, values, effort)
    if (new_left, new_right) == (left, right):
        return _Truth.UNRECOGNISED, "unrecognised precondition: neither text contains a parameter of the document"
    for new in (new_left, new_right):
        if isinstance(new, (Sequence, Mapping)) and not isinstance(new, str):
            return _Truth.UNRECOGNISED, "unrecognised precondition: a list or map cannot be compared"
    if as_text(new_left) == as_text(new_right):
        return _Truth.TRUE, f"its precondition holds: {left} is {as_text(new_right)!r}"
    return (
        _Truth.FALSE,
        f"its precondition does not hold: {as_text(new_left)[:80]!r} is not {as_text(new_right)[:80]!r}",
    )
