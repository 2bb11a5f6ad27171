"""Says in words, each at its place, everything about a value that does not fit the JSON Schema of its kind.

Asked only about what `schema.py` refused: jsonschema takes a tenth of a second to import, and 4 s for 10,000 nodes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from reconciler.model.reading.mistakes import Mistakes, Place, cut
from reconciler.model.reading.schema_compiler import TYPES, load, whole, within
from reconciler.model.reading.values import Items, Scalar, Table, Value, is_null, plain_json, resolve

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator


class _Written(str):
    """A scalar for jsonschema: a string that remembers what else it may be."""

    __slots__ = ("scalar",)
    scalar: Scalar


def _written(scalar: Scalar) -> Any:
    if is_null(scalar):
        return None
    text = _Written(scalar.text)
    text.scalar = scalar
    return text


@cache
def _explainer() -> type["Validator"]:
    from jsonschema import Draft202012Validator, TypeChecker, ValidationError  # noqa: PLC0415  most runs find nothing wrong
    from jsonschema.validators import extend  # noqa: PLC0415

    def is_(name: str) -> Callable[[TypeChecker, Any], bool]:
        def is_type(_: TypeChecker, instance: Any) -> bool:
            if isinstance(instance, str) and not isinstance(instance, _Written):
                return name == "string"  # a key
            return isinstance(instance, _Written) and TYPES[name](instance.scalar)

        return is_type

    def pattern(validator: "Validator", pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
        if validator.is_type(instance, "string") and not re.search(whole(pattern), instance):
            yield ValidationError("pattern")

    def bound(name: str) -> "Callable[[Validator, float, Any, Any], Iterator[ValidationError]]":
        def bound(_: "Validator", limit: float, instance: Any, __: Any) -> Iterator[ValidationError]:
            number = resolve(instance.scalar) if isinstance(instance, _Written) else None
            if not within(number, *((limit, None) if name == "minimum" else (None, limit))):
                yield ValidationError(name)

        return bound

    made: type[Validator] = extend(  # type: ignore[no-untyped-call]  # jsonschema leaves it without types
        Draft202012Validator,
        validators={"pattern": pattern, "minimum": bound("minimum"), "maximum": bound("maximum")},
        type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
            {name: is_(name) for name in ("string", "number", "integer", "boolean")}
        ),
    )
    return made


def explain(kind: str, value: Value, mistakes: Mistakes) -> None:
    """Add one problem for each thing that jsonschema finds, at its place."""
    if not mistakes.patience.take_explanation():
        mistakes.error(value, f"this does not fit the schema of a {kind}", value="", remedy="mend the others first")
        return
    seen = set()
    for error in _explainer()(load(kind)).iter_errors(plain_json(value, _written)):
        for place, message, met, remedy in _told(error, value, mistakes):
            at = (place.line, place.column) if isinstance(place, (Scalar, Items, Table)) else place
            if (*at, message) not in seen:
                seen.add((*at, message))
                mistakes.error(place, message, value=met, remedy=remedy)
        if mistakes.are_many:
            return


_Told: TypeAlias = tuple[Place, str, str | None, str]


def _told(error: "ValidationError", root: Value, mistakes: Mistakes) -> Iterator[_Told]:
    """Say in words what one of jsonschema's errors is about."""
    value = _at(root, list(error.absolute_path))
    schema = error.schema if isinstance(error.schema, dict) else {}
    remedy = schema.get("x-remedy", "")
    name = _name(error)
    if error.validator == "anyOf":
        yield from _nearest_branch(error, root, mistakes)
    elif error.validator == "additionalProperties" and isinstance(value, Table):
        known = [*schema.get("properties", {})]
        for key in value.entries:
            if key not in known:
                yield value.places[key], "unknown key", key, mistakes.did_you_mean(key, known) or "remove it"
    elif "propertyNames" in error.schema_path:
        key = str(error.instance)
        place = value.places.get(key, (value.line, value.column)) if isinstance(value, Table) else value
        yield place, f"a name that is not {schema.get('x-is', 'allowed')}", key, remedy
    elif error.validator == "required" and isinstance(value, Table):
        required: Any = error.validator_value
        for key in required:
            if key not in value.entries:
                yield value, f"{key} is missing", "", _remedy_of(schema, key)
    else:
        yield value, name + _rule_broken(error, schema), None, remedy or _default_remedy(error, mistakes)


def _remedy_of(schema: Mapping[str, Any], key: str) -> str:
    inner = schema.get("properties", {}).get(key, {})
    return (inner.get("x-remedy") if isinstance(inner, dict) else None) or f"add {key}"


def _name(error: "ValidationError") -> str:
    keys = [part for part in error.absolute_path if isinstance(part, str)]
    return f"{cut(keys[-1])}: " if keys else ""


_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def _rule_broken(error: "ValidationError", schema: Mapping[str, Any]) -> str:
    limit: Any = error.validator_value
    empty = ", and is empty" if error.instance is None else ""
    counted = "characters" if "Length" in str(error.validator) else "entries"
    words = {
        "type": lambda: f"this must be {schema.get('x-is') or _kinds(limit)}{empty}",
        "enum": lambda: f"this must be one of {', '.join(map(str, limit))}",
        "pattern": lambda: f"this is not {schema.get('x-is', 'written as it must be')}",
        "minimum": lambda: f"this must be at least {limit}",
        "maximum": lambda: f"this must be at most {limit}",
    }
    rule = str(error.validator)
    if rule in words:
        return words[rule]()
    if rule.startswith("min"):
        return "this is empty" if limit == 1 else f"this needs at least {limit} {counted}"
    return f"this has more than {limit} {counted}" if rule.startswith("max") else "this is not allowed here"


def _kinds(types: str | Sequence[str]) -> str:
    names = [types] if isinstance(types, str) else [*types]
    if "string" in names:
        names = [name for name in names if name not in {"number", "integer", "boolean"}]
    return " or ".join(_WORDS[name] for name in names)


def _default_remedy(error: "ValidationError", mistakes: Mistakes) -> str:
    if error.validator == "enum" and isinstance(error.instance, str):
        allowed: Any = error.validator_value
        guess = mistakes.guess(error.instance, [str(word) for word in allowed])
        return f"did you mean {guess}?" if guess else ""
    if error.instance is None:
        return "give it a value, or remove the key"
    if error.validator == "type" and isinstance(error.instance, _Written) and not error.instance.scalar.plain:
        return "write it without quotes"
    return ""


def _nearest_branch(error: "ValidationError", root: Value, mistakes: Mistakes) -> Iterator[_Told]:
    """Explain the alternative that has the right type; where none has, name them all."""
    value = _at(root, list(error.absolute_path))
    schema = error.schema if isinstance(error.schema, dict) else {}
    branches: dict[int, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(int(inner.relative_schema_path[0]), []).append(inner)
    right = [found for found in branches.values() if not any(_wrong_type(one) for one in found)]
    if right:
        for inner in right[0]:
            yield from _told(inner, root, mistakes)
        return
    yield value, f"{_name(error)}this must be {schema.get('x-is', 'something else')}", None, schema.get("x-remedy", "")


def _wrong_type(error: "ValidationError") -> bool:
    return error.validator == "type" and not error.relative_path


def _at(root: Value, path: Sequence[str | int]) -> Value:
    for part in path:
        if isinstance(root, Table) and isinstance(part, str):
            root = root.entries[part]
        elif isinstance(root, Items) and isinstance(part, int):
            root = root.items[part]
    return root
