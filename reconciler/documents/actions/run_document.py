"""aws:runDocument: the steps of another document in the place of one step; which document is known before anything runs.

It is one of the state repository (SSMDocument), or one that an earlier aws:downloadContent step brings (LocalPath).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from reconciler.documents.compact_json import as_text
from reconciler.documents.error import InputError
from reconciler.ids import DocumentName
from reconciler.model.known import JsonValue
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Table, Value, is_null, plain_json
from reconciler.model.reading.yaml_text import read_yaml

NOOP = "AWS-Noop"
"""SSM's agent knows the hooks' placeholder by exactly these letters, and never looks for the document."""

DOCUMENT_TYPES = ("SSMDocument", "LocalPath")

MOST_GIVEN = 64 * 1024
"""Bytes of parameters for one inner document: SSM's limit on a document with its parameters."""

REFERENCE = re.compile(
    r"(?:arn:[a-z-]+:ssm:[a-z0-9-]*:\d*:document/)?([a-zA-Z0-9_.-]{3,128})(?::([1-9]\d{0,9}|\$LATEST|\$DEFAULT))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDocument:
    """Another document, with the values of its parameters; neither `document` nor `local` is given for the placeholder."""

    name: ClassVar[str] = "aws:runDocument"
    document: DocumentName | None = None
    version: str = "$DEFAULT"
    local: str = ""
    """LocalPath: where an earlier step put the document; it stands in the place of `document`."""
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read interpolated inputs with lower-case keys; raises InputError where the step fails on SSM."""
        kind, path = inputs.get("documenttype"), inputs.get("documentpath")
        if kind not in DOCUMENT_TYPES:
            raise InputError(f"documentType must be SSMDocument or LocalPath, not {as_text(kind)[:80]!r}")
        if not isinstance(path, str) or not path:
            raise InputError("the input documentPath is missing: name a document")
        if path == NOOP:
            return cls()
        parameters = _parameters(inputs.get("documentparameters"))
        if kind == "LocalPath":
            return cls(local=path, parameters=parameters)
        reference = REFERENCE.fullmatch(path)
        if reference is None:
            raise InputError(f"documentPath {path[:200]!r} is not NAME, NAME:VERSION or a document's ARN")
        return cls(
            document=DocumentName(reference[1]),
            version=reference[2] or "$DEFAULT",
            parameters=parameters,
        )


def _parameters(value: JsonValue) -> Mapping[str, JsonValue]:
    """Give the values for the inner document. Nulls are dropped, so that defaults apply: AWS's own hooks rely on it."""
    if isinstance(value, str):
        value = _read(value)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError("documentParameters must be a map of names and values, or one as JSON or YAML text")
    given = {name: entry for name, entry in value.items() if entry is not None}
    size = sum(len(name) + len(as_text(entry)) for name, entry in given.items())
    if size > MOST_GIVEN:
        raise InputError(f"documentParameters hold {size} characters: at most {MOST_GIVEN} are taken")
    return given


def _read(text: str) -> JsonValue:
    """Read JSON, or else YAML: a value that was pasted empty leaves no JSON, and a null in YAML."""
    data = text.encode("utf-8", "surrogatepass")
    read: list[Value] = read_json(data, Mistakes("documentParameters"))
    if not read:
        mistakes = Mistakes("documentParameters")
        read = read_yaml(data, mistakes)
        if mistakes.problems and mistakes.found_errors:
            raise InputError(f"documentParameters is neither JSON nor YAML: {mistakes.problems[0].message}")
    if not read or is_null(read[0]):
        return None
    return plain_json(read[0]) if isinstance(read[0], Table) else text
