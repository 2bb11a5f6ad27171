"""Whole documents, as text: what a node would be given, and what their authors are told."""

import hashlib
import tracemalloc
from typing import Any

import pytest

from reconciler.documents import actions
from reconciler.documents.error import RenderError
from reconciler.documents.fetched_document import as_json, read_fetched
from reconciler.documents.render import Rendered, RenderedStep, render
from reconciler.ids import Digest, DocumentName
from reconciler.model.desired import StoredParameter
from reconciler.model.document import Document, Parameter, Step
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.step_lints import KNOWN_ACTIONS
from tests.model.reading import lints, reads

D = Digest("0" * 64)


def read(text: str, name: str = "Doc") -> tuple[Document | None, list[str]]:
    """Read a document; give what is said of it."""
    mistakes = Mistakes(f"{name}.yaml")
    document = read_document_file(mistakes.file, text.encode(), DocumentName(name), "1", mistakes)
    return document, [str(problem) for problem in mistakes.problems]


def rendered(text: str, **given: Any) -> Rendered:
    document, said = read(text)
    assert document is not None, said
    return render(document, given, stored={})


def only(found: Rendered) -> RenderedStep:
    (step,) = found.steps
    return step


@pytest.mark.parametrize("platform", ["Linux", "Windows"])
def test_a_precondition_in_an_old_document_fails_its_step(platform: str) -> None:
    text = (
        "schemaVersion: '1.2'\nruntimeConfig:\n  aws:runShellScript:\n    properties: [{id: a, runCommand: [id]}]\n"
        f"    precondition: {{StringEquals: [platformType, {platform}]}}\n"
    )
    assert "schema 1.2 has no preconditions" in (only(rendered(text)).fail or "")
    (said,) = read(text)[1]
    assert "schema 1.2 has no preconditions: the step will fail" in said


LARGE = "x" * 40_000


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["{{ a }}" * 8000], id="one line"),
        pytest.param(["{{ a }}"] * 8000, id="whole commands"),
        pytest.param(["{{ l }}"] * 8000, id="whole lists"),
        pytest.param(["-{{ l }}{{ a }}"] * 8000, id="lists within lines"),
        pytest.param(["{{ssm:s}}" * 4000, "{{ssm:s}}" * 4000], id="stored parameters"),
        pytest.param(["{{ssm:sl}}"] * 9000, id="stored lists"),
    ],
)
@pytest.mark.parametrize("where", ["runCommand", "onFailure", "sourceInfo"])
def test_what_would_be_far_too_large_is_refused_before_it_is_made(lines: list[str], where: str) -> None:
    parameters = {
        "a": Parameter(name="a", type="String", required=False, default=LARGE),
        "l": Parameter(name="l", type="StringList", required=False, default=["y" * 10] * 4000),
    }
    stored = {
        "s": StoredParameter(name="s", type="String", values=("z" * 8192,)),
        "sl": StoredParameter(name="sl", type="StringList", values=("z," * 4096,)),
    }
    step = Step(name="a", action="aws:runShellScript", inputs={"runCommand": ["id"], where: list(lines)})
    document = Document(name=DocumentName("Doc"), schema_version="2.2", parameters=parameters, steps=(step,), digest=D)
    if where == "onFailure" and "ssm" in lines[0]:
        return  # read before stored parameters are looked up; the inputs of the same step are counted
    tracemalloc.start()
    try:
        with pytest.raises(RenderError, match="too large"):
            render(document, {}, stored=stored)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()


def test_a_precondition_pastes_no_more_than_a_step() -> None:
    parameters = {"a": Parameter(name="a", type="String", required=False, default=LARGE)}
    step = Step(name="a", action="aws:x", precondition={"StringEquals": ["{{ a }}-" * 5000, "b"]})
    document = Document(name=DocumentName("Doc"), schema_version="2.2", parameters=parameters, steps=(step,), digest=D)
    with pytest.raises(RenderError, match="too large"):
        render(document, {}, stored={})


def test_what_a_document_hands_on_whole_has_its_room() -> None:
    lines = [f"echo {number} {'x' * 50}" for number in range(800)]
    text = (
        "schemaVersion: '2.2'\nparameters: {commands: {type: StringList}}\nmainSteps:\n"
        "- {name: a, action: 'aws:runShellScript', onFailure: exit, inputs: {runCommand: ['{{ commands }}']}}\n"
    )
    assert only(rendered(text, commands=lines)).script == ("\n".join(lines) + "\n").encode()


@pytest.mark.parametrize(
    ("step", "shown"),
    [
        ("action: 'aws:runShellScript', inputs: {runCommand: [set -e, '{{ l }}']}", "set -e\nfirst\nsecond\n"),
        ("action: 'aws:refreshAssociation', inputs: {associationIds: ['{{ l }}']}", "set -- 'first' 'second'\n"),
        ("action: 'aws:runDockerAction', inputs: {action: Run, image: i, volume: ['{{ l }}']}", "first"),
    ],
)
def test_a_list_as_an_element_of_a_list_is_its_elements_for_every_action(step: str, shown: str) -> None:
    text = f"schemaVersion: '2.2'\nparameters: {{l: {{type: StringList}}}}\nmainSteps: [{{name: a, {step}}}]\n"
    found = only(rendered(text, l=["first", "second"]))
    assert found.fail is None
    assert shown in (found.script or b"").decode()
    assert '["' not in (found.script or b"").decode()


def test_a_list_that_is_written_within_a_list_fails_its_step() -> None:
    text = "schemaVersion: '2.2'\nmainSteps: [{name: a, action: 'aws:runShellScript', inputs: {runCommand: [[id]]}}]\n"
    assert "Invalid format in plugin properties" in (only(rendered(text)).fail or "")


@pytest.mark.parametrize("file", ["documents/Abc.yaml", "documents/Abc.json"])
def test_a_document_with_a_byte_order_mark_is_taken_with_a_lint(file: str) -> None:
    data = (
        b"\xef\xbb\xbf"
        b'{"schemaVersion": "2.2", "mainSteps": [{"action": "aws:runShellScript", "name": "b", "inputs": {"runCommand": ["id"]}}]}'
    )
    (problem,) = lints({file: data})
    assert (problem.line, problem.column) == (1, 1)
    assert "byte order mark" in problem.message
    (versions,) = reads({file: data}).documents.values()
    assert versions.versions["1"].digest == hashlib.sha256(data).hexdigest()
    assert only(render(versions.versions["1"], {}, stored={})).script == b"id\n"
    assert as_json(versions.versions["1"]) == data[3:]
    assert read_fetched(data, "x").steps == versions.versions["1"].steps


STEP = "- {{name: a, action: 'aws:runShellScript', inputs: {}}}\n"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("- {name: a, action: 'aws:runShelScript', inputs: {runCommand: [id]}}\n", "did you mean aws:runShellScript?"),
        ("- {name: a, action: 'aws:RunShellScript', inputs: {runCommand: [id]}}\n", "did you mean aws:runShellScript?"),
        ("- {name: a, action: 'aws:createStack'}\n", "there is no such action: the step will fail"),
        (STEP.format("{timeoutSeconds: 5}"), "runCommand is missing"),
        (STEP.format("{}"), "runCommand is missing"),
        ("- {name: a, action: 'aws:runShellScript'}\n", "runCommand is missing"),
        (STEP.format("{runCommand: echo hi}"), "runCommand is no list"),
        (STEP.format("[]"), "an empty list: the step does nothing"),
        (
            STEP.format("{runCommand: [a], RunCommand: [b]}"),
            "this key stands here as runCommand, too: the last one counts",
        ),
    ],
)
def test_a_step_that_will_fail_or_do_nothing_is_told(steps: str, words: str) -> None:
    document, said = read(f"schemaVersion: '2.2'\nmainSteps:\n{steps}")
    assert document is not None
    assert [words in each for each in said] == [True]
    assert said[0].startswith("lint: Doc.yaml:3:") or "Doc.yaml:3:" in said[0]


PRECONDITION = (
    "- {{name: a, action: 'aws:runShellScript', precondition: {{StringEquals: {}}}, inputs: {{runCommand: [id]}}}}\n"
)
FLOW = "- {{name: a, action: 'aws:runShellScript', inputs: {{runCommand: [id], {}}}}}\n- {{name: b, action: 'aws:psModule'}}\n"
PASTED = "- {{name: a, action: 'aws:runShellScript', inputs: {{runCommand: ['echo {}']}}}}\n"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (PRECONDITION.format("[platformType, Linux, x]"), "exactly two different texts: the step will fail"),
        (PRECONDITION.format("platformType"), "exactly two different texts: the step will fail"),
        (PRECONDITION.format("[Linux, Linux]"), "exactly two different texts: the step will fail"),
        (PRECONDITION.format("[platformType, [Linux]]"), "exactly two different texts: the step will fail"),
        (PRECONDITION.format("['{{ platformType }}', Linux]"), "neither text holds a parameter of the document"),
        (PRECONDITION.format("['{{ Action }}', Linux]"), "neither text holds a parameter of the document"),
        (PRECONDITION.format("[platformType, '{{ action }}']"), "platformType cannot be compared with a parameter"),
        (PRECONDITION.format("['{{ ssm:x }}', Linux]"), "a stored parameter cannot be compared"),
        (PRECONDITION.format("[platformType, Linus]"), "skipped everywhere (met: Linus); did you mean Linux?"),
        (FLOW.format("timeoutSeconds: 3"), "3600 counts instead (met: 3)"),
        (FLOW.format("TimeoutSeconds: 0x10"), "3600 counts instead (met: 0x10)"),
        (FLOW.format("timeoutSeconds: 172801"), "3600 counts instead (met: 172801)"),
        (FLOW.format("onFailure: Exit"), "this has no effect (met: Exit); did you mean exit?"),
        (FLOW.format("onSuccess: successAndExit"), "onSuccess knows exit: this has no effect"),
        (FLOW.format("onfailure: exit"), "it has no effect (met: onfailure); did you mean onFailure?"),
        (FLOW.format("finallyStep: true"), "finallyStep counts in the last step alone"),
        (PASTED.format("{{ actoin }}"), "it stays as it stands (met: echo {{ actoin }}); did you mean action?"),
        (PASTED.format("{{Action}}"), "did you mean action?"),
    ],
)
def test_what_decides_about_a_step_and_does_not_read_is_told(steps: str, words: str) -> None:
    action = "parameters: {action: {type: String, default: x, allowedPattern: x}}"
    document, said = read(f"schemaVersion: '2.2'\n{action}\nmainSteps:\n{steps}")
    assert document is not None
    assert [words in each for each in said] == [True], said
    assert "Doc.yaml:4:" in said[0]


@pytest.mark.parametrize(
    "steps",
    [
        *(
            PRECONDITION.format(f"[{each}]")
            for each in ("platformType, linux", "MACOS, platformType", "'{{ action }}', ''")
        ),
        *(
            FLOW.format(each)
            for each in ("timeoutSeconds: '5'", "timeoutSeconds: 172800.5", "timeoutSeconds: '{{ action }}'")
        ),
        *(
            FLOW.format(each)
            for each in ("onFailure: successAndExit", "onSuccess: exit", "finallyStep: false", "onFailure: ''")
        ),
        *(PASTED.format(each) for each in ("{{ .Names }}", "{{ inventory_hostname }}", "{{ item }}", "{{ action }}")),
    ],
)
def test_what_decides_about_a_step_and_reads_is_not_told(steps: str) -> None:
    action = "parameters: {action: {type: String, default: x, allowedPattern: x}}"
    assert read(f"schemaVersion: '2.2'\n{action}\nmainSteps:\n{steps}")[1] == []


def test_steps_that_are_right_are_not_told() -> None:
    steps = STEP.format("{RunCommand: '{{ p }}'}") + "- {name: b, action: 'aws:psModule', inputs: {id: x}}\n"
    text = f"schemaVersion: '2.2'\nparameters: {{p: {{type: StringList}}}}\nmainSteps:\n{steps}"
    assert read(text)[1] == []


def test_the_actions_that_are_not_told_are_those_of_the_tables() -> None:
    assert {*actions.ACTIONS, *actions.LEFT_OUT, *actions.NOT_ON_LINUX} == KNOWN_ACTIONS


def test_properties_may_be_a_list_of_maps_that_a_caller_gives() -> None:
    text = (
        "schemaVersion: '1.2'\nparameters: {p: {type: MapList}, q: {type: String, default: x}}\n"
        "runtimeConfig: {'aws:runShellScript': {properties: '{{ p }}'}}\n"
    )
    found = rendered(text, p=[{"id": "one", "runCommand": ["echo {{ q }}"]}, {"runCommand": ["b"]}])
    assert [(step.name, step.script, step.group) for step in found.steps] == [
        ("one", b"echo {{ q }}\n", 1),
        ("aws:runShellScript.2", b"b\n", 1),
    ]
    assert only(rendered(text.replace("MapList", "StringMap"), p={"runCommand": ["c"]})).script == b"c\n"


@pytest.mark.parametrize(
    "name", ["AWSSupport-Mine", "AWSEC2-Mine", "awsfoo", "amazonX", "amzn", "AWSConfigRemediation-X"]
)
def test_names_that_aws_keeps_for_itself_are_told(name: str) -> None:
    (problem,) = lints(
        {f"documents/{name}.yaml": "schemaVersion: '2.2'\nmainSteps:\n" + STEP.format("{runCommand: [id]}")}
    )
    assert "AWS's own" in problem.message
