"""A document with its parameters -> steps ready to run, and their digest. Pure; the same for every node.

What went before a step on the node (an exit code that demands an end) is not known here: the modifiers travel along.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from reconciler.documents.actions import ACTIONS, ALONE, LEFT_OUT, support_of
from reconciler.documents.actions.configure_package import ConfigurePackage
from reconciler.documents.actions.download_content import DownloadContent, LibraryDocument
from reconciler.documents.actions.run_document import RunDocument
from reconciler.documents.actions.run_patch_baseline import TIMEOUT, RunPatchBaseline
from reconciler.documents.compact_json import as_text
from reconciler.documents.content import (
    NOT_FETCHED,
    Content,
    ContentFile,
    Contents,
    ContentUnavailable,
    ContentUnknown,
    Fetched,
    NothingFetched,
    NotVouchedFor,
    Packaged,
    PackageSource,
    SignedManifest,
    Source,
    Unavailable,
)
from reconciler.documents.downloads import Downloads, Placed
from reconciler.documents.effort import Effort, TooLarge
from reconciler.documents.error import InputError, NotSupportedYet, RenderError
from reconciler.documents.fetched_document import as_json, read_fetched
from reconciler.documents.interpolation import interpolate, resolve_stored
from reconciler.documents.parameters import exported, parameter_values
from reconciler.documents.patch_overrides import read_baseline_override, read_override_list
from reconciler.documents.patch_script import undecided_script
from reconciler.documents.preconditions import Decision, Move, decide
from reconciler.documents.rendered import Place, Rendered, RenderedStep, digest_of
from reconciler.errors import SourceError
from reconciler.ids import DocumentName, PackageName
from reconciler.model.desired import StoredParameter
from reconciler.model.document import Document, DocumentVersions, Step
from reconciler.model.known import JsonValue
from reconciler.model.package import PackageVersions

__all__ = ["NotSupportedYet", "Place", "RenderError", "Rendered", "RenderedStep", "render"]

RUNBOOK = "0.3"
SCHEMAS = ("1.0", "1.2", "2.0", "2.0.1", "2.0.2", "2.0.3", "2.2")
DEEPEST = 3
"""How often aws:runDocument may stand within itself, as in SSM's agent."""
MOST_STEPS = 2000
"""Of a document with all those it runs: three levels of a hundred steps each would be a million."""
MOST_BYTES = 1024 * 1024
"""Of all scripts together: SSM takes 64 KB of document and parameters; a value pasted many times may be more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """Everything a step is filled in from."""

    parameters: Mapping[str, JsonValue]
    resolved: Mapping[str, JsonValue]
    """The same with stored parameters looked up, where a precondition compares them."""
    environment: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class _Surroundings:
    """What one rendering draws on, and what room it has left; the same for a document and those it runs."""

    stored: Mapping[str, StoredParameter]
    documents: Mapping[DocumentName, DocumentVersions]
    packages: Mapping[PackageName, PackageVersions]
    contents: Contents
    downloads: Downloads = field(default_factory=Downloads)
    fetched: dict[Source, Fetched] = field(default_factory=dict)
    unknown: dict[Source, None] = field(default_factory=dict)
    """Sources that nobody has looked at: one rendering names them all."""
    steps: int = MOST_STEPS
    bytes: int = MOST_BYTES
    effort: Effort = field(default_factory=Effort)

    def take(self, step: RenderedStep) -> RenderedStep:
        """Count a step; RenderError where there is no room for it."""
        self.steps -= 1
        self.bytes -= len(step.script or b"")
        if self.steps < 0:
            raise TooLarge(
                f"the document has too many steps, with those of the documents it runs: at most {MOST_STEPS}"
            )
        if self.bytes < 0:
            raise TooLarge(f"the scripts are too large together: at most {MOST_BYTES} bytes; fetch large files instead")
        return step


def render(
    document: Document,
    given: Mapping[str, JsonValue],
    *,
    stored: Mapping[str, StoredParameter],
    documents: Mapping[DocumentName, DocumentVersions] = MappingProxyType({}),
    packages: Mapping[PackageName, PackageVersions] = MappingProxyType({}),
    contents: Contents | None = None,
) -> Rendered:
    """Give the steps of `document` with `given` filled in; RenderError where the whole document cannot run.

    Documents that it runs are taken from `documents`, and their steps stand in the place of the step that runs them. What
    it downloads is in `contents`; ContentUnknown names all that is not.
    """
    if document.schema_version == RUNBOOK:
        raise NotSupportedYet(f"Automation runbooks ({document.name})")
    around = _Surroundings(stored=stored, documents=documents, packages=packages, contents=contents or NothingFetched())
    steps = _render_document(document, given, around, within=(), prefix="")
    if around.unknown:
        raise ContentUnknown(tuple(around.unknown))
    return Rendered(
        document=document.name,
        version=document.version,
        digest=digest_of(steps),
        steps=steps,
        blobs=around.downloads.blobs,
        fetched=tuple(around.fetched.values()),
    )


def _render_document(
    document: Document,
    given: Mapping[str, JsonValue],
    around: _Surroundings,
    *,
    within: tuple[Place, ...],
    prefix: str,
) -> tuple[RenderedStep, ...]:
    if document.schema_version not in SCHEMAS:
        raise RenderError(f"unsupported schemaVersion {document.schema_version!r}: use '2.2'")
    if not document.steps:
        raise RenderError("the document has no steps: give mainSteps (runtimeConfig in schema 1.2)")
    parameters = parameter_values(document.parameters, given, around.stored, around.effort)
    resolved = parameters
    if any(step.precondition is not None for step in document.steps):
        resolved = {name: resolve_stored(value, around.stored, around.effort) for name, value in parameters.items()}
    values = _Values(
        parameters=parameters,
        resolved=resolved,
        environment=exported(document.parameters, parameters, around.stored, around.effort),
    )
    if any("\0" in text for text in values.environment.values()):
        raise RenderError("a parameter exported to the environment holds a NUL character: remove it")
    steps = tuple(
        rendered
        for group, step in enumerate(document.steps, 1)
        for unrolled, own in (_unrolled(document, step, values, around),)
        for rendered in _StepRendering(document, unrolled, group, own, around, within, prefix).all()
    )
    if not steps:
        raise RenderError("the document has no steps: every list of properties in it is empty")
    return steps


@dataclass(frozen=True, slots=True)
class _StepRendering:
    """One step of a document that is being rendered, and where."""

    document: Document
    step: Step
    group: int
    values: _Values
    around: _Surroundings
    within: tuple[Place, ...]
    prefix: str
    """What stands before the names of steps: the names of those they are within."""

    def all(self) -> Iterator[RenderedStep]:
        """Give what the step comes to: one script for each element, or all those of the document it runs."""
        decision = _decision(self.document, self.step, self.values, self.around, inner=bool(self.within))
        inputs = self.step.inputs
        for number, element in enumerate((inputs,) if isinstance(inputs, Mapping) else inputs, 1):
            yield from self._element(number, element, decision)

    def _element(self, number: int, element: Mapping[str, JsonValue], decision: Decision) -> Iterator[RenderedStep]:
        place = self._place(number, element)
        outcome = self._outcome(element, decision)
        if isinstance(outcome, RunDocument):
            inner = self._inner(number, element, outcome, place)
            if isinstance(inner, tuple):
                yield from inner
                return
            outcome = inner
        if isinstance(outcome, DownloadContent):
            outcome = self._download(outcome)
        if isinstance(outcome, ConfigurePackage):
            outcome = self._package(outcome)
        if isinstance(outcome, RunPatchBaseline):
            outcome = self._patching(outcome)
        yield self.around.take(
            replace(
                outcome,
                name=self._name(number, element),
                group=place.group,
                on_failure=place.on_failure,
                on_success=place.on_success,
                finally_step=place.finally_step,
                within=self.within,
            )
        )

    def _name(self, number: int, element: Mapping[str, JsonValue]) -> str:
        return self.prefix + _element_name(self.step, number, element)

    def _place(self, number: int, element: Mapping[str, JsonValue]) -> Place:
        if not isinstance(self.step.inputs, Mapping) and len(self.step.inputs) != 1:
            # SSM: between the elements of one list nothing is skipped, and a list has no modifiers of its own.
            return Place(group=self.group, element=number)
        flow = {
            key: interpolate(element[key], self.values.parameters, self.around.effort)
            for key in ("onFailure", "onSuccess", "finallyStep")
            if key in element
        }
        last = self.group == len(self.document.steps)
        return Place(
            group=self.group,
            element=number,
            on_failure=_one_of(flow.get("onFailure"), ("exit", "successAndExit")),
            on_success=_one_of(flow.get("onSuccess"), ("exit",)),
            finally_step=last and flow.get("finallyStep") in (True, "true"),
        )

    def _outcome(
        self, element: Mapping[str, JsonValue], decision: Decision
    ) -> RenderedStep | RunDocument | DownloadContent | ConfigurePackage | RunPatchBaseline:
        """Give one script, or what needs more than inputs; inputs that the action refuses make a step that fails."""
        action = self.step.action
        match decision.move:
            case Move.SKIP:
                return RenderedStep(name="", action=action, script=None, skip=decision.reason)
            case Move.FAIL:
                return RenderedStep(name="", action=action, script=None, fail=decision.reason)
            case Move.RUN:
                filled = interpolate(element, self.values.parameters, self.around.effort)
                inputs = resolve_stored(filled, self.around.stored, self.around.effort)
        try:
            read = ACTIONS[action].from_inputs(_lower_case(inputs))
        except InputError as error:
            return self._failing(str(error))
        if isinstance(read, (RunDocument, DownloadContent, ConfigurePackage, RunPatchBaseline)):
            return read
        return RenderedStep(
            name="",
            action=action,
            script=read.script,
            interpreter=read.interpreter,
            alternatives=read.alternatives,
            file=read.file,
            timeout=read.timeout,
            working_directory=read.working_directory,
            environment={**self.values.environment, **read.environment},
        )

    def _inner(
        self, number: int, element: Mapping[str, JsonValue], wanted: RunDocument, place: Place
    ) -> tuple[RenderedStep, ...] | RenderedStep:
        """Give the steps of the document that this step runs; as on SSM, one that cannot run fails this step alone."""
        named = wanted.local or wanted.document
        if named is None:
            return RenderedStep(name="", action=self.step.action, script=b":\n")
        if len(self.within) >= DEEPEST:
            return self._failing(f"documents run each other at most {DEEPEST} deep, and {named} would be deeper")
        try:
            document, placed = self._meant(wanted)
        except InputError as error:
            return self._failing(str(error))
        if document.schema_version == RUNBOOK:
            return self._failing(f"{named} is an Automation runbook, not a Command document")
        try:
            steps = _render_document(
                document,
                wanted.parameters,
                self.around,
                within=(*self.within, place),
                prefix=f"{self._name(number, element)}/",
            )
        except (NotSupportedYet, ContentUnknown, ContentUnavailable, TooLarge):
            raise
        except RenderError as error:
            return self._failing(f"{named}: {error}")
        return steps if placed is None else tuple(replace(step, needs=step.needs or placed) for step in steps)

    def _meant(self, wanted: RunDocument) -> tuple[Document, Placed | None]:
        """Find the document to run; InputError where there is none."""
        if wanted.document is not None:
            return self._of_library(wanted.document, wanted.version), None
        placed = self.around.downloads.find(wanted.local)
        if any(each.pin == NOT_FETCHED for each in self.around.fetched.values()):
            raise InputError(f"which document {wanted.local} is shows only where it is fetched: by a pass or a plan")
        if placed is None:
            # What is on the node already nobody has reviewed, and no plan could show it.
            raise InputError(
                f"no earlier step of the document downloads {wanted.local}: only what one brings can be run"
            )
        made = self.around.downloads.made.get(placed.sha256)
        try:
            data = self.around.contents.read(placed.sha256) if made is None else made
        except SourceError as exc:
            raise ContentUnavailable(f"{wanted.local}: {exc}") from exc
        return read_fetched(data, wanted.local), placed

    def _of_library(self, name: DocumentName, version: str) -> Document:
        versions = self.around.documents.get(name)
        document = None if versions is None else versions.get(version)
        if document is None:
            what = "" if versions is None else f" of version {version}"
            raise InputError(f"there is no document {name}{what} in the state repository")
        return document

    def _download(self, wanted: DownloadContent) -> RenderedStep:
        try:
            content = self._content(wanted.source)
        except InputError as error:
            return self._failing(str(error))
        if content is None:
            # Never run: the rendering ends with what nobody has looked at.
            return self._failing("not looked at yet")
        script = self.around.downloads.script(content, wanted.destination)
        return RenderedStep(name="", action=self.step.action, script=script)

    def _package(self, wanted: ConfigurePackage) -> RenderedStep:
        """Give the script that changes a package, and have its files sent along where it is to be installed."""
        try:
            found = wanted.meant(self.around.packages)
        except InputError as error:
            return self._failing(str(error))
        if found is not None and found.lies_elsewhere and self._content(SignedManifest.of(found)) is None:
            # Never run, as above; and of a package that nobody vouches for nothing is fetched.
            return self._failing("not looked at yet")
        tars: dict[str, ContentFile] = {}
        for file in () if found is None else found.linux_files:
            place = f"{'' if found is None else found.folder}/{file.name}"
            content = self._content(PackageSource(sha256=file.sha256, path=place, url=file.url))
            if content is not None:
                tars[file.name] = content.files[0]
        if found is not None:
            self.around.downloads.package(Packaged(version=found, tars=tars))
        return RenderedStep(
            name="",
            action=self.step.action,
            script=wanted.script(found, tars),
            timeout=wanted.timeout,
            environment={**self.values.environment, **wanted.environment},
        )

    def _patching(self, wanted: RunPatchBaseline) -> RenderedStep:
        """Give a step without a script that does anything: what a node misses makes it one."""
        request = wanted.request
        try:
            if wanted.override_list is not None:
                overrides = self._text(wanted.override_list)
                if overrides is not None:
                    request = replace(request, overrides=read_override_list(overrides))
            if wanted.baseline_override is not None:
                baselines = self._text(wanted.baseline_override)
                if baselines is not None:
                    digest = hashlib.sha256(baselines).hexdigest()
                    request = replace(request, baselines=read_baseline_override(baselines), baselines_digest=digest)
        except InputError as error:
            return self._failing(str(error))
        script = undecided_script(request)
        return RenderedStep(name="", action=self.step.action, script=script, timeout=TIMEOUT, patching=request)

    def _text(self, source: Source) -> bytes | None:
        """Give the one file that a source is; None: nobody has looked yet, or nothing is fetched here."""
        content = self._content(source)
        if content is None or content.pin == NOT_FETCHED:
            return None
        if not content.single:
            raise InputError(f"{source.shown} is no single file")
        try:
            return self.around.contents.read(content.files[0].sha256)
        except SourceError as exc:
            raise ContentUnavailable(f"{source.shown}: {exc}") from exc

    def _content(self, source: Source | LibraryDocument) -> Content | None:
        if isinstance(source, LibraryDocument):
            document = self._of_library(source.name, source.version)
            return self.around.downloads.make(f"{source.name}.json", as_json(document))
        found = self.around.contents.find(source)
        if isinstance(found, Unavailable):
            refusal = NotVouchedFor if isinstance(source, SignedManifest) else ContentUnavailable
            raise refusal(f"{source.shown}: {found.reason}")
        if found is None:
            self.around.unknown[source] = None
            return None
        if found.pin:
            self.around.fetched[source] = Fetched(source=source.shown, pin=found.pin, mutable=source.mutable)
        return found

    def _failing(self, reason: str) -> RenderedStep:
        return RenderedStep(name="", action=self.step.action, script=None, fail=f"{self.step.action}: {reason}")


def _unrolled(document: Document, step: Step, values: _Values, around: _Surroundings) -> tuple[Step, _Values]:
    """Put a map or a list of maps in the place of schema 1.x's `properties: "{{ name }}"`; what it holds is not filled in again."""
    written = step.inputs.get("properties") if isinstance(step.inputs, Mapping) and len(step.inputs) == 1 else None
    if isinstance(written, str) and document.schema_version.startswith("1"):
        found = interpolate(written, values.parameters, around.effort)
        filled = replace(values, parameters={})
        if isinstance(found, Mapping):
            return replace(step, inputs=found), filled
        if isinstance(found, Sequence) and not isinstance(found, str):
            elements = tuple(each for each in found if isinstance(each, Mapping))
            if len(elements) == len(found):
                return replace(step, inputs=elements), filled
    return step, values


def _decision(document: Document, step: Step, values: _Values, around: _Surroundings, *, inner: bool) -> Decision:
    decision = decide(
        action=step.action,
        support=support_of(step.action),
        schema_version=document.schema_version,
        precondition=step.precondition,
        values=values.resolved,
        effort=around.effort,
    )
    if decision.move is Move.RUN and step.action in ALONE and inner:
        return Decision(move=Move.FAIL, reason=f"{step.action}: it cannot stand in a document that another one runs")
    if decision.move is Move.RUN and step.action in LEFT_OUT:
        return Decision(move=Move.SKIP, reason=f"{step.action}: {LEFT_OUT[step.action]}")
    return decision


def _element_name(step: Step, number: int, element: Mapping[str, JsonValue]) -> str:
    """Name an element of schema 1.2 by its `id`; a 2.x step has its own name."""
    if isinstance(step.inputs, Mapping):
        return step.name
    named = element.get("id")
    return as_text(named) if named else f"{step.name}.{number}"


def _lower_case(inputs: JsonValue) -> Mapping[str, JsonValue]:
    """Input keys are read ignoring case (AWS relies on it)."""
    if not isinstance(inputs, Mapping):
        return {}
    return {key.lower(): value for key, value in inputs.items()}


def _one_of(value: JsonValue, known: tuple[str, ...]) -> str:
    return value if isinstance(value, str) and value in known else ""
