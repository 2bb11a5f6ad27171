"""The facts that passes planned from, kept on this host under their plan's digest: what was decided can be worked out again."""

import gzip
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from reconciler.daemon.basis_text import decode_basis, encode_basis
from reconciler.drift.patched import PatchBooks
from reconciler.drift.recollection import Basis
from reconciler.errors import SourceError, UsageError
from reconciler.ids import CommitId, Digest, NodeId
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.observed import VOLATILE, VOLATILE_ROWS, Facts
from reconciler.model.known import JsonValue, Known, Unknown
from reconciler.plan.plan import Plan

VERSION = 2
"""Of what is kept: what another release kept is as good as not kept."""

KEPT = 50
"""Plans with items whose facts are kept; older ones go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one plan stood on."""

    digest: Digest
    commit: CommitId | None
    history: CommitId | None
    at: datetime
    facts: Mapping[NodeId, Facts]
    """With their volatile sections: run folders and markers on nodes say what may run next."""
    basis: Basis
    downloads: bytes | None = None
    keeps_files: bool = False
    kept: frozenset[str] = frozenset()
    """Checksums of the files of patches that this host held."""
    clock_before: datetime | None = None
    elapsed: timedelta | None = None
    """What the clocks had said since the pass before, as in `PatchBooks`."""


class Replays:
    """Files `FOLDER/DIGEST.json.gz`. A disk that takes nothing is no reason for a pass to fail."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(
        self,
        plan: Plan,
        facts: Mapping[NodeId, Facts],
        basis: Basis,
        books: PatchBooks,
        downloads: bytes | None = None,
    ) -> tuple[str, ...]:
        """Keep what `plan` was made from; a plan without items has nothing to be asked about. Gives why it could not, in words."""
        if not plan.items:
            return ()
        value = {
            "version": VERSION,
            "digest": plan.digest,
            "commit": plan.commit,
            "history": plan.history,
            "at": plan.at.isoformat(),
            "downloads": None if downloads is None else downloads.decode(),
            "keeps_files": books.keeps_files,
            "kept": sorted(books.kept),
            "clock_before": None if books.clock_before is None else books.clock_before.isoformat(),
            "elapsed": None if books.elapsed is None else books.elapsed.total_seconds(),
            "basis": encode_basis(basis),
            "facts": {node: canonical(found).decode() for node, found in facts.items()},
            "volatile": {node: _volatile(found) for node, found in facts.items()},
        }
        try:
            self._write(f"{plan.digest}.json.gz", gzip.compress(orjson.dumps(value), compresslevel=1))
            newest = sorted(self._folder.glob("*.json.gz"), key=lambda file: file.stat().st_mtime, reverse=True)
            for old in newest[KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as exc:
            why = exc.strerror or str(exc)
            return (f"plan {plan.digest} is not kept in {self._folder} and cannot be worked out again: {why}",)
        return ()

    def _write(self, name: str, content: bytes) -> None:
        """Write beside and rename: whoever is killed, or finds no room, leaves no half of a plan."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._folder / f".new.{secrets.token_hex(4)}"
        try:
            beside.touch(mode=0o600, exist_ok=False)
            beside.write_bytes(content)
            beside.replace(self._folder / name)
        finally:
            beside.unlink(missing_ok=True)

    def find(self, digest: str) -> Kept | None:
        """Give what a plan stood on, by its digest or the start of it (8 digits or more); None: nothing is kept.

        Raises UsageError where several are meant, SourceError where what is kept does not read: it is as good as not kept.
        """
        if len(digest) < 8 or not set(digest) <= set("0123456789abcdef"):  # noqa: PLR2004 - shorter ones are branches
            return None
        found = sorted(self._folder.glob(f"{digest}*.json.gz"))
        if len(found) > 1:
            raise UsageError(f"{digest} means {len(found)} plans; give more of the digest")
        if not found:
            return None
        try:
            return _kept(orjson.loads(gzip.decompress(found[0].read_bytes())))
        except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError) as exc:
            why = exc.strerror if isinstance(exc, OSError) and exc.strerror else f"{type(exc).__name__}: {exc}"
            raise SourceError(
                f"plan {digest} is not kept: {found[0]} does not read ({why}); it cannot be worked out again from here"
            ) from exc


def _kept(value: Mapping[str, Any]) -> Kept:
    if value.get("version") != VERSION:
        raise ValueError("another release kept it")
    before, elapsed = value["clock_before"], value["elapsed"]
    return Kept(
        digest=Digest(value["digest"]),
        commit=value["commit"],
        history=value["history"],
        at=datetime.fromisoformat(value["at"]),
        basis=decode_basis(value["basis"]),
        downloads=None if value["downloads"] is None else value["downloads"].encode(),
        keeps_files=value["keeps_files"],
        kept=frozenset(value["kept"]),
        clock_before=None if before is None else datetime.fromisoformat(before),
        elapsed=None if elapsed is None else timedelta(seconds=elapsed),
        facts={
            NodeId(node): _with_volatile(read_canonical(NodeId(node), text.encode()), value["volatile"][node])
            for node, text in value["facts"].items()
        },
    )


def _volatile(facts: Facts) -> Mapping[str, Any]:
    """Give what the committed form leaves out: sections, and rows of others; of those that are unknown, why."""
    known: dict[str, dict[str, JsonValue]] = {}
    unknown: dict[str, str] = {}
    for name in sorted(VOLATILE & facts.sections.keys()):
        match facts.sections[name]:
            case Known(rows):
                known[name] = dict(rows.items())
            case Unknown(why=why):
                unknown[name] = why
    rows = {}
    for name in {section for section, _ in VOLATILE_ROWS} & facts.sections.keys():
        match facts.sections[name]:
            case Known(whole):
                rows[name] = {row: whole[row] for of, row in VOLATILE_ROWS if of == name and row in whole}
            case _:
                pass
    return {"known": known, "unknown": unknown, "rows": rows}


def _with_volatile(facts: Facts, volatile: Mapping[str, Any]) -> Facts:
    sections = {name: facts.sections[name] for name in facts.sections}
    for name, rows in volatile["rows"].items():
        match sections.get(name):
            case Known(committed):
                sections[name] = Known({**committed, **rows})
            case _:
                pass
    sections |= {name: Known(rows) for name, rows in volatile["known"].items()}
    sections |= {name: Unknown(why) for name, why in volatile["unknown"].items()}
    return replace(facts, sections=sections)
