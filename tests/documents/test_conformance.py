"""docs/conformance.md is what the code's tables give; a row that names a test on a node names one that is there."""

import ast
from pathlib import Path

import pytest

from reconciler.documents.actions import ACTIONS, LEFT_OUT, NOT_ON_LINUX, support_of
from reconciler.documents.actions.download_content import SOURCE_TYPES
from reconciler.documents.actions.run_document import DOCUMENT_TYPES
from reconciler.documents.preconditions import decide
from reconciler.ids import DocumentName
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes
from tests.support import conformance

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_tables_give() -> None:
    assert conformance.FILE.read_text(encoding="utf-8") == conformance.page(), "run python -m tests.support.conformance"


def test_every_action_and_input_of_the_code_has_its_row() -> None:
    assert set(conformance.ACTIONS_SAID) == {*ACTIONS, *LEFT_OUT}
    assert not set(conformance.ACTIONS_SAID) & NOT_ON_LINUX
    assert set(conformance.INPUTS_SAID) == set(conformance.SAMPLES) == set(ACTIONS)
    for action, rows in conformance.INPUTS_SAID.items():
        assert {name.lower() for name in rows} == conformance.inputs_asked(action), action


def test_every_value_of_the_code_has_its_row() -> None:
    said = {tuple(name.partition(",")[0].split(": ")) for name in conformance.VALUES}
    assert said == {
        *(("sourceType", value) for value in SOURCE_TYPES),
        *(("documentType", value) for value in DOCUMENT_TYPES),
    }


def test_every_type_of_the_page_is_one_of_the_code_and_no_other_is_taken() -> None:
    for name in (*conformance.TYPES_SAID, "Float"):
        text = (
            f"schemaVersion: '2.2'\nparameters: {{p: {{type: '{name}'}}}}\n"
            "mainSteps: [{name: a, action: 'aws:runShellScript', inputs: {runCommand: [id]}}]\n"
        )
        mistakes = Mistakes("a.yaml")
        document = read_document_file("a.yaml", text.encode(), DocumentName("a"), "1", mistakes)
        assert (document is not None) is (name in conformance.TYPES_SAID), name


@pytest.mark.parametrize("what", conformance.PRECONDITIONS)
def test_preconditions_come_to_what_ssm_says(what: str) -> None:
    action, precondition, schema, _, move = conformance.PRECONDITIONS[what]
    found = decide(
        action=action, support=support_of(action), schema_version=schema, precondition=precondition, values={"p": "one"}
    )
    assert found.move is move


@pytest.mark.parametrize("test", sorted(conformance.tests_named()))
def test_a_test_that_a_row_names_is_there_and_runs_on_nodes(test: str) -> None:
    file, _, name = test.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert "pytest.mark.nodes" in text
    assert name in {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
