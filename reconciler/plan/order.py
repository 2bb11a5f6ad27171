"""In which order things run: takes associations, gives each its place; pure.

What one depends on comes before it; otherwise associations that name nodes by id, then groups, tags, every node, each by
name: so the general comes last and wins, as it does for SSM.
"""

import heapq
from collections.abc import Mapping

from reconciler.ids import AssociationName
from reconciler.model.association import Association
from reconciler.targets.match import GROUP, INSTANCE_IDS, is_every


def places(associations: Mapping[AssociationName, Association]) -> Mapping[AssociationName, int]:
    """Give every association its place, from 0; what stands in a cycle of `DependsOn` comes last."""
    needed = {name: {d for d in a.depends_on if d in associations} for name, a in associations.items()}
    ready = [(_kind(associations[name]), name) for name, needs in needed.items() if not needs]
    heapq.heapify(ready)
    ordered: list[AssociationName] = []
    while ready:
        _, done = heapq.heappop(ready)
        ordered.append(done)
        for name, needs in needed.items():
            if done in needs:
                needs.remove(done)
                if not needs:
                    heapq.heappush(ready, (_kind(associations[name]), name))
    ordered += sorted(set(associations) - set(ordered))
    return {name: place for place, name in enumerate(ordered)}


def _kind(association: Association) -> int:
    """Rank by the most particular of its targets."""
    kinds = [3]
    for target in association.targets:
        if is_every(target):
            continue
        kinds.append(0 if target.key.lower() == INSTANCE_IDS else 1 if target.key == GROUP else 2)
    return min(kinds)
