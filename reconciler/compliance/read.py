"""The files of the compliance branch -> history, reports and facts; what does not read is said, never skipped.

Nodes are alike: a row that many of them have is decoded once, and a node's findings only where somebody asks for them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from reconciler.collector import paused_collector
from reconciler.compliance.encode import decode_applied, decode_finding, moment, text_of, whole_of
from reconciler.compliance.patch_rows import decode_patches
from reconciler.compliance.patches import PatchReport
from reconciler.compliance.paths import DOWNLOADS
from reconciler.compliance.report import NodeReport
from reconciler.compliance.write import VERSION
from reconciler.errors import SourceError
from reconciler.ids import AssociationName, CommitId, NodeId
from reconciler.inventory.canonical import read_canonical
from reconciler.inventory.observed import Facts
from reconciler.model.history import RUN_ID_LENGTH, Applied, AppliedRows, History, NodeHistory
from reconciler.patching.ledger import Ledger
from reconciler.patching.ledger_files import FOLDER as LEDGERS
from reconciler.patching.ledger_files import read_ledger
from reconciler.patching.ledger_history import LedgerChange, followed


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """The compliance branch at one commit, read."""

    history: History
    reports: Mapping[NodeId, NodeReport] = field(default_factory=dict)
    pauses: tuple[str, ...] = ()
    """What was paused in the last pass that was committed, in words."""
    ledger: Ledger = field(default_factory=Ledger)
    """When package versions were first seen."""
    ledger_findings: tuple[str, ...] = ()
    """What people should look at in it, in words."""
    ledger_differs: bool = False
    """Whether the files of the branch hold another ledger than the one that counts."""
    committed_at: datetime | None = None
    """When the commit was made (UTC); None: there is none, or nobody asked."""
    downloads: bytes | None = None
    """What documents downloaded, as the last pass that was committed saw it; for whoever plans from git alone."""

    @property
    def facts(self) -> Mapping[NodeId, Facts]:
        """The facts as committed."""
        if isinstance(self.reports, CommittedReports):
            return self.reports.facts
        return {node: report.facts for node, report in self.reports.items()}

    def following(self, known: Ledger, changes: Iterable[LedgerChange]) -> "Branch":
        """Give it with the ledger that its history leaves of it, from where it was `known`; what was rewritten does not count."""
        ledger, findings = followed(known, changes)
        # A file that holds anything else is written anew.
        told = tuple(found.reason for found in findings)
        return replace(self, ledger=ledger, ledger_findings=told, ledger_differs=ledger != self.ledger)


@dataclass(frozen=True, slots=True, kw_only=True)
class _NodeFile:
    """What one file says about its node; `findings` are the rows as they stand there, known to be readable."""

    history: NodeHistory
    findings: bytes
    notes: tuple[str, ...]
    patches: tuple[PatchReport, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Summary:
    """What the summary says that is read again."""

    state_commit: CommitId | None = None
    target_counts: Mapping[AssociationName, int] = field(default_factory=dict)
    pauses: tuple[str, ...] = ()


class CommittedReports(Mapping[NodeId, NodeReport]):
    """The reports of one commit, each made when it is first asked for."""

    def __init__(self, files: Mapping[NodeId, _NodeFile], facts: Mapping[NodeId, Facts]) -> None:
        self._files = files
        self._made: dict[NodeId, NodeReport] = {}
        self.facts = {
            node: facts.get(node) or Facts(node=node, unreachable="never collected") for node in sorted(files)
        }
        """As committed, without making reports."""

    def __getitem__(self, node: NodeId) -> NodeReport:
        made = self._made.get(node)
        if made is None:
            file = self._files[node]
            rows = sorted(_members(file.findings).items())
            made = self._made[node] = NodeReport(
                node=node,
                findings=tuple(decode_finding(node, AssociationName(name), row) for name, row in rows),
                history=file.history,
                notes=file.notes,
                patches=next((one for one in file.patches if not one.overriding), None),
                overrides=tuple(one for one in file.patches if one.overriding),
                facts=self.facts[node],
            )
        return made

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self.facts)

    def __len__(self) -> int:
        return len(self.facts)

    def __contains__(self, node: object) -> bool:
        return node in self.facts


@paused_collector()
def read_branch_files(files: Iterable[tuple[str, bytes]], commit: CommitId | None) -> Branch:
    """Read the files of one commit. Raises SourceError naming the file where one is not what this version writes."""
    nodes: dict[NodeId, _NodeFile] = {}
    rows = _Rows()
    facts: dict[NodeId, Facts] = {}
    summary = _Summary()
    downloads = None
    ledgers: dict[str, bytes] = {}
    for path, content in files:
        try:
            if path == "compliance.json":
                summary = _summary(content)
            elif path == DOWNLOADS:
                downloads = content
            elif path.startswith(f"{LEDGERS}/"):
                ledgers[path] = content
            elif path.startswith("nodes/"):
                _, _, name = path.split("/", 2)
                node = NodeId(name.removesuffix(".json"))
                nodes[node] = rows.node(node, content)
            elif path.startswith("inventory/"):
                node = NodeId(path.rsplit("/", 1)[-1].removesuffix(".json"))
                facts[node] = read_canonical(node, content)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise _not_ours(commit, f"{path}: not a report of this version ({exc})") from exc
    try:
        ledger = read_ledger(ledgers)
    except ValueError as exc:
        raise _not_ours(commit, str(exc)) from exc
    return Branch(
        ledger=ledger,
        reports=CommittedReports(nodes, facts),
        pauses=summary.pauses,
        downloads=downloads,
        history=History(
            commit=commit,
            state_commit=summary.state_commit,
            nodes={node: file.history for node, file in nodes.items()},
            target_counts=summary.target_counts,
        ),
    )


def _not_ours(commit: CommitId | None, problem: str) -> SourceError:
    remedy = "restore the branch, or delete it and begin anew with `reconciler once --new-history`"
    return SourceError(f"compliance branch, commit {commit}, {problem}; {remedy}")


def _summary(content: bytes) -> _Summary:
    said = _versioned(content)
    commit, targets = text_of(said.get("state_commit") or ""), said.get("targets", {})
    return _Summary(
        state_commit=CommitId(commit) if commit else None,
        target_counts={AssociationName(name): whole_of(count) for name, count in targets.items()},
        pauses=tuple(map(text_of, said.get("pauses", ()))),
    )


def _versioned(content: bytes) -> Mapping[str, Any]:
    value = orjson.loads(content)
    if not isinstance(value, dict) or value.get("version") != VERSION:
        met = value.get("version") if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"version {met} instead of {VERSION}")
    return value


class _Rows:
    """Reads node files, and remembers what equal rows of theirs say."""

    def __init__(self) -> None:
        self._applied: dict[bytes, tuple[AssociationName, Applied]] = {}
        self._alike: dict[bytes, _Alike] = {}
        self._shapes: dict[int, _Shape] = {}
        self._readable: set[bytes] = set()
        self._findings: dict[bytes, bytes] = {}
        self._last_findings = b""

    def node(self, node: NodeId, content: bytes) -> _NodeFile:
        """Read one file. Raises ValueError, KeyError and the like on anything but what this version writes."""
        content, applied, findings = _taken_apart(content, self._last_findings)
        self._last_findings = findings
        value = _versioned(content)
        history = NodeHistory(
            node=node,
            machine_id=text_of(value["machine_id"]) if "machine_id" in value else None,
            host_key=text_of(value["host_key"]) if "host_key" in value else None,
            acknowledged=whole_of(value.get("acknowledged", 0)),
            applied=self._rows_of(applied),
            gone=_instants(value.get("gone", {})),
            installed_without_reboot=_instants(value.get("installed_without_reboot", {})),
        )
        notes = tuple(map(text_of, value.get("notes", ())))
        return _NodeFile(
            history=history, findings=self._checked(node, findings), notes=notes, patches=decode_patches(value)
        )

    def _checked(self, node: NodeId, findings: bytes) -> bytes:
        """Give the rows once it is known that they read; those that are the same are kept once."""
        known = self._findings.get(findings)
        if known is not None:
            return known
        for row in findings.split(b"\n"):
            if row not in self._readable:
                for name, said in _members(row.removesuffix(b",")).items():
                    decode_finding(node, AssociationName(name), said)
                self._readable.add(row)
        self._findings[findings] = findings
        return findings

    def _rows_of(self, applied: bytes) -> Mapping[AssociationName, Applied]:
        """Read rows, each but for the id of its run, which is of one node alone."""
        shape = self._shapes.get(len(applied))
        known = None if shape is None else shape.read(applied)
        if known is not None:
            return known
        parts = _RUN.split(applied)
        ids = parts[1::2]
        text = _NO_RUN.join(parts[::2])
        alike = self._alike.get(text)
        if alike is None:
            rows = dict(self._one(row) for row in text.split(b"\n")) if text else {}
            with_run = tuple(name for name, row in rows.items() if row.run == "")
            alike = self._alike[text] = _Alike(rows, with_run)
        if len(alike.with_run) != len(ids):  # some run is odd: nothing is shared then
            return dict(map(_one_applied, applied.split(b"\n")))
        self._shapes[len(applied)] = _Shape(applied, alike)
        return AppliedRows(alike.rows, alike.with_run, b"".join(ids))

    def _one(self, row: bytes) -> tuple[AssociationName, Applied]:
        found = self._applied.get(row)
        if found is None:
            found = self._applied[row] = _one_applied(row)
        return found


def _instants(said: Mapping[str, Any]) -> Mapping[str, datetime]:
    return {text_of(what): moment(when) for what, when in said.items()}


class _Alike(NamedTuple):
    """Rows that several nodes share."""

    rows: Mapping[AssociationName, Applied]
    with_run: tuple[AssociationName, ...]


class _Shape:
    """Where ids of runs stand in a text of applied rows: the next one of the same length most often differs in them alone."""

    def __init__(self, applied: bytes, alike: _Alike) -> None:
        ids = [found.span(1) for found in _RUN.finditer(applied)]
        self._ids = [slice(*span) for span in ids]
        ends = (0, *(end for _, end in ids)), (*(begin for begin, _ in ids), len(applied))
        self._between = list(map(slice, *ends))
        self._rest = self._without_ids(applied)
        self._alike = alike

    def read(self, applied: bytes) -> AppliedRows | None:
        """Give the rows of a text of the same length; None where it differs in more."""
        ids = b"".join([applied[each] for each in self._ids])
        if self._without_ids(applied) != self._rest or not _HEX.fullmatch(ids):
            return None
        return AppliedRows(self._alike.rows, self._alike.with_run, ids)

    def _without_ids(self, applied: bytes) -> bytes:
        return b"".join([applied[each] for each in self._between])


_HEX = re.compile(rb"[0-9a-f]*")
_RUN = re.compile(rb'"run":"([0-9a-f]{%d})(?=")' % RUN_ID_LENGTH)
"""Within a text quotes are escaped: this is found nowhere else."""
_NO_RUN = b'"run":"'


def _one_applied(row: bytes) -> tuple[AssociationName, Applied]:
    ((name, said),) = _members(row.removesuffix(b",")).items()
    return AssociationName(name), decode_applied(said)


_APPLIED, _FINDINGS = b'\n"applied": {', b'\n"findings": {'
_NEXT = b'\n},\n"'
"""Between two members: sought as a whole, since that is several times quicker than the end of a member alone."""
_BETWEEN = b"\n}," + _FINDINGS
"""Behind the last row applied, where nothing stands in between: summaries of baselines do where patches are looked at."""


def _taken_apart(content: bytes, last: bytes) -> tuple[bytes, bytes, bytes]:
    """Divide a file into the rows applied, those found, and the rest. Raises KeyError or ValueError where they are not there.

    `last`: the rows found in another file, given again where they are the same.
    """
    begin = content.find(_APPLIED) + len(_APPLIED)
    between = content.find(_NEXT, begin)
    rows = between + len(_BETWEEN) + 1
    if begin < len(_APPLIED) or not begin < between or not content.startswith(_BETWEEN, between):
        return _taken_apart_anyhow(content)
    if content[begin] != _NEWLINE or content[rows - 1] != _NEWLINE:
        return _taken_apart_anyhow(content)
    end = rows + len(last)
    if not (last and content.startswith(last, rows) and content.startswith(b"\n}", end)):
        end = content.find(b"\n}", rows)
        if end < 0:
            return _taken_apart_anyhow(content)
        last = content[rows:end]
    return content[:begin] + content[between + 1 : rows - 1] + content[end + 1 :], content[begin + 1 : between], last


_NEWLINE = 0x0A


def _taken_apart_anyhow(content: bytes) -> tuple[bytes, bytes, bytes]:
    """Do the same where a member has no rows, or is not where we write it."""
    begin, applied, end = _rows_between(content, _APPLIED, 0)
    begin_found, findings, end_found = _rows_between(content, _FINDINGS, end)
    return content[:begin] + content[end:begin_found] + content[end_found:], applied, findings


def _rows_between(content: bytes, opening: bytes, after: int) -> tuple[int, bytes, int]:
    """Give the rows of one member that `write.lines` wrote, one a line, and where they begin and end."""
    start = content.find(opening, after)
    if start < 0:
        _versioned(content)  # another version says so itself
        raise KeyError(opening[2:-4].decode())
    start += len(opening)
    if content.startswith(b"}", start):
        return start, b"", start
    end = content.find(b"\n}", start)
    if end < 0 or not content.startswith(b"\n", start):
        _versioned(content)
        raise ValueError(f"{opening[2:-4].decode()} is not written one row a line")
    return start, content[start + 1 : end], end + 1


def _members(rows: bytes) -> dict[str, Any]:
    said: dict[str, Any] = orjson.loads(b"{%s}" % rows)
    return said
