"""What the AWS CLI printed about Systems Manager, saved into files: takes their bytes, gives associations, documents and baselines.

One answer a file: describe-association, get-document, get-patch-baseline, as JSON or YAML. Lists (list-associations and the like)
do not hold everything, so they are only told of. Nothing is asked of AWS.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from reconciler.importing.ansible import Source
from reconciler.importing.files import quoted
from reconciler.importing.harvest import FoundFile, Harvest, Kind, Note
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Items, Scalar, Table, Value, is_null, resolve
from reconciler.model.reading.yaml_text import read_yaml

_LISTS = {
    "Associations": "save `aws ssm describe-association --association-id ID` of each instead: a list holds no parameters",
    "BaselineIdentities": "save `aws ssm get-patch-baseline --baseline-id ID` of each instead: a list holds no rules",
    "DocumentIdentifiers": "save `aws ssm get-document --name NAME` of each instead: a list holds no content",
    "InstanceInformationList": "AWS knows no way to log in: bring nodes in with ssh-config or ansible",
}
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DEEPEST = 32
_PASSING = frozenset(
    {
        "AssociationVersion",
        "CreatedDate",
        "Date",
        "LastExecutionDate",
        "LastSuccessfulExecutionDate",
        "LastUpdateAssociationDate",
        "ModifiedDate",
        "Overview",
        "Status",
    }
)
"""What happened on AWS: it would be true for a day, and nobody reviews it."""


class _Skip(Exception):
    """Why an answer is not imported."""


def files_from(sources: tuple[Source, ...]) -> Harvest:
    """Give a file for every association, document and baseline, and a note for everything else."""
    notes: list[Note] = []
    found: dict[str, FoundFile] = {}
    for source in sources:
        mistakes = Mistakes(source.file)
        is_json = source.data.lstrip()[:1] in {b"{", b"["}
        values = (read_json if is_json else read_yaml)(source.data, mistakes)
        notes += [
            Note(kind=Kind.SKIPPED, place=f"{p.file}:{p.line}", what=f"{p.message} ({p.value}); {p.remedy}")
            for p in mistakes.problems
        ]
        for value in values:
            place = f"{source.file}:{value.line}"
            try:
                file = _file_of(value, place)
            except _Skip as why:
                notes.append(Note(kind=Kind.SKIPPED, place=place, what=str(why)))
                continue
            if file.path in found:
                what = f"{file.kind} {file.name}: the same as in {found[file.path].place}"
                notes.append(Note(kind=Kind.SKIPPED, place=place, what=what))
            else:
                found[file.path] = file
    return Harvest(files=tuple(found.values()), notes=tuple(notes))


def _file_of(value: Value, place: str) -> FoundFile:
    if not isinstance(value, Table):
        raise _Skip("not an answer of the AWS CLI: a mapping was expected")
    for name, remedy in _LISTS.items():
        if name in value.entries:
            raise _Skip(f"a list ({name}); {remedy}")
    for is_one, make in _KINDS:
        if is_one(value):
            return make(value, place)
    raise _Skip("none of describe-association, get-document, get-patch-baseline; what it is cannot be told")


def _association(value: Table, place: str) -> FoundFile:
    inner = value.table("AssociationDescription") or value
    document, number = inner.scalar("Name") or "", inner.scalar("AssociationId") or ""
    name = inner.scalar("AssociationName") or f"{document}-{number[:8]}".strip("-")
    left_out = {"AssociationName", "Mode", *_PASSING}
    targets = [(one.scalar("Key"), [text.text for text in one.texts("Values")]) for one in inner.tables("Targets")]
    if targets == [("InstanceIds", [inner.scalar("InstanceId")])]:
        left_out.add("InstanceId")  # so the service answers about an association of one node: it says the same
    entries = {key: entry for key, entry in inner.entries.items() if key not in left_out}
    head = f"AssociationName: {quoted(name)}\nMode: warn\n"
    return FoundFile(
        kind="association",
        name=name,
        path=f"state/associations/{_file_name(name)}.yaml",
        content=(head + _block(entries)).encode(),
        place=place,
    )


def _baseline(value: Table, place: str) -> FoundFile:
    name = value.scalar("Name") or ""
    return FoundFile(
        kind="baseline",
        name=name,
        path=f"baselines/{_file_name(name)}.yaml",
        content=_block({key: entry for key, entry in value.entries.items() if key not in _PASSING}).encode(),
        place=place,
    )


def _document(value: Table, place: str) -> FoundFile:
    name, content = value.scalar("Name") or "", value.scalar("Content") or ""
    ending = "yaml" if (value.scalar("DocumentFormat") or "JSON").upper() == "YAML" else "json"
    if not content:
        raise _Skip(f"document {name} has no Content")
    return FoundFile(
        kind="document",
        name=name,
        path=f"documents/{_file_name(name)}.{ending}",
        content=(content if content.endswith("\n") else f"{content}\n").encode("utf-8", "replace"),
        place=place,
    )


_KINDS: tuple[tuple[Callable[[Table], bool], Callable[[Table, str], FoundFile]], ...] = (
    (lambda value: value.table("AssociationDescription") is not None, _association),
    (lambda value: "Content" in value.entries and "Name" in value.entries, _document),
    (lambda value: "BaselineId" in value.entries and "ApprovalRules" in value.entries, _baseline),
    (lambda value: "AssociationId" in value.entries and "Name" in value.entries, _association),
)


def _file_name(name: str) -> str:
    if not _FILE_NAME.fullmatch(name):
        raise _Skip(f"its name cannot be a file's name: {name!r}" if name else "it has no name")
    return name


def _block(entries: Mapping[str, Value]) -> str:
    """Write entries as YAML, one a line where they fit; what is null or empty says nothing and is left out."""
    return "".join(f"{line}\n" for line in _lines(entries, 0))


def _lines(entries: Mapping[str, Value], depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise _Skip(f"more than {_DEEPEST} levels of nesting")
    indent = "  " * depth
    for key, value in entries.items():
        if _is_empty(value):
            continue
        name = key if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", key) else quoted(key)
        if isinstance(value, Table):
            yield f"{indent}{name}:"
            yield from _lines(value.entries, depth + 1)
        elif isinstance(value, Items) and any(isinstance(item, Table) for item in value.items):
            yield f"{indent}{name}:"
            for item in value.items:
                yield f"{indent}  - {_flow(item, depth)}"
        else:
            yield f"{indent}{name}: {_flow(value, depth)}"


def _is_empty(value: Value) -> bool:
    if isinstance(value, Scalar):
        return is_null(value)
    inner = value.items if isinstance(value, Items) else value.entries.values()
    return all(_is_empty(item) for item in inner)


def _flow(value: Value, depth: int) -> str:
    if depth > _DEEPEST:
        raise _Skip(f"more than {_DEEPEST} levels of nesting")
    if isinstance(value, Scalar):
        return quoted(value.text) if isinstance(resolve(value), str) else value.text
    if isinstance(value, Items):
        return f"[{', '.join(_flow(item, depth + 1) for item in value.items)}]"
    inner = (f"{quoted(key)}: {_flow(item, depth + 1)}" for key, item in value.entries.items() if not _is_empty(item))
    return f"{{{', '.join(inner)}}}"
