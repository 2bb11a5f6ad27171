"""The patch sections of one node's facts -> what its rows are judged by, and which baseline is asked; pure.

Sections `installed` and `available` hold, by `NAME.ARCH`, the lines that `model.patch_lines` writes, `notices` those that they name. A section that is Unknown,
or one row of it, makes the whole Unknown: nothing is applied on it, and it is never compliant.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from reconciler.inventory.observed import Facts
from reconciler.model.history import NodeHistory
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.patch import Family, Installed, Patch
from reconciler.model.patch_lines import PatchTable, notice_line, patch_line
from reconciler.patching.node_patches import Gone, NodePatches
from reconciler.patching.phase import Phasing, deferred, is_phased
from reconciler.patching.versions import check_dpkg_version

_RPM_EPOCH: Final = re.compile(r"(?:[0-9]{1,10}:)?[^:]", re.ASCII)
_NO_NOTICES: Final[Observed[Mapping[str, JsonValue]]] = Known({})
_MACHINES: Final = {
    Family.APT: {
        "x86_64": "amd64",
        "aarch64": "arm64",
        "armv7l": "armhf",
        "i686": "i386",
        "ppc64le": "ppc64el",
    },
}
"""`uname -m` in the words of packages, where they differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMemory:
    """What earlier passes know of a node's patches, and what a pass adds to its facts."""

    gone: tuple[Gone, ...] = ()
    deferred: frozenset[str] = frozenset()
    installed_without_reboot: Mapping[str, datetime] = field(default_factory=dict)
    booted_at: datetime | None = None


def remembered(known: NodeHistory, table: PatchTable, kept: Collection[str] = ()) -> NodeMemory:
    """Give what a node's history tells of its patches; what does not read (an older version wrote it) is passed over.

    `kept`: checksums of the files that the management host holds.
    """
    gone = []
    for text, since in known.gone.items():
        line, *notices = text.split("\n")
        try:
            table.add_notices(notices)
            patch = table.patch(line)
        except ValueError:
            continue
        gone.append(Gone(patch=patch, since=since, kept=patch.checksum in kept))
    return NodeMemory(gone=tuple(gone), installed_without_reboot=known.installed_without_reboot)


def gone_text(patch: Patch) -> str:
    """Write a version that is gone, for `remembered`: its line and those of its notices, which leave the lists with it."""
    return "\n".join((patch_line(patch), *sorted(map(notice_line, patch.notices))))


READ: Final = ("os", "identity", "installed", "available", "notices")
"""The sections that `node_patches` goes by."""

SOURCED: Final = ("sources", "source_offers", "source_notices")
"""The same where a baseline of the node's has sources; they are not asked for elsewhere."""

Sections = Mapping[str, Observed[Mapping[str, JsonValue]]]


def sections_of(facts: Facts) -> Sections:
    """Give the sections that a node's patches are read from."""
    return {name: facts.section(name) for name in (*READ, *(name for name in SOURCED if name in facts.sections))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sourced:
    """What the sources of baselines are and offer on a node, not read yet."""

    offers: Mapping[str, JsonValue] = field(default_factory=dict)
    notices: Mapping[str, JsonValue] = field(default_factory=dict)
    fetched: frozenset[str] = frozenset()
    """`PatchSource.id` of those that the node holds lists of."""
    problem: str = ""
    """Why nobody knows what they offer; empty: it is known."""


_NO_SOURCES: Final = Sourced()


def sourced_of(sections: Sections) -> Sourced:
    """Give what a node tells of sources; nothing where it was not asked."""
    found: dict[str, Mapping[str, JsonValue]] = {}
    for name in SOURCED:
        match sections.get(name):
            case None:
                return _NO_SOURCES
            case Unknown(why):
                return Sourced(problem=f"{name}: {why}")
            case Known(rows):
                found[name] = rows
    held = (key for key, row in found["sources"].items() if isinstance(row, Mapping) and row.get("fetched") is True)
    return Sourced(
        offers=found["source_offers"],
        notices=found["source_notices"],
        fetched=frozenset(key.partition(" ")[0] for key in held),
    )


def family_of(system: Mapping[str, JsonValue]) -> Family | None:
    """Give the family of a node by its section `os`; None: no packages that we know."""
    found = str(system.get("family", ""))
    return Family(found) if found in {family.value for family in Family} else None


def native_arch(family: Family, machine: str) -> str:
    """Give the machine's architecture in the words of its packages."""
    return _MACHINES.get(family, {}).get(machine, machine)


def node_patches(sections: Sections, table: PatchTable, memory: NodeMemory) -> Observed[NodePatches]:
    """Read one node's `sections_of`; `identity` and `notices` count where a version on offer is phased or has notices."""
    found: dict[str, Mapping[str, JsonValue]] = {}
    for name in ("os", "installed", "available"):
        section = sections.get(name, Unknown(f"{name}: not asked for"))
        if isinstance(section, Unknown):
            return Unknown(f"{name}: {section.why}")
        found[name] = section.value
    family = family_of(found["os"])
    if family is None:
        return Unknown("its packages are none that we know")
    notices = _NO_NOTICES if family is Family.APT else sections.get("notices", Unknown("not asked for"))
    if isinstance(notices, Unknown):
        return Unknown(f"notices: {notices.why}")
    try:
        table.add_notices(_lines(notices.value))
        installed = tuple(table.installed(line) for line in _lines(found["installed"]))
        available = tuple(table.patch(line) for line in _lines(found["available"]))
        others = sourced_of(sections)
        table.add_notices(_lines(others.notices))
        sourced = tuple(table.patch(line) for line in _lines(others.offers))
        check_versions(family, installed, (*available, *sourced))
        identity = sections.get("identity", Unknown("not asked for"))
        if isinstance(identity, Unknown) and any(map(is_phased, (*available, *sourced))):
            return Unknown(f"identity: {identity.why}, and it decides which phased updates the node is offered")
        machine = identity.value.get("machine_id") if isinstance(identity, Known) else None
        phased_out = deferred(Phasing(machine_id=str(machine or "")), installed, (*available, *sourced))
        return Known(
            NodePatches(
                family=family,
                installed=installed,
                available=available,
                native=native_arch(family, str(found["os"].get("arch", ""))),
                gone=memory.gone,
                sourced=sourced,
                fetched=others.fetched,
                sources_problem=others.problem,
                deferred=memory.deferred | phased_out,
                installed_without_reboot=memory.installed_without_reboot,
                booted_at=memory.booted_at,
            )
        )
    except ValueError as exc:
        return Unknown(f"its packages do not read: {exc}")


def check_versions(family: Family, installed: Iterable[Installed], available: Iterable[Patch]) -> None:
    """Raise ValueError on a version that has no place in the family's order, or a patch of another family."""
    versions = [row.version for row in installed]
    for patch in available:
        if patch.family is not family:
            raise ValueError(f"{patch.id} is of family {patch.family.value}, the node of {family.value}")
        versions.append(patch.version)
    for version in versions:
        if family is Family.APT:
            check_dpkg_version(version)
        elif _RPM_EPOCH.match(version) is None:
            raise ValueError(f"not a version of rpm: {version[:80]!r}")


def _lines(rows: Mapping[str, JsonValue]) -> Sequence[str]:
    return [line for key in sorted(rows) for line in lines_of_row(key, rows[key])]


def lines_of_row(key: str, value: JsonValue) -> Sequence[str]:
    """Give the lines of one row. Raises ValueError on a row that could not be read."""
    if type(value) is list or type(value) is tuple:
        for line in value:
            if type(line) is not str:
                break
        else:
            return value
    raise ValueError(f"row {key[:80]!r} is no list of lines")
