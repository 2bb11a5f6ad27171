"""How one association stands on one node: takes its rule, what was applied, what holds, and the instant; pure.

Gates that lie outside of the two (holds, dependencies, modes, a run still going) are not looked at: `gates` does that.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from reconciler.drift.expectations import Verdict
from reconciler.drift.finding import Cause, Difference
from reconciler.drift.identity import NOTHING, is_forgotten
from reconciler.drift.rule import Rule
from reconciler.drift.text import differences_text, instant_text, subjects_text
from reconciler.ids import NodeId
from reconciler.model.history import Applied, RunStatus
from reconciler.schedule.association import Due

FIRST_WAIT = timedelta(minutes=30)
LONGEST_WAIT = timedelta(hours=24)
FLAPPING_REPAIRS = 5
FLAPPING_WITHIN = timedelta(hours=24)
BAD = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A cause with its reason, and whether the document should run for it."""

    cause: Cause
    reason: str
    differences: tuple[Difference, ...] = ()
    act: bool = False
    waits: str | None = None
    """Why it does not run now although it will: back-off, schedule."""
    until: datetime | None = None
    adopted: bool = False
    unstable: tuple[str, ...] = ()
    """Flapping: the subjects that something else keeps changing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One association on one node, at one instant."""

    rule: Rule
    node: NodeId
    applied: Applied | None
    now: datetime
    others_have_it: bool = False
    """Whether the association was applied on another node before: then this node is the news."""


def standing(case: Case, verdict: Verdict | None) -> Standing:
    """Decide; `verdict` is None where the association expects nothing."""
    return _by_schedule(case) if verdict is None else _by_expectations(case, verdict)


def backoff(failures: int) -> timedelta:
    """Give how long to leave a node alone after so many failures in a row: 30 minutes, doubling to a day."""
    return min(FIRST_WAIT * int(2 ** min(max(failures, 1) - 1, 10)), LONGEST_WAIT)


def _by_expectations(case: Case, verdict: Verdict) -> Standing:
    if verdict.holds is None:
        return Standing(cause=Cause.UNKNOWN, reason="; ".join(verdict.unknown))
    news = _news(case)
    if verdict.holds:
        return _holding(case, news)
    differing = differences_text(verdict.differences)
    if verdict.unknown:
        differing = f"{differing} (not known: {'; '.join(verdict.unknown)})"
    if case.applied is None or news is not None:
        return Standing(cause=Cause.PENDING, reason=f"{news}: {differing}", differences=verdict.differences, act=True)
    if was_in_sync(case.applied):
        return _drifted(case, case.applied, differing, verdict.differences)
    return _failed(case, case.applied, differing, verdict.differences)


def _holding(case: Case, news: str | None) -> Standing:
    applied = case.applied
    on_change = case.rule.association.run_on_change
    if applied is None or news is not None:
        if on_change and not (applied is not None and is_forgotten(applied) and applied.definition == case.rule.digest):
            return Standing(
                cause=Cause.PENDING, reason=f"{news}: RunOnChange, although every expectation holds", act=True
            )
        reason = f"every expectation holds: taken over without a run ({news})"
        return Standing(cause=Cause.IN_SYNC, reason=reason, adopted=True)
    if on_change and not applied.adopted and applied.status in BAD:
        return _failed(case, applied, "RunOnChange: every expectation holds, but the run did not end well", ())
    return Standing(cause=Cause.IN_SYNC, reason="every expectation holds")


def _news(case: Case) -> str | None:
    """Say what git asks for that was not attempted as written here; None: nothing."""
    applied = case.applied
    if applied is None:
        return "new node for this association" if case.others_have_it else "not yet applied"
    if applied.definition == NOTHING:
        return applied.detail or "not yet applied"
    if applied.definition != case.rule.digest:
        return "the definition changed"
    return (applied.detail or "what was applied is not known") if is_forgotten(applied) else None


def was_in_sync(applied: Applied) -> bool:
    """Whether it was in order once since it was applied: then what differs now is drift."""
    return applied.in_sync or applied.adopted or applied.drift_seen is not None


def _drifted(case: Case, applied: Applied, differing: str, differences: tuple[Difference, ...]) -> Standing:
    recent = [repair for repair in applied.repairs if repair > case.now - FLAPPING_WITHIN]
    if len(recent) >= FLAPPING_REPAIRS:
        again = instant_text(sorted(recent)[-FLAPPING_REPAIRS] + FLAPPING_WITHIN)
        # Not how it differs: what undoes the repairs may write something else each time, and each would be a commit.
        subjects = tuple(each.subject for each in differences)
        reason = (
            f"flapping: repaired {len(recent)} times in 24 h, and undone each time: {subjects_text(subjects)}; "
            f"left alone until {again} or apply"
        )
        return Standing(cause=Cause.FAILED, reason=reason, unstable=subjects)
    found = applied.drift_seen or case.now
    return when_due(case, applied, Cause.DRIFTED, differing, differences, drift_found=found)


def _failed(case: Case, applied: Applied, differing: str, differences: tuple[Difference, ...]) -> Standing:
    if applied.status is RunStatus.SUCCESS:
        reason = f"the last run exited 0 and left it unmet: {differing}"
    else:
        reason = f"the last run {ending(applied)}; {differing}"
    last = applied.ended or applied.started
    quiet = None if last is None else last + backoff(applied.failures)
    return when_due(case, applied, Cause.FAILED, reason, differences, not_before=quiet)


def when_due(
    case: Case,
    applied: Applied,
    cause: Cause,
    reason: str,
    differences: tuple[Difference, ...],
    *,
    drift_found: datetime | None = None,
    not_before: datetime | None = None,
) -> Standing:
    """Act at a due instant of the schedule that lies after `not_before`."""
    answer = case.rule.due(case.node, applied, case.now, drift_found=drift_found)
    quiet = not_before is not None and not_before > case.now
    if isinstance(answer, Due) and not quiet:
        return Standing(cause=cause, reason=reason, differences=differences, act=True)
    if isinstance(answer, Due) or (quiet and not_before is not None and answer.until and not_before >= answer.until):
        waits, until = f"back-off after {_times(applied.failures)}", not_before
    else:
        waits, until = answer.reason, answer.until
    return Standing(cause=cause, reason=reason, differences=differences, act=True, waits=waits, until=until)


def _times(failures: int) -> str:
    return "a failure" if failures <= 1 else f"{failures} failures"


def ending(applied: Applied) -> str:
    """Say how the last run ended."""
    status = "failed" if applied.status is None else applied.status.value
    exit_code = "" if applied.exit_code is None else f" with exit status {applied.exit_code}"
    return f"ended {status}{exit_code}{f' ({applied.detail})' if applied.detail else ''}"


def _by_schedule(case: Case) -> Standing:
    """Decide as State Manager does: created, changed, new node, due; a failed one at its next instant."""
    applied = case.applied
    if applied is None or applied.definition != case.rule.digest:
        return Standing(cause=Cause.PENDING, reason=str(_news(case)), act=True)
    if is_forgotten(applied):
        return _forgotten(case, applied)
    if applied.status in BAD:
        reason = f"the last run {ending(applied)}"
        if case.rule.expression is None:
            return Standing(cause=Cause.FAILED, reason=f"{reason}; a new definition or apply runs it again")
        return when_due(case, applied, Cause.FAILED, reason, ())
    due = _scheduled(case, applied)
    if due is not None:
        return Standing(cause=Cause.PENDING, reason=f"scheduled: {due.reason}", act=True)
    return Standing(cause=Cause.IN_SYNC, reason="applied as written")


def _forgotten(case: Case, applied: Applied) -> Standing:
    """Leave alone what may or may not be there still, until its schedule asks for a run anyway."""
    due = _scheduled(case, applied)
    if due is not None:
        return Standing(cause=Cause.PENDING, reason=f"{applied.detail}; {due.reason}", act=True)
    reason = f"{applied.detail}; its schedule, a new definition or apply runs it again"
    return Standing(cause=Cause.UNKNOWN, reason=reason)


def _scheduled(case: Case, applied: Applied) -> Due | None:
    """Ask the schedule; without one nothing is ever due."""
    answer = None if case.rule.expression is None else case.rule.due(case.node, applied, case.now)
    return answer if isinstance(answer, Due) else None
