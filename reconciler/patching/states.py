"""The state of each row of a node: SSM's decision table, with a reason for every row. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Final

from reconciler.ids import PatchId
from reconciler.model.baseline import ComplianceLevel, RejectedPatchesAction
from reconciler.model.patch import Family, Installed, InstallState, Patch, patch_title
from reconciler.patching.approval import Approval, Grounds, approve, next_date
from reconciler.patching.entries import installed_entry, told_entry
from reconciler.patching.node_patches import InstallRun, NodePatches
from reconciler.patching.selection import Offer, Selection, select
from reconciler.patching.versions import COMPARE_LABELS

_LAST: Final = datetime.max.replace(tzinfo=UTC)


class PatchState(Enum):
    """SSM: PatchComplianceDataState, in the order in which the first that fits is taken."""

    FAILED = "FAILED"
    MISSING = "MISSING"
    INSTALLED_PENDING_REBOOT = "INSTALLED_PENDING_REBOOT"
    INSTALLED_REJECTED = "INSTALLED_REJECTED"
    INSTALLED = "INSTALLED"
    INSTALLED_OTHER = "INSTALLED_OTHER"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    AVAILABLE_SECURITY_UPDATE = "AVAILABLE_SECURITY_UPDATE"


NON_COMPLIANT = frozenset(
    {
        PatchState.FAILED,
        PatchState.MISSING,
        PatchState.INSTALLED_REJECTED,
        PatchState.INSTALLED_PENDING_REBOOT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRow:
    """One row of the report: of a package that waits for a reboot and misses a newer version there are two."""

    id: PatchId
    title: str
    state: PatchState
    installed: Installed
    approval: Approval | None = None
    """Of the missing version, else of the installed one."""
    target: Patch | None = None
    cves: tuple[str, ...] = ()
    """Of all approved versions that are missing; empty in other states."""
    installed_rejected: bool = False
    """The installed version is rejected under BLOCK, whatever the state."""
    reason: str

    @property
    def level(self) -> ComplianceLevel:
        """SSM: Severity of the compliance item: that of the rule."""
        return ComplianceLevel.UNSPECIFIED if self._grounds is None else self._grounds.level

    @property
    def classification(self) -> str:
        """Give the vendor's, of an approved version; empty for a row that no rule is about (SSM)."""
        return "" if self._grounds is None else self._grounds.classification

    @property
    def severity(self) -> str:
        """SSM: PatchSeverity, the vendor's: another thing than `level`."""
        return "" if self._grounds is None else self._grounds.severity

    @property
    def _grounds(self) -> Approval | None:
        return self.approval if self.approval is not None and self.approval.is_approved else None

    @property
    def broken(self) -> bool:
        """Whether the package is not whole (half installed, half configured): never compliant."""
        return _is_broken(self.installed)

    @property
    def is_compliant(self) -> bool:
        """Whether the row speaks for the node."""
        return self.state not in NON_COMPLIANT and not self.broken


class Judge:
    """Verdicts on patches under one baseline, each worked out once however many nodes show the patch."""

    def __init__(self, grounds: Grounds) -> None:
        self.grounds = grounds
        self._known: dict[int, Approval] = {}
        self._dates: dict[int, tuple[Patch, datetime]] = {}

    def approval(self, patch: Patch) -> Approval:
        """Decide about a patch; the records are interned, so that one is told by its identity."""
        found = self._known.get(id(patch))
        if found is None or found.patch is not patch:
            found = self._known[id(patch)] = approve(patch, self.grounds)
        return found

    def until(self, patches: Iterable[Patch]) -> datetime:
        """Give when the next of the waits for these is over: until then, and until the day ends (UTC), all verdicts stay."""
        return min(map(self._next_date, patches), default=_LAST)

    def _next_date(self, patch: Patch) -> datetime:
        found = self._dates.get(id(patch))
        if found is None or found[0] is not patch:
            found = self._dates[id(patch)] = patch, next_date(patch, self.grounds)
        return found[1]


def judge_rows(node: NodePatches, judge: Judge, run: InstallRun | None = None) -> tuple[PatchRow, ...]:
    """Give the rows of one node, sorted by title."""
    offers = offers_of(node, judge)
    rows: list[PatchRow] = []
    for installed in _rows(node):
        mine = [one for key in _keys(installed, node) for one in offers.get(key, ())]
        rows.extend(_judged(installed, select(installed, mine, judge.grounds), node, judge, run))
    return tuple(sorted(rows, key=lambda row: (row.id, row.title, row.state.value)))


def not_applicable(node: NodePatches, judge: Judge) -> int:
    """Count the approved packages on offer that are not installed."""
    have = {key for installed in node.installed for key in _keys(installed, node)}
    return len({patch.id for patch in node.available if patch.id not in have and judge.approval(patch).is_approved})


def offers_of(node: NodePatches, judge: Judge) -> Mapping[PatchId, Sequence[Offer]]:
    """Give everything that is or was on offer for a node, with its verdict, by row."""
    found: dict[PatchId, list[Offer]] = {}
    for patch in node.available:
        deferred = bool(node.deferred) and patch.title in node.deferred
        found.setdefault(patch.id, []).append(Offer(approval=judge.approval(patch), deferred=deferred))
    for gone in node.gone:
        offer = Offer(approval=judge.approval(gone.patch), gone_since=gone.since, kept=gone.kept)
        found.setdefault(gone.patch.id, []).append(offer)
    return found


def _rows(node: NodePatches) -> Iterable[Installed]:
    """Of several installed versions of one (name, arch) the highest counts: kernels."""
    compare = COMPARE_LABELS[node.family.value]
    highest: dict[PatchId, Installed] = {}
    for row in node.installed:
        other = highest.get(row.id)
        if other is None or compare(row.version, other.version) > 0:
            highest[row.id] = row
    return highest.values()


def _keys(row: Installed, node: NodePatches) -> Iterable[PatchId]:
    """Give what may replace a row: the same (name, arch), and a package that became, or ceased to be, for all machines."""
    every = "all" if node.family is Family.APT else "noarch"
    yield row.id
    if row.arch == every and node.native:
        yield PatchId(f"{row.name}.{node.native}")
    elif row.arch == node.native:
        yield PatchId(f"{row.name}.{every}")


def _judged(
    installed: Installed, choice: Selection, node: NodePatches, judge: Judge, run: InstallRun | None
) -> Iterable[PatchRow]:
    rejection = _rejection(installed, node, judge)
    title = patch_title(node.family, installed.id, installed.version)
    waiting = _waits_for_reboot(title, node)
    failure = _failure(installed, choice, node, run)
    missing = choice.approved
    broken = "the package is not whole (its installation was not finished); " if _is_broken(installed) else ""
    if failure or missing is not None:
        state = PatchState.FAILED if failure else PatchState.MISSING
        reason = f"{failure}; {choice.reason}" if failure else choice.reason
        yield PatchRow(
            id=installed.id,
            title=_missing_title(installed, missing, node, run),
            state=state,
            approval=missing or choice.installed,
            target=choice.target,
            cves=_cves(missing, choice),
            reason=broken + reason,
            installed=installed,
            installed_rejected=bool(rejection),
        )
        if not waiting:
            return
    verdict = choice.installed
    state, reason = _installed_state(waiting, rejection, choice)
    yield PatchRow(
        id=installed.id,
        title=title,
        state=state,
        approval=verdict,
        reason=broken + reason,
        installed=installed,
        installed_rejected=bool(rejection),
    )


def _installed_state(waiting: str, rejection: str, choice: Selection) -> tuple[PatchState, str]:
    """Rows 3 to 6 of the table."""
    if waiting:
        return PatchState.INSTALLED_PENDING_REBOOT, waiting
    if rejection:
        return PatchState.INSTALLED_REJECTED, f"it is installed, and rejected by {rejection}"
    verdict = choice.installed
    if verdict is not None and verdict.is_approved:
        return PatchState.INSTALLED, f"the installed version is approved: {verdict.reason}; {choice.reason}"
    why = "nothing offers the installed version" if verdict is None else verdict.reason
    return PatchState.INSTALLED_OTHER, f"the installed version is not approved: {why}; {choice.reason}"


def _failure(installed: Installed, choice: Selection, node: NodePatches, run: InstallRun | None) -> str:
    """Row 1 of the table: only an Install fails."""
    if run is None:
        return ""
    told = run.problems.get(installed.id, "")
    wanted = run.attempted.get(installed.id)
    if wanted is not None and COMPARE_LABELS[node.family.value](installed.version, wanted) < 0:
        return f"the install did not bring {wanted}" + (f": {told}" if told else "")
    if choice.approved is not None and not run.override and choice.hold is None:
        return "it is still missing after the install" + (f": {told}" if told else "")
    return ""


def _missing_title(installed: Installed, missing: Approval | None, node: NodePatches, run: InstallRun | None) -> str:
    if missing is not None:
        return missing.patch.title
    wanted = None if run is None else run.attempted.get(installed.id)
    return patch_title(node.family, installed.id, wanted or installed.version)


def _waits_for_reboot(title: str, node: NodePatches) -> str:
    brought = node.installed_without_reboot.get(title)
    if brought is None or (node.booted_at is not None and node.booted_at >= brought):
        return ""
    return f"installed without a reboot on {brought:%Y-%m-%d %H:%M} UTC, and the node was not booted since"


def _rejection(installed: Installed, node: NodePatches, judge: Judge) -> str:
    baseline = judge.grounds.baseline
    if baseline.rejected_action is not RejectedPatchesAction.BLOCK:
        return ""
    entry = installed_entry(baseline.rejected, installed, node.family, judge.grounds.today)
    return "" if entry is None else told_entry(entry)


def _is_broken(installed: Installed) -> bool:
    return installed.state is InstallState.BROKEN


def _cves(missing: Approval | None, choice: Selection) -> tuple[str, ...]:
    approved = [*choice.skipped, *([] if missing is None else [missing])]
    return tuple(sorted({cve for one in approved for cve in one.patch.cves}))
