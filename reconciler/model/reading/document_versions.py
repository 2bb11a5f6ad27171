"""Versions of a document that is one file: the contents it had in git, counted from the first on; pure.

Version 1 is the first content, each further one that differs from the one before it adds 1, the last is `$LATEST` and
`$DEFAULT`. Numbers are worked out only for documents that something names by one: histories are long.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from reconciler.ids import DocumentName
from reconciler.model.document import Document, DocumentVersions
from reconciler.model.reading.mistakes import Mistakes

Contents: TypeAlias = Mapping[str, Sequence[tuple[str, bytes]]]
"""Name -> (path, content), oldest first."""
Earlier: TypeAlias = Callable[[Collection[str]], "Contents | None"]
"""Names of documents -> what they held; None: the history is not known."""
_Read: TypeAlias = Callable[[str, bytes, DocumentName, str, Mistakes], "Document | None"]

_RUNS_OTHERS = (b"aws:runDocument", b"aws:downloadContent")
_NUMBERED = re.compile(rb"([a-zA-Z0-9_.-]+)(:[1-9])?")
"""Always matches a whole word: no text makes it slow."""


def numbered_documents(
    documents: Mapping[str, bytes],
    associations: Iterable[tuple[str | None, str | None]],
    texts: Iterable[bytes],
) -> frozenset[str]:
    """Give the names of single files that an association, or `NAME:NUMBER` in a document or a parameter, names by number.

    `associations` are pairs of Name and DocumentVersion, `texts` the files they are in.
    """
    single = {path.split("/")[1].rpartition(".")[0] for path in documents if path.count("/") == 1}
    by_version = {
        name for name, version in associations if name is not None and version is not None and version.isdigit()
    }
    speaking = (data for data in documents.values() if any(action in data for action in _RUNS_OTHERS))
    by_reference = {
        match[1].decode("ascii") for data in (*speaking, *texts) for match in _NUMBERED.finditer(data) if match[2]
    }
    return frozenset(single & (by_version | by_reference))


def with_earlier(
    now: DocumentVersions, earlier: Sequence[tuple[str, bytes]], content: bytes, read: _Read
) -> DocumentVersions:
    """Give a document of one file with the versions that it had; a content that was no valid document is no version."""
    (document,) = now.versions.values()
    before = earlier[:-1] if earlier and earlier[-1][1] == content else earlier
    latest = str(len(before) + 1)
    versions = {latest: replace(document, version=latest)}
    for number, (path, data) in enumerate(before, 1):
        found = read(path, data, now.name, str(number), Mistakes(path))
        if found is not None:
            versions[str(number)] = found
    return DocumentVersions(name=now.name, versions=versions, default=latest, latest=latest)
