"""Which of two package versions is newer: takes two texts and the family of the node, gives -1, 0 or 1; pure.

dpkg's order is Debian policy 5.6.12, rpm's is that of rpmvercmp with `~` (before everything) and `^` (after it).
Verdicts are kept for the life of the process: a fleet compares the same few versions millions of times.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import zip_longest

_CACHED = 65536
_DIGITS = re.compile(r"(\d+)", re.ASCII)
_RPM_PART = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")
_DPKG_VERSION = re.compile(r"(?:[0-9]+:)?[0-9A-Za-z.+~:-]+", re.ASCII)
_LARGEST_EPOCH = 2**31 - 1


@lru_cache(maxsize=_CACHED)
def check_dpkg_version(version: str) -> None:
    """Raise ValueError on what dpkg takes for no version at all."""
    epoch, _, upstream, _ = _dpkg_parts(version)
    if not _DPKG_VERSION.fullmatch(version) or not upstream or epoch > _LARGEST_EPOCH:
        raise ValueError(f"{version!r} is not a Debian version")


@lru_cache(maxsize=_CACHED)
def compare_dpkg(left: str, right: str) -> int:
    """Compare two Debian versions, `[EPOCH:]UPSTREAM[-REVISION]`."""
    left_epoch, _, left_upstream, left_revision = _dpkg_parts(left)
    right_epoch, _, right_upstream, right_revision = _dpkg_parts(right)
    return (
        _sign(left_epoch, right_epoch)
        or _compare_dpkg_text(left_upstream, right_upstream)
        or _compare_dpkg_text(left_revision, right_revision)
    )


def _dpkg_parts(version: str) -> tuple[int, bool, str, str]:
    """Split into epoch, whether one was written, upstream and revision."""
    epoch, colon, rest = version.strip().partition(":")
    if not colon:
        epoch, rest = "0", version.strip()
    if not (epoch.isascii() and epoch.isdigit()):
        raise ValueError(f"{version!r} is not a Debian version: its epoch is not a number")
    upstream, dash, revision = rest.rpartition("-")
    return (int(epoch), bool(colon), upstream, revision) if dash else (int(epoch), bool(colon), rest, "")


def _dpkg_weight(character: str) -> int:
    """`~` sorts before the end, letters before everything else."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


def _compare_dpkg_text(left: str, right: str) -> int:
    """Compare by turns a part without digits and a number; where one ends, the end weighs 0."""
    for at, (a, b) in enumerate(zip_longest(_DIGITS.split(left), _DIGITS.split(right), fillvalue="")):
        if a == b:
            continue
        if at % 2:
            found = _sign(int(a or 0), int(b or 0))
        else:
            weights = zip_longest(map(_dpkg_weight, a), map(_dpkg_weight, b), fillvalue=0)
            found = next((_sign(x, y) for x, y in weights if x != y), 0)
        if found:
            return found
    return 0


@lru_cache(maxsize=_CACHED)
def compare_rpm(left: str, right: str) -> int:
    """Compare two of `[EPOCH:]VERSION[-RELEASE]`; without a release on one side the releases are not looked at."""
    left_epoch, left_version, left_release = _rpm_parts(left)
    right_epoch, right_version, right_release = _rpm_parts(right)
    found = _sign(left_epoch, right_epoch) or rpmvercmp(left_version, right_version)
    if found or left_release is None or right_release is None:
        return found
    return rpmvercmp(left_release, right_release)


@lru_cache(maxsize=_CACHED)
def compare_rpm_labels(left: str, right: str) -> int:
    """Compare two of `[EPOCH:]VERSION[-RELEASE]` as labels: without a release sorts below the same one with it."""
    found = compare_rpm(left, right)
    return found or _sign("-" in left, "-" in right)


def _rpm_parts(version: str) -> tuple[int, str, str | None]:
    epoch, colon, rest = version.strip().partition(":")
    if not colon or not (epoch.isascii() and epoch.isdigit()):
        epoch, rest = "0", version.strip()
    text, dash, release = rest.partition("-")
    return int(epoch), text, release if dash else None


def rpmvercmp(left: str, right: str) -> int:
    """Compare two rpm versions, or two releases, part by part; what separates parts does not count."""
    if left == right:
        return 0
    for a, b in zip_longest(_RPM_PART.findall(left), _RPM_PART.findall(right), fillvalue=""):
        found = 0 if a == b else _compare_rpm_parts(a, b)
        if found:
            return found
    return 0


def _compare_rpm_parts(a: str, b: str) -> int:
    """Compare two parts that differ; an empty one is the end, which only `~` comes before."""
    if "~" in (a, b):
        return -1 if a == "~" else 1
    if not a or not b:
        return _sign(len(a), len(b))
    if "^" in (a, b):
        return -1 if a == "^" else 1
    if a.isdigit() and b.isdigit():
        return _sign(int(a), int(b))
    if a.isdigit() or b.isdigit():
        return 1 if a.isdigit() else -1
    return 1 if a > b else -1


def _sign(left: int, right: int) -> int:
    return (left > right) - (left < right)


COMPARE: Mapping[str, Callable[[str, str], int]] = {"debian": compare_dpkg, "rpm": compare_rpm, "suse": compare_rpm}
"""By package family, as the facts name it; another family has no order that we know."""

COMPARE_LABELS: Mapping[str, Callable[[str, str], int]] = {
    **COMPARE,
    "rpm": compare_rpm_labels,
    "suse": compare_rpm_labels,
}
"""The same for whole versions of packages, where a missing release is not a question left open."""
