"""What nodes last said, kept in the manager's state folder: so that a cold process, too, is answered `unchanged`.

A cache only: a file that is missing, cut, of another version or not ours is as good as none, and costs one full answer. One
file a node: a line of JSON (fingerprints, markers), then the facts in their committed form, read where they are asked.
"""

import contextlib
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from reconciler.ids import Digest, NodeId
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.collect import Collected
from reconciler.inventory.observed import VOLATILE, VOLATILE_ROWS, Facts
from reconciler.inventory.program import VERSION
from reconciler.model.known import JsonValue, Known

_KEPT: Final = ("markers", "addresses", "metadata", "source_times", "refreshed")
"""Volatile sections that the node may call unchanged, or does not tell again: they are kept beside the committed form."""

_ASKED_AFRESH: Final = (VOLATILE - set(_KEPT)) | {section for section, _ in VOLATILE_ROWS}
"""Sections that the committed form holds in part, or not at all."""


def load_collected(folder: Path) -> Mapping[NodeId, Collected]:
    """Give what the folder keeps, of every node."""
    return _cache(folder).load()


def save_collected(folder: Path, collected: Mapping[NodeId, Collected]) -> None:
    """Keep what the folder does not hold yet, and forget nodes that are not among these."""
    _cache(folder).save(collected)


@cache
def _cache(folder: Path) -> "Cache":
    return Cache(folder)


class Cache:
    """Files `FOLDER/ab/ID.json`; remembers what stands in them, so that a pass over unchanged nodes writes nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[NodeId, object] = {}

    def load(self) -> Mapping[NodeId, Collected]:
        """Give what is kept; never raises for what a file holds."""
        found: dict[NodeId, Collected] = {}
        for path in sorted(self._folder.glob("[0-9a-f][0-9a-f]/*.json")):
            node = NodeId(path.stem)
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                collected = _read(node, path.read_bytes())
                found[node] = collected
                self._written[node] = _mark(collected)
        return found

    def save(self, collected: Mapping[NodeId, Collected]) -> None:
        """Keep what differs from the files. A disk that takes nothing is no reason to fail: the next pass asks in full."""
        for node in self._written.keys() - collected.keys():
            self._drop(node)
        for node, one in collected.items():
            mark = _mark(one)
            if one.error is not None or self._written.get(node) == mark:
                continue
            with contextlib.suppress(OSError):
                _replace(self._path(node), _write(one))
                self._written[node] = mark

    def _drop(self, node: NodeId) -> None:
        self._written.pop(node, None)
        with contextlib.suppress(OSError):
            self._path(node).unlink()

    def _path(self, node: NodeId) -> Path:
        shard = f"{zlib.crc32(node.encode()) & 0xFF:02x}"
        return self._folder / shard / f"{node}.json"


def _mark(one: Collected) -> object:
    """Give what decides whether a file is out of date: not when the node answered, which differs in every pass."""
    digests = {name: digest for name, digest in one.digests.items() if name not in _ASKED_AFRESH}
    return one.fingerprints, digests, one.host_key


def _write(one: Collected) -> bytes:
    kept = {name: section for name, section in one.facts.sections.items() if name not in _ASKED_AFRESH}
    body = canonical(replace(one.facts, sections=kept))
    header = {
        "version": VERSION,
        "node": one.facts.node,
        "checksum": zlib.crc32(body),
        "collected_at": one.collected_at.isoformat(),
        "host_key": one.host_key,
        "fingerprints": dict(one.fingerprints),
        "digests": {name: digest for name, digest in one.digests.items() if name in kept},
        "read_at": {name: at.isoformat() for name, at in one.read_at.items() if name in kept},
        "volatile": _volatile(one),
    }
    return orjson.dumps(header) + b"\n" + body


def _volatile(one: Collected) -> Mapping[str, Mapping[str, JsonValue]]:
    sections = {name: one.facts.sections.get(name) for name in _KEPT}
    return {name: dict(section.value.items()) for name, section in sections.items() if isinstance(section, Known)}


def _read(node: NodeId, content: bytes) -> Collected:
    line, _, body = content.partition(b"\n")
    header: dict[str, Any] = orjson.loads(line)
    if (header["version"], header["node"], header["checksum"]) != (VERSION, node, zlib.crc32(body)):
        raise ValueError("another version, another node, or cut")
    committed = read_canonical(node, body).sections
    sections = {name: committed[name] for name in committed}
    sections |= {name: Known(_rows(header["volatile"][name])) for name in _KEPT if name in header["volatile"]}
    return Collected(
        facts=Facts(node=node, sections=sections),
        fingerprints={name: text for name, text in header["fingerprints"].items() if name in sections},
        digests={name: Digest(digest) for name, digest in header["digests"].items() if name in sections},
        read_at={name: datetime.fromisoformat(at) for name, at in header["read_at"].items() if name in sections},
        collected_at=datetime.fromisoformat(header["collected_at"]),
        host_key=header["host_key"],
    )


def _rows(value: object) -> Mapping[str, JsonValue]:
    """Refuse what no pass wrote: the rows are taken as they are, long after this file was read."""
    if not isinstance(value, dict):
        raise TypeError("a section is no mapping of rows")
    return value


def _replace(path: Path, content: bytes) -> None:
    """Write beside and rename over: a reader sees the old file or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.touch(mode=0o600, exist_ok=False)
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
