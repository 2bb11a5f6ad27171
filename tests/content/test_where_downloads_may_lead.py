"""Downloads reach public servers, and what the host settings allow: whatever a name, a number or a redirect pretends to be."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address, ip_network
from threading import Event

import pytest

from reconciler.content.egress import Egress, EgressRefused, system_resolver
from reconciler.content.host_secrets import HostSecrets
from reconciler.content.web import HttpFetcher, HttpLimits
from reconciler.documents.content import HttpSource
from reconciler.errors import SourceError
from tests.support.web_server import WebServer, redirect, reply, web_server

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104  (an address to refuse, not one to listen on)
        "255.255.255.255",
        "224.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
        "2001:db8::1",
        pytest.param("::ffff:127.0.0.1", id="IPv4-mapped loopback"),
        pytest.param("::ffff:a00:1", id="IPv4-mapped private, in hex"),
        pytest.param("::127.0.0.1", id="IPv4-compatible"),
        pytest.param("2002:7f00:1::1", id="6to4 of loopback"),
        pytest.param("2002:a9fe:a9fe::1", id="6to4 of link-local"),
        pytest.param("64:ff9b::7f00:1", id="NAT64 of loopback"),
        pytest.param("64:ff9b::a00:1", id="NAT64 of private"),
        pytest.param("64:ff9b:1::a00:1", id="local NAT64"),
        pytest.param("2001:0:4136:e378:8000:63bf:80ff:fffe", id="Teredo of loopback"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    with pytest.raises(EgressRefused, match="no public address"):
        Egress(resolve=lambda _host, _port: [address]).addresses("files.example.org", 443)


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert Egress(resolve=lambda _host, _port: [address]).addresses("files.example.org", 443) == (address,)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "::1", "::ffff:127.0.0.1"]
)
def test_however_a_url_writes_this_host_it_is_refused(host: str) -> None:
    with pytest.raises(EgressRefused):
        Egress().addresses(host, 80)


def test_one_private_answer_among_public_ones_refuses_the_name() -> None:
    with pytest.raises(EgressRefused, match=r"files\.example\.org is 10\.0\.0\.8"):
        Egress(resolve=lambda _host, _port: [PUBLIC, "10.0.0.8"]).addresses("files.example.org", 443)


def test_what_the_host_settings_allow_is_allowed_and_no_more() -> None:
    egress = Egress(allowed=(ip_network("10.1.0.0/16"), ip_network("fd00::/64")))
    allowed = [
        each
        for each in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::7", "10.2.0.1", "fd00:1::7")
        if egress.allows(ip_address(each))
    ]
    assert allowed == ["10.1.2.3", "::ffff:10.1.2.3", "fd00::7"]


ONLY = ip_network("127.0.0.5/32")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[WebServer, WebServer]]:
    with web_server("127.0.0.5") as outer, web_server("127.0.0.1") as inner:
        yield outer, inner


@pytest.fixture
def server(servers: tuple[WebServer, WebServer]) -> WebServer:
    servers[0].forget()
    return servers[0]


@pytest.fixture
def inner(servers: tuple[WebServer, WebServer]) -> WebServer:
    """What nobody outside this host may reach."""
    servers[1].forget()
    servers[1].files["/secret"] = b"credentials of this host"
    return servers[1]


def fetcher(limits: HttpLimits | None = None, egress: Egress | None = None) -> HttpFetcher:
    return HttpFetcher(egress or Egress(allowed=(ONLY,)), HostSecrets(known={}), limits)


def source(server: WebServer, path: str = "/file") -> HttpSource:
    return HttpSource(url=f"{server.url}{path}", insecure=True)


def test_an_allowed_server_is_asked(server: WebServer) -> None:
    server.files["/file"] = b"content"
    assert fetcher().fetch(source(server)).data == b"content"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "127.1"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_this_host_is_refused_before_anything_is_sent(
    server: WebServer, inner: WebServer, host: str, status: int
) -> None:
    server.answers["/file"] = redirect(f"http://{host}:{inner.port}/secret", status)
    with pytest.raises(EgressRefused):
        fetcher().fetch(source(server))
    assert inner.asked == []


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.5/x", "gopher://127.0.0.5/x", "http://user:pw@127.0.0.5/x", ""],
)
def test_a_redirect_to_no_web_server_is_refused(server: WebServer, location: str) -> None:
    server.answers["/file"] = redirect(location)
    with pytest.raises(SourceError, match=r"redirect"):
        fetcher().fetch(source(server))


def test_redirects_without_end_are_cut(server: WebServer) -> None:
    server.answers["/file"] = redirect("/file")
    with pytest.raises(SourceError, match="more than 5 redirects"):
        fetcher().fetch(source(server))
    assert len(server.asked) <= 7


def test_a_name_that_changes_its_answer_is_asked_once_and_taken_by_its_word(
    server: WebServer, inner: WebServer
) -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.5"] if len(asked) == 1 else ["127.0.0.1"]

    server.files["/file"] = b"content"
    found = HttpSource(url=f"http://files.example.org:{server.port}/file", insecure=True)
    egress = Egress(allowed=(ONLY,), resolve=rebinding)
    assert fetcher(egress=egress).fetch(found).data == b"content"
    assert asked == ["files.example.org"]
    with pytest.raises(EgressRefused, match=r"files\.example\.org is 127\.0\.0\.1"):
        fetcher(egress=egress).fetch(found)
    assert inner.asked == []


def test_a_name_that_answers_a_private_address_is_refused(inner: WebServer) -> None:
    assert "127.0.0.1" in system_resolver("localhost", inner.port)
    with pytest.raises(EgressRefused):
        fetcher().fetch(HttpSource(url=f"http://localhost:{inner.port}/secret", insecure=True))
    assert inner.asked == []


def test_proxies_of_the_environment_are_not_asked(
    server: WebServer, inner: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, inner.url)
    server.files["/file"] = b"content"
    assert fetcher().fetch(source(server)).data == b"content"
    assert inner.asked == []


def test_what_is_too_large_is_refused_as_it_comes(server: WebServer) -> None:
    server.answers["/file"] = lambda handler: reply(handler, 200, b"x" * 300_000)
    with pytest.raises(SourceError, match="larger than 100000 bytes"):
        fetcher(HttpLimits(bytes=100_000)).fetch(source(server))


def test_a_server_that_dribbles_is_cut(server: WebServer) -> None:
    cut = Event()

    def dribble(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        with suppress(OSError):
            while not cut.wait(0.05):
                handler.wfile.write(b"x")

    server.answers["/file"] = dribble
    with pytest.raises(SourceError, match="took too long"):
        fetcher(HttpLimits(total=0.5, idle=5.0)).fetch(source(server))
    cut.set()


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 403, 404, 500, 503])
def test_any_other_answer_is_no_content(server: WebServer, status: int) -> None:
    server.answers["/file"] = lambda handler: reply(handler, status, b"")
    with pytest.raises(SourceError, match=f"the server answered {status}"):
        fetcher().fetch(source(server))


def test_a_packed_answer_is_refused(server: WebServer) -> None:
    server.answers["/file"] = lambda handler: reply(handler, 200, b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(SourceError, match="compressed"):
        fetcher().fetch(source(server))


def test_a_cut_answer_is_no_content(server: WebServer) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    server.answers["/file"] = cut
    with pytest.raises(SourceError, match="cut"):
        fetcher().fetch(source(server))
