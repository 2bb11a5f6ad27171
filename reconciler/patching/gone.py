"""What a node's own index showed and shows no more: takes two looks at one node, gives the versions to remember. Pure.

Only what this very node was shown counts for it: a version that another node invented is gone for nobody else.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from reconciler.model.patch import Patch
from reconciler.patching.ledger import key_of
from reconciler.patching.node_patches import Gone, NodePatches
from reconciler.patching.versions import COMPARE_LABELS


def remember_gone(
    before: NodePatches, now_shown: NodePatches, *, now: datetime, kept: Collection[str]
) -> tuple[Gone, ...]:
    """Give what the later look is to be judged with: `gone` of `before`, and what it showed and the later one does not.

    Versions that are not above the installed one are forgotten, and so are new packages, but for those that were built together
    with one that is remembered: it may bring them along. `kept`: checksums of the files that the management host
    holds. Both looks must have been whole: a list that could not be read has dropped nothing.
    """
    shown = {key_of(patch) for patch in now_shown.available}
    compare = COMPARE_LABELS[now_shown.family.value]
    installed: dict[str, str] = {}
    for row in now_shown.installed:
        if row.name not in installed or compare(row.version, installed[row.name]) > 0:
            installed[row.name] = row.version
    found: list[Gone] = []
    new: list[Gone] = []
    for patch, since in _dropped(before, now):
        mine = installed.get(patch.name)
        if key_of(patch) in shown or (mine is not None and compare(patch.version, mine) <= 0):
            continue
        (new if mine is None else found).append(Gone(patch=patch, since=since, kept=patch.checksum in kept))
    uploads = {one.patch.upload for one in found}
    found += [one for one in new if one.patch.upload in uploads]
    return tuple(sorted(found, key=lambda one: key_of(one.patch)))


def _dropped(before: NodePatches, now: datetime) -> Iterable[tuple[Patch, datetime]]:
    known = {key_of(one.patch): one for one in before.gone}
    yield from ((one.patch, one.since) for one in known.values())
    yield from ((patch, now) for patch in before.available if key_of(patch) not in known)
