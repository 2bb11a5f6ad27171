"""What one Install is to bring to one node: made of the findings before the plan, carried by its item, and nothing else is installed.

`drift.patches` makes it; the plan's digest covers it; the run turns it into a program for the node, and judges by it what came
of it. Everything in it was judged from that very node's own lists: nothing another node said is in it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum

from reconciler.ids import BaselineName, Digest, PatchId
from reconciler.model.patch import Family, Patch, patch_title


class RebootOption(Enum):
    """SSM: RebootOption of AWS-RunPatchBaseline."""

    REBOOT_IF_NEEDED = "RebootIfNeeded"
    NO_REBOOT = "NoReboot"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Pin:
    """One file of one package version: the transaction may bring this one, and no other file of that name."""

    name: str
    arch: str
    version: str
    """dpkg: `[EPOCH:]UPSTREAM[-REVISION]`; rpm: `[EPOCH:]VERSION-RELEASE`."""
    checksum: str
    """`ALGORITHM:HEX`, as the node's own index states it."""
    filename: str = ""
    """Where it lies, below its repository; empty: not told."""
    size: int | None = None
    """Bytes."""
    installed: str = ""
    """The version that it replaces; empty: the package is not installed."""
    kept: bool = False
    """Whether the management host sends the file: the node's archive has dropped it."""

    @property
    def id(self) -> PatchId:
        """SSM: Id, `NAME.ARCH`: the row it belongs to."""
        return PatchId(f"{self.name}.{self.arch}")

    def title(self, family: Family) -> str:
        """SSM: Title."""
        return patch_title(family, self.id, self.version)


def pin_of(patch: Patch, installed: str = "", *, kept: bool = False) -> Pin:
    """Pin one version as a node's index shows it, or (`kept`) once showed it; `installed`: the version it replaces."""
    return Pin(
        name=patch.name,
        arch=patch.arch,
        version=patch.version,
        checksum=patch.checksum,
        filename=patch.filename,
        size=patch.size,
        installed=installed,
        kept=kept,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchOrder:
    """One Install on one node, decided."""

    baseline: BaselineName
    family: Family
    pins: tuple[Pin, ...] = ()
    """What is missing, sorted: each is approved, and above what is installed. None: only a reboot is due."""
    dependencies: tuple[Pin, ...] = ()
    """What may come along with them, sorted: packages that are not installed, old enough by the rules that approved the pins."""
    any_dependency: bool = False
    """UnapprovedDependencies: allow. Dependencies come at whatever version the package manager prefers, as on AWS."""
    blocked: tuple[str, ...] = ()
    """RejectedPatchesAction BLOCK: names that no transaction may bring, whoever needs them, sorted."""
    reboot: RebootOption = RebootOption.REBOOT_IF_NEEDED
    sources: tuple[str, ...] = field(default=(), repr=False)
    """Repositories that are used in the place of the node's own, as their package manager reads them; they may hold a password."""
    pending_reboot: tuple[str, ...] = ()
    """Titles that earlier installs brought without the reboot they wait for, sorted: with REBOOT_IF_NEEDED they are reason
    enough to reboot (SSM: AWS-RunPatchBaseline)."""
    told: tuple[str, ...] = ()
    """Of a Scan that is sent as a command: what it prints, line by line; foreign text."""

    @property
    def files(self) -> Mapping[str, int]:
        """Give the files that the management host sends: SHA-256 -> bytes."""
        sent = (pin for pin in (*self.pins, *self.dependencies) if pin.kept)
        return {pin.checksum.removeprefix("sha256:"): pin.size or 0 for pin in sent}

    @property
    def digest(self) -> Digest:
        """SHA-256 over everything in it."""
        value = asdict(self) | {"family": self.family.value, "reboot": self.reboot.value}
        if not self.told:  # orders of earlier releases keep their digests
            del value["told"]
        encoded = json.dumps(value, sort_keys=True, separators=(",", ":"))
        return Digest(hashlib.sha256(encoded.encode("utf-8", "surrogatepass")).hexdigest())
