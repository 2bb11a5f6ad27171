"""One node's associations, judged one by one: takes a node, its facts and everything its fleet shares, gives Findings; pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.drift.definitions import Definition, Unrenderable
from reconciler.drift.expectations import Verdict
from reconciler.drift.finding import Cause, Finding, State
from reconciler.drift.gates import Gate, Running, dependency_gate, held, lost, mode_words, paused, running_on
from reconciler.drift.identity import history_of, known_as_another
from reconciler.drift.lost_history import outgrown, unread
from reconciler.drift.patch_standing import patch_standing
from reconciler.drift.patched import PatchSurvey
from reconciler.drift.refreshed import ACTION, is_asked_for, wishes_on
from reconciler.drift.rule import Rule
from reconciler.drift.standing import Case, Standing, standing
from reconciler.drift.view import View
from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.node import Mode, Node, least_intervening
from reconciler.model.patch_order import PatchOrder
from reconciler.model.pause import Pauses

Forced = Callable[[AssociationName, NodeId], bool]
_STATES = {cause: State(cause.value) for cause in Cause}


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is the same for every association of one node."""

    node: Node
    facts: Facts
    view: View
    known: NodeHistory | None
    held: Observed[Gate | None]
    running: Observed[Mapping[AssociationName, Running]]
    wishes: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Everything a fleet's findings rest on, but for the facts."""

    desired: DesiredState
    rules: Mapping[AssociationName, Rule]
    history: History
    now: datetime
    forced: Forced | None = None
    twins: Mapping[NodeId, str] = field(default_factory=dict)
    pauses: Pauses = field(default_factory=Pauses)
    patches: PatchSurvey = field(default_factory=PatchSurvey)
    """Of the nodes whose patches are looked at."""
    _seen: dict[tuple[AssociationName, bool], bool] = field(default_factory=dict)

    def findings(
        self, around: Around, names: Iterable[AssociationName], in_sync: Iterable[AssociationName] = ()
    ) -> dict[AssociationName, Finding]:
        """Judge some associations of one node; of the others in `in_sync` it is known already."""
        states: dict[AssociationName, State] = dict.fromkeys(in_sync, State.IN_SYNC)
        found: dict[AssociationName, Finding] = {}
        for name in self._in_dependency_order(tuple(names)):
            found[name] = self._finding(self.rules[name], around, states)
            states[name] = found[name].state
        return found

    def around(self, node: Node, facts: Facts, known: NodeHistory | None, view: View) -> Around:
        """Look once at what all associations of a node share."""
        return Around(
            node=node,
            facts=facts,
            view=view,
            known=known,
            held=held(facts, self.now),
            running=running_on(facts, self.desired.fleet.id),
            wishes=wishes_on(facts),
        )

    def _in_dependency_order(self, names: tuple[AssociationName, ...]) -> tuple[AssociationName, ...]:
        if not any(self.rules[name].association.depends_on for name in names):
            return names
        wanted = frozenset(names)
        return tuple(name for name in self.rules if name in wanted)

    def unknown(self, node: Node, facts: Facts | None) -> str | None:
        """Say why nothing can be told about this node."""
        if self.history.lost is not None:
            return f"history is lost: {self.history.lost}"
        if facts is None:
            return "its facts were never collected"
        known = history_of(self.history, node)
        fleet = self.desired.fleet.id
        return (
            facts.unreachable
            or self.twins.get(node.id)
            or known_as_another(facts, fleet, node, known)
            or outgrown(known, facts, fleet, {node.id, *node.former_ids})
        )

    def unknown_finding(self, node: Node, name: AssociationName, reason: str) -> Finding:
        """Give the finding of a node that nothing can be told about."""
        rule = self.rules[name]
        return Finding(
            node=node.id,
            association=name,
            state=State.UNKNOWN,
            cause=Cause.UNKNOWN,
            reason=reason,
            severity=rule.association.severity,
            definition=rule.digest,
        )

    def _finding(self, rule: Rule, around: Around, states: Mapping[AssociationName, State]) -> Finding:
        name, node = rule.association.name, around.node.id
        applied = None if around.known is None else around.known.applied.get(name)
        run = around.running.value.get(name) if isinstance(around.running, Known) else None
        if applied is not None and applied.status is RunStatus.IN_PROGRESS and run is None:
            applied, run = self._in_progress(applied, around)
        verdict = None if rule.expect is None else rule.expect.verdict(around.view)
        found = self._stand(rule, node, applied, verdict, run)
        by = self._asked_by(rule, around) if run is None else None
        if by is not None:
            found = _by_hand(found, by)
        return self._decide(rule, around, found, states, forced=by is not None, run=run)

    def _asked_by(self, rule: Rule, around: Around) -> str | None:
        """Tell what asks for a run whatever is found; None where nothing does."""
        name = rule.association.name
        if not isinstance(rule.definition, Definition):
            return None
        if self.forced is not None and self.forced(name, around.node.id):
            return "apply"
        mode = least_intervening(self.desired.fleet.mode, around.node.mode, rule.association.mode)
        # What could not run anyway is no different for having been wished for.
        if mode is not Mode.ENFORCE or rule.association.unsupported:
            return None
        return ACTION if is_asked_for(name, around.wishes, rule.definition) else None

    def _in_progress(self, applied: Applied, around: Around) -> tuple[Applied, Running | None]:
        """Judge a run that history says goes on, while the node shows no such folder."""
        match around.running:
            case Known() if not self._has_folder(applied, around):
                return lost(applied), None
        return applied, Running(association=AssociationName(""), reason="running, not settled yet", cause=Cause.PENDING)

    @staticmethod
    def _has_folder(applied: Applied, around: Around) -> bool:
        return applied.run is not None and applied.run in around.view.rows("runs")

    def _stand(
        self, rule: Rule, node: NodeId, applied: Applied | None, verdict: Verdict | None, run: Running | None
    ) -> Standing:
        match rule.definition:
            case Unrenderable(reason=reason, waits=waits):
                cause = Cause.PENDING if waits else Cause.FAILED
                return Standing(cause=cause, reason=reason, act=waits, waits=reason if waits else None)
        if run is not None:
            return Standing(cause=run.cause, reason=run.reason, act=True, waits=run.reason)
        others = applied is None and self._anywhere(rule, well=False)
        case = Case(rule=rule, node=node, applied=applied, now=self.now, others_have_it=others)
        if rule.patches is not None and verdict is None:
            return patch_standing(case, rule.patches, self.patches.of(node, rule.association.name))
        return standing(case, verdict)

    def _order(self, rule: Rule, node: NodeId) -> PatchOrder | None:
        """Give what a run of the association would bring, where what is missing is known."""
        found = self.patches.of(node, rule.association.name)
        return found.value.orders.get(rule.association.name) if isinstance(found, Known) else None

    def _anywhere(self, rule: Rule, *, well: bool) -> bool:
        """Whether the association was ever applied on a node; `well`: as it is written now, and with success."""
        key = (rule.association.name, well)
        if key not in self._seen:
            rows = (node.applied.get(rule.association.name) for node in self.history.nodes.values())
            self._seen[key] = any(
                row is not None and row.executions > 0 and (not well or _went_well(row, rule)) for row in rows
            )
        return self._seen[key]

    def _decide(
        self,
        rule: Rule,
        around: Around,
        found: Standing,
        states: Mapping[AssociationName, State],
        *,
        forced: bool,
        run: Running | None,
    ) -> Finding:
        """Put the gates between a standing and the run."""
        state, reason, until, wanted = _STATES[found.cause], found.reason, None, False
        association = rule.association
        cause = found.cause
        mode = least_intervening(self.desired.fleet.mode, around.node.mode, association.mode)
        if association.unsupported:
            state, cause = State.WAITING, Cause.PENDING if cause is Cause.IN_SYNC else cause
            reason = f"not supported yet: {', '.join(association.unsupported)}"
        elif run is not None:
            state = State.WAITING
        elif found.act and (why := self._unread(rule, around)) is not None:
            state, cause, reason = State.UNKNOWN, Cause.UNKNOWN, why
        elif found.act and mode is not Mode.ENFORCE:
            reason = f"{reason} (mode {mode.value}: {mode_words(mode)})"
        elif found.act:
            match self._gate(rule, around, found, states):
                case Unknown(why=why):
                    state, cause, reason = State.UNKNOWN, Cause.UNKNOWN, why
                case Known(Gate() as gate):
                    state, until = State.WAITING, gate.until
                    reason = gate.reason if gate.reason == reason else f"{gate.reason}; {reason}"
                case _:
                    wanted = True
        return Finding(
            node=around.node.id,
            association=association.name,
            state=state,
            cause=cause,
            reason=reason,
            severity=association.severity,
            definition=rule.digest,
            differences=found.differences,
            unstable=found.unstable,
            until=until,
            wanted=wanted,
            first_time=wanted and cause is Cause.PENDING and not self._anywhere(rule, well=True),
            adopted=found.adopted and not association.unsupported,
            forced=forced and wanted,
            patches=self._order(rule, around.node.id) if wanted else None,
        )

    @staticmethod
    def _unread(rule: Rule, around: Around) -> str | None:
        name = rule.association.name
        return unread(around.facts, name) if around.known is None or name not in around.known.applied else None

    def _gate(
        self, rule: Rule, around: Around, found: Standing, states: Mapping[AssociationName, State]
    ) -> Observed[Gate | None]:
        """Give the first gate that is closed."""
        if self.desired.fleet.suspend:
            return Known(Gate(reason="the fleet is suspended (Suspend in state/fleet.yaml)"))
        stopped = paused(self.pauses, around.node.id, rule.association.name, self.now)
        if stopped is not None:
            return Known(stopped)
        if isinstance(around.held, Unknown) or around.held.value is not None:
            return around.held
        if isinstance(around.running, Known) and around.running.value:
            other = next(iter(around.running.value.values()))
            return Known(Gate(reason=f"{other.association} is {other.reason} on this node"))
        dependency = dependency_gate(rule.association, states)
        if dependency is not None:
            return Known(dependency)
        return Known(Gate(reason=found.waits, until=found.until) if found.waits is not None else None)


def _by_hand(found: Standing, by: str) -> Standing:
    cause = Cause.PENDING if found.cause in (Cause.IN_SYNC, Cause.UNKNOWN) else found.cause
    return replace(
        found,
        cause=cause,
        reason=f"asked for by {by}; {found.reason}",
        act=True,
        waits=None,
        until=None,
        adopted=False,
    )


def _went_well(row: Applied, rule: Rule) -> bool:
    return row.definition == rule.digest and row.status is RunStatus.SUCCESS and row.failures == 0
