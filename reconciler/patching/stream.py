"""The rows of many nodes, judged as a stream: each distinct row is judged once, however many nodes have it. Pure.

10,000 nodes of 500 packages are five million rows, and most are alike: what is installed (without when) and what is on offer
for it decide, and both are lines. Rows that hang on something else of their node (a reboot, an install, a version that is
gone) are judged for themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from reconciler.model.known import JsonValue
from reconciler.model.patch import Family
from reconciler.model.patch_lines import PatchTable, read_installed
from reconciler.patching.from_facts import NodeMemory, check_versions, lines_of_row
from reconciler.patching.node_patches import InstallRun, NodePatches
from reconciler.patching.states import Judge, PatchRow, judge_rows

_SHARED: Final = 1000
"""Lists of offers that are kept for nodes that were told the same."""


class RowStream:
    """Judges nodes of one family and machine under one baseline; rows that are alike are one record.

    A shared row's `installed.installed_at` is None: when it was installed is the node's own, and in its facts.
    """

    def __init__(self, judge: Judge, table: PatchTable, *, family: Family, native: str) -> None:
        self._judge = judge
        self._table = table
        self._family = family
        self._native = native
        self._native_ending = f".{native}"
        self._every_ending = ".all" if family is Family.APT else ".noarch"
        self._known: dict[tuple[str, tuple[str, ...]], tuple[PatchRow, ...]] = {}
        self._offers: dict[int, tuple[Mapping[str, JsonValue], Mapping[str, tuple[str, ...]]]] = {}

    @property
    def distinct(self) -> int:
        """How many distinct rows were judged."""
        return len(self._known)

    def rows(
        self,
        installed: Mapping[str, JsonValue],
        available: Mapping[str, JsonValue],
        memory: NodeMemory,
        run: InstallRun | None = None,
    ) -> Iterator[PatchRow]:
        """Give the rows of one node. Raises ValueError on a row or line that does not read."""
        alone = _alone(memory)
        offers_of = self._merged(available)
        known, nothing = self._known, ()
        for key, value in installed.items():
            offers = offers_of.get(key, nothing)
            if run is not None or (alone and key.rpartition(".")[0] in alone):
                yield from self._judged(lines_of_row(key, value), offers, memory, run)
                continue
            if (
                type(value) is list and len(value) == 1 and type(value[0]) is str
            ):  # nearly all: this loop runs millions of times
                line = (value[0][: value[0].rfind("|")], offers)
            else:
                line = (_without_times(key, value), offers)
            found = known.get(line)
            if found is None:
                found = known[line] = self._judged(lines_of_row(key, value), offers, NodeMemory(), None)
            yield from found

    def _merged(self, available: Mapping[str, JsonValue]) -> Mapping[str, tuple[str, ...]]:
        """Give what may replace each row: the same (name, arch), and a package that became, or ceased to be, for all machines.

        Nodes that were told the same share one mapping, and with it what is made of it.
        """
        kept = self._offers.get(id(available))
        if kept is not None and kept[0] is available:
            return kept[1]
        merged = {key: tuple(lines_of_row(key, value)) for key, value in available.items()}
        for key in [key for key in merged if key.endswith(self._every_ending)]:
            other = key.removesuffix(self._every_ending) + self._native_ending
            merged[key] = merged[other] = merged[key] + merged.get(other, ())
        for key in [key for key in merged if key.endswith(self._native_ending)]:
            other = key.removesuffix(self._native_ending) + self._every_ending
            if other not in merged:
                merged[other] = merged[key]
        if len(self._offers) >= _SHARED:
            self._offers.clear()
        self._offers[id(available)] = (available, merged)
        return merged

    def _judged(
        self, installed: Sequence[str], offers: Sequence[str], memory: NodeMemory, run: InstallRun | None
    ) -> tuple[PatchRow, ...]:
        rows = tuple(replace(read_installed(line), installed_at=None) for line in installed)
        names = {row.name for row in rows}
        available = tuple(map(self._table.patch, offers))
        check_versions(self._family, rows, available)
        node = NodePatches(
            family=self._family,
            installed=rows,
            available=available,
            native=self._native,
            gone=tuple(one for one in memory.gone if one.patch.name in names),
            deferred=memory.deferred,
            installed_without_reboot=memory.installed_without_reboot,
            booted_at=memory.booted_at,
        )
        return judge_rows(node, self._judge, run)


def _alone(memory: NodeMemory) -> frozenset[str]:
    """Give the names of packages whose rows hang on their node."""
    titles = (*memory.deferred, *memory.installed_without_reboot)
    names = {title.partition(":")[0].rpartition(".")[0] for title in titles}
    names.update(one.patch.name for one in memory.gone)
    return frozenset(names)


def _without_times(key: str, value: JsonValue) -> str:
    """Leave out when it was installed: the last field of each line."""
    lines = lines_of_row(key, value)
    return "\n".join(line[: line.rfind("|")] for line in lines)
