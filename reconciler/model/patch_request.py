"""What a patch document asks for, before any node is looked at: records. Pure."""

import hashlib
import json
from dataclasses import dataclass
from enum import Enum

from reconciler.ids import Digest
from reconciler.model.baseline import PatchBaseline
from reconciler.model.patch_order import RebootOption


class Operation(Enum):
    """SSM: Operation of AWS-RunPatchBaseline."""

    SCAN = "Scan"
    INSTALL = "Install"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOverride:
    """SSM: one entry of an InstallOverrideList; both globs must match, ignoring case."""

    id: str
    """Of a package: `NAME` or `NAME.ARCH`."""
    title: str = ""
    """Of its version, with or without the id in front; empty: any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineTags:
    """SSM: BaselineTags of AWS-RunPatchBaselineAssociation: the baseline with this tag, of any of these values."""

    key: str
    values: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Give it for people."""
        return f"{self.key}: {' or '.join(self.values)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchRequest:
    """One patch step of a document."""

    operation: Operation
    reboot: RebootOption = RebootOption.REBOOT_IF_NEEDED
    overrides: tuple[InstallOverride, ...] | None = None
    """Install these, and nothing else, whatever the baseline says; None: what the baseline approves."""
    baselines: tuple[PatchBaseline, ...] = ()
    """SSM: BaselineOverride, at most one for each operating system; empty: the node's own baseline."""
    baselines_digest: str = ""
    """SHA-256 of the file they came from."""
    baseline_tags: BaselineTags | None = None
    """Go by the repository's baseline with this tag, where there is one; None: by the node's own."""
    repair: bool = False
    """Whether a package manager that something interrupted before is to be finished first."""
    remove_old_kernels: bool = False
    """Whether kernels beyond the running, the newest and one more are taken away after an install."""

    end_if_nothing: bool = False
    """Whether a Scan that finds nothing to do ends the document, as a success."""

    @property
    def has_own_baseline(self) -> bool:
        """Whether it may be judged by another baseline than the node's own."""
        return bool(self.baselines) or self.baseline_tags is not None

    @property
    def digest(self) -> Digest:
        """Digest what it asks for; what an earlier release did not know is in it only where it is asked for."""
        overrides = None if self.overrides is None else [[one.id, one.title] for one in self.overrides]
        tags = self.baseline_tags
        parts = [
            self.operation.value,
            self.reboot.value,
            overrides,
            self.baselines_digest,
            self.repair,
            self.remove_old_kernels,
            self.end_if_nothing,
            *([] if tags is None else [[tags.key, *tags.values]]),
        ]
        return Digest(hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest())
