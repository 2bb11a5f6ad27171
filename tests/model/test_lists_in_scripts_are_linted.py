"""A StringList that becomes neither lines nor words as its author means is told, with the remedy; so are scripts' empty entries."""

import pytest

from reconciler.documents.render import render
from reconciler.ids import DocumentName
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes

NESTED = "parameter l is a list within the list: here its elements are lines, on SSM the step fails"
PASTED = 'parameter l is a list: as on SSM, its JSON text is pasted here (["a","b"]), not its words'


def said(
    inputs: str, *, action: str = "aws:runShellScript", kind: str = "StringList", script: str | None = None
) -> list[str]:
    """Read a document of one step whose parameter has a rule; give (line, message) of each lint."""
    text = (
        f"schemaVersion: '2.2'\nparameters:\n  l: {{type: {kind}, allowedPattern: '[a-c]'}}\nmainSteps:\n"
        f"  - name: a\n    action: {action}\n    inputs: {inputs}\n"
    )
    mistakes = Mistakes("a.yaml")
    document = read_document_file("a.yaml", text.encode(), DocumentName("Doc"), "1", mistakes)
    assert document is not None
    if script is not None:
        (step,) = render(document, {"l": ["b", "c"] if kind == "StringList" else ["b"]}, stored={}).steps
        assert step.script == script.encode()
    assert all(problem.line == 7 and problem.remedy for problem in mistakes.problems)
    return [problem.message for problem in mistakes.problems]


@pytest.mark.parametrize(
    ("lines", "script", "lints"),
    [
        pytest.param("'{{ l }}'", "b\nc\n", [], id="the whole input"),
        pytest.param("['{{ l }}']", "b\nc\n", [NESTED], id="the only line"),
        pytest.param("[set -e, '{{l}}', '{{ l }}']", "set -e\nb\nc\nb\nc\n", [NESTED], id="among others, told once"),
        pytest.param("['for i in {{ l }}; do']", 'for i in ["b","c"]; do\n', [PASTED], id="within a line"),
        pytest.param("[' {{ l }}']", ' ["b","c"]\n', [PASTED], id="behind a blank"),
        pytest.param("['{{ l }}', 'echo {{ l }}']", 'b\nc\necho ["b","c"]\n', [NESTED, PASTED], id="both"),
    ],
)
def test_where_a_list_stands_is_what_becomes_of_it(lines: str, script: str, lints: list[str]) -> None:
    assert said(f"{{runCommand: {lines}}}", script=script) == lints


def test_a_text_is_no_list() -> None:
    assert said("{runCommand: ['{{ l }}', 'echo {{ l }}']}", kind="String", script="b\necho b\n") == []


@pytest.mark.parametrize(
    ("given", "lints"),
    [
        pytest.param("{commands: '{{ l }}'}", [], id="handed on whole"),
        pytest.param("{commands: ['{{ l }}']}", [NESTED], id="within a list"),
        pytest.param("""'{"commands": {{ l }}}'""", [], id="within json, where json belongs"),
    ],
)
def test_what_another_document_is_given_is_looked_at_too(given: str, lints: list[str]) -> None:
    inputs = f"{{documentType: SSMDocument, documentPath: B, documentParameters: {given}}}"
    assert said(inputs, action="aws:runDocument") == lints


@pytest.mark.parametrize(
    ("file", "written"),
    [
        pytest.param("a.yaml", "\n    - echo a\n    -\n    - null\n    - echo b\n", id="yaml"),
        pytest.param("a.json", '["echo a", null, null, "echo b"]', id="json"),
    ],
)
def test_an_entry_of_nothing_is_an_empty_line(file: str, written: str) -> None:
    if file.endswith("json"):
        text = (
            '{"schemaVersion": "2.2", "mainSteps": [{"name": "a", "action": "aws:runShellScript", "inputs": '
            f'{{"runCommand": {written}}}}}]}}'
        )
    else:
        text = (
            "schemaVersion: '2.2'\nmainSteps:\n- name: a\n  action: aws:runShellScript\n  inputs:\n    runCommand:"
            + written
        )
    document = read_document_file(file, text.encode(), DocumentName("Doc"), "1", Mistakes(file))
    assert document is not None
    (step,) = render(document, {}, stored={}).steps
    assert step.script == b"echo a\n\n\necho b\n"
