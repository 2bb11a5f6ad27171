"""One small JSON record on a ref of its own, without history: read it, or replace it by compare-and-swap."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from reconciler.errors import SourceError
from reconciler.foreign_text import json_escaped
from reconciler.model.known import JsonValue
from reconciler.source.records import RefResult, RefRule, RefUpdate, Remote
from reconciler.source.repository import Repository

_FIRST_YEAR, _LAST_YEAR = 1970, 2199


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a ref held when we looked."""

    blob: str | None
    """None: there is no such ref."""
    value: Mapping[str, JsonValue]
    trouble: str = ""
    """Why it cannot be understood; the value is empty then."""


def read_held(repository: Repository, remote: Remote, ref: str, *, fetch: bool = True) -> Held:
    """Read the record; with `fetch=False` as it was when last fetched or written."""
    if fetch:
        repository.fetch(remote, (ref,))
    blob = repository.ref(remote.tracking(ref))
    if blob is None:
        return Held(blob=None, value={})
    where = f"{ref} of {remote.address.shown}"
    try:
        content = repository.read_blob(blob)
    except SourceError as exc:  # larger than anything of ours
        return Held(blob=blob, value={}, trouble=f"{where} cannot be read: {exc}")
    return understood(blob, content, where)


def understood(blob: str, content: bytes, where: str) -> Held:
    """Read the text of a record; never raises, whatever somebody put there."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as exc:
        return Held(blob=blob, value={}, trouble=f"{where} is not JSON: {exc}")
    if not isinstance(value, dict):
        return Held(blob=blob, value={}, trouble=f"{where} is no JSON object")
    return Held(blob=blob, value=value)


def instant_of(value: JsonValue) -> datetime | None:
    """Read an instant with its zone (none: UTC); None where it is none, or one that no clock of ours shows.

    At both ends of time the arithmetic of dates fails, and whoever can push to the remote can write such a date.
    """
    try:
        read = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if read is None or not _FIRST_YEAR <= read.year <= _LAST_YEAR:
        return None
    return read.replace(tzinfo=read.tzinfo or UTC)


def replacement(repository: Repository, ref: str, value: Mapping[str, JsonValue], seen: str | None) -> RefUpdate:
    """Write the record as a blob of our clone; the update moves the ref to it, if the ref still holds `seen`."""
    content = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
    blob = repository.write_blob(json_escaped(content))
    return RefUpdate(ref=ref, new=blob, rule=RefRule.COMPARE_AND_SWAP, expected=seen)


def swap(
    repository: Repository, remote: Remote, ref: str, value: Mapping[str, JsonValue], seen: str | None
) -> RefResult:
    """Replace the record now; whether the remote took it is in the result."""
    return repository.push(remote, (replacement(repository, ref, value, seen),))[0]
