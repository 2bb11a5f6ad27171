"""Single files over http and https: logins, pins, marks, and what the store keeps of them."""

import hashlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from pathlib import Path

import orjson
import pytest

from reconciler.content.egress import Egress
from reconciler.content.host_secrets import HostSecrets
from reconciler.content.resolve import Committed, Resolver
from reconciler.content.store import KEPT, Store
from reconciler.documents.content import Authentication, Content, Credential, HttpSource, Source, Unavailable
from reconciler.errors import SourceError
from reconciler.model.host_secret import HostSecret
from tests.support.web_server import WebServer, basic, redirect, reply, web_server

HOST = "127.0.0.5"
EGRESS = Egress(allowed=(ip_network("127.0.0.0/8"),))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(HOST, tls=tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture
def server(started: WebServer, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    started.forget()
    monkeypatch.setenv("SSL_CERT_FILE", str(started.authority))
    return started


def look(
    folder: Path, source: Source, *, told: str = "s3cret", hosts: tuple[str, ...] = (HOST,)
) -> Content | Unavailable:
    file = folder / "password"
    file.touch(mode=0o600)
    file.write_text(f"{told}\n")
    known = {"/web/password": HostSecret(name="/web/password", file=file, hosts=hosts)}
    resolver = Resolver(Store(folder / "store"), EGRESS, HostSecrets(known=known))
    resolver.look([source])
    found = resolver.contents.find(source)
    assert found is not None
    return found


def content(folder: Path, source: Source) -> bytes:
    found = look(folder, source)
    assert isinstance(found, Content), found
    (file,) = found.files
    assert found.pin == f"sha256 {file.sha256}"
    return Store(folder / "store").read(file.sha256)


def logged_in(server: WebServer, path: str, authentication: Authentication) -> HttpSource:
    return HttpSource(
        url=f"{server.url}{path}",
        authentication=authentication,
        username=Credential(literal="me"),
        password=Credential(secret="/web/password"),
    )


def test_a_file_over_https(server: WebServer, tmp_path: Path) -> None:
    server.files["/a b/ü"] = server.files["/a%20b/%C3%BC"] = b"content"
    assert content(tmp_path, HttpSource(url=f"{server.url}/a%20b/%C3%BC?x=1&y=%2F")) == b"content"
    assert server.asked == ["GET /a%20b/%C3%BC?x=1&y=%2F"]


def test_a_pin_that_does_not_fit_is_refused_and_one_that_fits_is_asked_once(server: WebServer, tmp_path: Path) -> None:
    server.files["/file"] = b"content"
    sha256 = hashlib.sha256(b"content").hexdigest()
    wrong = look(tmp_path, HttpSource(url=f"{server.url}/file", sha256="0" * 64))
    assert isinstance(wrong, Unavailable)
    assert f"has SHA-256 {sha256}, and the document says 000" in wrong.reason
    for _ in range(2):
        assert content(tmp_path, HttpSource(url=f"{server.url}/file", sha256=sha256)) == b"content"
    assert len(server.asked) == 2


def test_a_file_that_the_server_says_is_the_same_is_not_sent_again(server: WebServer, tmp_path: Path) -> None:
    told: list[str | None] = []

    def marked(handler: BaseHTTPRequestHandler) -> None:
        told.append(handler.headers.get("If-None-Match"))
        status, body = (304, b"") if told[-1] == '"one"' else (200, b"content")
        reply(handler, status, body, ETag='"one"')

    server.answers["/file"] = marked
    source = HttpSource(url=f"{server.url}/file")
    assert [content(tmp_path, source) for _ in range(2)] == [b"content"] * 2
    assert told == [None, '"one"']


def test_basic_logins_are_sent_to_their_own_server_alone(server: WebServer, tmp_path: Path) -> None:
    server.files["/file"] = b"content"
    assert content(tmp_path, logged_in(server, "/file", Authentication.BASIC)) == b"content"
    assert server.logins == [basic("me", "s3cret")]
    with web_server("127.0.0.6", tls=tmp_path / "tls") as other:
        server.answers["/file"] = redirect(f"{other.url}/file")
        # Its certificate is of another authority: nothing of the login is told before that shows.
        assert isinstance(look(tmp_path / "..", logged_in(server, "/file", Authentication.BASIC)), Unavailable)
        assert other.logins == []


def test_a_redirect_to_another_port_gets_no_login(server: WebServer, tmp_path: Path) -> None:
    with web_server(HOST) as other:
        other.files["/file"] = b"content"
        other.answers["/start"] = redirect(f"{server.url}/file")
        server.files["/file"] = b"elsewhere"
        source = HttpSource(
            url=f"{other.url}/start",
            insecure=True,
            authentication=Authentication.DIGEST,
            username=Credential(literal="me"),
            password=Credential(secret="/web/password"),
        )
        assert content(tmp_path, source) == b"elsewhere"
    assert server.logins == [""]


def test_https_is_never_left_for_http(server: WebServer, tmp_path: Path) -> None:
    with web_server(HOST) as plain:
        server.answers["/file"] = redirect(f"{plain.url}/file")
        found = look(tmp_path, HttpSource(url=f"{server.url}/file", insecure=True))
        assert isinstance(found, Unavailable)
        assert "from https:// to http://" in found.reason
        assert plain.asked == []


@pytest.mark.parametrize(("algorithm", "function"), [("MD5", hashlib.md5), ("SHA-256", hashlib.sha256)])
def test_digest_logins_answer_the_challenge(
    server: WebServer, tmp_path: Path, algorithm: str, function: "type[hashlib._Hash]"
) -> None:
    def digest(text: str) -> str:
        return function(text.encode()).hexdigest()

    def challenge(handler: BaseHTTPRequestHandler) -> None:
        told = dict(re.findall(r'(\w+)="?([^",]+)"?', handler.headers.get("Authorization", "")))
        if not told:
            asked = f'Digest realm="r", nonce="n0nce", qop="auth,auth-int", opaque="o", algorithm={algorithm}'
            reply(handler, 401, b"", WWW_Authenticate=asked)
            return
        inner = f"{told['nonce']}:{told['nc']}:{told['cnonce']}:auth:{digest('GET:/file?x=1')}"
        right = digest(f"{digest('me:r:s3cret')}:{inner}") == told["response"] and told["opaque"] == "o"
        reply(handler, 200 if right else 401, b"content" if right else b"", WWW_Authenticate="Digest nonce=x, qop=auth")

    server.answers["/file"] = challenge
    source = logged_in(server, "/file?x=1", Authentication.DIGEST)
    assert content(tmp_path, source) == b"content"
    refused = look(tmp_path, source, told="another")
    assert isinstance(refused, Content)  # what it was stays; the refusal is a problem of the pass
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    assert "refuses the login" in str(look(fresh, source, told="another"))


def test_a_password_is_for_the_servers_of_the_host_settings(server: WebServer, tmp_path: Path) -> None:
    found = look(tmp_path, logged_in(server, "/file", Authentication.BASIC), hosts=("files.example.org",))
    assert isinstance(found, Unavailable)
    assert "is not for 127.0.0.5" in found.reason
    assert server.logins == []


def test_a_certificate_for_another_name_is_refused(server: WebServer, tmp_path: Path) -> None:
    egress = Egress(allowed=EGRESS.allowed, resolve=lambda _host, _port: [HOST])
    source = HttpSource(url=f"https://other.example.org:{server.port}/file")
    resolver = Resolver(Store(tmp_path), egress, HostSecrets(known={}))
    resolver.look([source])
    assert "its certificate is not valid" in str(resolver.contents.find(source))
    assert server.asked == []


def test_what_a_pass_committed_is_known_without_asking_anybody(server: WebServer, tmp_path: Path) -> None:
    server.files["/file"] = b"content"
    source, other = (HttpSource(url=f"{server.url}/{name}") for name in ("file", "other"))
    store = Store(tmp_path)
    resolver = Resolver(store, EGRESS, HostSecrets(known={}))
    resolver.look([source, other])
    server.forget()
    committed = orjson.dumps({"sources": resolver.contents.fields()})
    known = Committed(committed, store)
    found = known.find(source)
    assert isinstance(found, Content)
    assert known.read(found.files[0].sha256) == b"content"
    assert known.find(other) is None
    assert server.asked == []


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"sources": 1}', b'{"sources": {"a": 1, "b": {"files": [1]}}}', b"\xff"]
)
def test_what_nobody_committed_so_is_not_known(data: bytes, tmp_path: Path) -> None:
    assert Committed(data, Store(tmp_path)).find(HttpSource(url="https://h/x")) is None


def test_the_store_forgets_what_nobody_asks_for(server: WebServer, tmp_path: Path) -> None:
    server.files |= {"/old": b"old", "/new": b"new"}
    old, new = (HttpSource(url=f"{server.url}/{name}") for name in ("old", "new"))
    for source in (old, new):
        content(tmp_path, source)
    store, now = Store(tmp_path / "store"), datetime.now(UTC)
    past = (now - KEPT - timedelta(days=1)).timestamp()
    for path in (tmp_path / "store").rglob("*"):
        if path.is_file():
            os.utime(path, (past, past))
    assert store.recall(new) is not None
    store.prune(now)
    assert (store.recall(old), store.recall(new) is not None) == (None, True)
    with pytest.raises(SourceError, match="is not in"):
        store.read(hashlib.sha256(b"old").hexdigest())


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 2}', b"\xff"])
def test_a_damaged_note_is_fetched_anew(server: WebServer, tmp_path: Path, damage: bytes) -> None:
    server.files["/file"] = b"content"
    source = HttpSource(url=f"{server.url}/file")
    content(tmp_path, source)
    (note,) = (tmp_path / "store/sources").iterdir()
    note.write_bytes(damage)
    assert content(tmp_path, source) == b"content"


def test_what_lies_in_the_store_is_for_its_user_alone(server: WebServer, tmp_path: Path) -> None:
    server.files["/file"] = b"content"
    content(tmp_path, HttpSource(url=f"{server.url}/file"))
    for path in (tmp_path / "store", *(tmp_path / "store").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0 or (path.is_dir() and path != tmp_path / "store"), path


def test_a_disk_that_takes_nothing_is_told_and_ends_nothing(server: WebServer, tmp_path: Path) -> None:
    server.files["/file"] = b"content"
    source = HttpSource(url=f"{server.url}/file")
    (tmp_path / "store").mkdir()
    for name in ("files", "sources", "pruned"):
        (tmp_path / "store" / name).symlink_to("/proc/nowhere/at-all")
    found = look(tmp_path, source)
    assert isinstance(found, Unavailable)
    assert "cannot be written" in found.reason
    Store(tmp_path / "store").prune(datetime.now(UTC))
