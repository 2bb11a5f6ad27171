"""The JSON Schemas, and each of them as plain functions: takes a value, gives a fast yes or no, explains nothing.

A keyword that the compiler does not know is a bug that shows as soon as a schema is used: never a rule forgotten.
Scalars count as strings whatever they look like: text is taken as written.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

from reconciler.model.reading.values import NULLS, Items, Scalar, Table, Value, is_null, resolve

Fits: TypeAlias = Callable[[Value], bool]
Schema: TypeAlias = Mapping[str, Any] | bool

KINDS = (
    "node",
    "fleet",
    "group",
    "association",
    "document",
    "baseline",
    "window",
    "parameter",
    "host",
    "signer",
    "ledger-seed",
)


@cache
def load(kind: str) -> Mapping[str, Any]:
    """Give the schema of a kind, as shipped beside this package."""
    file = resources.files("reconciler.model") / "schemas" / f"{kind}.schema.json"
    loaded: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def fits(kind: str, value: Value) -> bool:
    """Whether a value fits the schema of its kind."""
    return _compiled(kind)(value)


@cache
def _compiled(kind: str) -> Fits:
    schema = load(kind)
    return _Compiler(schema.get("$defs", {})).compile(schema)


TYPES: Mapping[str, Fits] = {
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
        names = None if pattern is None else re.compile(whole(pattern))
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
        return TYPES[types]
    if "string" in types:  # whatever else stands beside it is for editors: every scalar is text to us
        types = [name for name in types if name not in {"number", "integer", "boolean"}]
    wanted = [TYPES[name] for name in types]
    return wanted[0] if len(wanted) == 1 else lambda value: any(fit(value) for fit in wanted)


_OF_TEXT = {"type", "pattern", "minLength", "maxLength"}


def _is_text(schema: Mapping[str, Any]) -> bool:
    """Whether a schema asks for a text, and for nothing but its length and pattern."""
    kinds = schema.get("type", ())
    kinds = {kinds} if isinstance(kinds, str) else {*kinds}
    return "string" in kinds and not kinds & {"object", "array"} and schema.keys() - ANNOTATIONS <= _OF_TEXT


def _text_rule(schema: Mapping[str, Any]) -> Fits:
    """Check a text in one go: most values are texts."""
    search = re.compile(whole(schema["pattern"])).search if "pattern" in schema else None
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", sys.maxsize)
    nothing = schema["type"] != "string" and "null" in schema["type"]

    def rule(value: Value) -> bool:
        if not isinstance(value, Scalar):
            return False
        text = value.text
        if value.plain and text in NULLS:
            return nothing
        return shortest <= len(text) <= longest and (search is None or search(text) is not None)

    return rule


def _scalar_rule(rest: dict[str, Any]) -> Fits:
    pattern = re.compile(whole(rest.pop("pattern", "")))
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
            and within(resolve(value), low, high)
        )

    return rule


def within(number: object, low: float | None, high: float | None) -> bool:
    """Whether a number keeps its bounds; what is no number does."""
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        return True
    return (low is None or low <= number) and (high is None or number <= high)


def whole(pattern: str) -> str:
    r"""Write `$` at the end as `\Z`: Python's `$` lets a line end pass."""
    return pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern
