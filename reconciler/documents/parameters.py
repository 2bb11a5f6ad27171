"""Parameters of a document: declared, given and stored -> typed values; pure.

Takes SSM's wire form (every value a list of strings) and native YAML values alike. Values from the caller, and values that
come out of a `{{ssm:...}}` reference, are checked; a literal default never is: live documents break their own rules.
"""

import json
from collections.abc import Mapping, Sequence

from reconciler.documents.compact_json import as_text
from reconciler.documents.effort import Effort
from reconciler.documents.error import RenderError
from reconciler.documents.interpolation import refers_to_store, resolve_stored
from reconciler.documents.patterns import matches_whole
from reconciler.model.desired import StoredParameter
from reconciler.model.document import Parameter
from reconciler.model.known import JsonValue
from reconciler.model.reading.spelling import did_you_mean

_NO_LIMIT = 2**31 - 1


def parameter_values(
    declared: Mapping[str, Parameter],
    given: Mapping[str, JsonValue],
    stored: Mapping[str, StoredParameter],
    effort: Effort | None = None,
) -> Mapping[str, JsonValue]:
    """Give a value for every declared parameter; `{{ssm:...}}` in them is still unresolved, as documents need it."""
    effort = Effort() if effort is None else effort
    for name in sorted(given):
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            guess = did_you_mean(name, declared)
            raise RenderError(f"parameter {name} is not declared by the document (it declares: {known}){guess}")
    values: dict[str, JsonValue] = {}
    for name, parameter in declared.items():
        if name in given:
            values[name] = _converted(parameter, given[name])
        elif parameter.required:
            raise RenderError(f"parameter {name} has no default: give it a value")
        else:
            values[name] = parameter.default
        value = values[name]
        if name in given or refers_to_store(value):
            # A list's default may be one text, which stands for a whole list in the store.
            alone = [value] if isinstance(value, str) and _kind(parameter) == "StringList" else value
            check(parameter, resolve_stored(alone, stored, effort), effort)
    return values


def exported(
    declared: Mapping[str, Parameter],
    values: Mapping[str, JsonValue],
    stored: Mapping[str, StoredParameter],
    effort: Effort,
) -> Mapping[str, str]:
    """Give the environment of `interpolationType: ENV_VAR` parameters: `SSM_NAME` -> the literal value."""
    return {
        f"SSM_{name}": as_text(resolve_stored(values[name], stored, effort))
        for name, parameter in declared.items()
        if parameter.env_var
    }


def _kind(parameter: Parameter) -> str:
    if parameter.type.startswith("List<"):
        return "StringList"
    return "String" if parameter.type.startswith("AWS::") else parameter.type


def _converted(parameter: Parameter, value: JsonValue) -> JsonValue:
    """Turn a value from the wire or from YAML into the parameter's type."""
    kind = _kind(parameter)
    if kind == "StringList":
        return _string_list(parameter, value)
    if kind == "MapList":
        return _map_list(parameter, value)
    single = _single(parameter, value)
    match kind:
        case "Boolean":
            return _boolean(parameter, single)
        case "Integer":
            return _integer(parameter, single)
        case "StringMap":
            return single if isinstance(single, Mapping) else _from_json(as_text(single), Mapping)
        case _:
            return _string(parameter, single)


def _single(parameter: Parameter, value: JsonValue) -> JsonValue:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return value
    if len(value) != 1:
        raise RenderError(f"parameter {parameter.name} is a {parameter.type}: give exactly one value, not {len(value)}")
    return value[0]


def _string(parameter: Parameter, value: JsonValue) -> str:
    if value is None or isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        raise RenderError(f"parameter {parameter.name} is a {parameter.type}: give text, not {as_text(value)[:80]}")
    return as_text(value)


def _string_list(parameter: Parameter, value: JsonValue) -> list[JsonValue]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_string(parameter, entry) for entry in value]
    return [_string(parameter, value)]


def _boolean(parameter: Parameter, value: JsonValue) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in {"true", "false"}:
        return value == "true"
    raise RenderError(f"parameter {parameter.name} is a Boolean: give true or false, not {as_text(value)[:80]!r}")


def _integer(parameter: Parameter, value: JsonValue) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else ""
    digits = text.removeprefix("-")
    if digits.isdecimal() and digits.isascii() and len(digits) <= 18:  # noqa: PLR2004  (what 64 bits hold)
        return int(text)
    raise RenderError(f"parameter {parameter.name} is an Integer: give a whole number, not {as_text(value)[:80]!r}")


def _map_list(parameter: Parameter, value: JsonValue) -> JsonValue:
    entries = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if len(entries) == 1 and isinstance(entries[0], str):
        whole = _from_json(entries[0], list)
        if not isinstance(whole, str):
            return whole
    maps = [entry if isinstance(entry, Mapping) else _from_json(as_text(entry), Mapping) for entry in entries]
    if not all(isinstance(entry, Mapping) for entry in maps):
        raise RenderError(f"parameter {parameter.name} is a MapList: give a list of maps")
    return maps


def _from_json(text: str, wanted: type[Mapping[str, JsonValue]] | type[list[JsonValue]]) -> JsonValue:
    """Give the parsed value, or the text as it is where it does not parse to what is wanted."""
    try:
        parsed: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return parsed if isinstance(parsed, wanted) else text


def check(parameter: Parameter, value: JsonValue, effort: Effort) -> None:
    """Raise RenderError where a resolved value breaks what the document allows."""
    kind = _kind(parameter)
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    parts: Sequence[JsonValue] = value if kind == "StringList" and isinstance(value, Sequence) and is_list else [value]
    for part in parts:
        _check_allowed(parameter, part)
        if kind in {"String", "StringList", "StringMap", "MapList"}:
            _check_text(parameter, as_text(part), effort)
    if kind in {"StringList", "StringMap", "MapList"} and isinstance(value, (Sequence, Mapping)):
        count = 1 if isinstance(value, str) else len(value)
        _check_range(parameter, "Items", count, parameter.min_items, parameter.max_items)


def _check_allowed(parameter: Parameter, value: JsonValue) -> None:
    if parameter.allowed_values is None:
        return
    allowed = [as_text(entry) for entry in parameter.allowed_values]
    if as_text(value) not in allowed:
        raise RenderError(
            f"parameter {parameter.name}: {as_text(value)[:80]!r} is not one of the allowed values {', '.join(allowed)[:400]}"
        )


def _check_text(parameter: Parameter, text: str, effort: Effort) -> None:
    _check_range(parameter, "Chars", len(text), parameter.min_chars, parameter.max_chars)
    if parameter.allowed_pattern is not None and not matches_whole(parameter.allowed_pattern, text, effort):
        raise RenderError(
            f"parameter {parameter.name}: {text[:80]!r} does not match all of allowedPattern {parameter.allowed_pattern!r}"
        )


def _check_range(parameter: Parameter, what: str, count: int, least: int | None, most: int | None) -> None:
    """SSM's agent: a limit that is negative or beyond 2^31-1 is no limit."""
    low = least if least is not None and 0 <= least <= _NO_LIMIT else 0
    high = most if most is not None and 0 <= most <= _NO_LIMIT else None
    if count < low or (high is not None and count > high):
        bound = f"at least {low}" if count < low else f"at most {high}"
        noun = "characters" if what == "Chars" else "elements"
        raise RenderError(f"parameter {parameter.name} has {count} {noun}: {bound} are allowed (min{what}, max{what})")
