"""One package version that a node's indexes offer, and one package that a node has: records, and their canonical lines. Pure.

`patch_lines` writes each as one canonical line, and makes one record of all lines that are alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from reconciler.ids import PatchId
from reconciler.model.baseline import SecurityIndex


class Family(Enum):
    """How packages are named, versioned and dated; the values are those of fact `os/family`."""

    APT = "debian"
    RPM = "rpm"
    SUSE = "suse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One list of packages on offer, as the node's package manager holds it. Empty text: it says nothing."""

    repository: str
    """apt: the site (host name, or `file:`); rpm: the repository's id."""
    origin: str = ""
    label: str = ""
    suite: str = ""
    codename: str = ""
    component: str = ""
    trusted: bool = True
    """Whether its signature was verified; an index that is not trusted is never a security index."""
    source: str = ""
    """`PatchSource.id` of the source of a baseline that it was fetched for; empty: it is one of the node's own."""

    @property
    def ledger_name(self) -> str:
        """Give `LABEL-CODENAME`, the name of the ledger that dates its packages; rpm: the repository's id."""
        label = self.label or self.origin or self.repository
        where = self.codename or self.suite
        return f"{label}-{where}" if where else label

    def is_security(self, extra: Sequence[SecurityIndex] = ()) -> bool:
        """Whether what it offers are security updates: by label or codename, never by the host it came from."""
        if not self.trusted:
            return False
        if self.label == "Debian-Security" or self.codename.endswith("-security") or self.suite.endswith("-security"):
            return True
        return any(self._is(one) for one in extra)

    def _is(self, one: SecurityIndex) -> bool:
        asked = (one.origin, one.label, one.suite, one.codename)
        mine = (self.origin, self.label, self.suite, self.codename)
        return any(asked) and all(want is None or want == have for want, have in zip(asked, mine, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """An advisory (updateinfo) or a libzypp patch that names a package version."""

    id: str
    classification: str = ""
    """As the vendor writes it: security, bugfix, enhancement, recommended ...; empty: none."""
    severity: str = ""
    """As the vendor writes it; empty: none."""
    issued: datetime | None = None
    """UTC."""
    updated: datetime | None = None
    cves: tuple[str, ...] = ()
    bugzillas: tuple[str, ...] = ()
    title: str = ""
    reboot: bool = False
    """Whether the vendor suggests a reboot."""

    @property
    def published(self) -> datetime | None:
        """Give `updated`, else `issued`."""
        return self.updated or self.issued


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One version of one package that is on offer; of two files with different content there are two."""

    family: Family
    name: str
    arch: str
    version: str
    """dpkg: `[EPOCH:]UPSTREAM[-REVISION]`; rpm: `[EPOCH:]VERSION-RELEASE`."""
    source: str = ""
    """The source package; empty: of the same name."""
    source_version: str = ""
    """Empty: the same version."""
    section: str = ""
    priority: str = ""
    checksum: str = ""
    """`ALGORITHM:HEX` of the file as the index states it; empty: the index states none, and nothing can be dated."""
    size: int | None = None
    """Bytes of the file."""
    filename: str = ""
    """Where the file lies, below the repository."""
    phased: int | None = None
    """Ubuntu: Phased-Update-Percentage; None: not phased."""
    built: datetime | None = None
    """rpm: when the package was built, UTC."""
    module: str = ""
    """rpm: `NAME:STREAM` of the module it belongs to; offered only where that stream is enabled."""
    indexes: tuple[Index, ...] = ()
    notices: tuple[Notice, ...] = ()

    @property
    def id(self) -> PatchId:
        """SSM: Id, `NAME.ARCH`, which is also the key of a node's row."""
        return PatchId(f"{self.name}.{self.arch}")

    @property
    def title(self) -> str:
        """SSM: Title, `NAME.ARCH:VERSION`, with an epoch on rpm."""
        return patch_title(self.family, self.id, self.version)

    @property
    def upload(self) -> tuple[str, str]:
        """Give what it was built from: source package and version; rpm's source packages tell no epoch."""
        version = self.source_version or self.version
        return self.source or self.name, version if self.family is Family.APT else version.rpartition(":")[2]

    @property
    def cves(self) -> tuple[str, ...]:
        """Give the CVE ids of all its notices, sorted."""
        return tuple(sorted({cve for notice in self.notices for cve in notice.cves}))


class InstallState(Enum):
    """Whether an installed package is whole."""

    INSTALLED = "installed"
    BROKEN = "broken"
    """Unpacked, half installed, half configured, or waiting for triggers: its state is a finding of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One installed package of one node: a row."""

    name: str
    arch: str
    version: str
    source: str = ""
    source_version: str = ""
    hold: bool = False
    """apt-mark hold, a versionlock or a zypper lock."""
    auto: bool = False
    """Installed as a dependency."""
    installed_at: datetime | None = None
    """UTC."""
    state: InstallState = InstallState.INSTALLED

    @property
    def id(self) -> PatchId:
        """SSM: Id, `NAME.ARCH`."""
        return PatchId(f"{self.name}.{self.arch}")


def patch_title(family: Family, patch: PatchId, version: str) -> str:
    """SSM: Title: apt `NAME.ARCH:VERSION`; rpm `NAME.ARCH:EPOCH:VERSION-RELEASE`."""
    if family is Family.APT or ":" in version:
        return f"{patch}:{version}"
    return f"{patch}:0:{version}"
