"""What a node tells of its packages, read as little as may be: takes sections of facts, gives offers as records and rows as they are; pure.

A fleet's nodes are alike: lists that several nodes were told alike are read once, and what is installed is read row by row only
where a row is looked at for itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.ids import PatchId
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.patch import Family, Installed, Patch
from reconciler.model.patch_lines import PatchTable, read_installed
from reconciler.patching.from_facts import check_versions, family_of, lines_of_row, native_arch, sourced_of
from reconciler.patching.phase import is_phased

Rows = Mapping[str, JsonValue]
Sections = Mapping[str, Observed[Rows]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One node's packages."""

    family: Family
    native: str
    """The machine's architecture in the words of its packages."""
    installed: Rows
    available: Rows
    patches: tuple[Patch, ...]
    """Everything on offer."""
    is_phased: bool
    """Whether some of it, or of what sources show, is for some machines only, so far."""
    sourced: tuple[Patch, ...] = ()
    """What sources of baselines show: it counts for baselines that name them, and for no others."""
    sourced_rows: Rows = field(default_factory=dict)
    fetched: frozenset[str] = frozenset()
    """`PatchSource.id` of those sources."""
    sources_problem: str = ""
    """Why nobody knows what they show; empty: it is known."""

    @property
    def every_patch(self) -> tuple[Patch, ...]:
        """Everything that any baseline may judge."""
        return (*self.patches, *self.sourced) if self.sourced else self.patches

    def installed_rows(self, key: PatchId) -> tuple[Installed, ...]:
        """Give what is installed of one row. Raises ValueError on a line that does not read."""
        value = self.installed.get(key)
        return () if value is None else tuple(map(read_installed, lines_of_row(key, value)))

    def versions(self, key: PatchId) -> tuple[str, ...]:
        """Give the versions that are installed of one row, without reading the rest of its lines. Raises ValueError."""
        value = self.installed.get(key)
        lines = () if value is None else lines_of_row(key, value)
        return tuple(read_installed(line).version if "\\" in line else line.split("|", 3)[2] for line in lines)

    def every_installed(self) -> tuple[Installed, ...]:
        """Give everything that is installed. Raises ValueError."""
        return tuple(row for key in sorted(self.installed) for row in self.installed_rows(PatchId(key)))

    def has(self, patch: Patch) -> bool:
        """Whether its package is installed: the same (name, arch), or one that became, or ceased to be, for all machines."""
        every = "all" if self.family is Family.APT else "noarch"
        other = every if patch.arch == self.native else self.native if patch.arch == every else ""
        return patch.id in self.installed or (bool(other) and f"{patch.name}.{other}" in self.installed)


class Reader:
    """Reads what many nodes tell; remembers lists while it lives."""

    def __init__(self, table: PatchTable) -> None:
        self._table = table
        self._known: dict[int, tuple[Rows, tuple[Patch, ...], bool]] = {}

    def told(self, sections: Sections) -> Observed[Told]:
        """Read one node's sections; Unknown, with the reason, where one of them is, or does not read."""
        found: dict[str, Rows] = {}
        for name in ("os", "installed", "available"):
            section = sections.get(name, Unknown(f"section {name} was not collected"))
            if isinstance(section, Unknown):
                return Unknown(f"{name}: {section.why}")
            found[name] = section.value
        family = family_of(found["os"])
        if family is None:
            return Unknown("its packages are none that we know")
        notices: Observed[Rows] = (
            Known({}) if family is Family.APT else sections.get("notices", Unknown("not asked for"))
        )
        if isinstance(notices, Unknown):
            return Unknown(f"notices: {notices.why}")
        try:
            patches, phased = self.offers(family, found["available"], notices.value)
            others = sourced_of(sections)
            sourced, also_phased = self.offers(family, others.offers, others.notices) if others.offers else ((), False)
        except ValueError as exc:
            return Unknown(f"its packages do not read: {exc}")
        return Known(
            Told(
                family=family,
                native=native_arch(family, str(found["os"].get("arch", ""))),
                installed=found["installed"],
                available=found["available"],
                patches=patches,
                is_phased=phased or also_phased,
                sourced=sourced,
                sourced_rows=others.offers,
                fetched=others.fetched,
                sources_problem=others.problem,
            )
        )

    def offers(self, family: Family, available: Rows, notices: Rows) -> tuple[tuple[Patch, ...], bool]:
        """Give what lists offer, and whether some of it is phased. Raises ValueError."""
        known = self._known.get(id(available))
        if known is None or known[0] is not available:
            self._table.add_notices(_lines(notices))
            patches = tuple(self._table.patch(line) for line in _lines(available))
            check_versions(family, (), patches)
            known = self._known[id(available)] = available, patches, any(map(is_phased, patches))
        return known[1], known[2]


def _lines(rows: Rows) -> Iterable[str]:
    return (line for key in sorted(rows) for line in lines_of_row(key, rows[key]))
