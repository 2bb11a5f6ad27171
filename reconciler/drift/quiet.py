"""What is plainly in sync, told at the price of a few comparisons: half a million pairs of a large fleet are; pure.

Quiet is what the whole judgement would call InSync without a word more: applied as written, no failure, no drift, every
expectation holds, no schedule due. Whatever else it is, is for `judge`.
"""

from datetime import UTC, datetime, timedelta

from reconciler.drift.definitions import Definition
from reconciler.drift.expectations import Compiled
from reconciler.drift.rule import Rule
from reconciler.drift.view import View
from reconciler.ids import Digest, NodeId
from reconciler.model.history import Applied, RunStatus
from reconciler.schedule.association import NotDue
from reconciler.schedule.records import Rate

NEVER = datetime.max.replace(tzinfo=UTC)


class QuietRule:
    """One rule at one instant; remembers since when an answered schedule is not due."""

    __slots__ = ("_calm_since", "_quiet", "_rule", "_wait", "digest", "expect", "now", "until")

    def __init__(self, rule: Rule, now: datetime) -> None:
        can_be = isinstance(rule.definition, Definition) and not rule.association.unsupported
        self.digest: Digest | None = rule.digest if can_be else None
        self.expect: Compiled | None = rule.expect
        self.now = now
        self.until = NEVER
        """Until when what was found quiet stays so, as far as its schedule goes."""
        self._rule = rule
        self._wait: timedelta | None = rule.expression.interval if isinstance(rule.expression, Rate) else None
        self._calm_since: datetime | None = None
        self._quiet: dict[int, Applied] = {}
        """By `id`, the records (kept here, so that no other one gets it) that were quiet on whatever node they stand for."""

    def is_quiet(self, node: NodeId, row: Applied | None, view: View) -> bool:
        """Whether nothing is to be said but that it is in sync."""
        if id(row) not in self._quiet:
            if row is None or row.definition != self.digest or not went_well(row):
                return False
            if self.expect is None and not self._is_calm(node, row):
                return False
            if self._wait is None or self.expect is not None:  # a rate is spread: when it is due depends on the node
                self._quiet[id(row)] = row
        return self.expect is None or self.expect.holds(view)

    def _is_calm(self, node: NodeId, row: Applied) -> bool:
        """Whether the schedule of an association without expectations asks for nothing now."""
        if self._rule.expression is None:
            return True
        started, ended = row.started, row.ended
        if started is None or ended is None or ended < started:
            return False
        if self._wait is not None:
            due = ended + self._wait
            if due > self.now:
                self.until = min(self.until, due)
                self._quiet[id(row)] = row
                return True
        elif self._calm_since is not None and ended >= self._calm_since:
            return True
        return self._is_not_due(node, row, ended)

    def _is_not_due(self, node: NodeId, row: Applied, ended: datetime) -> bool:
        answer = self._rule.due(node, row, self.now)
        if not isinstance(answer, NotDue):
            return False
        if answer.until is not None:
            self.until = min(self.until, answer.until)
        if self._wait is None:  # what answered the same instants later is not due either
            answered = max(ended, row.definition_since, row.first_matched)
            self._calm_since = answered if self._calm_since is None else min(self._calm_since, answered)
        return True


def went_well(row: Applied) -> bool:
    """Whether the last word on it is good, as far as history goes."""
    return (
        row.in_sync
        and row.failures == 0
        and row.drift_seen is None
        and (row.status is RunStatus.SUCCESS or (row.adopted and row.status is None))
    )
