"""An association: which document, with which parameters, on which nodes, when; and what holds where it is in sync."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from reconciler.ids import AssociationName, DocumentName
from reconciler.model.known import JsonValue
from reconciler.model.node import Mode


class Severity(Enum):
    """SSM: ComplianceSeverity of an association, most severe first."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    UNSPECIFIED = "UNSPECIFIED"


class Presence(Enum):
    """Whether a thing should be there."""

    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """SSM: Targets[]. Keys are ANDed, the values of one `tag:` key ORed."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedFile:
    """A regular file: by content or checksum, mode and owners; None means: not looked at."""

    path: str
    sha256: str | None = None
    """Of `Content`, computed when the file is read, or as given by `Sha256`."""
    content: str | None = None
    """Only for showing a difference; equality is decided by `sha256`."""
    mode: str | None = None
    """Four octal digits: '0644'."""
    owner: str | None = None
    group: str | None = None
    state: Presence = Presence.PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPackage:
    """An installed package, optionally held against a version; or one that is not installed."""

    name: str
    operator: str | None = None
    """One of `=`, `>=`, `<=`, `>`, `<`; None: any version."""
    version: str | None = None
    state: Presence = Presence.PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedService:
    """A service unit: `running` None or `enabled` None means: not looked at."""

    name: str
    running: bool | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedUser:
    """A user account, from the node's own user database."""

    name: str
    uid: int | None = None
    group: str | None = None
    groups: tuple[str, ...] = ()
    """Supplementary groups it is a member of; others do no harm."""
    home: str | None = None
    shell: str | None = None
    state: Presence = Presence.PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedGroup:
    """A group; `members` must all be in it, others do no harm."""

    name: str
    gid: int | None = None
    members: tuple[str, ...] = ()
    state: Presence = Presence.PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedMount:
    """A mounted file system; `options` must all be set, others do no harm."""

    path: str
    device: str | None = None
    type: str | None = None
    options: tuple[str, ...] = ()
    state: Presence = Presence.PRESENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPort:
    """A listening (or closed) port; address `*` means any address."""

    port: int
    protocol: str = "tcp"
    address: str = "*"
    listening: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedKernel:
    """The running kernel: a release, or the newest one installed."""

    release: str | None = None
    newest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedInventory:
    """Entries of an inventory type (`Custom:Rack`) that match `where`; their number against `operator count`."""

    type: str
    where: Mapping[str, str] = field(default_factory=dict)
    operator: str = ">="
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """Facts that hold on a node in sync. Empty tuples ask nothing."""

    files: tuple[ExpectedFile, ...] = ()
    packages: tuple[ExpectedPackage, ...] = ()
    services: tuple[ExpectedService, ...] = ()
    users: tuple[ExpectedUser, ...] = ()
    groups: tuple[ExpectedGroup, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[ExpectedMount, ...] = ()
    ports: tuple[ExpectedPort, ...] = ()
    kernel: ExpectedKernel | None = None
    inventory: tuple[ExpectedInventory, ...] = ()
    checks: tuple[str, ...] = ()
    """POSIX sh; status 0 holds, 1 to 125 drifted, 126 and more, a signal or 10 s: Unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """SSM: CreateAssociation, and our own keys."""

    name: AssociationName
    document: DocumentName
    document_version: str = "$DEFAULT"
    targets: tuple[Target, ...] = ()
    parameters: Mapping[str, JsonValue] = field(default_factory=dict, repr=False)
    """In no repr, like scripts and output: a traceback of a bug must not tell them."""
    """As written: lists of strings (SSM's wire form) or native values; `documents.parameters` converts."""
    schedule: str | None = None
    """A valid association schedule (checked when read), UTC."""
    apply_only_at_cron_interval: bool = False
    max_concurrency: str = "50"
    """SSM State Manager: 50 nodes where nothing is said (the guide's figure, the safer one)."""
    max_errors: str = "100%"
    """SSM State Manager: 100 % where nothing is said."""
    severity: Severity = Severity.UNSPECIFIED
    expect: Expectations | None = None
    mode: Mode = Mode.ENFORCE
    depends_on: tuple[AssociationName, ...] = ()
    run_on_change: bool = False
    check_as_root: bool = False
    """CheckAs: become."""
    unsupported: tuple[str, ...] = ()
    """Gates that are written and not implemented: what uses them is Waiting, and nothing runs."""
    file: str = ""
