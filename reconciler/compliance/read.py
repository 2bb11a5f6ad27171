"""The files of the compliance branch -> history, reports and facts; what does not read is said, never skipped."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from reconciler.compliance.encode import decode_applied, decode_finding
from reconciler.compliance.report import NodeReport
from reconciler.compliance.write import VERSION
from reconciler.errors import SourceError
from reconciler.ids import AssociationName, CommitId, NodeId
from reconciler.inventory.canonical import read_canonical
from reconciler.inventory.observed import Facts
from reconciler.model.history import History, NodeHistory


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """The compliance branch at one commit, read."""

    history: History
    reports: Mapping[NodeId, NodeReport] = field(default_factory=dict)

    @property
    def facts(self) -> Mapping[NodeId, Facts]:
        """The facts as committed."""
        return {node: report.facts for node, report in self.reports.items()}


def read_branch_files(files: Iterable[tuple[str, bytes]], commit: CommitId | None) -> Branch:
    """Read the files of one commit. Raises SourceError naming the file where one is not what this version writes."""
    nodes: dict[NodeId, tuple[NodeHistory, tuple[Any, ...], tuple[str, ...]]] = {}
    facts: dict[NodeId, Facts] = {}
    summary: Mapping[str, Any] = {}
    for path, content in files:
        try:
            if path == "compliance.json":
                summary = _versioned(content)
            elif path.startswith("nodes/"):
                _, _, name = path.split("/", 2)
                node = NodeId(name.removesuffix(".json"))
                nodes[node] = _node(node, _versioned(content))
            elif path.startswith("inventory/"):
                node = NodeId(path.rsplit("/", 1)[-1].removesuffix(".json"))
                facts[node] = read_canonical(node, content)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise SourceError(
                f"compliance branch, commit {commit}, {path}: not a report of this version ({exc}); "
                "restore the branch, or start a new history with --new-history"
            ) from exc
    reports = {
        node: NodeReport(
            node=node,
            findings=findings,
            history=history,
            notes=notes,
            facts=facts.get(node, Facts(node=node, unreachable="never collected")),
        )
        for node, (history, findings, notes) in nodes.items()
    }
    return Branch(
        reports=reports,
        history=History(
            commit=commit,
            state_commit=CommitId(summary["state_commit"]) if summary.get("state_commit") else None,
            nodes={node: history for node, (history, _, _) in nodes.items()},
            target_counts={AssociationName(k): int(v) for k, v in summary.get("targets", {}).items()},
        ),
    )


def _versioned(content: bytes) -> Mapping[str, Any]:
    value = orjson.loads(content)
    if not isinstance(value, dict) or value.get("version") != VERSION:
        met = value.get("version") if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"version {met} instead of {VERSION}")
    return value


def _node(node: NodeId, value: Mapping[str, Any]) -> tuple[NodeHistory, tuple[Any, ...], tuple[str, ...]]:
    history = NodeHistory(
        node=node,
        machine_id=value.get("machine_id"),
        host_key=value.get("host_key"),
        acknowledged=int(value.get("acknowledged", 0)),
        applied={AssociationName(name): decode_applied(row) for name, row in value["applied"].items()},
    )
    findings = tuple(
        decode_finding(node, AssociationName(name), row) for name, row in sorted(value["findings"].items())
    )
    return history, findings, tuple(value.get("notes", ()))
