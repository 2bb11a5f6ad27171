"""Puts commits that wait on top of what the places have: forwards where it can, made again or merged where it must.

Nothing at any place is ever lost by it: what comes out descends from everything that was published.
"""

from collections.abc import Sequence

from reconciler.commit.message import EPOCH, Message, trailer
from reconciler.ids import CommitId
from reconciler.source.records import CommitRecord, Person, WriteRequest
from reconciler.source.repository import Repository


def join(
    repository: Repository, waiting: CommitId | None, tips: Sequence[CommitId | None], person: Person
) -> CommitId | None:
    """Give a commit that has all of `waiting` and descends from every one of `tips`, home's tip first.

    Against home, what waits was seen by nobody and is made again on top. Against a further place home's commits are
    known already, so a merge keeps both.
    """
    result = waiting
    for number, tip in enumerate(tips):
        if tip is None or (result is not None and repository.is_ancestor(tip, result)):
            continue
        if result is None or repository.is_ancestor(result, tip):
            result = tip
        elif number == 0:
            result = _again(repository, result, tip, person)
        else:
            result = _merged(repository, result, tip, person)
    return result


def written_later(repository: Repository, known: CommitId, tip: CommitId, epoch: int) -> frozenset[str]:
    """Give the files that came to `tip` since `known`, where a leader of a later epoch than ours wrote among them."""
    base = repository.merge_base(known, tip)
    if _epoch(repository.commits_between(base, tip)) <= epoch:
        return frozenset()
    return frozenset(repository.changes_between(base, tip))


def _again(repository: Repository, waiting: CommitId, tip: CommitId, person: Person) -> CommitId:
    base = repository.merge_base(waiting, tip)
    theirs = set(repository.changes_between(base, tip))
    their_epoch = _epoch(repository.commits_between(base, tip))
    result = tip
    for commit in repository.commits_between(base, waiting):
        changes = dict(repository.changes_between(commit.parents[0] if commit.parents else None, commit.id))
        if their_epoch > _epoch((commit,)):
            changes = {path: blob for path, blob in changes.items() if path not in theirs}
        result = _apply(repository, (result,), changes, commit.message, person, commit)
    return result


def _merged(repository: Repository, ours: CommitId, tip: CommitId, person: Person) -> CommitId:
    base = repository.merge_base(ours, tip)
    changes = dict(repository.changes_between(base, ours))
    if _epoch(repository.commits_between(base, tip)) > _epoch(repository.commits_between(base, ours)):
        theirs = set(repository.changes_between(base, tip))
        changes = {path: blob for path, blob in changes.items() if path not in theirs}
    message = Message(
        subject="Join two lines of reports", body=f"{ours} and {tip} were pushed to different places."
    ).text()
    return _apply(repository, (tip, ours), changes, message, person, repository.commit_record(ours))


def _apply(
    repository: Repository,
    parents: tuple[CommitId, ...],
    changes: dict[str, str | None],
    message: str,
    person: Person,
    like: CommitRecord,
) -> CommitId:
    there = repository.blob_ids(parents[0])
    news = {path: blob for path, blob in changes.items() if there.get(path) != blob}
    if not news and len(parents) == 1:
        return parents[0]
    request = WriteRequest(
        parents=parents,
        changes={path: None for path, blob in news.items() if blob is None},
        known_blobs={path: blob for path, blob in news.items() if blob is not None},
        message=message,
        person=person,
        when=like.committed,
    )
    return repository.write_commit(request)


def _epoch(commits: Sequence[CommitRecord]) -> int:
    """Give the highest epoch of these commits; people's commits have none."""
    found = (trailer(commit.message, EPOCH) for commit in commits)
    return max((int(value) for value in found if value is not None and value.isascii() and value.isdigit()), default=0)
