"""Several commands of one host write to one clone at once: each is on top of what the other wrote, whoever looked when."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from reconciler.commit.branch import LOCKED_TRIES, PUSH_TRIES, QUEUE_TRIES, Publication
from reconciler.commit.lease import Held
from reconciler.errors import CommitError, LeaseLost
from reconciler.source import own_refs
from reconciler.source.address import RepositoryAddress
from reconciler.source.records import Person, WriteRequest
from reconciler.source.ref_files import all_refs
from tests.commit.builders import NOON, Host, a_host, a_message
from tests.support.git_remote import make_remote
from tests.support.waiting import wait_until

HOUR = timedelta(hours=1)
QUEUE = "refs/queue/compliance"
TRACKING = "refs/remote/home/heads/compliance"
PUBLISHED = "refs/published/home/compliance"


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


def write(host: Host, name: str) -> None:
    assert host.reports.write({name: b"1"}, a_message(name), now=NOON) is not None


def before(
    target: object, name: str, then: Callable[[], None], monkeypatch: pytest.MonkeyPatch, times: int = 1
) -> None:
    """Have something happen right before each of the first calls of a method."""
    real, left = getattr(target, name), [then] * times

    def called(*arguments: Any, **named: Any) -> object:
        if left:
            left.pop()()
        return real(*arguments, **named)

    monkeypatch.setattr(target, name, called)


def test_many_commands_at_once_lose_no_record(tmp_path: Path) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    handles, rounds = 9, 3
    start, came = Barrier(handles), list[Publication]()

    def command(number: int) -> None:
        with a_host("one", repo, tmp_path) as host:
            start.wait(60)
            for turn in range(rounds):
                host.reports.look()
                write(host, f"{number}-{turn}")
                came.append(host.reports.publish())

    with a_host("one", repo, tmp_path):
        threads = [Thread(target=command, args=(number,)) for number in range(handles)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(repo.log()) == sorted(f"{number}-{turn}" for number in range(handles) for turn in range(rounds))
    assert len(came) == handles * rounds
    assert {each.reasons for each in came} == {()}


def test_who_loses_the_queue_again_and_again_writes_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        names = iter("abcdefgh")
        before(first.repository, "commit_to", lambda: write(second, next(names)), monkeypatch, times=5)
        write(first, "mine")
        assert first.reports.publish().complete
    assert sorted(repo.log()) == [*"abcde", "mine"]


def in_line(host: Host, work: Callable[[], object]) -> Thread:
    """Have a thread do what needs a turn, and wait until it waits for it."""
    begun = Thread(target=work)
    begun.start()
    wait_until(lambda: host.reports.own.turn.waiting > 0, "it waits for its turn")
    return begun


def test_who_waits_for_its_turn_has_it_between_two_tries_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with ExitStack() as stack:
        first, second, stranger = [stack.enter_context(a_host("one", repo, tmp_path)) for _ in range(3)]
        second.reports.own = first.reports.own
        begun: list[Thread] = []

        def lose() -> None:
            begun.append(in_line(second, partial(write, second, "second")))
            write(stranger, "stranger")

        before(first.repository, "commit_to", lose, monkeypatch)
        write(first, "first")
        begun[0].join()
        assert first.reports.publish().complete
    assert repo.log() == ["first", "second", "stranger"]


def test_who_waited_for_its_turn_makes_nothing_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        second.reports.own = first.reports.own
        first.report({"a": b"1"}, "a")
        write(first, "b")
        repo.commit({"note": b"a person's"}, "By hand", branch="compliance")
        begun: list[Thread] = []
        made: list[None] = []
        before(second.repository, "write_commit", lambda: made.append(None), monkeypatch)

        def wait() -> None:
            begun.append(in_line(second, partial(assert_looked, second)))

        before(first.repository, "write_commit", wait, monkeypatch)
        assert_looked(first)
        begun[0].join()
        assert made == []
        assert second.reports.tip() == first.reports.tip()


def test_a_lock_that_stays_is_told_after_a_few_tries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While others use the clone nobody takes a lock for stale: it may be theirs."""
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        first.report({"a": b"1"}, "a")
        lock = first.repository.folder / f"{QUEUE}.lock"
        lock.touch()
        tries: list[None] = []
        before(first.repository, "commit_to", lambda: tries.append(None), monkeypatch, times=QUEUE_TRIES)
        with pytest.raises(CommitError):
            first.reports.write({"b": b"1"}, a_message("b"), now=NOON)
        assert len(tries) == LOCKED_TRIES
        lock.unlink()
        write(second, "c")


def test_two_that_put_what_waits_on_top_of_a_push_at_once_both_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        first.report({"a": b"1"}, "a")
        write(first, "b")
        repo.commit({"note": b"a person's"}, "By hand", branch="compliance")
        before(first.repository, "update_refs", lambda: assert_looked(second), monkeypatch)
        assert first.reports.publish().complete
    assert sorted(repo.log()) == ["By hand", "a", "b"]


def test_what_was_made_in_vain_is_named_by_no_ref_once_its_handle_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as other:
        with a_host("one", repo, tmp_path) as host:
            host.report({"a": b"1"}, "a")
            write(host, "b")
            repo.commit({"note": b"a person's"}, "By hand", branch="compliance")
            before(host.repository, "update_refs", lambda: assert_looked(other), monkeypatch)
            assert_looked(host)
        other.repository.forget_refs()
        assert other.repository.refs("refs/writing/") == {}


def assert_looked(host: Host) -> None:
    assert host.reports.look().lost is None


def test_two_that_bring_the_same_refs_at_once_both_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        first.report({"a": b"1"}, "a")
        repo.commit({"note": b"a person's"}, "By hand", branch="compliance")
        lock = first.repository.folder / f"{TRACKING}.lock"
        remotes = first.repository._remotes
        real = remotes.bring

        def bring(where: RepositoryAddress, refspecs: Sequence[str]) -> None:
            """Meet what another git is writing, and has written right after."""
            if lock.with_suffix("").read_text().strip() == repo.tip("compliance"):
                return real(where, refspecs)
            lock.touch()
            try:
                real(where, refspecs)
            finally:
                lock.unlink()
                assert_looked(second)

        monkeypatch.setattr(remotes, "bring", bring)
        standing = first.reports.look()
        assert standing.unreachable == ()
        assert standing.tip == repo.tip("compliance")


def test_a_push_that_others_overtake_again_and_again_is_done_once_they_brought_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        first.report({"a": b"1"}, "a")
        write(first, "mine")
        names = iter(range(1000))

        def overtake() -> None:
            second.report({f"{next(names)}": b"1"}, "theirs")
            write(second, f"{next(names)}")

        before(first.repository, "push", overtake, monkeypatch, times=2 * PUSH_TRIES)
        assert first.reports.publish().complete
    assert "mine" in repo.log()


def test_refs_that_moved_while_they_were_read_are_no_rewound_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One push moves both what home has and what was published; whoever reads their files may see one of them moved."""
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        first.report({"a": b"1"}, "a")
        first.reports.look()
        write(second, "b")
        asked = first.repository._remotes.look

        def read(folder: Path) -> Mapping[str, str] | None:
            monkeypatch.setattr(own_refs, "all_refs", all_refs)
            found = all_refs(folder)
            assert second.reports.publish().complete
            return {**(found or {}), PUBLISHED: (all_refs(folder) or {})[PUBLISHED]}

        def look(*arguments: Any) -> object:
            answer = asked(*arguments)
            monkeypatch.setattr(own_refs, "all_refs", read)
            monkeypatch.setattr(first.repository._remotes, "look", asked)
            return answer

        monkeypatch.setattr(first.repository._remotes, "look", look)
        assert first.reports.look().lost is None
        assert first.reports.tip() == second.reports.tip()


@pytest.mark.parametrize("knows", [True, False], ids=["its refs were read anew", "its refs are as they were"])
def test_what_a_later_leader_wrote_stays_though_another_handle_brought_it(tmp_path: Path, *, knows: bool) -> None:
    """A command's handle fetches the successor's report while a pass of the old leader is under way."""
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        assert isinstance(first.keeper.acquire(NOON, HOUR), Held)
        first.report({"nodes/a": b"1", "nodes/b": b"1"}, "a", epoch=1)
        first.reports.look()
        with a_host("two", repo, tmp_path) as other:
            lease = other.keeper.acquire(NOON, HOUR, take_over=True)
            assert isinstance(lease, Held)
            other.report({"nodes/a": b"2"}, "theirs", epoch=lease.lease.epoch)
        assert_looked(second)
        if knows:
            first.repository.forget_refs()
        made = first.reports.write({"nodes/a": b"old", "nodes/b": b"old"}, a_message("late"), now=NOON, epoch=1)
        assert made is not None
        assert first.repository.read_file(made, "nodes/a") == b"2"
        assert first.repository.read_file(made, "nodes/b") == b"old"
        with pytest.raises(LeaseLost):
            first.reports.publish(epoch=1)
    assert repo.show("nodes/a") == "2"


def test_what_goes_upon_another_ones_commit_is_worked_out_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        write(first, "a")
        before(first.repository, "commit_to", lambda: write(second, "b"), monkeypatch)
        made = first.reports.write({}, a_message("c"), now=NOON, also=lambda tip: {"upon": str(tip).encode()})
        assert made is not None
        (parent,) = first.repository.commit_record(made).parents
        assert first.repository.read_file(made, "upon") == parent.encode()
        assert first.repository.read_file(parent, "b") is not None


def test_what_another_handle_pushed_first_is_not_taken_for_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    with a_host("one", repo, tmp_path) as first, a_host("one", repo, tmp_path) as second:
        remotes = first.repository._remotes
        asked, meanwhile = remotes.look, [partial(second.report, {"a": b"1"}, "a")]

        def look(*arguments: Any) -> object:
            answer = asked(*arguments)
            if meanwhile:
                meanwhile.pop()()
            return answer

        monkeypatch.setattr(remotes, "look", look)
        standing = first.reports.look()
        assert standing.lost is None
        assert standing.tip == repo.tip("compliance")
        assert first.repository.refs("refs/remote/home/") == {TRACKING: repo.tip("compliance")}
