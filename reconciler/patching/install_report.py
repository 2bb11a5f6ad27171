"""What an install said in the end: the output of a patch step -> what it brought, and what failed by which cause. Pure; foreign text.

Words only: whether a version is there is judged by the inventory that is read afterwards. Lines that are none of ours are the
package manager's, and left alone.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.ids import PatchId
from reconciler.model.patch_causes import CAUSES
from reconciler.patching.node_patches import InstallRun

_RESULT: Final = re.compile(r"patch: (installed|already|failed) (\S{1,300}) (\S{1,300})(?: ([a-z-]{1,30}): (.*))?")
_MOST_LINES: Final = 20_000
_LONGEST: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why one row is not what it was to be."""

    version: str
    cause: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallReport:
    """What one patch step came to."""

    installed: Mapping[PatchId, str] = field(default_factory=dict)
    """Row -> the version that it brought."""
    already: Mapping[PatchId, str] = field(default_factory=dict)
    """Row -> a version that was there before, the wanted or a higher one."""
    failed: Mapping[PatchId, Problem] = field(default_factory=dict)
    rebooted: str = ""
    """The boot id after the reboot it asked for; empty: it did not reboot."""
    unbooted: str = ""
    """Why it did not reboot, though it should have."""
    services: tuple[str, ...] = ()
    """What ran before the reboot, and had failed after it."""
    old_kernels: tuple[str, ...] = ()
    """Packages of kernels beyond the running one, the newest and one more."""

    def as_run(self, attempted: Mapping[PatchId, str], *, override: bool = False) -> InstallRun:
        """Give what rows are judged by after it."""
        problems = {row: f"{problem.cause}: {problem.words}" for row, problem in self.failed.items()}
        return InstallRun(attempted=attempted, override=override, problems=problems)


def read_install_report(output: bytes) -> InstallReport:
    """Read the standard output of a patch step; one that was cut tells less."""
    installed: dict[PatchId, str] = {}
    already: dict[PatchId, str] = {}
    failed: dict[PatchId, Problem] = {}
    said: dict[str, str] = {}
    for line in _lines(output):
        found = _RESULT.fullmatch(line)
        if found is None:
            kind, _, rest = line.removeprefix("patch: ").partition(" ")
            if kind in {"rebooted", "unbooted", "services", "kernels"}:
                said[kind] = rest[:_LONGEST].strip()
            continue
        what, row, version, cause, words = found.groups()
        if what == "failed":
            known = cause if cause in CAUSES else "unknown"
            failed[PatchId(row)] = Problem(version=version, cause=known, words=(words or "")[:_LONGEST].strip())
        else:
            (installed if what == "installed" else already)[PatchId(row)] = version
    return InstallReport(
        installed=installed,
        already=already,
        failed=failed,
        rebooted=said.get("rebooted", ""),
        unbooted=said.get("unbooted", ""),
        services=tuple(said.get("services", "").split()),
        old_kernels=tuple(said.get("kernels", "").split()),
    )


def _lines(output: bytes) -> Iterator[str]:
    for line in output.split(b"\n")[-_MOST_LINES:]:
        if line.startswith(b"patch: "):
            yield line.decode("utf-8", "replace")
