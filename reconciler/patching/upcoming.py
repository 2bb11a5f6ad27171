"""Which newer versions wait for an approval, and until when: takes a node's patches, gives dates; pure."""

from collections.abc import Mapping
from datetime import datetime

from reconciler.ids import PatchId
from reconciler.patching.approval import ApprovalStatus
from reconciler.patching.node_patches import NodePatches
from reconciler.patching.states import Judge
from reconciler.patching.versions import COMPARE_LABELS


def upcoming_of(node: NodePatches, judge: Judge) -> Mapping[str, datetime]:
    """Give the titles of newer versions of what is installed that wait for an approval, and when each comes."""
    compare = COMPARE_LABELS[node.family.value]
    highest: dict[PatchId, str] = {}
    for row in node.installed:
        if row.id not in highest or compare(row.version, highest[row.id]) > 0:
            highest[row.id] = row.version
    found: dict[str, datetime] = {}
    for patch in node.available:
        verdict = judge.approval(patch)
        mine = highest.get(patch.id)
        if verdict.status is not ApprovalStatus.PENDING_APPROVAL or verdict.approval_date is None or mine is None:
            continue
        if compare(patch.version, mine) > 0:
            found[patch.title] = max(verdict.approval_date, found.get(patch.title, verdict.approval_date))
    return found
