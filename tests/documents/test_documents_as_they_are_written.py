"""Whole documents, as text: what a node would be given, and what their authors are told."""

from typing import Any

import pytest

from reconciler.documents.render import Rendered, RenderedStep, render
from reconciler.ids import DocumentName
from reconciler.model.document import Document
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes


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
