"""The last good commit stays in force until a better one is there, and the reason says why."""

import pytest

from reconciler.ids import CommitId
from reconciler.source.accept import Acceptance, Candidate, accept

OLD, NEW = CommitId("a" * 40), CommitId("b" * 40)


@pytest.mark.parametrize(
    ("candidate", "accepted", "commit", "acceptance", "words"),
    [
        pytest.param(Candidate(head=NEW), None, NEW, Acceptance.ACCEPTED, "it validates", id="the first commit"),
        pytest.param(Candidate(head=NEW, descends=True), OLD, NEW, Acceptance.ACCEPTED, "descends", id="a new commit"),
        pytest.param(Candidate(head=OLD, descends=True), OLD, OLD, Acceptance.UNCHANGED, "head", id="nothing new"),
        pytest.param(
            Candidate(head=OLD, descends=True, trouble="x.yaml:1: bad"), OLD, OLD, Acceptance.UNCHANGED, "head",
            id="a newer program finds fault with what is in force",
        ),
        pytest.param(
            Candidate(head=NEW, descends=True, trouble="x.yaml:1: bad"), OLD, OLD, Acceptance.KEPT, "x.yaml:1: bad",
            id="a commit that does not validate",
        ),
        pytest.param(
            Candidate(head=NEW, trouble="x.yaml:1: bad"), None, None, Acceptance.NOTHING, "nothing is in force",
            id="the first commit does not validate",
        ),
        pytest.param(Candidate(head=NEW), OLD, OLD, Acceptance.KEPT, f"--accept-rewind {NEW}", id="a rewound branch"),
        pytest.param(
            Candidate(head=None, trouble="no route to host"), OLD, OLD, Acceptance.KEPT, "no route to host",
            id="the remote is away",
        ),
        pytest.param(
            Candidate(head=None, trouble="no route to host"), None, None, Acceptance.NOTHING, "no route",
            id="the remote was never there",
        ),
    ],
)  # fmt: skip
def test_commit_in_force(
    candidate: Candidate, accepted: CommitId | None, commit: CommitId | None, acceptance: Acceptance, words: str
) -> None:
    decided = accept(candidate, accepted=accepted)
    assert (decided.commit, decided.acceptance) == (commit, acceptance)
    assert words in decided.reason


def test_rewind_that_a_person_accepted_is_taken_for_that_commit_alone() -> None:
    assert accept(Candidate(head=NEW), accepted=OLD, accept_rewind=NEW).commit == NEW
    assert accept(Candidate(head=NEW), accepted=OLD, accept_rewind=CommitId("c" * 40)).commit == OLD


def test_accepted_rewind_that_does_not_validate_changes_nothing() -> None:
    decided = accept(Candidate(head=NEW, trouble="bad"), accepted=OLD, accept_rewind=NEW)
    assert (decided.commit, decided.acceptance) == (OLD, Acceptance.KEPT)


def test_fresh_clone_of_a_rewound_branch_has_nothing_in_force() -> None:
    decided = accept(Candidate(head=NEW), accepted=OLD, accepted_is_here=False)
    assert (decided.commit, decided.acceptance) == (None, Acceptance.NOTHING)
    assert "gone from the remote" in decided.reason
