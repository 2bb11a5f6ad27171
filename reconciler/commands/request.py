"""What `aws ssm send-command` takes -> a valid request; SSM's limits and names of errors; pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from reconciler.commands.output_place import OutputPlace, read_place
from reconciler.documents.actions.run_document import REFERENCE
from reconciler.documents.error import RenderError
from reconciler.documents.given import Given, given_parameters, shorthand, strict_json
from reconciler.errors import UsageError
from reconciler.ids import DocumentName, NodeId
from reconciler.model.association import Target
from reconciler.rollout.progress import Ramp
from reconciler.targets.match import GROUP, INSTANCE_IDS, TAG, TAG_KEY

DEFAULT_TIMEOUT: Final = 3600
DEFAULT_CONCURRENCY: Final = "50"
DEFAULT_ERRORS: Final = "0"
DEFAULT_RAMP: Final = Ramp.EXPONENTIAL
SHORTEST, LONGEST = 30, 2_592_000
MOST_IDS, MOST_TARGETS, MOST_VALUES, LONGEST_COMMENT = 50, 5, 50, 100
MOST_BYTES: Final = 64 * 1024
"""SSM: of document and parameters together."""

_DOCUMENT = re.compile(r"[a-zA-Z0-9_\-.:/]{3,128}")
_VERSION = re.compile(r"\$DEFAULT|\$LATEST|[1-9][0-9]{0,9}", re.ASCII)
_HASH = re.compile(r"[0-9a-fA-F]{64}")
_CONCURRENCY = re.compile(r"[1-9][0-9]{0,6}|[1-9][0-9]?%|100%", re.ASCII)
_ERRORS = re.compile(r"0|[1-9][0-9]{0,6}|[0-9]%|[1-9][0-9]%|100%", re.ASCII)
_TARGET_KEY: Final = 163


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The options as typed, each word of them still text."""

    document_name: str
    document_version: str = "$DEFAULT"
    document_hash: str | None = None
    targets: Sequence[str] = ()
    instance_ids: Sequence[str] = ()
    parameters: Sequence[str] = ()
    max_concurrency: str = DEFAULT_CONCURRENCY
    max_errors: str = DEFAULT_ERRORS
    timeout_seconds: int = DEFAULT_TIMEOUT
    comment: str = ""
    output_s3_bucket_name: str = ""
    output_s3_key_prefix: str = ""
    ramp: str = DEFAULT_RAMP.value
    max_unreachable: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A valid request: the document may still not be there, and the nodes neither."""

    document: DocumentName
    version: str
    hash: str | None
    """SHA-256 that the document must have; None: whichever it has."""
    targets: tuple[Target, ...]
    instance_ids: tuple[NodeId, ...]
    parameters: Given
    max_concurrency: str
    max_errors: str
    timeout: timedelta
    """Until when it must have started on a node."""
    comment: str
    output: OutputPlace | None = None
    """Where the whole output goes besides this host."""
    ramp: Ramp = DEFAULT_RAMP
    max_unreachable: str | None = None
    """How many nodes out of reach are tolerated; None: any number, as on SSM."""


def read_request(typed: Typed) -> Request:
    """Check the shape of everything that was typed. Raises UsageError with SSM's name of the error, where it has one."""
    if not _DOCUMENT.fullmatch(typed.document_name):
        raise UsageError(f"--document-name {typed.document_name!r}: 3 to 128 letters, digits, _ - . : or /")
    if not _VERSION.fullmatch(typed.document_version):
        raise UsageError(
            f"InvalidDocumentVersion: --document-version {typed.document_version}: write $DEFAULT, $LATEST or a number"
        )
    if typed.document_hash is not None and not _HASH.fullmatch(typed.document_hash):
        raise UsageError("--document-hash: write the SHA-256 of the document, 64 hexadecimal digits")
    _check_rates(typed)
    if not SHORTEST <= typed.timeout_seconds <= LONGEST:
        raise UsageError(f"--timeout-seconds {typed.timeout_seconds}: from {SHORTEST} to {LONGEST}")
    if len(typed.comment) > LONGEST_COMMENT:
        raise UsageError(f"--comment: {len(typed.comment)} characters, at most {LONGEST_COMMENT} are taken")
    document, version = _reference(typed)
    ids, targets = _instance_ids(typed.instance_ids), _targets(typed.targets)
    if bool(ids) == bool(targets):
        raise UsageError("give one of --instance-ids and --targets: which nodes are meant")
    try:
        parameters = given_parameters(typed.parameters)
    except RenderError as exc:
        raise UsageError(f"InvalidParameters: {exc}") from exc
    return Request(
        document=document,
        version=version,
        hash=None if typed.document_hash is None else typed.document_hash.lower(),
        targets=targets,
        instance_ids=ids,
        parameters=parameters,
        max_concurrency=typed.max_concurrency,
        max_errors=typed.max_errors,
        timeout=timedelta(seconds=typed.timeout_seconds),
        comment=typed.comment,
        ramp=_ramp(typed.ramp),
        max_unreachable=typed.max_unreachable or None,
        output=read_place(typed.output_s3_bucket_name, typed.output_s3_key_prefix),
    )


def _check_rates(typed: Typed) -> None:
    if not _CONCURRENCY.fullmatch(typed.max_concurrency):
        raise UsageError(f"--max-concurrency {typed.max_concurrency!r}: write a number from 1, or 1% to 100%")
    for option, written in (("--max-errors", typed.max_errors), ("--max-unreachable", typed.max_unreachable or "0")):
        if not _ERRORS.fullmatch(written):
            raise UsageError(f"{option} {written!r}: write a number from 0, or 0% to 100%")


def _ramp(word: str) -> Ramp:
    try:
        return Ramp(word)
    except ValueError as exc:
        raise UsageError(f"--ramp {word!r}: write {Ramp.EXPONENTIAL.value} or {Ramp.NONE.value}") from exc


def _reference(typed: Typed) -> tuple[DocumentName, str]:
    """Give the document's name and version; a name may be an ARN, and bring its version along."""
    found = REFERENCE.fullmatch(typed.document_name)
    if found is None:
        raise UsageError(
            f"InvalidDocument: --document-name {typed.document_name!r} is not NAME, NAME:VERSION or a document's ARN"
        )
    name, version = DocumentName(found[1]), found[2]
    if version is not None and typed.document_version not in ("$DEFAULT", version):
        raise UsageError(
            f"InvalidDocumentVersion: --document-name says version {version}, --document-version {typed.document_version}"
        )
    return name, version or typed.document_version


def id_words(words: Sequence[str]) -> Iterator[str]:
    """Give the ids that words of --instance-ids name: by blanks, by commas, or as a JSON list. Raises UsageError."""
    for word in words:
        if word.lstrip().startswith("["):
            try:
                listed = strict_json(word)
            except (ValueError, RecursionError) as exc:
                raise UsageError(f"--instance-ids begins like JSON and is none ({exc})") from exc
            if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
                raise UsageError("--instance-ids: a list in JSON holds texts")
            yield from map(str, listed)
        else:
            yield from (one for chunk in word.split(",") for one in chunk.split() or [""])


def _instance_ids(words: Sequence[str]) -> tuple[NodeId, ...]:
    ids = [NodeId(one) for one in id_words(words)]
    if len(ids) > MOST_IDS:
        raise UsageError(f"--instance-ids: {len(ids)} ids, at most {MOST_IDS} are taken; use --targets")
    if not all(ids):
        raise UsageError("--instance-ids: an id is missing")
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise UsageError(f"DuplicateInstanceId: {', '.join(twice)} is named more than once")
    return tuple(ids)


def _targets(words: Sequence[str]) -> tuple[Target, ...]:
    found = tuple(target for word in words for target in _read_targets(word.strip()))
    if len(found) > MOST_TARGETS:
        raise UsageError(f"InvalidTarget: {len(found)} keys, at most {MOST_TARGETS} are taken")
    return found


def _read_targets(text: str) -> tuple[Target, ...]:
    if text.startswith(("[", "{")):
        try:
            value = strict_json(text)
        except (ValueError, RecursionError) as exc:
            raise UsageError(f"InvalidTarget: --targets begins like JSON and is none ({exc})") from exc
        return tuple(_target(one) for one in (value if isinstance(value, list) else [value]))
    try:
        read = shorthand(text, "--targets")
    except RenderError as exc:
        raise UsageError(f"InvalidTarget: {exc}") from exc
    return (_target({name: values[0] if name == "Key" and values else list(values) for name, values in read.items()}),)


def _target(value: object) -> Target:
    if not isinstance(value, Mapping) or set(value) != {"Key", "Values"}:
        raise UsageError(
            'InvalidTarget: --targets: write Key=tag:NAME,Values=VALUE or {"Key": "...", "Values": ["..."]}'
        )
    key, values = value["Key"], value["Values"]
    if not isinstance(key, str) or not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise UsageError("InvalidTarget: --targets: Key is a text, Values a list of texts")
    known = key.lower() == INSTANCE_IDS or key in (TAG_KEY, GROUP) or (key.startswith(TAG) and len(key) > len(TAG))
    if not known or len(key) > _TARGET_KEY:
        raise UsageError(f"InvalidTarget: --targets: {key!r} is none of tag:NAME, tag-key, InstanceIds, {GROUP}")
    if not 1 <= len(values) <= MOST_VALUES:
        raise UsageError(f"InvalidTarget: --targets: {key} has {len(values)} values, 1 to {MOST_VALUES} are taken")
    if key == GROUP and len(values) != 1:
        raise UsageError(f"InvalidTarget: --targets: {GROUP} takes exactly one group")
    return Target(key=key, values=tuple(values))


def stop_in_words(threshold: int, targets: int, expression: str) -> str:
    """Say, before anything runs, at which failure the dispatch stops."""
    if threshold >= targets:
        return f"does not stop at failures: MaxErrors {expression} tolerates {threshold} on {_nodes(targets)}"
    return f"stops at the {ordinal(threshold + 1)} failure: MaxErrors {expression} tolerates {threshold} on {_nodes(targets)}"


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def ordinal(number: int) -> str:
    """Write 1st, 2nd, 3rd, 4th."""
    teens = 10 < number % 100 < 14  # noqa: PLR2004  (11th, 12th, 13th)
    return f"{number}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


MASK: Final = "[masked]"
_HIDDEN = re.compile(
    r"password|passwd|passphrase|passcode|pwd|secret|token|credential|(private|api|access|ssh|auth|encryption|signing|master)_?key",
    re.IGNORECASE,
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NO_PASS = frozenset({"bypass", "compass", "encompass", "overpass", "surpass", "trespass", "underpass"})


def looks_secret(name: str) -> bool:
    """Tell whether a parameter's name says that its value is not for everybody."""
    words = {word.lower() for word in _WORD.findall(name)}
    return _HIDDEN.search(name) is not None or any(word.endswith("pass") for word in words - _NO_PASS)


def masked(parameters: Given) -> Mapping[str, tuple[str, ...]]:
    """Give the parameters as they may be kept: the values of those whose name says that they are secret are not."""
    return {
        name: tuple(MASK for _ in values) if looks_secret(name) else values
        for name, values in sorted(parameters.items())
    }
