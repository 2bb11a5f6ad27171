"""Nothing a repository, its settings or the environment holds makes our git run a program."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.errors import SourceError
from reconciler.source.address import RepositoryAddress, Scheme, parse_address
from reconciler.source.records import Person, RefRule, RefUpdate, Remote, WriteRequest
from reconciler.source.repository import Repository
from tests.source.builders import NOON
from tests.support.git_remote import GitRemote, make_remote

HOOKS = (
    *("pre-receive", "update", "post-receive", "post-update", "reference-transaction", "proc-receive"),
    *("push-to-checkout", "pre-push", "pre-auto-gc", "post-checkout", "post-merge", "fsmonitor-watchman"),
)


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file that exists once something ran."""
    return tmp_path / "ran"


@pytest.fixture
def program(tmp_path: Path, trap: Path) -> Path:
    script = tmp_path / "program"
    script.write_text(f'#!/bin/sh\necho "$0 $*" >> {trap}\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def remote(tmp_path: Path) -> GitRemote:
    made = make_remote(tmp_path / "fleet", bare=False)
    made.commit({"state/x": b"1"})
    return made


@pytest.fixture
def repository(remote: GitRemote, tmp_path: Path) -> Iterator[Repository]:
    with Repository.open(parse_address(str(remote.path), cwd=tmp_path), state_dir=tmp_path / "daemon") as opened:
        yield opened


def push_something(repository: Repository, remote: GitRemote) -> None:
    """Go through everything a pass does with git."""
    place = Remote(name="home", address=repository.address)
    repository.fetch_state()
    repository.fetch_everything()
    request = WriteRequest(
        parents=(), changes={"a": b"1"}, message="One", person=Person(email="r@example.org"), when=NOON
    )
    commit = repository.write_commit(request)
    blob = repository.write_blob(b"{}")
    results = repository.push(
        place,
        (
            RefUpdate(ref="refs/heads/compliance", new=commit, rule=RefRule.FAST_FORWARD),
            RefUpdate(ref="refs/reconciler/lease", new=blob, rule=RefRule.COMPARE_AND_SWAP),
        ),
    )
    assert [result.accepted for result in results] == [True, True], results
    assert remote.tip("compliance") == commit
    repository.tidy()


def test_hooks_of_a_local_remote_and_of_our_clone_never_run(
    remote: GitRemote, repository: Repository, program: Path, trap: Path
) -> None:
    for folder in (remote.path / ".git" / "hooks", repository.folder / "hooks"):
        folder.mkdir(exist_ok=True)
        for hook in HOOKS:
            (folder / hook).symlink_to(program)
    push_something(repository, remote)
    assert not trap.exists()


def test_settings_of_a_local_remote_run_nothing(
    remote: GitRemote, repository: Repository, program: Path, trap: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "hooks"
    elsewhere.mkdir()
    for hook in HOOKS:
        (elsewhere / hook).symlink_to(program)
    for key, value in {
        "core.hooksPath": elsewhere,
        "core.fsmonitor": program,
        "core.sshCommand": program,
        "core.alternateRefsCommand": program,
        "core.pager": program,
        "core.editor": program,
        "core.askPass": program,
        "core.gitProxy": program,
        "credential.helper": f"!{program}",
        "uploadpack.packObjectsHook": program,
        "gpg.program": program,
        "diff.external": program,
        "remote.origin.url": "ssh://example.invalid/x",
        "remote.origin.uploadpack": program,
        "remote.origin.receivepack": program,
        "remote.origin.promisor": "true",
        "receive.denyCurrentBranch": "updateInstead",
    }.items():
        remote.git("config", key, str(value))
    other = make_remote(tmp_path / "alternate.git")
    other.commit({"y": b"1"})
    (remote.path / ".git" / "objects" / "info" / "alternates").write_text(f"{other.path}/objects\n")
    push_something(repository, remote)
    assert not trap.exists()


def test_environment_and_settings_of_the_user_are_not_read(
    remote: GitRemote,
    repository: Repository,
    program: Path,
    trap: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    (home / ".config" / "git").mkdir(parents=True)
    text = f'[core]\n\tfsmonitor = {program}\n\thooksPath = {home}\n[url "/nonexistent"]\n\tinsteadOf = {remote.path}\n'
    (home / ".gitconfig").write_text(text)
    (home / ".config" / "git" / "config").write_text(text)
    monkeypatch.setenv("HOME", str(home))
    for name, value in {
        "XDG_CONFIG_HOME": str(home / ".config"),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(home),
        "GIT_CONFIG_PARAMETERS": f"'core.hooksPath={home}'",
        "GIT_DIR": "/nonexistent",
        "GIT_WORK_TREE": "/nonexistent",
        "GIT_INDEX_FILE": "/nonexistent",
        "GIT_OBJECT_DIRECTORY": "/nonexistent",
        "GIT_NAMESPACE": "elsewhere",
        "GIT_SSH_COMMAND": str(program),
        "GIT_EXTERNAL_DIFF": str(program),
        "GIT_TRACE": str(trap),
        "GIT_TRACE2_EVENT": str(trap),
        "GIT_ASKPASS": str(program),
        "GIT_EXEC_PATH": "/nonexistent",
        "GIT_TEMPLATE_DIR": str(home),
    }.items():
        monkeypatch.setenv(name, value)
    for hook in HOOKS:
        (home / hook).symlink_to(program)
    push_something(repository, remote)
    assert not trap.exists()


@pytest.mark.parametrize("text", ["ext::sh -c touch% {}", "--upload-pack=touch {};", "fd::0", "ext::{}"])
def test_hostile_url_that_slipped_through_the_grammar_still_runs_nothing(
    repository: Repository, tmp_path: Path, trap: Path, text: str
) -> None:
    hostile = text.format(trap)
    address = RepositoryAddress(scheme=Scheme.SSH, text=hostile, shown=hostile)
    place = Remote(name="evil", address=address)
    with pytest.raises(SourceError):
        repository.look(place, ("refs/heads/main",))
    assert not trap.exists()


def test_ssh_is_asked_for_strict_host_keys_and_no_questions(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {seen}\nexit 255\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    place = Remote(name="far", address=parse_address("git@example.invalid:fleet", cwd=tmp_path))
    with pytest.raises(SourceError, match="cannot be read"):
        repository.look(place, ())
    given = seen.read_text().splitlines()
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes"} <= set(given)
    assert "git@example.invalid" in given


def test_submodule_is_never_fetched(repository: Repository, remote: GitRemote, trap: Path) -> None:
    remote.commit({".gitmodules": b'[submodule "x"]\n\tpath = x\n\turl = https://example.invalid/x\n'})
    repository.fetch_state()
    assert repository.resolve("main") == remote.tip()


def test_objects_that_fail_gits_check_are_not_taken(repository: Repository, remote: GitRemote) -> None:
    tree = remote.git("rev-parse", "main^{tree}")
    raw = f"tree {tree}\nauthor x <x@y> 1 +0000\nauthor x <x@y> 1 +0000\ncommitter x <x@y> 1 +0000\n\nbad\n"
    bad = remote.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=raw.encode())
    remote.git("update-ref", "refs/heads/main", bad)
    with pytest.raises(SourceError, match="cannot be fetched"):
        repository.fetch_state()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a repository of another user")
def test_repository_of_another_user_works_when_it_is_named(
    repository: Repository, remote: GitRemote, tmp_path: Path
) -> None:
    subprocess.run(["chown", "-R", "12345:12345", str(remote.path)], check=True)
    push_something(repository, remote)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a repository of another user")
def test_repository_of_another_user_above_a_folder_is_not_wandered_into(remote: GitRemote, tmp_path: Path) -> None:
    inside = remote.path / "mine"
    inside.mkdir()
    os.chown(remote.path, 12345, 12345)
    with pytest.raises(SourceError, match="another user"):
        Repository.open(parse_address(str(inside), cwd=tmp_path), state_dir=tmp_path / "daemon2")
