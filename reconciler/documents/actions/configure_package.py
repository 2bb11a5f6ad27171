"""aws:configurePackage: a Distributor package of the state repository on its node, or no more; what its files came to is not known here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Self

from reconciler.documents.compact_json import as_text
from reconciler.documents.content import ContentFile
from reconciler.documents.error import InputError
from reconciler.documents.own_script import one_of, text_input
from reconciler.documents.package_script import TEXT
from reconciler.documents.script_inputs import DEFAULT_TIMEOUT, read_timeout
from reconciler.ids import PackageName
from reconciler.model.known import JsonValue
from reconciler.model.package import PackageVersion, PackageVersions
from reconciler.model.reading.json_text import read_json
from reconciler.model.reading.mistakes import Mistakes
from reconciler.model.reading.values import plain_json
from reconciler.model.shell import quote

REINSTALL, IN_PLACE = "Uninstall and reinstall", "In-place update"
LONGEST_ARGUMENT = 4096
"""SSM: characters of one additional argument."""
_OFFERED = 300
"""Characters of what a package offers, in the message to a node that it offers nothing."""

_NAME = re.compile(r"(?:arn:[a-z-]+:ssm:[a-z0-9-]*:\d*:(?:document|package)/)?([a-zA-Z0-9_.-]{3,128})", re.ASCII)
_VERSION = re.compile(r"(?!\.+$)[A-Za-z0-9_.-]{1,128}")
_ARGUMENT = re.compile(r"SSM_[A-Za-z0-9_]{1,200}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurePackage:
    """One package, and what is to become of it."""

    name: ClassVar[str] = "aws:configurePackage"
    action: str
    package: PackageName
    version: str = ""
    """Empty: the default one to install; whichever is there to take away."""
    in_place: bool = False
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: timedelta = DEFAULT_TIMEOUT

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, JsonValue]) -> Self:
        """Read a step's inputs."""
        named = _NAME.fullmatch(text_input(inputs, "name"))
        if named is None or not named[1].strip("."):
            raise InputError(f"the input name must be a package's name or ARN, not {text_input(inputs, 'name')[:80]!r}")
        kind = text_input(inputs, "installationType") or REINSTALL
        if kind not in (REINSTALL, IN_PLACE):
            raise InputError(f"installationType must be {REINSTALL!r} or {IN_PLACE!r}, not {kind[:80]!r}")
        version = text_input(inputs, "version")
        if version and _VERSION.fullmatch(version) is None:
            raise InputError(f"{version[:80]!r} is no version: letters, digits, _ . - are")
        return cls(
            action=one_of(inputs, "action", ("Install", "Uninstall")),
            package=PackageName(named[1]),
            version=version,
            in_place=kind == IN_PLACE,
            environment=_arguments(inputs.get("additionalarguments")),
            timeout=read_timeout(inputs.get("timeoutseconds")),
        )

    def meant(self, packages: Mapping[PackageName, PackageVersions]) -> PackageVersion | None:
        """Find what to install; None: nothing is. Raises InputError where it is not in the state repository."""
        if self.action == "Uninstall":
            return None
        versions = packages.get(self.package)
        if versions is None:
            raise InputError(f"there is no package {self.package}: write packages/{self.package}/VERSION/manifest.json")
        wanted = self.version or versions.default
        if wanted is None:
            raise InputError(
                f"{self.package} has several versions: name one, or write packages/{self.package}/package.yaml"
            )
        found = versions.versions.get(wanted)
        if found is None:
            there = ", ".join(sorted(versions.versions))
            raise InputError(f"{self.package} has no version {wanted} (there are: {there})")
        return found

    def script(self, found: PackageVersion | None, tars: Mapping[str, ContentFile]) -> bytes:
        """Give the script; `tars` are what the package's files came to, by their names."""
        version = self.version if found is None else found.version
        contents = sorted({tar.sha256 for tar in tars.values()})
        offers = "it is not to be installed" if found is None else f"it has {', '.join(_offers(found))}"[:_OFFERED]
        head = {
            "verb": self.action,
            "name": self.package,
            "version": version,
            "kind": "update" if self.in_place else "reinstall",
            "contents": " ".join(contents),
            "offers": offers,
        }
        return "".join(f"{name}={quote(text)}\n" for name, text in head.items()).encode() + TEXT.encode()


def _offers(found: PackageVersion) -> list[str]:
    return [
        f"{platform}/{version}/{architecture}"
        for platform, versions in sorted(found.leaves.items())
        for version, architectures in sorted(versions.items())
        for architecture in sorted(architectures)
    ]


def _arguments(value: JsonValue) -> Mapping[str, str]:
    """Read additionalArguments: a JSON object in a text, or a map, which SSM's agent loses without a word."""
    if isinstance(value, str) and value.strip():
        read = read_json(value.encode("utf-8", "surrogatepass"), Mistakes("additionalArguments"))
        value = plain_json(read[0]) if read else value
    if value is None or value == "":
        return {}
    if not isinstance(value, Mapping):
        raise InputError('additionalArguments must be a JSON object such as {"SSM_port": "80"}')
    found = {name: as_text(entry) for name, entry in value.items()}
    for name, text in found.items():
        if _ARGUMENT.fullmatch(name) is None:
            raise InputError(f"additionalArguments: {name[:80]!r} must begin with SSM_ and have letters, digits and _")
        if len(text) > LONGEST_ARGUMENT or "\0" in text:
            raise InputError(
                f"additionalArguments: {name} is longer than {LONGEST_ARGUMENT} characters, or holds a NUL"
            )
    return found
