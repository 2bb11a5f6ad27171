"""Content from git over https and ssh, on loopback: real git, real TLS, a real sshd; and what a repository cannot have."""

import os
import shutil
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest

from reconciler.content.egress import Egress
from reconciler.content.host_secrets import HostSecrets
from reconciler.content.resolve import Resolver
from reconciler.content.store import Store
from reconciler.documents.content import Content, Credential, GitSource, Unavailable
from reconciler.model.host_secret import HostSecret
from tests.support.git_over_ssh import GitOverSsh, git_over_ssh
from tests.support.git_remote import GitRemote, make_remote
from tests.support.web_server import WebServer, basic, redirect, reply, web_server

HOST = "127.0.0.5"
LOOPBACK = Egress(allowed=(ip_network("127.0.0.0/8"),))


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> GitRemote:
    made = make_remote(tmp_path_factory.mktemp("git") / "repository.git")
    made.commit(
        {"scripts/a.sh": b"#!/bin/sh\necho a\n", "scripts/sub/b.bin": bytes(range(256)), "README": b"read me\n"}
    )
    made.git("tag", "-a", "-m", "One", "v1", "main")
    return made


@pytest.fixture(scope="module")
def server(remote: GitRemote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(HOST, tls=tmp_path_factory.mktemp("tls"), git=remote.path.parent) as started:
        yield started


@pytest.fixture
def url(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> str:
    server.forget()
    monkeypatch.setenv("SSL_CERT_FILE", str(server.authority))
    return f"{server.url}/git/repository.git"


def resolver(folder: Path, egress: Egress = LOOPBACK, **known: HostSecret) -> Resolver:
    return Resolver(Store(folder / "store"), egress, HostSecrets(known=known))


def look(where: Resolver, source: GitSource) -> Content | Unavailable:
    where.look([source])
    found = where.contents.find(source)
    assert found is not None
    return found


def files_of(where: Resolver, found: Content | Unavailable) -> dict[str, bytes]:
    assert isinstance(found, Content), found
    return {file.path: where.contents.read(file.sha256) for file in found.files}


def refusal(where: Resolver, source: GitSource) -> str:
    found = look(where, source)
    assert isinstance(found, Unavailable), found
    return found.reason


@pytest.mark.parametrize(
    ("ref", "path", "single", "names"),
    [
        pytest.param("", "", False, ["README", "scripts/a.sh", "scripts/sub/b.bin"], id="all of HEAD"),
        pytest.param("refs/heads/main", "scripts", False, ["a.sh", "sub/b.bin"], id="a folder of a branch"),
        pytest.param("refs/tags/v1", "scripts/a.sh", True, ["a.sh"], id="a file of a tag"),
    ],
)
def test_git_over_https_gives_files_at_a_commit(
    url: str, remote: GitRemote, tmp_path: Path, ref: str, path: str, *, single: bool, names: list[str]
) -> None:
    where = resolver(tmp_path)
    found = look(where, GitSource(repository=url, ref=ref, path=path))
    assert isinstance(found, Content), found
    assert (found.pin, found.single) == (f"commit {remote.tip()}", single)
    assert sorted(files_of(where, found)) == names


def test_a_commit_is_fetched_once_and_a_branch_asked_each_time(
    url: str, server: WebServer, remote: GitRemote, tmp_path: Path
) -> None:
    pinned = GitSource(repository=url, commit=remote.tip(), path="README")
    first = look(resolver(tmp_path), pinned)
    asked = len(server.asked)
    assert look(resolver(tmp_path), pinned) == first
    assert len(server.asked) == asked
    branch = GitSource(repository=url, ref="refs/heads/moving", path="x")
    remote.commit({"x": b"1"}, branch="moving")
    where = resolver(tmp_path)
    assert files_of(where, look(where, branch)) == {"x": b"1"}
    tip = remote.commit({"x": b"2"}, branch="moving")
    where = resolver(tmp_path)
    found = look(where, branch)
    assert files_of(where, found) == {"x": b"2"}
    assert isinstance(found, Content)
    assert found.pin == f"commit {tip}"


def test_what_is_away_stays_what_it_was_and_that_is_said(url: str, remote: GitRemote, tmp_path: Path) -> None:
    source = GitSource(repository=url, path="README")
    first = look(resolver(tmp_path), source)
    remote.path.rename(remote.path.with_suffix(".away"))
    try:
        where = resolver(tmp_path)
        assert look(where, source) == first
        (problem,) = where.problems
    finally:
        remote.path.with_suffix(".away").rename(remote.path)
    assert "stays in force" in problem


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        pytest.param({"ref": "refs/heads/none"}, "has no ref refs/heads/none", id="no branch"),
        pytest.param({"commit": "1" * 40}, "cannot be fetched at 111111111111", id="no commit"),
        pytest.param({"path": "nowhere"}, "has no nowhere at", id="no path"),
        pytest.param({"ref": "refs/heads/links", "path": "links"}, "links are never followed", id="a link"),
        pytest.param({"ref": "refs/heads/links", "path": "module"}, "a submodule", id="a submodule"),
    ],
)
def test_what_cannot_be_taken_says_why(
    url: str, remote: GitRemote, tmp_path: Path, source: dict[str, str], reason: str
) -> None:
    if source.get("ref", "").endswith("links"):
        blob = remote.git("hash-object", "-w", "--stdin", stdin=b"../../etc/shadow")
        lines = f"120000 blob {blob}\tlink\n"
        inner = remote.git("mktree", stdin=lines.encode())
        whole = remote.git(
            "mktree", "--missing", stdin=f"040000 tree {inner}\tlinks\n160000 commit {'2' * 40}\tmodule\n".encode()
        )
        remote.git("update-ref", "refs/heads/links", remote.git("commit-tree", "-m", "links", whole))
    assert reason in refusal(resolver(tmp_path), GitSource(repository=url, **source))


@pytest.mark.parametrize(
    "repository",
    [
        "/etc",
        "file:///etc",
        "git://127.0.0.1/x",
        "http://127.0.0.1/x",
        "ext::sh -c id",
        "https://u:p@127.0.0.1/x",
        "--upload-pack=id",
    ],
)
def test_no_other_kind_of_repository_is_opened(tmp_path: Path, repository: str) -> None:
    assert refusal(resolver(tmp_path), GitSource(repository=repository))


def test_a_private_address_is_refused_over_https_and_ssh(url: str, server: WebServer, tmp_path: Path) -> None:
    closed = Egress()
    for repository in (url, f"https://localhost:{server.port}/git/x", f"ssh://git@{HOST}/x", "git@localhost:x"):
        assert "no public address" in refusal(resolver(tmp_path, closed), GitSource(repository=repository))
    assert server.asked == []


def test_git_connects_to_the_address_that_was_judged(url: str, server: WebServer, tmp_path: Path) -> None:
    asked: list[str] = []

    def once(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return [HOST]

    # No resolver knows the name: what git reached, it was told.
    source = GitSource(repository=f"https://files.example.org:{server.port}/git/repository.git", path="README")
    where = resolver(tmp_path, Egress(allowed=LOOPBACK.allowed, resolve=once))
    assert files_of(where, look(where, source)) == {"README": b"read me\n"}
    assert asked == ["files.example.org"]


@pytest.mark.parametrize("version", ["git version 2.34.1", "git version 1.8.3", "something else"])
def test_a_git_that_cannot_be_bound_to_an_address_fetches_nothing(
    url: str, server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    real = shutil.which("git")
    program = folder / "git"
    program.write_text(
        f'#!/bin/sh\nfor word; do [ "$word" != version ] || {{ echo "{version}"; exit; }}; done\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert "git 2.37 or newer is needed" in refusal(resolver(tmp_path), GitSource(repository=url))
    assert server.asked == []


def test_a_git_server_that_redirects_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server(HOST, tls=tmp_path / "tls") as first, web_server("127.0.0.1") as inner:
        monkeypatch.setenv("SSL_CERT_FILE", str(first.authority))
        first.answers["/x.git/info/refs"] = redirect(f"{inner.url}/x.git/info/refs")
        assert "cannot be read" in refusal(resolver(tmp_path), GitSource(repository=f"{first.url}/x.git"))
        assert inner.asked == []


def test_a_certificate_that_nobody_signed_is_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate" in refusal(resolver(tmp_path), GitSource(repository=url)).lower()


def test_nothing_of_the_environment_leads_git_elsewhere(
    url: str, server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server("127.0.0.1") as proxy:
        for name in ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        where = resolver(tmp_path)
        assert files_of(where, look(where, GitSource(repository=url, path="README")))
        assert proxy.asked == []


def a_secret(folder: Path, value: str, *hosts: str, name: str = "token", mode: int = 0o600) -> dict[str, HostSecret]:
    file = folder / name
    file.write_text(value)
    file.chmod(mode)
    return {name: HostSecret(name=name, file=file, hosts=hosts)}


def private(url: str) -> GitSource:
    return GitSource(repository=url, username=Credential(literal="me"), password=Credential(secret="token"))


def test_a_login_is_shown_where_the_host_settings_say(server: WebServer, url: str, tmp_path: Path) -> None:
    challenged = f"{server.url}/private.git"

    server.answers["/private.git/info/refs"] = lambda handler: reply(
        handler, 401, b"", WWW_Authenticate='Basic realm="x"'
    )
    assert look(resolver(tmp_path, **a_secret(tmp_path, "s3cret\n", HOST)), private(challenged))
    assert basic("me", "s3cret") in server.logins


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        pytest.param({}, "this host has no secret token", id="none"),
        pytest.param({"hosts": ("git.example.org",)}, f"the secret token is not for {HOST}", id="for another host"),
        pytest.param({"hosts": (HOST,), "mode": 0o644}, "nobody else can read", id="readable by others"),
        pytest.param({"hosts": (HOST,), "value": ""}, "is empty", id="empty"),
        pytest.param({"hosts": (HOST,), "value": "a\nb"}, "more than one line", id="two lines"),
    ],
)
def test_a_secret_goes_nowhere_else(
    server: WebServer, url: str, tmp_path: Path, secret: dict[str, object], reason: str
) -> None:
    known = {}
    if secret:
        hosts, mode = secret["hosts"], secret.get("mode", 0o600)
        assert isinstance(hosts, tuple)
        assert isinstance(mode, int)
        known = a_secret(tmp_path, str(secret.get("value", "s3cret")), *hosts, mode=mode)
    said = refusal(resolver(tmp_path, **known), private(url))
    assert reason in said
    assert "s3cret" not in said
    assert server.asked == []


@pytest.fixture(scope="module")
def over_ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitOverSsh]:
    with git_over_ssh(tmp_path_factory.mktemp("ssh")) as started:
        started.remote.commit({"README": b"over ssh\n"})
        yield started


@pytest.mark.nodes
def test_git_over_ssh_shows_the_named_key_and_no_other(over_ssh: GitOverSsh, tmp_path: Path) -> None:
    key = HostSecret(name="key", file=over_ssh.fetches, hosts=(over_ssh.url.split("@")[1].split(":")[0],))
    where = Resolver(
        Store(tmp_path / "store"), LOOPBACK, HostSecrets(known={"key": key}), known_hosts=over_ssh.known_hosts
    )
    found = look(where, GitSource(repository=over_ssh.url, key=Credential(secret="key")))
    assert files_of(where, found) == {"README": b"over ssh\n"}
    assert "cannot be read" in refusal(where, GitSource(repository=over_ssh.url))


@pytest.mark.nodes
def test_a_server_whose_key_nobody_pinned_is_refused(over_ssh: GitOverSsh, tmp_path: Path) -> None:
    key = HostSecret(name="key", file=over_ssh.fetches, hosts=(over_ssh.url.split("@")[1].split(":")[0],))
    empty = tmp_path / "known_hosts"
    empty.touch()
    where = Resolver(Store(tmp_path / "store"), LOOPBACK, HostSecrets(known={"key": key}), known_hosts=empty)
    said = refusal(where, GitSource(repository=over_ssh.url, key=Credential(secret="key")))
    assert "Host key verification failed" in said
    assert empty.read_bytes() == b""
