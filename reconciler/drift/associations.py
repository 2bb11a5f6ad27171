"""Desired against observed, association by association: takes desired state, targets, facts and history, gives Findings; pure.

One finding for each association and node, sorted by node and association. After a rollout the same function is asked
again, with what was seen then and the history that `memory` has brought up to date. A large fleet is surveyed instead:
the same findings, of which only the noteworthy ones are records before somebody asks for them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.drift.definitions import Definition, Unrenderable
from reconciler.drift.finding import Cause, Finding, State
from reconciler.drift.identity import history_of, still_counts, twins
from reconciler.drift.judge import Forced, Judge
from reconciler.drift.patched import PatchSurvey
from reconciler.drift.quiet import NEVER, QuietRules
from reconciler.drift.refreshed import is_asked_for, wishes_on
from reconciler.drift.rule import Rule, rules
from reconciler.drift.view import Alike, View, is_committed_of
from reconciler.ids import AssociationName, NodeId
from reconciler.inventory.observed import Facts
from reconciler.model.desired import DesiredState
from reconciler.model.history import History, NodeHistory, alike_rows
from reconciler.model.known import Known
from reconciler.model.node import Node
from reconciler.model.pause import Pauses
from reconciler.targets.resolve import Targets

FactsOf = Mapping[NodeId, Facts] | Callable[[NodeId], Facts | None]


def find_drift(  # noqa: PLR0913 - findings are a function of all of these, and of nothing else
    desired: DesiredState,
    targets: Targets,
    facts: FactsOf,
    history: History,
    now: datetime,
    *,
    definitions: Mapping[AssociationName, Definition | Unrenderable],
    forced: Forced | None = None,
    host_keys: Mapping[NodeId, str | None] | None = None,
    pauses: Pauses | None = None,
    patches: PatchSurvey | None = None,
) -> tuple[Finding, ...]:
    """Judge every association on every node it means; `forced` says what was asked for by hand."""
    return tuple(
        Surveyor().survey(
            desired,
            targets,
            facts,
            history,
            now,
            definitions=definitions,
            forced=forced,
            host_keys=host_keys,
            pauses=pauses,
            patches=patches,
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All findings of a fleet. Iterating makes those that say no more than "in sync"; `noteworthy` are the others."""

    targets: Targets
    rules: Mapping[AssociationName, Rule]
    noteworthy: tuple[Finding, ...]
    """Sorted as all are."""

    def __iter__(self) -> Iterator[Finding]:
        noted = iter(self.noteworthy)
        upcoming = next(noted, None)
        for node in self.targets.nodes:
            for name in self.targets.associations_of(node):
                if upcoming is not None and upcoming.association == name and upcoming.node == node:
                    yield upcoming
                    upcoming = next(noted, None)
                else:
                    yield self._in_sync(node, self.rules[name])

    def __len__(self) -> int:
        return sum(map(len, self.targets.members.values()))

    @staticmethod
    def _in_sync(node: NodeId, rule: Rule) -> Finding:
        return Finding(
            node=node,
            association=rule.association.name,
            state=State.IN_SYNC,
            cause=Cause.IN_SYNC,
            reason="applied as written" if rule.expect is None else "every expectation holds",
            severity=rule.association.severity,
            definition=rule.digest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What the last survey found of one node, and what it rested on."""

    facts: Facts
    known: NodeHistory | None
    names: tuple[AssociationName, ...]
    noted: frozenset[AssociationName]
    """What was not quiet: looked at anew in every survey."""
    until: datetime


_Token = tuple[object, ...]


class Surveyor:
    """Surveys a fleet again and again: what did not change since the last time, and cannot have become due, is not judged again.

    What is kept makes it faster and changes no finding; equal records (`is`) of facts and history are what it goes by.
    """

    def __init__(self) -> None:
        self._kept: dict[NodeId, _Kept] = {}
        self._tokens: Mapping[AssociationName, _Token] = {}
        self._at: datetime | None = None

    def survey(  # noqa: PLR0913 - findings are a function of all of these, and of nothing else
        self,
        desired: DesiredState,
        targets: Targets,
        facts: FactsOf,
        history: History,
        now: datetime,
        *,
        definitions: Mapping[AssociationName, Definition | Unrenderable],
        forced: Forced | None = None,
        host_keys: Mapping[NodeId, str | None] | None = None,
        pauses: Pauses | None = None,
        patches: PatchSurvey | None = None,
    ) -> Survey:
        """Judge every association on every node it means."""
        # A renamed node's key is known under its former id, too: that is one server at one id.
        former = {name for node in desired.nodes.values() for name in node.former_ids}
        known_keys = {node: record.host_key for node, record in history.nodes.items() if node not in former}
        ruled = rules(desired, definitions)
        judge = Judge(
            desired=desired,
            rules=ruled,
            history=history,
            now=now,
            forced=forced,
            twins=twins(known_keys | dict(host_keys) if host_keys else known_keys),
            pauses=pauses or Pauses(),
            patches=patches or PatchSurvey(),
        )
        tokens = {name: _token(rule) for name, rule in ruled.items()}
        if self._at is None or now < self._at or forced is not None:
            self._kept = {}
        changed = frozenset(name for name, token in tokens.items() if self._tokens.get(name) != token)
        one = _OneFleet(judge=judge, quiet=QuietRules(ruled, now), changed=changed)
        noteworthy: list[Finding] = []
        kept: dict[NodeId, _Kept] = {}
        look_up = facts if callable(facts) else facts.get
        for node in targets.nodes:
            names = targets.associations_of(node)
            if names:
                found, keep = one.node(desired.nodes[node], names, look_up(node), self._kept.get(node))
                noteworthy += found
                if keep is not None:
                    kept[node] = keep
        self._kept, self._tokens, self._at = kept, tokens, now
        return Survey(targets=targets, rules=ruled, noteworthy=tuple(noteworthy))


def _token(rule: Rule) -> _Token:
    """Give what decides whether a node is quiet, beside its facts and its history."""
    association = rule.association
    return rule.digest, association.check_as_root, association.unsupported, association.run_on_change


@dataclass(frozen=True, slots=True, kw_only=True)
class _OneFleet:
    """One survey."""

    judge: Judge
    quiet: QuietRules
    changed: frozenset[AssociationName]
    alike: Alike = field(default_factory=Alike)

    def node(
        self, node: Node, names: tuple[AssociationName, ...], facts: Facts | None, last: _Kept | None
    ) -> tuple[list[Finding], _Kept | None]:
        """Give the noteworthy findings of one node, and what to keep of it."""
        unknown = self.judge.unknown(node, facts)
        if facts is None or unknown is not None:
            return [self.judge.unknown_finding(node, name, unknown or "") for name in names], None
        recorded = history_of(self.judge.history, node)
        asked, until = names, NEVER
        if last is not None and last.facts is facts and last.known is recorded and self.judge.now < last.until:
            if last.names == names and not last.noted and not self.changed:
                return [], last
            before = frozenset(last.names)
            asked = tuple(name for name in names if name in self.changed or name in last.noted or name not in before)
            until = last.until
            if not asked:
                return [], last
        view = View(facts, self.alike)
        known = (
            recorded
            if recorded is None or is_committed_of(facts, recorded.machine_id)
            else still_counts(recorded, facts)
        )
        noted = asked
        if self.judge.forced is None and not self._has_runs(facts, view) and not self._has_wishes(facts, view, names):
            rows = {} if known is None else alike_rows(known.applied)
            noted = self.quiet.not_quiet(node.id, asked, rows, view)
            until = min(until, self.quiet.until(asked))
        found: list[Finding] = []
        if noted:
            around = self.judge.around(node, facts, known, view)
            made = self.judge.findings(around, noted, in_sync=frozenset(names).difference(noted))
            found = [made[name] for name in names if name in made]
        return found, _Kept(facts=facts, known=recorded, names=names, noted=frozenset(noted), until=until)

    def _has_wishes(self, facts: Facts, view: View, names: tuple[AssociationName, ...]) -> bool:
        """Whether the node tells of a wish for one of its associations; committed facts never do."""
        wishes = wishes_on(facts) if view.content is None else {}
        return bool(wishes) and any(is_asked_for(name, wishes, self.judge.rules[name].definition) for name in names)

    @staticmethod
    def _has_runs(facts: Facts, view: View) -> bool:
        """Whether run folders are on the node; committed facts never tell of them."""
        runs = None if view.content is not None else facts.section("runs")
        return isinstance(runs, Known) and bool(runs.value)
