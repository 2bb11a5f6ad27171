"""A document that is content: one that was downloaded, read to be run, and one of the library, written to be downloaded; pure."""

import json

from reconciler.documents.error import InputError
from reconciler.ids import DocumentName
from reconciler.model.document import Document
from reconciler.model.reading.documents import read_document
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.text import without_mark
from reconciler.model.reading.values import Value, plain_json
from reconciler.model.reading.yaml_text import read_yaml

_MOST_DOCUMENT = 1024 * 1024
"""Bytes: SSM takes 64 KB."""


def read_fetched(data: bytes, path: str) -> Document:
    """Read a document whatever its file is called, as JSON or else as YAML. Raises InputError, as the step fails on SSM."""
    if len(data) > _MOST_DOCUMENT:
        raise InputError(f"{path} holds {len(data)} bytes: that is no document")
    mistakes = Mistakes(path)
    read = _value(without_mark(data), mistakes)
    document = None
    if read is not None and not mistakes.found_errors:
        document = read_document(read, data, DocumentName(path), "1", mistakes)
    if document is None or mistakes.found_errors:
        problem = next((str(one) for one in mistakes.problems), f"{path} is empty")
        raise InputError(f"what was downloaded is no document: {problem}")
    return document


def as_json(document: Document) -> bytes:
    """Give a document of the library as JSON text, however its file is written."""
    text = without_mark(document.text)
    if _reads_as_json(text):
        return text
    values = read_yaml(text, Mistakes(document.file), escaped_nul=True)
    return json.dumps(plain_json(values[0]) if values else None, indent=2).encode() + b"\n"


def _value(data: bytes, mistakes: Mistakes) -> Value | None:
    if _reads_as_json(data):
        return read_json(data, mistakes)[0]
    values = read_yaml(data, mistakes)
    return values[0] if len(values) == 1 else None


def _reads_as_json(data: bytes) -> bool:
    return bool(read_json(data, Mistakes("")))
