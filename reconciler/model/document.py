"""An SSM document of type Command, read and checked; nothing is rendered here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.ids import Digest, DocumentName
from reconciler.model.known import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """SSM: one entry of `parameters`. `required` where there is no default."""

    name: str
    type: str
    """String, StringList, Boolean, Integer, StringMap, MapList; `AWS::X` counts as String, `List<AWS::X>` as StringList."""
    required: bool
    default: JsonValue = None
    allowed_values: tuple[JsonValue, ...] | None = None
    allowed_pattern: str | None = None
    min_chars: int | None = None
    max_chars: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    env_var: bool = False
    """interpolationType: ENV_VAR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """SSM: one element of `mainSteps`, or one plugin of `runtimeConfig`. `inputs` keep their case; look up ignoring it."""

    name: str
    action: str
    inputs: Mapping[str, JsonValue] | tuple[Mapping[str, JsonValue], ...] = field(default_factory=dict)
    """A tuple: a list of maps, unrolled one after the other (SSM 1.2 `properties`)."""
    precondition: Mapping[str, JsonValue] | None = None
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One version of a document."""

    name: DocumentName
    version: str = "1"
    schema_version: str
    description: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    digest: Digest
    """SHA-256 of the file's bytes (SSM: Hash)."""
    file: str = ""
    text: bytes = field(default=b"", repr=False)
    """The file itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersions:
    """Every version of one document, and which one `$DEFAULT` and `$LATEST` mean."""

    name: DocumentName
    versions: Mapping[str, Document]
    default: str
    latest: str

    def get(self, version: str) -> Document | None:
        """Give the document of `$DEFAULT`, `$LATEST` or a number; None where there is no such version."""
        wanted = {"$DEFAULT": self.default, "$LATEST": self.latest}.get(version, version)
        return self.versions.get(wanted)
