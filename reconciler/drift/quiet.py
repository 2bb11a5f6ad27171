"""What is plainly in sync, told at the price of a few comparisons: half a million pairs of a large fleet are; pure.

Quiet is what the whole judgement would call InSync without a word more: applied as written, no failure, no drift, every
expectation holds, no schedule due. Whatever else it is, is for `judge`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from reconciler.drift.definitions import Definition
from reconciler.drift.expectations import Compiled, Together
from reconciler.drift.rule import Rule
from reconciler.drift.view import View
from reconciler.ids import AssociationName, Digest, NodeId
from reconciler.model.history import Applied, RunStatus
from reconciler.schedule.association import NotDue
from reconciler.schedule.records import Rate

NEVER = datetime.max.replace(tzinfo=UTC)


class QuietRule:
    """One rule at one instant; remembers since when an answered schedule is not due."""

    __slots__ = ("_calm_since", "_rule", "_settled", "_wait", "digest", "expect", "now", "until")

    def __init__(self, rule: Rule, now: datetime) -> None:
        # What is missing of patches depends on the hour: each is looked at.
        can_be = isinstance(rule.definition, Definition) and not rule.association.unsupported and rule.patches is None
        self.digest: Digest | None = rule.digest if can_be else None
        self.expect: Compiled | None = rule.expect
        self.now = now
        self.until = NEVER
        """Until when what was found quiet stays so, as far as its schedule goes."""
        self._rule = rule
        self._wait: timedelta | None = rule.expression.interval if isinstance(rule.expression, Rate) else None
        self._calm_since: datetime | None = None
        self._settled: dict[int, Applied] = {}
        """By `id`, the records (kept here, so that no other one gets it) that are settled on whatever node they stand for."""

    @property
    def is_timed(self) -> bool:
        """Whether the time alone may end its quiet: where nothing is expected, a schedule says when it runs."""
        return self.expect is None and self._rule.expression is not None

    def is_settled(self, node: NodeId, row: Applied | None) -> bool:
        """Whether history leaves nothing to be done: applied as written, went well, not due again."""
        if id(row) in self._settled:
            return True
        if row is None or row.definition != self.digest or not went_well(row):
            return False
        if self.expect is None and not self._is_calm(node, row):
            return False
        if self._wait is None or self.expect is not None:  # a rate is spread: when it is due depends on the node
            self._settled[id(row)] = row
        return True

    def is_settled_anywhere(self, row: Applied | None) -> bool:
        """Whether it was found settled, and would be on any node."""
        return id(row) in self._settled

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
                self._settled[id(row)] = row
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


Names = tuple[AssociationName, ...]
Rows = Mapping[AssociationName, Applied]


class QuietRules:
    """All rules of a fleet at one instant. Nodes that share names, rows or facts are answered for together.

    What is remembered goes by `id`, and is kept with it: an id is of one record as long as that is there.
    """

    def __init__(self, rules: Mapping[AssociationName, Rule], now: datetime) -> None:
        self._rules = {name: QuietRule(rule, now) for name, rule in rules.items()}
        self._expecting: dict[int, tuple[Names, Names, Names, Together]] = {}
        self._settled: dict[tuple[int, int], tuple[Names, Rows]] = {}
        self._holding: dict[tuple[int, int], Names] = {}
        self._timed: dict[int, tuple[Names, tuple[QuietRule, ...]]] = {}

    def until(self, names: Names) -> datetime:
        """Give until when what was found quiet stays so, as far as schedules go."""
        known = self._timed.get(id(names))
        if known is None:
            rules = (self._rules[name] for name in names)
            known = self._timed[id(names)] = names, tuple(rule for rule in rules if rule.is_timed)
        return min((rule.until for rule in known[1]), default=NEVER)

    def not_quiet(self, node: NodeId, names: Names, rows: Rows, view: View) -> Names:
        """Give those of `names` of which more is to be said than that they are in sync."""
        unsettled = () if (id(names), id(rows)) in self._settled else self._unsettled(node, names, rows)
        unmet = self._unmet(names, view)
        if not unsettled and not unmet:
            return ()
        return tuple(name for name in names if name in unsettled or name in unmet)

    def _unsettled(self, node: NodeId, names: Names, rows: Rows) -> Names:
        rules = self._rules
        found = tuple(name for name in names if not rules[name].is_settled(node, rows.get(name)))
        if not found and all(rules[name].is_settled_anywhere(rows[name]) for name in names):
            self._settled[id(names), id(rows)] = names, rows
        return found

    def _unmet(self, names: Names, view: View) -> list[AssociationName]:
        alike, others, together = self._with_expectations(names)
        unmet = [] if together.are_told(view) else [name for name in others if not self._holds(name, view)]
        if not view.alike or (view.alike, id(names)) not in self._holding:
            of_alike = [name for name in alike if not self._holds(name, view)]
            if view.alike and not of_alike:
                self._holding[view.alike, id(names)] = names
            unmet += of_alike
        return unmet

    def _with_expectations(self, names: Names) -> tuple[Names, Names, Together]:
        """Divide those that expect something: what alike nodes hold alike, and the others, which are looked for at once."""
        known = self._expecting.get(id(names))
        if known is None:
            expecting = [(name, expect) for name in names if (expect := self._rules[name].expect) is not None]
            alike = tuple(name for name, expect in expecting if expect.is_alike)
            others = tuple((name, expect) for name, expect in expecting if not expect.is_alike)
            together = Together(tuple(expect for _, expect in others))
            known = self._expecting[id(names)] = names, alike, tuple(name for name, _ in others), together
        return known[1:]

    def _holds(self, name: AssociationName, view: View) -> bool:
        expect = self._rules[name].expect
        return expect is None or expect.holds(view)
