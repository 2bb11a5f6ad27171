"""What an install will meet on its node, as far as facts tell: takes them, gives sentences for the plan; foreign text. Pure.

It decides nothing: the program on the node looks again, right before it begins, and at what no inventory holds (room, a shutdown that
is pending, what the newest kernel boots with).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.inventory.observed import Facts
from reconciler.model.known import JsonValue, Known
from reconciler.model.patch_lines import read_installed
from reconciler.model.patch_order import PatchOrder

_NAMED: Final = 3
_LONGEST: Final = 200


def foreseen(facts: Facts, order: PatchOrder) -> tuple[str, ...]:
    """Give what is in the way of an install, or will be waited for; empty: nothing that is known."""
    return tuple(dict.fromkeys((*_locks(facts), *_unfinished(facts), *_holds(facts, order), *_silent(facts))))


def _rows(facts: Facts, section: str) -> Mapping[str, JsonValue]:
    found = facts.section(section)
    return found.value if isinstance(found, Known) else {}


def _locks(facts: Facts) -> Iterator[str]:
    for file, holder in sorted(_rows(facts, "locks").items()):
        if isinstance(holder, Mapping):
            yield f"{holder.get('process')} (pid {holder.get('pid')}) holds {file}: it is waited for"


def _unfinished(facts: Facts) -> Iterator[str]:
    audit = _rows(facts, "dpkg").get("audit")
    if isinstance(audit, list | tuple) and audit:
        yield f"dpkg has packages unfinished, and nothing is installed before they are finished: {str(audit[0])[:_LONGEST]}"


def _holds(facts: Facts, order: PatchOrder) -> Iterator[str]:
    installed = _rows(facts, "installed")
    held = [pin.name for pin in order.pins if any(read_installed(line).hold for line in _lines(installed.get(pin.id)))]
    if held:
        more = f" and {len(held) - _NAMED} more" if len(held) > _NAMED else ""
        yield f"held on the node itself, and left out: {', '.join(held[:_NAMED])}{more}"


def _lines(row: JsonValue) -> list[str]:
    return [line for line in row if isinstance(line, str)] if isinstance(row, list | tuple) else []


def _silent(facts: Facts) -> Iterator[str]:
    refreshed = _rows(facts, "refreshed")
    failed = [f"{archive}: {said}" for archive, said in sorted(refreshed.items()) if isinstance(said, str) and said]
    if failed:
        yield f"did not answer when its lists were refreshed: {failed[0][:_LONGEST]}"
