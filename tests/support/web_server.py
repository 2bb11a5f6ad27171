"""A web server for downloads: files in memory, a log of what was asked, over TLS with an authority of its own where wanted."""

import base64
import datetime as dt
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(slots=True)
class WebServer:
    """What it serves may be changed at any time."""

    url: str
    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    """Paths with an answer of their own."""
    asked: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    authority: Path | None = None
    """The certificate that its own is signed by."""

    def forget(self) -> None:
        """Serve nothing, and have been asked nothing."""
        for held in (self.files, self.answers, self.asked, self.logins):
            held.clear()


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the library's own name)
        pass


@contextmanager
def web_server(
    address: str = "127.0.0.1", *, port: int = 0, tls: Path | None = None, git: Path | None = None
) -> Iterator[WebServer]:
    """Serve on one address and a free port, or that one; `tls` is a folder for keys.

    `git` is a folder of bare repositories, served below `/git/`, and at their own paths as GitHub does.
    """

    class Handler(_Quiet):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            server.asked.append(f"GET {self.path}")
            server.logins.append(self.headers.get("Authorization", ""))
            if path in server.answers:
                server.answers[path](self)
            elif git is not None and (path.startswith("/git/") or ".git/" in path):
                _git(self, git)
            elif path in server.files:
                reply(self, 200, server.files[path])
            else:
                reply(self, 404, b"")

        def do_HEAD(self) -> None:
            _head(self, server.files)

        def do_POST(self) -> None:
            server.asked.append(f"POST {self.path}")
            if git is not None:
                _git(self, git)
            else:
                reply(self, 404, b"")

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: clients that break off are what these tests are about."""

    listening = Server((address, port), Handler)
    scheme, authority = "http", None
    if tls is not None:
        scheme = "https"
        authority = _certificates(tls, address)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "server.pem", tls / "server.key")
        listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    port = listening.server_address[1]
    server = WebServer(url=f"{scheme}://{address}:{port}", port=port, authority=authority)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Answer in full."""
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True


def _head(handler: BaseHTTPRequestHandler, files: Mapping[str, bytes]) -> None:
    """Tell of a file, and send nothing of it: zypper asks before it fetches."""
    found = files.get(handler.path.partition("?")[0])
    handler.send_response(404 if found is None else 200)
    handler.send_header("Content-Length", str(len(found or b"")))
    handler.end_headers()


def redirect(location: str, status: int = 302) -> Answer:
    """Lead elsewhere."""
    return lambda handler: reply(handler, status, b"", Location=location)


def _git(handler: BaseHTTPRequestHandler, root: Path) -> None:
    """Serve a repository by git's own program for it."""
    path, _, query = handler.path.partition("?")
    path = "/" + path.removeprefix("/git/").removeprefix("/")
    body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_METHOD": handler.command,
        "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }
    done = subprocess.run(
        ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False, timeout=60
    )
    head, _, answer = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200 OK").split()[0])
    reply(handler, status, answer, **{name.replace("-", "_"): value for name, value in headers.items()})


def _certificates(folder: Path, address: str) -> Path:
    """Make an authority, and a certificate for `address`, for localhost, and for names that tests lead here."""
    folder.mkdir(parents=True, exist_ok=True)
    now = dt.datetime.now(dt.UTC)

    def made(
        name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey, *, authority: bool
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            known = (x509.DNSName(name) for name in ("localhost", "files.example.org", "github.com"))
            names = [*known, x509.IPAddress(ip_address(address))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signer, hashes.SHA256())

    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = folder / "authority.pem"
    pem = serialization.Encoding.PEM
    authority.write_bytes(made("Tests", root, "Tests", root, authority=True).public_bytes(pem))
    (folder / "server.pem").write_bytes(made("files", own, "Tests", root, authority=False).public_bytes(pem))
    (folder / "server.key").write_bytes(
        own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return authority


def basic(user: str, password: str) -> str:
    """What a login by `Basic` looks like on the wire."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
