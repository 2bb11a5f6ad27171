"""Whether a repository on this machine should be packed is not asked after every push, and is asked by some."""

from pathlib import Path

import pytest

from reconciler.source.git_process import Finished, GitProcess
from tests.commit.builders import a_host
from tests.support.git_remote import make_remote


def test_it_is_asked_after_some_pushes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_remote(tmp_path / "fleet.git")
    asked: dict[str, bool] = {}
    run = GitProcess.run

    def noted(self: GitProcess, *arguments: str, **options: object) -> Finished:
        if arguments[0] == "push":
            asked[arguments[-1].partition(":")[0]] = not any("receive.autogc=false" in each for each in arguments)
        return run(self, *arguments, **options)  # type: ignore[arg-type]  # passed on as given

    monkeypatch.setattr(GitProcess, "run", noted)
    with a_host("one", repo, tmp_path) as host:
        for number in range(100):  # the same ids every time
            host.report({"a": b"%d" % number}, f"{number}")
            if len(set(asked.values())) > 1 and number > 5:
                break
    assert asked == {commit: commit.startswith("0") for commit in asked}
    assert set(asked.values()) == {True, False}
