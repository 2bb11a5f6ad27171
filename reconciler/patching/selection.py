"""Which version a row should have: of everything on offer for one installed package the highest approved one above it. Pure.

SSM: per (name, arch) the highest approved version above the installed one, whatever the package manager would prefer; never
"whatever is newest". What an archive has dropped is not forgotten: it stays approved, and the reason says what is in the way.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cmp_to_key
from typing import Any

from reconciler.model.baseline import PatchEntry, PhasedUpdates, Supersede
from reconciler.model.patch import Installed, Patch
from reconciler.patching.approval import Approval, ApprovalStatus, Grounds, approval_date, released
from reconciler.patching.entries import matching_entry, told_entry
from reconciler.patching.filters import candidates
from reconciler.patching.versions import COMPARE_LABELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One version of a row's package, with its verdict, and whether it can be had."""

    approval: Approval
    gone_since: datetime | None = None
    """When the node's own index stopped showing it (UTC); None: it is on offer."""
    kept: bool = False
    """Whether the management host holds the file (by its checksum)."""
    deferred: bool = False
    """Ubuntu: this node's phase does not offer it yet."""

    @property
    def patch(self) -> Patch:
        """Give the version."""
        return self.approval.patch


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a row should have, and why."""

    approved: Approval | None
    """The highest approved version above the installed one; None: nothing is missing."""
    target: Patch | None
    """What an install would bring; None: nothing, though `approved` may be there: `reason` says what is in the way."""
    installed: Approval | None
    """The verdict on the very version that is installed; None: nothing offers it any more."""
    skipped: tuple[Approval, ...] = ()
    """Approved versions between the installed and the approved one, which it covers."""
    hold: PatchEntry | None = None
    """The entry of the baseline that holds it."""
    reason: str


def select(row: Installed, offers: Sequence[Offer], grounds: Grounds) -> Selection:
    """Choose for one installed package among everything that is or was on offer for it."""
    if not offers:
        return Selection(approved=None, target=None, installed=None, reason="nothing is on offer for it")
    compare = COMPARE_LABELS[offers[0].patch.family.value]
    ordered = sorted(offers, key=_order_of(compare))
    same = [one.approval for one in ordered if compare(one.patch.version, row.version) == 0]
    newer = [one for one in ordered if compare(one.patch.version, row.version) > 0]
    mine = max(same, key=lambda one: one.is_approved, default=None)
    wanted, passed_over = _wanted(newer, grounds)
    if not wanted:
        return Selection(approved=None, target=None, installed=mine, reason=_why_nothing(newer, passed_over))
    best = wanted[-1]
    return _selection(row, best, wanted, newer, mine, grounds, compare)


def _order_of(compare: Callable[[str, str], int]) -> Callable[[Offer], Any]:
    """Give a key for sorting by version; the checksum only makes the order the same everywhere."""

    def order(a: Offer, b: Offer) -> int:
        by_checksum = (a.patch.checksum > b.patch.checksum) - (a.patch.checksum < b.patch.checksum)
        return compare(a.patch.version, b.patch.version) or by_checksum

    return cmp_to_key(order)


def _wanted(newer: Sequence[Offer], grounds: Grounds) -> tuple[list[Offer], str]:
    """Give the approved ones that count, and what was passed over on purpose."""
    baseline, wanted, passed_over = grounds.baseline, [], ""
    for one in newer:
        ignore = matching_entry(baseline.ignores, one.patch, grounds.today)
        if not one.approval.is_approved:
            continue
        if ignore is not None:
            passed_over = f"approved {one.patch.version} is ignored: {told_entry(ignore)}"
        elif one.deferred and baseline.phased_updates is PhasedUpdates.FOLLOW:
            share = "" if one.patch.phased is None else f" ({one.patch.phased}% of the machines)"
            passed_over = f"approved {one.patch.version} is deferred: this node's phase does not offer it yet{share}"
        else:
            wanted.append(one)
    return wanted, passed_over


def _selection(
    row: Installed,
    best: Offer,
    wanted: Sequence[Offer],
    newer: Sequence[Offer],
    mine: Approval | None,
    grounds: Grounds,
    compare: Callable[[str, str], int],
) -> Selection:
    baseline = grounds.baseline
    hold = matching_entry(baseline.holds, best.patch, grounds.today)
    target, in_the_way = _target(best, wanted, newer, grounds, compare)
    holds = []
    if hold is not None:
        target = None
        holds.append(f"held by {told_entry(hold)}")
    if row.hold:
        holds.append("held on the node itself")
    said = [f"approved {best.patch.version} is missing: {best.approval.reason}", *holds, in_the_way]
    return Selection(
        approved=best.approval,
        target=target,
        installed=mine,
        skipped=tuple(one.approval for one in wanted if one is not best),
        hold=hold,
        reason="; ".join(filter(None, said)),
    )


def _target(
    best: Offer,
    wanted: Sequence[Offer],
    newer: Sequence[Offer],
    grounds: Grounds,
    compare: Callable[[str, str], int],
) -> tuple[Patch | None, str]:
    """Give what can be installed now, and what is in the way of the approved version."""
    problem = _why_not_at_hand(best, newer, compare)
    if not problem:
        return best.patch, ""
    above = [one for one in newer if compare(one.patch.version, best.patch.version) > 0 and one.gone_since is None]
    if grounds.baseline.supersede is Supersede.LIFT:
        for one in above:
            date = _date_by_same_rule(one, best, grounds)
            if date is not None and not _why_not_at_hand(one, newer, compare):
                return (
                    one.patch,
                    f"{problem}; lifted to {one.patch.version}, which passed the same rule on {_told(date)}",
                )
    successor = f"; {_successor(above[0])}" if above else "; nothing newer is on offer"
    lower = [one for one in wanted[:-1] if not _why_not_at_hand(one, newer, compare)]
    if lower:
        return lower[-1].patch, f"{problem}{successor}; {lower[-1].patch.version}, approved too, comes in the meantime"
    return None, f"{problem}{successor}"


def _why_not_at_hand(one: Offer, newer: Sequence[Offer], compare: Callable[[str, str], int]) -> str:
    """Say why a version cannot be had by its version and checksum; empty where it can."""
    if one.gone_since is not None:
        return "" if one.kept else f"approved {one.patch.version} is gone since {_told(one.gone_since)}"
    for other in newer:
        twin = other.gone_since is None and compare(other.patch.version, one.patch.version) == 0
        if twin and other.patch.checksum != one.patch.checksum and not other.approval.is_approved:
            return f"{one.patch.version} is on offer with other content too, which is not approved: {other.approval.reason}"
    return ""


def _date_by_same_rule(one: Offer, best: Offer, grounds: Grounds) -> datetime | None:
    """Give when a version passed the delay of the rule that approved another one; None: it did not, or nobody may have it."""
    if one.approval.status is ApprovalStatus.EXPLICIT_REJECTED:
        return None
    rule = next((rule for rule in grounds.baseline.rules if rule.number == best.approval.rule), None)
    if rule is None:
        return None
    for look in candidates(one.patch, grounds.baseline.security_indexes):
        release = released(look, grounds)
        date = None if release.at is None else approval_date(rule, release.at)
        if date is not None and date <= grounds.now:
            return date
    return None


def _successor(one: Offer) -> str:
    if one.approval.status is ApprovalStatus.PENDING_APPROVAL and one.approval.approval_date is not None:
        return f"its successor {one.patch.version} is approved on {_told(one.approval.approval_date)}"
    return f"its successor {one.patch.version} is not approved: {one.approval.reason}"


def _why_nothing(newer: Sequence[Offer], passed_over: str) -> str:
    """Say why no newer version is wanted: a package that is replaced faster than its wait is over is never starved in silence."""
    if passed_over:
        return passed_over
    if not newer:
        return "nothing newer is on offer"
    lost = [one for one in newer if one.gone_since is not None]
    offered = [one for one in newer if one.gone_since is None]
    told = (
        f"newer {offered[-1].patch.version}: {offered[-1].approval.reason}"
        if offered
        else "nothing newer is on offer now"
    )
    if lost:
        names = ", ".join(one.patch.version for one in lost[-3:])
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""  # noqa: PLR2004  (as many as are named)
        told += f"; {len(lost)} version{'s' * (len(lost) > 1)} gone before the wait was over ({names}{more})"
    return told


def _told(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
