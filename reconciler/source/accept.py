"""THE rule: which commit of the state repository is in force. Pure: ids and yes or no in, a decision with its reason out."""

from dataclasses import dataclass
from enum import Enum

from reconciler.ids import CommitId


class Acceptance(Enum):
    """What became of the branch's head."""

    ACCEPTED = "the new head is in force"
    UNCHANGED = "the head is the commit in force"
    KEPT = "the last good commit stays in force"
    NOTHING = "no commit is in force"


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """The commit that says what should be, and why it is this one."""

    commit: CommitId | None
    """None: nothing is in force, and nothing may be done."""
    acceptance: Acceptance
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is known about the head of the branch."""

    head: CommitId | None
    """None: it could not be read."""
    trouble: str = ""
    """Why it could not be read, or why it does not validate; empty: neither."""
    descends: bool = False
    """Whether it descends from the last accepted commit (or is it)."""


def accept(
    candidate: Candidate,
    *,
    accepted: CommitId | None,
    accepted_is_here: bool = True,
    accept_rewind: CommitId | None = None,
) -> InForce:
    """Decide by the first of: unreadable, unchanged, rewound, invalid, accepted.

    `accepted` is the last accepted commit, `accepted_is_here` whether the clone holds it, `accept_rewind` the commit a
    person allowed the branch to be rewound to.
    """
    last = accepted if accepted_is_here else None
    lost = "" if last == accepted else f"; the last accepted commit {_short(accepted)} is gone from the remote too"
    if candidate.head is None:
        return _kept(last, f"the branch cannot be read: {candidate.trouble or 'it has no commit'}{lost}")
    if candidate.head == last:
        return InForce(commit=last, acceptance=Acceptance.UNCHANGED, reason=f"{_short(last)} is the head of the branch")
    head = _short(candidate.head)
    rewound = accepted is not None and not candidate.descends
    if rewound and accept_rewind != candidate.head:
        return _kept(
            last,
            f"the branch was rewound: its head {head} does not descend from {_short(accepted)}, the last accepted "
            f"commit; if this is meant, use --accept-rewind {candidate.head}{lost}",
        )
    if candidate.trouble:
        return _kept(last, f"{head} is not accepted: {candidate.trouble}{lost}")
    how = (
        "a person accepted the rewind"
        if rewound
        else "it validates" + (" and descends from the last one" if last else "")
    )
    return InForce(commit=candidate.head, acceptance=Acceptance.ACCEPTED, reason=f"{head} is accepted: {how}")


def _kept(last: CommitId | None, reason: str) -> InForce:
    if last is None:
        return InForce(commit=None, acceptance=Acceptance.NOTHING, reason=f"{reason}; nothing is in force")
    return InForce(commit=last, acceptance=Acceptance.KEPT, reason=f"{reason}; {_short(last)} stays in force")


def _short(commit: CommitId | None) -> str:
    return "none" if commit is None else commit[:12]
