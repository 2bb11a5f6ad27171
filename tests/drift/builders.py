"""A fleet of records with defaults: what a test says is what it is about."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from reconciler.drift.associations import find_drift
from reconciler.drift.definitions import Definition, define, definitions
from reconciler.drift.finding import Finding
from reconciler.ids import AssociationName, Digest, DocumentName, NodeId, RunId
from reconciler.inventory.observed import Facts
from reconciler.model.association import Association, Expectations, ExpectedFile, Target
from reconciler.model.desired import DesiredState
from reconciler.model.document import Document, DocumentVersions, Step
from reconciler.model.fleet import Fleet
from reconciler.model.history import Applied, History, NodeHistory, RunStatus
from reconciler.model.known import JsonValue, Known, Observed, Unknown
from reconciler.model.node import Node
from reconciler.model.pause import Pauses
from reconciler.plan.build import build_plan
from reconciler.plan.plan import Plan
from reconciler.targets.resolve import resolve_targets

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
EVERY = (Target(key="InstanceIds", values=("*",)),)
WEB, MOTD, RUN = NodeId("web-01"), AssociationName("motd"), RunId("r1")
FILE = {"kind": "file", "sha256": "a" * 64, "size": 3, "mode": "0644", "owner": "root", "group": "root"}
EXPECT_FILE = Expectations(files=(ExpectedFile(path="/etc/motd", sha256="a" * 64, mode="0644"),))


def ago(**of: float) -> datetime:
    return NOW - timedelta(**of)


def a_document(name: str = "Motd", script: str = "echo hello") -> DocumentVersions:
    document = Document(
        name=DocumentName(name),
        schema_version="2.2",
        steps=(Step(name="write", action="aws:runShellScript", inputs={"runCommand": [script]}),),
        digest=Digest("d" * 64),
    )
    return DocumentVersions(name=DocumentName(name), versions={"1": document}, default="1", latest="1")


def an_association(name: str = "motd", **fields: object) -> Association:
    given: dict[str, object] = {"document": DocumentName("Motd"), "targets": EVERY, **fields}
    return Association(name=AssociationName(name), **given)  # type: ignore[arg-type]  # a builder takes any field


def a_node(name: str = "web-01", **fields: object) -> Node:
    return Node(id=NodeId(name), address="10.0.0.1", **fields)  # type: ignore[arg-type]  # a builder takes any field


def a_state(
    *associations: Association, nodes: tuple[Node, ...] = (a_node(),), script: str = "echo hello", **fields: object
) -> DesiredState:
    given: dict[str, object] = {"fleet": Fleet(), **fields}
    return DesiredState(
        commit=None,
        nodes={node.id: node for node in nodes},
        associations={each.name: each for each in associations},
        documents={DocumentName("Motd"): a_document(script=script)},
        **given,  # type: ignore[arg-type]  # a builder takes any field
    )


def some_facts(node: str = "web-01", **sections: object) -> Facts:
    """A Debian node with the expected file, nothing running and nobody holding it; a section given as str is Unknown."""
    known: dict[str, object] = {
        "os": {"family": "debian", "init": "systemd"},
        "kernel": {"release": "6.1.0-30-amd64", "newest": "6.1.0-30-amd64"},
        "identity": {"machine_id": f"machine-of-{node}", "hostname": node, "acknowledged": None},
        "packages": {"nginx": "1.22.1-9 amd64"},
        "services": {"nginx": {"active": "active", "sub": "running", "enabled": "enabled"}},
        "ports": {"tcp 0.0.0.0:22": True, "tcp6 [::]:443": True, "udp 127.0.0.1:53": True},
        "users": {"app": {"uid": 900, "gid": 900, "home": "/srv", "shell": "/bin/sh"}},
        "groups": {"app": {"gid": 900, "members": []}, "adm": {"gid": 4, "members": ["app"]}},
        "mounts": {"/srv": {"device": "/dev/sdb1", "type": "ext4", "options": ["noatime", "rw"]}},
        "files": {"/etc/motd": FILE},
        "sysctls": {"net.ipv4.ip_forward": "0"},
        "checks": {},
        "custom": {},
        "holds": {},
        "runs": {},
        "markers": {},
        **sections,
    }
    return Facts(node=NodeId(node), sections={name: _section(value) for name, value in known.items()})


def _section(value: object) -> Observed[Mapping[str, JsonValue]]:
    if isinstance(value, str):
        return Unknown(value)
    assert isinstance(value, Mapping)
    return Known(value)


def with_file(content: object, node: str = "web-01", **sections: object) -> Facts:
    return some_facts(node, files={"/etc/motd": content}, **sections)


DRIFTED_FILE = {**FILE, "mode": "0600"}


def digest_of(state: DesiredState, name: str = "motd") -> Digest:
    definition = define(state, state.associations[AssociationName(name)])
    assert isinstance(definition, Definition)
    return definition.digest


def applied(state: DesiredState, name: str = "motd", **fields: object) -> Applied:
    """A run of this very definition that went well an hour ago and was confirmed."""
    given: dict[str, object] = {
        "definition": digest_of(state, name),
        "definition_since": ago(days=9),
        "first_matched": ago(days=9),
        "run": RUN,
        "executions": 1,
        "status": RunStatus.SUCCESS,
        "started": ago(hours=1, minutes=1),
        "ended": ago(hours=1),
        "exit_code": 0,
        "in_sync": True,
        **fields,
    }
    return Applied(**given)  # type: ignore[arg-type]  # a builder takes any field


def a_history(rows: Mapping[str, Applied] | None = None, *, node: str = "web-01", **fields: object) -> History:
    record = NodeHistory(
        node=NodeId(node),
        machine_id=f"machine-of-{node}",
        applied={AssociationName(name): row for name, row in (rows or {}).items()},
    )
    return History(nodes={record.node: record}, **fields)  # type: ignore[arg-type]  # a builder takes any field


def find(
    state: DesiredState,
    *facts: Facts,
    history: History | None = None,
    now: datetime = NOW,
    forced: Callable[[AssociationName, NodeId], bool] | None = None,
    host_keys: Mapping[NodeId, str | None] | None = None,
    pauses: Pauses | None = None,
) -> tuple[Finding, ...]:
    return find_drift(
        state,
        resolve_targets(state),
        {each.node: each for each in facts},
        history or History(),
        now,
        definitions=definitions(state),
        forced=forced,
        host_keys=host_keys,
        pauses=pauses,
    )


def plan(
    state: DesiredState, *facts: Facts, history: History | None = None, now: datetime = NOW, **options: object
) -> Plan:
    return build_plan(
        find(state, *facts, history=history, now=now),
        desired=state,
        targets=resolve_targets(state),
        definitions=definitions(state),
        facts={each.node: each for each in facts},
        history=history or History(),
        now=now,
        **options,  # type: ignore[arg-type]  # a builder takes any option
    )
