"""The JSON Schemas of every kind: a fast yes or no for all values, and a slow explanation for those that do not fit.

The schemas are the one description of what a file may hold; editors use them too. jsonschema needs 40 s for 10,000 nodes,
so each schema is also compiled to plain functions that know the keywords we use, and jsonschema is asked only about what
these refuse. Scalars count as strings whatever they look like: text is taken as written.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from jsonschema import Draft202012Validator, TypeChecker, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend

from reconciler.model.reading.mistakes import Mistakes, Place
from reconciler.model.reading.values import Items, Scalar, Table, Value, is_null, plain_json, resolve

Fits: TypeAlias = Callable[[Value], bool]
Schema: TypeAlias = Mapping[str, Any] | bool

KINDS = ("node", "fleet", "group", "association", "document", "baseline", "window", "parameter")


@cache
def load(kind: str) -> Mapping[str, Any]:
    """Give the schema of a kind, as shipped beside this module."""
    file = resources.files("reconciler.model") / "schemas" / f"{kind}.schema.json"
    loaded: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def check(kind: str, value: Value, mistakes: Mistakes) -> bool:
    """Hold a value against the schema of its kind; say everything that is wrong with it."""
    if _compiled(kind)(value):
        return True
    explain(kind, value, mistakes)
    return False


def fits(kind: str, value: Value) -> bool:
    """Whether a value fits, by the compiled schema alone."""
    return _compiled(kind)(value)


# ---------------------------------------------------------------- the fast answer


@cache
def _compiled(kind: str) -> Fits:
    schema = load(kind)
    return _Compiler(schema.get("$defs", {})).compile(schema)


_TYPES: Mapping[str, Fits] = {
    "string": lambda value: isinstance(value, Scalar) and not is_null(value),
    "number": lambda value: isinstance(value, Scalar) and type(resolve(value)) in {int, float},
    "integer": lambda value: isinstance(value, Scalar) and type(resolve(value)) is int,
    "boolean": lambda value: isinstance(value, Scalar) and type(resolve(value)) is bool,
    "null": is_null,
    "object": lambda value: isinstance(value, Table),
    "array": lambda value: isinstance(value, Items),
}

ANNOTATIONS = frozenset({"$schema", "$id", "$defs", "title", "description", "default", "examples", "x-is", "x-remedy"})


class _Compiler:
    """Turns one schema into functions; a keyword it does not know is a bug here, never a rule forgotten."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self.definitions = definitions
        self.known: dict[str, Fits] = {}

    def compile(self, schema: Schema) -> Fits:
        if isinstance(schema, bool):
            return _anything if schema else _nothing
        if "$ref" in schema:
            return self._reference(schema["$ref"])
        if _is_text(schema):
            return _text_rule(schema)
        first, *rest = [*self._rules(schema)] or [_anything]
        if not rest:
            return first
        return lambda value: first(value) and all(rule(value) for rule in rest)

    def _reference(self, reference: str) -> Fits:
        name = reference.removeprefix("#/$defs/")
        if name not in self.known:
            self.known[name] = self._later(name)  # a definition may hold itself
            self.known[name] = self.compile(self.definitions[name])
        return self.known[name]

    def _later(self, name: str) -> Fits:
        def rule(value: Value) -> bool:
            return self.known[name](value)

        return rule

    def _rules(self, schema: Mapping[str, Any]) -> Iterator[Fits]:
        rest = dict(schema)
        if "type" in rest:
            yield _type_rule(rest.pop("type"))
        if rest.keys() & {"properties", "required", "additionalProperties", "propertyNames", "minProperties"}:
            yield self._table_rule(rest)
        if rest.keys() & {"items", "minItems", "maxItems"}:
            yield self._items_rule(rest)
        if rest.keys() & {"pattern", "minLength", "maxLength", "enum", "minimum", "maximum"}:
            yield _scalar_rule(rest)
        if "anyOf" in rest:
            branches = [self.compile(branch) for branch in rest.pop("anyOf")]
            yield lambda value: any(branch(value) for branch in branches)
        unknown = rest.keys() - ANNOTATIONS
        if unknown:
            raise ValueError(f"keywords this compiler does not know: {sorted(unknown)}")

    def _table_rule(self, rest: dict[str, Any]) -> Fits:
        properties = {key: self.compile(schema) for key, schema in rest.pop("properties", {}).items()}
        required = frozenset(rest.pop("required", ()))
        others = self.compile(rest.pop("additionalProperties", True))
        pattern = rest.pop("propertyNames", {}).get("pattern")
        names = None if pattern is None else re.compile(_whole(pattern))
        least = rest.pop("minProperties", 0)

        def rule(value: Value) -> bool:
            if not isinstance(value, Table):
                return True
            entries = value.entries
            if len(entries) < least or not required <= entries.keys():
                return False
            for key, item in entries.items():
                if not properties.get(key, others)(item) or (names is not None and not names.search(key)):
                    return False
            return True

        return rule

    def _items_rule(self, rest: dict[str, Any]) -> Fits:
        each = self.compile(rest.pop("items", True))
        least, most = rest.pop("minItems", 0), rest.pop("maxItems", None)

        def rule(value: Value) -> bool:
            if not isinstance(value, Items):
                return True
            count = len(value.items)
            return least <= count and (most is None or count <= most) and all(each(item) for item in value.items)

        return rule


def _anything(_: Value) -> bool:
    return True


def _nothing(_: Value) -> bool:
    return False


def _type_rule(types: str | Sequence[str]) -> Fits:
    if isinstance(types, str):
        return _TYPES[types]
    if "string" in types:  # whatever else stands beside it is for editors: every scalar is text to us
        types = [name for name in types if name not in {"number", "integer", "boolean"}]
    wanted = [_TYPES[name] for name in types]
    return wanted[0] if len(wanted) == 1 else lambda value: any(fit(value) for fit in wanted)


_OF_TEXT = {"type", "pattern", "minLength", "maxLength"}
_NULLS = {"", "null"}


def _is_text(schema: Mapping[str, Any]) -> bool:
    """Whether a schema asks for a text, and for nothing but its length and pattern."""
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else {*kinds}
    return "string" in kinds and not kinds & {"object", "array"} and schema.keys() - ANNOTATIONS <= _OF_TEXT


def _text_rule(schema: Mapping[str, Any]) -> Fits:
    """Check a text in one go: most values are texts."""
    search = re.compile(_whole(schema["pattern"])).search if "pattern" in schema else None
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", sys.maxsize)
    nothing = schema["type"] != "string" and "null" in schema["type"]

    def rule(value: Value) -> bool:
        if not isinstance(value, Scalar):
            return False
        text = value.text
        if value.plain and text in _NULLS:
            return nothing
        return shortest <= len(text) <= longest and (search is None or search(text) is not None)

    return rule


def _scalar_rule(rest: dict[str, Any]) -> Fits:
    pattern = re.compile(_whole(rest.pop("pattern", "")))
    shortest, longest = rest.pop("minLength", 0), rest.pop("maxLength", None)
    allowed = frozenset(rest["enum"]) if "enum" in rest else None
    rest.pop("enum", None)
    low, high = rest.pop("minimum", None), rest.pop("maximum", None)

    def rule(value: Value) -> bool:
        if not isinstance(value, Scalar) or is_null(value):
            return allowed is None
        text = value.text
        return (
            (allowed is None or text in allowed)
            and pattern.search(text) is not None
            and shortest <= len(text)
            and (longest is None or len(text) <= longest)
            and _within(resolve(value), low, high)
        )

    return rule


def _within(number: object, low: float | None, high: float | None) -> bool:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return True
    return (low is None or low <= number) and (high is None or number <= high)


def _whole(pattern: str) -> str:
    r"""Write `$` at the end as `\Z`: Python's `$` lets a line end pass."""
    return pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern


# ---------------------------------------------------------------- the slow explanation


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


def _is(name: str) -> Callable[[TypeChecker, Any], bool]:
    def is_type(_: TypeChecker, instance: Any) -> bool:
        return isinstance(instance, _Written) and _TYPES[name](instance.scalar)

    return is_type


def _pattern(validator: Validator, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not re.search(_whole(pattern), instance):
        yield ValidationError("pattern")


def _bound(name: str) -> Callable[[Validator, float, Any, Any], Iterator[ValidationError]]:
    def bound(_: Validator, limit: float, instance: Any, __: Any) -> Iterator[ValidationError]:
        number = resolve(instance.scalar) if isinstance(instance, _Written) else None
        if not _within(number, *((limit, None) if name == "minimum" else (None, limit))):
            yield ValidationError(name)

    return bound


_EXPLAINER = extend(  # type: ignore[no-untyped-call]  # jsonschema leaves it without types
    Draft202012Validator,
    validators={"pattern": _pattern, "minimum": _bound("minimum"), "maximum": _bound("maximum")},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {name: _is(name) for name in ("string", "number", "integer", "boolean")}
    ),
)


def explain(kind: str, value: Value, mistakes: Mistakes) -> None:
    """Add one problem for each thing that jsonschema finds, at its place."""
    if not mistakes.patience.take_explanation():
        mistakes.error(value, f"this does not fit the schema of a {kind}", value="", remedy="mend the others first")
        return
    seen = set()
    for error in _EXPLAINER(load(kind)).iter_errors(plain_json(value, _written)):
        for place, message, met, remedy in _told(error, value, mistakes):
            if (str(place)[:200], message) not in seen:
                seen.add((str(place)[:200], message))
                mistakes.error(place, message, value=met, remedy=remedy)


_Told: TypeAlias = tuple[Place, str, str | None, str]


def _told(error: ValidationError, root: Value, mistakes: Mistakes) -> Iterator[_Told]:
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
                yield value.places[key], "unknown key", key, mistakes.did_you_mean(key, known)
    elif "propertyNames" in error.schema_path:
        yield value, f"a name that is not {schema.get('x-is', 'allowed')}", None, remedy
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


def _name(error: ValidationError) -> str:
    keys = [part for part in error.absolute_path if isinstance(part, str)]
    return f"{keys[-1]}: " if keys else ""


_WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}


def _rule_broken(error: ValidationError, schema: Mapping[str, Any]) -> str:
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


def _default_remedy(error: ValidationError, mistakes: Mistakes) -> str:
    if error.validator == "enum" and isinstance(error.instance, str):
        allowed: Any = error.validator_value
        guess = mistakes.guess(error.instance, [str(word) for word in allowed])
        return f"did you mean {guess}?" if guess else ""
    if error.instance is None:
        return "give it a value, or remove the key"
    if error.validator == "type" and isinstance(error.instance, _Written) and not error.instance.scalar.plain:
        return "write it without quotes"
    return ""


def _nearest_branch(error: ValidationError, root: Value, mistakes: Mistakes) -> Iterator[_Told]:
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


def _wrong_type(error: ValidationError) -> bool:
    return error.validator == "type" and not error.relative_path


def _at(root: Value, path: Sequence[str | int]) -> Value:
    for part in path:
        if isinstance(root, Table) and isinstance(part, str):
            root = root.entries[part]
        elif isinstance(root, Items) and isinstance(part, int):
            root = root.items[part]
    return root
