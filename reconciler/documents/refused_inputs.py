"""Steps whose inputs their action refuses whatever the parameters are: known before anything runs. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from reconciler.documents.actions import ACTIONS, LEFT_OUT, support_of
from reconciler.documents.error import InputError
from reconciler.documents.preconditions import Move, decide
from reconciler.model.document import Document, Step
from reconciler.model.known import JsonValue
from reconciler.model.reading.script_lines import SCRIPTS


def refused_inputs(document: Document) -> Iterator[tuple[Step, str]]:
    """Give the steps that will fail where they run, each with the reason; what holds a `{{ ... }}` is not judged.

    What scripts lack, the reader of documents tells.
    """
    defaults = {name: parameter.default for name, parameter in document.parameters.items()}
    for step in document.steps:
        decision = decide(
            action=step.action,
            support=support_of(step.action),
            schema_version=document.schema_version,
            precondition=step.precondition,
            values=defaults,
        )
        if decision.move is not Move.RUN or step.action in LEFT_OUT or step.action.lower() in SCRIPTS:
            continue
        for element in (step.inputs,) if isinstance(step.inputs, Mapping) else step.inputs:
            if _holds_reference(element):
                continue
            try:
                ACTIONS[step.action].from_inputs({key.lower(): value for key, value in element.items()})
            except InputError as refused:
                yield step, str(refused)


def _holds_reference(value: JsonValue) -> bool:
    if isinstance(value, str):
        return "{{" in value
    if isinstance(value, Mapping):
        return any(map(_holds_reference, value.values()))
    return isinstance(value, Sequence) and any(map(_holds_reference, value))
