"""A parameter that is pasted into a script unchecked is told, with the remedy."""

import pytest

from reconciler.documents.interpolation import interpolate
from reconciler.documents.render import render
from reconciler.ids import DocumentName
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes

DOCUMENT = """\
schemaVersion: '2.2'
parameters:
  name: {type: PARAMETER}
mainSteps:
  - name: greet
    action: ACTION
    inputs:
      runCommand:
        - set -e
        - LINE
"""


def lints(parameter: str, line: str = "echo {{ name }}", action: str = "aws:runShellScript") -> list[str]:
    text = DOCUMENT.replace("{type: PARAMETER}", parameter).replace("LINE", f"'{line}'").replace("ACTION", action)
    mistakes = Mistakes("documents/Greet.yaml")
    assert read_document_file("documents/Greet.yaml", text.encode(), DocumentName("Greet"), "1", mistakes)
    return [str(problem) for problem in mistakes.problems]


@pytest.mark.parametrize("kind", ["String", "StringList", "StringMap"])
def test_text_without_a_rule_is_told_at_its_line(kind: str) -> None:
    lint = lints(f"{{type: {kind}}}")[0]
    assert lint.startswith("documents/Greet.yaml:10:")
    assert "whoever gives it can write shell" in lint
    assert "allowedPattern or allowedValues" in lint
    assert ('write "$SSM_name" in the script' in lint) is (kind == "String")


def test_the_remedy_is_written_as_the_script_reads_its_variables() -> None:
    (lint,) = lints("{type: String}", "echo {{ name }}", "aws:runPowerShellScript")
    assert "write $env:SSM_name in the script" in lint


@pytest.mark.parametrize("version", ["2.0", "1.2"])
def test_older_schemas_are_not_told_to_use_the_environment(version: str) -> None:
    text = DOCUMENT.replace("PARAMETER", "String").replace("ACTION", "aws:runShellScript").replace("2.2", version)
    text = text.replace("LINE", "echo {{ name }}")
    if version == "1.2":
        begin, end = text.index("mainSteps"), text.index("      runCommand")
        text = f"{text[:begin]}runtimeConfig:\n  aws:runShellScript:\n    properties:\n{text[end:]}"
    mistakes = Mistakes("a.yaml")
    assert read_document_file("a.yaml", text.encode(), DocumentName("Greet"), "1", mistakes)
    (problem,) = mistakes.problems
    assert (problem.message.split(":")[0], problem.remedy) == (
        "parameter name is pasted into the script as it is",
        "give it an allowedPattern or allowedValues",
    )


@pytest.mark.parametrize(
    ("parameter", "line"),
    [
        pytest.param("{type: String, allowedPattern: '[a-z]+'}", "echo {{ name }}", id="a pattern"),
        pytest.param("{type: String, allowedValues: [a, b]}", "echo {{ name }}", id="values"),
        pytest.param("{type: Integer}", "echo {{ name }}", id="a number"),
        pytest.param("{type: Boolean}", "echo {{ name }}", id="a boolean"),
        pytest.param("{type: String}", "{{ name }}", id="the whole command is the parameter"),
        pytest.param("{type: String}", "echo {{ other }}", id="another name"),
        pytest.param("{type: String, interpolationType: ENV_VAR}", 'echo "$SSM_name"', id="through the environment"),
    ],
)
def test_what_cannot_hurt_is_not_told(parameter: str, line: str) -> None:
    assert lints(parameter, line) == []


def test_a_parameter_is_told_once() -> None:
    assert len(lints("{type: String}", "echo {{ name }} {{name}}")) == 1


@pytest.mark.parametrize("blank", ["\t", "\\n", "\\f", "\\r"])
def test_a_token_is_told_with_whatever_blanks_it_is_replaced(blank: str) -> None:
    text = DOCUMENT.replace("PARAMETER", "String").replace("ACTION", "aws:runShellScript")
    text = text.replace("- LINE", f'- "echo {{{{{blank}name{blank}}}}}"')
    mistakes = Mistakes("a.yaml")
    document = read_document_file("a.yaml", text.encode(), DocumentName("Greet"), "1", mistakes)
    assert document is not None
    (step,) = render(document, {"name": ["you"]}, stored={}).steps
    assert step.script == b"set -e\necho you\n"
    assert len(mistakes.problems) == 1


def test_what_only_looks_like_a_blank_makes_no_token() -> None:
    assert lints("{type: String}", "echo {{\u00a0name }}") == []
    assert interpolate("echo {{\u00a0name }}", {"name": "x"}) == "echo {{\u00a0name }}"


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param("documentParameters: {commands: ['echo {{ name }}']}", id="a list"),
        pytest.param("DocumentParameters: {Commands: 'echo {{ name }}'}", id="one text, another case"),
        pytest.param("""documentParameters: '{"commands": ["echo {{ name }}"]}'""", id="json"),
    ],
)
def test_text_for_the_commands_of_another_document_is_told(inputs: str) -> None:
    text = DOCUMENT.replace("PARAMETER", "String").replace("ACTION", "aws:runDocument")
    text = text[: text.index("      runCommand")] + f"      documentType: SSMDocument\n      {inputs}\n"
    mistakes = Mistakes("a.yaml")
    assert read_document_file("a.yaml", text.encode(), DocumentName("Greet"), "1", mistakes)
    (problem,) = mistakes.problems
    assert "whoever gives it can write shell" in problem.message
    assert problem.remedy == "give it an allowedPattern or allowedValues"  # the other document has no variable of ours


def test_parameters_handed_on_whole_are_not_told() -> None:
    text = DOCUMENT.replace("PARAMETER", "StringMap").replace("ACTION", "aws:runDocument")
    text = text[: text.index("      runCommand")] + "      documentParameters: '{{ name }}'\n"
    mistakes = Mistakes("a.yaml")
    assert read_document_file("a.yaml", text.encode(), DocumentName("Greet"), "1", mistakes)
    assert mistakes.problems == []
