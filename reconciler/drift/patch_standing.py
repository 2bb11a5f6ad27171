"""How an association about patches stands on one node: takes what it asks and how the node's patches stand, gives a Standing; pure.

A scan runs nothing: the look itself is the scan. An install runs only where something that is missing can be had, or where
earlier installs wait for the reboot it may do.
"""

from dataclasses import replace
from datetime import datetime

from reconciler.drift.finding import Cause, Difference
from reconciler.drift.patched import Patched
from reconciler.drift.standing import BAD, Case, Standing, backoff, ending, was_in_sync, when_due
from reconciler.model.history import Applied, RunStatus
from reconciler.model.known import Observed, Unknown
from reconciler.model.patch_order import PatchOrder
from reconciler.model.patch_request import Operation, PatchRequest
from reconciler.patching.node_compliance import ComplianceStatus
from reconciler.patching.states import PatchRow, PatchState

_TOLD = 5
"""Rows that a reason names; the rest is counted, and stands with the node."""
_MISSING = frozenset({PatchState.MISSING, PatchState.FAILED})


def patch_standing(case: Case, request: PatchRequest, found: Observed[Patched] | None) -> Standing:
    """Decide about one patch association on one node."""
    if found is None:
        return Standing(cause=Cause.UNKNOWN, reason="its patches were not looked at")
    if isinstance(found, Unknown):
        return Standing(cause=Cause.UNKNOWN, reason=found.why)
    patched = found.value
    if request.operation is Operation.SCAN:
        return _scanned(case, patched)
    order = patched.orders.get(case.rule.association.name)
    if order is None:
        return _nothing_to_install(case, request, patched)
    return _with_gates(_to_install(case, patched, order), patched)


def _scanned(case: Case, patched: Patched) -> Standing:
    if patched.compliance.status is ComplianceStatus.UNKNOWN:
        return Standing(cause=Cause.UNKNOWN, reason=patched.compliance.reason)
    missing = sum(row.state in _MISSING for row in patched.rows)
    said = f"scanned by {patched.baseline}: {missing} approved patches are missing"
    return Standing(cause=Cause.IN_SYNC, reason=said, adopted=_is_new(case))


def _nothing_to_install(case: Case, request: PatchRequest, patched: Patched) -> Standing:
    """Nothing that is missing can be had: in sync only where nothing is missing, and that is known.

    What a list does not name is not missing to who goes by it (SSM: it stays MISSING, and the operation succeeds). What waits for a reboot that the association may not do, or is rejected and installed, is the business of the rows.
    """
    stuck = [row for row in patched.rows if row.state in _MISSING] if request.overrides is None else []
    if stuck:
        reason = _told(stuck, "missing, and cannot be installed now")
        return Standing(cause=Cause.PENDING, reason=reason, differences=_differences(stuck))
    broken = [row for row in patched.rows if row.broken]
    if broken:
        return Standing(cause=Cause.FAILED, reason=_told(broken, "not whole"))
    if patched.doubts:
        return Standing(cause=Cause.UNKNOWN, reason="; ".join(patched.doubts))
    waiting = sum(row.state is PatchState.INSTALLED_PENDING_REBOOT for row in patched.rows)
    more = f"; {waiting} wait for a reboot" if waiting else ""
    reason = f"no patch that {patched.baseline} approves is missing{more}"
    if request.overrides is not None:
        reason = f"what the override list names is installed, as far as it is on offer{more}"
    return Standing(cause=Cause.IN_SYNC, reason=reason, adopted=_is_new(case))


def _to_install(case: Case, patched: Patched, order: PatchOrder) -> Standing:
    wanted = {pin.id for pin in order.pins}
    rows = [row for row in patched.rows if row.state in _MISSING and row.id in wanted]
    pending = [row for row in patched.rows if row.state is PatchState.INSTALLED_PENDING_REBOOT]
    reason = _told(rows, "missing") if rows else _told(pending, "installed, waiting for a reboot")
    if not rows and order.pins:  # an InstallOverrideList names what no baseline asks for
        reason = f"{len(order.pins)} patches of the override list are not installed"
    differences, applied = _differences(rows), case.applied
    if applied is None or _is_new(case):
        what = "not yet installed" if applied is None else "the definition changed"
        return Standing(cause=Cause.PENDING, reason=f"{what}: {reason}", differences=differences, act=True)
    since = _asked_for_since(applied)
    fresh = [row for row in rows if (date := _approved(row)) is not None and date > since]
    if fresh:
        found = min(date for row in fresh if (date := _approved(row)) is not None)
        return when_due(case, applied, Cause.PENDING, f"newly approved: {reason}", differences, drift_found=found)
    if was_in_sync(applied):
        found = applied.drift_seen or case.now
        return when_due(case, applied, Cause.DRIFTED, reason, differences, drift_found=found)
    if applied.status is RunStatus.SUCCESS:
        reason = f"the last run exited 0 and left it: {reason}"
    elif applied.status in BAD:
        reason = f"the last run {ending(applied)}; {reason}"
    last = applied.ended or applied.started
    quiet = None if last is None else last + backoff(applied.failures)
    return when_due(case, applied, Cause.FAILED, reason, differences, not_before=quiet)


def _with_gates(standing: Standing, patched: Patched) -> Standing:
    return replace(standing, waits=patched.clock, until=None) if patched.clock else standing


def _is_new(case: Case) -> bool:
    return case.applied is None or case.applied.definition != case.rule.digest


def _asked_for_since(applied: Applied) -> datetime:
    """Give until when approvals were answered: by the last run, else by the look that found nothing missing."""
    return applied.started or applied.definition_since


def _approved(row: PatchRow) -> datetime | None:
    return None if row.approval is None else row.approval.approval_date


def _differences(rows: list[PatchRow]) -> tuple[Difference, ...]:
    return tuple(
        Difference(subject=f"package {row.id}", expected=_wanted(row), observed=row.installed.version) for row in rows
    )


def _wanted(row: PatchRow) -> str:
    if row.target is not None:
        return row.target.version
    return row.title if row.approval is None else row.approval.patch.version


def _told(rows: "list[PatchRow] | tuple[PatchRow, ...]", what: str) -> str:
    named = ", ".join(
        f"{row.id} {row.installed.version} -> {_wanted(row)}" if row.state in _MISSING else row.title
        for row in rows[:_TOLD]
    )
    more = f" and {len(rows) - _TOLD} more" if len(rows) > _TOLD else ""
    patches = "1 patch is" if len(rows) == 1 else f"{len(rows)} patches are"
    why = f" ({rows[0].reason})" if len(rows) == 1 else ""
    return f"{patches} {what}: {named}{more}{why}"
