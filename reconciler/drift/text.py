"""Instants and differences in the words of a reason: the same text in every pass, so that no change is no commit; pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from reconciler.drift.finding import Difference, Finding

_NAMED = 3
"""Differences that a reason names; the finding carries all of them."""


def instant_text(instant: datetime) -> str:
    """Give `2026-01-31T02:00:00Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def differences_text(differences: Sequence[Difference]) -> str:
    """Name the first few: `file /etc/motd: mode 0600, expected mode 0644`."""
    named = [_difference_text(each) for each in differences[:_NAMED]]
    more = len(differences) - _NAMED
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def subjects_text(subjects: Sequence[str]) -> str:
    """Name the first few of what does not stay."""
    more = len(subjects) - _NAMED
    return ", ".join(subjects[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def untold_differences(finding: Finding) -> tuple[Difference, ...]:
    """Give the differences that the finding's reason does not name already, for whoever shows both."""
    return tuple(each for each in finding.differences if _difference_text(each) not in finding.reason)


def _difference_text(each: Difference) -> str:
    return f"{each.subject}: {each.observed}, expected {each.expected}"
