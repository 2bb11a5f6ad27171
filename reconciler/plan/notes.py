"""What is worth saying about a plan beside its items: rates in words, ignored dependencies, empty target sets; pure."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.association import Association
from reconciler.model.desired import DesiredState
from reconciler.model.known import Known
from reconciler.patching.preflight import foreseen
from reconciler.patching.products import operating_system
from reconciler.patching.which_baseline import resolve_baseline
from reconciler.plan.plan import PlanItem
from reconciler.targets.resolve import Targets

_NAMED = 3
"""Nodes that a note names."""
_TEENS = range(11, 14)


def notes(desired: DesiredState, targets: Targets, items: tuple[PlanItem, ...]) -> tuple[str, ...]:
    """Give every note, by association, and behind them what windows would do."""
    counts = Counter(item.association for item in items)
    of_associations = (
        note for name in sorted(desired.associations) for note in _notes(desired.associations[name], targets, counts)
    )
    return (*of_associations, *waiting_windows(desired))


def waiting_windows(desired: DesiredState) -> tuple[str, ...]:
    """Say of each window that has tasks that they wait: whoever reads "in sync" must not take them for done."""
    return tuple(
        f"window {name} ({window.file}): Waiting, not supported yet: its {len(tasks)} task{'s' if len(tasks) != 1 else ''} "
        "never run; what must run belongs to an association"
        for name, window in sorted(desired.windows.items())
        if isinstance(tasks := window.body.get("Tasks"), (list, tuple)) and tasks
    )


def patch_notes(items: tuple[PlanItem, ...], facts_of: Callable[[NodeId], Facts | None]) -> tuple[str, ...]:
    """Give what installs of patches will meet on their nodes, as far as it is known before they begin."""
    found = []
    for item in items:
        facts = facts_of(item.node)
        if item.patches is not None and facts is not None:
            found += [f"{item.association} on {item.node}: {said}" for said in foreseen(facts, item.patches)]
    return tuple(found)


def baseline_notes(
    before: DesiredState, after: DesiredState, facts_of: Callable[[NodeId], Facts | None]
) -> tuple[str, ...]:
    """Say whose patches go by another baseline after a change, by node; where a node runs nothing known, nobody can tell.

    SSM refuses to delete a baseline that a patch group is registered with, or that is the default: here a commit may, and says so.
    """
    moved: dict[tuple[str, str, str], list[NodeId]] = {}
    for node in sorted(after.nodes):
        facts = facts_of(node)
        system = None if facts is None else facts.sections.get("os")
        if node not in before.nodes or not isinstance(system, Known):
            continue
        runs = operating_system(str(system.value.get("id", "")), str(system.value.get("version_id", "")))
        old = resolve_baseline(before.nodes[node].tags, runs, before.baselines.values())
        new = resolve_baseline(after.nodes[node].tags, runs, after.baselines.values())
        names = ["no baseline" if one.baseline is None else one.baseline.name for one in (old, new)]
        if names[0] != names[1]:
            moved.setdefault((names[0], names[1], new.reason), []).append(node)
    return tuple(
        f"patches of {_named(nodes)}: {new} instead of {old} ({reason})"
        for (old, new, reason), nodes in sorted(moved.items())
    )


def _named(nodes: Sequence[str]) -> str:
    more = f" and {len(nodes) - _NAMED} more" if len(nodes) > _NAMED else ""
    return f"{', '.join(nodes[:_NAMED])}{more}"


def _notes(association: Association, targets: Targets, counts: Counter[AssociationName]) -> Iterator[str]:
    name = association.name
    meant = targets.members.get(name, ())
    if not meant:
        yield f"{name}: means no node"
    if counts[name]:
        yield f"{name}: {rate_words(association, len(meant), counts[name])}"
    for needed in association.depends_on:
        missing = sorted(set(meant).difference(targets.members.get(needed, ())))
        if missing:
            named = _named(missing)
            yield f"{name}: DependsOn {needed} is ignored where {needed} does not apply ({named})"


def rate_words(association: Association, targets: int, items: int) -> str:
    """Say in words what MaxConcurrency and MaxErrors mean here (SSM: of the targets, rounded down; over T errors stop)."""
    at_once = min(max(1, _of(association.max_concurrency, targets)), items)
    tolerated = _of(association.max_errors, targets)
    runs = f"runs on {items} node{'' if items == 1 else 's'}, {at_once} at a time"
    if tolerated >= items:
        return f"{runs}, whatever fails"
    return f"{runs}; stops after the {ordinal(tolerated + 1)} failure"


def _of(expression: str, targets: int) -> int:
    number = int(expression.rstrip("%"))
    return targets * number // 100 if expression.endswith("%") else number


def ordinal(number: int) -> str:
    """Give `1st`, `2nd`, `11th`."""
    ending = "th" if number % 100 in _TEENS else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
