"""Everything one commit says, valid as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.ids import AssociationName, BaselineName, CommitId, DocumentName, GroupName, NodeId, PackageName
from reconciler.model.association import Association, Target
from reconciler.model.baseline import PatchBaseline
from reconciler.model.document import DocumentVersions
from reconciler.model.fleet import Fleet
from reconciler.model.known import JsonValue
from reconciler.model.ledger_seed import LedgerSeed
from reconciler.model.node import Node
from reconciler.model.package import PackageVersions
from reconciler.model.signer import Signer
from reconciler.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A resource group: a name and a tag query (each filter's values ORed, filters ANDed)."""

    name: GroupName
    tag_filters: tuple[Target, ...]
    """Keys here are bare tag names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unevaluated:
    """A window or calendar: checked against its schema, carried, and Waiting "not supported yet"."""

    kind: str
    name: str
    file: str
    body: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredParameter:
    """SSM Parameter Store: one name, its versions (the last is current), its type."""

    name: str
    type: str
    values: tuple[str, ...]
    labels: Mapping[str, int] = field(default_factory=dict)
    """Label -> the version that bears it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredState:
    """What git asks for. Nodes, associations and documents by name; iterate them sorted."""

    commit: CommitId | None
    """None for a working tree that `validate` read."""
    trees: Mapping[str, str] = field(default_factory=dict)
    """Tree ids of `state`, `documents`, `baselines` at that commit; an absent folder has no entry."""
    fleet: Fleet = field(default_factory=Fleet)
    nodes: Mapping[NodeId, Node] = field(default_factory=dict)
    groups: Mapping[GroupName, Group] = field(default_factory=dict)
    associations: Mapping[AssociationName, Association] = field(default_factory=dict)
    documents: Mapping[DocumentName, DocumentVersions] = field(default_factory=dict)
    packages: Mapping[PackageName, PackageVersions] = field(default_factory=dict)
    parameters: Mapping[str, StoredParameter] = field(default_factory=dict)
    baselines: Mapping[BaselineName, PatchBaseline] = field(default_factory=dict)
    windows: Mapping[str, Unevaluated] = field(default_factory=dict)
    calendars: Mapping[str, Unevaluated] = field(default_factory=dict)
    ledger_seeds: tuple[LedgerSeed, ...] = ()
    """Reviewed dates of package versions; laid over the ledger."""
    known_hosts: str = ""
    """`state/known_hosts` as written; `transport.known_hosts` indexes it."""
    signers: tuple[Signer, ...] = ()
    """Whose commits may follow this one, besides those of the host settings."""
    lints: tuple[Problem, ...] = ()
