"""The lists of patches in a baseline: YAML values -> entries, with what is odd about each on its operating system."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from reconciler.model.baseline import APT_SYSTEMS, OperatingSystem, PatchEntry
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import Items, Scalar, Table, Value

LISTS: Final = ("ApprovedPatches", "RejectedPatches", "Holds", "Ignores")
EXCEPTIONS: Final = ("RejectedPatches", "Holds", "Ignores")
"""Lists whose entries say whose they are, why, and until when."""
_WITH_REASON: Final = ("Owner", "Reason", "Expires")
_ENTRIES_ON_AWS: Final = 50
_ADVISORY: Final = re.compile(r"CVE-[0-9]{4}-[0-9]+|[A-Z]{2,8}[0-9]*-[0-9]{4}[:-][0-9]+|[0-9]+", re.IGNORECASE)
_VERSION: Final = "version:"


def read_entries(
    value: Table, system: OperatingSystem, mistakes: Mistakes, *, require_reasons: bool
) -> Mapping[str, tuple[PatchEntry, ...]]:
    """Read the four lists by name."""
    found = {key: _entries(value, key, system, mistakes, require_reasons=require_reasons) for key in LISTS}
    rejected = {entry.pattern for entry in found["RejectedPatches"]}
    for item in _items(value, "ApprovedPatches"):
        if _pattern(item) in rejected:
            mistakes.lint(
                item,
                "both approved and rejected: it is rejected",
                value=_pattern(item),
                remedy="remove it from one list",
            )
    return found


def _items(value: Table, key: str) -> list[Value]:
    found = value.entries.get(key)
    return found.items if isinstance(found, Items) else []


def _pattern(item: Value) -> str:
    return item.text if isinstance(item, Scalar) else (item.scalar("Id") or "" if isinstance(item, Table) else "")


def _entries(
    value: Table, key: str, system: OperatingSystem, mistakes: Mistakes, *, require_reasons: bool
) -> tuple[PatchEntry, ...]:
    items = _items(value, key)
    if len(items) > _ENTRIES_ON_AWS and key in {"ApprovedPatches", "RejectedPatches"}:
        mistakes.lint(items[_ENTRIES_ON_AWS], f"{key}: more than {_ENTRIES_ON_AWS} entries: AWS takes no more")
    for item in items:
        _check_pattern(item, key, system, mistakes)
        if key in EXCEPTIONS:
            _check_reason(item, key, mistakes, require_reasons=require_reasons)
    return tuple(_entry(item, mistakes) for item in items)


def _entry(item: Value, mistakes: Mistakes) -> PatchEntry:
    if not isinstance(item, Table):
        return PatchEntry(pattern=_pattern(item))
    return PatchEntry(
        pattern=_pattern(item),
        owner=item.scalar("Owner") or "",
        reason=item.scalar("Reason") or "",
        expires=_expires(item, mistakes),
    )


def _expires(item: Table, mistakes: Mistakes) -> date | None:
    text = item.scalar("Expires")
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        mistakes.error(item.entries["Expires"], "Expires: there is no such day", remedy="write YYYY-MM-DD")
        return None


def _check_pattern(item: Value, key: str, system: OperatingSystem, mistakes: Mistakes) -> None:
    """Say what can never match on this operating system."""
    pattern = _pattern(item)
    place = item.entries["Id"] if isinstance(item, Table) and "Id" in item.entries else item
    if pattern.startswith(_VERSION) and not pattern.removeprefix(_VERSION).strip():
        mistakes.error(place, f"{key}: {_VERSION} without a version", remedy=f"write {_VERSION}1.2*")
    elif system is OperatingSystem.MACOS and "*" in pattern:
        mistakes.error(place, f"{key}: macOS takes full names, no wildcards", remedy="write the name out")
    elif system in APT_SYSTEMS and _ADVISORY.fullmatch(pattern):
        mistakes.lint(
            place,
            f"{key}: {system.value} knows packages by name only: this matches nothing",
            remedy="name the package, or NAME-VERSION",
        )


def _check_reason(item: Value, key: str, mistakes: Mistakes, *, require_reasons: bool) -> None:
    missing = [name for name in _WITH_REASON if not isinstance(item, Table) or name not in item.entries]
    if not missing:
        return
    say = mistakes.error if require_reasons else mistakes.lint
    told = " and ".join(missing) if isinstance(item, Table) else "Owner, Reason and Expires"
    say(item, f"{key}: without {told}", remedy="write {Id: ..., Owner: ..., Reason: ..., Expires: 2030-01-31}")
