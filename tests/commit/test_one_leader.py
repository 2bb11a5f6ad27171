"""One writer leads; its epoch rises with every change of leaders, and a remote that is away stops nobody."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread

import pytest

from reconciler.commit.lease import Held, HeldBy
from reconciler.errors import CommitError, LeaseLost
from reconciler.model.epoch import MOST_EPOCHS
from tests.commit.builders import NOON, Host, a_host
from tests.support.git_remote import GitRemote, make_remote

TTL = timedelta(minutes=5)
LATER = NOON + 2 * TTL


@pytest.fixture
def repo(tmp_path: Path) -> GitRemote:
    return make_remote(tmp_path / "fleet.git")


@pytest.fixture
def one(repo: GitRemote, tmp_path: Path) -> Iterator[Host]:
    with a_host("one", repo, tmp_path) as made:
        yield made


@pytest.fixture
def two(repo: GitRemote, tmp_path: Path) -> Iterator[Host]:
    with a_host("two", repo, tmp_path) as made:
        yield made


def held(answer: Held | HeldBy) -> Held:
    assert isinstance(answer, Held), answer
    return answer


def test_first_comer_leads_and_the_second_is_told_who(one: Host, two: Host) -> None:
    first = held(one.keeper.acquire(NOON, TTL))
    assert (first.lease.epoch, first.confirmed) == (1, True)
    second = two.keeper.acquire(NOON, TTL)
    assert isinstance(second, HeldBy)
    assert second.reason.startswith("one:")
    assert two.keeper.look() == first.lease


def test_holder_renews_with_the_same_epoch(one: Host) -> None:
    first = held(one.keeper.acquire(NOON, TTL))
    again = one.keeper.renew(first, NOON + timedelta(minutes=1), TTL)
    assert (again.lease.epoch, again.lease.expires) == (1, NOON + timedelta(minutes=6))


def test_restarted_holder_has_its_lease_again(one: Host, repo: GitRemote, tmp_path: Path) -> None:
    one.keeper.acquire(NOON, TTL)
    with a_host("one", repo, tmp_path) as restarted:
        assert held(restarted.keeper.acquire(NOON, TTL)).lease.epoch == 1


def test_expired_lease_is_taken_over_with_a_higher_epoch_and_the_old_holder_learns_it(one: Host, two: Host) -> None:
    first = held(one.keeper.acquire(NOON, TTL))
    second = held(two.keeper.acquire(LATER, TTL))
    assert second.lease.epoch == 2
    with pytest.raises(LeaseLost, match="two:"):
        one.keeper.renew(first, LATER, TTL)


def test_holder_that_has_the_lease_again_after_somebody_else_begins_anew(one: Host, two: Host) -> None:
    first = held(one.keeper.acquire(NOON, TTL))
    two.keeper.acquire(LATER, TTL)
    with pytest.raises(LeaseLost, match="epoch 3"):
        one.keeper.renew(first, LATER + 2 * TTL, TTL)


def test_released_lease_is_free_at_once_and_keeps_its_count(one: Host, two: Host) -> None:
    first = held(one.keeper.acquire(NOON, TTL))
    one.keeper.release(first, NOON)
    assert held(two.keeper.acquire(NOON, TTL)).lease.epoch == 2


def test_releasing_what_somebody_else_has_by_now_changes_nothing(one: Host, two: Host) -> None:
    first = held(one.keeper.acquire(NOON, TTL))
    second = held(two.keeper.acquire(LATER, TTL))
    one.keeper.release(first, LATER)
    assert two.keeper.look() == second.lease


def test_person_takes_over_or_releases_by_hand(one: Host, two: Host) -> None:
    one.keeper.acquire(NOON, TTL)
    assert held(two.keeper.acquire(NOON, TTL, take_over=True)).lease.epoch == 2
    one.keeper.clear(NOON)
    assert held(one.keeper.acquire(NOON, TTL)).lease.epoch == 3


def test_epoch_is_never_below_what_nodes_have_seen(one: Host, repo: GitRemote) -> None:
    assert held(one.keeper.acquire(NOON, TTL, at_least=7)).lease.epoch == 7
    repo.git("update-ref", "-d", "refs/reconciler/lease")
    assert held(one.keeper.acquire(NOON, TTL, at_least=9)).lease.epoch == 9


def test_no_lease_is_written_that_nobody_could_read(one: Host, two: Host) -> None:
    assert held(one.keeper.acquire(NOON, TTL, at_least=MOST_EPOCHS)).lease.epoch == MOST_EPOCHS
    with pytest.raises(CommitError, match="no epoch is left"):
        two.keeper.acquire(LATER, TTL)
    assert held(one.keeper.acquire(NOON, TTL)).lease.epoch == MOST_EPOCHS


def test_of_two_at_the_same_moment_exactly_one_leads(repo: GitRemote, tmp_path: Path) -> None:
    epochs = []
    for number in range(8):
        start = Barrier(2)
        answers: list[Held | HeldBy] = []
        now = NOON + 2 * number * TTL

        def take(name: str, now: object = now, start: Barrier = start, answers: list[Held | HeldBy] = answers) -> None:
            with a_host(name, repo, tmp_path) as host:
                start.wait()
                answers.append(host.keeper.acquire(now, TTL))  # type: ignore[arg-type]  # bound early, for the loop

        threads = [Thread(target=take, args=(f"{name}{number}",)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        winners = [answer for answer in answers if isinstance(answer, Held)]
        losers = [answer for answer in answers if isinstance(answer, HeldBy)]
        assert (len(winners), len(losers)) == (1, 1), answers
        assert losers[0].lease == winners[0].lease
        epochs.append(winners[0].lease.epoch)
    assert epochs == list(range(1, 9))


def test_holder_goes_on_while_the_remote_is_away(one: Host, repo: GitRemote, tmp_path: Path) -> None:
    first = held(one.keeper.acquire(NOON, TTL))
    away = repo.path.rename(tmp_path / "away")
    again = one.keeper.renew(first, LATER, TTL)
    assert (again.confirmed, again.lease.epoch) == (False, 1)
    assert "could not be confirmed" in again.reason
    one.keeper.release(again, LATER)
    away.rename(repo.path)
    assert held(one.keeper.acquire(LATER, TTL)).confirmed


def test_who_last_saw_another_leader_does_not_lead_because_the_remote_is_away(
    one: Host, two: Host, repo: GitRemote, tmp_path: Path
) -> None:
    one.keeper.acquire(NOON, TTL)
    two.keeper.acquire(NOON, TTL)
    repo.path.rename(tmp_path / "away")
    assert isinstance(two.keeper.acquire(NOON, TTL), HeldBy)


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"[]", b'{"epoch": "1"}', b'{"epoch":1,"holder":"x","expires":"?"}']
)
def test_what_is_no_lease_stops_writers_until_a_person_clears_it(one: Host, repo: GitRemote, content: bytes) -> None:
    blob = repo.git("hash-object", "-w", "--stdin", stdin=content)
    repo.git("update-ref", "refs/reconciler/lease", blob)
    with pytest.raises(CommitError, match="update-ref -d refs/reconciler/lease"):
        one.keeper.acquire(NOON, TTL)
    one.keeper.clear(NOON, at_least=4)
    assert held(one.keeper.acquire(NOON, TTL)).lease.epoch == 5
