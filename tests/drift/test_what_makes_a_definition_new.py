"""A changed parameter of the store, a changed inner document, changed content: each makes what uses it new, and nothing else."""

import pytest

from reconciler.documents.content import Content, ContentFile, Source
from reconciler.drift.definitions import Definition, Unrenderable, definitions
from reconciler.ids import AssociationName
from reconciler.model.desired import DesiredState
from tests.model.reading import NODE, reads

ASSOCIATION = "AssociationName: uses\nName: Doc\nTargets: [{Key: InstanceIds, Values: ['*']}]\n"


def state(document: str, parameters: str = "{}", value: str = "one", other: str = "same") -> DesiredState:
    return reads(
        {
            "state/nodes/a.yaml": NODE,
            "state/associations/a.yaml": f"{ASSOCIATION}Parameters: {parameters}\n",
            "state/parameters/a.yaml": f"Name: /app/x\nType: String\nValue: {value}\n---\nName: /app/y\nType: String\nValue: {other}\n",
            "documents/Doc.yaml": f"schemaVersion: '2.2'\nparameters: {{p: {{type: String, default: ''{document}\n",
        }
    )


PASTED = (
    "}}\nmainSteps: [{name: s, action: 'aws:runShellScript', inputs: {runCommand: ['echo {{ p }} {{ssm:/app/x}}']}}]"
)
GIVEN = "}}\nmainSteps: [{name: s, action: 'aws:runShellScript', inputs: {runCommand: ['echo {{ p }}']}}]"
EXPORTED = ", interpolationType: ENV_VAR}}\nmainSteps: [{name: s, action: 'aws:runShellScript', inputs: {runCommand: ['env']}}]"
ASKED = "}}\nmainSteps: [{name: s, precondition: {StringEquals: ['{{ p }}', one]}, action: 'aws:runShellScript', inputs: {runCommand: [id]}}]"
REFERENCE = "{p: ['{{ssm:/app/x}}']}"


def digest(desired: DesiredState) -> str:
    found = definitions(desired)[AssociationName("uses")]
    assert isinstance(found, Definition), found
    return found.digest


@pytest.mark.parametrize(
    ("document", "parameters"),
    [
        pytest.param(PASTED, "{}", id="in the document"),
        pytest.param(GIVEN, REFERENCE, id="in the association"),
        pytest.param(EXPORTED, REFERENCE, id="in the environment"),
        pytest.param(ASKED, REFERENCE, id="in a precondition"),
    ],
)
def test_another_value_of_a_stored_parameter_is_a_change(document: str, parameters: str) -> None:
    before = digest(state(document, parameters))
    assert digest(state(document, parameters, value="two")) != before
    assert digest(state(document, parameters, other="another")) == before


class Fixed:
    """Contents that came to one digest."""

    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256

    def find(self, _source: Source) -> Content:
        return Content(pin="commit c", files=(ContentFile(path="x", sha256=self.sha256, size=1),), single=True)

    def read(self, sha256: str) -> bytes:
        raise KeyError(sha256)


def test_another_content_is_a_change_and_what_nobody_looked_at_waits() -> None:
    desired = state(
        "}}\nmainSteps: [{name: s, action: 'aws:downloadContent', "
        "inputs: {sourceType: HTTP, sourceInfo: {url: 'https://h.example.org/x'}}}]"
    )
    found = [definitions(desired, Fixed(letter * 64))[AssociationName("uses")] for letter in "aab"]
    first, again, other = [each.digest for each in found if isinstance(each, Definition)]
    assert (first == again, first == other) == (True, False)
    unknown = definitions(desired)[AssociationName("uses")]
    assert isinstance(unknown, Unrenderable)
    assert (unknown.waits, len(unknown.sources)) == (True, 1)
