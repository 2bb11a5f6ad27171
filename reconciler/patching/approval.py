"""THE rule: is this patch approved, by which rule, since when or until when it waits, and why. Pure; the clock is an argument.

The first of: rejected list, approved list, approval rules (their order does not matter). A verdict is a function of patch,
baseline, ledger, product and instant, and of nothing else: two daemons give the same answer, and so does next year's replay.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Final

from reconciler.model.baseline import ComplianceLevel, PatchBaseline, PatchEntry, PatchRule, ReleaseDates
from reconciler.model.patch import Patch
from reconciler.patching.entries import matching_entry, told_entry
from reconciler.patching.filters import Candidate, candidates, first_mismatch
from reconciler.patching.ledger import DateSource, Ledger

_LAST: Final = datetime.max.replace(tzinfo=UTC)


class ApprovalStatus(Enum):
    """SSM: PatchDeploymentStatus, and NOT_APPROVED, which AWS has no word for."""

    APPROVED = "APPROVED"
    PENDING_APPROVAL = "PENDING_APPROVAL"
    EXPLICIT_APPROVED = "EXPLICIT_APPROVED"
    EXPLICIT_REJECTED = "EXPLICIT_REJECTED"
    NOT_APPROVED = "NOT_APPROVED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """When a patch was released, as far as an approval is concerned."""

    at: datetime | None
    """UTC; None: nobody knows, and nothing is approved by its age."""
    source: DateSource | None
    told: str
    """Where the date comes from, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A verdict with its grounds; the report prints both, and nobody works them out again."""

    patch: Patch
    status: ApprovalStatus
    reason: str
    rule: int | None = None
    """The rule that approves it or on which it waits; None: no rule does."""
    level: ComplianceLevel = ComplianceLevel.UNSPECIFIED
    """The highest of the rules and lists that approve it."""
    release: Release | None = None
    """What the rule went by; None: no rule was asked."""
    approval_date: datetime | None = None
    """Since when it is approved, or when it will be; None: by no date."""
    entry: PatchEntry | None = None
    """The entry of a list that decided."""
    classification: str = ""
    severity: str = ""
    """As vendor and archive have it (SSM: PatchSeverity): another thing than `level`."""
    security: bool = False

    @property
    def is_approved(self) -> bool:
        """Whether it may be installed."""
        return self.status in {ApprovalStatus.APPROVED, ApprovalStatus.EXPLICIT_APPROVED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a verdict rests on besides the patch: the same for all patches of nodes with one baseline and product."""

    baseline: PatchBaseline
    ledger: Ledger
    product: str
    """`Debian12`; empty: not known, and no rule with a product matches."""
    now: datetime
    """UTC; of `clock.trusted_now`."""

    @property
    def today(self) -> date:
        """The day in UTC: entries of lists end with one."""
        return self.now.astimezone(UTC).date()


def approve(patch: Patch, grounds: Grounds) -> Approval:
    """Decide about one patch."""
    baseline = grounds.baseline
    looks = candidates(patch, baseline.security_indexes)
    best = _foremost(looks)
    rejection = matching_entry(baseline.rejected, patch, grounds.today)
    if rejection is not None:
        return _verdict(
            patch, best, ApprovalStatus.EXPLICIT_REJECTED, f"rejected by {told_entry(rejection)}", entry=rejection
        )
    by_rule = _by_rules(patch, looks, grounds)
    entry = matching_entry(baseline.approved, patch, grounds.today)
    if entry is None:
        return by_rule
    if not baseline.approved_non_security and not any(look.security for look in looks):
        said = f"on the approved list ({told_entry(entry)}), but no security update (ApprovedPatchesEnableNonSecurity)"
        return _with_reason(by_rule, f"{said}; {by_rule.reason}")
    level = baseline.approved_level
    if by_rule.is_approved:
        level = max(level, by_rule.level, key=lambda one: one.rank)
    reason = f"on the approved list: {told_entry(entry)}"
    return _verdict(patch, best, ApprovalStatus.EXPLICIT_APPROVED, reason, entry=entry, level=level)


# ---------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True, kw_only=True)
class _Match:
    """A rule that a look at the patch matches, but for the date."""

    rule: PatchRule
    look: Candidate
    release: Release
    approval_date: datetime | None
    """None: never by this rule."""
    is_over: bool
    """Whether the wait is over."""


def _by_rules(patch: Patch, looks: tuple[Candidate, ...], grounds: Grounds) -> Approval:
    kept, outside = [], ""
    for look in looks:
        outside = outside or first_mismatch(grounds.baseline.global_filters, look, grounds.product)
        if not first_mismatch(grounds.baseline.global_filters, look, grounds.product):
            kept.append(look)
    if not kept:
        said = f"outside the global filters: {outside}" if outside else "no patch of the vendor names this version"
        return _verdict(patch, _foremost(looks), ApprovalStatus.NOT_APPROVED, said)
    matches, mismatches = [], []
    for rule in grounds.baseline.rules:
        for look in kept:
            mismatch = first_mismatch(rule.filters, look, grounds.product) or _not_security(rule, look)
            if mismatch:
                mismatches.append(f"rule {rule.number}: {mismatch}")
            else:
                matches.append(_match(rule, look, grounds))
    if not matches:
        said = "; ".join(dict.fromkeys(mismatches)) if mismatches else "the baseline has no approval rules"
        return _verdict(patch, _foremost(looks), ApprovalStatus.NOT_APPROVED, f"no rule matches: {said}")
    return _of_matches(patch, matches)


def _not_security(rule: PatchRule, look: Candidate) -> str:
    if rule.non_security or look.security:
        return ""
    if look.notice is not None:
        return f"notice {look.notice.id} has no classification or no severity, and EnableNonSecurity is false"
    return "no security update, and EnableNonSecurity is false"


def _match(rule: PatchRule, look: Candidate, grounds: Grounds) -> _Match:
    release = released(look, grounds)
    when = None if release.at is None else approval_date(rule, release.at)
    return _Match(
        rule=rule, look=look, release=release, approval_date=when, is_over=when is not None and when <= grounds.now
    )


def approval_date(rule: PatchRule, release: datetime) -> datetime | None:
    """Give when a rule approves what was released then; None: never.

    SSM: days of 24 hours, the very instant; what was released up to the end of ApproveUntilDate (UTC), at once.
    """
    if rule.approve_until is not None:
        end = datetime.combine(rule.approve_until, datetime.min.time(), UTC) + timedelta(days=1)
        return release if release < end else None
    delay = timedelta(days=rule.approve_after_days or 0)
    return release + delay if release < _LAST - delay else _LAST  # a date of the year 9999 is somebody's joke


def _of_matches(patch: Patch, matches: list[_Match]) -> Approval:
    over = [match for match in matches if match.is_over]
    waiting = [match for match in matches if not match.is_over and match.approval_date is not None]
    if over:
        first = min(over, key=_order)
        level = max((match.rule.level for match in over), key=lambda one: one.rank)
        since = first.approval_date
        reason = (
            f"rule {first.rule.number} approved it on {_told(since)}: {_delay(first.rule)} after {first.release.told}"
        )
        if first.rule.approve_until is not None:
            reason = f"rule {first.rule.number} approves it: {first.release.told}, not after {first.rule.approve_until}"
        return _ruled(patch, first, ApprovalStatus.APPROVED, reason, level=level)
    if waiting:
        first = min(waiting, key=_order)
        reason = f"rule {first.rule.number} approves it on {_told(first.approval_date)}: {_delay(first.rule)} after {first.release.told}"
        return _ruled(patch, first, ApprovalStatus.PENDING_APPROVAL, reason, level=first.rule.level)
    first = matches[0]
    if first.release.at is None:
        reason = f"rule {first.rule.number} matches, but nothing says how old it is: {first.release.told}"
        return _ruled(patch, first, ApprovalStatus.PENDING_APPROVAL, reason, level=first.rule.level)
    reason = f"rule {first.rule.number} never approves it: {first.release.told}, after {first.rule.approve_until}"
    return _ruled(patch, first, ApprovalStatus.NOT_APPROVED, reason, level=ComplianceLevel.UNSPECIFIED)


def _order(match: _Match) -> tuple[datetime, int]:
    return match.approval_date or datetime.max.replace(tzinfo=UTC), match.rule.number


def _delay(rule: PatchRule) -> str:
    days = rule.approve_after_days or 0
    return f"{days} day{'s' * (days != 1)}"


# ---------------------------------------------------------------- dates


def next_date(patch: Patch, grounds: Grounds) -> datetime:
    """Give the next instant at which a wait of any rule for this patch is over; far away where none is left.

    Until then every verdict that rests on dates stays what it is: lists change with the day, and the rest with what is read.
    """
    found = _LAST
    for look in candidates(patch, grounds.baseline.security_indexes):
        at = released(look, grounds).at
        if at is not None:
            dates = (approval_date(rule, at) for rule in grounds.baseline.rules)
            found = min((found, *(date for date in dates if date is not None and date > grounds.now)))
    return found


def released(look: Candidate, grounds: Grounds) -> Release:
    """Date one look at a patch, as the baseline says (`ReleaseDates`)."""
    policy = grounds.baseline.release_dates
    published = None if look.notice is None else look.notice.published
    if policy is not ReleaseDates.FIRST_SEEN and published is not None:
        return _release(published, DateSource.PUBLISHER, f"notice {_notice_id(look)} of")
    if policy is ReleaseDates.BUILD_TIME and look.patch.built is not None:
        return _release(look.patch.built, DateSource.BUILD_TIME, "it was built on")
    seen = grounds.ledger.first_seen(look.patch, look.indexes)
    if seen is None:
        told = "its index states no checksum" if not look.patch.checksum else "the ledger has no entry of it yet"
        return Release(at=None, source=None, told=told)
    if published is not None and published > seen.at:
        return _release(published, DateSource.PUBLISHER, f"notice {_notice_id(look)} of")
    words = "a seed dates it" if seen.source is DateSource.SEED else "it was first seen"
    return _release(seen.at, seen.source, f"{words} (in {seen.archive}) on")


def _notice_id(look: Candidate) -> str:
    return "" if look.notice is None else look.notice.id


def _release(instant: datetime, source: DateSource, words: str) -> Release:
    return Release(at=instant, source=source, told=f"{words} {_told(instant)}")


def _told(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


# ---------------------------------------------------------------- verdicts

_WORDS = ("", "none", "unspecified", "low", "moderate", "medium", "important", "high", "critical", "urgent")


def _foremost(looks: Iterable[Candidate]) -> Candidate | None:
    """Give the look that a report shows where no rule picked one: security first, then the worst severity."""
    return max(looks, key=_weight, default=None)


def _weight(look: Candidate) -> tuple[bool, bool, int]:
    word = look.severity.casefold()
    is_security = look.classification.casefold() == "security"
    return look.security, is_security, _WORDS.index(word) if word in _WORDS else 0


def _verdict(
    patch: Patch,
    look: Candidate | None,
    status: ApprovalStatus,
    reason: str,
    *,
    entry: PatchEntry | None = None,
    level: ComplianceLevel = ComplianceLevel.UNSPECIFIED,
) -> Approval:
    return Approval(
        patch=patch,
        status=status,
        reason=reason,
        level=level,
        entry=entry,
        classification="" if look is None else look.classification,
        severity="" if look is None else look.severity,
        security=look is not None and look.security,
    )


def _ruled(patch: Patch, match: _Match, status: ApprovalStatus, reason: str, *, level: ComplianceLevel) -> Approval:
    return Approval(
        patch=patch,
        status=status,
        reason=reason,
        rule=match.rule.number,
        level=level,
        release=match.release,
        approval_date=match.approval_date,
        classification=match.look.classification,
        severity=match.look.severity,
        security=match.look.security,
    )


def _with_reason(approval: Approval, reason: str) -> Approval:
    return replace(approval, reason=reason)
