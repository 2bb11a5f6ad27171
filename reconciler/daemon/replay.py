"""The facts that passes planned from, kept on this host under their plan's digest: what was decided can be worked out again."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from reconciler.daemon.pause_file import decode_pauses, encode_pauses
from reconciler.errors import UsageError
from reconciler.ids import CommitId, NodeId
from reconciler.inventory.canonical import canonical, read_canonical
from reconciler.inventory.observed import Facts
from reconciler.model.pause import Pauses
from reconciler.plan.plan import Plan

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
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{plan.digest}.json.gz"
        path.write_bytes(gzip.compress(orjson.dumps(value), compresslevel=1))
        newest = sorted(self._folder.glob("*.json.gz"), key=lambda file: file.stat().st_mtime, reverse=True)
        for old in newest[KEPT:]:
            old.unlink(missing_ok=True)

    def find(self, digest: str) -> Kept | None:
        """Give what a plan stood on, by its digest or the start of it (8 digits or more); None: nothing is kept.

        Raises UsageError where several are meant.
        """
        if len(digest) < 8 or not set(digest) <= set("0123456789abcdef"):  # noqa: PLR2004 - shorter ones are branches
            return None
        found = sorted(self._folder.glob(f"{digest}*.json.gz"))
        if len(found) > 1:
            raise UsageError(f"{digest} means {len(found)} plans; give more of the digest")
        if not found:
            return None
        value = orjson.loads(gzip.decompress(found[0].read_bytes()))
        return Kept(
            commit=value["commit"],
            history=value["history"],
            at=datetime.fromisoformat(value["at"]),
            pauses=Pauses(all=decode_pauses(value["pauses"].encode())) if "pauses" in value else Pauses(),
            downloads=value["downloads"].encode() if value.get("downloads") is not None else None,
            kept=frozenset(value.get("kept", ())),
            facts={NodeId(node): read_canonical(NodeId(node), text.encode()) for node, text in value["facts"].items()},
        )
