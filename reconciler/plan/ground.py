"""What one commit means: targets resolved, documents rendered, questions gathered. Takes the desired state; pure."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from reconciler.collector import paused_collector
from reconciler.documents.content import Contents, Source
from reconciler.drift.definitions import (
    Definition,
    Unrenderable,
    asked_of_patches,
    define,
    definitions,
    is_about_patches,
)
from reconciler.drift.questions import questions
from reconciler.ids import AssociationName, NodeId
from reconciler.model.desired import DesiredState
from reconciler.model.patch_request import PatchRequest
from reconciler.model.questions import Questions
from reconciler.targets.resolve import Targets, means_the_same, resolve_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What one commit means, worked out once and kept until the commit changes."""

    desired: DesiredState
    targets: Targets
    definitions: Mapping[AssociationName, Definition | Unrenderable]
    questions: Mapping[NodeId, Questions]
    patched: Mapping[NodeId, Mapping[AssociationName, PatchRequest | None]] = field(default_factory=dict)
    """The nodes whose patches may be a baseline's business, each with what patch associations ask of it (None: not known yet)."""
    downloads: bytes | None = None
    """What the documents download came to, for the report; None: they download nothing."""


@paused_collector()
def ground(desired: DesiredState, before: Ground | None = None) -> Ground:
    """Resolve targets, render documents, and gather what must be asked; `before` is what an earlier commit meant."""
    if before is not None and means_the_same(before.desired, desired):
        targets = before.targets
    else:
        targets = resolve_targets(desired)
    rendered = definitions(desired)
    about = {name for name, found in rendered.items() if is_about_patches(desired.associations[name], found)}
    asked = questions(desired, targets, about)
    return Ground(
        desired=desired,
        targets=targets,
        definitions=rendered,
        questions=asked,
        patched=_patched(asked, targets, rendered, about),
    )


def _patched(
    asked: Mapping[NodeId, Questions],
    targets: Targets,
    rendered: Mapping[AssociationName, Definition | Unrenderable],
    about: AbstractSet[AssociationName],
) -> Mapping[NodeId, Mapping[AssociationName, PatchRequest | None]]:
    return {
        node: {name: asked_of_patches(rendered[name]) for name in targets.associations_of(node) if name in about}
        for node, each in asked.items()
        if each.patches
    }


def sources_of(base: Ground) -> tuple[Source, ...]:
    """Give what must be looked at before every document of `base` can be rendered."""
    waiting = (each for each in base.definitions.values() if isinstance(each, Unrenderable))
    return tuple(dict.fromkeys(source for each in waiting for source in each.sources))


def with_contents(base: Ground, contents: Contents) -> Ground:
    """Render again what only waited for contents, with those that are known now."""
    again = {
        name: define(base.desired, base.desired.associations[name], contents)
        for name, found in base.definitions.items()
        if isinstance(found, Unrenderable) and found.sources
    }
    if not again:
        return base
    rendered = {**base.definitions, **again}
    about = {name for asked in base.patched.values() for name in asked}
    if about.isdisjoint(again):
        return replace(base, definitions=rendered)
    return replace(base, definitions=rendered, patched=_patched(base.questions, base.targets, rendered, about))
