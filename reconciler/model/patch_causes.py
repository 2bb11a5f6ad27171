"""The causes by which an install of patches tells what failed: a fixed vocabulary, so that a report may hold it; pure.

What a node's output says beyond these words stays on the management host.
"""

import re
from collections import Counter
from typing import Final

CAUSES: Final = (
    "lock-held",
    "disk-full",
    "dpkg-interrupted",
    "dpkg-killed",
    "rpm-interrupted",
    "rpm-killed",
    "shutdown-pending",
    "not-root",
    "gone",
    "held",
    "dependency",
    "download",
    "checksum",
    "signature",
    "maintainer-script",
    "dpkg",
    "transaction",
    "no-boot-entry",
    "service-failed",
)
"""Every cause that the programs on nodes name; what any other says is `unknown`."""

_STOPPED: Final = re.compile(rb"patching stopped: ([a-z-]{1,30}): ")
_FAILED: Final = re.compile(rb"failed: \S{1,300} \S{1,300} ([a-z-]{1,30}): ")
_AFTER: Final = re.compile(rb"(?:not rebooted: )?(no-boot-entry|service-failed): ")


def causes_in_words(said: bytes) -> str:
    """Sum up what a patch step wrote to its standard error; empty where it names no cause."""
    stopped: list[str] = []
    failed: Counter[str] = Counter()
    for line in said.split(b"\n"):
        for pattern, where in ((_STOPPED, stopped), (_FAILED, failed), (_AFTER, stopped)):
            found = pattern.match(line)
            cause = "" if found is None else found[1].decode("ascii")
            if cause not in CAUSES:
                continue
            if isinstance(where, Counter):
                where[cause] += 1
            elif cause not in where:
                where.append(cause)
    if not failed:
        return ", ".join(stopped)
    counted = ", ".join(f"{cause}{f' ({count})' if count > 1 else ''}" for cause, count in sorted(failed.items()))
    patches = "1 patch" if failed.total() == 1 else f"{failed.total()} patches"
    return "; ".join([f"{patches} failed: {counted}", *stopped])
