"""A report becomes a commit, or none; it is pushed, never forced, and never lost."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Thread

import pytest

from reconciler.commit.branch import read_branch
from reconciler.commit.heartbeat import Heartbeat
from reconciler.commit.message import Message, trailer
from reconciler.commit.places import find_places
from reconciler.errors import CommitError, LeaseLost
from tests.commit.builders import NOON, Host, a_host, a_message
from tests.support.git_remote import GitRemote, make_remote


@pytest.fixture
def repo(tmp_path: Path) -> GitRemote:
    made = make_remote(tmp_path / "fleet.git")
    made.commit({"state/x": b"1"})
    return made


@pytest.fixture
def host(repo: GitRemote, tmp_path: Path) -> Iterator[Host]:
    with a_host("one", repo, tmp_path) as made:
        yield made


def test_first_report_begins_the_branch(repo: GitRemote, host: Host) -> None:
    made = host.report({"README.md": b"# Fleet\n", "nodes/ab/web-01.json": b"{}\n"}, "First report")
    assert repo.tip("compliance") == made
    assert repo.show("nodes/ab/web-01.json") == "{}"
    assert repo.git("log", "-1", "--format=%an <%ae> %cn <%ce> %cI", "compliance") == (
        "reconciler <reconciler@one.example.org> reconciler <reconciler@one.example.org> 2026-01-02T12:00:00+00:00"
    )
    message = repo.git("log", "-1", "--format=%B", "compliance")
    assert trailer(message, "State-Commit") == "a" * 40
    assert repo.git("log", "-1", "--format=%(trailers:key=Plan,valueonly)", "compliance").strip() == "b" * 64
    assert repo.tip("main") == repo.git("rev-parse", "main")


def test_report_that_changes_nothing_is_no_commit(repo: GitRemote, host: Host, tmp_path: Path) -> None:
    files: dict[str, bytes | None] = {"README.md": b"# Fleet\n", "nodes/ab/web-01.json": b"{}\n", "gone": None}
    first = host.report(files)
    assert host.report(files) is None
    assert host.report({}) is None
    with a_host("two", repo, tmp_path) as other:
        assert other.report(files) is None
    assert repo.tip("compliance") == first


def test_later_report_changes_adds_and_removes_files(repo: GitRemote, host: Host) -> None:
    host.report({"a": b"1", "b/c": b"2", "b/d": b"3"})
    host.report({"a": b"one", "b/c": None, "e/f": b"5", 'odd "na\\me"\tü': b"6"})
    tip = host.reports.tip()
    assert tip is not None
    assert dict(read_branch(host.repository, tip)) == {"a": b"one", "b/d": b"3", "e/f": b"5", 'odd "na\\me"\tü': b"6"}
    assert len(repo.log()) == 2


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", ".git/config", "a/.git/x", "", "a/..", "a\0b"])
def test_path_that_leaves_the_branch_is_refused(host: Host, path: str) -> None:
    host.reports.look()
    with pytest.raises(CommitError):
        host.reports.write({path: b"x"}, a_message(), now=NOON)


def test_fresh_clone_on_another_host_goes_on_from_the_branch(repo: GitRemote, host: Host, tmp_path: Path) -> None:
    host.report({"a": b"1"})
    with a_host("two", repo, tmp_path) as other:
        assert other.reports.look().tip == repo.tip("compliance")
        other.report({"b": b"2"})
    assert host.reports.look().tip == repo.tip("compliance")
    assert repo.log() == ["Report", "Report"]


def test_commit_of_a_person_on_the_branch_is_kept(repo: GitRemote, host: Host) -> None:
    host.report({"a": b"1"})
    host.reports.write({"a": b"2"}, a_message("Ours"), now=NOON)
    theirs = repo.commit({"NOTES.md": b"seen by Ann"}, "Theirs", branch="compliance")
    published = host.reports.publish()
    assert published.complete
    assert repo.log() == ["Ours", "Theirs", "Report"]
    assert (repo.show("NOTES.md"), repo.show("a")) == ("seen by Ann", "2")
    assert repo.git("merge-base", "--is-ancestor", theirs, "compliance") == ""


def test_file_of_ours_that_a_person_changed_is_ours_again(repo: GitRemote, host: Host) -> None:
    host.report({"a": b"1"})
    host.reports.write({"a": b"2"}, a_message(), now=NOON)
    repo.commit({"a": b"planted"}, branch="compliance")
    host.reports.publish()
    assert repo.show("a") == "2"


def test_racing_writers_lose_nothing_and_force_nothing(repo: GitRemote, tmp_path: Path) -> None:
    repo.git("config", "receive.denyNonFastForwards", "true")
    rounds = 6
    waiting: list[int] = []

    def write(name: str) -> None:
        with a_host(name, repo, tmp_path) as host:
            for number in range(rounds):
                host.report({f"nodes/{name}/{number}": b"x"}, f"{name} {number}")
            while not host.reports.publish().complete:
                waiting.append(1)
                assert len(waiting) < 100

    def person() -> None:
        with a_host("person", repo, tmp_path) as host:
            for number in range(rounds):
                host.report({f"notes/{number}": b"x"}, f"person {number}")
            while not host.reports.publish().complete:
                waiting.append(1)
                assert len(waiting) < 100

    threads = [Thread(target=write, args=(name,)) for name in ("one", "two")] + [Thread(target=person)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = {f"{name} {number}" for name in ("one", "two", "person") for number in range(rounds)}
    assert sorted(repo.log()) == sorted(everything)
    files = repo.git("ls-tree", "-r", "--name-only", "compliance").splitlines()
    assert len(files) == 3 * rounds


def test_repository_away_for_a_day_gets_everything_in_one_push(repo: GitRemote, host: Host, tmp_path: Path) -> None:
    host.report({"a": b"0"}, "Before")
    away = repo.path.rename(tmp_path / "away")
    for number in range(3):
        standing = host.reports.look()
        assert standing.lost is None
        assert len(standing.unreachable) == 1
        host.reports.write({"a": f"{number + 1}".encode()}, a_message(f"Away {number}"), now=NOON)
        published = host.reports.publish()
        assert (published.complete, published.waiting) == (False, number + 1)
        assert "fleet.git" in published.reasons[0]
    away.rename(repo.path)
    published = host.reports.publish()
    assert (published.complete, published.waiting) == (True, 0)
    assert repo.log() == ["Away 2", "Away 1", "Away 0", "Before"]


def test_reports_that_wait_survive_a_restart(repo: GitRemote, tmp_path: Path) -> None:
    with a_host("one", repo, tmp_path) as host:
        host.report({"a": b"0"}, "Before")
        host.reports.write({"a": b"1"}, a_message("Waiting"), now=NOON)
    with a_host("one", repo, tmp_path) as host:
        tip = host.reports.look().tip
        assert tip is not None
        assert host.repository.read_file(tip, "a") == b"1"
        assert host.reports.publish().complete
    assert repo.log() == ["Waiting", "Before"]


def test_repository_that_refuses_the_branch_says_so_and_the_report_waits(tmp_path: Path) -> None:
    """The branch is checked out in the very work tree that is the repository."""
    tree = make_remote(tmp_path / "fleet", bare=False)
    tree.commit({"a": b"0"}, branch="compliance")
    tree.git("checkout", "--quiet", "compliance")
    with a_host("one", tree, tmp_path) as host:
        host.reports.look()
        host.reports.write({"a": b"1"}, a_message(), now=NOON)
        published = host.reports.publish()
        assert (published.complete, published.waiting) == (False, 1)
        assert "checked out" in published.reasons[0]


def test_lock_that_a_killed_push_left_on_our_branch_is_waited_for_and_then_removed(repo: GitRemote, host: Host) -> None:
    host.report({"a": b"1"})
    lock = repo.path / "refs" / "heads" / "compliance.lock"
    lock.touch()
    host.reports.write({"a": b"2"}, a_message(), now=NOON)
    fresh = host.reports.publish()
    assert not fresh.complete
    assert "compliance" in fresh.reasons[0]
    assert lock.exists()
    os.utime(lock, (0, 0))
    assert host.reports.publish().complete
    assert repo.show("a") == "2"


# The branch lost


def test_deleted_branch_is_lost_and_not_silently_pushed_back(repo: GitRemote, host: Host) -> None:
    host.report({"a": b"1"})
    repo.git("update-ref", "-d", "refs/heads/compliance")
    standing = host.reports.look()
    assert standing.lost is not None
    assert "deleted" in standing.lost
    host.reports.write({"a": b"2"}, a_message(), now=NOON)
    assert not host.reports.publish().complete
    assert not repo.has("refs/heads/compliance")


def test_rewound_branch_is_lost_until_it_is_put_back(repo: GitRemote, host: Host) -> None:
    first = host.report({"a": b"1"})
    second = host.report({"a": b"2"})
    assert first is not None
    assert second is not None
    repo.git("update-ref", "refs/heads/compliance", first)
    lost = host.reports.look().lost
    assert lost is not None
    assert second in lost
    assert "rewound" in lost
    assert not host.reports.publish().complete
    assert repo.tip("compliance") == first
    repo.git("update-ref", "refs/heads/compliance", second)
    assert host.reports.look().lost is None


def test_person_may_begin_a_new_history(repo: GitRemote, host: Host) -> None:
    old = host.report({"a": b"1"})
    repo.git("update-ref", "-d", "refs/heads/compliance")
    assert host.reports.look().lost is not None
    host.reports.start_anew(NOON)
    assert host.reports.look().lost is None
    host.report({"b": b"2"}, "Anew")
    assert repo.log() == ["Anew"]
    assert list(host.repository.refs("refs/abandoned/").values()) == [old]


def test_a_new_history_is_begun_by_what_is_written_and_by_nothing_else(repo: GitRemote, host: Host) -> None:
    first = host.report({"a": b"1"}, "One")
    second = host.report({"a": b"2"}, "Two")
    assert first is not None
    assert second is not None
    repo.git("update-ref", "refs/heads/compliance", first)
    assert host.reports.look().lost is not None
    before = host.repository.refs("refs/")
    host.reports.start_anew(NOON)
    assert host.reports.look().lost is None
    assert host.repository.refs("refs/") == before  # a process that begins here knows of nothing
    assert host.report({"a": b"1"}, "The same") is None
    assert host.reports.look().lost is None
    assert host.reports.tip() == repo.tip("compliance") == first
    assert list(host.repository.refs("refs/abandoned/").values()) == [second]


def test_person_may_accept_a_rewound_history(repo: GitRemote, host: Host) -> None:
    first = host.report({"a": b"1"}, "One")
    host.report({"a": b"2"}, "Two")
    assert first is not None
    repo.git("update-ref", "refs/heads/compliance", first)
    host.reports.look()
    host.reports.start_anew(NOON)
    assert host.reports.look().tip == first
    host.report({"a": b"3"}, "Three")
    assert repo.log() == ["Three", "One"]


# A remote further on


@pytest.fixture
def hub(repo: GitRemote, tmp_path: Path) -> GitRemote:
    made = make_remote(tmp_path / "hub.git")
    repo.git("remote", "add", "origin", str(made.path))
    return made


def test_reports_go_to_the_repository_and_on_to_its_remote(repo: GitRemote, hub: GitRemote, tmp_path: Path) -> None:
    with a_host("one", repo, tmp_path, remote="origin") as host:
        made = host.report({"a": b"1"})
    assert repo.tip("compliance") == hub.tip("compliance") == made
    assert not hub.has("refs/heads/main")


def test_remote_away_keeps_the_repository_current_and_catches_up(
    repo: GitRemote, hub: GitRemote, tmp_path: Path
) -> None:
    with a_host("one", repo, tmp_path, remote="origin") as host:
        host.report({"a": b"0"}, "Before")
        away = hub.path.rename(tmp_path / "away")
        for number in range(2):
            host.report({"a": f"{number + 1}".encode()}, f"Away {number}")
        assert repo.log() == ["Away 1", "Away 0", "Before"]
        away.rename(hub.path)
        assert hub.log() == ["Before"]
        assert host.reports.publish().complete
    assert hub.log() == repo.log()


def test_two_lines_of_reports_are_merged_and_both_places_go_forwards(
    repo: GitRemote, hub: GitRemote, tmp_path: Path
) -> None:
    with a_host("one", repo, tmp_path, remote="origin") as host:
        host.report({"a": b"0"}, "Before")
        away = hub.path.rename(tmp_path / "away")
        host.report({"a": b"1"}, "Ours")
        away.rename(hub.path)
        theirs = hub.commit({"NOTES.md": b"Ann"}, "Theirs", branch="compliance")
        ours = repo.tip("compliance")
        assert host.reports.publish().complete
    assert repo.tip("compliance") == hub.tip("compliance")
    for before in (ours, theirs):
        hub.git("merge-base", "--is-ancestor", before, "compliance")
    assert (hub.show("a"), hub.show("NOTES.md")) == ("1", "Ann")


def test_remote_with_another_history_is_named_and_left_alone(repo: GitRemote, hub: GitRemote, tmp_path: Path) -> None:
    foreign = hub.commit({"x": b"1"}, branch="compliance")
    with a_host("one", repo, tmp_path) as host:
        host.report({"a": b"1"})
    with a_host("one", repo, tmp_path, remote="origin") as host:
        host.reports.look()
        host.reports.write({"a": b"2"}, a_message(), now=NOON)
        published = host.reports.publish()
    assert "another history" in published.reasons[0]
    assert hub.tip("compliance") == foreign
    assert repo.show("a") == "2"


def test_without_a_remote_a_url_is_never_pushed_to(repo: GitRemote, tmp_path: Path) -> None:
    """Our own clone is the home then."""
    with a_host("one", repo, tmp_path) as host:

        class Far:
            address = type("A", (), {"is_local": False})()
            folder = host.repository.folder

        places = find_places(Far(), None)  # type: ignore[arg-type]  # no URL can be reached from a test
        assert places.home.address.path == host.repository.folder
        host.reports.places = places
        made = host.report({"a": b"1"})
        assert host.reports.look().tip == made
        assert host.repository.ref("refs/heads/compliance") == made
    assert not repo.has("refs/heads/compliance")


# Leaders of the past


def test_paused_old_leader_publishes_nothing(repo: GitRemote, tmp_path: Path) -> None:
    ttl = timedelta(minutes=5)
    with a_host("old", repo, tmp_path) as old, a_host("new", repo, tmp_path) as new:
        old.keeper.acquire(NOON, ttl)
        old.report({"a": b"0"}, "Before", epoch=1)
        old.reports.write({"a": b"stale", "b": b"ran"}, a_message("Old"), now=NOON, epoch=1)
        new.keeper.acquire(NOON + 2 * ttl, ttl)
        new.report({"a": b"fresh"}, "New", epoch=2)
        with pytest.raises(LeaseLost, match="epoch 2"):
            old.reports.publish(epoch=1)
        assert repo.log() == ["New", "Before"]


def test_what_an_old_leader_left_never_undoes_its_successors_reports(repo: GitRemote, tmp_path: Path) -> None:
    ttl = timedelta(minutes=5)
    with a_host("old", repo, tmp_path) as old, a_host("new", repo, tmp_path) as new:
        old.keeper.acquire(NOON, ttl)
        old.report({"a": b"0"}, "Before", epoch=1)
        old.reports.write({"a": b"stale", "b": b"ran"}, a_message("Old"), now=NOON, epoch=1)
        new.keeper.acquire(NOON + 2 * ttl, ttl)
        new.report({"a": b"fresh"}, "New", epoch=2)
        old.keeper.acquire(NOON + 4 * ttl, ttl)
        old.reports.publish(epoch=3)
    assert (repo.show("a"), repo.show("b")) == ("fresh", "ran")
    assert repo.log() == ["Old", "New", "Before"]


def test_heartbeat_travels_with_the_report(repo: GitRemote, host: Host) -> None:
    beat = Heartbeat(last_pass=NOON, interval=timedelta(minutes=10))
    host.reports.look()
    host.reports.write({"a": b"1"}, a_message(), now=NOON)
    assert host.reports.publish(beat).complete
    assert '"last_pass":"2026-01-02T12:00:00+00:00"' in repo.git("cat-file", "blob", "refs/reconciler/heartbeat")
    assert repo.log() == ["Report"]


def test_message_cannot_be_made_to_carry_foreign_trailers() -> None:
    text = Message(
        subject="x\nAllow-Shrink: all", body="y\n\nState-Commit: evil", trailers={"State-Commit": "a"}
    ).text()
    assert trailer(text, "State-Commit") == "a"
    assert trailer(text, "Allow-Shrink") is None
    assert text.splitlines()[0] == "x\\nAllow-Shrink: all"


def test_message_gives_a_forge_nothing_to_do() -> None:
    hostile = "closes #1 @team [skip ci] \u202e\x1b[31m see https://evil.example"
    text = Message(subject=hostile, body=f"- {hostile}", trailers={"Plan": hostile}).text()
    assert "closes # 1 @ team [ skip ci] \\u202e\\x1b[31m see https: //evil.example" in text
    for obeyed in ("#1", "@team", "[skip", "://", "\u202e", "\x1b"):
        assert obeyed not in text
