"""Fetches one file from a web server: every connection goes to an address that was checked, every limit is kept.

A redirect is a new address: it is resolved and checked like the first one. No proxy is asked, for a proxy resolves names
itself; no cookie is kept, and a login is shown to the host it is for, and to no other.
"""

import base64
import hashlib
import http.client
import re
import secrets
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from threading import Event, Timer
from typing import BinaryIO
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from reconciler.content.egress import Egress
from reconciler.content.host_secrets import HostSecrets
from reconciler.documents.content import Authentication, HttpSource
from reconciler.errors import SourceError
from reconciler.model.secret import Secret
from reconciler.source.cut import Cut

MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK, _NOT_MODIFIED, _UNAUTHORISED = 200, 304, 401
_CHUNK = 64 * 1024
_AGENT = "reconciler"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """What one fetch may cost."""

    bytes: int = 64 * 1024 * 1024
    """As much as one run may bring to a node."""
    idle: float = 30.0
    """Seconds without a byte, and for a connection."""
    total: float = 300.0
    """Seconds, redirects included: a server that sends a byte now and then must not hold a pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What a server gave."""

    data: bytes | None = field(repr=False)
    """None: the same as before, by its mark."""
    mark: str = ""
    """The server's ETag, where it is a strong one."""


Sign = Callable[[str], Mapping[str, str]]
"""Address -> headers that prove who asks."""


class HttpFetcher:
    """Fetches files; knows where it may go, and whom it may tell which secret."""

    def __init__(
        self,
        egress: Egress,
        host_secrets: HostSecrets,
        limits: HttpLimits | None = None,
        cut: Cut | None = None,
    ) -> None:
        self._egress = egress
        self._cut = cut or Cut()
        self._secrets = host_secrets
        self._limits = limits or HttpLimits()

    def fetch(self, source: HttpSource, mark: str = "", sign: Sign | None = None) -> Download:
        """Fetch one file; `mark` is what the server said of the one we hold. Raises SourceError in words.

        `sign` gives further headers for the source's own address; where it leads elsewhere, nothing is signed.
        """
        with _within(self._limits.total) as clock, self._cut.watching(clock.cut):
            try:
                return self._follow(source, mark, clock, {} if sign is None else sign(source.url))
            except (OSError, http.client.HTTPException, ValueError) as exc:
                # Of the library's own words only those about the connection: others quote what the server sent.
                why = _words(exc)
                raise SourceError(f"{source.shown} cannot be fetched: {clock.why or why}") from exc

    def save(self, source: HttpSource, into: BinaryIO) -> None:
        """Fetch one file, and write it as it comes: what may be large goes through nobody's memory. Raises SourceError."""
        with _within(self._limits.total) as clock, self._cut.watching(clock.cut):
            try:
                self._follow(source, "", clock, {}, into)
            except (OSError, http.client.HTTPException, ValueError) as exc:
                raise SourceError(f"{source.shown} cannot be fetched: {clock.why or _words(exc)}") from exc

    def _follow(
        self, source: HttpSource, mark: str, clock: "_Clock", signed: Mapping[str, str], into: BinaryIO | None = None
    ) -> Download:
        url = source.url
        first = _origin(urlsplit(url))
        authorization, asked_again = "", False
        for _ in range(MOST_REDIRECTS + 2):
            parts = urlsplit(url)
            ours = _origin(parts) == first
            if source.authentication is Authentication.BASIC and ours:
                authorization = self._basic(source, parts)
            known = mark if url == source.url else ""
            headers = {"If-None-Match": known} if known else {}
            headers |= signed if url == source.url else {}
            if authorization and ours:
                headers["Authorization"] = authorization
            with self._answer(parts, headers, clock) as answer:
                if answer.status == _UNAUTHORISED and source.authentication is Authentication.DIGEST and ours:
                    if asked_again:
                        raise SourceError(f"{source.shown} cannot be fetched: the server refuses the login")
                    asked_again = True
                    authorization = self._digest(source, parts, answer)
                    continue
                if answer.status in _REDIRECTS:
                    url = _next(source, url, answer.getheader("Location"))
                    continue
                if answer.status == _NOT_MODIFIED and known:
                    return Download(data=None, mark=known)
                found = self._read(source, answer, clock, into)
                return found if url == source.url else replace(found, mark="")
        raise SourceError(f"{source.shown} cannot be fetched: more than {MOST_REDIRECTS} redirects")

    @contextmanager
    def _answer(
        self, parts: SplitResult, headers: dict[str, str], clock: "_Clock"
    ) -> Iterator[http.client.HTTPResponse]:
        host, port = _origin(parts)[1:]
        connection = self._connected(parts.scheme, host, port, clock)
        with closing(connection):
            target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~") + (f"?{parts.query}" if parts.query else "")
            connection.putrequest("GET", target, skip_accept_encoding=True)
            for name, value in {
                "User-Agent": _AGENT,
                "Accept": "*/*",
                "Accept-Encoding": "identity",
                **headers,
            }.items():
                connection.putheader(name, value)
            connection.endheaders()
            with closing(connection.getresponse()) as answer:
                yield answer

    def _connected(self, scheme: str, host: str, port: int, clock: "_Clock") -> http.client.HTTPConnection:
        """Connect to an address that was checked: the name is not resolved again."""
        trouble: OSError = OSError("no address")
        for address in self._egress.addresses(host, port):
            try:
                plain = socket.create_connection((address, port), timeout=self._limits.idle)
            except OSError as exc:
                trouble = exc
                continue
            clock.watch(plain)
            connection = http.client.HTTPConnection(host, port)
            connection.sock = plain
            if scheme == "https":
                connection.default_port = 443  # `Host:` without it, as a signed URL was made for
                self._encrypt(connection, plain, host, clock)
            return connection
        raise trouble

    def _encrypt(
        self, connection: http.client.HTTPConnection, plain: socket.socket, host: str, clock: "_Clock"
    ) -> None:
        with ExitStack() as stack:
            stack.callback(plain.close)
            context = ssl.create_default_context()
            encrypted = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
            stack.callback(encrypted.close)
            clock.watch(encrypted)
            encrypted.do_handshake()
            stack.pop_all()
            connection.sock = encrypted

    def _read(
        self, source: HttpSource, answer: http.client.HTTPResponse, clock: "_Clock", into: BinaryIO | None
    ) -> Download:
        if answer.status != _OK:
            raise SourceError(f"{source.shown} cannot be fetched: the server answered {answer.status}")
        if answer.getheader("Content-Encoding", "identity").lower() != "identity":
            raise SourceError(f"{source.shown} cannot be fetched: the server compressed it, unasked")
        data, came = bytearray(), 0
        while chunk := answer.read1(_CHUNK):
            came += len(chunk)
            if came > self._limits.bytes:
                raise SourceError(f"{source.shown} is larger than {self._limits.bytes} bytes")
            if into is None:
                data += chunk
            else:
                into.write(chunk)
        expected = answer.headers.get("Content-Length")
        if clock.why or (expected is not None and expected.isdecimal() and int(expected) != came):
            raise SourceError(f"{source.shown} cannot be fetched: {clock.why or 'the answer was cut'}")
        mark = answer.getheader("ETag", "")
        return Download(data=bytes(data), mark=mark if re.fullmatch(r'"[\x21\x23-\x7e]{1,200}"', mark) else "")

    def _login(self, source: HttpSource, parts: SplitResult) -> tuple[Secret, Secret]:
        host = parts.hostname or ""
        return self._secrets.reveal(source.username, host), self._secrets.reveal(source.password, host)

    def _basic(self, source: HttpSource, parts: SplitResult) -> str:
        user, password = self._login(source, parts)
        return "Basic " + base64.b64encode(f"{user.reveal()}:{password.reveal()}".encode()).decode()

    def _digest(self, source: HttpSource, parts: SplitResult, answer: http.client.HTTPResponse) -> str:
        """Answer a challenge (RFC 7616, quality of protection `auth`)."""
        challenges = [_parameters(each) for each in answer.headers.get_all("WWW-Authenticate", [])]
        for name, function in (("sha-256", hashlib.sha256), ("md5", hashlib.md5)):
            for asked in challenges:
                if asked.get("algorithm", "md5").lower() == name and "auth" in re.split(r"[, ]+", asked.get("qop", "")):
                    return self._answered(source, parts, asked, function)
        raise SourceError(f"{source.shown} cannot be fetched: the server asks for no digest login that we know")

    def _answered(
        self,
        source: HttpSource,
        parts: SplitResult,
        asked: dict[str, str],
        function: "Callable[[bytes], hashlib._Hash]",
    ) -> str:
        def digest(text: str) -> str:
            return function(text.encode()).hexdigest()

        user, password = self._login(source, parts)
        uri = parts.path or "/"
        uri += f"?{parts.query}" if parts.query else ""
        nonce, realm, own = asked.get("nonce", ""), asked.get("realm", ""), secrets.token_hex(8)
        who = digest(f"{user.reveal()}:{realm}:{password.reveal()}")
        response = digest(f"{who}:{nonce}:00000001:{own}:auth:{digest(f'GET:{uri}')}")
        told = {
            "username": user.reveal(),
            "realm": realm,
            "nonce": nonce,
            "uri": uri,
            "response": response,
            "cnonce": own,
        }
        told |= {"opaque": asked["opaque"]} if "opaque" in asked else {}
        if any('"' in value or "\\" in value for value in told.values()):
            raise SourceError(f"{source.shown} cannot be fetched: the login, or the server's challenge, holds a quote")
        quoted = ", ".join(f'{name}="{value}"' for name, value in told.items())
        return f"Digest {quoted}, qop=auth, nc=00000001, algorithm={asked.get('algorithm', 'MD5')}"


class _Clock:
    """Cuts the connection when the time is over: a library that waits for one byte more cannot be told otherwise."""

    def __init__(self) -> None:
        self._over = Event()
        self._watched: socket.socket | None = None

    @property
    def why(self) -> str:
        """Why the connection was cut; empty where it was not."""
        return "it took too long" if self._over.is_set() else ""

    def watch(self, watched: socket.socket) -> None:
        """Cut this one from now on."""
        self._watched = watched
        if self._over.is_set():
            self.cut()

    def cut(self) -> None:
        """End whatever is being waited for."""
        self._over.set()
        watched = self._watched
        if watched is not None:
            with suppress(OSError):
                # The descriptor's own end, not an encrypted one's: that would wait for the other side to agree.
                socket.socket.shutdown(watched, socket.SHUT_RDWR)


@contextmanager
def _within(seconds: float) -> Iterator[_Clock]:
    clock = _Clock()
    timer = Timer(seconds, clock.cut)
    timer.daemon = True
    timer.start()
    try:
        yield clock
    finally:
        timer.cancel()
        timer.join()


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _next(source: HttpSource, url: str, location: str | None) -> str:
    """Give where a redirect leads. Raises SourceError where we do not follow."""
    if not location or re.search(r"[\x00-\x20\x7f]", location):
        raise SourceError(f"{source.shown} cannot be fetched: a redirect leads nowhere")
    following = urljoin(url, location)
    parts = urlsplit(following)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise SourceError(f"{source.shown} cannot be fetched: a redirect leads to no web server")
    if parts.scheme == "http" and not (source.insecure and urlsplit(url).scheme == "http"):
        raise SourceError(f"{source.shown} cannot be fetched: a redirect leads from https:// to http://")
    return following


_PARAMETER = re.compile(r'([A-Za-z0-9-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


def _parameters(challenge: str) -> dict[str, str]:
    kind, _, rest = challenge[:4096].partition(" ")
    if kind.lower() != "digest":
        return {}
    return {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}


def _words(exc: Exception) -> str:
    match exc:
        case TimeoutError():
            return "the server is silent"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid: {exc.verify_message}"
        case ssl.SSLError():
            return "no encrypted connection was made"
        case OSError():
            return exc.strerror or "the connection broke"
        case http.client.IncompleteRead():
            return "the answer was cut"
        case _:
            return "the server's answer does not read"
