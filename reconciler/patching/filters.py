"""Whether a patch matches the filters of a baseline, and which one it fails: pure.

What is held against filters is a candidate: on rpm and SUSE a package version with one of its notices, each by itself; on
apt the version alone (SSM: PatchFilterGroup; values ORed, filters ANDed, none match everything).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.model.baseline import ANYTHING, FilterKey, PatchFilter, SecurityIndex
from reconciler.model.patch import Family, Index, Notice, Patch
from reconciler.patching.products import product_matches

_SAME_WORDS: Final = {"medium": "moderate", "high": "important", "urgent": "critical"}
"""Vendors' other words for one severity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One way to look at a patch: what filters see, and what the report prints of it."""

    patch: Patch
    notice: Notice | None = None
    classification: str = ""
    severity: str = ""
    security: bool = False
    """SSM: whether it counts where EnableNonSecurity is false."""
    indexes: tuple[Index, ...] = ()
    """Those that date it: the security indexes of a security version, else all."""


def candidates(patch: Patch, extra: Sequence[SecurityIndex] = ()) -> tuple[Candidate, ...]:
    """Give every way to look at a patch; on SUSE none where no libzypp patch names it."""
    if patch.family is Family.APT:
        secure = tuple(index for index in patch.indexes if index.is_security(extra))
        return (
            Candidate(
                patch=patch,
                classification="Security" if secure else "",
                severity=patch.priority,
                security=bool(secure),
                indexes=secure or patch.indexes,
            ),
        )
    of_notices = tuple(
        Candidate(
            patch=patch,
            notice=notice,
            classification=notice.classification,
            severity=notice.severity,
            security=patch.family is Family.SUSE or bool(notice.classification and notice.severity),
            indexes=patch.indexes,
        )
        for notice in patch.notices
    )
    if of_notices or patch.family is Family.SUSE:
        return of_notices
    return (Candidate(patch=patch, indexes=patch.indexes),)


def first_mismatch(filters: Sequence[PatchFilter], candidate: Candidate, product: str) -> str:
    """Say in words which filter a candidate fails; empty where it matches all of them."""
    for one in filters:
        if one.matches_anything:
            continue
        if one.key is FilterKey.PRODUCT:
            if not any(product_matches(value, product) for value in one.values):
                return f"PRODUCT is {product or 'not known'}, not {_listed(one)}"
            continue
        value = _value(one.key, candidate)
        if not value or _folded(value) not in {_folded(word) for word in one.folded}:
            return f"{one.key.value} is {value or 'not given'}, not {_listed(one)}"
    return ""


def _value(key: FilterKey, candidate: Candidate) -> str:
    if key is FilterKey.CLASSIFICATION:
        return candidate.classification
    if key in {FilterKey.SEVERITY, FilterKey.PRIORITY}:
        return candidate.severity
    if key is FilterKey.SECTION:
        return candidate.patch.section
    raise ValueError(f"a filter that no baseline for Linux may have: {key.value}")


def _folded(word: str) -> str:
    folded = word.casefold()
    return _SAME_WORDS.get(folded, folded)


def _listed(one: PatchFilter) -> str:
    return " or ".join(value for value in one.values if value != ANYTHING)
