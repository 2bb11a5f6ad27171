"""Documents as they lie on disk or in a checkout: read, judged, and shown as what a node would be given."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from reconciler.bundled import bundled_files
from reconciler.commands.request import MASK, looks_secret
from reconciler.daemon.accepting import file_content, read_folder
from reconciler.documents.compact_json import as_text, compact_json
from reconciler.documents.content import NotFetched
from reconciler.documents.downloads import MOST_CONTENT
from reconciler.documents.error import RenderError
from reconciler.documents.given import Given
from reconciler.documents.interpolation import resolve_stored
from reconciler.documents.parameters import parameter_values
from reconciler.documents.refused_inputs import refused_inputs
from reconciler.documents.render import Rendered, RenderedStep, render
from reconciler.errors import DesiredStateError, UsageError
from reconciler.ids import DocumentName
from reconciler.model.desired import DesiredState
from reconciler.model.document import Document
from reconciler.model.known import JsonValue
from reconciler.model.read_state import read_state
from reconciler.model.reading.document_files import read_document_file
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.spelling import did_you_mean, nearest
from reconciler.problem import Gravity, Problem

ENDINGS = (".yaml", ".yml", ".json")
MOST_BESIDE = 500
"""Files of a folder among which a misspelt one is looked for."""
_QUOTE = "'\\''"
"""How a quote stands within a quoted word of sh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One file, and what is to be said of it."""

    file: str
    document: Document | None
    """None: it is not accepted."""
    problems: tuple[Problem, ...]


def judge_documents(paths: list[Path]) -> Iterator[Judged]:
    """Read each file, and every document in each folder. Runs and fetches nothing.

    Raises UsageError for what is not there, and for a folder without a document: nothing judged is not everything right.
    """
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.rglob("*") if _is_document(each, path))
            if not found:
                raise UsageError(f"{path}: no document found in it (files that end in {', '.join(ENDINGS)})")
            yield from map(judge_document, found)
        elif path.exists():
            yield judge_document(path)
        else:
            raise UsageError(f"{path}: there is no such file or folder{_file_like(path, ENDINGS)}")


def _is_document(path: Path, root: Path) -> bool:
    # What leads to the folder is the caller's choice: `../tree` and a home below `.local` are not hidden.
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return path.suffix in ENDINGS and path.is_file() and not path.is_symlink() and not hidden


def judge_document(path: Path) -> Judged:
    """Read one file; what cannot be read is a mistake like any other."""
    mistakes = Mistakes(str(path))
    content = file_content(path)
    if isinstance(content, str):
        mistakes.error((0, 0), content, remedy="make it readable and small, or remove it")
        return Judged(file=str(path), document=None, problems=tuple(mistakes.problems))
    document = read_document_file(str(path), content, DocumentName(path.stem), "1", mistakes)
    if document is not None:
        for step, why in refused_inputs(document):
            mistakes.lint((step.line, 0), f"its inputs are refused, and the step will fail: {why}", value=step.name)
    return Judged(file=str(path), document=document, problems=tuple(sorted(mistakes.problems)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A document with its parameters filled in: what a node would be given."""

    document: Document
    values: Mapping[str, Any]
    """Every declared parameter; references to stored parameters as they stand. Those that look secret by name are masked."""
    rendered: Rendered
    hidden: tuple[str, ...] = ()
    """What must not be shown wherever it stands, longest first."""

    def masked(self, text: str) -> str:
        """Give a text without the values of parameters that look secret."""
        return _without(text, self.hidden)

    def as_json(self) -> Mapping[str, Any]:
        """Give it as a JSON value."""
        return {
            "document": self.document.name,
            "document_version": self.document.version,
            "schema_version": self.document.schema_version,
            "sha256": self.document.digest,
            # What is downloaded is in the digest, and nothing was fetched to show this.
            "rendered": None if self.rendered.fetched else self.rendered.digest,
            "downloads": [self.masked(each.source) for each in self.rendered.fetched],
            "parameters": {
                name: {"type": parameter.type, "required": parameter.required, "value": self.values[name]}
                for name, parameter in self.document.parameters.items()
            },
            "steps": [_step_json(step, self.masked) for step in self.rendered.steps],
        }


def _step_json(step: RenderedStep, masked: Callable[[str], str]) -> Mapping[str, Any]:
    return {
        "name": masked(step.name),
        "action": step.action,
        "skipped": None if step.skip is None else masked(step.skip),
        "fails": None if step.fail is None else masked(step.fail),
        "interpreter": list(step.interpreter),
        "timeout_seconds": int(step.timeout.total_seconds()),
        "working_directory": masked(step.working_directory) or None,
        "environment": {name: masked(value) for name, value in step.environment.items()},
        "on_failure": step.on_failure or None,
        "on_success": step.on_success or None,
        "finally": step.finally_step,
        "script": None if step.script is None else masked(step.script.decode("utf-8", "replace")),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """The document that somebody named, and what it may refer to."""

    document: Document
    library: DesiredState
    content: bytes
    """The bytes of its file, where it was named by that; else none."""
    checkout: Path | None = None
    """Where what it may refer to was read; None: nothing was."""

    def read(self, path: str) -> bytes | None:
        """Give a file of the checkout; None where it is not there. Links are not followed out of it, as no commit's are."""
        if self.checkout is None:
            return None
        file = self.checkout / path
        try:
            inside = file.resolve().is_relative_to(self.checkout.resolve())
            return file.read_bytes() if inside and file.stat().st_size <= MOST_CONTENT else None
        except OSError:
            return None


def find_document(named: str, version: str, repo: Path) -> Meant:
    """Find a document: a file, or a name in the checkout's library. Raises UsageError or DesiredStateError in words."""
    document, library = _meant(named, version, repo)
    content = file_content(Path(named)) if is_named_by_file(named) else b""
    return Meant(
        document=document,
        library=library,
        content=content if isinstance(content, bytes) else b"",
        checkout=repo if (repo / "state").is_dir() else None,
    )


def show_document(named: str, version: str, given: Given, repo: Path) -> Shown:
    """Fill in a document: a file, or a name in the checkout's library. Raises UsageError or DesiredStateError in words."""
    document, library = _meant(named, version, repo)
    wanted = {name: list(found) for name, found in given.items()}
    try:
        values = parameter_values(document.parameters, wanted, library.parameters)
        rendered = render(
            document,
            wanted,
            stored=library.parameters,
            documents=library.documents,
            packages=library.packages,
            contents=NotFetched(),
        )
    except RenderError as exc:
        secrets = (spelling for name, value in wanted.items() if looks_secret(name) for spelling in _spellings(value))
        raise UsageError(_without(f"{document.name}: {exc}", _longest_first(secrets))) from exc
    secret = {name: value for name, value in values.items() if looks_secret(name)}
    looked_up = (resolve_stored(value, library.parameters) for value in secret.values())
    texts = {spelling for value in (*secret.values(), *looked_up) for spelling in _spellings(value)}
    return Shown(
        document=document,
        values={**values, **dict.fromkeys(secret, MASK)},
        rendered=rendered,
        hidden=_longest_first(texts),
    )


def _longest_first(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if text}, key=lambda text: (-len(text), text)))


def _without(text: str, hidden: tuple[str, ...]) -> str:
    for value in hidden:
        text = text.replace(value, MASK)
    return text


def _spellings(value: JsonValue) -> Iterator[str]:
    """Give a value and its parts in every way in which rendering writes them."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _spellings(part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from _spellings(part)
    text = as_text(value)
    for written in {text, text[:80]}:  # reasons quote the first 80 characters
        for plain in (written, written.replace("$$", "$")):
            # As it is pasted; as text within JSON, as Python and as the shell quote it, without their quotes.
            yield from (plain, compact_json(plain)[1:-1], repr(plain)[1:-1], plain.replace("'", _QUOTE))


def _file_like(path: Path, endings: tuple[str, ...]) -> str:
    """Guess which file or folder was meant, by those that lie where the path leads as far as it is right."""
    folder = path.parent
    try:
        beside = [
            each.name for each in islice(folder.iterdir(), MOST_BESIDE) if each.is_dir() or each.suffix in endings
        ]
    except OSError:
        return _file_like(folder, ()) if folder != path else ""
    stems = {Path(name).stem: name for name in beside}
    guess = nearest(path.name, beside) or stems.get(nearest(path.stem, stems) or "")
    return f"; did you mean {folder / guess}?" if guess else ""


def is_named_by_file(named: str) -> bool:
    """Tell whether a document is named by its file, and not by its name."""
    path = Path(named)
    return path.suffix in ENDINGS or path.is_file()


def _bundled() -> DesiredState:
    """Give what is known without a repository: the documents that come with the program."""
    desired, _ = read_state({}, bundled=bundled_files())
    return desired or DesiredState(commit=None)


def _meant(named: str, version: str, repo: Path) -> tuple[Document, DesiredState]:
    """Find a document by its file or its name; a file stands for itself, and knows what else is in the checkout."""
    desired, problems = read_folder(repo) if (repo / "state").is_dir() else (None, ())
    path = Path(named)
    if is_named_by_file(named):
        if not path.is_file():
            raise UsageError(f"{named}: there is no such file{_file_like(path, ENDINGS)}")
        judged = judge_document(path)
        if judged.document is None:
            raise DesiredStateError(tuple(p for p in judged.problems if p.gravity is Gravity.ERROR))
        return judged.document, desired or _bundled()
    if desired is None and not problems:
        desired = _bundled()
        if named not in desired.documents:
            guess = did_you_mean(named, desired.documents) or _file_like(path, ENDINGS)
            raise UsageError(
                f"{repo} is no state repository: name a file, a bundled document, or a checkout with --repo{guess}"
            )
    if desired is None:
        errors = tuple(p for p in problems if p.gravity is Gravity.ERROR)
        raise DesiredStateError(errors)
    versions = desired.documents.get(DocumentName(named))
    if versions is None:
        guess = did_you_mean(named, desired.documents) or _file_like(path, ENDINGS)
        raise UsageError(f"no document is named {named!r}: give one of documents/, a bundled one, or a file{guess}")
    document = versions.get(version)
    if document is None:
        known = ", ".join(sorted(versions.versions, key=int))
        raise UsageError(f"{named} has no version {version}: there are {known}, $DEFAULT and $LATEST")
    return document, desired
