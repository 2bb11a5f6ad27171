"""What stops a plan from reaching further nodes: takes wanted findings and what failed so far, gives what stays; pure.

`MaxChangedPerPass` bounds repairs in one pass. `StopAfterFailures` and `MaxErrors` look at what this very definition did to
other nodes: without that memory a bad document would reach one more node, or one more batch, with every pass. Nodes where it
failed are tried again after their back-off: they tell when it goes on.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from reconciler.drift.finding import Cause, Finding
from reconciler.ids import AssociationName, Digest
from reconciler.model.desired import DesiredState
from reconciler.model.history import History, RunStatus
from reconciler.model.patch_order import RebootOption
from reconciler.plan.plan import LeftOut, Tally
from reconciler.plan.rates import error_threshold, errors_in_words
from reconciler.targets.resolve import Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """What the breakers let through, what they hold back, and the counts that the roll-out goes on from."""

    wanted: list[Finding]
    held: tuple[LeftOut, ...]
    tallies: Mapping[AssociationName, Tally]


def within_breakers(
    wanted: list[Finding],
    failing: Iterable[Finding],
    *,
    desired: DesiredState,
    targets: Targets,
    history: History,
    away: Iterable[Finding] = (),
) -> Within:
    """Hold back what a breaker stops; `failing` are all findings of cause Failed, also those that are wanted.

    `away`: findings of cause Unknown, among them those of nodes that cannot be reached.
    """
    counting = _Counting(desired=desired, targets=targets, history=history)
    failures = counting.by_association(failing, wanted)
    stopped = {name: why for name in {each.association for each in wanted} if (why := counting.stops(name, failures))}
    stays = [each for each in wanted if each.association not in stopped or _is_exempt(each)]
    held = [
        LeftOut(node=each.node, association=each.association, reason=f"{stopped[each.association]}; {each.reason}")
        for each in wanted
        if each.association in stopped and not _is_exempt(each)
    ]
    stays, unreturned = _without_unreturned(stays, away, history)
    held.extend(unreturned)
    stays, too_many = _within_max_changed(stays, desired, len(targets.nodes))
    tallies = {name: counting.tally(name, failures) for name in {each.association for each in stays}}
    return Within(wanted=stays, held=(*held, *too_many), tallies={n: t for n, t in tallies.items() if t != Tally()})


def _without_unreturned(
    wanted: list[Finding], away: Iterable[Finding], history: History
) -> tuple[list[Finding], tuple[LeftOut, ...]]:
    """Reboot no further node for patches while one that was to be patched has not come back to tell how it went."""
    asking = {each.association for each in wanted if _reboots(each)}
    lost = sorted({each.node for each in away if each.association in asking and _runs(each, history)})
    if not lost:
        return wanted, ()
    reason = (
        f"{', '.join(lost[:3])} did not come back from a patch install: no other node is rebooted until that is mended"
    )
    stays = [each for each in wanted if each.forced or not _reboots(each)]
    return stays, tuple(
        LeftOut(node=each.node, association=each.association, reason=f"{reason}; {each.reason}")
        for each in wanted
        if _reboots(each) and not each.forced
    )


def _reboots(finding: Finding) -> bool:
    return finding.patches is not None and finding.patches.reboot is RebootOption.REBOOT_IF_NEEDED


def _runs(finding: Finding, history: History) -> bool:
    row = history.applied(finding.node, finding.association)
    return row is not None and row.status is RunStatus.IN_PROGRESS


def _is_exempt(finding: Finding) -> bool:
    """Whether it is tried all the same: where it failed before, and where somebody asked for it."""
    return finding.cause is Cause.FAILED or finding.forced


class _Failed(Enum):
    ERROR = "error"
    """The run failed or timed out: SSM's count."""
    UNMET = "unmet"
    """It ended well, and left an expectation unmet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    kind: _Failed
    definition: Digest
    is_retried: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counting:
    desired: DesiredState
    targets: Targets
    history: History

    def by_association(
        self, failing: Iterable[Finding], wanted: Iterable[Finding]
    ) -> Mapping[AssociationName, list[_Failure]]:
        """Find where a definition that is wanted somewhere failed as it is written now."""
        names = {each.association for each in wanted}
        failures: dict[AssociationName, list[_Failure]] = defaultdict(list)
        for finding in failing:
            if finding.association not in names:
                continue
            row = self.history.applied(finding.node, finding.association)
            if row is None or row.failures == 0 or row.definition != finding.definition or row.status is None:
                continue
            kind = _Failed.ERROR if row.status.counts_as_error else _Failed.UNMET
            failures[finding.association].append(
                _Failure(kind=kind, definition=row.definition, is_retried=finding.wanted)
            )
        return failures

    def stops(self, name: AssociationName, failures: Mapping[AssociationName, list[_Failure]]) -> str | None:
        """Say why no further node is begun, or None."""
        found = failures.get(name, [])
        if not found:
            return None
        failed, most = len(found), self.desired.fleet.stop_after_failures
        if 0 < most <= failed and failed > (well := self._well(name, found[0].definition)):
            return failures_in_words(failed, well, most)
        association = self.desired.associations[name]
        # At a due instant of its schedule all come again, and SSM counts anew: those that are retried count when they fail.
        anew = association.schedule is not None
        errors = sum(1 for each in found if each.kind is _Failed.ERROR and not (anew and each.is_retried))
        threshold = error_threshold(association.max_errors, len(self.targets.members.get(name, ())))
        return errors_in_words(errors, threshold) if errors > threshold else None

    def tally(self, name: AssociationName, failures: Mapping[AssociationName, list[_Failure]]) -> Tally:
        """Count what the roll-out starts from: those it tries again it counts itself."""
        found = [each for each in failures.get(name, []) if not each.is_retried]
        if not found:
            return Tally()
        errors = sum(1 for each in found if each.kind is _Failed.ERROR)
        return Tally(errors=errors, failed=len(found), well=self._well(name, found[0].definition))

    def _well(self, name: AssociationName, definition: Digest) -> int:
        rows = (node.applied.get(name) for node in self.history.nodes.values())
        return sum(
            1
            for row in rows
            if row is not None
            and row.definition == definition
            and row.status is RunStatus.SUCCESS
            and row.failures == 0
        )


def failures_in_words(failed: int, well: int, most: int) -> str:
    """Say that a definition is stopped for the rest of the fleet."""
    return (
        f"breaker: this definition failed on {failed} nodes and went well on {well}, StopAfterFailures is {most}; "
        "it goes on when one of them succeeds, with a new definition, or by apply"
    )


def _within_max_changed(
    wanted: list[Finding], desired: DesiredState, fleet: int
) -> tuple[list[Finding], tuple[LeftOut, ...]]:
    """Repair drift on so many nodes in one pass and no more; first applications and changes do not count."""
    expression = desired.fleet.max_changed_per_pass
    if expression is None:
        return wanted, ()
    allowed = max(1, fleet * int(expression[:-1]) // 100) if expression.endswith("%") else int(expression)
    drifted = list(dict.fromkeys(finding.node for finding in wanted if finding.cause is Cause.DRIFTED))
    held = frozenset(drifted[allowed:])
    if not held:
        return wanted, ()
    reason = f"breaker: {len(drifted)} nodes drifted, and MaxChangedPerPass repairs {allowed} in one pass"
    stays = [finding for finding in wanted if finding.cause is not Cause.DRIFTED or finding.node not in held]
    return stays, tuple(
        LeftOut(node=finding.node, association=finding.association, reason=f"{reason}; {finding.reason}")
        for finding in wanted
        if finding.cause is Cause.DRIFTED and finding.node in held
    )
