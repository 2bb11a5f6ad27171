"""A ledger as the files of the compliance branch, and back: one entry a line, sorted, the same bytes for the same entries. Pure.

`ledger/LABEL-CODENAME.json` holds `"PACKAGE VERSION ARCH CHECKSUM": "INSTANT NODE"`. Labels come from nodes: one that is no
plain file name goes by a digest, and the file says which archive it is.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from reconciler.ids import NodeId
from reconciler.model.ledger_seed import LedgerKey
from reconciler.patching.ledger import Ledger, LedgerEntry

FOLDER: Final = "ledger"
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_PARTS: Final = 4


def ledger_path(archive: str) -> str:
    """Give the file of an archive."""
    if _PLAIN.fullmatch(archive) and ".." not in archive:
        return f"{FOLDER}/{archive}.json"
    return f"{FOLDER}/other-{sha256(archive.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"


def write_ledger(ledger: Ledger) -> Mapping[str, bytes]:
    """Write every archive that has entries."""
    return {
        ledger_path(archive): _file(archive, entries) for archive, entries in sorted(ledger.archives.items()) if entries
    }


def _file(archive: str, entries: Mapping[LedgerKey, LedgerEntry]) -> bytes:
    lines = sorted(f"{json.dumps(str(key))}: {json.dumps(_value(entry))}" for key, entry in entries.items())
    return ("{\n" + f'"archive": {json.dumps(archive)},\n"entries": {{\n' + ",\n".join(lines) + "\n}\n}\n").encode()


def _value(entry: LedgerEntry) -> str:
    return f"{entry.first_seen.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z {entry.node}"


def read_ledger(files: Mapping[str, bytes]) -> Ledger:
    """Read the ledger's files. Raises ValueError, with the path, on one that we would not have written: unknown is not empty."""
    archives: dict[str, Mapping[LedgerKey, LedgerEntry]] = {}
    for path in sorted(files):
        try:
            archive, entries = _read(path, files[path])
        except (ValueError, RecursionError) as exc:
            raise ValueError(f"{path}: not a ledger: {exc}") from exc
        archives[archive] = entries
    return Ledger(archives=archives)


def _read(path: str, data: bytes) -> tuple[str, Mapping[LedgerKey, LedgerEntry]]:
    said = json.loads(data)
    if not isinstance(said, dict) or said.keys() != {"archive", "entries"}:
        raise ValueError("no archive and entries")
    archive, entries = said["archive"], said["entries"]
    if not isinstance(archive, str) or not isinstance(entries, dict):
        raise ValueError("no archive and entries")  # noqa: TRY004  (a file's shape, not a caller's type)
    if ledger_path(archive) != path:
        raise ValueError(f"it belongs at {ledger_path(archive)}")
    return archive, dict(_entry(key, value) for key, value in entries.items())


def read_archive_line(line: str) -> str | None:
    """Read the archive's name from its line of a file; None: it is another line."""
    found = _member(line)
    return found[1] if found is not None and found[0] == "archive" and isinstance(found[1], str) else None


def read_entry_line(line: str) -> tuple[LedgerKey, LedgerEntry] | None:
    """Read an entry from its line of a file; None: it is none that we would have written."""
    found = _member(line)
    try:
        return None if found is None else _entry(*found)
    except ValueError:
        return None


def _member(line: str) -> tuple[str, object] | None:
    """Read one member of a JSON object."""
    if not line.startswith('"'):
        return None
    try:
        ((key, value),) = json.loads(f"{{{line.removesuffix(',')}}}").items()
    except (ValueError, RecursionError):
        return None
    return key, value


def _entry(key: str, value: object) -> tuple[LedgerKey, LedgerEntry]:
    parts = key.split(" ")
    instant, _, node = value.partition(" ") if isinstance(value, str) else ("", "", "")
    if len(parts) != _PARTS or not all(parts) or not node or not instant.endswith("Z"):
        raise ValueError(f"not an entry: {key[:80]!r}")
    return LedgerKey(*parts), LedgerEntry(first_seen=datetime.fromisoformat(instant), node=NodeId(node))
