"""Distributor packages: what a manifest says, and which of its files is for a node; nothing is fetched or unpacked here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.ids import PackageName

ANY = "_any"
FOREIGN = frozenset({"windows", "mac_os_x"})
"""Platforms that no node here is of."""

_CODES: Mapping[str, str] = {
    "amzn": "amazon",
    "rhel": "redhat",
    "ol": "oracle",
    "sles": "suse",
    "opensuse-leap": "opensuseleap",
    "opensuse-tumbleweed": "opensuse",
}
"""What os-release calls a system -> what manifests call it, where that differs. SSM: platform codes."""
_MACHINES: Mapping[str, str] = {"aarch64": "arm64", "i386": "386", "i486": "386", "i586": "386", "i686": "386"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What of a node decides which file it gets."""

    name: str
    version: str
    architecture: str

    @classmethod
    def of(cls, system: str, version: str, machine: str) -> "Platform":
        """Give the platform of a node by ID and VERSION_ID of os-release and the machine that `uname -m` names."""
        return cls(
            name=_CODES.get(system, system), version=version, architecture=_MACHINES.get(machine, machine) or machine
        )

    def __str__(self) -> str:
        """Say it as manifests are written; foreign text."""
        return f"{self.name} {self.version} {self.architecture}"


Leaves = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Platform -> version -> architecture -> name of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """One zip of a package."""

    name: str
    sha256: str
    url: str = ""
    """Where it lies; empty: beside the manifest, in the state repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageVersion:
    """One manifest."""

    package: PackageName
    version: str
    leaves: Leaves
    files: Mapping[str, PackageFile]
    folder: str
    """Of the manifest, in the state repository."""
    manifest: bytes = field(default=b"", repr=False)
    """The manifest itself, byte for byte: what a signature is over."""
    signature: bytes | None = field(default=None, repr=False)
    """What lies beside it as `manifest.json.sig`; None: nothing does."""

    def file_for(self, platform: Platform) -> PackageFile | str:
        """Choose the file for a node, or say at what the choice ended.

        SSM: level by level, and never back: a dead end below an exact key is one, whatever `_any` above would have given.
        """
        versions = self.leaves.get(platform.name, self.leaves.get(ANY))
        if versions is None:
            return f"nothing for platform {platform.name}"
        architectures = versions.get(_version_key(platform.version, versions), None)
        if architectures is None:
            return f"nothing for version {platform.version} of {platform.name}"
        name = architectures.get(platform.architecture, architectures.get(ANY))
        if name is None:
            return f"nothing for architecture {platform.architecture} of {platform.name} {platform.version}"
        return self.files[name]

    @property
    def linux_files(self) -> tuple[PackageFile, ...]:
        """Every file that a node could get, by name."""
        names = {name for platform, name in self._leaves() if platform not in FOREIGN}
        return tuple(self.files[name] for name in sorted(names))

    @property
    def lies_elsewhere(self) -> bool:
        """Whether any file that a node could get comes from outside the state repository."""
        return any(file.url for file in self.linux_files)

    def _leaves(self) -> Iterator[tuple[str, str]]:
        for platform, versions in self.leaves.items():
            for architectures in versions.values():
                yield from ((platform, name) for name in architectures.values())

    def dead_ends(self) -> Iterator[str]:
        """Name versions of a platform that miss architectures which their `_any` sibling has: those nodes get nothing."""
        for platform, versions in sorted(self.leaves.items()):
            others = versions.get(ANY, versions.get("*", {}))
            for version, architectures in sorted(versions.items()):
                missing = set() if ANY in architectures else set(others) - set(architectures)
                if missing:
                    yield f"{platform}/{version} has nothing for {', '.join(sorted(missing))}, which {platform}/{ANY} has"


def _version_key(version: str, versions: Mapping[str, object]) -> str:
    """Give the key that a node's version finds: the exact one, else the longest `x.y.*` that it begins with, else any."""
    if version in versions:
        return version
    parts = version.split(".")
    fitting = [
        key for key in versions if key.endswith(".*") and parts[: key.count(".")] == key.removesuffix(".*").split(".")
    ]
    if fitting:
        return max(fitting, key=lambda key: key.count("."))
    return ANY if ANY in versions else "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageVersions:
    """Every version of one package. They are not ordered: which one is meant without a word is written down."""

    name: PackageName
    versions: Mapping[str, PackageVersion] = field(default_factory=dict)
    default: str | None = None
    """None: there are several, and none is named."""
