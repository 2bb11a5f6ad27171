"""People push to both branches while we report: nobody loses a commit, and no branch ever moves but forwards."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread

import pytest

from tests.commit.builders import a_host
from tests.support.git_remote import ENVIRONMENT, GitRemote, make_remote


def test_people_race_with_reports(tmp_path: Path) -> None:
    race(tmp_path, rounds=4)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_races(tmp_path: Path) -> None:
    race(tmp_path, rounds=200)


class Person:
    """Somebody with a clone of one branch, who pushes until it is taken, as people do."""

    def __init__(self, name: str, remote: GitRemote, folder: Path, branch: str) -> None:
        self.name = name
        self.folder = folder / name
        self.branch = branch
        self.lost_races = 0
        self.git("clone", "--quiet", "--branch", branch, str(remote.path), str(self.folder), at=folder)

    def git(self, *arguments: str, at: Path | None = None, check: bool = True) -> bool:
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", *arguments],
            cwd=at or self.folder,
            env=ENVIRONMENT,
            capture_output=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0 or not check, done.stderr.decode()
        return done.returncode == 0

    def push(self, number: int) -> None:
        (self.folder / f"{self.name}-{number}").write_text("a note\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", f"{self.name} {number}")
        while not self.git("push", "--quiet", "origin", self.branch, check=False):
            self.lost_races += 1
            assert self.lost_races < 2000
            self.git("pull", "--quiet", "--rebase", "origin", self.branch)


def race(tmp_path: Path, *, rounds: int) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    repo.commit({"state/fleet.yaml": b"Fleet: example\n"})
    repo.git("config", "receive.denyNonFastForwards", "true")
    repo.git("config", "receive.denyDeletes", "true")
    with a_host("one", repo, tmp_path) as host:
        host.report({"nodes/first": b"x"}, "host 0")
        people = (
            Person("ann", repo, tmp_path, "compliance"),
            Person("bob", repo, tmp_path, "compliance"),
            Person("cem", repo, tmp_path, "main"),
        )
        waited = 0
        for number in range(1, rounds + 1):
            before = {branch: repo.tip(branch) for branch in ("main", "compliance")}

            def report(number: int = number) -> None:
                host.repository.fetch_state("main")
                host.report({f"nodes/{number}": b"x", "README.md": b"%d" % number}, f"host {number}", epoch=1)

            together([report, *(lambda p=person, n=number: p.push(n) for person in people)])
            for branch, tip in before.items():
                assert repo.git("merge-base", tip, branch) == tip, f"{branch} did not move forwards from {tip}"
            waited += not host.reports.publish().complete
        assert host.reports.publish().complete
    said = sorted(repo.log())
    assert said == sorted(["host 0", *(f"{name} {n}" for name in ("host", "ann", "bob") for n in range(1, rounds + 1))])
    assert sorted(repo.log("main")) == sorted(["Change", *(f"cem {n}" for n in range(1, rounds + 1))])
    files = repo.git("ls-tree", "-r", "--name-only", "compliance").splitlines()
    assert len(files) == 2 + 3 * rounds
    assert repo.show("README.md") == str(rounds)
    lost = sum(person.lost_races for person in people)
    told = (
        f"{rounds} races: people lost {lost} and pushed again, {waited} reports waited for a later push, none was lost"
    )
    print(told)  # noqa: T201 - for docs/reliability.md


def together(jobs: list[Callable[[], None]]) -> None:
    """Do all at one moment; the first one's error is raised."""
    start, errors = Barrier(len(jobs)), list[BaseException]()

    def work(job: Callable[[], None]) -> None:
        start.wait()
        try:
            job()
        except BaseException as exc:  # noqa: BLE001  (raised again below)
            errors.append(exc)

    threads = [Thread(target=work, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
