"""A server that speaks as much of S3 as bringing files to a bucket takes; requests must be signed (Signature Version 4)."""

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import unquote, urlsplit

KEY_ID: Final = "AKIDEXAMPLE"
SECRET_KEY: Final = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(slots=True)
class ObjectStore:
    """What it holds and how it answers may be changed at any time."""

    url: str
    buckets: set[str] = field(default_factory=set)
    objects: dict[str, bytes] = field(default_factory=dict)
    """By `BUCKET/KEY`."""
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    """What is answered to every request of a method: a status, and S3's code for it."""
    asked: list[str] = field(default_factory=list)


@contextmanager
def object_store(address: str = "127.0.0.1") -> Iterator[ObjectStore]:
    """Serve on a free port of `address`."""

    class Handler(_Handler):
        store: ObjectStore

    listening = ThreadingHTTPServer((address, 0), Handler)
    Handler.store = ObjectStore(url=f"http://{address}:{listening.server_address[1]}")
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Handler.store
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: ObjectStore

    def do_HEAD(self) -> None:
        if self._is_allowed(b""):
            self._reply(200)

    def do_PUT(self) -> None:
        body = self._body()
        if not self._is_allowed(body):
            return
        self.store.objects[self._key()] = body
        self._reply(200, ETag=f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's own name)
        pass

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path.removeprefix("/"))

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return body
        whole = b""
        while True:
            size, _, rest = body.partition(b"\r\n")
            length = int(size.partition(b";")[0], 16)
            if not length:
                return whole
            whole, body = whole + rest[:length], rest[length + 2 :]

    def _is_allowed(self, body: bytes) -> bool:
        """Answer what is refused."""
        store = self.store
        store.asked.append(f"{self.command} {self.path}")
        trouble = store.refusals.get(self.command) or self._forged(body)
        if trouble is None and self._key().partition("/")[0] not in store.buckets:
            trouble = 404, "NoSuchBucket"
        if trouble is not None:
            status, code = trouble
            self._reply(status, f"<Error><Code>{code}</Code><Message>{code} it is</Message></Error>")
        return trouble is None

    def _forged(self, body: bytes) -> tuple[int, str] | None:
        """Say what is wrong with a signature, as the specification of Signature Version 4 has it made."""
        found = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if found is None or found[1] != KEY_ID:
            return 403, "InvalidAccessKeyId"
        _, day, region, names, signature = found.groups()
        told = self.headers["x-amz-content-sha256"]
        if re.fullmatch("[0-9a-f]{64}", told) and told != hashlib.sha256(body).hexdigest():
            return 400, "XAmzContentSHA256Mismatch"
        parts = urlsplit(self.path)
        query = "&".join(sorted(each if "=" in each else f"{each}=" for each in parts.query.split("&") if each))
        headers = [f"{name}:{' '.join(self.headers[name].split())}" for name in names.split(";")]
        request = "\n".join((self.command, parts.path, query, *headers, "", names, told))
        scope = f"{day}/{region}/s3/aws4_request"
        text = "\n".join(
            ("AWS4-HMAC-SHA256", self.headers["x-amz-date"], scope, hashlib.sha256(request.encode()).hexdigest())
        )
        key = f"AWS4{SECRET_KEY}".encode()
        for each in (day, region, "s3", "aws4_request"):
            key = hmac.digest(key, each.encode(), "sha256")
        is_ours = hmac.compare_digest(hmac.digest(key, text.encode(), "sha256").hex(), signature)
        return None if is_ours else (403, "SignatureDoesNotMatch")

    def _reply(self, status: int, text: str = "", **headers: str) -> None:
        body = text.encode() if self.command != "HEAD" else b""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True
