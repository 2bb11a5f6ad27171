"""A document with its parameters -> steps ready to run, and their digest. Pure; the same for every node.

What went before a step on the node (an exit code that demands an end) is not known here: the modifiers travel along.
"""

import hashlib
import json
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import timedelta

from reconciler.documents.actions import ACTIONS, AGENT_ONLY, NOT_YET, support_of
from reconciler.documents.compact_json import as_text
from reconciler.documents.error import InputError, NotSupportedYet, RenderError
from reconciler.documents.interpolation import interpolate, resolve_stored
from reconciler.documents.parameters import exported, parameter_values
from reconciler.documents.preconditions import Decision, Move, decide
from reconciler.documents.script_inputs import DEFAULT_TIMEOUT
from reconciler.ids import Digest, DocumentName
from reconciler.model.desired import StoredParameter
from reconciler.model.document import Document, Step
from reconciler.model.known import JsonValue

__all__ = ["NotSupportedYet", "RenderError", "Rendered", "RenderedStep", "render"]

RUNBOOK = "0.3"
SCHEMAS = ("1.0", "1.2", "2.0", "2.0.1", "2.0.2", "2.0.3", "2.2")
MOST_BYTES = 1024 * 1024
"""Of all scripts together: SSM takes 64 KB of document and parameters; a value pasted many times may be more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedStep:
    """One script to run, or a step that is known beforehand to be skipped or to fail."""

    name: str
    action: str
    script: bytes | None
    interpreter: tuple[str, ...] = ("sh",)
    alternatives: tuple[str, ...] = ()
    """Where some are named: the first that the node has takes the place of the interpreter; without any the step fails."""
    file: str = "script"
    """What the script is called on the node."""
    timeout: timedelta = DEFAULT_TIMEOUT
    working_directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    skip: str | None = None
    """Why it is skipped."""
    fail: str | None = None
    """Why it fails without running."""
    on_failure: str = ""
    """`exit`, `successAndExit` or nothing."""
    on_success: str = ""
    """`exit` or nothing."""
    finally_step: bool = False
    group: int = 0
    """Which step of the document this is part of: a list of inputs is unrolled into several with one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What will run. Two with one digest do the same on every node."""

    document: DocumentName
    version: str
    digest: Digest
    steps: tuple[RenderedStep, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """Everything a step is filled in from."""

    parameters: Mapping[str, JsonValue]
    stored: Mapping[str, StoredParameter]
    environment: Mapping[str, str]


def render(
    document: Document,
    given: Mapping[str, JsonValue],
    *,
    stored: Mapping[str, StoredParameter],
) -> Rendered:
    """Give the steps of `document` with `given` filled in; RenderError where the whole document cannot run."""
    if document.schema_version == RUNBOOK:
        raise NotSupportedYet(f"Automation runbooks ({document.name})")
    if document.schema_version not in SCHEMAS:
        raise RenderError(f"unsupported schemaVersion {document.schema_version!r}: use '2.2'")
    if not document.steps:
        raise RenderError("the document has no steps: give mainSteps (runtimeConfig in schema 1.2)")
    parameters = parameter_values(document.parameters, given, stored)
    values = _Values(
        parameters=parameters, stored=stored, environment=exported(document.parameters, parameters, stored)
    )
    if any("\0" in text for text in values.environment.values()):
        raise RenderError("a parameter exported to the environment holds a NUL character: remove it")
    steps = tuple(
        rendered
        for group, step in enumerate(document.steps, 1)
        for rendered in _render_step(document, group, step, values)
    )
    if not steps:
        raise RenderError("the document has no steps: every list of properties in it is empty")
    size = sum(len(step.script or b"") for step in steps)
    if size > MOST_BYTES:
        raise RenderError(f"the scripts hold {size} bytes: at most {MOST_BYTES} are taken; fetch large files instead")
    return Rendered(document=document.name, version=document.version, digest=_digest(steps), steps=steps)


def _render_step(document: Document, group: int, step: Step, values: _Values) -> tuple[RenderedStep, ...]:
    decision = _decision(document, step, values)
    elements = (step.inputs,) if isinstance(step.inputs, Mapping) else step.inputs
    last = group == len(document.steps)
    rendered = tuple(
        _render_element(_element_name(step, number, element), step, element, decision, values)
        for number, element in enumerate(elements, 1)
    )
    if len(elements) != 1:
        # SSM: between the elements of one list nothing is skipped, and a list has no modifiers of its own.
        return tuple(replace(element, group=group) for element in rendered)
    flow = _lower_case(interpolate(elements[0], values.parameters), {"onFailure", "onSuccess", "finallyStep"})
    return (
        replace(
            rendered[0],
            group=group,
            on_failure=_one_of(flow.get("onFailure"), ("exit", "successAndExit")),
            on_success=_one_of(flow.get("onSuccess"), ("exit",)),
            finally_step=last and flow.get("finallyStep") in (True, "true"),
        ),
    )


def _decision(document: Document, step: Step, values: _Values) -> Decision:
    resolved = values.parameters
    if step.precondition is not None:
        resolved = {name: resolve_stored(value, values.stored) for name, value in resolved.items()}
    decision = decide(
        action=step.action,
        support=support_of(step.action),
        schema_version=document.schema_version,
        precondition=step.precondition,
        values=resolved,
    )
    if decision.move is Move.RUN and step.action in AGENT_ONLY:
        return Decision(move=Move.SKIP, reason=f"{step.action}: there is no agent here to update")
    if decision.move is Move.RUN and step.action in NOT_YET:
        raise NotSupportedYet(step.action)
    return decision


def _render_element(
    name: str, step: Step, element: Mapping[str, JsonValue], decision: Decision, values: _Values
) -> RenderedStep:
    """Give one script; inputs that the action refuses make a step that fails, as on SSM."""
    match decision.move:
        case Move.SKIP:
            return RenderedStep(name=name, action=step.action, script=None, skip=decision.reason)
        case Move.FAIL:
            return RenderedStep(name=name, action=step.action, script=None, fail=decision.reason)
        case Move.RUN:
            inputs = resolve_stored(interpolate(element, values.parameters), values.stored)
    try:
        action = ACTIONS[step.action].from_inputs(_lower_case(inputs))
    except InputError as error:
        return RenderedStep(name=name, action=step.action, script=None, fail=f"{step.action}: {error}")
    return RenderedStep(
        name=name,
        action=step.action,
        script=action.script,
        interpreter=action.interpreter,
        alternatives=action.alternatives,
        file=action.file,
        timeout=action.timeout,
        working_directory=action.working_directory,
        environment={**values.environment, **action.environment},
    )


def _element_name(step: Step, number: int, element: Mapping[str, JsonValue]) -> str:
    """Name an element of schema 1.2 by its `id`; a 2.x step has its own name."""
    if isinstance(step.inputs, Mapping):
        return step.name
    named = element.get("id")
    return as_text(named) if named else f"{step.name}.{number}"


def _lower_case(inputs: JsonValue, exact: AbstractSet[str] = frozenset()) -> Mapping[str, JsonValue]:
    """Input keys are read ignoring case (AWS relies on it); those in `exact`, the flow modifiers, are not."""
    if not isinstance(inputs, Mapping):
        return {}
    return {key if key in exact else key.lower(): value for key, value in inputs.items()}


def _one_of(value: JsonValue, known: tuple[str, ...]) -> str:
    return value if isinstance(value, str) and value in known else ""


def _digest(steps: tuple[RenderedStep, ...]) -> Digest:
    """Digest what the node will do; no prose in it, so that a reworded reason makes nobody's definition new."""
    canonical = [
        [
            step.group,
            step.name,
            step.action,
            None if step.script is None else hashlib.sha256(step.script).hexdigest(),
            list(step.interpreter),
            int(step.timeout.total_seconds()),
            step.working_directory,
            sorted(step.environment.items()),
            step.skip is not None,
            step.fail is not None,
            step.on_failure,
            step.on_success,
            step.finally_step,
        ]
        for step in steps
    ]
    return Digest(hashlib.sha256(json.dumps(canonical, separators=(",", ":")).encode()).hexdigest())
