"""A made-up fleet: a state repository, and the compliance branch that passes over it would have left, both in git.

Nodes come in package profiles (at least 200 in a full-sized fleet) of packages in three versions; of every node's rows
one in a hundred is of that node alone. Every second association has expectations. The branch is written by the
program's own judging and writing, so it is what a pass writes; one node in a hundred has drifted since.
"""

import base64
import hashlib
import random
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from reconciler.bundled import bundled_files
from reconciler.commit.branch import ReportsBranch
from reconciler.commit.message import Message
from reconciler.commit.places import find_places
from reconciler.compliance.judge import judge, summarise
from reconciler.compliance.report import FleetSummary, NodeReport
from reconciler.compliance.write import report_files
from reconciler.daemon.accepting import check_schedule
from reconciler.drift.associations import find_drift
from reconciler.drift.definitions import Definition, definitions
from reconciler.ids import AssociationName, CommitId, NodeId, RunId
from reconciler.inventory.observed import Facts
from reconciler.model.association import Association
from reconciler.model.desired import DesiredState
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import JsonValue, Known, Observed
from reconciler.model.read_state import read_state
from reconciler.source.address import parse_address
from reconciler.source.begin import begin_repository
from reconciler.source.records import Person
from reconciler.source.repository import Repository
from reconciler.targets.resolve import resolve_targets

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""The instant of every plan that is measured: a minute after the branch was written."""
WRITTEN = AT - timedelta(minutes=1)
_APPLIED = AT - timedelta(hours=1)
_PERSON = Person(email="reconciler@bench")
_ROLES = 10
_BASE = 100
"""Packages every node has: what expectations name."""
_FILE_NODES = 100
"""Nodes a file of state/nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How large, and how associations spread over it."""

    nodes: int = 10_000
    packages: int = 500
    associations: int = 50
    profiles: int = 200
    everywhere: bool = True
    """Whether every association means every node; else one in five does, and the others mean one of ten roles each."""


class FleetModel:
    """Everything about one made-up fleet, worked out from its shape alone."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.ids = tuple(NodeId(f"node-{number:05}") for number in range(shape.nodes))
        self._number = {node: number for number, node in enumerate(self.ids)}
        self._profiles = tuple(self._profile(number) for number in range(shape.profiles))
        self._alike = _alike(shape)

    # What people write

    def state_files(self) -> dict[str, bytes]:
        """Give the files of the state repository."""
        files = {"state/fleet.yaml": b"Fleet: bench\nInterval: rate(10 minutes)\n"}
        for start in range(0, len(self.ids), _FILE_NODES):
            some = self.ids[start : start + _FILE_NODES]
            files[f"state/nodes/rack-{start // _FILE_NODES:03}.yaml"] = "---\n".join(
                map(self._node_yaml, some)
            ).encode()
        for number in range(self.shape.associations):
            files[f"state/associations/task-{number:02}.yaml"] = self.association_yaml(number).encode()
        for number in range(max(1, self.shape.associations // 2)):
            files[f"documents/Task-{number:02}.yaml"] = _document_yaml(number).encode()
        files["state/known_hosts"] = "".join(map(self._known_hosts_line, self.ids)).encode()
        return files

    def _node_yaml(self, node: NodeId) -> str:
        number = self._number[node]
        environment = "production" if number % 3 else "staging"
        return (
            f"Id: {node}\nAddress: {_address(number)}\nUser: ops\nIdentityFile: fleet\nBecome: sudo\n"
            f"Tags: {{Role: role-{self._role(number)}, Environment: {environment}, Rack: '{number // _FILE_NODES}'}}\n"
        )

    def _known_hosts_line(self, node: NodeId) -> str:
        kind = b"ssh-ed25519"
        key = struct.pack(">I", len(kind)) + kind + struct.pack(">I", 32) + hashlib.sha256(node.encode()).digest()
        return f"{_address(self._number[node])} ssh-ed25519 {base64.b64encode(key).decode()}\n"

    def association_yaml(self, number: int, *, severity: str = "MEDIUM") -> str:
        """Give the file of one association."""
        lines = [
            f"AssociationName: task-{number:02}",
            f"Name: Task-{number % max(1, self.shape.associations // 2):02}",
            f"Targets: [{{Key: 'tag:{self._target(number)}}}]",
            f"Parameters: {{text: [task {number}]}}",
            f"ComplianceSeverity: {severity}",
        ]
        if number % 2 == 0:
            lines += ["Expect:", *_expect_yaml(number // 2)]
        elif number % 4 == 1:
            lines.append("ScheduleExpression: rate(1 day)")
        return "\n".join(lines) + "\n"

    def _target(self, number: int) -> str:
        if self.shape.everywhere or number % 5 == 0:
            return "Environment', Values: [production, staging]"
        return f"Role', Values: [role-{number % _ROLES}]"

    def _role(self, number: int) -> int:
        return number % self.shape.profiles % _ROLES

    # What nodes say

    def facts(self, node: NodeId, *, salt: str = "") -> Facts:
        """Give what one node told; another `salt` makes its own rows others."""
        number = self._number[node]
        own = f"{node}{salt}"
        packages: dict[str, JsonValue] = dict(self._profiles[number % self.shape.profiles])
        names = list(packages)
        for step in range(max(1, len(names) // 100)):
            name = names[(number * 7 + step * 97) % len(names)]
            packages[name] = f"2.0-1~{own} amd64"
        sections: dict[str, Mapping[str, JsonValue]] = {
            **self._alike,
            "identity": {
                "machine_id": hashlib.md5(node.encode(), usedforsecurity=False).hexdigest(),
                "hostname": node,
                "user": "ops",
            },
            "interfaces": {"eth0": {"mac": _mac(number), "addresses": [f"{_address(number)}/8"]}},
            "packages": packages,
        }
        if number % 100 == 7:
            sections["files"] = {**self._alike["files"], "/etc/task-0.conf": _file("edited by hand\n")}
            sections["sysctls"] = {**self._alike["sysctls"], "kernel.bench_4": "0"}
        known: dict[str, Observed[Mapping[str, JsonValue]]] = {name: Known(rows) for name, rows in sections.items()}
        return Facts(node=node, sections=known)

    def _profile(self, number: int) -> Mapping[str, JsonValue]:
        dice = random.Random(number)  # noqa: S311 - the same fleet every time
        base = min(_BASE, self.shape.packages)
        more = dice.sample(range(base, base + 4 * self.shape.packages), self.shape.packages - base)
        return {f"package-{name:04}": f"{_versions(name)[dice.randrange(3)]} amd64" for name in (*range(base), *more)}

    # What passes left behind

    def reports(self, desired: DesiredState) -> Mapping[NodeId, NodeReport]:
        """Give every node's report as the last pass judged it."""
        history = self._history(desired)
        facts = {node: self.facts(node) for node in self.ids}
        rendered = definitions(desired)
        findings = find_drift(desired, resolve_targets(desired), facts, history, WRITTEN, definitions=rendered)
        return judge(findings, facts, history, {}, WRITTEN)

    def _history(self, desired: DesiredState) -> History:
        rendered, targets = definitions(desired), resolve_targets(desired)
        nodes = {
            node: NodeHistory(
                node=node,
                machine_id=hashlib.md5(node.encode(), usedforsecurity=False).hexdigest(),
                host_key=f"SHA256:{hashlib.sha256(node.encode()).hexdigest()[:43]}",
                acknowledged=len(targets.associations_of(node)) // 2,
                applied={
                    name: _applied(node, desired.associations[name], rendered[name])
                    for name in targets.associations_of(node)
                },
            )
            for node in self.ids
        }
        return History(nodes=nodes, state_commit=desired.commit)


def _applied(node: NodeId, association: Association, definition: object) -> Applied:
    if not isinstance(definition, Definition):
        raise TypeError(f"{association.name} cannot be rendered: {definition}")
    applied = Applied(
        definition=definition.digest, definition_since=_APPLIED, first_matched=_APPLIED, adopted=True, in_sync=True
    )
    if association.expect is not None:
        return applied
    return replace(
        applied,
        adopted=False,
        run=RunId(hashlib.sha256(f"{node}/{association.name}".encode()).hexdigest()),
        executions=1,
        status=RunStatus.SUCCESS,
        started=_APPLIED,
        ended=_APPLIED + timedelta(seconds=2),
        exit_code=0,
    )


def _document_yaml(number: int) -> str:
    return (
        "schemaVersion: '2.2'\n"
        f"description: Task {number}.\n"
        "parameters:\n"
        "  text: {type: String, description: What it writes., allowedPattern: '[a-z0-9 ]+'}\n"
        "mainSteps:\n"
        "  - name: write\n"
        "    action: aws:runShellScript\n"
        "    inputs:\n"
        "      runCommand:\n"
        f"        - printf '%s\\n' '{{{{ text }}}}' > /etc/task-{number}.conf\n"
        f"        - chmod 0644 /etc/task-{number}.conf\n"
    )


def _expect_yaml(number: int) -> Iterator[str]:
    match number % 5:
        case 0:
            content = f"task {number}\\n"
            yield f"  Files: [{{Path: /etc/task-{number}.conf, Content: \"{content}\", Mode: '0644', Owner: root}}]"
        case 1:
            some = (number, number + 30, number + 60)
            rows = ", ".join(f"{{Name: package-{name:04}, Version: '>= {_versions(name)[0]}'}}" for name in some)
            yield f"  Packages: [{rows}]"
        case 2:
            yield f"  Services: [{{Name: service-{number:02}, State: running, Enabled: true}}]"
        case 3:
            yield f"  Users: [{{Name: user-{number:02}, Uid: {900 + number}, Shell: /bin/sh}}]"
        case _:
            yield f"  Sysctls: {{kernel.bench_{number}: '1'}}"


def _alike(shape: Shape) -> dict[str, Mapping[str, JsonValue]]:
    """Give the sections that all nodes tell alike, but for a few that have drifted."""
    expecting = range((shape.associations + 1) // 2)
    return {
        "os": {
            "id": "debian",
            "version_id": "12",
            "codename": "bookworm",
            "name": "Debian GNU/Linux 12 (bookworm)",
            "family": "debian",
            "arch": "x86_64",
            "init": "systemd",
        },
        "kernel": {"release": "6.1.0-30-amd64", "newest": "6.1.0-30-amd64"},
        "services": {
            f"service-{number:02}": {"active": "active", "sub": "running", "enabled": "enabled"} for number in range(40)
        },
        "ports": {f"tcp 0.0.0.0:{port}": True for port in (22, 80, 443, 9100)},
        "users": {
            f"user-{number:02}": {"uid": 900 + number, "gid": 900, "home": "/srv", "shell": "/bin/sh"}
            for number in range(40)
        },
        "groups": {f"group-{number:02}": {"gid": 900 + number, "members": []} for number in range(40)},
        "mounts": {"/": {"device": "/dev/sda1", "type": "ext4", "options": ["rw", "relatime"]}},
        "files": {f"/etc/task-{n}.conf": _file(f"task {n}\n") for n in expecting if n % 5 == 0},
        "sysctls": {f"kernel.bench_{n}": "1" for n in expecting if n % 5 == 4},
        "holds": {},
    }


def _file(content: str) -> JsonValue:
    return {
        "kind": "file",
        "sha256": hashlib.sha256(content.encode()).hexdigest(),
        "size": len(content),
        "mode": "0644",
        "owner": "root",
        "group": "root",
    }


@cache
def _versions(name: int) -> tuple[str, str, str]:
    return f"1.{name}.0-1", f"1.{name}.0-1+deb12u1", f"1.{name}.3-2"


def _address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _mac(number: int) -> str:
    return ":".join(f"{byte:02x}" for byte in (2, 0, 0, number >> 16 & 255, number >> 8 & 255, number & 255))


# Into git


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A fleet in git: a repository with branches main and compliance."""

    model: FleetModel
    folder: Path
    desired: DesiredState
    reports: Mapping[NodeId, NodeReport]
    summary: FleetSummary


def write_fleet(folder: Path, shape: Shape) -> Written:
    """Write state and reports of a made-up fleet into a new repository below `folder`."""
    model = FleetModel(shape)
    files = model.state_files()
    writer, folder = folder / "writer", folder / "fleet"
    writer.parent.mkdir()
    commit = begin_repository(folder, files, message="Describe the fleet\n", person=_PERSON, when=WRITTEN)
    desired, problems = read_state(files, commit=commit, bundled=bundled_files(), check_schedule=check_schedule)
    if desired is None:
        raise AssertionError(f"the made-up fleet does not validate: {problems[:3]}")
    reports = model.reports(desired)
    summary = summary_of(desired, reports)
    with Repository.open(parse_address(str(folder), cwd=folder), state_dir=writer) as repository:
        repository.fetch_state()
        branch = ReportsBranch(
            repository=repository, places=find_places(repository, None), branch="compliance", person=_PERSON
        )
        branch.look()
        branch.write(report_files(reports, summary, before={}), message_for(commit), now=WRITTEN)
        published = branch.publish()
        if not published.complete:
            raise AssertionError(f"the made-up branch was not published: {published.reasons}")
    return Written(model=model, folder=folder, desired=desired, reports=reports, summary=summary)


def summary_of(desired: DesiredState, reports: Mapping[NodeId, NodeReport]) -> FleetSummary:
    """Roll reports up as a pass does."""
    members = resolve_targets(desired).members
    counts: Mapping[AssociationName, int] = {name: len(nodes) for name, nodes in members.items()}
    return summarise(reports, fleet=desired.fleet.id, state_commit=desired.commit, target_counts=counts)


def message_for(commit: CommitId | None) -> Message:
    """Give a message like a pass' own."""
    return Message(subject="Report", trailers={"State-Commit": str(commit)})
