"""What baselines say about each other: a patch group has one baseline for an operating system, and so has the default."""

from collections.abc import Sequence

from reconciler.model.baseline import OperatingSystem
from reconciler.model.reading.files import Seen


def check_baselines(seen: Sequence[Seen]) -> None:
    """Refuse a second baseline for one group or default; both files are named."""
    groups: dict[tuple[str, str], Seen] = {}
    defaults: dict[str, Seen] = {}
    for one in seen:
        system = one.table.scalar("OperatingSystem") or OperatingSystem.WINDOWS.value
        for group in one.table.texts("PatchGroups"):
            other = groups.setdefault((system, group.text), one)
            if other is not one:
                message = f"patch group {group.text} has a baseline for {system} already, at {other.where}"
                one.mistakes.error(group, message, remedy="name the group in one of them")
        if one.table.flag("Default"):
            other = defaults.setdefault(system, one)
            if other is not one:
                message = f"{system} has a default already, at {other.where}"
                one.mistakes.error(one.table.entries["Default"], message, remedy="keep one default")
