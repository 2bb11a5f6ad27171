"""Which phased updates a node is not offered yet: takes its machine id and what is on offer, gives titles. Pure.

apt: a version with `Phased-Update-Percentage: N` is for N in a hundred machines, and which ones is drawn from the version's
source and the machine id, so that every look of every tool at one machine comes to the same. A version with a security update
at or below it, above the installed one, is for everybody (`pkgCache::VerIterator::IsSecurityUpdate`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.ids import PatchId
from reconciler.model.patch import Installed, Patch
from reconciler.patching.versions import compare_dpkg

_EVERYBODY: Final = 100
_WORD: Final = 0xFFFFFFFF
_MULTIPLIER: Final = 48271
_MODULUS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Phasing:
    """What a node's own apt goes by."""

    machine_id: str
    """Empty: it has none, and is offered everything."""
    always: bool = False
    """`APT::Get::Always-Include-Phased-Updates`"""
    never: bool = False
    """`APT::Get::Never-Include-Phased-Updates`"""


def deferred(phasing: Phasing, installed: Iterable[Installed], available: Sequence[Patch]) -> frozenset[str]:
    """Give the titles of the versions that this machine's phase does not offer yet."""
    phased = [patch for patch in available if is_phased(patch)]
    if not phased or phasing.always:
        return frozenset()
    have: dict[PatchId, str] = {row.id: row.version for row in installed}
    return frozenset(patch.title for patch in phased if _is_deferred(patch, phasing, have, available))


def is_phased(patch: Patch) -> bool:
    """Say whether it is for some machines only, so far."""
    return patch.phased is not None and patch.phased != _EVERYBODY


def _is_deferred(patch: Patch, phasing: Phasing, have: Mapping[PatchId, str], available: Sequence[Patch]) -> bool:
    mine = have.get(patch.id)
    if mine is None or _is_security(patch, mine, available):
        return False
    if phasing.never:
        return True
    return bool(phasing.machine_id) and draw(patch, phasing.machine_id) > (patch.phased or 0)


def _is_security(patch: Patch, installed: str, available: Sequence[Patch]) -> bool:
    return any(
        any(index.suite.endswith("-security") for index in other.indexes)
        for other in available
        if other.id == patch.id
        and compare_dpkg(other.version, patch.version) <= 0
        and compare_dpkg(other.version, installed) > 0
    )


def draw(patch: Patch, machine_id: str) -> int:
    """Give a machine's number for a version, 0 to 100: it is offered from that percentage on."""
    source = patch.source or patch.name
    return _uniform(f"{source}-{patch.source_version or patch.version}-{machine_id}".encode())


def _uniform(seed: bytes) -> int:
    """C++: `uniform_int_distribution<unsigned>(0, 100)` of libstdc++ over `minstd_rand` from a `seed_seq` of these bytes."""
    state = _seed_seq(seed, 4)[3] % _MODULUS or 1
    scaling = (_MODULUS - 2) // (_EVERYBODY + 1)
    while True:
        state = state * _MULTIPLIER % _MODULUS
        drawn = (state - 1) // scaling
        if drawn <= _EVERYBODY:
            return drawn


def _seed_seq(seed: bytes, count: int) -> list[int]:
    """C++: `seed_seq::generate` [rand.util.seedseq] of `count` words, fewer than seven."""
    words = [byte - 256 if byte > 127 else byte for byte in seed]  # noqa: PLR2004  (a char is signed where apt runs)
    size = len(words)
    found = [0x8B8B8B8B] * count
    gap = (count - 1) // 2
    shift = (count - gap) // 2
    steps = max(size + 1, count)
    for k in range(steps):
        mixed = _mixed(1664525, found[k % count] ^ found[(k + shift) % count] ^ found[(k - 1) % count])
        found[(k + shift) % count] = (found[(k + shift) % count] + mixed) & _WORD
        mixed += size if k == 0 else k % count + (words[k - 1] if k <= size else 0)
        found[(k + shift + gap) % count] = (found[(k + shift + gap) % count] + mixed) & _WORD
        found[k % count] = mixed & _WORD
    for k in range(steps, steps + count):
        mixed = _mixed(1566083941, found[k % count] + found[(k + shift) % count] + found[(k - 1) % count])
        found[(k + shift) % count] ^= mixed
        mixed = (mixed - k % count) & _WORD
        found[(k + shift + gap) % count] ^= mixed
        found[k % count] = mixed
    return found


def _mixed(multiplier: int, word: int) -> int:
    word &= _WORD
    return multiplier * (word ^ word >> 27) & _WORD
