"""JSON as SSM's agent pastes it into scripts: compact, map keys sorted, `<`, `>` and `&` escaped."""

import json

from reconciler.model.known import JsonValue

_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"},
)


def compact_json(value: JsonValue) -> str:
    """Give `value` on one line; whole floats lose their `.0`."""
    text = json.dumps(_whole(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain)
    return text.translate(_ESCAPES)


def as_text(value: JsonValue) -> str:
    """Give a string as it is, anything else as compact JSON."""
    return value if isinstance(value, str) else compact_json(value)


def _whole(value: JsonValue) -> JsonValue:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _plain(value: object) -> object:
    """Turn the mappings and sequences of frozen records into what json knows."""
    if hasattr(value, "items"):
        return dict(value.items())
    if isinstance(value, (tuple, frozenset, set)):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")
