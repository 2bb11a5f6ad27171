"""S3: signatures by AWS's published examples, objects and folders from a server that speaks its language."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from reconciler.content.egress import Egress
from reconciler.content.host_secrets import HostSecrets
from reconciler.content.resolve import Resolver
from reconciler.content.s3 import Keys, sign
from reconciler.content.store import Store
from reconciler.documents.content import Content, S3Source, Unavailable
from reconciler.model.host_secret import HostSecret
from reconciler.model.secret import Secret
from tests.support.web_server import WebServer, reply, web_server

HOST = "127.0.0.5"
EGRESS = Egress(allowed=(ip_network("127.0.0.0/8"),))
EXAMPLE = Keys(id="AKIAIOSFODNN7EXAMPLE", key=Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
NOW = datetime(2013, 5, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "headers", "signature"),
    [
        pytest.param(
            "https://examplebucket.s3.amazonaws.com/test.txt",
            {"Range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            id="an object",
        ),
        pytest.param(
            "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            id="a list",
        ),
        pytest.param(
            "https://examplebucket.s3.amazonaws.com/?lifecycle",
            {},
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            id="a question without a value",
        ),
    ],
)
def test_signatures_are_those_of_the_published_examples(url: str, headers: dict[str, str], signature: str) -> None:
    assert sign(url, headers, EXAMPLE, NOW)["Authorization"].endswith(f"Signature={signature}")


def test_the_region_is_read_from_the_host_and_a_token_goes_along() -> None:
    keys = Keys(id="A", key=Secret("k"), token=Secret("t0ken"))
    told = sign("https://s3.eu-west-1.amazonaws.com/b/k", {}, keys, NOW)
    assert "/20130524/eu-west-1/s3/aws4_request" in told["Authorization"]
    assert "x-amz-security-token" in told["Authorization"]
    assert told["x-amz-security-token"] == "t0ken"


OBJECTS = {
    "scripts/": b"",
    "scripts/a.sh": b"#!/bin/sh\n",
    "scripts/sub/b c.txt": b"b",
    "scriptsx": b"no",
    "other": b"o",
}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(HOST, tls=tmp_path_factory.mktemp("tls")) as server:
        yield server


@pytest.fixture
def server(started: WebServer, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    started.forget()
    monkeypatch.setenv("SSL_CERT_FILE", str(started.authority))
    started.files |= {"/bucket/scripts/a.sh": OBJECTS["scripts/a.sh"], "/bucket/scripts/sub/b%20c.txt": b"b"}
    started.answers["/bucket/"] = listing
    return started


def listing(handler: BaseHTTPRequestHandler) -> None:
    """Answer with one object a page, as a server with many does."""
    asked = parse_qs(urlsplit(handler.path).query)
    prefix = asked["prefix"][0]
    keys = sorted(key for key in OBJECTS if key.startswith(prefix))
    at = int(asked.get("continuation-token", ["0"])[0])
    more = at + 1 < len(keys)
    rows = "".join(
        f"<Contents><Key>{key}</Key><ETag>&quot;{hashlib.sha256(OBJECTS[key]).hexdigest()}&quot;</ETag>"
        f"<Size>{len(OBJECTS[key])}</Size></Contents>"
        for key in keys[at : at + 1]
    )
    token = f"<NextContinuationToken>{at + 1}</NextContinuationToken>" if more else ""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
    )
    reply(handler, 200, text.encode())


def look(folder: Path, source: S3Source, *, hosts: tuple[str, ...] = ()) -> tuple[Resolver, Content | Unavailable]:
    folder.mkdir(exist_ok=True)
    file = folder / "keys"
    file.touch(mode=0o600)
    file.write_text("AKID:s3cret\n")
    known = {"s3": HostSecret(name="s3", file=file, hosts=hosts)} if hosts else {}
    resolver = Resolver(Store(folder / "store"), EGRESS, HostSecrets(known=known))
    resolver.look([source])
    found = resolver.contents.find(source)
    assert found is not None
    return resolver, found


def files_of(resolver: Resolver, found: Content | Unavailable) -> dict[str, bytes]:
    assert isinstance(found, Content), found
    return {file.path: resolver.contents.read(file.sha256) for file in found.files}


def test_one_object_is_a_file_under_its_own_name(server: WebServer, tmp_path: Path) -> None:
    source = S3Source(url=f"{server.url}/bucket/scripts/a.sh")
    resolver, found = look(tmp_path, source)
    assert files_of(resolver, found) == {"a.sh": b"#!/bin/sh\n"}
    assert isinstance(found, Content)
    assert found.single
    assert server.logins == [""]


def test_a_folder_is_all_objects_below_it_and_fetched_once(server: WebServer, tmp_path: Path) -> None:
    source = S3Source(url=f"{server.url}/bucket/scripts/")
    assert files_of(*look(tmp_path, source)) == {"a.sh": b"#!/bin/sh\n", "sub/b c.txt": b"b"}
    asked = len(server.asked)
    assert files_of(*look(tmp_path, source)) == {"a.sh": b"#!/bin/sh\n", "sub/b c.txt": b"b"}
    assert all("list-type=2" in each for each in server.asked[asked:])


def test_requests_are_signed_for_the_servers_of_the_host_settings_alone(server: WebServer, tmp_path: Path) -> None:
    source = S3Source(url=f"{server.url}/bucket/scripts/")
    look(tmp_path / "a", source, hosts=(HOST,))
    assert len(server.logins) > 2
    assert all(login.startswith("AWS4-HMAC-SHA256 Credential=AKID/") for login in server.logins)
    assert not any("s3cret" in login for login in server.logins)
    server.logins.clear()
    look(tmp_path / "b", source, hosts=("s3.amazonaws.com",))
    assert set(server.logins) == {""}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<ListBucketResult/>", "holds no objects"),
        (b"<ListBucketResult><Contents><Key>scripts/../x</Key><Size>1</Size></Contents></ListBucketResult>", "no name"),
        (b"<ListBucketResult><Contents><Key>scripts//x</Key><Size>1</Size></Contents></ListBucketResult>", "no name"),
        (b"<ListBucketResult><Contents><Key>scripts/x</Key></Contents></ListBucketResult>", "does not read"),
        (
            b"<ListBucketResult><Contents><Key>scripts/x</Key><Size>99999999999</Size></Contents></ListBucketResult>",
            "more than",
        ),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><ListBucketResult>&a;</ListBucketResult>', "declares things"),
        (b"not xml", "does not read"),
        (b"", "does not read"),
    ],
)
def test_a_list_that_is_none_is_refused(server: WebServer, tmp_path: Path, body: bytes, reason: str) -> None:
    server.answers["/bucket/"] = lambda handler: reply(handler, 200, body)
    _, found = look(tmp_path, S3Source(url=f"{server.url}/bucket/scripts/"))
    assert isinstance(found, Unavailable)
    assert reason in found.reason


def test_a_pin_holds_for_an_object(server: WebServer, tmp_path: Path) -> None:
    _, found = look(tmp_path, S3Source(url=f"{server.url}/bucket/scripts/a.sh", sha256="0" * 64))
    assert isinstance(found, Unavailable)
    assert "and the document says 000" in found.reason
