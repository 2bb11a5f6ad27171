"""What each association would apply: takes the desired state, gives a digest and the rendered document for each; pure.

The digest covers SSM's effective fields: a run follows their change, and none that of a name, severity, mode or rate.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum

from reconciler.documents.actions.run_patch_baseline import RunPatchBaseline
from reconciler.documents.content import Contents, ContentUnknown, Source
from reconciler.documents.render import Rendered, RenderError, render
from reconciler.ids import AssociationName, Digest
from reconciler.model.association import Association
from reconciler.model.desired import DesiredState
from reconciler.model.known import JsonValue
from reconciler.model.patch_request import Operation, PatchRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What is applied, on whichever node."""

    digest: Digest
    rendered: Rendered


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrenderable:
    """Nothing can be applied, and why; `waits` where the document is right and we are not ready for it."""

    reason: str
    waits: bool = False
    sources: tuple[Source, ...] = ()
    """What must be looked at before it can be rendered."""


def definitions(
    desired: DesiredState, contents: Contents | None = None
) -> Mapping[AssociationName, Definition | Unrenderable]:
    """Render the document of every association once, with what is known of what it downloads."""
    return {name: define(desired, desired.associations[name], contents) for name in sorted(desired.associations)}


def define(
    desired: DesiredState, association: Association, contents: Contents | None = None
) -> Definition | Unrenderable:
    """Render one association's document."""
    versions = desired.documents.get(association.document)
    if versions is None:
        return Unrenderable(reason=f"there is no document {association.document}")
    document = versions.get(association.document_version)
    if document is None:
        there = ", ".join(sorted(versions.versions))
        return Unrenderable(
            reason=f"document {association.document} has no version {association.document_version} (there are: {there})"
        )
    try:
        rendered = render(
            document,
            association.parameters,
            stored=desired.parameters,
            documents=desired.documents,
            packages=desired.packages,
            contents=contents,
        )
    except RenderError as exc:
        words = str(exc) if exc.waits else f"document {association.document} cannot be rendered: {exc}"
        sources = exc.sources if isinstance(exc, ContentUnknown) else ()
        return Unrenderable(reason=words, waits=exc.waits, sources=sources)
    cannot = next((step.fail for step in rendered.steps if step.action == RunPatchBaseline.name and step.fail), "")
    if cannot:  # SSM: the step fails on each node; what is known beforehand is told beforehand, and nothing runs
        return Unrenderable(reason=cannot)
    return Definition(digest=_digest(association, rendered), rendered=rendered)


PATCH_DOCUMENTS = frozenset(
    {"AWS-RunPatchBaseline", "AWS-RunPatchBaselineAssociation", "AWS-RunPatchBaselineWithHooks"}
)
"""SSM's own; any other document may have such a step, too."""


def asked_of_patches(definition: Definition | Unrenderable) -> PatchRequest | None:
    """Give what a document asks of a node's patches; None: nothing, or a scan beside other steps, which run as they always do."""
    if isinstance(definition, Unrenderable):
        return None
    rendered = definition.rendered
    request = rendered.patch_request
    if request is None or request.operation is Operation.INSTALL or rendered.document in PATCH_DOCUMENTS:
        return request
    return request if all(step.patching is not None for step in rendered.steps) else None


def is_about_patches(association: Association, definition: Definition | Unrenderable) -> bool:
    """Whether an association looks at patches, or will once it can be rendered."""
    if isinstance(definition, Unrenderable):
        return association.document in PATCH_DOCUMENTS
    return definition.rendered.patch_request is not None


def _digest(association: Association, rendered: Rendered) -> Digest:
    effective = {
        "document": association.document,
        "rendered": rendered.digest,
        "parameters": {name: _as_list(value) for name, value in association.parameters.items()},
        "schedule": association.schedule,
        "expect": association.expect,
    }
    encoded = json.dumps(effective, default=_plain, sort_keys=True, separators=(",", ":"))
    return Digest(hashlib.sha256(encoded.encode("utf-8", "surrogatepass")).hexdigest())


def _as_list(value: JsonValue) -> JsonValue:
    """SSM's wire form: a text alone and a list of this one text are the same parameter."""
    return [value] if isinstance(value, str) else value


def _plain(value: object) -> object:
    """Encode records without the fields at their default: a field that is new in a release changes no digest."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: getattr(value, each.name)
            for each in fields(value)
            if getattr(value, each.name) != _default(each)
        }
    raise TypeError(f"{type(value).__name__} is not part of a definition")


def _default(described: "Field[object]") -> object:
    if described.default_factory is not MISSING:
        return described.default_factory()
    return described.default
