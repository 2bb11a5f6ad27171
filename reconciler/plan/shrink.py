"""Has a target set shrunk too far: takes this commit's targets and what the last accepted one meant, gives refusals; pure."""

from collections.abc import Mapping

from reconciler.ids import AssociationName
from reconciler.model.desired import DesiredState
from reconciler.model.history import History
from reconciler.targets.resolve import Targets

_SHARE = 4
"""More than a quarter lost ..."""
_NODES = 2
"""... and more than this many nodes: a fleet of five may lose two."""


def refused(
    desired: DesiredState, targets: Targets, history: History, allow_shrink: frozenset[AssociationName]
) -> Mapping[AssociationName, str]:
    """Give the associations whose targets must not be acted on, and why; a removed association is no shrinking."""
    found: dict[AssociationName, str] = {}
    for name in sorted(desired.associations):
        before = history.target_counts.get(name, 0)
        now = len(targets.members.get(name, ()))
        lost = before - now
        emptied = before > 0 and now == 0
        if name not in allow_shrink and (emptied or (lost > _NODES and lost * _SHARE > before)):
            found[name] = (
                f"it meant {before} nodes at the last accepted commit and means {now} now: refused unless a commit "
                f"carries the trailer Allow-Shrink: {name}"
            )
    return found
