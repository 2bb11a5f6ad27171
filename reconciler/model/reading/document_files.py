"""`documents/`: the repository's files and the bundled library -> every document with its versions, by name.

`NAME.yaml` is a document with one version; a folder NAME holds `1.yaml`, `2.yaml` and the file `default`, which names one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from reconciler.ids import DocumentName
from reconciler.model.document import Document, DocumentVersions
from reconciler.model.reading.document_versions import Contents, with_earlier
from reconciler.model.reading.documents import read_document
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.text import decode, without_mark
from reconciler.model.reading.values import Value
from reconciler.model.reading.yaml_text import read_yaml

_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,128}")
_RESERVED = ("aws", "amazon", "amzn")
_DEFAULT = "default"


@dataclass(slots=True)
class Library:
    """The documents by name, and the names whose files are wrong: about these nothing more is said."""

    documents: dict[DocumentName, DocumentVersions] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Named:
    """The files that bear one name."""

    first: str
    """The path that was met first, good or not."""
    versions: dict[str, str] = field(default_factory=dict)
    """Version -> path."""
    single: bool = True
    default: str | None = None
    """Path of the file that names the default version."""
    wrong: bool = False

    @property
    def paths(self) -> list[str]:
        """Every path, in order."""
        return [*self.versions.values(), *([self.default] if self.default else [])]


def read_library(
    own: Mapping[str, bytes],
    bundled: Mapping[str, bytes],
    mistakes_of: Callable[[str], Mistakes],
    earlier: Contents = MappingProxyType({}),
) -> Library:
    """Read the repository's own documents, then the bundled ones whose names are still free.

    `earlier` holds what single files held before: their versions are counted from the first on.
    """
    library = Library()
    mine = _by_name(own, mistakes_of)
    theirs = _by_name(bundled, Mistakes)
    for name, named in mine.items():
        _say_name(name, named, own, bundled if name in theirs else None, mistakes_of)
        _add(library, name, named, own, mistakes_of)
        found = library.documents.get(DocumentName(name))
        if found is not None and named.single and name in earlier:
            library.documents[found.name] = with_earlier(found, earlier[name], own[named.first], read_document_file)
    for name, named in theirs.items():
        if name not in mine:
            _add(library, name, named, bundled, mistakes_of)
    return library


def _add(
    library: Library, name: str, named: _Named, files: Mapping[str, bytes], mistakes_of: Callable[[str], Mistakes]
) -> None:
    found = _read(DocumentName(name), named, files, mistakes_of)
    if found is None:
        library.broken.add(name)
    else:
        library.documents[found.name] = found


def _by_name(files: Mapping[str, bytes], mistakes_of: Callable[[str], Mistakes]) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for path in sorted(files):
        _, first, *rest = path.split("/")
        folder = bool(rest)
        name = first if folder else first.rpartition(".")[0]
        named = found.setdefault(name, _Named(path, single=not folder))
        version = rest[0].rpartition(".")[0] if folder and rest[0] != _DEFAULT else "1"
        if folder and rest[0] == _DEFAULT:
            named.default = path
        elif named.single is folder or version in named.versions:
            other = next(iter(named.versions.values()), f"documents/{name}/")
            remedy = "keep one of them"
            mistakes_of(path).error((0, 0), f"{other} already says what {name} is", value=path, remedy=remedy)
            named.wrong = True
        elif not re.fullmatch(r"[1-9][0-9]{0,9}", version):
            mistakes_of(path).error((0, 0), "a version is a number", value=version, remedy="name it 1.yaml")
            named.wrong = True
        else:
            named.versions[version] = path
    return found


def _say_name(
    name: str,
    named: _Named,
    files: Mapping[str, bytes],
    bundled: Mapping[str, bytes] | None,
    mistakes_of: Callable[[str], Mistakes],
) -> None:
    """Say what a name is or does beside the bundled library; the library itself, byte for byte, is no news."""
    mistakes = mistakes_of(named.first)
    if not _NAME.fullmatch(name):
        remedy = "3 to 128 letters, digits, dots, - or _"
        mistakes.error((0, 0), "not a document's name", value=name, remedy=remedy)
    if bundled is not None:
        if any(files[path] != bundled.get(path) for path in named.paths):
            mistakes.lint((0, 0), "this document wins over the bundled one", value=name)
    elif name.lower().startswith(_RESERVED):
        mistakes.lint((0, 0), "names like this are AWS's own", value=name, remedy="choose another name")


def _read(
    name: DocumentName, named: _Named, files: Mapping[str, bytes], mistakes_of: Callable[[str], Mistakes]
) -> DocumentVersions | None:
    versions = {}
    for version, path in named.versions.items():
        document = read_document_file(path, files[path], name, version, mistakes_of(path))
        if document is not None:
            versions[version] = document
    if named.wrong or len(versions) < len(named.versions):
        return None
    return _with_default(name, named, versions, files, mistakes_of)


def read_document_file(path: str, data: bytes, name: DocumentName, version: str, mistakes: Mistakes) -> Document | None:
    """Read one file, JSON or YAML by its ending, else by its first character; None after a mistake."""
    text = without_mark(data)
    if text != data:
        message = "the document begins with a byte order mark, which is left out"
        mistakes.lint((1, 1), message, remedy="save it as UTF-8 without BOM")
    read = read_json if _is_json(path, text) else read_yaml
    values: list[Value] = read(text, mistakes, escaped_nul=True)
    if len(values) > 1:
        mistakes.error(values[1], "a second YAML document", value="", remedy="one file holds one document")
    if not values and not mistakes.found_errors:
        mistakes.error((1, 1), "the file is empty", remedy="write a document, or remove the file")
    document = read_document(values[0], data, name, version, mistakes) if values else None
    return None if mistakes.found_errors else document


def _is_json(path: str, data: bytes) -> bool:
    if path.endswith((".json", ".yaml", ".yml")):
        return path.endswith(".json")
    return data[:200].lstrip()[:1] == b"{"


def _with_default(
    name: DocumentName,
    named: _Named,
    versions: Mapping[str, Document],
    files: Mapping[str, bytes],
    mistakes_of: Callable[[str], Mistakes],
) -> DocumentVersions | None:
    numbers = sorted(versions, key=int)
    if not numbers:
        mistakes_of(named.first).error((0, 0), "no version is here", remedy="add 1.yaml, or remove the folder")
        return None
    default = numbers[-1]
    if named.default is not None:
        default = (decode(files[named.default], mistakes_of(named.default), longest=64) or "").strip()
        if default not in versions:
            message = "the default is no version that is here"
            remedy = f"write one of {', '.join(numbers[:20])}"
            mistakes_of(named.default).error((1, 1), message, value=default, remedy=remedy)
            return None
    elif len(numbers) > 1:
        mistakes = mistakes_of(named.versions[numbers[-1]])
        remedy = f"add documents/{name}/default with a version's number in it"
        mistakes.error((0, 0), f"{name} has {len(numbers)} versions and none is the default", remedy=remedy)
        return None
    return DocumentVersions(name=name, versions=versions, default=default, latest=numbers[-1])
