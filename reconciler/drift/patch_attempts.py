"""What installs tried and did not bring: a node's history and its rows -> rows that are FAILED; pure.

SSM: FAILED until it is tried anew, or comes by itself.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.ids import AssociationName, PatchId
from reconciler.model.history import Applied, NodeHistory, RunStatus
from reconciler.patching.states import PatchRow, PatchState


def attempts_of(known: NodeHistory, names: Iterable[AssociationName]) -> Sequence[datetime]:
    """Give when installs began that ended, and after which not everything was found in order."""
    rows = (known.applied.get(name) for name in names)
    return [row.started for row in rows if row is not None and row.started is not None and _left_something(row)]


def _left_something(row: Applied) -> bool:
    return row.executions > 0 and row.status is not None and row.status is not RunStatus.IN_PROGRESS and not row.in_sync


def with_attempts(row: PatchRow, attempts: Sequence[datetime]) -> PatchRow:
    """SSM: what an Install was to bring and did not is FAILED, until it is tried anew or comes by itself."""
    date = None if row.approval is None else row.approval.approval_date
    tried = [at for at in attempts if date is None or date <= at]
    if row.state is not PatchState.MISSING or row.target is None or not tried:
        return row
    said = f"the install of {max(tried):%Y-%m-%d %H:%M} UTC did not bring it"
    return replace(row, state=PatchState.FAILED, reason=f"{said}; {row.reason}")


def with_list(row: PatchRow, tried: Mapping[PatchId, tuple[str, datetime]]) -> PatchRow:
    """SSM: what an InstallOverrideList names and its Install did not bring is FAILED, whatever a baseline says of it."""
    if row.id not in tried or row.state is PatchState.INSTALLED_PENDING_REBOOT:
        return row
    title, at = tried[row.id]
    said = f"the install of {at:%Y-%m-%d %H:%M} UTC did not bring it, and its list names it"
    return replace(row, state=PatchState.FAILED, title=title, reason=f"{said}; {row.reason}")
