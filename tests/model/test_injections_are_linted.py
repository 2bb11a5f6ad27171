"""A parameter that is pasted into a script unchecked is told, with the remedy."""

import pytest

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
    (lint,) = lints(f"{{type: {kind}}}")
    assert lint.startswith("documents/Greet.yaml:10:")
    assert "allowedPattern or allowedValues" in lint
    assert 'write "$SSM_name" in the script' in lint


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
