"""Several commands of one host write to one clone at once: each is on top of what the other wrote, whoever looked when."""

from pathlib import Path

import pytest

from reconciler.errors import CommitError
from reconciler.source.records import Person, WriteRequest
from tests.commit.builders import NOON, a_host, a_message
from tests.support.git_remote import make_remote

QUEUE = "refs/queue/compliance"


def test_who_looked_before_the_other_wrote_writes_on_top_of_it(tmp_path: Path) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        for number in range(3):
            for host in (first, second):
                host.reports.look()
            first.reports.write({f"first-{number}": b"1"}, a_message(f"first-{number}"), now=NOON)
            second.reports.write({f"second-{number}": b"2"}, a_message(f"second-{number}"), now=NOON)
        assert second.reports.publish().complete
    assert sorted(repo.log()) == sorted(f"{name}-{number}" for name in ("first", "second") for number in range(3))


def test_a_ref_that_moved_meanwhile_is_left_where_it_is(tmp_path: Path) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        begun = first.reports.write({"a": b"1"}, a_message("a"), now=NOON)
        assert begun is not None
        assert second.repository.ref(QUEUE) == begun
        moved = first.reports.write({"b": b"1"}, a_message("b"), now=NOON)
        request = WriteRequest(
            parents=(begun,), changes={"c": b"1"}, message="c\n", person=Person(email="one@example.org"), when=NOON
        )
        with pytest.raises(CommitError):
            second.repository.commit_to(QUEUE, request)
        assert second.repository.ref(QUEUE) == moved
        assert first.repository.ref(QUEUE) == moved


def test_a_lock_that_a_killed_git_left_keeps_no_report_back(tmp_path: Path) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as host:
        host.report({"a": b"1"}, "a")
        (host.repository.folder / f"{QUEUE}.lock").touch()
        assert host.report({"b": b"2"}, "b") is not None
    assert repo.log() == ["b", "a"]
