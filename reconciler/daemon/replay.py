"""The facts that passes planned from, kept on this host under their plan's digest: what was decided can be worked out again."""

import gzip
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import structlog

from reconciler.daemon.pause_file import decode_pauses, encode_pauses
from reconciler.errors import SourceError, UsageError
from reconciler.ids import CommitId, NodeId
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.observed import Facts
from reconciler.model.pause import Pauses
from reconciler.plan.plan import Plan

log = structlog.get_logger()

KEPT = 50
"""Plans with items whose facts are kept; older ones go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What one plan stood on."""

    commit: CommitId | None
    history: CommitId | None
    at: datetime
    facts: Mapping[NodeId, Facts]
    pauses: Pauses
    downloads: bytes | None = None
    kept: frozenset[str] = frozenset()
    """Checksums of the files of patches that this host held."""


class Replays:
    """Files `FOLDER/DIGEST.json.gz`. A disk that takes nothing is no reason for a pass to fail."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(
        self,
        plan: Plan,
        facts: Mapping[NodeId, Facts],
        pauses: Pauses,
        downloads: bytes | None = None,
        kept: frozenset[str] = frozenset(),
    ) -> None:
        """Keep what `plan` was made from; a plan without items has nothing to be asked about."""
        if not plan.items:
            return
        value = {
            "commit": plan.commit,
            "history": plan.history,
            "at": plan.at.isoformat(),
            "pauses": encode_pauses(pauses.all).decode(),
            "downloads": None if downloads is None else downloads.decode(),
            "kept": sorted(kept),
            "facts": {node: canonical(found).decode() for node, found in facts.items()},
        }
        try:
            self._write(f"{plan.digest}.json.gz", gzip.compress(orjson.dumps(value), compresslevel=1))
            newest = sorted(self._folder.glob("*.json.gz"), key=lambda file: file.stat().st_mtime, reverse=True)
            for old in newest[KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as exc:
            log.warning("plan not kept", plan=plan.digest, reason=exc.strerror or str(exc))

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
    return Kept(
        commit=value["commit"],
        history=value["history"],
        at=datetime.fromisoformat(value["at"]),
        pauses=Pauses(all=decode_pauses(value["pauses"].encode())) if "pauses" in value else Pauses(),
        downloads=value["downloads"].encode() if value.get("downloads") is not None else None,
        kept=frozenset(value.get("kept", ())),
        facts={NodeId(node): read_canonical(NodeId(node), text.encode()) for node, text in value["facts"].items()},
    )
