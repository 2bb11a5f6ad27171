"""What a patch step is to do on one node: that node's patches and a request -> exact versions. Pure.

Everything in it comes from the node's own inventory: what another node said reaches no command of this one. Two nodes with the
same packages and indexes get the same pins, whenever within a plan they are installed.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from functools import cmp_to_key

from reconciler.ids import PatchId
from reconciler.model.baseline import RejectedPatchesAction, UnapprovedDependencies
from reconciler.model.patch import Installed, Patch, patch_title
from reconciler.model.patch_order import PatchOrder, Pin, RebootOption, pin_of
from reconciler.model.patch_request import InstallOverride, Operation, PatchRequest
from reconciler.patching.approval import Approval, ApprovalStatus, approval_date, released
from reconciler.patching.entries import matching_entry
from reconciler.patching.filters import candidates
from reconciler.patching.node_patches import NodePatches
from reconciler.patching.sources import used_sources
from reconciler.patching.states import Judge, PatchRow, PatchState, judge_rows
from reconciler.patching.versions import COMPARE_LABELS


def order_of(
    request: PatchRequest, patches: NodePatches, judge: Judge, rows: Sequence[PatchRow] | None = None
) -> PatchOrder | None:
    """Give what `request` means for one node, as its baseline (or an override list) has it; None: nothing is to be done.

    `rows`: those of the node that are not compliant, where they were judged before.
    """
    rows = judge_rows(patches, judge) if rows is None else rows
    baseline = judge.grounds.baseline
    is_scan = request.operation is Operation.SCAN
    if request.overrides is None or is_scan:  # SSM: a Scan ignores the list
        kept = {id(gone.patch) for gone in patches.gone if gone.kept}
        pins = [
            pin_of(row.target, row.installed.version, kept=id(row.target) in kept)
            for row in rows
            if row.target is not None
        ]
        grounds = [row.approval for row in rows if row.target is not None and row.approval is not None]
    else:
        chosen = tuple(_overridden(request.overrides, patches))
        pins = [pin_of(patch, row.version) for row, patch in chosen]
        grounds = [judge.approval(patch) for _, patch in chosen]
    pending = tuple(sorted(row.title for row in rows if row.state is PatchState.INSTALLED_PENDING_REBOOT))
    told = tuple(f"{row.state.value} {row.title}" for row in rows if not row.is_compliant) if is_scan else ()
    if not pins and not told and not (pending and request.reboot is RebootOption.REBOOT_IF_NEEDED):
        return None
    return PatchOrder(
        baseline=baseline.name,
        family=patches.family,
        pins=tuple(sorted(pins)),
        dependencies=_companions(patches, judge, grounds) if pins else (),
        any_dependency=baseline.unapproved_dependencies is UnapprovedDependencies.ALLOW,
        blocked=_never(patches, judge),
        reboot=request.reboot,
        sources=tuple(source.configuration for source in used_sources(baseline, judge.grounds.product)),
        pending_reboot=pending,
        told=told,
    )


def _overridden(overrides: Sequence[InstallOverride], patches: NodePatches) -> Iterable[tuple[Installed, Patch]]:
    """SSM: of each installed package the highest version that the list names, whatever a baseline says of it."""
    compare = COMPARE_LABELS[patches.family.value]
    offers: dict[PatchId, list[Patch]] = {}
    for patch in patches.available:
        offers.setdefault(patch.id, []).append(patch)
    for row in patches.installed:
        named = [
            patch
            for patch in offers.get(row.id, ())
            if compare(patch.version, row.version) > 0 and any(_names(one, patch) for one in overrides)
        ]
        if named:
            by_version = cmp_to_key(compare)
            yield row, max(named, key=lambda patch: by_version(patch.version))


def _names(one: InstallOverride, patch: Patch) -> bool:
    pattern = one.id.casefold()
    if not any(fnmatch.fnmatchcase(text.casefold(), pattern) for text in (patch.name, patch.id)):
        return False
    if not one.title:
        return True
    titles = (patch.title, patch_title(patch.family, patch.id, patch.version), patch.version)
    return any(fnmatch.fnmatchcase(text.casefold(), one.title.casefold()) for text in titles)


def _companions(patches: NodePatches, judge: Judge, grounds: Sequence[Approval]) -> tuple[Pin, ...]:
    """Give, of each package on offer that is not installed, the highest version that what is wanted may bring along."""
    compare = COMPARE_LABELS[patches.family.value]
    there = {(row.name, row.arch) for row in patches.installed}
    highest: dict[PatchId, Patch] = {}
    lost = tuple(gone.patch for gone in patches.gone if gone.kept)
    kept = set(map(id, lost))
    for patch in (*patches.available, *lost):
        if (patch.name, patch.arch) in there or not _may_come_along(patch, judge, grounds):
            continue
        known = highest.get(patch.id)
        if known is None or compare(patch.version, known.version) > 0:
            highest[patch.id] = patch
    return tuple(sorted(pin_of(patch, kept=id(patch) in kept) for patch in highest.values()))


def _may_come_along(patch: Patch, judge: Judge, grounds: Sequence[Approval]) -> bool:
    """Judge a new package by the rule that approved what pulls it in; by a list, where it is of the very same source."""
    own = judge.approval(patch)
    if own.status is ApprovalStatus.EXPLICIT_REJECTED:
        return judge.grounds.baseline.rejected_action is RejectedPatchesAction.ALLOW_AS_DEPENDENCY and any(
            _same_source(patch, ground.patch) for ground in grounds
        )
    return own.is_approved or any(_by_rule_of(patch, ground, judge) for ground in grounds)


def _by_rule_of(patch: Patch, ground: Approval, judge: Judge) -> bool:
    rules = {rule.number: rule for rule in judge.grounds.baseline.rules}
    rule = None if ground.rule is None else rules.get(ground.rule)
    if rule is None:
        return _same_source(patch, ground.patch)
    for look in candidates(patch, judge.grounds.baseline.security_indexes):
        release = released(look, judge.grounds)
        date = None if release.at is None else approval_date(rule, release.at)
        if date is not None and date <= judge.grounds.now:
            return True
    return False


def _same_source(patch: Patch, other: Patch) -> bool:
    """Whether both were built from one upload: a kernel and the package that always names the newest one."""
    return patch.upload == other.upload


def _never(patches: NodePatches, judge: Judge) -> tuple[str, ...]:
    baseline = judge.grounds.baseline
    if baseline.rejected_action is not RejectedPatchesAction.BLOCK:
        return ()
    today = judge.grounds.today
    return tuple(sorted({p.name for p in patches.available if matching_entry(baseline.rejected, p, today) is not None}))
