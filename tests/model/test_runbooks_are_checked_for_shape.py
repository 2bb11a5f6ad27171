"""Automation runbooks may lie among the documents: what is wrong with their shape is told, and nothing runs one."""

import pytest

from reconciler.documents.error import NotSupportedYet
from reconciler.documents.render import render
from reconciler.ids import DocumentName
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes
from reconciler.problem import Gravity

GOOD = """\
schemaVersion: '0.3'
description: Stops and starts a server.
assumeRole: '{{ role }}'
parameters:
  role: {type: String, default: ''}
mainSteps:
  - {name: stop, action: 'aws:changeInstanceState', inputs: {DesiredState: stopped}, onFailure: 'step:tell'}
  - name: choose
    action: aws:branch
    inputs: {Choices: [{NextStep: start, Variable: '{{ stop.x }}', StringEquals: y}], Default: tell}
  - {name: start, action: 'aws:changeInstanceState', inputs: {DesiredState: running}, isEnd: true}
  - {name: tell, action: 'aws:sleep', inputs: {Duration: PT1S}}
"""


def read(text: str) -> tuple[bool, list[str], list[str]]:
    mistakes = Mistakes("documents/Book.yaml")
    found = read_document_file("documents/Book.yaml", text.encode(), DocumentName("Book"), "1", mistakes)
    errors = [str(p) for p in mistakes.problems if p.gravity is Gravity.ERROR]
    return found is not None, errors, [str(p) for p in mistakes.problems if p.gravity is Gravity.LINT]


def test_a_runbook_is_accepted() -> None:
    assert read(GOOD) == (True, [], [])


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        pytest.param("name: start,", "name: stop,", 11, "two steps with one name", id="a name twice"),
        pytest.param("NextStep: start", "NextStep: starts", 10, "did you mean start?", id="a branch to nowhere"),
        pytest.param("'step:tell'", "'step:yell'", 7, "no step has this name", id="a failure that leads nowhere"),
        pytest.param("- {name: tell, ", "- {", 12, "a step needs a name", id="no name"),
        pytest.param("action: 'aws:sleep', ", "", 12, "a step needs an action", id="no action"),
        pytest.param("'aws:sleep'", "''", 12, "a step needs an action", id="an empty action"),
        pytest.param("'aws:sleep'", "5", 12, "an action is a text", id="an action that is a number"),
        pytest.param("role: {type: String,", "role: {type: Text,", 5, "a parameter's type", id="an odd type"),
        pytest.param("role: {type: String, default: ''}", "role: {default: ''}", 5, "type is missing", id="no type"),
        pytest.param("role: {type: String, default: ''}", "- role", 5, "a mapping of names", id="parameters as a list"),
        pytest.param("inputs: {Duration: PT1S}", "inputs: PT1S", 12, "inputs is no mapping", id="inputs that are text"),
        pytest.param(GOOD[GOOD.index("mainSteps") :], "mainSteps: []\n", 6, "mainSteps is missing", id="no steps"),
        pytest.param(GOOD[GOOD.index("mainSteps") :], "", 1, "mainSteps is missing", id="no mainSteps"),
    ],
)
def test_a_mistake_is_refused_at_its_line(old: str, new: str, line: int, words: str) -> None:
    assert old in GOOD
    accepted, errors, _ = read(GOOD.replace(old, new, 1))
    assert not accepted
    assert errors
    assert errors[0].startswith(f"documents/Book.yaml:{line}:")
    assert words in errors[0]


def test_a_circle_is_told_and_accepted_as_aws_does() -> None:
    text = GOOD.replace("inputs: {Duration: PT1S}}", "inputs: {Duration: PT1S}, nextStep: stop}")
    accepted, errors, lints = read(text)
    assert (accepted, errors) == (True, [])
    assert "steps in a circle" in lints[0]


@pytest.mark.parametrize("end", ["'true'", "'True'", "true"])
def test_a_step_that_ends_it_leads_nowhere_however_that_is_written(end: str) -> None:
    text = GOOD.replace("isEnd: true", f"isEnd: {end}").replace("{Duration: PT1S}", "{Duration: PT1S}, nextStep: start")
    assert read(text) == (True, [], [])


def test_a_change_template_is_a_runbook() -> None:
    template = "templateInformation: '### Why'\nexecutableRunBooks: [{name: AWS-HelloWorld, version: $DEFAULT}]\n"
    assert read(f"{GOOD}{template}emergencyChange: false\nautoApprovable: true\n") == (True, [], [])


def test_an_action_nobody_knows_is_told() -> None:
    accepted, _, lints = read(GOOD.replace("'aws:sleep'", "'aws:slep'"))
    assert accepted
    assert "did you mean aws:sleep?" in lints[0]


def test_running_one_is_refused_by_name() -> None:
    mistakes = Mistakes("documents/Book.yaml")
    book = read_document_file("documents/Book.yaml", GOOD.encode(), DocumentName("Book"), "1", mistakes)
    assert book is not None
    with pytest.raises(NotSupportedYet, match="Automation runbooks \\(Book\\)"):
        render(book, {}, stored={})
