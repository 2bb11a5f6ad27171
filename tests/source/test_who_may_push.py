"""Whether a key could push a branch is asked of a real ssh remote, and nothing is ever pushed for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.source.address import parse_address
from reconciler.source.git_process import GitOptions
from reconciler.source.records import Person
from reconciler.source.repository import Repository
from tests.source.builders import NOON
from tests.support.git_over_ssh import GitOverSsh, git_over_ssh

PERSON = Person(email="r@example.org")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[GitOverSsh]:
    with git_over_ssh(tmp_path) as started:
        started.remote.commit({"state/x": b"1"})
        yield started


def asked(served: GitOverSsh, key: Path, ref: str = "refs/heads/main") -> bool:
    options = GitOptions(ssh_identity=key, ssh_known_hosts=served.known_hosts)
    state_dir = key.with_suffix(".state")
    with Repository.open(parse_address(served.url, cwd=state_dir), state_dir=state_dir, options=options) as repository:
        repository.fetch_state()
        return repository.could_push(repository.state, ref, PERSON, NOON)


def test_a_key_that_may_push_is_told_from_one_that_may_not(served: GitOverSsh, tmp_path: Path) -> None:
    hook = served.remote.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/received\n")
    hook.chmod(0o755)
    before = served.remote.git("for-each-ref"), served.remote.git("count-objects", "-v")
    assert asked(served, served.pushes)
    assert not asked(served, served.fetches)
    assert "git-receive-pack" in served.asked.read_text(), "the server was not asked"
    assert (served.remote.git("for-each-ref"), served.remote.git("count-objects", "-v")) == before
    assert not (tmp_path / "received").exists()


def test_a_branch_that_is_not_there_could_not_be_pushed(served: GitOverSsh) -> None:
    assert not asked(served, served.pushes, "refs/heads/other")
