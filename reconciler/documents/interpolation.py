"""`{{ name }}` and `{{ssm:name}}` -> values. Takes any JSON value of a step's inputs; one pass each, never recursive; pure.

A string that is exactly one token takes the parameter's own type; anywhere else its text is pasted, without any quoting.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.documents.compact_json import as_text
from reconciler.documents.effort import Effort
from reconciler.documents.error import RenderError
from reconciler.model.desired import StoredParameter
from reconciler.model.known import JsonValue
from reconciler.model.token import TOKEN

_STORED = re.compile(r"\{\{ *ssm:([/\w.:-]+) *\}\}", re.ASCII)


def interpolate(value: JsonValue, values: Mapping[str, JsonValue], effort: Effort | None = None) -> JsonValue:
    """Replace parameters in a string, or in every string of a list or map; map keys stay as they are.

    A list that stands as a whole element of a list becomes its elements. Raises TooLarge once too much is pasted.
    """
    return _Filling(values, Effort() if effort is None else effort).fill(value)


@dataclass(slots=True)
class _Filling:
    """Fills one value in."""

    values: Mapping[str, JsonValue]
    effort: Effort
    texts: dict[str, str] = field(default_factory=dict)
    """Values as text: each is written once, and pasted as often as it stands there."""

    def fill(self, value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return self._fill_text(value)
        if isinstance(value, Mapping):
            return {key: self.fill(entry) for key, entry in value.items()}
        if isinstance(value, Sequence):
            filled: list[JsonValue] = []
            for entry in value:
                one = self.fill(entry)
                # SSM's agent fails at a list within a list, its guide shows it: flattening is the only useful meaning.
                is_list = isinstance(entry, str) and not isinstance(one, str) and isinstance(one, Sequence)
                filled.extend(one if is_list and isinstance(one, Sequence) else [one])
            return filled
        return value

    def _fill_text(self, text: str) -> JsonValue:
        whole = TOKEN.fullmatch(text)
        if whole and whole[1] in self.values:
            self.effort.count(len(self._text(whole[1])))
            return self.values[whole[1]]
        return TOKEN.sub(self._pasted, text)

    def _pasted(self, token: re.Match[str]) -> str:
        if token[1] not in self.values:
            return token[0]
        # SSM's agent pastes through a replacement template, where `$$` means one dollar: documents rely on it.
        return self.effort.paste(self._text(token[1]).replace("$$", "$"))

    def _text(self, name: str) -> str:
        if name not in self.texts:
            self.texts[name] = as_text(self.values[name])
        return self.texts[name]


def parameter_names(text: str, declared: Mapping[str, JsonValue]) -> frozenset[str]:
    """Name the declared parameters that `text` refers to."""
    return frozenset(token[1] for token in TOKEN.finditer(text) if token[1] in declared)


def refers_to_store(value: JsonValue) -> bool:
    """Whether a `{{ssm:...}}` reference stands anywhere in `value`."""
    if isinstance(value, str):
        return _STORED.search(value) is not None
    if isinstance(value, Mapping):
        return any(refers_to_store(entry) for entry in value.values())
    if isinstance(value, Sequence):
        return any(refers_to_store(entry) for entry in value)
    return False


def resolve_stored(value: JsonValue, stored: Mapping[str, StoredParameter], effort: Effort | None = None) -> JsonValue:
    """Replace `{{ssm:NAME}}` and `{{ssm:NAME:VERSION}}`; a StringList only as a whole element of a list. Raises TooLarge."""
    effort = Effort() if effort is None else effort
    if isinstance(value, str):
        return _STORED.sub(lambda token: effort.paste(_scalar(token, stored)), value)
    if isinstance(value, Mapping):
        return {key: resolve_stored(entry, stored, effort) for key, entry in value.items()}
    if isinstance(value, Sequence):
        resolved: list[JsonValue] = []
        for entry in value:
            spliced = _list_element(entry, stored, effort)
            resolved.extend([resolve_stored(entry, stored, effort)] if spliced is None else spliced)
        return resolved
    return value


def _list_element(entry: JsonValue, stored: Mapping[str, StoredParameter], effort: Effort) -> list[str] | None:
    """Give the elements of a StringList that stands alone as `entry`; None where it is something else."""
    token = _STORED.fullmatch(entry) if isinstance(entry, str) else None
    if token is None:
        return None
    kind, value = _look_up(token[1], stored)
    return effort.paste(value).split(",") if kind == "StringList" else None


def _scalar(token: re.Match[str], stored: Mapping[str, StoredParameter]) -> str:
    kind, value = _look_up(token[1], stored)
    if kind == "StringList":
        raise RenderError(
            f"{token[0]} is a StringList: it can only stand alone, as a whole element of a list "
            "(write it as its own element, or store it as a String)"
        )
    return value


def _look_up(reference: str, stored: Mapping[str, StoredParameter]) -> tuple[str, str]:
    """Give type and value of `NAME` or `NAME:VERSION`."""
    name, colon, version = reference.partition(":")
    parameter = stored.get(name)
    if parameter is None or not parameter.values:
        raise RenderError(
            f"there is no stored parameter {name}: add it under state/parameters/, or correct the reference"
        )
    if parameter.type == "SecureString":
        raise RenderError(f"the stored parameter {name} is a SecureString: type SecureString is not supported here")
    if not colon:
        return parameter.type, parameter.values[-1]
    # SSM's agent knows numbers alone; the service knows labels, too, and so do we.
    number = parameter.labels.get(version, 0)
    if version.isdecimal() and version.isascii():
        number = int(version)
    elif not number:
        known = ", ".join(sorted(parameter.labels)) or "none"
        raise RenderError(
            f"the stored parameter {name} has no label {version[:100]} (it has: {known}): add it to its Labels"
        )
    if not 1 <= number <= len(parameter.values):
        raise RenderError(f"the stored parameter {name} has versions 1 to {len(parameter.values)}, not {version}")
    return parameter.type, parameter.values[number - 1]
