"""What an install will meet on its node, as far as facts tell: takes them, gives sentences for the plan; foreign text. Pure.

It decides nothing: the program on the node looks again, right before it begins.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from reconciler.inventory.observed import Facts
from reconciler.model.known import JsonValue, Known
from reconciler.model.patch_lines import read_installed
from reconciler.model.patch_order import PatchOrder, RebootOption

_NAMED: Final = 3
_LONGEST: Final = 200
_SPARE: Final = 8192
_KERNEL: Final = 102_400
"""KB: what `documents.patch_frame_text` asks for."""


def foreseen(facts: Facts, order: PatchOrder) -> tuple[str, ...]:
    """Give what is in the way of an install, or will be waited for; empty: nothing that is known."""
    found = (
        *_locks(facts),
        *_shutdown(facts),
        *_unfinished(facts),
        *_room(facts, order),
        *_holds(facts, order),
        *_silent(facts),
        *_sources(facts, order),
        *_boot(facts, order),
    )
    return tuple(dict.fromkeys(found))


def _rows(facts: Facts, section: str) -> Mapping[str, JsonValue]:
    found = facts.section(section)
    return found.value if isinstance(found, Known) else {}


def _locks(facts: Facts) -> Iterator[str]:
    for file, holder in sorted(_rows(facts, "locks").items()):
        if isinstance(holder, Mapping) and "process" in holder:
            yield f"{holder.get('process')} (pid {holder.get('pid')}) holds {file}: it is waited for"


def _shutdown(facts: Facts) -> Iterator[str]:
    file = _rows(facts, "locks").get("shutdown")
    if isinstance(file, str):
        yield f"the node is about to go down ({file}), and nothing is installed until that is over"


def _room(facts: Facts, order: PatchOrder) -> Iterator[str]:
    """Compare with what the program on the node wants, as far as the sizes of the files tell."""
    size = sum(pin.size or 0 for pin in order.pins) // 1024
    needed = {"/": 3 * size + _SPARE, "/var": 2 * size + _SPARE}
    if any(pin.name.startswith(("linux-image", "kernel")) for pin in order.pins):
        needed["/boot"] = _KERNEL
    room = _rows(facts, "locks").get("room")
    for folder, kb in needed.items():
        free = room.get(folder) if isinstance(room, Mapping) else None
        if isinstance(free, int) and free < kb:
            yield f"{folder} has about {free // 1024} MB free, and {kb // 1024} MB are needed: nothing is installed"


def _boot(facts: Facts, order: PatchOrder) -> Iterator[str]:
    words = _rows(facts, "reboot").get("unbootable")
    if isinstance(words, str) and order.reboot is RebootOption.REBOOT_IF_NEEDED:
        yield f"{words[:_LONGEST]}: it is not rebooted as long as that is so"


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


def _sources(facts: Facts, order: PatchOrder) -> Iterator[str]:
    told = _rows(facts, "source_times") if order.sources else {}
    for source, row in sorted(told.items()):
        if isinstance(row, Mapping) and isinstance(said := row.get("problem"), str):
            yield f"source {source} did not answer when it was last fetched, and nothing comes from elsewhere: {said[:_LONGEST]}"
