"""Where the fleet stands: the committed report held against the heartbeat. Asks no node; a stale line counts as unknown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconciler.commit.heartbeat import MISSED_INTERVALS, Heartbeat, NodeBeat, staleness
from reconciler.compliance.encode import encode_applied, encode_finding, instant
from reconciler.compliance.patch_rows import encode_patches
from reconciler.compliance.report import NodeReport, ReportedFinding, Status, item_status
from reconciler.daemon.repository_view import RepositoryView
from reconciler.drift.text import untold_differences
from reconciler.errors import UsageError
from reconciler.ids import AssociationName, NodeId
from reconciler.model.known import Known
from reconciler.plan.ground import Ground


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The report, the heartbeat, and what git asks for, at one instant."""

    ground: Ground
    reports: Mapping[NodeId, NodeReport]
    nodes: tuple[NodeId, ...]
    """Nodes of the fleet, within the limit."""
    heartbeat: Heartbeat | None
    stale: str | None
    """Why nothing of the report is valid now."""
    problems: tuple[str, ...]
    page: str | None
    now: datetime
    warnings: tuple[str, ...] = ()
    """What should be otherwise, and makes nothing unknown."""
    pauses: tuple[str, ...] = ()
    """What is paused, in words: on this host now, or on the host that made the last report."""

    def beat(self, node: NodeId) -> NodeBeat:
        """Give a node's volatile facts."""
        return NodeBeat() if self.heartbeat is None else self.heartbeat.nodes.get(node, NodeBeat())

    def status(self, node: NodeId) -> tuple[Status, str]:
        """Give a node's status now, and why where it is unknown."""
        if self.stale is not None:
            return Status.UNKNOWN, self.stale
        report = self.reports.get(node)
        if report is None:
            return Status.UNKNOWN, "not reported yet"
        if report.facts.unreachable is not None:
            return max(report.status, Status.UNKNOWN, key=_badness), report.facts.unreachable
        seen = self.beat(node).last_contact
        interval = None if self.heartbeat is None else self.heartbeat.interval
        if seen is None or interval is None or self.now - seen > interval * MISSED_INTERVALS:
            return Status.UNKNOWN, "not seen for two intervals"
        if seen - self.now > interval:
            return Status.UNKNOWN, "last seen at an instant that is yet to come: a clock is wrong"
        return report.status, ""

    @property
    def all_compliant(self) -> bool:
        """Whether every node is compliant, by a report that is fresh."""
        return not self.problems and all(self.status(node)[0] is Status.COMPLIANT for node in self.nodes)

    def counts(self) -> Mapping[Status, int]:
        """Count nodes by status."""
        found = [self.status(node)[0] for node in self.nodes]
        return {status: found.count(status) for status in Status}

    def freshness(self) -> Iterator[str]:
        """Say whether the report is valid now."""
        yield from (f"paused: {pause}" for pause in self.pauses)
        if self.stale is not None:
            yield f"NOT VALID NOW: {self.stale}"
        elif self.heartbeat is not None:
            yield f"last pass: {instant(self.heartbeat.last_pass)}, by {self.heartbeat.holder}"

    def in_words(self) -> Iterator[str]:
        """Give the status in lines."""
        counts = self.counts()
        yield (
            f"fleet {self.ground.desired.fleet.id}: {len(self.nodes)} nodes, {counts[Status.COMPLIANT]} compliant, "
            f"{counts[Status.NON_COMPLIANT]} not, {counts[Status.UNKNOWN]} unknown"
        )
        yield f"state in force: {self.ground.desired.commit}"
        yield from self.freshness()
        yield from (f"attention: {problem}" for problem in self.problems)
        yield from (f"warning: {warning}" for warning in self.warnings)
        yield from (f"held: {node}: {note}" for node in self.nodes for note in self.notes(node))
        for node in self.nodes:
            status, why = self.status(node)
            if status is not Status.COMPLIANT:
                wrong = [r for r in self._findings(node) if item_status(r.finding) is not Status.COMPLIANT]
                words = "; ".join(f"{r.finding.association} {r.finding.state.value}: {r.finding.reason}" for r in wrong)
                told = (why or words, self.patch_words(node))
                yield f"{node}  {status.value}  {'; '.join(filter(None, told))}"

    def as_json(self) -> Mapping[str, Any]:
        """Give the status as a JSON value."""
        return {
            "fleet": self.ground.desired.fleet.id,
            "state_commit": self.ground.desired.commit,
            "stale": self.stale,
            "last_pass": None if self.heartbeat is None else instant(self.heartbeat.last_pass),
            "problems": list(self.problems),
            "warnings": list(self.warnings),
            "pauses": list(self.pauses),
            "counts": {status.value: count for status, count in self.counts().items()},
            "nodes": [self.node_json(node) for node in self.nodes],
        }

    def node_json(self, node: NodeId) -> Mapping[str, Any]:
        """Give one node as a JSON value."""
        status, why = self.status(node)
        seen = self.beat(node).last_contact
        return {
            "node": node,
            "status": status.value,
            "why": why or None,
            "notes": list(self.notes(node)),
            "last_contact": None if seen is None else instant(seen),
            "findings": {r.finding.association: r.finding.state.value for r in self._findings(node)},
            **self._patches_json(node),
        }

    def _patches_json(self, node: NodeId) -> Mapping[str, Any]:
        report = self.reports.get(node)
        return {} if report is None else encode_patches(report.every_patches)

    def node_row(self, node: NodeId) -> tuple[str, ...]:
        """Give one line of the list of nodes."""
        seen = self.beat(node).last_contact
        report = self.reports.get(node)
        system = "" if report is None else _text(report, "os", "name")
        desired = self.ground.desired.nodes[node]
        address = desired.address or desired.transport.value
        return (node, self.status(node)[0].value, "never" if seen is None else instant(seen), system, address)

    def _findings(self, node: NodeId) -> tuple[ReportedFinding, ...]:
        report = self.reports.get(node)
        return () if report is None else report.findings

    def notes(self, node: NodeId) -> tuple[str, ...]:
        """Give the node's holds, as last reported."""
        report = self.reports.get(node)
        return () if report is None else report.notes

    def patch_words(self, node: NodeId) -> str:
        """Say what is wrong with a node's patches, as last reported; empty: nothing."""
        report = self.reports.get(node)
        return "" if report is None else report.patch_words

    def patches_in_words(self) -> Iterator[tuple[NodeId, str]]:
        """Give the nodes with whose patches something is wrong, and what."""
        yield from ((node, words) for node in self.nodes if (words := self.patch_words(node)))

    def not_in_sync(self) -> tuple[tuple[NodeId, ReportedFinding], ...]:
        """Give every finding that is not compliant, by node."""
        return tuple(
            (node, reported)
            for node in self.nodes
            for reported in self._findings(node)
            if item_status(reported.finding) is not Status.COMPLIANT
        )

    def finding_json(self, node: NodeId, reported: ReportedFinding) -> Mapping[str, Any]:
        """Give one finding as a JSON value."""
        return {"node": node, "association": reported.finding.association, **encode_finding(reported)}

    def unknown(self) -> Iterator[tuple[NodeId, str]]:
        """Give the nodes of which nobody knows how they are now, and why."""
        for node in self.nodes:
            status, why = self.status(node)
            if status is Status.UNKNOWN and why:
                yield node, why

    def report_json(self) -> Mapping[str, Any]:
        """Give the whole report as a JSON value: the status, and every finding in full."""
        return {
            **self.as_json(),
            "nodes": {node: self._explained_json(node, None) for node in self.nodes},
        }

    def explain_json(self, name: str, association: str | None) -> Mapping[str, Any]:
        """Give why a node is in the state it is in as a JSON value. Raises UsageError for what is not in this fleet."""
        node, meant = self._meant(name, association)
        return self._explained_json(node, meant)

    def _explained_json(self, node: NodeId, meant: tuple[AssociationName, ...] | None) -> Mapping[str, Any]:
        names = self.ground.targets.associations_of(node) if meant is None else meant
        found = {r.finding.association: r for r in self._findings(node)}
        report = self.reports.get(node)
        applied = {} if report is None else report.history.applied
        return {
            **self.node_json(node),
            "file": self.ground.desired.nodes[node].file,
            "associations": {
                name: {
                    "file": self.ground.desired.associations[name].file,
                    "document": self.ground.desired.associations[name].document,
                    "targeted": self._targeted(node, name),
                    "finding": encode_finding(found[name]) if name in found else None,
                    "history": encode_applied(applied[name]) if name in applied else None,
                }
                for name in names
            },
        }

    def _targeted(self, node: NodeId, association: AssociationName) -> str:
        return next(t.why for t in self.ground.targets.by_association[association] if t.node == node)

    def explain(self, name: str, association: str | None) -> Iterator[str]:
        """Tell why a node is in the state it is in. Raises UsageError for what is not in this fleet."""
        return self._explained(*self._meant(name, association))

    def _meant(self, name: str, association: str | None) -> tuple[NodeId, tuple[AssociationName, ...]]:
        node = NodeId(name)
        if node not in self.ground.desired.nodes:
            raise UsageError(f"no node is named {name!r}; `reconciler nodes` lists them")
        meant = self.ground.targets.associations_of(node)
        if association is not None and AssociationName(association) not in meant:
            known = ", ".join(meant) or "none"
            raise UsageError(f"association {association!r} does not mean node {name}; these do: {known}")
        return node, meant if association is None else (AssociationName(association),)

    def _explained(self, node: NodeId, meant: tuple[AssociationName, ...]) -> Iterator[str]:
        status, why = self.status(node)
        yield f"{node}: {status.value}{f', {why}' if why else ''}"
        yield f"  written in {self.ground.desired.nodes[node].file}"
        yield from (f"  {note}" for note in self.notes(node))
        yield from (f"  paused: {pause}" for pause in self.pauses)
        if not meant:
            yield "  no association means this node"
        report = self.reports.get(node)
        found = {r.finding.association: r for r in self._findings(node)}
        for name in meant:
            desired = self.ground.desired.associations[name]
            yield f"{name} ({desired.file}): document {desired.document}, {self._targeted(node, name)}"
            if name not in found:
                yield "  not reported yet"
                continue
            finding = found[name].finding
            cause = "" if finding.cause.value == finding.state.value else f" ({finding.cause.value})"
            until = "" if finding.until is None else f", until {instant(finding.until)}"
            yield f"  {finding.state.value}{cause} since {instant(found[name].since)}{until}: {finding.reason}"
            for difference in untold_differences(finding):
                yield f"    {difference.subject}: {difference.observed}, should be {difference.expected}"
            applied = None if report is None else report.history.applied.get(name)
            if applied is not None:
                words = (f"{key} {value}" for key, value in encode_applied(applied).items() if key != "definition")
                yield f"  history: {', '.join(words)}"


def _badness(status: Status) -> int:
    return (Status.COMPLIANT, Status.UNKNOWN, Status.NON_COMPLIANT).index(status)


def _text(report: NodeReport, section: str, key: str) -> str:
    match report.facts.get(section, key):
        case Known(str(value)):
            return value
        case _:
            return ""


def read_standing(view: RepositoryView, now: datetime, limit: list[str]) -> Standing:
    """Read branch, heartbeat and state, as they are now."""
    base, accepted = view.branches.in_force()
    branch = view.branches.committed()
    beat = view.branches.heartbeat()
    heartbeat = beat if isinstance(beat, Heartbeat) else None
    lost = branch.history.lost
    return Standing(
        ground=base,
        reports=branch.reports,
        nodes=view.limited(tuple(limit)),
        heartbeat=heartbeat,
        stale=staleness(beat, now, base.desired.fleet.interval)
        if lost is None
        else f"the history of reports is lost: {lost}",
        problems=(*accepted.problems, *((lost,) if lost else ())),
        page=view.branches.page(),
        now=now,
        warnings=view.warnings(base),
        pauses=_pauses(view, heartbeat, branch.pauses, now),
    )


def _pauses(
    view: RepositoryView, heartbeat: Heartbeat | None, committed: tuple[str, ...], now: datetime
) -> tuple[str, ...]:
    """Give what is paused here now; where another host leads, what its last report says besides."""
    here = tuple(view.pauses.read().in_words(now))
    if heartbeat is None or heartbeat.holder == view.holder:
        return here
    return (*here, *(f"{pause} (at {heartbeat.holder}, as last reported)" for pause in committed))
